//! The schema as a join: tables and columns have identities for life, and names and types are what is claimed of them.
//!
//! Applying schema operations commutes. Two replicas that run one migration offline make one table; its columns and
//! pairs are united, and where the claims differ the greatest rank decides. When two tables, or two columns of one table,
//! claim one name the greatest claim owns it and the other shows as `name~shortid`. (DDL Synchronisation, case B7.)
//!
//! Nothing is ever taken out. A dropped table or column is hidden: what is done to it goes on being merged, and UNDROP
//! shows it. Its name is free meanwhile, and who creates it anew creates another one, because an identity counts how often
//! its author had known the name ([`Schema::with_birth`]). So a DROP and a CREATE that two replicas run offline, as one
//! migration, give one new table.
//!
//! A column's type is the greatest claim, or the widest of the claims that widen into each other around it: of INT32 and
//! INT64 that is INT64, whoever came first. A change of type takes away the claims its author had seen, and no others.
//!
//! Who writes by a name that was changed meanwhile is understood: a name nobody has is that of the last who had it
//! ([`Schema::resolve_table`]). That happens at the origin only; what travels are identities.
//!
//! A schema is also compared with others ([`difference`]), read by people ([`shape`]) and asked how it came about
//! ([`history`]).
//!
//! How a table's rows are merged is part of the schema too ([`Rule`]), and so are changes of it: a policy set here and
//! one set there are merged like any claim, always by connection and time whatever the table itself prefers.

pub mod difference;
pub mod history;
pub mod shape;

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{Change, Element, Node, Op};
use crate::clock::{Rank, Seen};
use crate::conflict::schema::Subject;
use crate::ddl::{Column, Ddl, IndexKind, Multiplicity, Rule, column_born, column_id, fold, index_id, same_name};
use crate::error::Error;
use crate::id::{ColumnId, Digest, IndexId, TableId};
use crate::planted::{Bug, is_planted};
use crate::policy::Policy;
use crate::snapshot::Purged;
use crate::value::{Type, Value};
use crate::view;
use difference::Born;

/// How many schema operations are known and what they make: equal on two replicas exactly when their schemas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaVersion {
    /// Every operation counts one, also one that changed nothing.
    pub operations: u64,
    /// Over the logical schema, what is dropped included.
    pub digest: Digest,
}

/// Whether something is there: the greatest claim that it is, against the greatest that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    made: Rank,
    dropped: Option<Rank>,
}

impl Life {
    fn new(made: Rank) -> Self {
        Life { made, dropped: None }
    }

    fn make(&mut self, rank: Rank) {
        self.made = self.made.max(rank);
    }

    fn drop(&mut self, rank: Rank) {
        self.dropped = self.dropped.max(Some(rank));
    }

    fn is_live(&self) -> bool {
        self.dropped.is_none_or(|dropped| self.made > dropped)
    }
}

/// What something is called, and was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Names {
    rank: Rank,
    current: String,
    /// Every name it had, in the form in which names are compared, with the last claim of it.
    had: BTreeMap<String, Rank>,
}

impl Names {
    fn new(rank: Rank, name: &str) -> Self {
        Names { rank, current: name.to_owned(), had: BTreeMap::from([(fold(name), rank)]) }
    }

    fn claim(&mut self, rank: Rank, name: &str) {
        let last = self.had.entry(fold(name)).or_insert(rank);
        *last = rank.max(*last);
        if rank > self.rank || is_planted(Bug::CreateOverwrites) {
            (self.rank, self.current) = (rank, name.to_owned());
        }
    }
}

/// The names under which things show that may claim the same: the greatest claim owns a name.
fn shown_names<I: Copy + Ord>(claims: &[(I, &Names)], short: impl Fn(I) -> String) -> BTreeMap<I, String> {
    let mut owners: BTreeMap<String, (Rank, I)> = BTreeMap::new();
    for (id, names) in claims {
        let claim = (names.rank, *id);
        owners.entry(fold(&names.current)).and_modify(|owner| *owner = claim.max(*owner)).or_insert(claim);
    }
    let shown = |(id, names): &(I, &Names)| {
        let is_owner = owners[&fold(&names.current)].1 == *id;
        (*id, if is_owner { names.current.clone() } else { format!("{}~{}", names.current, short(*id)) })
    };
    claims.iter().map(shown).collect()
}

/// A claim of a name, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameClaim {
    /// The table.
    pub table: TableId,
    /// The table itself, a column or an index of it.
    pub subject: Subject,
    /// The name.
    pub name: String,
    /// The claim.
    pub rank: Rank,
}

/// Those of one table, or all tables, whose name another owns, each with the owner.
fn contested(claims: &[NameClaim]) -> Vec<(NameClaim, NameClaim)> {
    let rival = |claim: &NameClaim| {
        let same = claims.iter().filter(|other| same_name(&other.name, &claim.name));
        same.max_by_key(|other| (other.rank, other.table, other.subject)).filter(|owner| *owner != claim).cloned()
    };
    claims.iter().filter_map(|claim| Some((claim.clone(), rival(claim)?))).collect()
}

