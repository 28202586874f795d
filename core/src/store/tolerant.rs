//! A store that goes on when its database refuses a part of the schema.
//!
//! The schema that replicas agree on is logical; what one database can hold of it is its own affair. When a database
//! refuses a table, a column or a type, that part alone is held back: the table is not there, the column is not there, or
//! it keeps the type it had, with the values that can be cast to it. So the database shows its schema and data as they
//! were before the refused change, and everything else as it is now. [`GraphStore::unmaterialised`] tells the
//! difference, the log keeps every value, and each rebuild tries anew. (DDL Integration Plan, case A9.)
//!
//! What was refused is found out on empty databases, table by table and column by column; the database in which a
//! statement failed is never trusted again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::store::memory::MemoryStore;
use crate::store::plan::Plan;
use crate::store::text_index::{TextIndexes, Unbuilt};
use crate::store::{GraphStore, StoreCounts, StoreError, Unmaterialised};
use crate::value::{Type, Value};
use crate::view::{EdgeRef, Row, RowChange, SchemaStep, Table, TableKind, View, ViewDelta};

/// What a step is answered that is about something held back.
pub const REFUSED_BEFORE: &str = "it is about what the database refused before; a rebuild tries all of it anew";

/// Why a full-text index does not stand whose table or column is held back.
pub const NOTHING_TO_INDEX: &str = "the database refuses what it covers";

/// What is left of a view in a database that lacks these parts.
#[must_use]
pub fn without<'v>(view: &'v View, parts: &[Unmaterialised]) -> Cow<'v, View> {
    HeldBack::of_parts(parts).of_view(view)
}

/// A store that holds back what its database refuses.
#[derive(Debug)]
pub struct Tolerant<S> {
    inner: S,
    /// The schema that the database took last, without rows.
    accepted: MemoryStore,
    held_back: HeldBack,
}

impl<S: GraphStore> Tolerant<S> {
    /// Around a store that is empty, or will be rebuilt first.
    pub fn new(inner: S) -> Self {
        Tolerant { inner, accepted: MemoryStore::default(), held_back: HeldBack::default() }
    }

    /// The store inside.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// What the database holds of a view.
    pub fn materialised<'v>(&self, view: &'v View) -> Cow<'v, View> {
        self.held_back.of_view(view)
    }

    /// The parts of a schema that the database refuses, each tried on its own without rows.
    fn find_refused(&mut self, view: &View) -> HeldBack {
        let mut found = HeldBack::default();
        let mut taken = View::default();
        for (name, table) in nodes_first(view) {
            let Some(table) = found.of_table(name, table) else { continue };
            let Err(error) = self.try_with(&mut taken, name, table.clone()) else { continue };
            let bare = Table { columns: bare_columns(&table), kind: table.kind.clone() };
            if bare == table || self.try_with(&mut taken, name, bare.clone()).is_err() {
                found.tables.insert(name.clone(), error.message);
                continue;
            }
            let mut grown = bare;
            for (column, column_type) in &table.columns {
                if grown.columns.contains_key(column) {
                    continue;
                }
                let before = self.accepted.view().tables.get(name).and_then(|table| table.columns.get(column)).cloned();
                let mut with = |of: &Type| {
                    let mut trial = grown.clone();
                    trial.columns.insert(column.clone(), of.clone());
                    self.try_with(&mut taken, name, trial.clone()).map(|()| grown = trial)
                };
                let Err(error) = with(column_type) else { continue };
                let before = before.filter(|before| before != column_type && with(before).is_ok());
                found.columns.insert((name.clone(), column.clone()), (before, error.message));
            }
        }
        found
    }

    /// Whether the database takes a schema with this table; if so it is among those `taken`.
    fn try_with(&mut self, taken: &mut View, name: &str, table: Table) -> Result<(), StoreError> {
        let mut trial = taken.clone();
        match table.kind {
            TableKind::Node { .. } => drop(trial.nodes.insert(name.to_owned(), BTreeMap::new())),
            TableKind::Edge { .. } => drop(trial.edges.insert(name.to_owned(), BTreeMap::new())),
        }
        trial.tables.insert(name.to_owned(), table);
        self.inner.rebuild(&trial)?;
        *taken = trial;
        Ok(())
    }
}

