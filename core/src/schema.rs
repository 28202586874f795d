//! The schema as a join: tables and columns have identities for life, and names and types are what is claimed of them.
//!
//! Applying schema operations commutes. Two replicas that run one migration offline make one table; its columns and
//! pairs are united, and where the claims differ the greatest rank decides. When two tables claim one name the greatest
//! claim owns it and the other shows as `name~shortid`. (DDL Synchronisation, case B7.)
//!
//! How a table's rows are merged is part of the schema too ([`Rule`]), and so are changes of it: a policy set here and
//! one set there are merged like any claim, always by connection and time whatever the table itself prefers.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{Element, Node, Op};
use crate::clock::Rank;
use crate::ddl::{Column, Ddl, Multiplicity, Rule, column_id, fold};
use crate::error::Error;
use crate::id::{ColumnId, Digest, TableId};
use crate::policy::Policy;
use crate::value::{Type, Value};
use crate::view;

/// How many schema operations are known and what they make: equal on two replicas exactly when their schemas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaVersion {
    /// Every operation counts one, also one that changed nothing.
    pub operations: u64,
    /// Over the logical schema.
    pub digest: Digest,
}

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnState {
    name: (Rank, String),
    claims: BTreeMap<Rank, Type>,
    policy: Option<(Rank, Policy)>,
}

impl ColumnState {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name.1
    }

    /// The greatest claim's type.
    #[must_use]
    pub fn column_type(&self) -> &Type {
        self.claims.values().next_back().expect("a column is made with a claim")
    }
}

/// What a table's rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nodes, by their key column.
    Node {
        /// The primary key.
        key: ColumnId,
    },
    /// Edges between the tables of these pairs.
    Edge {
        /// From, to.
        pairs: BTreeSet<(TableId, TableId)>,
    },
}

/// What a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableState {
    name: (Rank, String),
    kind: Kind,
    columns: BTreeMap<ColumnId, ColumnState>,
    rules: Rules,
}

/// How a table's rows are merged; what was never set is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rules {
    policy: Option<(Rank, Policy)>,
    update_revives: Option<(Rank, bool)>,
    revive: Option<(Rank, bool)>,
    multiplicity: Option<(Rank, Multiplicity)>,
}

impl TableState {
    /// Nodes or edges.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Its columns.
    pub fn columns(&self) -> impl Iterator<Item = (ColumnId, &ColumnState)> {
        self.columns.iter().map(|(id, column)| (*id, column))
    }

    /// One of its columns.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<&ColumnState> {
        self.columns.get(&id)
    }

    /// Who wins where a column says nothing else.
    #[must_use]
    pub fn policy(&self) -> Policy {
        set(&self.rules.policy)
    }

    /// Who wins in a column.
    #[must_use]
    pub fn column_policy(&self, column: ColumnId) -> Policy {
        let own = self.columns.get(&column).and_then(|column| column.policy);
        own.map_or_else(|| self.policy(), |(_, policy)| policy)
    }

    /// Whether the main's writes raise the table's authority epoch.
    #[must_use]
    pub fn prefers_main(&self) -> bool {
        let mut policies = self.columns.keys().map(|column| self.column_policy(*column));
        self.policy() == Policy::PreferMain || policies.any(|policy| policy == Policy::PreferMain)
    }

    /// Whether anything in the table is decided by the main's order.
    #[must_use]
    pub fn has_server_order(&self) -> bool {
        let mut policies = self.columns.keys().map(|column| self.column_policy(*column));
        self.policy() == Policy::ServerOrder || policies.any(|policy| policy == Policy::ServerOrder)
    }

    /// Whether any write to a deleted row brings it back.
    #[must_use]
    pub fn update_revives(&self) -> bool {
        set(&self.rules.update_revives)
    }

    /// Whether an edge keeps its ends alive against deletes that had not seen it.
    #[must_use]
    pub fn revive(&self) -> bool {
        set(&self.rules.revive)
    }

    /// How many edges a node may have.
    #[must_use]
    pub fn multiplicity(&self) -> Multiplicity {
        set(&self.rules.multiplicity)
    }

    /// The column of that name.
    #[must_use]
    pub fn column_named(&self, name: &str) -> Option<(ColumnId, &ColumnState)> {
        self.columns().find(|(_, column)| fold(column.name()) == fold(name))
    }
}

/// All tables and what they are called.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    tables: BTreeMap<TableId, TableState>,
    shown_names: BTreeMap<TableId, String>,
    by_name: BTreeMap<String, TableId>,
    operations: u64,
}