/// A claim of a column's type.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    claimed: Type,
    /// What the author of a change of type had seen: the claims it takes away.
    replaces: Option<Seen>,
}

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnState {
    names: Names,
    born: Born,
    shown_name: String,
    life: Life,
    claims: BTreeMap<Rank, Claim>,
    column_type: Type,
    default: Option<(Rank, Value)>,
    comment: Option<(Rank, String)>,
    policy: Option<(Rank, Policy)>,
    unique: Option<(Rank, bool)>,
    at_least: Option<(Rank, Option<i64>)>,
}

impl ColumnState {
    /// The name it is shown under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shown_name
    }

    /// Its type.
    #[must_use]
    pub fn column_type(&self) -> &Type {
        &self.column_type
    }

    /// What a row shows that was never given a value.
    #[must_use]
    pub fn default(&self) -> Option<&Value> {
        // DEFAULT NULL takes a default away.
        self.default.as_ref().map(|(_, value)| value).filter(|value| **value != Value::Null)
    }

    /// What it is for, in somebody's words.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        comment(&self.comment)
    }

    /// Whether no two rows may show the same value.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        set(&self.unique)
    }

    /// The number that no row may fall below.
    #[must_use]
    pub fn at_least(&self) -> Option<i64> {
        set(&self.at_least)
    }

    /// Whether it accepts writes only through a transaction with participants: see [`crate::constraint`].
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.is_unique() || self.at_least().is_some()
    }

    /// Whether it is not dropped.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.life.is_live()
    }

    /// The greatest claim's type, or the widest of those that widen into it or it into.
    fn decide_type(&self) -> Type {
        if is_planted(Bug::TypeByArrival) {
            return self.column_type.clone();
        }
        let mut standing = self.standing_claims();
        let Some((_, greatest)) = standing.next_back() else { return self.column_type.clone() };
        let width = |of: &Type| greatest.widening().iter().position(|wider| wider == of);
        standing.map(|(_, claimed)| claimed).chain([greatest]).max_by_key(|of| width(of)).unwrap_or(greatest).clone()
    }

    /// The greatest of the claims that made the type what it is.
    #[must_use]
    pub fn typed_by(&self) -> Option<Rank> {
        self.standing_claims().rev().find(|(_, claimed)| **claimed == self.column_type).map(|(rank, _)| *rank)
    }

    /// The claims that no change of type took away, by rank.
    fn standing_claims(&self) -> impl DoubleEndedIterator<Item = (&Rank, &Type)> {
        let is_replaced = move |rank: &Rank| {
            self.claims.iter().any(|(by, claim)| {
                let is_earlier_there = by.change == rank.change && by.index > rank.index;
                let saw = |seen: &Seen| is_earlier_there || (by.change != rank.change && seen.contains(rank.change));
                claim.replaces.as_ref().is_some_and(saw)
            })
        };
        let standing = self.claims.iter().filter(move |(rank, _)| !is_replaced(rank));
        standing.map(|(rank, claim)| (rank, &claim.claimed))
    }
}

/// A place between two node tables that edges of a table may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    adds: BTreeSet<Rank>,
    drops: BTreeMap<Rank, Seen>,
}

impl Pair {
    /// Whether somebody added it of whom no drop knew.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let knew = |(drop, seen): (&Rank, &Seen), add: &Rank| {
            if drop.change == add.change { drop.index > add.index } else { seen.contains(add.change) }
        };
        self.adds.iter().any(|add| !self.drops.iter().any(|drop| knew(drop, add)))
    }
}

/// An index, which Kùzu may be unable to build: what counts is that everybody knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexState {
    names: Names,
    shown_name: String,
    life: Life,
    kind: IndexKind,
    columns: Vec<ColumnId>,
}

impl IndexState {
    /// The name it is shown under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shown_name
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> IndexKind {
        self.kind
    }

    /// What it covers, in order.
    #[must_use]
    pub fn columns(&self) -> &[ColumnId] {
        &self.columns
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
    /// Edges between the tables of these pairs, dropped ones included.
    Edge {
        /// From, to.
        pairs: BTreeMap<(TableId, TableId), Pair>,
    },
}

/// What a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableState {
    names: Names,
    born: Born,
    life: Life,
    kind: Kind,
    columns: BTreeMap<ColumnId, ColumnState>,
    indexes: BTreeMap<IndexId, IndexState>,
    comment: Option<(Rank, String)>,
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

