//! The store itself: what is sent, in which order and in what portions, and when the store is in doubt.
//!
//! One statement is sent per kind of change and table, with up to [`ROWS_MAX`] rows as one parameter. Every statement
//! that finds its rows returns how many it found: Kùzu takes a MATCH without a result for a success, and nothing may
//! silently not happen.
//!
//! The schema changes by a plan that is complete before its first statement is sent ([`GraphStore::plan`]); nothing else
//! changes it. So whatever our own catalogue refuses is refused while nothing is half done.
//!
//! Kùzu 0.11.3 keeps every version of an updated row: a SET takes about 16 KiB for each number and 10 KiB for each text
//! it sets, and a database in memory never checkpoints, which is when a database on disk gives that back. Some
//! thousands of updates fill any pool. So the store looks at the pool from time to time and, when it has
//! grown enough, reads the view and starts again with a new database.
//!
//! On disk it is the same, and no checkpoint is ever written: what is closed or dies is left with Kùzu's own log, which
//! Kùzu replays when the database is opened. Checkpoints of Kùzu 0.11.3 change values (the least TIMESTAMP_NS as a key
//! becomes 0 with the next change of the schema), fail (the least INT128 cannot be negated) and kill the process (after
//! a column was dropped).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::store::plan::{Plan, PlanStep, Way};
use kuzusync_core::store::text_index::{TextIndex, TextIndexes, Unbuilt};
use kuzusync_core::store::{GraphStore, StoreCounts, StoreError};
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, RowChange, SchemaStep, View, ViewDelta};

use crate::catalogue::{Catalogue, EdgeShape, NodeShape};
use crate::directory::Directory;
use crate::engine::{BUFFER_POOL_BYTES, Engine, EngineCounts, Rows};
use crate::reading;
use crate::statement::{self, FROM, Form, KEY, NAME, TO, Verb, WORDS, refused};
use crate::text_index::{TextIndexing, take_down_for_step};
use crate::value::{children, content, from_kuzu, logical_type, single};

/// Rows of one statement at most.
const ROWS_MAX: usize = 1_000;

/// Values of one statement at most: an update of so many fills 48 MiB of the pool, and no look at it comes between.
const CELLS_MAX: usize = 3_000;

/// Up to so many rows are sent one by one: 0.1 to 0.5 ms each, where a list of any length starts at 0.3 to 2 ms.
const SINGLES_MAX: usize = 3;

/// Between larger tables new edges are sent one by one, 0.3 ms each: Kùzu pairs each row of a list with all nodes of
/// a table, 0.05 ms for every thousand of them.
const NODES_FOR_LIST_MAX: usize = 5_000;

/// Values sent between two looks at the pool, which take 0.05 ms. At worst they fill 4 MiB of it.
const CELLS_PER_LOOK: usize = 256;

/// By how much the pool may grow before the store starts again: about 700 updates of four columns.
const GROWTH_BYTES_MAX: u64 = 32 << 20;

/// The fields of every row of a statement, with their types.
type Fields = Vec<(String, Type)>;

/// The contents of one row's fields, in their order.
type Contents = Vec<kuzu::Value>;

/// A view in a Kùzu database.
///
/// It is not `Send`: a prepared statement of Kùzu stays on its thread.
pub struct KuzuStore {
    engine: Engine,
    /// Where the database lies, unless in memory.
    directory: Option<Directory>,
    catalogue: Catalogue,
    texts: TextIndexing,
    in_doubt: bool,
    cells_since_look: usize,
    memory_bytes_max: u64,
    /// Without those of the engine that is open.
    counts: StoreCounts,
}

impl KuzuStore {
    /// Opens an empty database in memory.
    ///
    /// # Errors
    /// Kùzu's own, such as no address space left.
    pub fn in_memory() -> Result<KuzuStore, StoreError> {
        Ok(KuzuStore::empty(Engine::in_memory()?, None))
    }