fn nodes_first(view: &View) -> impl Iterator<Item = (&String, &Table)> {
    let is_node = |table: &Table| matches!(table.kind, TableKind::Node { .. });
    let nodes = view.tables.iter().filter(move |(_, table)| is_node(table));
    nodes.chain(view.tables.iter().filter(move |(_, table)| !is_node(table)))
}

/// The columns without which a table cannot be.
fn bare_columns(table: &Table) -> BTreeMap<String, Type> {
    match &table.kind {
        TableKind::Node { primary_key } => {
            let key = table.columns.iter().filter(|(column, _)| *column == primary_key);
            key.map(|(column, of)| (column.clone(), of.clone())).collect()
        }
        TableKind::Edge { .. } => BTreeMap::new(),
    }
}

impl<S: GraphStore> GraphStore for Tolerant<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn plan(&self, delta: &ViewDelta) -> Result<Plan, StoreError> {
        let delta = self.held_back.of_delta(delta, self.accepted.view(), self.name())?;
        self.inner.plan(&delta)
    }

    fn apply(&mut self, delta: &ViewDelta) -> Result<(), StoreError> {
        let delta = self.held_back.of_delta(delta, self.accepted.view(), self.inner.name())?;
        self.inner.apply(&delta)?;
        if delta.schema.is_empty() {
            return Ok(());
        }
        self.accepted.apply(&ViewDelta { schema: delta.schema.clone(), ..ViewDelta::default() })
    }

    fn rebuild(&mut self, view: &View) -> Result<(), StoreError> {
        self.held_back = HeldBack::default();
        if let Err(error) = self.inner.rebuild(view) {
            self.held_back = self.find_refused(view);
            if self.held_back == HeldBack::default() {
                // It is not the schema that the database refuses.
                return Err(error);
            }
            self.inner.rebuild(&self.held_back.of_view(view))?;
        }
        let view = self.held_back.of_view(view);
        let schema = View { tables: view.tables.clone(), ..View::default() };
        self.accepted.rebuild(&schema)
    }

    fn read(&mut self) -> Result<View, StoreError> {
        let view = self.inner.read()?;
        if self.accepted.view().tables.is_empty() && !view.tables.is_empty() {
            // It was opened with what it held.
            self.accepted.rebuild(&View { tables: view.tables.clone(), ..View::default() })?;
        }
        Ok(view)
    }

    fn index_texts(&mut self, wanted: &TextIndexes) -> Result<Unbuilt, StoreError> {
        let (there, missing): (TextIndexes, TextIndexes) =
            wanted.clone().into_iter().partition(|(index, columns)| self.held_back.has_columns(&index.table, columns));
        let missing = missing.into_keys().map(|index| (index, NOTHING_TO_INDEX.to_owned()));
        Ok(self.inner.index_texts(&there)?.into_iter().chain(missing).collect())
    }

    fn text_indexes(&mut self) -> Result<TextIndexes, StoreError> {
        self.inner.text_indexes()
    }

    fn counts(&self) -> StoreCounts {
        self.inner.counts()
    }

    fn statement_texts(&self) -> Vec<String> {
        self.inner.statement_texts()
    }

    fn unmaterialised(&self) -> Vec<Unmaterialised> {
        let HeldBack { tables, columns } = &self.held_back;
        let table = |(table, reason): (&String, &String)| {
            let (table, reason) = (table.clone(), reason.clone());
            Unmaterialised { table, column: None, held_as: None, reason }
        };
        let column = |((table, column), (held_as, reason)): (&(String, String), &(Option<Type>, String))| {
            let (table, column, reason) = (table.clone(), Some(column.clone()), reason.clone());
            Unmaterialised { table, column, held_as: held_as.clone(), reason }
        };
        tables.iter().map(table).chain(columns.iter().map(column)).collect()
    }
}