impl Schema {
    /// A table.
    #[must_use]
    pub fn table(&self, id: TableId) -> Option<&TableState> {
        self.tables.get(&id)
    }

    /// The table shown under that name.
    #[must_use]
    pub fn table_named(&self, name: &str) -> Option<(TableId, &TableState)> {
        let id = *self.by_name.get(&fold(name))?;
        Some((id, &self.tables[&id]))
    }

    /// The name a table is shown under.
    #[must_use]
    pub fn shown_name(&self, id: TableId) -> &str {
        self.shown_names.get(&id).map_or("?", String::as_str)
    }

    /// The version: what `schema_state` reports (DDL Synchronisation, cases B2 and B4).
    #[must_use]
    pub fn version(&self) -> SchemaVersion {
        let rules = |table: &TableState| {
            let columns: Vec<Policy> = table.columns.keys().map(|column| table.column_policy(*column)).collect();
            (table.policy(), columns, table.update_revives(), table.revive(), table.multiplicity())
        };
        let logical = |(&id, table)| (id, self.shown_name(id), self.shown_table(id), rules(table));
        let logical: Vec<_> = self.tables.iter().map(logical).collect();
        SchemaVersion { operations: self.operations, digest: Digest::of_value(&logical) }
    }

    /// Every table as it is shown, by identity. An edge table without a pair of tables to connect is not.
    #[must_use]
    pub fn shown_tables(&self) -> BTreeMap<TableId, (String, view::Table)> {
        let tables = self.tables.keys().map(|&id| (id, (self.shown_name(id).to_owned(), self.shown_table(id))));
        let has_ends = |table: &view::Table| match &table.kind {
            view::TableKind::Node { .. } => true,
            view::TableKind::Edge { pairs } => !pairs.is_empty(),
        };
        tables.filter(|(_, (_, table))| has_ends(table)).collect()
    }

    fn shown_table(&self, id: TableId) -> view::Table {
        let table = &self.tables[&id];
        let kind = match &table.kind {
            Kind::Node { key } => view::TableKind::Node { primary_key: table.columns[key].name().to_owned() },
            Kind::Edge { pairs } => {
                let shown = |&(from, to): &(TableId, TableId)| {
                    (self.shown_name(from).to_owned(), self.shown_name(to).to_owned())
                };
                // A table that a rejected change would have made is not there.
                let exist = |(from, to): &&(TableId, TableId)| [from, to].iter().all(|id| self.table(**id).is_some());
                view::TableKind::Edge { pairs: pairs.iter().filter(exist).map(shown).collect() }
            }
        };
        let columns =
            table.columns().map(|(_, column)| (column.name().to_owned(), column.column_type().clone())).collect();
        view::Table { kind, columns }
    }

    /// `ddl` with the smallest birth under which its table is unknown here.
    #[must_use]
    pub fn with_birth(&self, mut ddl: Ddl) -> Ddl {
        loop {
            if !self.tables.contains_key(&ddl.table_id()) {
                return ddl;
            }
            match &mut ddl {
                Ddl::CreateNodeTable { birth, .. } | Ddl::CreateEdgeTable { birth, .. } => *birth += 1,
                Ddl::SetRule { .. } => return ddl,
            }
        }
    }

    /// Refuses a schema operation that no replica in this state could have written.
    ///
    /// # Errors
    /// Those of [`Ddl::check`], [`Error::UnknownTable`] for an end that is no node table, and those of a rule that its
    /// table cannot have.
    pub fn check(&self, ddl: &Ddl) -> Result<(), Error> {
        ddl.check()?;
        match ddl {
            Ddl::CreateNodeTable { .. } => Ok(()),
            Ddl::CreateEdgeTable { from, to, .. } => [from, to].into_iter().try_for_each(|end| {
                let is_node = self.table(*end).is_some_and(|table| matches!(table.kind, Kind::Node { .. }));
                if is_node { Ok(()) } else { Err(Error::UnknownTable { kind: "node", name: end.short() }) }
            }),
            Ddl::SetRule { table, rule } => self.check_rule(*table, rule),
        }
    }

    fn check_rule(&self, id: TableId, rule: &Rule<ColumnId>) -> Result<(), Error> {
        let table = self.table(id).ok_or_else(|| Error::UnknownTable { kind: "node or edge", name: id.short() })?;
        let name = || self.shown_name(id).to_owned();
        let not_applicable = |rule, problem| Err(Error::RuleNotApplicable { table: name(), rule, problem });
        match (rule, &table.kind) {
            (Rule::Policy { column: Some(column), .. }, Kind::Node { key }) if key == column => {
                not_applicable("a policy for its primary key", "keys never change")
            }
            (Rule::Policy { column: Some(column), .. }, _) if table.column(*column).is_none() => {
                Err(Error::UnknownColumn { table: name(), column: column.short() })
            }
            (Rule::Revive(_), Kind::Node { .. }) => not_applicable("`revive`", "only edges keep their ends alive"),
            (Rule::Multiplicity(_), Kind::Node { .. }) => not_applicable("a multiplicity", "only edges have one"),
            _ => Ok(()),
        }
    }

