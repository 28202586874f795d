//! DDL Synchronisation §1: every schema operation, alone, on both sides of a partition, and beside writes.
//!
//! Each of the thirteen documented operations is carried out on one small graph in three situations. What counts is the
//! same in all: every replica has it, all are at one version, which counts every operation once, and no row, value or
//! edge is lost. What an operation hides is looked at after it is taken back.

use kuzusync_core::change::Op;
use kuzusync_core::ddl::{Column, IndexKind};
use kuzusync_core::schema::Schema;
use kuzusync_core::statement::Statement;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, View};
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::options::Options;
use kuzusync_sim::outcome::ReplicaState;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{bad_links, connect, create, each, edge_table, node_table, update};
use crate::scenario::Scenario;

/// The three scenarios of one operation.
macro_rules! operation {
    ($case:ident, $name:literal, $operation:ident, $seed:literal) => {
        [
            Scenario {
                name: $name,
                story: concat!("An edge runs ", $name, "; all replicas follow."),
                cases: &[Case::$case],
                claims: &[],
                seed: Seed($seed),
                options: Options::default(),
                body: |cluster| Box::pin(alone(cluster, &$operation)),
            },
            Scenario {
                name: concat!($name, "-across-a-partition"),
                story: concat!("Two peers that cannot reach each other both run ", $name, ", as one migration."),
                cases: &[Case::$case],
                claims: &[],
                seed: Seed($seed + 1),
                options: Options { has_main: false, links: bad_links(), ..Options::default() },
                body: |cluster| Box::pin(across_a_partition(cluster, &$operation)),
            },
            Scenario {
                name: concat!($name, "-beside-writes"),
                story: concat!("One edge runs ", $name, " while another, offline, writes to what it changes."),
                cases: &[Case::$case],
                claims: &[],
                seed: Seed($seed + 2),
                options: Options { links: bad_links(), ..Options::default() },
                body: |cluster| Box::pin(beside_writes(cluster, &$operation)),
            },
        ]
    };
}

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    [
        operation!(B1_1, "create-node-table", CREATE_NODE_TABLE, 1_010),
        operation!(B1_2, "create-edge-table", CREATE_EDGE_TABLE, 1_020),
        operation!(B1_3, "drop-node-table", DROP_NODE_TABLE, 1_030),
        operation!(B1_4, "drop-edge-table", DROP_EDGE_TABLE, 1_040),
        operation!(B1_5, "rename-table", RENAME_TABLE, 1_050),
        operation!(B1_6, "add-column", ADD_COLUMN, 1_060),
        operation!(B1_7, "drop-column", DROP_COLUMN, 1_070),
        operation!(B1_8, "rename-column", RENAME_COLUMN, 1_080),
        operation!(B1_9, "alter-column-type", ALTER_COLUMN_TYPE, 1_090),
        operation!(B1_10, "create-index", CREATE_INDEX, 1_100),
        operation!(B1_11, "drop-index", DROP_INDEX, 1_110),
        operation!(B1_12, "comment-on-table", COMMENT_ON_TABLE, 1_120),
        operation!(B1_13, "comment-on-column", COMMENT_ON_COLUMN, 1_130),
    ]
    .concat()
}

// ---- the operations ----

/// An operation, and how to tell that it was carried out.
struct Operation {
    statement: fn() -> Statement,
    /// Whether a schema has it.
    is_done: fn(&Schema) -> bool,
    /// What brings back what it hides.
    undo: fn() -> Vec<Statement>,
    /// What the table of people and their names is called afterwards.
    people: (&'static str, &'static str),
}

/// One that hides nothing and renames nothing.
const PLAIN: Operation = Operation {
    statement: || Statement::CommentOnTable { table: "Person".into(), comment: String::new() },
    is_done: |_| true,
    undo: Vec::new,
    people: ("Person", "name"),
};

const CREATE_NODE_TABLE: Operation = Operation {
    statement: || node_table("Dog", &[("id", Type::String), ("owner", Type::String)]),
    is_done: |schema| has_table(schema, "Dog"),
    ..PLAIN
};

