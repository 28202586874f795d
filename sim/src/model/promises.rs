//! What a column promises about its values, looked up row by row.

use kuzusync_core::change::{Change, Element, Op};
use kuzusync_core::ddl::{Ddl, Rule};
use kuzusync_core::id::{ColumnId, TableId};
use kuzusync_core::value::{Type, Value};

use super::Model;

/// The cells that a change writes.
pub fn written(change: &Change) -> impl Iterator<Item = (&Element, ColumnId)> {
    change.ops.iter().flat_map(|op| match op {
        Op::Insert { element, cells } | Op::Update { element, cells } => {
            cells.keys().map(|column| (element, *column)).collect()
        }
        Op::Increment { element, column, .. } => vec![(element, *column)],
        Op::Delete { .. } | Op::Schema(_) => Vec::new(),
    })
}

/// The column that an operation gives a constraint.
pub fn constrained(op: &Op) -> Option<(TableId, ColumnId)> {
    match op {
        Op::Schema(Ddl::SetRule {
            table,
            rule: Rule::Unique { column, is_on: true } | Rule::AtLeast { column, bound: Some(_) },
        }) => Some((*table, *column)),
        _ => None,
    }
}

impl Model<'_> {
    /// The first cell of those a change writes that only transactions may write, in words.
    #[must_use]
    pub fn protected(&self, change: &Change) -> Option<String> {
        let is_protected = |(element, column): &(&Element, ColumnId)| {
            let rules = self.tables.rules(element.table());
            rules.unique.contains(column) || rules.at_least.contains_key(column)
        };
        written(change).find(is_protected).map(|(element, column)| self.describe(element, column))
    }

    /// The first cell of those a change wrote that breaks a promise of its column, in words.
    #[must_use]
    pub fn broken_promise(&self, change: &Change) -> Option<String> {
        let shown = self.shown();
        for (element, column) in written(change).filter(|(element, _)| shown.contains(element)) {
            let rules = self.tables.rules(element.table());
            let Some((value, of)) = self.shown_cell(element, column) else { continue };
            let bound = rules.at_least.get(&column).and_then(|bound| Value::from(*bound).cast(&of));
            let cell = self.describe(element, column);
            if let Some(bound) = bound
                && let (Some(number), Some(least)) = (value.addend(), bound.addend())
                && number < least
            {
                return Some(format!("{cell} is {value} and may not be below {bound}"));
            }
            let holds = |other: &&Element| {
                *other != element
                    && other.table() == element.table()
                    && self.shown_cell(other, column).is_some_and(|(held, _)| held == value)
            };
            if rules.unique.contains(&column)
                && let Some(other) = shown.iter().find(holds)
            {
                return Some(format!("{cell} is {value}, and so is {}", self.describe(other, column)));
            }
        }
        None
    }

    fn shown_cell(&self, element: &Element, column: ColumnId) -> Option<(Value, Type)> {
        let of = self.tables.definition(element.table())?.columns().find(|shown| shown.id == column)?;
        Some((self.cell(element, &of)?, of.column_type.clone()))
    }

    fn describe(&self, element: &Element, column: ColumnId) -> String {
        let shown =
            self.tables.definition(element.table()).and_then(|table| table.columns().find(|of| of.id == column));
        let row = match element {
            Element::Node(node) => format!("{}({})", self.tables.name(node.table), node.key),
            Element::Edge(edge) => format!("{}({}→{})", self.tables.name(edge.table), edge.from.key, edge.to.key),
        };
        format!("{row}.{}", shown.map_or_else(|| column.short(), |of| of.name))
    }
}
