//! Constraints: what a column promises about its values, and what only a vote can keep.
//!
//! | constraint | promise |
//! |---|---|
//! | `unique` | no two rows of the table show the same value; NULL is none |
//! | `at_least` | no row shows a number below the bound |
//!
//! A join cannot keep either: two writes that are fine by themselves may break one together. So a column with a constraint
//! is *protected*: it accepts writes only through a [transaction with participants](crate::two_phase), each of which looks
//! before it votes; and where there is a main, it looks once more before it appends. Without a main a promise holds among
//! transactions that have a participant in common. Whoever votes also refuses to write over what the coordinator had not
//! seen, and to a row whose delete it had not: then what it predicts is what will be shown. Constraints are rules of the schema and merge like policies
//! ([`crate::ddl::Rule`]); what was written before a column had one stays as it is. A deleted row gives its values back: if a
//! rule revives it, it may show what was taken meanwhile.

use std::collections::BTreeSet;

use crate::change::{Element, Op};
use crate::clock::Seen;
use crate::error::Error;
use crate::id::{ColumnId, TableId};
use crate::schema::{ColumnState, Schema};
use crate::state::State;
use crate::value::Value;

/// Refuses operations of an ordinary change that write to a protected column.
///
/// # Errors
/// [`Error::Protected`], naming the first.
pub fn check_unprotected(schema: &Schema, ops: &[Op]) -> Result<(), Error> {
    for (element, column) in ops.iter().flat_map(written) {
        let Some(state) = protected(schema, element, column) else { continue };
        let (table, column) = (schema.shown_name(element.table()).to_owned(), state.name().to_owned());
        return Err(Error::Protected { table, column });
    }
    Ok(())
}

/// Refuses operations after which the graph would break a promise that it keeps now. `seen` is what their author had
/// applied.
///
/// # Errors
/// [`Error::Unseen`], [`Error::UnseenDelete`], [`Error::NotUnique`] or [`Error::BelowBound`], naming the first.
pub fn check(state: &State, seen: &Seen, ops: &[Op]) -> Result<(), Error> {
    let schema = state.schema();
    let is_protected = |(element, column): &(&Element, ColumnId)| protected(schema, element, *column).is_some();
    let cells: BTreeSet<(&Element, ColumnId)> = ops.iter().flat_map(written).filter(is_protected).collect();
    if cells.is_empty() {
        return Ok(());
    }
    let after = After { state, ops };
    for (element, column) in cells {
        let Some(definition) = protected(schema, element, column) else { continue };
        if let Some(by) = state.unseen_write(element, column, seen) {
            let (element, column) = (state.describe(element), definition.name().to_owned());
            return Err(Error::Unseen { element, column, by });
        }
        if let Some(by) = state.unseen_delete(element, seen) {
            return Err(Error::UnseenDelete { element: state.describe(element), by });
        }
        let Some(value) = after.value(element, column) else { continue };
        if let Some(bound) = definition.at_least()
            && is_below(&value, bound, definition)
        {
            let (element, column) = (state.describe(element), definition.name().to_owned());
            return Err(Error::BelowBound { element, column, value: value.to_string(), bound });
        }
        if definition.is_unique()
            && let Some(holder) = after.other_holder(element, column, &value)
        {
            let (element, holder) = (state.describe(element), state.describe(&holder));
            let (column, value) = (definition.name().to_owned(), value.to_string());
            return Err(Error::NotUnique { element, column, value, holder });
        }
    }
    Ok(())
}

/// The unique values that operations would give to rows. Two transactions that claim the same one are not both prepared,
/// though they write to different rows and neither is applied.
#[must_use]
pub fn claims(state: &State, ops: &[Op]) -> BTreeSet<(TableId, ColumnId, Value)> {
    let (schema, after) = (state.schema(), After { state, ops });
    let is_unique = |(element, column): &(&Element, ColumnId)| {
        protected(schema, element, *column).is_some_and(ColumnState::is_unique)
    };
    let claim =
        |(element, column): (&Element, ColumnId)| Some((element.table(), column, after.value(element, column)?));
    ops.iter().flat_map(written).filter(is_unique).filter_map(claim).collect()
}

fn is_below(value: &Value, bound: i64, column: &ColumnState) -> bool {
    let bound = Value::from(bound).cast(column.column_type()).and_then(|bound| bound.addend());
    matches!((value.addend(), bound), (Some(value), Some(bound)) if value < bound)
}

/// The cells an operation writes.
fn written(op: &Op) -> Vec<(&Element, ColumnId)> {
    match op {
        Op::Insert { element, cells } | Op::Update { element, cells } => {
            cells.keys().map(|column| (element, *column)).collect()
        }
        Op::Increment { element, column, .. } => vec![(element, *column)],
        Op::Delete { .. } | Op::Schema(_) => Vec::new(),
    }
}

fn protected<'a>(schema: &'a Schema, element: &Element, column: ColumnId) -> Option<&'a ColumnState> {
    schema.table(element.table())?.column(column).filter(|column| column.is_protected())
}

/// The graph as it would be after some operations.
struct After<'a> {
    state: &'a State,
    ops: &'a [Op],
}

impl After<'_> {
    /// What a cell would show, as a value of its column's type.
    fn value(&self, element: &Element, column: ColumnId) -> Option<Value> {
        let mut value = self.state.held_value(element, column);
        for op in self.ops.iter().filter(|op| op.element() == Some(element)) {
            match op {
                Op::Insert { cells, .. } | Op::Update { cells, .. } => {
                    value = cells.get(&column).cloned().or(value);
                }
                Op::Increment { column: number, by, .. } if *number == column => {
                    value = add(value.as_ref(), by);
                }
                Op::Increment { .. } | Op::Schema(_) => {}
                Op::Delete { .. } => value = None,
            }
        }
        let column = self.state.schema().table(element.table())?.column(column)?;
        value?.cast(column.column_type()).filter(|value| *value != Value::Null)
    }

    /// Another row that would hold the same.
    fn other_holder(&self, element: &Element, column: ColumnId, value: &Value) -> Option<Element> {
        let touched: BTreeSet<&Element> = self.ops.iter().filter_map(Op::element).collect();
        let shows = |other: &Element| {
            let shown =
                if touched.contains(other) { self.value(other, column) } else { self.state.held_value(other, column) };
            other != element && shown.as_ref() == Some(value)
        };
        let made = touched.iter().map(|element| (*element).clone()).filter(|other| other.table() == element.table());
        self.state.elements(element.table()).chain(made).find(shows)
    }
}

fn add(value: Option<&Value>, by: &Value) -> Option<Value> {
    let start = match value {
        None | Some(Value::Null) => 0,
        Some(value) => value.cast(&by.sum_type()?)?.addend()?,
    };
    Value::from_sum(start.checked_add(by.addend()?)?, &by.sum_type()?)
}