/// What a database refuses, with its words.
#[derive(Debug, Default, PartialEq, Eq)]
struct HeldBack {
    tables: BTreeMap<String, String>,
    /// By table and name, with the type under which the column is held instead, if it is.
    columns: BTreeMap<(String, String), (Option<Type>, String)>,
}

impl HeldBack {
    fn of_parts(parts: &[Unmaterialised]) -> Self {
        let mut held_back = HeldBack::default();
        for Unmaterialised { table, column, held_as, reason } in parts.iter().cloned() {
            match column {
                None => drop(held_back.tables.insert(table, reason)),
                Some(column) => drop(held_back.columns.insert((table, column), (held_as, reason))),
            }
        }
        held_back
    }

    /// What is left of a table, `None` if nothing is.
    fn of_table(&self, name: &str, table: &Table) -> Option<Table> {
        if self.tables.contains_key(name) {
            return None;
        }
        let kind = match &table.kind {
            TableKind::Edge { pairs } => {
                let is_there = |end: &String| !self.tables.contains_key(end);
                let pairs: BTreeSet<_> =
                    pairs.iter().filter(|(from, to)| is_there(from) && is_there(to)).cloned().collect();
                if pairs.is_empty() {
                    return None;
                }
                TableKind::Edge { pairs }
            }
            node => node.clone(),
        };
        let column = |(column, of): (&String, &Type)| match self.columns.get(&(name.to_owned(), column.clone())) {
            Some((held_as, _)) => held_as.clone().map(|of| (column.clone(), of)),
            None => Some((column.clone(), of.clone())),
        };
        Some(Table { kind, columns: table.columns.iter().filter_map(column).collect() })
    }

    fn of_row(&self, table: &str, row: &Row) -> Row {
        let cell = |(column, value): (&String, &Value)| match self.columns.get(&(table.to_owned(), column.clone())) {
            Some((held_as, _)) => Some((column.clone(), value.cast(held_as.as_ref()?)?)),
            None => Some((column.clone(), value.clone())),
        };
        row.iter().filter_map(cell).collect()
    }

    fn has_columns(&self, table: &str, columns: &[String]) -> bool {
        let is_there = |column: &String| !self.columns.contains_key(&(table.to_owned(), column.clone()));
        !self.tables.contains_key(table) && columns.iter().all(is_there)
    }

    fn has_edge(&self, edge: &EdgeRef) -> bool {
        [&edge.from, &edge.to].into_iter().all(|end| !self.tables.contains_key(&end.table))
    }

