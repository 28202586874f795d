//! DDL Synchronisation §7 to §9 and DDL Integration Plan: databases that were there before, ways back, differences of
//! schemas, and what operators are told.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::adopt::{self, Found};
use kuzusync_core::ddl::{Column, Ddl};
use kuzusync_core::schema::Schema;
use kuzusync_core::schema::difference::difference;
use kuzusync_core::schema::history::{SchemaCounts, SchemaOutcome};
use kuzusync_core::statement::Statement;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, Row, Table, TableKind, View};
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{
    bad_links, check_list, create, create_user, create_user_table, each, node_table, rows, update, write,
};
use crate::scenario::Scenario;
use crate::schema_changes::{deliver, foreign, node_ddl};

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let peers = Options { has_main: false, ..Options::default() };
    vec![
        Scenario {
            name: "adopted-database",
            story: "The main and an edge that is offline adopt copies of one database, the edge in two attempts, then meet.",
            cases: &[Case::B5],
            claims: &["an adoption that was interrupted goes on where it stopped", "it survives a restart"],
            seed: Seed(1_301),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(adopted(cluster)),
        },
        Scenario {
            name: "way-back",
            story: "A schema is changed in six ways, and returns to what it was before, with rows written meanwhile.",
            cases: &[Case::B8],
            claims: &[],
            seed: Seed(1_302),
            options: Options::default(),
            body: |cluster| Box::pin(way_back(cluster)),
        },
        Scenario {
            name: "schema-difference",
            story: "Two peers change one schema in different ways; it is compared and merged before they meet.",
            cases: &[Case::B9],
            claims: &[],
            seed: Seed(1_303),
            options: peers.clone(),
            body: |cluster| Box::pin(compared(cluster)),
        },
        Scenario {
            name: "schema-counters",
            story: "Schema changes are applied, contradicted, refused and held back, and a peer is asked about them.",
            cases: &[Case::A6],
            claims: &[],
            seed: Seed(1_304),
            options: peers,
            body: |cluster| Box::pin(counted(cluster)),
        },
    ]
}

// ---- adoption ----

/// People, some of whom know each other twice.
fn old_database() -> Found {
    let person = Table {
        kind: TableKind::Node { primary_key: "id".into() },
        columns: BTreeMap::from([
            ("id".into(), Type::String),
            ("name".into(), Type::String),
            ("age".into(), Type::Int64),
        ]),
    };
    let pairs = BTreeSet::from([("Person".to_owned(), "Person".to_owned())]);
    let knows = Table { kind: TableKind::Edge { pairs }, columns: BTreeMap::from([("since".into(), Type::Int64)]) };
    let row = |name: &str, age: i64| Row::from([("name".into(), name.into()), ("age".into(), age.into())]);
    let nodes = [("ann", row("Ann", 30)), ("bob", row("Bob", 40)), ("cyd", row("Cyd", 50))];
    let node = |key: &str| NodeRef { table: "Person".into(), key: key.into() };
    let edge = |from: &str, to: &str, since: i64| {
        let edge = EdgeRef { from: node(from), to: node(to), discriminator: String::new() };
        (edge, Row::from([("since".to_owned(), Value::from(since))]))
    };
    let edges = adopt::number_edges([edge("ann", "bob", 1999), edge("ann", "bob", 2009), edge("bob", "cyd", 2020)]);
    let view = View {
        tables: BTreeMap::from([("Person".into(), person), ("KNOWS".into(), knows)]),
        nodes: BTreeMap::from([("Person".into(), nodes.map(|(key, row)| (Value::from(key), row)).into())]),
        edges: BTreeMap::from([("KNOWS".into(), edges)]),
    };
    let defaults = BTreeMap::from([(("Person".to_owned(), "age".to_owned()), Value::from(18))]);
    Found { view, defaults, ..Found::default() }
}

