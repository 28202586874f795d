//! What the schema operations make: tables by identity, their names, columns and merge rules.
//!
//! Schema operations always compare by connection and time, whatever the tables prefer. So they are carried out in that
//! order, each over what the ones before it left.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::Op;
use kuzusync_core::ddl::{Column, Ddl, Multiplicity, Rule, column_id, fold};
use kuzusync_core::id::{ColumnId, TableId};
use kuzusync_core::policy::Policy;
use kuzusync_core::value::Type;
use kuzusync_core::view::{Table, TableKind};

use super::{Placed, Standing};

/// All tables.
#[derive(Default)]
pub struct Tables {
    definitions: BTreeMap<TableId, Definition>,
    rules: BTreeMap<TableId, Rules>,
    /// Those of a table for which none was set.
    default_rules: Rules,
}

/// What makes a table.
pub struct Definition {
    name: String,
    /// The place of the last operation that named it.
    named_at: Standing,
    /// The key column of a node table.
    key: Option<ColumnId>,
    /// Where edges start and end.
    pairs: BTreeSet<(TableId, TableId)>,
    /// Name and type of each column.
    pub columns: BTreeMap<ColumnId, (String, Type)>,
}

/// How its rows are merged.
#[derive(Default)]
pub struct Rules {
    pub policy: Policy,
    column_policies: BTreeMap<ColumnId, Policy>,
    pub update_revives: bool,
    pub revive: bool,
    pub multiplicity: Multiplicity,
}

impl Rules {
    /// The policy of a column: its own, else the table's.
    pub fn column_policy(&self, column: ColumnId) -> Policy {
        self.column_policies.get(&column).copied().unwrap_or(self.policy)
    }
}

impl Tables {
    pub(super) fn of(mut ops: Vec<Placed<'_>>) -> Self {
        ops.sort_by_key(|op| op.standing(Policy::Auto));
        let mut tables = Tables::default();
        for op in ops {
            if let Op::Schema(ddl) = op.op {
                tables.carry_out(ddl, op.standing(Policy::Auto));
            }
        }
        tables
    }

    fn carry_out(&mut self, ddl: &Ddl, at: Standing) {
        let id = ddl.table_id();
        match ddl {
            Ddl::CreateNodeTable { name, columns, primary_key, .. } => {
                self.define(id, name, columns, at).key = Some(column_id(id, primary_key));
            }
            Ddl::CreateEdgeTable { name, columns, from, to, .. } => {
                self.define(id, name, columns, at).pairs.insert((*from, *to));
            }
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
                }
            }
        }
    }

    fn define(&mut self, id: TableId, name: &str, columns: &[Column], at: Standing) -> &mut Definition {
        let definition = self.definitions.entry(id).or_insert_with(|| Definition {
            name: String::new(),
            named_at: at,
            key: None,
            pairs: BTreeSet::new(),
            columns: BTreeMap::new(),
        });
        (definition.name, definition.named_at) = (name.to_owned(), at);
        for column in columns {
            let described = (column.name.clone(), column.column_type.clone());
            definition.columns.insert(column_id(id, &column.name), described);
        }
        definition
    }

    pub fn definition(&self, id: TableId) -> Option<&Definition> {
        self.definitions.get(&id)
    }

    pub fn rules(&self, id: TableId) -> &Rules {
        self.rules.get(&id).unwrap_or(&self.default_rules)
    }

    pub fn edge_tables(&self) -> impl Iterator<Item = TableId> {
        self.definitions.iter().filter(|(_, definition)| definition.key.is_none()).map(|(id, _)| *id)
    }

    /// The last to be given a name has it; any other is shown with a part of its identity.
    pub fn name(&self, id: TableId) -> String {
        let Definition { name, named_at, .. } = &self.definitions[&id];
        let is_beaten =
            self.definitions.values().any(|other| fold(&other.name) == fold(name) && other.named_at > *named_at);
        if is_beaten { format!("{name}~{}", id.short()) } else { name.clone() }
    }

    /// Every table as it is shown, by name. What touches a table that a rejected change would have made is not there.
    pub fn shown(&self) -> BTreeMap<String, Table> {
        let mut shown = BTreeMap::new();
        for (&id, definition) in &self.definitions {
            let exist =
                |(from, to): &&(TableId, TableId)| [from, to].iter().all(|end| self.definition(**end).is_some());
            let names = |(from, to): &(TableId, TableId)| (self.name(*from), self.name(*to));
            let pairs: BTreeSet<_> = definition.pairs.iter().filter(exist).map(names).collect();
            let kind = match definition.key {
                Some(key) => TableKind::Node { primary_key: definition.columns[&key].0.clone() },
                None if pairs.is_empty() => continue,
                None => TableKind::Edge { pairs },
            };
            shown.insert(self.name(id), Table { kind, columns: definition.columns.values().cloned().collect() });
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{altered, change, follows, id, rule, unnumbered, users};
    use crate::model::{Model, view};

    fn with_key(key: &str) -> Ddl {
        let columns = vec![Column { name: key.into(), column_type: Type::String }];
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
        let column = |name: &str, column_type| Column { name: name.into(), column_type };
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