    fn of_view<'v>(&self, view: &'v View) -> Cow<'v, View> {
        if *self == HeldBack::default() {
            return Cow::Borrowed(view);
        }
        let table = |(name, table): (&String, &Table)| Some((name.clone(), self.of_table(name, table)?));
        let tables: BTreeMap<String, Table> = view.tables.iter().filter_map(table).collect();
        let nodes = view.nodes.iter().filter(|(name, _)| tables.contains_key(*name)).map(|(name, rows)| {
            (name.clone(), rows.iter().map(|(key, row)| (key.clone(), self.of_row(name, row))).collect())
        });
        let edges = view.edges.iter().filter(|(name, _)| tables.contains_key(*name)).map(|(name, rows)| {
            let rows = rows.iter().filter(|(edge, _)| self.has_edge(edge));
            (name.clone(), rows.map(|(edge, row)| (edge.clone(), self.of_row(name, row))).collect())
        });
        let (nodes, edges) = (nodes.collect(), edges.collect());
        Cow::Owned(View { tables, nodes, edges })
    }

    /// A delta between two materialised views, the first of which has the tables of `accepted`.
    ///
    /// # Errors
    /// A step on what is held back, or on an edge table that is not there because its ends are: what that means for the
    /// database, only a rebuild can tell.
    fn of_delta<'d>(
        &self,
        delta: &'d ViewDelta,
        accepted: &View,
        store: &'static str,
    ) -> Result<Cow<'d, ViewDelta>, StoreError> {
        if *self == HeldBack::default() {
            return Ok(Cow::Borrowed(delta));
        }
        let is_held_back =
            |name: &String| self.tables.contains_key(name) || self.columns.keys().any(|(table, _)| table == name);
        let names = |step: &SchemaStep| match step {
            SchemaStep::CreateTable { name, table: Table { kind: TableKind::Edge { pairs }, .. } } => {
                pairs.iter().flat_map(|(from, to)| [from.clone(), to.clone()]).chain([name.clone()]).collect()
            }
            SchemaStep::RenameTable { from, to } => vec![from.clone(), to.clone()],
            SchemaStep::AddPair { table, from, to } => vec![table.clone(), from.clone(), to.clone()],
            other => vec![other.table().to_owned()],
        };
        let mut there: BTreeSet<&str> = accepted.tables.keys().map(String::as_str).collect();
        for step in &delta.schema {
            let is_there = match step {
                SchemaStep::CreateTable { name, .. } => {
                    there.insert(name);
                    true
                }
                SchemaStep::RenameTable { from, to } => {
                    there.insert(to);
                    there.remove(from.as_str())
                }
                SchemaStep::DropTable { name } => there.remove(name.as_str()),
                other => there.contains(other.table()),
            };
            if !is_there || names(step).iter().any(is_held_back) {
                let (statement, message) = (step.to_string(), REFUSED_BEFORE.to_owned());
                return Err(StoreError { store, statement, message });
            }
        }
        let change = |table: &str, change: &RowChange| match change {
            RowChange::Create(row) => RowChange::Create(self.of_row(table, row)),
            RowChange::Update(row) => RowChange::Update(self.of_row(table, row)),
            RowChange::Delete => RowChange::Delete,
        };
        let is_there = |name: &String| !self.tables.contains_key(name);
        let nodes = delta.nodes.iter().filter(|(name, _)| is_there(name)).map(|(name, rows)| {
            (name.clone(), rows.iter().map(|(key, row)| (key.clone(), change(name, row))).collect())
        });
        let edges = delta.edges.iter().filter(|(name, _)| is_there(name)).filter_map(|(name, rows)| {
            let rows = rows.iter().filter(|(edge, _)| self.has_edge(edge));
            let rows: BTreeMap<_, _> = rows.map(|(edge, row)| (edge.clone(), change(name, row))).collect();
            (!rows.is_empty()).then(|| (name.clone(), rows))
        });
        let (nodes, edges) = (nodes.collect(), edges.collect());
        Ok(Cow::Owned(ViewDelta { schema: delta.schema.clone(), nodes, edges }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::refusing::{REFUSED_ON_PURPOSE, Refusal, Refusing};
    use crate::store::text_index::{BUILDS_NONE, TextIndex};

    fn table(kind: TableKind) -> Table {
        Table { kind, columns: [("id".to_owned(), Type::Int64)].into() }
    }

    /// A store with every index it is asked for, which holds nothing else.
    #[derive(Default)]
    struct Indexing(MemoryStore, TextIndexes);

    impl GraphStore for Indexing {
        fn name(&self) -> &'static str {
            "indexing"
        }

        fn plan(&self, delta: &ViewDelta) -> Result<Plan, StoreError> {
            self.0.plan(delta)
        }

        fn apply(&mut self, delta: &ViewDelta) -> Result<(), StoreError> {
            self.0.apply(delta)
        }

        fn rebuild(&mut self, view: &View) -> Result<(), StoreError> {
            self.1.clear();
            self.0.rebuild(view)
        }

        fn read(&mut self) -> Result<View, StoreError> {
            self.0.read()
        }

        fn index_texts(&mut self, wanted: &TextIndexes) -> Result<Unbuilt, StoreError> {
            wanted.clone_into(&mut self.1);
            Ok(Unbuilt::new())
        }

        fn text_indexes(&mut self) -> Result<TextIndexes, StoreError> {
            Ok(self.1.clone())
        }
    }

    #[test]
    fn an_index_on_what_is_held_back_is_not_asked_for_and_told() {
        let mut refusing = Refusing::new(Indexing::default());
        refusing.refuse(Refusal::Column("note".to_owned()));
        refusing.refuse(Refusal::Table("Firm".to_owned()));
        let mut store = Tolerant::new(refusing);
        let mut user = table(TableKind::Node { primary_key: "id".into() });
        user.columns.extend(["name", "note"].map(|column| (column.to_owned(), Type::String)));
        let tables = [("User".to_owned(), user.clone()), ("Firm".to_owned(), user)];
        let nodes = ["User", "Firm"].map(|name| (name.to_owned(), BTreeMap::new())).into();
        store.rebuild(&View { tables: tables.into(), nodes, ..View::default() }).unwrap();
        let index = |table: &str, name: &str, columns: &[&str]| {
            (TextIndex::new(table, name), columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>())
        };
        let held = [index("User", "both", &["name", "note"]), index("Firm", "names", &["name"])];
        let there = TextIndexes::from([index("User", "names", &["name"])]);
        let wanted: TextIndexes = there.clone().into_iter().chain(held.clone()).collect();
        let unbuilt = held.map(|(index, _)| (index, NOTHING_TO_INDEX.to_owned()));
        assert_eq!(store.index_texts(&wanted), Ok(unbuilt.into()));
        assert_eq!(store.text_indexes(), Ok(there));
        let none = MemoryStore::default().index_texts(&wanted).unwrap();
        assert!(none.len() == 3 && none.values().all(|why| why == BUILDS_NONE), "{none:?}");
    }

    /// Its ends are held back, so the edge table is not there although nobody refused it.
    #[test]
    fn a_step_on_an_edge_table_without_ends_is_left_to_a_rebuild() {
        let kind = TableKind::Edge { pairs: [("Firm".to_owned(), "Firm".to_owned())].into() };
        let tables = [
            ("Firm".to_owned(), table(TableKind::Node { primary_key: "id".into() })),
            ("Owns".to_owned(), table(kind)),
        ];
        let view = View {
            tables: tables.into(),
            nodes: [("Firm".to_owned(), BTreeMap::new())].into(),
            edges: [("Owns".to_owned(), BTreeMap::new())].into(),
        };
        let mut store = Tolerant::new(Refusing::new(MemoryStore::default()));
        store.inner_mut().refuse(Refusal::Table("Firm".into()));
        store.rebuild(&view).unwrap();
        assert_eq!(store.read().unwrap(), View::default());
        let [part] = store.unmaterialised().try_into().unwrap();
        assert_eq!(part.to_string(), format!("table Firm: {REFUSED_ON_PURPOSE}"));
        assert_eq!(*without(&view, &[part]), View::default());

        let drop = SchemaStep::DropTable { name: "Owns".into() };
        let add = SchemaStep::AddColumn { table: "Owns".into(), column: "since".into(), column_type: Type::Int64 };
        let rename = SchemaStep::RenameTable { from: "Owns".into(), to: "Has".into() };
        for step in [drop, add, rename] {
            let delta = ViewDelta { schema: vec![step.clone()], ..ViewDelta::default() };
            assert_eq!(store.apply(&delta).unwrap_err().message, REFUSED_BEFORE, "{step}");
        }
        let other = table(TableKind::Node { primary_key: "id".into() });
        let create = SchemaStep::CreateTable { name: "City".into(), table: other };
        let rename = SchemaStep::RenameTable { from: "City".into(), to: "Town".into() };
        let drop = SchemaStep::DropTable { name: "Town".into() };
        let delta = ViewDelta { schema: vec![create, rename, drop], ..ViewDelta::default() };
        assert_eq!(store.apply(&delta), Ok(()), "what is made in the same delta is there");
    }
}