    /// Joins a schema operation that [`Schema::check`] accepts.
    pub fn join(&mut self, rank: Rank, ddl: &Ddl) {
        self.operations += 1;
        match ddl {
            Ddl::CreateNodeTable { name, columns, primary_key, .. } => {
                let id = ddl.table_id();
                let kind = Kind::Node { key: column_id(id, primary_key) };
                self.join_table(id, rank, name, columns, kind);
            }
            Ddl::CreateEdgeTable { name, columns, from, to, .. } => {
                let kind = Kind::Edge { pairs: BTreeSet::new() };
                let table = self.join_table(ddl.table_id(), rank, name, columns, kind);
                if let Kind::Edge { pairs } = &mut table.kind {
                    pairs.insert((*from, *to));
                }
            }
            // A table that a rejected change would have made is not there.
            Ddl::SetRule { table, rule } => {
                if let Some(table) = self.tables.get_mut(table) {
                    join_rule(table, rank, rule);
                }
            }
        }
        self.name_tables();
    }

    fn join_table(&mut self, id: TableId, rank: Rank, name: &str, columns: &[Column], kind: Kind) -> &mut TableState {
        let new =
            || TableState { name: (rank, name.to_owned()), kind, columns: BTreeMap::new(), rules: Rules::default() };
        let table = self.tables.entry(id).or_insert_with(new);
        raise(&mut table.name, rank, name);
        for column in columns {
            join_column(table, column_id(id, &column.name), rank, column);
        }
        table
    }

    /// The greatest claim owns a name, every other claimant shows as `name~shortid`.
    fn name_tables(&mut self) {
        let mut owners: BTreeMap<String, (Rank, TableId)> = BTreeMap::new();
        for (&id, table) in &self.tables {
            let claim = (table.name.0, id);
            owners.entry(fold(&table.name.1)).and_modify(|owner| *owner = claim.max(*owner)).or_insert(claim);
        }
        for (&id, table) in &self.tables {
            let name = &table.name.1;
            let owns = owners[&fold(name)].1 == id;
            self.shown_names.insert(id, if owns { name.clone() } else { format!("{name}~{}", id.short()) });
        }
        self.by_name = self.shown_names.iter().map(|(&id, name)| (fold(name), id)).collect();
    }

    /// Refuses a data operation on tables or columns that do not exist here, or with a key of another type.
    ///
    /// # Errors
    /// The variants of [`Error`] about tables, columns and keys.
    pub fn check_op(&self, op: &Op) -> Result<(), Error> {
        match op {
            Op::Schema(ddl) => self.check(ddl),
            Op::Delete { element } => self.check_element(element),
            Op::Increment { element, column, by } => {
                self.check_element(element)?;
                self.check_cells(element.table(), [*column])?;
                if by.addend().is_none() {
                    let (table, column) = (self.shown_name(element.table()).to_owned(), column.short());
                    return Err(Error::NotSummable { table, column, found: by.to_string() });
                }
                Ok(())
            }
            Op::Insert { element, cells } | Op::Update { element, cells } => {
                self.check_element(element)?;
                self.check_cells(element.table(), cells.keys().copied())
            }
        }
    }

    fn check_element(&self, element: &Element) -> Result<(), Error> {
        let edge = match element {
            Element::Node(node) => return self.check_node(node),
            Element::Edge(edge) => edge,
        };
        self.check_node(&edge.from)?;
        self.check_node(&edge.to)?;
        match self.table(edge.table).map(TableState::kind) {
            Some(Kind::Edge { pairs }) if pairs.contains(&(edge.from.table, edge.to.table)) => Ok(()),
            _ => Err(Error::UnknownTable { kind: "edge", name: edge.table.short() }),
        }
    }

    fn check_node(&self, node: &Node) -> Result<(), Error> {
        let unknown = || Error::UnknownTable { kind: "node", name: node.table.short() };
        let table = self.table(node.table).ok_or_else(unknown)?;
        let Kind::Node { key } = table.kind else { return Err(unknown()) };
        let column = &table.columns[&key];
        self.check_value(node.table, column, &node.key)?;
        if node.key == Value::Null {
            return Err(Error::MissingKey {
                table: self.shown_name(node.table).to_owned(),
                key: column.name().to_owned(),
            });
        }
        Ok(())
    }