    /// Whether it is not dropped.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.life.is_live()
    }

    /// Its columns that are not dropped.
    pub fn columns(&self) -> impl Iterator<Item = (ColumnId, &ColumnState)> {
        self.columns.iter().filter(|(_, column)| column.is_live()).map(|(id, column)| (*id, column))
    }

    /// One of its columns, dropped or not.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<&ColumnState> {
        self.columns.get(&id)
    }

    /// Its indexes of whose columns none is dropped.
    pub fn indexes(&self) -> impl Iterator<Item = (IndexId, &IndexState)> {
        let covers = |column: &ColumnId| self.columns.get(column).is_some_and(ColumnState::is_live);
        let is_shown = move |index: &IndexState| index.life.is_live() && index.columns.iter().all(covers);
        self.indexes.iter().filter(move |(_, index)| is_shown(index)).map(|(id, index)| (*id, index))
    }

    /// The index of that name.
    #[must_use]
    pub fn index_named(&self, name: &str) -> Option<(IndexId, &IndexState)> {
        self.indexes().find(|(_, index)| fold(index.name()) == fold(name))
    }

    /// What it is for, in somebody's words.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        comment(&self.comment)
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

    /// The column shown under that name.
    #[must_use]
    pub fn column_named(&self, name: &str) -> Option<(ColumnId, &ColumnState)> {
        self.columns().find(|(_, column)| fold(column.name()) == fold(name))
    }

    /// The column of that name, or if there is none, the last that had it.
    #[must_use]
    pub fn resolve_column(&self, name: &str) -> Option<(ColumnId, &ColumnState)> {
        let name_then = fold(name);
        let had = |(id, column): (ColumnId, &ColumnState)| Some((*column.names.had.get(&name_then)?, id));
        let last = || self.columns().filter_map(had).max().map(|(_, id)| (id, &self.columns[&id]));
        self.column_named(name).or_else(last)
    }

    /// The last dropped of the columns of that name.
    #[must_use]
    pub fn dropped_column_named(&self, name: &str) -> Option<ColumnId> {
        let is_meant = |column: &ColumnState| !column.is_live() && fold(&column.names.current) == fold(name);
        let dropped = self.columns.iter().filter(|(_, column)| is_meant(column));
        dropped.max_by_key(|(id, column)| (column.life.dropped, **id)).map(|(id, _)| *id)
    }

    fn shown_columns(&self) -> BTreeMap<ColumnId, (String, Type)> {
        let shown =
            |(id, column): (ColumnId, &ColumnState)| (id, (column.shown_name.clone(), column.column_type.clone()));
        self.columns().map(shown).collect()
    }

    /// Decides anew what follows from the claims.
    fn settle(&mut self) {
        let live: Vec<_> = self.columns.iter().filter(|(_, column)| column.is_live()).collect();
        let claims: Vec<_> = live.iter().map(|(id, column)| (**id, &column.names)).collect();
        let names = shown_names(&claims, |id| id.short());
        for (id, column) in &mut self.columns {
            column.shown_name = names.get(id).unwrap_or(&column.names.current).clone();
            column.column_type = column.decide_type();
        }
        let claims: Vec<_> = self.indexes().map(|(id, index)| (id, &index.names)).collect();
        let names = shown_names(&claims, |id| id.short());
        for (id, index) in &mut self.indexes {
            index.shown_name = names.get(id).unwrap_or(&index.names.current).clone();
        }
    }
}

/// A table as it is shown, with the identities behind the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownTable {
    /// Its name.
    pub name: String,
    /// What is shown.
    pub table: view::Table,
    /// Name and type of each column.
    pub columns: BTreeMap<ColumnId, (String, Type)>,
    /// The pairs of an edge table.
    pub pairs: BTreeSet<(TableId, TableId)>,
}

/// All tables and what they are called.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    tables: BTreeMap<TableId, TableState>,
    shown_names: BTreeMap<TableId, String>,
    by_name: BTreeMap<String, TableId>,
    /// Every operation, by its rank.
    joined: BTreeSet<Rank>,
    /// What is dropped and cannot be brought back.
    purged: BTreeSet<Purged>,
    /// What only a planted bug counts.
    miscounted: u64,
}

impl Schema {
    /// A table, dropped or not.
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

    /// The table of that name, or if there is none, the last that had it.
    #[must_use]
    pub fn resolve_table(&self, name: &str) -> Option<(TableId, &TableState)> {
        let name_then = fold(name);
        let had = |id: &TableId| Some((*self.tables[id].names.had.get(&name_then)?, *id));
        let last = || self.by_name.values().filter_map(had).max().map(|(_, id)| (id, &self.tables[&id]));
        self.table_named(name).or_else(last)
    }

    /// Names that shown tables had and that lead to them still, each behind the name the table is shown under now.
    #[must_use]
    pub fn earlier_names(&self) -> Vec<(String, String)> {
        let of_table = |(id, shown): (&TableId, &String)| {
            let leads = |name: &&String| self.resolve_table(name).is_some_and(|(found, _)| found == *id);
            let earlier = self.tables[id].names.had.keys().filter(|name| **name != fold(shown)).filter(leads);
            earlier.map(|name| (shown.clone(), name.clone())).collect::<Vec<_>>()
        };
        self.shown_names.iter().flat_map(of_table).collect()
    }

    /// The tables in which an update brings a deleted row back, or a later edge its deleted end.
    pub(crate) fn reviving(&self) -> BTreeSet<TableId> {
        let by_update = self.tables.iter().filter(|(_, table)| table.update_revives()).map(|(id, _)| *id);
        let by_edge = self.tables.values().filter(|table| table.revive()).flat_map(|table| match &table.kind {
            Kind::Edge { pairs } => pairs.keys().flat_map(|(from, to)| [*from, *to]).collect(),
            Kind::Node { .. } => Vec::new(),
        });
        by_update.chain(by_edge).collect()
    }