    /// Opens the database in a folder that belongs to this store alone, or makes one there. A database that cannot be
    /// opened or read is thrown away.
    ///
    /// What it holds is what it held when it was last closed, or a little less if the system died: [`GraphStore::read`]
    /// tells. Whoever opens it compares that with the view, and rebuilds the store if they differ.
    ///
    /// # Errors
    /// The system's, such as no right to write there, and Kùzu's own.
    pub fn on_disk(folder: &Path) -> Result<KuzuStore, StoreError> {
        let mut directory = Directory::open(folder).map_err(in_folder)?;
        if let Ok((engine, catalogue)) = found(&directory) {
            return Ok(KuzuStore { catalogue, ..KuzuStore::empty(engine, Some(directory)) });
        }
        directory.advance();
        let engine = Engine::on_disk(&directory.file())?;
        directory.remove_earlier().map_err(in_folder)?;
        Ok(KuzuStore::empty(engine, Some(directory)))
    }

    /// The keys of the nodes that have some of these words, by a full-text index that stands.
    ///
    /// # Errors
    /// No such index, or Kùzu's own. The store is then in doubt.
    pub fn find_words(&mut self, index: &TextIndex, words: &str) -> Result<BTreeSet<Value>, StoreError> {
        self.without_doubt("find words", |store| {
            let NodeShape { end, key_type, .. } = store.catalogue.node_shape(&index.table)?;
            let text = statement::query_text_index(index, &end.primary_key, &key_type)?;
            let found = store.engine.execute(&text, vec![(WORDS, kuzu::Value::String(words.to_owned()))])?;
            let keys = found.into_iter().flatten().map(|key| from_kuzu(key, &key_type));
            keys.collect::<Result<_, _>>().map_err(|problem| refused(text, problem))
        })
    }

    fn empty(engine: Engine, directory: Option<Directory>) -> KuzuStore {
        let catalogue = Catalogue::default();
        let (in_doubt, cells_since_look, memory_bytes_max) = (false, 0, GROWTH_BYTES_MAX);
        let counts = StoreCounts::default();
        let texts = TextIndexing::default();
        KuzuStore { engine, directory, catalogue, texts, in_doubt, cells_since_look, memory_bytes_max, counts }
    }
}

/// The database in a folder, with what it holds; if there is none, a new one.
fn found(directory: &Directory) -> Result<(Engine, Catalogue), StoreError> {
    let mut engine = Engine::on_disk(&directory.file())?;
    let view = reading::read(&mut engine)?;
    Ok((engine, Catalogue::of(&view)?))
}

fn in_folder(error: io::Error) -> StoreError {
    refused("keep a database in a folder", error)
}

impl GraphStore for KuzuStore {
    fn name(&self) -> &'static str {
        if self.directory.is_some() { "kuzu-disk" } else { "kuzu" }
    }

    fn plan(&self, delta: &ViewDelta) -> Result<Plan, StoreError> {
        if delta.schema.is_empty() {
            return Ok(Plan::default());
        }
        let (mut planned, mut outline) = (self.catalogue.without_rows(), self.catalogue.outline());
        let mut standing = self.texts.standing().clone();
        let plan = |step: &SchemaStep| {
            let in_the_way = take_down_for_step(&mut standing, step);
            let way = match planned.take_up(step)? {
                Way::Statements(statements) => {
                    let drops = in_the_way.iter().map(statement::drop_text_index);
                    Way::Statements(drops.chain(statements).collect())
                }
                start_again @ Way::StartAgain { .. } => start_again,
            };
            Ok(PlanStep { step: step.clone(), way, touched: outline.take_up(step) })
        };
        Ok(Plan { steps: delta.schema.iter().map(plan).collect::<Result<_, StoreError>>()? })
    }

    fn apply(&mut self, delta: &ViewDelta) -> Result<(), StoreError> {
        self.counts.plans += u64::from(!delta.schema.is_empty());
        self.counts.schema_steps += delta.schema.len() as u64;
        self.without_doubt("apply", |store| {
            store.carry_out(delta)?;
            store.start_again_if_grown()?;
            // After a change of the schema it is told anew what should stand.
            if delta.schema.is_empty() { store.build_indexes() } else { Ok(()) }
        })
    }

    fn index_texts(&mut self, wanted: &TextIndexes) -> Result<Unbuilt, StoreError> {
        self.without_doubt("index texts", |store| {
            let unwanted = store.texts.ask(wanted);
            unwanted.iter().try_for_each(|index| store.engine.query(&statement::drop_text_index(index)).map(drop))?;
            store.start_again_if_grown()?;
            store.build_indexes()
        })?;
        Ok(self.texts.unbuilt().clone())
    }

    fn text_indexes(&mut self) -> Result<TextIndexes, StoreError> {
        let indexes = self.without_doubt("read", |store| reading::indexes(&mut store.engine))?;
        let of_texts = indexes.into_iter().filter(|index| index.other_kind.is_none());
        Ok(of_texts.map(|found| (found.index, found.columns)).collect())
    }

    fn counts(&self) -> StoreCounts {
        let EngineCounts { statements, prepared } = self.engine.counts();
        let (statements, prepared) = (self.counts.statements + statements, self.counts.prepared + prepared);
        StoreCounts { statements, prepared, ..self.counts }
    }

    fn rebuild(&mut self, view: &View) -> Result<(), StoreError> {
        self.in_doubt = true;
        self.start_again(view)?;
        self.in_doubt = false;
        Ok(())
    }

    fn read(&mut self) -> Result<View, StoreError> {
        self.without_doubt("read", |store| reading::read(&mut store.engine))
    }

    fn statement_texts(&self) -> Vec<String> {
        self.engine.texts()
    }
}