const CREATE_EDGE_TABLE: Operation = Operation {
    statement: || edge_table("VISITED", "Person", "City"),
    is_done: |schema| has_table(schema, "VISITED"),
    ..PLAIN
};

const DROP_NODE_TABLE: Operation = Operation {
    statement: || Statement::DropNodeTable { table: "City".into(), cascade: true },
    is_done: |schema| !has_table(schema, "City") && !has_table(schema, "LIVES_IN"),
    undo: || ["City", "LIVES_IN"].map(|table| Statement::UndropTable { table: table.into() }).to_vec(),
    ..PLAIN
};

const DROP_EDGE_TABLE: Operation = Operation {
    statement: || Statement::DropEdgeTable { table: "KNOWS".into() },
    is_done: |schema| !has_table(schema, "KNOWS"),
    undo: || vec![Statement::UndropTable { table: "KNOWS".into() }],
    ..PLAIN
};

const RENAME_TABLE: Operation = Operation {
    statement: || Statement::RenameTable { table: "Person".into(), to: "Human".into() },
    is_done: |schema| has_table(schema, "Human") && !has_table(schema, "Person"),
    people: ("Human", "name"),
    ..PLAIN
};

const ADD_COLUMN: Operation = Operation {
    statement: || {
        let column = Column { default: Some(Value::from(0)), ..Column::new("visits", Type::Int64) };
        Statement::AddColumn { table: "Person".into(), column }
    },
    is_done: |schema| type_of(schema, "visits") == Some(Type::Int64),
    ..PLAIN
};

const DROP_COLUMN: Operation = Operation {
    // `age` is covered by an index, which goes with it.
    statement: || Statement::DropColumn { table: "Person".into(), column: "age".into(), cascade: true },
    is_done: |schema| type_of(schema, "age").is_none() && !has_index(schema, "by_age"),
    undo: || vec![Statement::UndropColumn { table: "Person".into(), column: "age".into() }],
    ..PLAIN
};

const RENAME_COLUMN: Operation = Operation {
    statement: || Statement::RenameColumn { table: "Person".into(), column: "name".into(), to: "called".into() },
    is_done: |schema| type_of(schema, "called") == Some(Type::String) && type_of(schema, "name").is_none(),
    people: ("Person", "called"),
    ..PLAIN
};

const ALTER_COLUMN_TYPE: Operation = Operation {
    statement: || {
        let (table, column) = ("Person".into(), "age".into());
        Statement::AlterColumnType { table, column, column_type: Type::String }
    },
    is_done: |schema| type_of(schema, "age") == Some(Type::String),
    ..PLAIN
};

const CREATE_INDEX: Operation = Operation {
    statement: || {
        let (table, index, columns) = ("Person".into(), "by_name".into(), vec!["name".into()]);
        Statement::CreateIndex { table, index, kind: IndexKind::Value, columns }
    },
    is_done: |schema| has_index(schema, "by_name"),
    ..PLAIN
};

const DROP_INDEX: Operation = Operation {
    statement: || Statement::DropIndex { table: "Person".into(), index: "by_age".into() },
    is_done: |schema| !has_index(schema, "by_age"),
    ..PLAIN
};

const COMMENT_ON_TABLE: Operation = Operation {
    statement: || Statement::CommentOnTable { table: "Person".into(), comment: "who we know".into() },
    is_done: |schema| {
        let table = schema.table_named("Person").map(|(_, table)| table);
        table.and_then(|table| table.comment()) == Some("who we know")
    },
    ..PLAIN
};

const COMMENT_ON_COLUMN: Operation = Operation {
    statement: || {
        let (table, column) = ("Person".into(), "age".into());
        Statement::CommentOnColumn { table, column, comment: "in years".into() }
    },
    is_done: |schema| {
        let table = schema.table_named("Person").map(|(_, table)| table);
        let column = table.and_then(|table| table.column_named("age")).map(|(_, column)| column);
        column.and_then(|column| column.comment()) == Some("in years")
    },
    ..PLAIN
};