    /// The tables and columns that are dropped.
    pub(crate) fn dropped_ids(&self) -> BTreeSet<Purged> {
        let of_table = |(id, state): (&TableId, &TableState)| {
            let table = (!state.is_live()).then_some(Purged { table: *id, column: None });
            let columns = state.columns.iter().filter(|(_, column)| !column.is_live());
            let columns = columns.map(|(column, _)| Purged { table: *id, column: Some(*column) });
            table.into_iter().chain(columns).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(of_table).collect()
    }

    /// Nothing brings these back any more: see [`crate::compaction`].
    pub(crate) fn purge(&mut self, purged: &BTreeSet<Purged>) {
        self.purged.extend(purged);
    }

    /// Whether an operation would bring back what was purged.
    ///
    /// # Errors
    /// [`Error::Purged`].
    pub fn check_purged(&self, ddl: &Ddl) -> Result<(), Error> {
        let asked_for = Purged::asked_for_by(ddl).filter(|asked_for| self.purged.contains(asked_for));
        let Some(Purged { table, column }) = asked_for else { return Ok(()) };
        let state = self.tables.get(&table).and_then(|table| table.columns.get(&column?));
        let (what, name) = match (column, state) {
            (None, _) => ("table", self.shown_name(table).to_owned()),
            (Some(_), Some(column)) => ("column", column.names.current.clone()),
            (Some(column), None) => ("column", column.short()),
        };
        Err(Error::Purged { what, name })
    }

    /// The last dropped of the tables of that name.
    #[must_use]
    pub fn dropped_table_named(&self, name: &str) -> Option<TableId> {
        let is_meant = |table: &TableState| !table.is_live() && fold(&table.names.current) == fold(name);
        let dropped = self.tables.iter().filter(|(_, table)| is_meant(table));
        dropped.max_by_key(|(id, table)| (table.life.dropped, **id)).map(|(id, _)| *id)
    }

    /// What can be brought back: names of dropped tables, and of dropped columns with that of their shown table, each
    /// where nothing else has taken the name.
    #[must_use]
    pub fn dropped(&self) -> Vec<(String, Option<String>)> {
        let is_purged = |table, column| self.purged.contains(&Purged { table, column });
        let gone = |(id, table): &(&TableId, &TableState)| {
            !table.is_live() && !is_purged(**id, None) && self.table_named(&table.names.current).is_none()
        };
        let tables = self.tables.iter().filter(gone).map(|(_, table)| (table.names.current.clone(), None));
        let columns = self.shown_names.iter().flat_map(|(id, name)| {
            let table = &self.tables[id];
            let gone = |(column_id, column): &(&ColumnId, &ColumnState)| {
                let is_free = table.column_named(&column.names.current).is_none();
                !column.is_live() && !is_purged(*id, Some(**column_id)) && is_free
            };
            let columns = table.columns.iter().filter(gone);
            columns.map(|(_, column)| (name.clone(), Some(column.names.current.clone())))
        });
        tables.chain(columns).collect()
    }

    /// The name a table is shown under, or would be.
    #[must_use]
    pub fn shown_name(&self, id: TableId) -> &str {
        let hidden = || self.tables.get(&id).map_or("?", |table| table.names.current.as_str());
        self.shown_names.get(&id).map_or_else(hidden, String::as_str)
    }

    /// Whether a table is shown. An edge table is not unless it shows a pair.
    #[must_use]
    pub fn is_shown(&self, id: TableId) -> bool {
        self.table(id).is_some_and(|table| {
            table.is_live()
                && match &table.kind {
                    Kind::Node { .. } => true,
                    Kind::Edge { pairs } => pairs.iter().any(|(ends, pair)| self.connects(*ends, pair)),
                }
        })
    }

    /// Whether edges of a table from one node table to another are shown, as far as the schema goes.
    #[must_use]
    pub fn shows_pair(&self, table: TableId, from: TableId, to: TableId) -> bool {
        let Some(TableState { kind: Kind::Edge { pairs }, life, .. }) = self.table(table) else { return false };
        life.is_live() && pairs.get(&(from, to)).is_some_and(|pair| self.connects((from, to), pair))
    }

    /// Whether a pair is there and both its tables are: one that a rejected change would have made is not.
    fn connects(&self, (from, to): (TableId, TableId), pair: &Pair) -> bool {
        pair.is_live() && [from, to].into_iter().all(|end| self.table(end).is_some_and(TableState::is_live))
    }

    /// The edge tables that show pairs with a node table, with these pairs and the number of all they show.
    pub fn connecting(&self, node_table: TableId) -> impl Iterator<Item = (TableId, Vec<(TableId, TableId)>, usize)> {
        self.tables.keys().filter_map(move |&id| {
            let pairs = self.shown_pairs(id);
            let touching: Vec<_> =
                pairs.iter().copied().filter(|(from, to)| *from == node_table || *to == node_table).collect();
            (!touching.is_empty()).then_some((id, touching, pairs.len()))
        })
    }

    /// The pairs that an edge table shows.
    #[must_use]
    pub fn shown_pairs(&self, id: TableId) -> BTreeSet<(TableId, TableId)> {
        match self.table(id) {
            Some(TableState { kind: Kind::Edge { pairs }, life, .. }) if life.is_live() => {
                pairs.iter().filter(|(ends, pair)| self.connects(**ends, pair)).map(|(ends, _)| *ends).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Everything that is shown under another name than it claims, with what owns that name.
    #[must_use]
    pub fn contested_names(&self) -> Vec<(NameClaim, NameClaim)> {
        let claim = |table, subject, names: &Names| {
            let Names { rank, current, .. } = names;
            NameClaim { table, subject, name: current.clone(), rank: *rank }
        };
        let tables: Vec<_> =
            self.shown_names.keys().map(|id| claim(*id, Subject::Table, &self.tables[id].names)).collect();
        let parts = self.tables.iter().flat_map(|(id, table)| {
            let columns: Vec<_> =
                table.columns().map(|(column, state)| claim(*id, Subject::Column(column), &state.names)).collect();
            let indexes = table.indexes();
            let indexes: Vec<_> =
                indexes.map(|(index, state)| claim(*id, Subject::Index(index), &state.names)).collect();
            [contested(&columns), contested(&indexes)].concat()
        });
        contested(&tables).into_iter().chain(parts).collect()
    }

    /// The version: what `schema_state` reports (DDL Synchronisation, cases B2 and B4).
    #[must_use]
    pub fn version(&self) -> SchemaVersion {
        let rules = |table: &TableState| {
            let columns: Vec<Policy> = table.columns.keys().map(|column| table.column_policy(*column)).collect();
            (table.policy(), columns, table.update_revives(), table.revive(), table.multiplicity())
        };
        let column = |(id, column): (&ColumnId, &ColumnState)| {
            let ColumnState { shown_name, column_type, life, .. } = column;
            let default = column.default().cloned();
            (*id, shown_name.clone(), column_type.clone(), default, life.is_live(), column.comment().map(str::to_owned))
        };
        let index = |(id, index): (IndexId, &IndexState)| (id, index.shown_name.clone());
        let logical = |(&id, table): (&TableId, &TableState)| {
            let columns: Vec<_> = table.columns.iter().map(column).collect();
            let indexes: Vec<_> = table.indexes().map(index).collect();
            let comment = table.comment().map(str::to_owned);
            let shown = (self.shown_name(id).to_owned(), table.is_live(), self.shown_pairs(id), comment);
            (id, shown, columns, indexes, rules(table))
        };
        let logical: Vec<_> = self.tables.iter().map(logical).collect();
        SchemaVersion { operations: self.version_number(), digest: Digest::of_value(&logical) }
    }

    /// How many operations it knows.
    #[must_use]
    pub fn version_number(&self) -> u64 {
        self.joined.len() as u64 + self.miscounted
    }

    /// Every table as it is shown, by identity. An edge table without a pair of tables to connect is not.
    #[must_use]
    pub fn shown_tables(&self) -> BTreeMap<TableId, ShownTable> {
        self.shown_names.keys().map(|&id| (id, self.shown_table(id))).collect()
    }

    fn shown_table(&self, id: TableId) -> ShownTable {
        let table = &self.tables[&id];
        let pairs = self.shown_pairs(id);
        let named =
            |&(from, to): &(TableId, TableId)| (self.shown_name(from).to_owned(), self.shown_name(to).to_owned());
        let kind = match &table.kind {
            Kind::Node { key } => view::TableKind::Node { primary_key: table.columns[key].shown_name.clone() },
            Kind::Edge { .. } => view::TableKind::Edge { pairs: pairs.iter().map(named).collect() },
        };
        let columns = table.shown_columns();
        let shown = view::Table { kind, columns: columns.values().cloned().collect() };
        ShownTable { name: self.shown_name(id).to_owned(), table: shown, columns, pairs }
    }

    /// `ddl` with the smallest birth under which what it makes is unknown here, dropped or not.
    #[must_use]
    pub fn with_birth(&self, mut ddl: Ddl) -> Ddl {
        loop {
            let is_known = match &ddl {
                Ddl::CreateNodeTable { .. } | Ddl::CreateEdgeTable { .. } => self.tables.contains_key(&ddl.table_id()),
                Ddl::AddColumn { table, column, birth } => {
                    let id = column_born(*table, &column.name, *birth);
                    self.table(*table).is_some_and(|table| table.columns.contains_key(&id))
                }
                _ => false,
            };
            match &mut ddl {
                Ddl::CreateNodeTable { birth, .. }
                | Ddl::CreateEdgeTable { birth, .. }
                | Ddl::AddColumn { birth, .. }
                    if is_known =>
                {
                    *birth += 1;
                }
                _ => return ddl,
            }
        }
    }

    /// Refuses a schema operation that no replica in this state could have written. What somebody else dropped meanwhile
    /// is no reason.
    ///
    /// # Errors
    /// Those of [`Ddl::check`], those about what it names and is unknown here, and those about a key or a rule.
    pub fn check(&self, ddl: &Ddl) -> Result<(), Error> {
        ddl.check()?;
        self.check_purged(ddl)?;
        match ddl {
            Ddl::CreateNodeTable { .. } => Ok(()),
            Ddl::CreateEdgeTable { from, to, .. } => self.check_ends(*from, *to),
            Ddl::SetRule { table, rule } => self.check_rule(*table, rule),
            Ddl::DropTable { table }
            | Ddl::UndropTable { table }
            | Ddl::RenameTable { table, .. }
            | Ddl::CommentOnTable { table, .. } => self.known(*table).map(drop),
            Ddl::AddColumn { table, column, birth } => match self.known(*table)?.kind {
                Kind::Node { key } if column_born(*table, &column.name, *birth) == key => {
                    Err(self.key_is_fixed(*table, key, "added again"))
                }
                _ => Ok(()),
            },
            Ddl::DropColumn { table, column } => self.check_not_key(*table, *column, "dropped"),
            Ddl::AlterColumnType { table, column, .. } => self.check_not_key(*table, *column, "given another type"),
            Ddl::UndropColumn { table, column }
            | Ddl::RenameColumn { table, column, .. }
            | Ddl::CommentOnColumn { table, column, .. } => self.known_column(*table, *column),
            Ddl::AddPair { table, from, to } | Ddl::DropPair { table, from, to } => match self.known(*table)?.kind {
                Kind::Edge { .. } => self.check_ends(*from, *to),
                Kind::Node { .. } => Err(Error::UnknownTable { kind: "edge", name: table.short() }),
            },
            Ddl::CreateIndex { table, columns, .. } => {
                columns.iter().try_for_each(|column| self.known_column(*table, *column))
            }
            Ddl::DropIndex { table, index } if !self.known(*table)?.indexes.contains_key(index) => {
                Err(Error::UnknownIndex { table: self.shown_name(*table).to_owned(), index: index.short() })
            }
            Ddl::DropIndex { .. } => Ok(()),
        }
    }

    fn known(&self, id: TableId) -> Result<&TableState, Error> {
        self.table(id).ok_or_else(|| Error::UnknownTable { kind: "node or edge", name: id.short() })
    }

    fn known_column(&self, id: TableId, column: ColumnId) -> Result<(), Error> {
        match self.known(id)?.column(column) {
            Some(_) => Ok(()),
            None => Err(Error::UnknownColumn { table: self.shown_name(id).to_owned(), column: column.short() }),
        }
    }

    fn check_ends(&self, from: TableId, to: TableId) -> Result<(), Error> {
        [from, to].into_iter().try_for_each(|end| {
            let is_node = self.table(end).is_some_and(|table| matches!(table.kind, Kind::Node { .. }));
            if is_node { Ok(()) } else { Err(Error::UnknownTable { kind: "node", name: end.short() }) }
        })
    }

    fn check_not_key(&self, id: TableId, column: ColumnId, what: &'static str) -> Result<(), Error> {
        self.known_column(id, column)?;
        match self.known(id)?.kind {
            Kind::Node { key } if key == column => Err(self.key_is_fixed(id, key, what)),
            _ => Ok(()),
        }
    }

    fn key_is_fixed(&self, id: TableId, key: ColumnId, what: &'static str) -> Error {
        let key = self.table(id).and_then(|table| table.column(key)).map_or("?", ColumnState::name);
        Error::KeyIsFixed { table: self.shown_name(id).to_owned(), key: key.to_owned(), what }
    }

    fn check_rule(&self, id: TableId, rule: &Rule<ColumnId>) -> Result<(), Error> {
        let table = self.known(id)?;
        let name = || self.shown_name(id).to_owned();
        let not_applicable = |rule, problem| Err(Error::RuleNotApplicable { table: name(), rule, problem });
        match (rule, &table.kind) {
            (Rule::Policy { column: Some(column), .. }, Kind::Node { key }) if key == column => {
                not_applicable("a policy for its primary key", "keys never change")
            }
            (Rule::Policy { column: Some(column), .. }, _) if table.column(*column).is_none() => {
                Err(Error::UnknownColumn { table: name(), column: column.short() })
            }
            (Rule::Unique { column, .. } | Rule::AtLeast { column, .. }, Kind::Node { key }) if key == column => {
                not_applicable("a constraint on its primary key", "a key is unique and never changes")
            }
            (Rule::Unique { column, .. } | Rule::AtLeast { column, .. }, _) if table.column(*column).is_none() => {
                Err(Error::UnknownColumn { table: name(), column: column.short() })
            }
            (Rule::Revive(_), Kind::Node { .. }) => not_applicable("`revive`", "only edges keep their ends alive"),
            (Rule::Multiplicity(_), Kind::Node { .. }) => not_applicable("a multiplicity", "only edges have one"),
            _ => Ok(()),
        }
    }

    /// Joins the schema operations of a change, each of which [`Schema::check`] accepts.
    pub fn join_change(&mut self, change: &Change) {
        for (rank, ddl) in change.ddls() {
            self.join(rank, &change.seen, ddl);
        }
    }

    /// Joins a schema operation that [`Schema::check`] accepts, written by somebody who had `seen` so much.
    pub fn join(&mut self, rank: Rank, seen: &Seen, ddl: &Ddl) {
        self.joined.insert(rank);
        let id = ddl.table_id();
        match ddl {
            Ddl::CreateNodeTable { name, columns, primary_key, birth } => {
                let kind = Kind::Node { key: column_id(id, primary_key) };
                self.join_table(id, rank, (name, *birth), columns, kind);
            }
            Ddl::CreateEdgeTable { name, columns, from, to, birth } => {
                let kind = Kind::Edge { pairs: BTreeMap::new() };
                self.join_table(id, rank, (name, *birth), columns, kind).pair((*from, *to)).adds.insert(rank);
            }
            // A table that a rejected change would have made is not there.
            _ => {
                if let Some(table) = self.tables.get_mut(&id) {
                    table.join(id, rank, seen, ddl);
                }
            }
        }
        if let Some(table) = self.tables.get_mut(&id) {
            table.settle();
        }
        self.name_tables();
    }

    fn join_table(
        &mut self,
        id: TableId,
        rank: Rank,
        (name, birth): (&str, u32),
        columns: &[Column],
        kind: Kind,
    ) -> &mut TableState {
        let new = || TableState {
            names: Names::new(rank, name),
            born: Born::new(name, birth),
            life: Life::new(rank),
            kind,
            columns: BTreeMap::new(),
            indexes: BTreeMap::new(),
            comment: None,
            rules: Rules::default(),
        };
        let table = self.tables.entry(id).or_insert_with(new);
        table.names.claim(rank, name);
        table.life.make(rank);
        for column in columns {
            table.join_column(id, rank, column, 0);
        }
        table
    }

    /// What only a planted bug does.
    pub(crate) fn count_twice(&mut self) {
        self.miscounted += 1;
    }

    /// What is shown has a name to itself.
    fn name_tables(&mut self) {
        let shown = self.tables.iter().filter(|(id, _)| self.is_shown(**id));
        let claims: Vec<_> = shown.map(|(id, table)| (*id, &table.names)).collect();
        self.shown_names = shown_names(&claims, |id| id.short());
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
            Some(Kind::Edge { pairs }) if pairs.contains_key(&(edge.from.table, edge.to.table)) => Ok(()),
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

impl TableState {
    fn join(&mut self, id: TableId, rank: Rank, seen: &Seen, ddl: &Ddl) {
        match ddl {
            Ddl::CreateNodeTable { .. } | Ddl::CreateEdgeTable { .. } => {}
            Ddl::SetRule { rule, .. } => self.join_rule(rank, rule),
            Ddl::DropTable { .. } => self.life.drop(rank),
            Ddl::UndropTable { .. } => self.life.make(rank),
            Ddl::RenameTable { name, .. } => self.names.claim(rank, name),
            Ddl::CommentOnTable { comment, .. } => raise(&mut self.comment, rank, comment.clone()),
            Ddl::AddColumn { column, birth, .. } => {
                self.join_column(id, rank, column, *birth);
            }
            Ddl::DropColumn { column, .. }
            | Ddl::UndropColumn { column, .. }
            | Ddl::RenameColumn { column, .. }
            | Ddl::AlterColumnType { column, .. }
            | Ddl::CommentOnColumn { column, .. } => {
                if let Some(column) = self.columns.get_mut(column) {
                    column.join(rank, seen, ddl);
                }
            }
            Ddl::AddPair { from, to, .. } => drop(self.pair((*from, *to)).adds.insert(rank)),
            Ddl::DropPair { from, to, .. } => drop(self.pair((*from, *to)).drops.insert(rank, seen.clone())),
            Ddl::CreateIndex { name, kind, columns, .. } => {
                let new = || IndexState {
                    names: Names::new(rank, name),
                    shown_name: name.clone(),
                    life: Life::new(rank),
                    kind: *kind,
                    columns: columns.clone(),
                };
                let index = self.indexes.entry(index_id(id, *kind, columns)).or_insert_with(new);
                index.names.claim(rank, name);
                index.life.make(rank);
            }
            Ddl::DropIndex { index, .. } => {
                if let Some(index) = self.indexes.get_mut(index) {
                    index.life.drop(rank);
                }
            }
        }
    }

    /// Only edge tables have pairs; that of a node table is nobody's.
    fn pair(&mut self, ends: (TableId, TableId)) -> &mut Pair {
        match &mut self.kind {
            Kind::Edge { pairs } => pairs.entry(ends).or_default(),
            Kind::Node { .. } => panic!("only an edge table has pairs: it was checked"),
        }
    }

    fn join_column(&mut self, table: TableId, rank: Rank, column: &Column, birth: u32) {
        let id = column_born(table, &column.name, birth);
        let new = || ColumnState {
            names: Names::new(rank, &column.name),
            born: Born::new(&column.name, birth),
            shown_name: column.name.clone(),
            life: Life::new(rank),
            claims: BTreeMap::new(),
            column_type: column.column_type.clone(),
            default: None,
            comment: None,
            policy: None,
            unique: None,
            at_least: None,
        };
        let state = self.columns.entry(id).or_insert_with(new);
        state.names.claim(rank, &column.name);
        state.life.make(rank);
        state.claims.insert(rank, Claim { claimed: column.column_type.clone(), replaces: None });
        if let Some(default) = &column.default {
            raise(&mut state.default, rank, default.clone());
        }
    }

    fn join_rule(&mut self, rank: Rank, rule: &Rule<ColumnId>) {
        match rule {
            Rule::Policy { column: None, policy } => raise(&mut self.rules.policy, rank, *policy),
            Rule::Policy { column: Some(column), policy } => {
                if let Some(column) = self.columns.get_mut(column) {
                    raise(&mut column.policy, rank, *policy);
                }
            }
            Rule::UpdateRevives(is_on) => raise(&mut self.rules.update_revives, rank, *is_on),
            Rule::Revive(is_on) => raise(&mut self.rules.revive, rank, *is_on),
            Rule::Multiplicity(multiplicity) => raise(&mut self.rules.multiplicity, rank, *multiplicity),
            Rule::Unique { column, is_on } => {
                if let Some(column) = self.columns.get_mut(column) {
                    raise(&mut column.unique, rank, *is_on);
                }
            }
            Rule::AtLeast { column, bound } => {
                if let Some(column) = self.columns.get_mut(column) {
                    raise(&mut column.at_least, rank, *bound);
                }
            }
        }
    }
}

impl ColumnState {
    fn join(&mut self, rank: Rank, seen: &Seen, ddl: &Ddl) {
        match ddl {
            Ddl::DropColumn { .. } => self.life.drop(rank),
            Ddl::UndropColumn { .. } => self.life.make(rank),
            Ddl::RenameColumn { name, .. } => self.names.claim(rank, name),
            Ddl::CommentOnColumn { comment, .. } => raise(&mut self.comment, rank, comment.clone()),
            Ddl::AlterColumnType { column_type, .. } => {
                let claim = Claim { claimed: column_type.clone(), replaces: Some(seen.clone()) };
                self.claims.insert(rank, claim);
            }
            _ => {}
        }
    }
}

fn raise<T>(register: &mut Option<(Rank, T)>, rank: Rank, value: T) {
    if register.as_ref().is_none_or(|(current, _)| rank > *current) {
        *register = Some((rank, value));
    }
}

/// What a rule was set to.
fn set<T: Copy + Default>(register: &Option<(Rank, T)>) -> T {
    register.as_ref().map_or_else(T::default, |(_, value)| *value)
}

fn comment(register: &Option<(Rank, String)>) -> Option<&str> {
    register.as_ref().map(|(_, comment)| comment.as_str()).filter(|comment| !comment.is_empty())
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
        let columns: Vec<_> = columns.iter().map(|(name, of)| Column::new(*name, of.clone())).collect();
        Ddl::CreateNodeTable { name: name.into(), birth: 0, primary_key: columns[0].name.clone(), columns }
    }

    fn joined(ops: &[(i64, Ddl)]) -> Schema {
        let mut schema = Schema::default();
        ops.iter().for_each(|(ms, ddl)| schema.join(rank(*ms), &Seen::default(), ddl));
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
    fn an_index_that_is_gone_with_a_column_leaves_its_name_to_others() {
        let users = node_table("User", &[("id", Type::Int64), ("name", Type::String), ("age", Type::Int64)]);
        let table = users.table_id();
        let index = |column| {
            let columns = vec![column_id(table, column)];
            Ddl::CreateIndex { table, name: "by".into(), kind: IndexKind::Value, columns }
        };
        let mut schema = joined(&[(1, users), (2, index("name")), (3, index("age"))]);
        let names = |schema: &Schema| -> Vec<String> {
            let (_, table) = schema.table_named("User").unwrap();
            table.indexes().map(|(_, index)| index.name().to_owned()).collect()
        };
        assert!(names(&schema).iter().any(|name| name.starts_with("by~")), "{:?}", names(&schema));
        assert_eq!(schema.contested_names().len(), 1);
        schema.join(rank(4), &Seen::default(), &Ddl::DropColumn { table, column: column_id(table, "age") });
        assert_eq!((names(&schema), schema.contested_names().len()), (vec!["by".to_owned()], 0));
    }

    #[test]
    fn one_migration_run_twice_is_one_table_with_its_columns_united() {
        let here = node_table("User", &[("id", Type::Int64), ("name", Type::String)]);
        let there = node_table("user", &[("id", Type::Int64), ("age", Type::Int64)]);
        let schema = in_every_order((1, here), (2, there));
        let (_, table) = schema.table_named("USER").unwrap();
        assert_eq!(table.columns().count(), 3);
        assert_eq!(schema.shown_tables().values().next().unwrap().name, "user", "the later claim names it");
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
