//! What the schema operations make: tables by identity, their names, columns and merge rules.
//!
//! Schema operations always compare by connection and time, whatever the tables prefer. So they are carried out in that
//! order, each over what the ones before it left: who drops last drops, who names last names. Two things ask instead what
//! an operation's author had seen: a change of type does away with the types its author knew of, and the drop of a pair
//! with the additions its author knew of.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::Op;
use kuzusync_core::clock::Rank;
use kuzusync_core::ddl::{Column, Ddl, Multiplicity, Rule, column_born, column_id, fold};
use kuzusync_core::id::{ColumnId, TableId};
use kuzusync_core::policy::Policy;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{Table, TableKind};

use super::{Placed, Standing};

/// All tables.
#[derive(Default)]
pub struct Tables {
    definitions: BTreeMap<TableId, Definition>,
    rules: BTreeMap<TableId, Rules>,
    /// Those of a table for which none was set.
    default_rules: Rules,
    /// How many schema operations there are.
    pub operations: u64,
}

/// What makes a table.
pub struct Definition {
    name: String,
    /// The place of the last operation that named it.
    named_at: Standing,
    is_dropped: bool,
    /// The key column of a node table.
    key: Option<ColumnId>,
    /// Where edges start and end.
    pairs: BTreeSet<(TableId, TableId)>,
    columns: BTreeMap<ColumnId, Known>,
}

/// What makes a column.
struct Known {
    name: String,
    /// The place of the last operation that named it.
    named_at: Standing,
    is_dropped: bool,
    column_type: Type,
    /// The last operation that claimed that type.
    typed_by: Option<Rank>,
    default: Option<Value>,
}

/// A column as it is shown.
pub struct Shown<'a> {
    pub id: ColumnId,
    pub name: String,
    pub column_type: &'a Type,
    /// The last operation that claimed that type.
    pub typed_by: Option<Rank>,
    pub default: Option<&'a Value>,
}

/// How its rows are merged.
#[derive(Default)]
pub struct Rules {
    pub policy: Policy,
    column_policies: BTreeMap<ColumnId, Policy>,
    pub update_revives: bool,
    pub revive: bool,
    pub multiplicity: Multiplicity,
    /// Columns of which no two rows show one value.
    pub unique: BTreeSet<ColumnId>,
    /// What the numbers of columns may not fall below.
    pub at_least: BTreeMap<ColumnId, i64>,
}

impl Rules {
    /// The policy of a column: its own, else the table's.
    pub fn column_policy(&self, column: ColumnId) -> Policy {
        self.column_policies.get(&column).copied().unwrap_or(self.policy)
    }
}

impl Definition {
    /// Its columns that are not dropped. The last to be given a name has it.
    pub fn columns(&self) -> impl Iterator<Item = Shown<'_>> {
        let live = || self.columns.iter().filter(|(_, column)| !column.is_dropped);
        let name = move |id: ColumnId, known: &Known| {
            let is_beaten =
                live().any(|(_, other)| fold(&other.name) == fold(&known.name) && other.named_at > known.named_at);
            if is_beaten { format!("{}~{}", known.name, id.short()) } else { known.name.clone() }
        };
        live().map(move |(&id, known)| Shown {
            id,
            name: name(id, known),
            column_type: &known.column_type,
            typed_by: known.typed_by,
            default: known.default.as_ref(),
        })
    }
}