async fn adopted(cluster: &mut Cluster) {
    let (one, other, third) = (0, 1, 2);
    cluster.go_offline(other).await;
    let found = old_database();
    let transactions = adopt::transactions(&found);
    let mut accepted = true;
    for transaction in transactions.clone() {
        accepted &= cluster.submit_transaction(one, transaction).await.is_ok();
    }
    accepted &= cluster.submit_transaction(other, transactions[0].clone()).await.is_ok();
    cluster.crash(other, 0);
    cluster.restart(other).await;
    for transaction in transactions.clone() {
        accepted &= cluster.submit_transaction(other, transaction).await.is_ok();
    }
    let changes = |cluster: &Cluster| cluster.ask(other, |replica| replica.log().changes().count());
    let made = changes(cluster).unwrap_or(0);
    let words = format!("{made} changes of {} transactions", transactions.len());
    let clause = "an adoption that was interrupted goes on where it stopped";
    cluster.check(clause, made == transactions.len() && made > 1, words);
    let at_once = accepted && cluster.view(one) == found.view && cluster.view(other) == found.view;
    let words = format!("accepted: {accepted}; both show what the database holds: {at_once}");
    cluster.check("what an existing database holds is there at once, tables, rows and edges", at_once, words);
    for host in [one, other] {
        cluster.crash(host, 0);
        cluster.restart(host).await;
    }
    let is_held = |stored: Vec<View>| !stored.is_empty() && stored.iter().all(|held| *held == found.view);
    let survived = [one, other].map(|host| is_held(cluster.stored(host)));
    check_list(cluster, "it survives a restart", survived, ["true"; 2]);
    cluster.go_online(other).await;
    cluster.settle().await;
    let same = each(cluster, |host| cluster.view(host) == found.view);
    check_list(cluster, "two copies become one graph, everything in it once", same, ["true"; 3]);

    let mut done = vec![cluster.submit(third, vec![update("Person", "ann", [("name", "Anna".into())])]).await.is_ok()];
    done.push(cluster.submit(other, vec![create("Person", [("id", "dan".into())])]).await.is_ok());
    cluster.settle().await;
    let shown = each(cluster, |host| {
        let person = |id: &str, column: &str| crate::sample::shown_at(cluster, host, "Person", id, column);
        format!("{} and {}", person("ann", "name"), person("dan", "age"))
    });
    let works = done.iter().all(|is_done| *is_done);
    let shown = if works { shown } else { vec!["refused".to_owned()] };
    check_list(cluster, "tables made before keep working, with their defaults", shown, ["Anna and 18"; 3]);

    let table = node_table("City", &[("id", Type::String)]);
    write(cluster, one, table).await;
    write(cluster, one, create("City", [("id", "ulm".into())])).await;
    cluster.settle().await;
    let cities = each(cluster, |host| rows(cluster, host, "City"));
    check_list(cluster, "new ones arrive by schema changes", cities, ["1"; 3]);
}

// ---- ways back ----

fn version(cluster: &Cluster, host: u32) -> u64 {
    cluster.ask(host, |replica| replica.schema().version().operations).unwrap_or(0)
}

fn schema(cluster: &Cluster, host: u32) -> Schema {
    cluster.ask(host, |replica| replica.schema().clone()).unwrap_or_default()
}

fn by_identity(way: &[Ddl]) -> Vec<Statement> {
    way.iter().cloned().map(Statement::ByIdentity).collect()
}