impl KuzuStore {
    /// Does `work`, unless something failed before. The doubt lasts until the work is done, also when it panics.
    fn without_doubt<T>(
        &mut self,
        what: &str,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.in_doubt {
            return Err(refused(what, "an earlier statement failed; the store is in doubt and needs a rebuild"));
        }
        self.in_doubt = true;
        let done = work(self)?;
        self.in_doubt = false;
        Ok(done)
    }

    /// A new database that holds `view`. The doubt is the caller's.
    fn start_again(&mut self, view: &View) -> Result<(), StoreError> {
        let engine = match &mut self.directory {
            None => Engine::in_memory()?,
            Some(directory) => {
                directory.advance();
                Engine::on_disk(&directory.file())?
            }
        };
        let counts = self.counts();
        let counts = StoreCounts { new_databases: counts.new_databases + 1, ..counts };
        let memory_bytes_max = u64::MAX;
        let empty = KuzuStore::empty(engine, self.directory.take());
        let texts = std::mem::take(&mut self.texts).in_new_database();
        *self = KuzuStore { in_doubt: true, texts, counts, memory_bytes_max, ..empty };
        self.carry_out(&view.to_delta())?;
        if let Some(directory) = &self.directory {
            directory.remove_earlier().map_err(in_folder)?;
        }
        self.limit_memory()
    }

    fn limit_memory(&mut self) -> Result<(), StoreError> {
        // Twice what a large view needs, so that each start again is paid for by as many changes.
        let used = self.engine.memory_used()?;
        let doubled = (2 * used + GROWTH_BYTES_MAX).min(BUFFER_POOL_BYTES / 4 * 3);
        self.memory_bytes_max = doubled.max(used + GROWTH_BYTES_MAX);
        Ok(())
    }

    fn start_again_if_grown(&mut self) -> Result<(), StoreError> {
        if self.cells_since_look < CELLS_PER_LOOK {
            return Ok(());
        }
        self.cells_since_look = 0;
        if self.engine.memory_used()? <= self.memory_bytes_max {
            return Ok(());
        }
        let view = reading::read(&mut self.engine)?;
        self.start_again_with(&view)
    }

    fn carry_out(&mut self, delta: &ViewDelta) -> Result<(), StoreError> {
        self.plan(delta)?.steps.iter().try_for_each(|step| self.apply_step(step))?;
        for (table, changes) in &delta.nodes {
            let in_the_way = self.texts.take_down_for_rows(table, changes.iter(), SINGLES_MAX);
            in_the_way.iter().try_for_each(|index| self.engine.query(&statement::drop_text_index(index)).map(drop))?;
        }
        self.apply_edges(delta, &[Verb::Delete])?;
        self.apply_nodes(delta, &[Verb::Delete])?;
        self.apply_nodes(delta, &[Verb::Create, Verb::Update])?;
        self.apply_edges(delta, &[Verb::Create, Verb::Update])
    }

    fn apply_step(&mut self, PlanStep { step, way, .. }: &PlanStep) -> Result<(), StoreError> {
        self.catalogue.take_up(step)?;
        self.texts.take_down_for_step(step);
        match way {
            Way::Statements(texts) => texts.iter().try_for_each(|text| self.engine.query(text).map(drop)),
            Way::StartAgain { .. } => {
                // The new database is told of the step before it holds anything.
                let mut held = MemoryStore::default();
                held.rebuild(&reading::read(&mut self.engine)?)?;
                held.apply(&ViewDelta { schema: vec![step.clone()], ..ViewDelta::default() })?;
                self.start_again_with(held.view())
            }
        }
    }