impl Tables {
    /// Those of all schema operations, in the order of connection and time.
    pub(super) fn of(ops: &[Placed<'_>]) -> Self {
        let mut tables = Tables { operations: ops.len() as u64, ..Tables::default() };
        for op in ops {
            if let Op::Schema(ddl) = op.op {
                tables.carry_out(ddl, op.standing(Policy::Auto));
            }
        }
        tables.decide_types(ops);
        tables.decide_pairs(ops);
        tables
    }

    /// Every column that there ever was.
    pub fn all_columns(&self) -> impl Iterator<Item = (TableId, ColumnId)> {
        self.definitions
            .iter()
            .flat_map(|(table, definition)| definition.columns.keys().map(|column| (*table, *column)))
    }

    /// Whether a table, or one of its columns by itself, is known and dropped.
    pub fn is_dropped(&self, table: TableId, column: Option<ColumnId>) -> bool {
        self.definitions.get(&table).is_some_and(|definition| match column {
            None => definition.is_dropped,
            Some(column) => definition.columns.get(&column).is_some_and(|known| known.is_dropped),
        })
    }

    fn carry_out(&mut self, ddl: &Ddl, at: Standing) {
        let id = ddl.table_id();
        match ddl {
            Ddl::CreateNodeTable { name, columns, primary_key, .. } => {
                self.define(id, name, columns, at).key = Some(column_id(id, primary_key));
            }
            Ddl::CreateEdgeTable { name, columns, .. } => drop(self.define(id, name, columns, at)),
            Ddl::SetRule { rule, .. } => {
                let rules = self.rules.entry(id).or_default();
                match rule {
                    Rule::Policy { column: None, policy } => rules.policy = *policy,
                    Rule::Policy { column: Some(column), policy } => {
                        rules.column_policies.insert(*column, *policy);
                    }
                    Rule::UpdateRevives(is_on) => rules.update_revives = *is_on,
                    Rule::Revive(is_on) => rules.revive = *is_on,
                    Rule::Multiplicity(multiplicity) => rules.multiplicity = *multiplicity,
                    // What a constraint forbids is never written, so it shapes no view.
                    Rule::Unique { column, is_on: true } => drop(rules.unique.insert(*column)),
                    Rule::Unique { column, is_on: false } => drop(rules.unique.remove(column)),
                    Rule::AtLeast { column, bound: Some(bound) } => drop(rules.at_least.insert(*column, *bound)),
                    Rule::AtLeast { column, bound: None } => drop(rules.at_least.remove(column)),
                }
            }
            _ => {
                // What made the table may have been rejected.
                if let Some(definition) = self.definitions.get_mut(&id) {
                    definition.carry_out(id, ddl, at);
                }
            }
        }
    }

    fn define(&mut self, id: TableId, name: &str, columns: &[Column], at: Standing) -> &mut Definition {
        let definition = self.definitions.entry(id).or_insert_with(|| Definition {
            name: String::new(),
            named_at: at,
            is_dropped: false,
            key: None,
            pairs: BTreeSet::new(),
            columns: BTreeMap::new(),
        });
        (definition.name, definition.named_at, definition.is_dropped) = (name.to_owned(), at, false);
        for column in columns {
            definition.add(column_id(id, &column.name), column, at);
        }
        definition
    }

    /// Of the types claimed and not done away with, the last; or one of the same family that holds more.
    fn decide_types(&mut self, ops: &[Placed<'_>]) {
        /// What claims a type, the type, and whether it does away with others.
        type Claim<'a> = (&'a Placed<'a>, &'a Type, bool);
        let mut claims: BTreeMap<(TableId, ColumnId), Vec<Claim<'_>>> = BTreeMap::new();
        for op in ops {
            let Op::Schema(ddl) = op.op else { continue };
            let id = ddl.table_id();
            let claimed: Vec<(ColumnId, &Type, bool)> = match ddl {
                Ddl::CreateNodeTable { columns, .. } | Ddl::CreateEdgeTable { columns, .. } => {
                    columns.iter().map(|column| (column_id(id, &column.name), &column.column_type, false)).collect()
                }
                Ddl::AddColumn { column, birth, .. } => {
                    vec![(column_born(id, &column.name, *birth), &column.column_type, false)]
                }
                Ddl::AlterColumnType { column, column_type, .. } => vec![(*column, column_type, true)],
                _ => Vec::new(),
            };
            for (column, claimed, is_change) in claimed {
                claims.entry((id, column)).or_default().push((op, claimed, is_change));
            }
        }
        for ((table, column), claims) in claims {
            let Some(column) = self.definitions.get_mut(&table).and_then(|table| table.columns.get_mut(&column)) else {
                continue;
            };
            let is_done_away =
                |claim: &Placed<'_>| claims.iter().any(|(op, _, is_change)| *is_change && op.comes_after(claim));
            let left: Vec<(&Placed<'_>, &Type)> =
                claims.iter().filter(|(op, _, _)| !is_done_away(op)).map(|(op, claimed, _)| (*op, *claimed)).collect();
            if let Some((_, last)) = left.last() {
                let types = left.iter().map(|(_, claimed)| *claimed);
                column.column_type = types.filter(|other| holds_more(other, last)).fold(*last, wider).clone();
            }
            let is_it = |(_, claimed): &&(&Placed<'_>, &Type)| **claimed == column.column_type;
            column.typed_by = left.iter().rev().find(is_it).map(|(op, _)| op.rank());
        }
    }

    /// A pair is there while somebody added it of whom nobody knew who dropped it.
    fn decide_pairs(&mut self, ops: &[Placed<'_>]) {
        let drops: Vec<(&Placed<'_>, (TableId, TableId, TableId))> = ops
            .iter()
            .filter_map(|op| match op.op {
                Op::Schema(Ddl::DropPair { table, from, to }) => Some((op, (*table, *from, *to))),
                _ => None,
            })
            .collect();
        for op in ops {
            let Op::Schema(ddl) = op.op else { continue };
            let (Ddl::CreateEdgeTable { from, to, .. } | Ddl::AddPair { from, to, .. }) = ddl else { continue };
            let pair = (ddl.table_id(), *from, *to);
            let is_dropped = drops.iter().any(|(drop, dropped)| *dropped == pair && drop.comes_after(op));
            if let Some(definition) = self.definitions.get_mut(&pair.0).filter(|_| !is_dropped) {
                definition.pairs.insert((*from, *to));
            }
        }
    }

    /// Whether it was ever made.
    pub fn is_known(&self, id: TableId) -> bool {
        self.definitions.contains_key(&id)
    }

    pub fn rules(&self, id: TableId) -> &Rules {
        self.rules.get(&id).unwrap_or(&self.default_rules)
    }

    pub fn edge_tables(&self) -> impl Iterator<Item = TableId> {
        self.definitions.iter().filter(|(_, definition)| definition.key.is_none()).map(|(id, _)| *id)
    }

    /// A node table that is not dropped.
    fn node_table(&self, id: TableId) -> Option<&Definition> {
        self.definitions.get(&id).filter(|definition| definition.key.is_some() && !definition.is_dropped)
    }

    /// Whether nodes of that table can be shown.
    pub fn has_node_table(&self, id: TableId) -> bool {
        self.node_table(id).is_some()
    }

    /// A table that is shown. What touches a table that is dropped, or that a rejected change would have made, is not.
    pub fn definition(&self, id: TableId) -> Option<&Definition> {
        let edges = || self.definitions.get(&id).filter(|_| !self.pairs(id).is_empty());
        self.node_table(id).or_else(edges)
    }

    /// The pairs of tables between which edges are shown.
    pub fn pairs(&self, id: TableId) -> BTreeSet<(TableId, TableId)> {
        let Some(definition) = self.definitions.get(&id).filter(|definition| !definition.is_dropped) else {
            return BTreeSet::new();
        };
        let exist = |(from, to): &&(TableId, TableId)| self.has_node_table(*from) && self.has_node_table(*to);
        definition.pairs.iter().filter(exist).copied().collect()
    }

    /// The last to be given a name has it; any other is shown with a part of its identity.
    pub fn name(&self, id: TableId) -> String {
        let Definition { name, named_at, .. } = &self.definitions[&id];
        let shown = self.definitions.keys().filter_map(|id| self.definition(*id));
        let is_beaten = shown.into_iter().any(|other| fold(&other.name) == fold(name) && other.named_at > *named_at);
        if is_beaten { format!("{name}~{}", id.short()) } else { name.clone() }
    }

    /// Every table as it is shown, by name.
    pub fn shown(&self) -> BTreeMap<String, Table> {
        let mut shown = BTreeMap::new();
        for &id in self.definitions.keys() {
            let Some(definition) = self.definition(id) else { continue };
            let kind = match definition.key {
                Some(key) => {
                    let key = definition.columns().find(|column| column.id == key);
                    TableKind::Node { primary_key: key.map(|column| column.name).unwrap_or_default() }
                }
                None => {
                    let names = |(from, to): (TableId, TableId)| (self.name(from), self.name(to));
                    TableKind::Edge { pairs: self.pairs(id).into_iter().map(names).collect() }
                }
            };
            let columns = definition.columns().map(|column| (column.name, column.column_type.clone())).collect();
            shown.insert(self.name(id), Table { kind, columns });
        }
        shown
    }
}

impl Definition {
    fn carry_out(&mut self, id: TableId, ddl: &Ddl, at: Standing) {
        match ddl {
            Ddl::DropTable { .. } => self.is_dropped = true,
            Ddl::UndropTable { .. } => self.is_dropped = false,
            Ddl::RenameTable { name, .. } => (self.name, self.named_at) = (name.clone(), at),
            Ddl::AddColumn { column, birth, .. } => self.add(column_born(id, &column.name, *birth), column, at),
            Ddl::DropColumn { column, .. } => self.set(*column, |known| known.is_dropped = true),
            Ddl::UndropColumn { column, .. } => self.set(*column, |known| known.is_dropped = false),
            Ddl::RenameColumn { column, name, .. } => {
                self.set(*column, |known| (known.name, known.named_at) = (name.clone(), at));
            }
            _ => {}
        }
    }

    fn set(&mut self, column: ColumnId, set: impl FnOnce(&mut Known)) {
        // What made the column may have been rejected.
        if let Some(known) = self.columns.get_mut(&column) {
            set(known);
        }
    }

    fn add(&mut self, id: ColumnId, column: &Column, at: Standing) {
        let default = column.default.clone().or_else(|| self.columns.get(&id)?.default.clone());
        let (name, column_type) = (column.name.clone(), column.column_type.clone());
        let typed_by = None;
        self.columns.insert(id, Known { name, named_at: at, is_dropped: false, column_type, typed_by, default });
    }
}

/// Whether one type holds every value of the other, and more.
pub(super) fn holds_more(one: &Type, other: &Type) -> bool {
    let bits = |of: &Type| {
        Some(match of {
            Type::Int8 => ("signed", 8),
            Type::Int16 => ("signed", 16),
            Type::Int32 => ("signed", 32),
            Type::Int64 => ("signed", 64),
            Type::Int128 => ("signed", 128),
            Type::UInt8 => ("unsigned", 8),
            Type::UInt16 => ("unsigned", 16),
            Type::UInt32 => ("unsigned", 32),
            Type::UInt64 => ("unsigned", 64),
            Type::Float => ("floating", 32),
            Type::Double => ("floating", 64),
            _ => return None,
        })
    };
    match (bits(one), bits(other)) {
        (Some((family, wide)), Some((other, narrow))) => family == other && wide > narrow,
        _ => false,
    }
}

fn wider<'t>(one: &'t Type, other: &'t Type) -> &'t Type {
    if holds_more(other, one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{altered, change, follows, id, rule, unnumbered, users};
    use crate::model::{Model, view};

    fn with_key(key: &str) -> Ddl {
        let columns = vec![Column::new(key, Type::String)];
        Ddl::CreateNodeTable { name: "user".into(), birth: 0, columns, primary_key: key.into() }
    }

    #[test]
    fn of_two_tables_with_one_name_the_last_by_connection_and_time_has_it() {
        let here = change(id(1, 1), 9, &[], vec![Op::Schema(users())]);
        let there = change(id(2, 1), 1, &[], vec![Op::Schema(with_key("k"))]);
        let names = |changes: &[_]| view(&unnumbered(changes)).tables.into_keys().collect::<Vec<_>>();
        let loser = format!("user~{}", with_key("k").table_id().short());
        assert_eq!(names(&[here.clone(), there.clone()]), ["User".to_owned(), loser]);
        let online = altered(&there, |change| change.link_epoch = 1);
        let loser = format!("User~{}", users().table_id().short());
        assert_eq!(names(&[here, online]), [loser, "user".to_owned()]);
    }

    #[test]
    fn one_table_made_twice_has_the_columns_and_pairs_of_both_and_the_last_ones_types() {
        let column = |name: &str, column_type| Column::new(name, column_type);
        let id_column = || column("id", Type::Int64);
        let again = Ddl::CreateNodeTable {
            name: "User".into(),
            birth: 0,
            columns: vec![id_column(), column("VISITS", Type::String), column("email", Type::String)],
            primary_key: "id".into(),
        };
        let (from, to) = (users().table_id(), with_key("k").table_id());
        let other_end = Ddl::CreateEdgeTable { name: "FOLLOWS".into(), birth: 0, from, to, columns: Vec::new() };
        let here = change(id(1, 1), 1, &[], vec![Op::Schema(users()), Op::Schema(follows())]);
        let there = [with_key("k"), again, other_end].map(Op::Schema).to_vec();
        let there = change(id(2, 1), 2, &[], there);
        let tables = view(&unnumbered(&[here, there])).tables;
        let user = tables.values().find(|table| table.columns.contains_key("id")).unwrap();
        assert_eq!(user.columns.len(), 4);
        assert_eq!(user.columns["VISITS"], Type::String);
        assert!(matches!(&tables["FOLLOWS"].kind, TableKind::Edge { pairs } if pairs.len() == 2));
    }

    #[test]
    fn an_edge_table_shows_while_the_tables_it_touches_are_there() {
        let nodes = change(id(1, 1), 1, &[], vec![Op::Schema(users())]);
        let edges = change(id(1, 2), 2, &[], vec![Op::Schema(follows())]);
        assert_eq!(view(&unnumbered(&[nodes, edges.clone()])).tables.len(), 2);
        assert_eq!(view(&unnumbered(&[edges])).tables.len(), 0, "the change before was rejected");
    }

    #[test]
    fn of_a_rule_set_twice_the_last_by_connection_and_time_holds_whatever_the_policy() {
        let table = users().table_id();
        let policy = |policy| rule(table, Rule::Policy { column: None, policy });
        let create = change(id(1, 1), 1, &[], vec![Op::Schema(users()), policy(Policy::ServerOrder)]);
        let later = change(id(2, 1), 9, &[create.id], vec![policy(Policy::LastWriteWins)]);
        let online = change(id(3, 1), 5, &[create.id], vec![policy(Policy::PreferMain)]);
        let online = altered(&online, |change| change.link_epoch = 1);
        let held = |changes: &[_]| Model::of(&unnumbered(changes)).tables.rules(table).policy;
        assert_eq!(held(&[create.clone(), later.clone()]), Policy::LastWriteWins);
        assert_eq!(held(&[create, later, online]), Policy::PreferMain);
    }
}