async fn way_back(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let table = || "User".to_owned();
    let base = vec![create_user_table(), create_user("ann", "Ann"), node_table("City", &[("id", Type::String)])];
    let mut done = vec![cluster.submit(main, base).await.is_ok()];
    cluster.submit(main, vec![create("City", [("id", "ulm".into())])]).await.ok();
    cluster.settle().await;

    let dropped = [
        Statement::DropNodeTable { table: "City".into(), cascade: true },
        Statement::DropColumn { table: table(), column: "name".into(), cascade: false },
    ];
    done.push(cluster.submit(edge, dropped.to_vec()).await.is_ok());
    cluster.settle().await;
    let gone = cluster.view(main).tables.len();
    let back = [
        Statement::UndropTable { table: "City".into() },
        Statement::UndropColumn { table: table(), column: "name".into() },
    ];
    done.push(cluster.submit(edge, back.to_vec()).await.is_ok());
    cluster.settle().await;
    let shown = each(cluster, |host| {
        format!("{} {}", crate::sample::shown_at(cluster, host, "User", "ann", "name"), rows(cluster, host, "City"))
    });
    let shown = if gone == 1 { shown } else { vec!["nothing was gone".to_owned()] };
    check_list(cluster, "UNDROP restores a table and a column with their data", shown, ["Ann 1"; 3]);

    let (then, view_then) = (version(cluster, edge), cluster.view(edge));
    let changes = [
        Statement::RenameTable { table: table(), to: "Member".into() },
        Statement::RenameColumn { table: "Member".into(), column: "name".into(), to: "called".into() },
        Statement::AddColumn { table: "Member".into(), column: Column::new("age", Type::Int64) },
        Statement::AlterColumnType { table: "Member".into(), column: "email".into(), column_type: Type::Int64 },
        Statement::DropNodeTable { table: "City".into(), cascade: true },
        node_table("Dog", &[("id", Type::String)]),
    ];
    for statement in changes {
        done.push(cluster.submit(edge, vec![statement]).await.is_ok());
    }
    cluster.settle().await;
    done.push(cluster.submit(main, vec![create("Member", [("id", "bob".into()), ("age", 40.into())])]).await.is_ok());
    cluster.settle().await;
    let way = cluster.ask(edge, |replica| replica.way_back(then).map(|way| (replica.schema().state(), way)));
    let way = way.and_then(Result::ok).map(|(_, way)| way).unwrap_or_default();
    let words: Vec<String> = way.iter().map(|ddl| schema(cluster, edge).describe(ddl)).collect();
    let before = version(cluster, edge);
    let is_shown = way.len() >= 6 && before == then + 6 && done.iter().all(|is_done| *is_done);
    cluster.check("the way back is shown before anything is done", is_shown, words.join("; "));
    done.push(cluster.submit(edge, by_identity(&way)).await.is_ok());
    let replicas = cluster.settle().await;
    let raised = replicas.iter().filter(|state| state.schema_operations == before + way.len() as u64).count();
    let found = format!("{} operations, at {raised} of 3 replicas", way.len());
    cluster.check("it is applied as new changes", raised == 3 && done.iter().all(|is_done| *is_done), found);
    let same = replicas.iter().filter(|state| state.view.tables == view_then.tables).count();
    cluster.check("every replica shows the schema of then", same == 3, format!("{same} of 3"));
    let kept = |state: &kuzusync_sim::outcome::ReplicaState| {
        let is_kept = |id: &str| state.view.node("User", &Value::from(id)).is_some();
        is_kept("ann") && is_kept("bob") && state.view.nodes.get("City") == view_then.nodes.get("City")
    };
    let kept = replicas.iter().filter(|state| kept(state)).count();
    cluster.check("no row is lost, also none written meanwhile", kept == 3, format!("{kept} of 3"));
}