    /// A new database that holds what was read of this one.
    fn start_again_with(&mut self, read: &View) -> Result<(), StoreError> {
        // What was read has the types that are held, which are not always those that are asked for.
        let mut catalogue = std::mem::take(&mut self.catalogue);
        let stood = self.texts.standing().clone();
        self.start_again(read)?;
        catalogue.forget_dropped_columns();
        self.catalogue = catalogue;
        stood.into_iter().try_for_each(|(index, columns)| self.build_index(index, columns))?;
        self.limit_memory()
    }

    /// Builds the full-text indexes that are due, and remembers why it does not build the others.
    fn build_indexes(&mut self) -> Result<(), StoreError> {
        for (index, columns) in self.texts.due() {
            let is_on_disk = self.directory.is_some();
            let obstacle = match self.texts.obstacle(&index, &columns, &self.catalogue, is_on_disk) {
                None => self.obstacle_in_database(&index, &columns)?,
                told => told,
            };
            match obstacle {
                Some(reason) => self.texts.lacks(index, reason),
                None => self.build_index(index, columns)?,
            }
        }
        Ok(())
    }

    /// What of the database as it is stands in the way of an index.
    fn obstacle_in_database(&mut self, index: &TextIndex, columns: &[String]) -> Result<Option<String>, StoreError> {
        if self.engine.memory_used()? > BUFFER_POOL_BYTES / 4 * 3 {
            return Ok(Some("the rows leave it no room in the pool".to_owned()));
        }
        reading::obstacle_in_columns(&mut self.engine, &index.table, columns)
    }

    fn build_index(&mut self, index: TextIndex, columns: Vec<String>) -> Result<(), StoreError> {
        let built = self.engine.query(&statement::create_text_index(&index, &columns));
        // It is large, and what stood before it is not given back.
        self.cells_since_look = CELLS_PER_LOOK;
        match built {
            Ok(_) => {
                self.texts.built(index, columns);
                Ok(())
            }
            Err(error) => {
                self.texts.refused(index, columns, error.message.clone());
                Err(error)
            }
        }
    }

    fn apply_nodes(&mut self, delta: &ViewDelta, verbs: &[Verb]) -> Result<(), StoreError> {
        for (table, changes) in &delta.nodes {
            for &verb in verbs {
                let mut shape = self.catalogue.node_shape(table)?;
                if verb == Verb::Update {
                    leave_out_new_and_empty(&mut shape.columns, delta, table, changes.values());
                }
                let mut rows = Vec::new();
                for (key, change) in changes.iter().filter(|(_, change)| verb_of(change) == verb) {
                    self.catalogue.change_node(table, key, change)?;
                    rows.push(node_contents(&shape, key, change));
                }
                // A table of nothing but its key has nothing to update.
                if verb != Verb::Update || !shape.columns.is_empty() {
                    let sending = Sending { singles_max: SINGLES_MAX, finds: verb != Verb::Create };
                    let key = (KEY.to_owned(), shape.key_type.clone());
                    let fields = std::iter::once(key).chain(cell_fields(&shape.columns, verb)).collect();
                    self.send(&fields, rows, sending, |form| statement::change_nodes(verb, form, &shape))?;
                    if self.texts.stands_on(table) {
                        // Each of its words is a value too.
                        self.cells_since_look = CELLS_PER_LOOK;
                    }
                }
            }
        }
        Ok(())
    }

    fn apply_edges(&mut self, delta: &ViewDelta, verbs: &[Verb]) -> Result<(), StoreError> {
        for (table, changes) in &delta.edges {
            self.catalogue.check_edge_table(table)?;
            for &verb in verbs {
                // Kùzu finds the ends of edges by the names of their tables: one statement per pair.
                let mut pairs: BTreeMap<_, Vec<_>> = BTreeMap::new();
                for (edge, change) in changes.iter().filter(|(_, change)| verb_of(change) == verb) {
                    pairs.entry((&edge.from.table, &edge.to.table)).or_default().push((edge, change));
                }
                for ((from, to), changes) in pairs {
                    let mut shape = self.catalogue.edge_shape(table, from, to)?;
                    if verb == Verb::Update {
                        let changes = changes.iter().map(|(_, change)| *change);
                        leave_out_new_and_empty(&mut shape.columns, delta, table, changes);
                    }
                    self.apply_pair(&shape, verb, &changes)?;
                }
            }
        }
        Ok(())
    }