    fn check_cells(&self, id: TableId, columns: impl IntoIterator<Item = ColumnId>) -> Result<(), Error> {
        let table = self.table(id).ok_or_else(|| Error::UnknownTable { kind: "node", name: id.short() })?;
        for column in columns {
            let name = || self.shown_name(id).to_owned();
            let Some(state) = table.column(column) else {
                return Err(Error::UnknownColumn { table: name(), column: column.short() });
            };
            if matches!(table.kind, Kind::Node { key } if key == column) {
                return Err(Error::ImmutableKey { table: name(), key: state.name().to_owned() });
            }
        }
        Ok(())
    }

    /// Refuses a value that is not of its column's type.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`].
    pub fn check_value(&self, table: TableId, column: &ColumnState, value: &Value) -> Result<(), Error> {
        let expected = column.column_type();
        if value.is_of(expected) {
            return Ok(());
        }
        let (table, column) = (self.shown_name(table).to_owned(), column.name().to_owned());
        Err(Error::TypeMismatch { table, column, expected: expected.clone(), found: value.to_string() })
    }
}

fn join_column(table: &mut TableState, id: ColumnId, rank: Rank, column: &Column) {
    let new = || ColumnState { name: (rank, column.name.clone()), claims: BTreeMap::new(), policy: None };
    let state = table.columns.entry(id).or_insert_with(new);
    raise(&mut state.name, rank, &column.name);
    state.claims.insert(rank, column.column_type.clone());
}

fn join_rule(table: &mut TableState, rank: Rank, rule: &Rule<ColumnId>) {
    match rule {
        Rule::Policy { column: None, policy } => raise_rule(&mut table.rules.policy, rank, *policy),
        Rule::Policy { column: Some(column), policy } => {
            if let Some(column) = table.columns.get_mut(column) {
                raise_rule(&mut column.policy, rank, *policy);
            }
        }
        Rule::UpdateRevives(is_on) => raise_rule(&mut table.rules.update_revives, rank, *is_on),
        Rule::Revive(is_on) => raise_rule(&mut table.rules.revive, rank, *is_on),
        Rule::Multiplicity(multiplicity) => raise_rule(&mut table.rules.multiplicity, rank, *multiplicity),
    }
}

fn raise_rule<T>(register: &mut Option<(Rank, T)>, rank: Rank, value: T) {
    if register.as_ref().is_none_or(|(current, _)| rank > *current) {
        *register = Some((rank, value));
    }
}

/// What a rule was set to.
fn set<T: Copy + Default>(register: &Option<(Rank, T)>) -> T {
    register.as_ref().map_or_else(T::default, |(_, value)| *value)
}