async fn compared(cluster: &mut Cluster) {
    let (one, other) = (0, 1);
    let table = || "User".to_owned();
    write(cluster, one, create_user_table()).await;
    cluster.settle().await;
    cluster.isolate(one);
    let here = vec![
        Statement::RenameTable { table: table(), to: "Member".into() },
        Statement::AddColumn { table: "Member".into(), column: Column::new("age", Type::Int32) },
        node_table("City", &[("id", Type::String)]),
    ];
    let there = vec![
        Statement::RenameColumn { table: table(), column: "name".into(), to: "called".into() },
        Statement::AddColumn { table: table(), column: Column::new("age", Type::Int64) },
        Statement::CommentOnTable { table: table(), comment: "who signs in".into() },
        node_table("City", &[("id", Type::Int64)]),
    ];
    let mut done = vec![cluster.submit(one, here).await.is_ok()];
    cluster.wait(2_000).await;
    done.push(cluster.submit(other, there).await.is_ok());
    cluster.wait(2_000).await;
    let (of_one, of_other) = (schema(cluster, one), schema(cluster, other));
    let way = difference(&of_one, &of_other);
    let words: Vec<String> = way.iter().map(|ddl| of_one.describe(ddl)).collect();
    let is_list = done.iter().all(|is_done| *is_done) && way.len() >= 4 && difference(&of_one, &of_one).is_empty();
    cluster.check("the difference of two schemas is an ordered list of operations", is_list, words.join("; "));
    let mut merged = [of_one.clone(), of_other.clone()];
    merged[0].merge(&of_other);
    merged[1].merge(&of_one);
    cluster.heal();
    cluster.settle().await;
    let converged = each(cluster, |host| schema(cluster, host).version().digest);
    let [forth, back] = merged.map(|merged| merged.version().digest);
    let expected = vec![forth; 3];
    let clause = "merging two, either way round, gives what concurrent history gives";
    check_list(cluster, clause, converged, if forth == back { expected } else { Vec::new() });

    let way = difference(&schema(cluster, other), &of_other);
    let applied = cluster.submit(other, by_identity(&way)).await.is_ok();
    cluster.settle().await;
    let same = each(cluster, |host| applied && schema(cluster, host).shape() == of_other.shape());
    check_list(cluster, "carried out on the one it gives the other", same, ["true"; 3]);
}

// ---- what operators are told ----

async fn counted(cluster: &mut Cluster) {
    let (one, other) = (0, 1);
    write(cluster, one, create_user_table()).await;
    cluster.settle().await;
    cluster.isolate(one);
    let rename = |to: &str| Statement::RenameTable { table: "User".into(), to: to.into() };
    let mut done = vec![cluster.submit(one, vec![rename("Member")]).await.is_ok()];
    cluster.wait(1_000).await;
    done.push(cluster.submit(other, vec![rename("Customer")]).await.is_ok());
    cluster.heal();
    cluster.settle().await;
    let refused = cluster.submit(one, vec![rename("_id")]).await.is_err();
    let cause = foreign(60, &[], node_ddl("Cause"));
    let effect = foreign(61, &[cause.id], node_ddl("Effect"));
    deliver(cluster, &effect).await;
    let told = |cluster: &Cluster| cluster.ask(one, |replica| replica.schema_counts()).unwrap_or_default();
    let counts = told(cluster);
    let expected = SchemaCounts { applied: 3, waiting: 1, refused: 1, conflicting: 2 };
    let holds = counts == expected && refused && done.iter().all(|is_done| *is_done);
    let clause = "applied, waiting, refused and conflicting operations are counted";
    cluster.check(clause, holds, format!("{counts:?}"));
    let log = cluster.ask(one, |replica| replica.schema_log()).unwrap_or_default();
    let names = log.iter().map(|event| {
        let outcome = match &event.outcome {
            SchemaOutcome::Applied { version } => format!("version {version}"),
            SchemaOutcome::Waiting => "waiting".to_owned(),
            SchemaOutcome::Refused { reason } => reason.clone(),
        };
        format!("{}: {outcome}, {} conflicts", event.operation, event.conflicts.len())
    });
    let expected = [
        "CREATE NODE TABLE: version 1, 0 conflicts",
        "RENAME TABLE: version 2, 1 conflicts",
        "RENAME TABLE: version 3, 1 conflicts",
        "CREATE NODE TABLE: waiting, 0 conflicts",
    ];
    check_list(cluster, "the log tells of each what became of it", names, expected);
    deliver(cluster, &cause).await;
    let counts = told(cluster);
    let holds = counts.applied == 5 && counts.waiting == 0;
    cluster.check("what waited is counted as applied once it is", holds, format!("{counts:?}"));
    cluster.settle().await;
}