fn has_table(schema: &Schema, name: &str) -> bool {
    schema.table_named(name).is_some()
}

/// The type of a person's column, under whatever name the table goes.
fn type_of(schema: &Schema, column: &str) -> Option<Type> {
    let (_, table) = schema.resolve_table("Person")?;
    table.column_named(column).map(|(_, column)| column.column_type().clone())
}

fn has_index(schema: &Schema, name: &str) -> bool {
    schema.table_named("Person").is_some_and(|(_, table)| table.index_named(name).is_some())
}

// ---- the graph ----

/// People who know each other and live in cities.
fn base() -> Vec<Statement> {
    let columns = [("id", Type::String), ("name", Type::String), ("age", Type::Int64)];
    let (table, index, columns_covered) = ("Person".into(), "by_age".into(), vec!["age".into()]);
    vec![
        node_table("Person", &columns),
        node_table("City", &[("id", Type::String)]),
        edge_table("KNOWS", "Person", "Person"),
        edge_table("LIVES_IN", "Person", "City"),
        Statement::CreateIndex { table, index, kind: IndexKind::Value, columns: columns_covered },
        create("Person", [("id", "ann".into()), ("name", "Ann".into()), ("age", 30.into())]),
        create("Person", [("id", "bob".into()), ("name", "Bob".into()), ("age", 40.into())]),
        create("City", [("id", "ulm".into())]),
        connect("KNOWS", ("Person", "ann"), ("Person", "bob")),
        connect("LIVES_IN", ("Person", "ann"), ("City", "ulm")),
    ]
}

/// What somebody writes who knows nothing of the operation.
fn writes() -> Vec<Statement> {
    vec![
        update("Person", "ann", [("name", "Anna".into()), ("age", 31.into())]),
        create("Person", [("id", "cyd".into()), ("name", "Cyd".into()), ("age", 50.into())]),
        connect("KNOWS", ("Person", "bob"), ("Person", "cyd")),
        create("City", [("id", "bonn".into())]),
        connect("LIVES_IN", ("Person", "bob"), ("City", "bonn")),
    ]
}

/// What is there if nothing was lost, in words, with whether a view shows it.
fn missing(view: &View, operation: &Operation, with_writes: bool) -> Vec<&'static str> {
    let (people, name) = operation.people;
    let person = |id: &str, column: &str| {
        let row = view.node(people, &Value::from(id));
        row.and_then(|row| row.get(column)).map(|value| value.to_string().replace('"', ""))
    };
    let edge = |edges: &str, from: &str, (table, to): (&str, &str)| {
        let node = |table: &str, key: &str| NodeRef { table: table.into(), key: key.into() };
        let edge = EdgeRef { from: node(people, from), to: node(table, to), discriminator: String::new() };
        view.edges.get(edges).is_some_and(|edges| edges.contains_key(&edge))
    };
    let city = |id: &str| view.node("City", &Value::from(id)).is_some();
    let (name_of_ann, age_of_ann) = if with_writes { ("Anna", "31") } else { ("Ann", "30") };
    let mut expected = vec![
        (person("ann", name).as_deref() == Some(name_of_ann), "the name of ann"),
        (person("ann", "age").as_deref() == Some(age_of_ann), "the age of ann"),
        (person("bob", "age").as_deref() == Some("40"), "the age of bob"),
        (edge("KNOWS", "ann", (people, "bob")), "ann knows bob"),
        (city("ulm"), "the city of ulm"),
        (edge("LIVES_IN", "ann", ("City", "ulm")), "ann lives in ulm"),
    ];
    if with_writes {
        expected.extend([
            (person("cyd", name).as_deref() == Some("Cyd"), "the name of cyd"),
            (person("cyd", "age").as_deref() == Some("50"), "the age of cyd"),
            (edge("KNOWS", "bob", (people, "cyd")), "bob knows cyd"),
            (city("bonn"), "the city of bonn"),
            (edge("LIVES_IN", "bob", ("City", "bonn")), "bob lives in bonn"),
        ]);
    }
    expected.into_iter().filter(|(is_there, _)| !is_there).map(|(_, what)| what).collect()
}