    fn apply_pair(
        &mut self,
        shape: &EdgeShape,
        verb: Verb,
        changes: &[(&EdgeRef, &RowChange)],
    ) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        for (edge, change) in changes {
            self.catalogue.change_edge(&shape.table, edge, change)?;
            rows.push(edge_contents(shape, edge, change));
        }
        if verb == Verb::Update && shape.columns.is_empty() {
            return Ok(());
        }
        let nodes = [&shape.from, &shape.to].map(|end| self.catalogue.node_count(&end.table));
        let between_large = verb == Verb::Create && nodes.into_iter().any(|nodes| nodes > NODES_FOR_LIST_MAX);
        let singles_max = if between_large { usize::MAX } else { SINGLES_MAX };
        let [from, to] = shape.key_types.clone();
        let identity = [(FROM, from), (TO, to), (NAME, Type::String)].map(|(field, of)| (field.to_owned(), of));
        let fields = identity.into_iter().chain(cell_fields(&shape.columns, verb)).collect();
        let sending = Sending { singles_max, finds: true };
        self.send(&fields, rows, sending, |form| statement::change_edges(verb, form, shape))
    }

    /// Sends rows and checks that each of them was found, unless they are all new.
    fn send(
        &mut self,
        fields: &Fields,
        rows: Vec<Contents>,
        sending: Sending,
        text: impl Fn(Form) -> Text,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let row_cells = fields.iter().map(|(_, of)| cells_of(of)).sum::<usize>();
        if rows.len() <= sending.singles_max {
            let text = text(Form::Single)?;
            for row in rows {
                self.start_again_if_grown()?;
                self.cells_since_look += row_cells;
                let contents = fields.iter().zip(row);
                let parameters = contents.map(|((field, of), content)| (field.as_str(), single(content, of))).collect();
                let answer = self.engine.execute(&text, parameters)?;
                check_found(&text, sending, &[kuzu::Value::Int64(1)], &answer)?;
            }
            return Ok(());
        }
        let text = text(Form::List)?;
        let fields = fields.iter().map(|(field, of)| (field.clone(), logical_type(of))).collect();
        let row_type = kuzu::LogicalType::Struct { fields };
        let mut rows = rows.into_iter().map(children).peekable();
        while rows.peek().is_some() {
            self.start_again_if_grown()?;
            let portion: Vec<_> = rows.by_ref().take((CELLS_MAX / row_cells).clamp(1, ROWS_MAX)).collect();
            self.cells_since_look += portion.len() * row_cells;
            let count = kuzu::Value::Int64(portion.len() as i64);
            let answer = self.engine.execute(&text, vec![("rows", kuzu::Value::List(row_type.clone(), portion))])?;
            check_found(&text, sending, &[count], &answer)?;
        }
        Ok(())
    }
}

/// Leaves those columns out of an update that are new by this delta and get no value: they are NULL already. Where a table
/// of fifty columns gains most of them while one changes its type, that is all but one.
fn leave_out_new_and_empty<'c>(
    columns: &mut Vec<(String, Type)>,
    delta: &ViewDelta,
    table: &str,
    changes: impl Iterator<Item = &'c RowChange> + Clone,
) {
    // Which column or table a name meant before it was given to another is not asked.
    let gives_name = |step: &SchemaStep| match step {
        SchemaStep::RenameTable { to, .. } => to == table,
        SchemaStep::RenameColumn { table: of, .. } => of == table,
        _ => false,
    };
    if delta.schema.iter().any(gives_name) {
        return;
    }
    let is_new = |name: &String| {
        delta.schema.iter().any(|step| match step {
            SchemaStep::AddColumn { table: of, column, .. } | SchemaStep::RetypeColumn { table: of, column, .. } => {
                of == table && column == name
            }
            _ => false,
        })
    };
    let has_value = |change: &RowChange, name: &String| match change {
        RowChange::Create(row) | RowChange::Update(row) => row.contains_key(name),
        RowChange::Delete => false,
    };
    columns.retain(|(name, _)| !is_new(name) || changes.clone().any(|change| has_value(change, name)));
}

