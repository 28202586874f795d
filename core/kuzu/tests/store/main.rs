//! The Kùzu store from outside: what goes in comes out, what a database would refuse is refused, and it agrees with the
//! reference store whatever the history.
#![cfg(feature = "kuzu")]
#![expect(clippy::unwrap_used, reason = "a test panics; clippy exempts test functions only, not their helpers")]

mod adopt;
mod agreement;
mod disk;
mod doubt;
mod names;
mod refusals;
mod refused;
mod rows;
mod schema;
mod text_index;

use std::collections::BTreeMap;
use std::path::Path;

use kuzusync_core::store::GraphStore;
use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::value::sample::samples;
use kuzusync_core::value::{Field, Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, Row, RowChange, SchemaStep, Table, TableKind, View, ViewDelta};
use kuzusync_kuzu::KuzuStore;
use kuzusync_kuzu::fidelity::held;

/// The store under test and the reference, side by side.
struct Both {
    kuzu: KuzuStore,
    memory: MemoryStore,
}

impl Both {
    fn new() -> Both {
        Both { kuzu: KuzuStore::in_memory().unwrap(), memory: MemoryStore::default() }
    }

    fn on_disk(folder: &Path) -> Both {
        Both { kuzu: KuzuStore::on_disk(folder).unwrap(), memory: MemoryStore::default() }
    }

    /// The same, with the database closed as it is and opened again.
    fn reopened(self, folder: &Path) -> Both {
        let Both { kuzu, memory } = self;
        drop(kuzu);
        Both { kuzu: KuzuStore::on_disk(folder).unwrap(), memory }
    }

    /// Both accept `delta` and hold the same afterwards, but for what Kùzu holds otherwise.
    #[track_caller]
    fn apply(&mut self, delta: ViewDelta) {
        self.memory.apply(&delta).unwrap();
        self.kuzu.apply(&delta).unwrap();
        self.check();
    }

    #[track_caller]
    fn check(&mut self) {
        let read = self.kuzu.read().unwrap();
        let held = held(self.memory.view());
        assert_eq!(read.differences(&held, 10), [] as [String; 0]);
        assert_eq!(read, *held);
    }
}

fn node_table(primary_key: (&str, Type), columns: &[(&str, Type)]) -> Table {
    let kind = TableKind::Node { primary_key: primary_key.0.to_owned() };
    let columns =
        columns.iter().chain([&primary_key]).map(|(name, column)| ((*name).to_owned(), column.clone())).collect();
    Table { kind, columns }
}

fn edge_table(pairs: &[(&str, &str)], columns: &[(&str, Type)]) -> Table {
    let pairs = pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    let columns = columns.iter().map(|(name, column)| ((*name).to_owned(), column.clone())).collect();
    Table { kind: TableKind::Edge { pairs }, columns }
}

fn create_table(name: &str, table: Table) -> SchemaStep {
    SchemaStep::CreateTable { name: name.to_owned(), table }
}

fn row(cells: &[(&str, Value)]) -> Row {
    cells.iter().map(|(column, value)| ((*column).to_owned(), value.clone())).collect()
}

fn edge(from: (&str, Value), to: (&str, Value), discriminator: &str) -> EdgeRef {
    let node = |(table, key): (&str, Value)| NodeRef { table: table.to_owned(), key };
    EdgeRef { from: node(from), to: node(to), discriminator: discriminator.to_owned() }
}

fn schema(steps: impl IntoIterator<Item = SchemaStep>) -> ViewDelta {
    ViewDelta { schema: steps.into_iter().collect(), ..ViewDelta::default() }
}

fn nodes(table: &str, changes: impl IntoIterator<Item = (Value, RowChange)>) -> ViewDelta {
    let changes: BTreeMap<_, _> = changes.into_iter().collect();
    ViewDelta { nodes: BTreeMap::from([(table.to_owned(), changes)]), ..ViewDelta::default() }
}

fn edges(table: &str, changes: impl IntoIterator<Item = (EdgeRef, RowChange)>) -> ViewDelta {
    let changes: BTreeMap<_, _> = changes.into_iter().collect();
    ViewDelta { edges: BTreeMap::from([(table.to_owned(), changes)]), ..ViewDelta::default() }
}

/// Users who follow each other, with rows: 1 → 2 twice, 2 → 2 once.
fn users() -> ViewDelta {
    let user = node_table(("id", Type::Int64), &[("name", Type::String), ("age", Type::Int64)]);
    let follows = edge_table(&[("User", "User")], &[("since", Type::Int64), ("note", Type::String)]);
    let ends = |from: i64, to: i64, name| edge(("User", from.into()), ("User", to.into()), name);
    let mut delta = schema([create_table("User", user), create_table("Follows", follows)]);
    delta.nodes = nodes(
        "User",
        [
            (1.into(), RowChange::Create(row(&[("name", "Ada".into()), ("age", 36.into())]))),
            (2.into(), RowChange::Create(row(&[("name", "Bo".into())]))),
            (3.into(), RowChange::Create(Row::new())),
        ],
    )
    .nodes;
    delta.edges = edges(
        "Follows",
        [
            (ends(1, 2, ""), RowChange::Create(row(&[("since", 2001.into())]))),
            (ends(1, 2, "again"), RowChange::Create(row(&[("note", "twice".into())]))),
            (ends(2, 2, ""), RowChange::Create(Row::new())),
        ],
    )
    .edges;
    delta
}