// ---- the situations ----

async fn alone(cluster: &mut Cluster, operation: &Operation) {
    let (main, edge) = (0, 1);
    let mut done = vec![cluster.submit(main, base()).await.is_ok()];
    cluster.settle().await;
    done.push(cluster.submit(edge, vec![(operation.statement)()]).await.is_ok());
    let replicas = cluster.settle().await;
    judge(cluster, operation, &done, &replicas, false).await;
}

async fn across_a_partition(cluster: &mut Cluster, operation: &Operation) {
    let (here, there) = (0, 2);
    let mut done = vec![cluster.submit(here, base()).await.is_ok()];
    cluster.settle().await;
    cluster.isolate(here);
    done.push(cluster.submit(here, vec![(operation.statement)()]).await.is_ok());
    cluster.wait(1_000).await;
    done.push(cluster.submit(there, vec![(operation.statement)()]).await.is_ok());
    cluster.wait(1_000).await;
    cluster.heal();
    let replicas = cluster.settle().await;
    judge(cluster, operation, &done, &replicas, false).await;
}

async fn beside_writes(cluster: &mut Cluster, operation: &Operation) {
    let (main, edge, other) = (0, 1, 2);
    let mut done = vec![cluster.submit(main, base()).await.is_ok()];
    cluster.settle().await;
    cluster.go_offline(other).await;
    done.push(cluster.submit(edge, vec![(operation.statement)()]).await.is_ok());
    cluster.wait(1_000).await;
    for statement in writes() {
        done.push(cluster.submit(other, vec![statement]).await.is_ok());
    }
    cluster.go_online(other).await;
    let replicas = cluster.settle().await;
    judge(cluster, operation, &done, &replicas, true).await;
}

/// Checks the clauses that all operations share.
async fn judge(
    cluster: &mut Cluster,
    operation: &Operation,
    done: &[bool],
    replicas: &[ReplicaState],
    with_writes: bool,
) {
    let have = each(cluster, |host| cluster.ask(host, |replica| (operation.is_done)(replica.schema())));
    let have = have.iter().filter(|has| **has == Some(true)).count();
    let accepted = done.iter().filter(|is_ok| **is_ok).count();
    let found = format!("{have} of 3 replicas; {accepted} of {} transactions were accepted", done.len());
    cluster.check("every replica has it", have == 3 && accepted == done.len(), found);

    check_version(cluster, replicas);

    let undo = (operation.undo)();
    let undone = undo.is_empty() || cluster.submit(1, undo).await.is_ok();
    let replicas = cluster.settle().await;
    let lost: Vec<&str> = replicas.iter().flat_map(|state| missing(&state.view, operation, with_writes)).collect();
    let kept = if lost.is_empty() { "everything is there".to_owned() } else { format!("missing: {}", lost.join(", ")) };
    cluster.check("nothing is lost", undone && lost.is_empty() && replicas.len() == 3, kept);
}

/// Checks that all replicas are at one schema version, and that it counts every operation in their logs once.
pub(crate) fn check_version(cluster: &mut Cluster, replicas: &[ReplicaState]) {
    let in_log = |state: &ReplicaState| {
        let changes = state.log.iter().map(|entry| &entry.change);
        changes.flat_map(|change| &change.ops).filter(|op| matches!(op, Op::Schema(_))).count() as u64
    };
    let exact = replicas.iter().filter(|state| state.schema_operations == in_log(state)).count();
    let versions: Vec<String> = replicas.iter().map(|state| state.schema_operations.to_string()).collect();
    let are_equal = replicas.windows(2).all(|pair| {
        let version = |state: &ReplicaState| (state.schema_operations, state.schema_digest);
        version(&pair[0]) == version(&pair[1])
    });
    let found = format!("versions {}, each the number of schema operations in the log: {exact}", versions.join(", "));
    let holds = are_equal && exact == replicas.len() && !replicas.is_empty();
    cluster.check("all are at one version, which counts every operation once", holds, found);
}