/// How rows are sent.
#[derive(Clone, Copy)]
struct Sending {
    /// Up to so many rows go one by one.
    singles_max: usize,
    /// Whether the statement finds its rows, and says so, or they are new.
    finds: bool,
}

type Text = Result<String, StoreError>;

fn check_found(text: &str, sending: Sending, all: &[kuzu::Value], answer: &Rows) -> Result<(), StoreError> {
    if sending.finds && answer.as_slice() != [all] {
        return Err(refused(text, format!("it should have answered {all:?} and answered {answer:?}")));
    }
    Ok(())
}

/// How many values Kùzu keeps for one of the type: one for each column that it divides a nested one into.
fn cells_of(of: &Type) -> usize {
    1 + of.parts().into_iter().map(cells_of).sum::<usize>()
}

fn verb_of(change: &RowChange) -> Verb {
    match change {
        RowChange::Create(_) => Verb::Create,
        RowChange::Update(_) => Verb::Update,
        RowChange::Delete => Verb::Delete,
    }
}

fn node_contents(shape: &NodeShape, key: &Value, change: &RowChange) -> Contents {
    std::iter::once(content(Some(key), &shape.key_type)).chain(cell_contents(&shape.columns, change)).collect()
}

fn edge_contents(shape: &EdgeShape, edge: &EdgeRef, change: &RowChange) -> Contents {
    let [from_type, to_type] = &shape.key_types;
    let name = kuzu::Value::String(edge.discriminator.clone());
    let identity = [content(Some(&edge.from.key), from_type), content(Some(&edge.to.key), to_type), name];
    identity.into_iter().chain(cell_contents(&shape.columns, change)).collect()
}

/// One field for every column; none for a deletion.
fn cell_fields(columns: &[(String, Type)], verb: Verb) -> Fields {
    let columns = if verb == Verb::Delete { &[] } else { columns };
    columns.iter().enumerate().map(|(index, (_, of))| (statement::field(index), of.clone())).collect()
}