fn raise(register: &mut (Rank, String), rank: Rank, name: &str) {
    if rank > register.0 {
        *register = (rank, name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::ChangeId;
    use crate::clock::Timestamp;
    use crate::id::ReplicaId;

    fn rank(ms: i64) -> Rank {
        let change = ChangeId { replica: ReplicaId([1; 16]), seq: 1 };
        Rank { authority_epoch: 0, link_epoch: 0, timestamp: Timestamp::at_ms(ms), change, index: 0 }
    }

    fn node_table(name: &str, columns: &[(&str, Type)]) -> Ddl {
        let columns: Vec<_> =
            columns.iter().map(|(name, of)| Column { name: (*name).into(), column_type: of.clone() }).collect();
        Ddl::CreateNodeTable { name: name.into(), birth: 0, primary_key: columns[0].name.clone(), columns }
    }

    fn joined(ops: &[(i64, Ddl)]) -> Schema {
        let mut schema = Schema::default();
        ops.iter().for_each(|(ms, ddl)| schema.join(rank(*ms), ddl));
        schema
    }

    /// Both orders give one schema, which is returned.
    fn in_every_order(one: (i64, Ddl), other: (i64, Ddl)) -> Schema {
        let here = joined(&[one.clone(), other.clone()]);
        let there = joined(&[other, one]);
        assert_eq!(here.shown_tables(), there.shown_tables());
        assert_eq!(here.version(), there.version());
        here
    }

    #[test]
    fn one_migration_run_twice_is_one_table_with_its_columns_united() {
        let here = node_table("User", &[("id", Type::Int64), ("name", Type::String)]);
        let there = node_table("user", &[("id", Type::Int64), ("age", Type::Int64)]);
        let schema = in_every_order((1, here), (2, there));
        let (_, table) = schema.table_named("USER").unwrap();
        assert_eq!(table.columns().count(), 3);
        assert_eq!(schema.shown_tables().values().next().unwrap().0, "user", "the later claim names it");
        assert_eq!(schema.version().operations, 2);
    }

    #[test]
    fn two_tables_that_claim_one_name_both_live_and_the_later_owns_it() {
        let schema =
            in_every_order((1, node_table("T", &[("id", Type::Int64)])), (2, node_table("T", &[("k", Type::String)])));
        let (owner, table) = schema.table_named("t").unwrap();
        assert_eq!(table.column_named("K").map(|(_, column)| column.column_type()), Some(&Type::String));
        let loser = *schema.tables.keys().find(|id| **id != owner).unwrap();
        assert_eq!(schema.shown_name(loser), format!("T~{}", loser.short()));
        assert_eq!(schema.table_named(schema.shown_name(loser)).unwrap().0, loser);
    }

    #[test]
    fn a_contested_type_is_the_greatest_claim() {
        let here = node_table("T", &[("id", Type::Int64), ("c", Type::String)]);
        let there = node_table("T", &[("id", Type::Int64), ("c", Type::Int64)]);
        let schema = in_every_order((2, here), (1, there));
        let (_, column) = schema.table_named("T").unwrap().1.column_named("c").unwrap();
        assert_eq!(column.column_type(), &Type::String);
    }

    #[test]
    fn a_rule_set_twice_is_the_later_one_and_a_column_has_its_own_policy() {
        let create = node_table("T", &[("id", Type::Int64), ("c", Type::String), ("d", Type::String)]);
        let id = create.table_id();
        let policy = |column, policy| Ddl::SetRule { table: id, rule: Rule::Policy { column, policy } };
        let column = column_id(id, "c");
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let rules = [
                (2, policy(None, Policy::ServerOrder)),
                (3, policy(None, Policy::PreferMain)),
                (1, policy(Some(column), Policy::LastWriteWins)),
            ];
            let mut ops = vec![(0, create.clone())];
            ops.extend(order.map(|index| rules[index].clone()));
            let schema = joined(&ops);
            let table = schema.table(id).unwrap();
            assert_eq!(table.policy(), Policy::PreferMain);
            assert_eq!(table.column_policy(column), Policy::LastWriteWins);
            assert_eq!(table.column_policy(column_id(id, "d")), Policy::PreferMain);
            assert!(table.prefers_main());
        }
    }

    #[test]
    fn a_rule_its_table_cannot_have_is_refused() {
        let create = node_table("T", &[("id", Type::Int64), ("c", Type::String)]);
        let (id, schema) = (create.table_id(), joined(&[(0, create)]));
        let check = |rule| schema.check(&Ddl::SetRule { table: id, rule });
        let policy = |name| Rule::Policy { column: Some(column_id(id, name)), policy: Policy::Auto };
        assert_eq!(check(policy("c")), Ok(()));
        assert!(matches!(check(policy("id")), Err(Error::RuleNotApplicable { .. })));
        assert!(matches!(check(policy("x")), Err(Error::UnknownColumn { .. })));
        assert!(matches!(check(Rule::Revive(true)), Err(Error::RuleNotApplicable { .. })));
        assert!(matches!(check(Rule::Multiplicity(Multiplicity::OneOne)), Err(Error::RuleNotApplicable { .. })));
        let elsewhere = Ddl::SetRule { table: TableId([9; 16]), rule: Rule::UpdateRevives(true) };
        assert!(matches!(schema.check(&elsewhere), Err(Error::UnknownTable { .. })));
    }

    #[test]
    fn pairs_of_one_edge_table_are_united() {
        let (a, b) = (node_table("A", &[("id", Type::Int64)]), node_table("B", &[("id", Type::Int64)]));
        let edge = |to: &Ddl| Ddl::CreateEdgeTable {
            name: "E".into(),
            birth: 0,
            from: a.table_id(),
            to: to.table_id(),
            columns: Vec::new(),
        };
        let schema = joined(&[(1, a.clone()), (2, b.clone()), (3, edge(&a)), (4, edge(&b))]);
        let (_, table) = schema.table_named("E").unwrap();
        assert!(matches!(table.kind(), Kind::Edge { pairs } if pairs.len() == 2));
    }

    #[test]
    fn an_edge_table_between_unknown_tables_is_refused() {
        let columns = Vec::new();
        let edge =
            Ddl::CreateEdgeTable { name: "E".into(), birth: 0, from: TableId([1; 16]), to: TableId([2; 16]), columns };
        assert!(matches!(Schema::default().check(&edge), Err(Error::UnknownTable { kind: "node", .. })));
    }
}