/// Every column of the shape, NULL where the row has no value; none for a deletion.
fn cell_contents(columns: &[(String, Type)], change: &RowChange) -> Contents {
    match change {
        RowChange::Create(row) | RowChange::Update(row) => {
            columns.iter().map(|(column, of)| content(row.get(column), of)).collect()
        }
        RowChange::Delete => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use kuzusync_core::store::tolerant::Tolerant;
    use kuzusync_core::view::{NodeRef, Row, Table, TableKind};

    use super::*;

    /// Nodes 0 to 9 with a loop each, which `statement` then changes behind the store's back.
    fn store_after(statement: &str) -> KuzuStore {
        let columns = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Type::Int64)).collect();
        let nodes = Table { kind: TableKind::Node { primary_key: "id".to_owned() }, columns: columns(&["id", "n"]) };
        let pairs = [("N".to_owned(), "N".to_owned())].into();
        let edges = Table { kind: TableKind::Edge { pairs }, columns: columns(&["n"]) };
        let view = View {
            tables: [("N".to_owned(), nodes), ("E".to_owned(), edges)].into(),
            nodes: [("N".to_owned(), (0..10).map(|id| (Value::from(id), Row::new())).collect())].into(),
            edges: [("E".to_owned(), (0..10).map(|id| (own_edge(id), Row::new())).collect())].into(),
        };
        let mut store = KuzuStore::in_memory().unwrap();
        store.rebuild(&view).unwrap();
        store.engine.query(statement).unwrap();
        store
    }

    fn own_edge(id: i64) -> EdgeRef {
        let node = NodeRef { table: "N".to_owned(), key: id.into() };
        EdgeRef { from: node.clone(), to: node, discriminator: String::new() }
    }

    fn change_nodes(ids: std::ops::Range<i64>, change: &RowChange) -> ViewDelta {
        let changes = ids.map(|id| (Value::from(id), change.clone())).collect();
        ViewDelta { nodes: [("N".to_owned(), changes)].into(), ..ViewDelta::default() }
    }

    fn change_edges(ids: std::ops::Range<i64>, change: &RowChange) -> ViewDelta {
        let changes = ids.map(|id| (own_edge(id), change.clone())).collect();
        ViewDelta { edges: [("E".to_owned(), changes)].into(), ..ViewDelta::default() }
    }

    #[track_caller]
    fn is_in_doubt(store: &mut KuzuStore, error: &StoreError, why: &str) {
        assert!(error.message.contains(why), "{error}");
        assert!(store.apply(&ViewDelta::default()).unwrap_err().message.contains("in doubt"));
        store.rebuild(&View::default()).unwrap();
        assert_eq!(store.read().unwrap(), View::default());
    }

    #[test]
    fn a_change_that_finds_too_few_rows_is_an_error() {
        for ids in [0..1, 0..10] {
            for change in [RowChange::Update(Row::new()), RowChange::Delete] {
                let mut store = store_after("MATCH ()-[e:E]->() DELETE e");
                let error = store.apply(&change_edges(ids.clone(), &change)).unwrap_err();
                is_in_doubt(&mut store, &error, "it should have answered");
            }
            let mut store = store_after("MATCH (n:N) DETACH DELETE n");
            let error = store.apply(&change_nodes(ids.clone(), &RowChange::Update(Row::new()))).unwrap_err();
            is_in_doubt(&mut store, &error, "it should have answered");
            let mut store = store_after("MATCH (n:N) DETACH DELETE n");
            let mut edge = own_edge(0);
            edge.discriminator = "another".to_owned();
            let mut delta = change_edges(0..0, &RowChange::Delete);
            delta.edges.entry("E".to_owned()).or_default().insert(edge, RowChange::Create(Row::new()));
            let error = store.apply(&delta).unwrap_err();
            is_in_doubt(&mut store, &error, "it should have answered");
        }
    }

    #[test]
    fn a_change_that_finds_too_many_rows_is_an_error() {
        for ids in [0..1, 0..10] {
            let twice = "MATCH (n:N) CREATE (n)-[:E {`~discriminator`: ''}]->(n)";
            let mut store = store_after(twice);
            let error = store.apply(&change_edges(ids, &RowChange::Update(Row::new()))).unwrap_err();
            is_in_doubt(&mut store, &error, "it should have answered");
            let mut store = store_after(twice);
            let error = store.read().unwrap_err();
            is_in_doubt(&mut store, &error, "comes twice");
        }
    }

    #[test]
    fn a_statement_that_kuzu_refuses_is_an_error() {
        for ids in [10..11, 10..20] {
            let mut store = store_after("CREATE (:N {id: 10})");
            let error = store.apply(&change_nodes(ids, &RowChange::Create(Row::new()))).unwrap_err();
            is_in_doubt(&mut store, &error, "duplicated primary key");
        }
        let mut store = store_after("ALTER TABLE N DROP n");
        let error = store.apply(&change_nodes(0..1, &RowChange::Update(Row::new()))).unwrap_err();
        is_in_doubt(&mut store, &error, "Cannot find property n");
    }

    #[test]
    fn a_schema_change_that_kuzu_refuses_half_way_is_made_good_by_a_rebuild() {
        let mut store = Tolerant::new(store_after("ALTER TABLE N ADD x INT64"));
        let (table, column) = ("N".to_owned(), "x".to_owned());
        let drop = SchemaStep::DropColumn { table: table.clone(), column: "n".to_owned() };
        let add = SchemaStep::AddColumn { table, column, column_type: Type::Int64 };
        let delta = ViewDelta { schema: vec![drop, add], ..ViewDelta::default() };
        let error = store.apply(&delta).unwrap_err();
        assert!(error.message.contains("already has property x"), "{error}");
        let mut memory = MemoryStore::default();
        memory.rebuild(&store_after("RETURN 1").read().unwrap()).unwrap();
        memory.apply(&delta).unwrap();
        store.rebuild(memory.view()).unwrap();
        assert_eq!((store.read().unwrap(), store.unmaterialised()), (memory.view().clone(), Vec::new()));
    }

    #[test]
    fn what_no_view_can_hold_is_not_read() {
        for statement in ["ALTER TABLE N ADD x STRUCT(`order` INT8)", "ALTER TABLE E ADD x INT8[100000]"] {
            let mut store = store_after(statement);
            let error = store.read().unwrap_err();
            is_in_doubt(&mut store, &error, "column x: ");
        }
        let mut store = store_after("ALTER TABLE E DROP `~discriminator`");
        let error = store.read().unwrap_err();
        is_in_doubt(&mut store, &error, "no column ~discriminator");
    }
}
