//! DDL Synchronisation §2 to §6 and DDL Integration Plan: what a client sees of schema changes, what they wait for, what is
//! refused, and that any number of them at once ends in one schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use kuzusync_core::change::{Change, ChangeId, ChangeKind, Op};
use kuzusync_core::clock::{Seen, Timestamp, VectorClock};
use kuzusync_core::ddl::{Column, Ddl, IndexKind};
use kuzusync_core::id::{Digest, ReplicaId, TableId, TxId};
use kuzusync_core::message::{Delivery, Entry, Message};
use kuzusync_core::replica::Notice;
use kuzusync_core::statement::{Statement, Transaction};
use kuzusync_core::store::text_index::{TextIndex, TextIndexes};
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::View;
use kuzusync_sim::clock::START_MS;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::outcome::ReplicaState;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{
    bad_links, check_list, create, create_user, create_user_table, each, edge_table, node_table, shown, update, write,
};
use crate::scenario::Scenario;
use crate::schema::check_version;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let peers = Options { has_main: false, ..Options::default() };
    vec![
        Scenario {
            name: "schema-state",
            story: "A client changes the schema and asks for its state, at every replica.",
            cases: &[Case::B2],
            claims: &[],
            seed: Seed(1_201),
            options: Options::default(),
            body: |cluster| Box::pin(schema_state(cluster)),
        },
        Scenario {
            name: "schema-dependencies",
            story: "Schema changes that depend on each other arrive in every order, as a diamond and as a circle.",
            cases: &[Case::B3, Case::B4],
            claims: &[],
            seed: Seed(1_202),
            options: peers.clone(),
            body: |cluster| Box::pin(dependencies(cluster)),
        },
        Scenario {
            name: "bad-definitions",
            story: "Clients ask for schema changes that cannot be.",
            cases: &[Case::B6],
            claims: &[],
            seed: Seed(1_203),
            options: Options { replicas: 2, ..Options::default() },
            body: |cluster| Box::pin(bad_definitions(cluster)),
        },
        Scenario {
            name: "change-kinds",
            story: "A client writes rows, changes the schema, and does so after a change that it names.",
            cases: &[Case::A1],
            claims: &[],
            seed: Seed(1_204),
            options: Options::default(),
            body: |cluster| Box::pin(change_kinds(cluster)),
        },
        Scenario {
            name: "templates",
            story: "A migration with IF NOT EXISTS and with defaults that look like nothing is run twice.",
            cases: &[Case::A2],
            claims: &[],
            seed: Seed(1_205),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(templates(cluster)),
        },
        Scenario {
            name: "schema-restart",
            story: "Every replica dies after a dozen schema changes and starts again from its disk.",
            cases: &[Case::A3],
            claims: &[],
            seed: Seed(1_206),
            options: Options::default(),
            body: |cluster| Box::pin(restart(cluster)),
        },
        Scenario {
            name: "full-text-index",
            story: "A full-text index is asked for, and what it covers is renamed, dropped and brought back.",
            cases: &[],
            claims: &[
                "the stores build what they can of what is asked for",
                "what is built says so, and the rest is recorded, not materialised",
                "an index follows its table and column to other names",
                "without its table it stands nowhere, and with it again",
                "a restart leaves the indexes that stood",
                "a dropped index stands nowhere",
            ],
            seed: Seed(1_209),
            options: Options { replicas: 2, ..Options::default() },
            body: |cluster| Box::pin(full_text_index(cluster)),
        },
        Scenario {
            name: "rows-beside-schema",
            story: "A row arrives before the column it needs, and rows are written by names of long ago.",
            cases: &[Case::A4],
            claims: &[],
            seed: Seed(1_207),
            options: peers,
            body: |cluster| Box::pin(rows_beside_schema(cluster)),
        },
        Scenario {
            name: "thousand-schema-changes",
            story: "Five peers that cannot reach each other run 200 schema changes each, on the same tables.",
            cases: &[Case::A5],
            claims: &[],
            seed: Seed(1_208),
            options: Options { replicas: 5, has_main: false, settle_ms_max: 120_000, ..Options::default() },
            body: |cluster| Box::pin(thousand(cluster)),
        },
    ]
}

fn add_column(table: &str, column: Column) -> Statement {
    Statement::AddColumn { table: table.into(), column }
}

fn with_default(name: &str, column_type: Type, default: impl Into<Value>) -> Column {
    Column { default: Some(default.into()), ..Column::new(name, column_type) }
}

// ---- what a client sees ----

async fn schema_state(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let made = cluster.submit(main, vec![create_user_table()]).await;
    cluster.settle().await;
    let added = cluster.submit(edge, vec![add_column("User", with_default("visits", Type::Int64, 0))]).await;
    let seen_at_once = cluster.view(edge).tables.get("User").is_some_and(|table| table.columns.contains_key("visits"));
    let found = format!("made: {}, added: {}, shown at once: {seen_at_once}", made.is_ok(), added.is_ok());
    cluster.check("a client's change is applied at once", made.is_ok() && added.is_ok() && seen_at_once, found);
    cluster.settle().await;
    let states = each(cluster, |host| {
        cluster.ask(host, |replica| {
            let state = replica.schema_state();
            let tables: Vec<String> =
                state.tables.iter().map(|(name, table)| format!("{name} of {} columns", table.columns.len())).collect();
            format!("version {}: {}", state.version, tables.join(" and "))
        })
    });
    let states = states.into_iter().flatten();
    check_list(cluster, "the state tells version and tables", states, ["version 2: User of 4 columns"; 3]);
}

async fn change_kinds(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let table = cluster.submit(main, vec![create_user_table()]).await;
    cluster.settle().await;
    let row = cluster.submit(edge, vec![create_user("ann", "Ann")]).await;
    let tx = cluster.next_tx();
    let depends_on: Vec<ChangeId> = row.iter().copied().collect();
    let statements = vec![add_column("User", Column::new("age", Type::Int64))];
    let after = Transaction { tx, statements, depends_on: depends_on.clone(), ..Transaction::default() };
    let column = cluster.submit_transaction(edge, after).await;
    let replicas = cluster.settle().await;
    let find = |id: &Result<ChangeId, String>| {
        let log = replicas.iter().map(|state| state.log.iter().find(|entry| Ok(entry.change.id) == *id));
        log.flatten().map(|entry| Arc::clone(&entry.change)).collect::<Vec<_>>()
    };
    let kinds = [&table, &row, &column].map(|id| {
        let kinds: Vec<&str> = find(id).iter().map(|change| change.kind().name()).collect();
        kinds.join(" ")
    });
    let expected = [ChangeKind::Ddl, ChangeKind::Dml, ChangeKind::Ddl].map(|kind| [kind.name(); 3].join(" "));
    check_list(cluster, "a change tells whether it is DML or DDL", kinds, expected);
    let carried = find(&column).iter().filter(|change| change.depends_on == depends_on).count();
    let found = format!("{carried} of 3 replicas hold it with the change it names");
    cluster.check("a change carries what it depends on", carried == 3 && depends_on.len() == 1, found);
}

async fn templates(cluster: &mut Cluster) {
    let (main, edge, other) = (0, 1, 2);
    let if_not_exists = |statement| Statement::IfNotExists(Box::new(statement));
    let columns = vec![
        Column::new("id", Type::String),
        with_default("visits", Type::Int64, 0),
        with_default("active", Type::Bool, false),
        with_default("note", Type::String, ""),
    ];
    let (table, primary_key) = ("User".to_owned(), "id".to_owned());
    let migration = vec![
        if_not_exists(Statement::CreateNodeTable { table, columns, primary_key }),
        if_not_exists(add_column("User", with_default("score", Type::Double, 0.0))),
    ];
    let first = cluster.submit(main, migration.clone()).await;
    cluster.settle().await;
    write(cluster, edge, create("User", [("id", "ann".into())])).await;
    let before = cluster.view(main).tables;
    let again = cluster.submit(other, migration).await;
    let replicas = cluster.settle().await;
    let same = replicas.iter().filter(|state| state.view.tables == before).count();
    let found = format!("run again it is accepted: {}; {same} of 3 schemas are as before", again.is_ok());
    cluster.check("IF NOT EXISTS of what exists changes nothing", first.is_ok() && again.is_ok() && same == 3, found);
    for (column, value) in [("visits", "0"), ("active", "false"), ("note", ""), ("score", "0.0")] {
        let clause = match column {
            "visits" => "a default of 0 is shown",
            "active" => "a default of false is shown",
            "note" => "a default of the empty text is shown",
            _ => "the default of a column added later is shown",
        };
        check_list(cluster, clause, shown(cluster, "User", "ann", column), [value; 3]);
    }
}

async fn restart(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let mut done = vec![cluster.submit(main, vec![create_user_table(), create_user("ann", "Ann")]).await.is_ok()];
    cluster.settle().await;
    let index = ("by_name".to_owned(), IndexKind::FullText, vec!["name".to_owned()]);
    let table = || "User".to_owned();
    let statements = [
        add_column("User", with_default("visits", Type::Int64, 0)),
        Statement::RenameColumn { table: table(), column: "email".into(), to: "mail".into() },
        Statement::CreateIndex { table: table(), index: index.0, kind: index.1, columns: index.2 },
        Statement::CommentOnTable { table: table(), comment: "who signs in".into() },
        Statement::AlterColumnType { table: table(), column: "visits".into(), column_type: Type::String },
        Statement::DropColumn { table: table(), column: "mail".into(), cascade: false },
        edge_table("FOLLOWS", "User", "User"),
    ];
    for statement in statements {
        done.push(cluster.submit(edge, vec![statement]).await.is_ok());
    }
    cluster.settle().await;
    let told = |cluster: &Cluster| {
        each(cluster, |host| cluster.ask(host, |replica| (replica.schema().version(), replica.schema().shown_tables())))
    };
    let before = told(cluster);
    for host in cluster.hosts() {
        cluster.crash(host, 0);
    }
    for host in cluster.hosts() {
        cluster.restart(host).await;
    }
    let after = told(cluster);
    let accepted = done.iter().all(|is_done| *is_done) && before.iter().all(Option::is_some);
    let versions = |of: &[Option<(_, _)>]| -> Vec<u64> {
        let version = |state: &Option<(kuzusync_core::schema::SchemaVersion, _)>| {
            state.as_ref().map_or(0, |(version, _): &(_, BTreeMap<TableId, _>)| version.operations)
        };
        of.iter().map(version).collect()
    };
    let found = format!("before {:?}, after {:?}", versions(&before), versions(&after));
    cluster.check("version, operations and tables survive a restart", accepted && before == after, found);
    let undropped = cluster.submit(edge, vec![Statement::UndropColumn { table: table(), column: "mail".into() }]).await;
    cluster.settle().await;
    let found = format!("UNDROP of a column dropped before the restart: {}", words(&undropped));
    cluster.check("what was dropped before can still be brought back", undropped.is_ok(), found);
}

async fn full_text_index(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let index = |table: &str, index: &str, kind, columns: &[&str]| Statement::CreateIndex {
        table: table.into(),
        index: index.into(),
        kind,
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("ann", "Ann")).await;
    write(cluster, main, index("User", "words", IndexKind::FullText, &["name"])).await;
    // Kùzu cannot be trusted with the name of the first, and has no indexes like the second.
    write(cluster, main, index("User", "by words", IndexKind::FullText, &["name", "email"])).await;
    write(cluster, main, index("User", "by_name", IndexKind::Value, &["name"])).await;
    let replicas = cluster.settle().await;
    check_built(cluster, "the stores build what they can of what is asked for", &["User", "words", "name"]);
    let recorded =
        replicas.iter().filter_map(|state| Some(state.shape.get("User")?.recorded("User", &state.text_indexes)));
    let lines: Vec<String> = recorded.map(|lines| lines.join("; ")).collect();
    let words_is_built = |state: &ReplicaState| state.text_indexes.values().all(|built| !built.is_empty());
    let right = replicas.iter().zip(&lines).filter(|(state, lines)| {
        let others = ["INDEX by words ON User(name, email)", "INDEX by_name ON User(name)"];
        let is_recorded = |what: &str| lines.contains(&format!("{what}: recorded, not materialised"));
        others.into_iter().all(is_recorded) && lines.contains("INDEX words ON User(name)") != words_is_built(state)
    });
    let (right, found) = (right.count(), lines.join(" / "));
    cluster.check("what is built says so, and the rest is recorded, not materialised", right == 2, found);
    let rows = ["bea", "cyd", "dan", "eve", "fay"].map(|id| create_user(id, "Some Name"));
    cluster.submit(edge, rows.to_vec()).await.expect("no store has a say in it");
    let (table, column) = ("User".to_owned(), "name".to_owned());
    write(cluster, edge, Statement::RenameColumn { table: table.clone(), column, to: "title".into() }).await;
    write(cluster, edge, Statement::RenameTable { table, to: "Person".into() }).await;
    write(cluster, edge, update("Person", "ann", [("title", "Anna".into())])).await;
    cluster.settle().await;
    check_built(cluster, "an index follows its table and column to other names", &["Person", "words", "title"]);
    let table = "Person".to_owned();
    write(cluster, main, Statement::DropNodeTable { table: table.clone(), cascade: false }).await;
    cluster.settle().await;
    let gone = built(cluster);
    write(cluster, main, Statement::UndropTable { table: table.clone() }).await;
    cluster.settle().await;
    let is_gone = gone.iter().all(|line| line.ends_with(": none"));
    let is_back = built(cluster) == expected(cluster, &["Person", "words", "title"]);
    let found = format!("without: {}; then: {}", gone.join(", "), built(cluster).join(", "));
    cluster.check("without its table it stands nowhere, and with it again", is_gone && is_back, found);
    for host in [main, edge] {
        cluster.crash(host, 0);
        cluster.restart(host).await;
    }
    cluster.settle().await;
    check_built(cluster, "a restart leaves the indexes that stood", &["Person", "words", "title"]);
    write(cluster, edge, Statement::DropIndex { table, index: "words".into() }).await;
    cluster.settle().await;
    check_built(cluster, "a dropped index stands nowhere", &[]);
}

/// What each store of each host has built, in words.
fn built(cluster: &Cluster) -> Vec<String> {
    let of_store = |(store, indexes): (String, TextIndexes)| {
        let named = |(index, columns): (&TextIndex, &Vec<String>)| format!("{index}({})", columns.join(", "));
        let indexes: Vec<String> = indexes.iter().map(named).collect();
        format!("{store}: {}", if indexes.is_empty() { "none".to_owned() } else { indexes.join(" and ") })
    };
    cluster.hosts().flat_map(|host| cluster.text_indexes(host).into_iter().map(of_store)).collect()
}

/// The same as it should be, if a store that can builds this index: table, name and column.
fn expected(cluster: &Cluster, index: &[&str]) -> Vec<String> {
    let stores = cluster.hosts().flat_map(|host| cluster.text_indexes(host).into_keys());
    let of_store = |store: String| match (store.as_str(), index) {
        // The reference store has none, and on disk Kùzu cannot be trusted with one.
        ("kuzu", [table, name, column]) => format!("{store}: {name} ON {table}({column})"),
        _ => format!("{store}: none"),
    };
    stores.map(of_store).collect()
}

fn check_built(cluster: &mut Cluster, clause: &str, index: &[&str]) {
    let (built, expected) = (built(cluster), expected(cluster, index));
    cluster.check(clause, built == expected, built.join(", "));
}

fn words(result: &Result<ChangeId, String>) -> String {
    result.as_ref().map_or_else(String::clone, ToString::to_string)
}

// ---- what waits ----

/// A peer that exists in messages only.
fn stranger(number: u8) -> ReplicaId {
    ReplicaId([number; 16])
}

/// The first change of a stranger, who has seen nothing and names what must be applied before.
pub(crate) fn foreign(author: u8, depends_on: &[ChangeId], ddl: Ddl) -> Change {
    Change {
        id: ChangeId { replica: stranger(author), seq: 1 },
        tx: TxId(Digest::of(&[b"foreign", &[author]]).0),
        previous: Digest::default(),
        timestamp: Timestamp::at_ms(START_MS + i64::from(author)),
        link_epoch: 0,
        authority_epochs: BTreeMap::new(),
        seen: Seen::default(),
        depends_on: depends_on.to_vec(),
        replaces: None,
        expects: Vec::new(),
        participants: Vec::new(),
        ops: vec![Op::Schema(ddl)],
    }
}

pub(crate) fn node_ddl(name: &str) -> Ddl {
    let columns = vec![Column::new("id", Type::String)];
    Ddl::CreateNodeTable { name: name.into(), birth: 0, columns, primary_key: "id".into() }
}

fn edge_ddl(name: &str, from: &Ddl, to: &Ddl) -> Ddl {
    let (from, to) = (from.table_id(), to.table_id());
    Ddl::CreateEdgeTable { name: name.into(), birth: 0, from, to, columns: Vec::new() }
}

/// Hands host 0 a change as if from host 1.
pub(crate) async fn deliver(cluster: &mut Cluster, change: &Change) -> bool {
    let entry = Entry { change: Arc::new(change.clone()), lsn: None };
    let deliveries = vec![Delivery::Change(entry)];
    let bytes = Message::Changes { clock: VectorClock::default(), deliveries }.encode();
    cluster.inject(0, 1, bytes).await == Some(Ok(()))
}

fn has_tables(cluster: &Cluster, names: &[String]) -> bool {
    names.iter().all(|name| cluster.view(0).tables.contains_key(name))
}

async fn dependencies(cluster: &mut Cluster) {
    write(cluster, 0, create_user_table()).await;
    cluster.settle().await;
    let version = |cluster: &Cluster| cluster.ask(0, |replica| replica.schema().version().operations).unwrap_or(0);

    // An edge table and its two node tables, in every order.
    let mut in_order = 0;
    let mut steps = Vec::new();
    for (round, order) in (0_u8..).zip([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
        let names = ["From", "To", "EDGE"].map(|name| format!("{name}{round}"));
        let (from, to) = (node_ddl(&names[0]), node_ddl(&names[1]));
        let edges = edge_ddl(&names[2], &from, &to);
        let author = 10 + 3 * round;
        let nodes = [foreign(author, &[], from), foreign(author + 1, &[], to)];
        let edge = foreign(author + 2, &[nodes[0].id, nodes[1].id], edges);
        let changes = [&nodes[0], &nodes[1], &edge];
        let before = version(cluster);
        let mut is_right = true;
        for (position, index) in order.into_iter().enumerate() {
            is_right &= deliver(cluster, changes[index]).await;
            let arrived = |index: usize| order[..=position].contains(&index);
            let may_show = arrived(0) && arrived(1) && arrived(2);
            is_right &= has_tables(cluster, &names[2..]) == may_show;
        }
        steps.push(version(cluster) - before);
        in_order += usize::from(is_right && has_tables(cluster, &names));
    }
    let found = format!("{in_order} of 6 orders");
    cluster.check("an edge table waits for its node tables, in every order of arrival", in_order == 6, found);

    // A diamond, its end first.
    let top = foreign(40, &[], node_ddl("Top"));
    let sides = [foreign(41, &[top.id], node_ddl("Left")), foreign(42, &[top.id], node_ddl("Right"))];
    let bottom = foreign(43, &[sides[0].id, sides[1].id], edge_ddl("BOTTOM", &node_ddl("Left"), &node_ddl("Right")));
    let before = version(cluster);
    for change in [&bottom, &sides[1], &sides[0]] {
        deliver(cluster, change).await;
    }
    let waits = version(cluster) == before;
    deliver(cluster, &top).await;
    let names = ["Top", "Left", "Right", "BOTTOM"].map(str::to_owned);
    let is_whole = has_tables(cluster, &names);
    let found = format!("nothing before its top: {waits}; then all four: {is_whole}");
    cluster.check("a diamond is applied as soon as its top is", waits && is_whole, found);
    steps.push(version(cluster) - before);
    let each_by_one = steps == [3, 3, 3, 3, 3, 3, 4];
    let found = format!("raised by {steps:?} for 3 and for 4 operations that waited for each other");
    cluster.check("every operation raises the version by exactly one, also one that waited", each_by_one, found);

    // A circle.
    let id = |author: u8| ChangeId { replica: stranger(author), seq: 1 };
    let circle = [foreign(50, &[id(51)], node_ddl("Hen")), foreign(51, &[id(50)], node_ddl("Egg"))];
    for change in &circle {
        deliver(cluster, change).await;
    }
    let problems = cluster.events_at(0, |kind| match kind {
        EventKind::Notified(Notice::Failed { problem, .. }) => Some(problem.clone()),
        _ => None,
    });
    let is_named = |problem: &String| circle.iter().all(|change| problem.contains(&change.id.to_string()));
    let named = problems.len() == 2 && problems.iter().all(is_named);
    cluster.check("a circle is refused with an error that names it", named, problems.join("; "));
    let replicas = cluster.settle().await;
    let half = replicas.iter().any(|state| ["Hen", "Egg"].iter().any(|name| state.view.tables.contains_key(*name)));
    let found = format!("{} replicas show none of its tables", replicas.iter().filter(|_| !half).count());
    cluster.check("nothing of a circle is applied", !half && replicas.len() == 3, found);
    check_version(cluster, &replicas);
}

async fn rows_beside_schema(cluster: &mut Cluster) {
    let (author, writer, reader) = (0, 1, 2);
    write(cluster, author, create_user_table()).await;
    write(cluster, author, create_user("ann", "Ann")).await;
    cluster.settle().await;
    cluster.isolate(reader);
    let column = cluster.submit(author, vec![add_column("User", Column::new("age", Type::Int64))]).await;
    cluster.wait(2_000).await;
    let row = cluster.submit(writer, vec![update("User", "ann", [("age", 30.into())])]).await;
    let entry = |cluster: &Cluster, id: &Result<ChangeId, String>| {
        let find = |replica: &kuzusync_core::replica::Replica| {
            replica.log().entries().find(|entry| Ok(entry.change.id) == *id)
        };
        cluster.ask(writer, find).flatten()
    };
    let mut seen = Vec::new();
    for id in [&row, &column] {
        let deliveries = entry(cluster, id).map(Delivery::Change).into_iter().collect();
        let bytes = Message::Changes { clock: VectorClock::default(), deliveries }.encode();
        cluster.inject(reader, writer, bytes).await;
        seen.push(crate::sample::shown_at(cluster, reader, "User", "ann", "age"));
    }
    check_list(cluster, "a row waits for the column it needs", seen, ["no value", "30"]);
    cluster.heal();
    cluster.settle().await;

    // From here on two peers know new names, and the third writes by the old ones.
    cluster.isolate(reader);
    let rename = vec![
        Statement::RenameTable { table: "User".into(), to: "Member".into() },
        Statement::RenameColumn { table: "Member".into(), column: "name".into(), to: "called".into() },
        add_column("Member", with_default("visits", Type::Int64, 0)),
    ];
    let renamed = cluster.submit(author, rename).await;
    let old = [update("User", "ann", [("name", "Anna".into())]), create_user("bob", "Bob")];
    let offline = cluster.submit(reader, old.to_vec()).await;
    cluster.heal();
    cluster.settle().await;
    // Also who knows the new names may be asked by the old.
    let by_alias = cluster.submit(writer, vec![create_user("cyd", "Cyd")]).await;
    let replicas = cluster.settle().await;
    let called = |state: &ReplicaState| {
        let row = |id: &str| {
            let row = state.view.node("Member", &Value::from(id))?;
            Some(format!("{} {}", row.get("called")?, row.get("visits")?))
        };
        ["ann", "bob", "cyd"].map(|id| row(id).unwrap_or_default()).join(", ").replace('"', "")
    };
    let accepted = renamed.is_ok() && offline.is_ok() && by_alias.is_ok();
    let found = if accepted { replicas.iter().map(called).collect() } else { vec!["refused".to_owned()] };
    let clause = "what is written by old names lands in the renamed table, with the default of what was added";
    check_list(cluster, clause, found, ["Anna 0, Bob 0, Cyd 0"; 3]);
}

// ---- what is refused ----

async fn bad_definitions(cluster: &mut Cluster) {
    let main = 0;
    let base = vec![
        create_user_table(),
        node_table("City", &[("id", Type::String)]),
        edge_table("LIVES_IN", "User", "City"),
        Statement::CreateIndex {
            table: "User".into(),
            index: "by_name".into(),
            kind: IndexKind::Value,
            columns: vec!["name".into()],
        },
        create_user("ann", "Ann"),
    ];
    let prepared = cluster.submit(main, base).await.is_ok();
    cluster.settle().await;
    let state = |cluster: &Cluster| -> (Option<usize>, View) {
        (cluster.ask(main, |replica| replica.log().len()), cluster.view(main))
    };
    let before = state(cluster);
    let bad = bad_statements();
    let count = bad.len();
    let mut accepted = Vec::new();
    for (statement, offender) in bad {
        match cluster.submit(main, vec![create_user("half", "Half"), statement]).await {
            Err(error) if error.contains(offender) => {}
            Err(error) => accepted.push(format!("`{offender}` is not named in: {error}")),
            Ok(_) => accepted.push(format!("`{offender}` was accepted")),
        }
    }
    let found = match accepted.first() {
        None => format!("{count} of {count}"),
        Some(first) => format!("{first}, and {} more of {count}", accepted.len() - 1),
    };
    cluster.check("every bad definition gets an error that names the offender", accepted.is_empty(), found);
    let is_same = prepared && state(cluster) == before;
    cluster.check("nothing is logged and nothing changed", is_same, format!("log and graph as before: {is_same}"));
}

/// Statements that no replica accepts, each with what its error must name.
fn bad_statements() -> Vec<(Statement, &'static str)> {
    let text = |name: &str| Column::new(name, Type::String);
    let with_key = |columns: Vec<Column>, key: &str| Statement::CreateNodeTable {
        table: "Bad".into(),
        columns,
        primary_key: key.into(),
    };
    let named = |table: &str| node_table(table, &[("id", Type::String)]);
    let user = || "User".to_owned();
    let drop_column = |column: &str| Statement::DropColumn { table: user(), column: column.into(), cascade: false };
    let retype =
        |column: &str| Statement::AlterColumnType { table: user(), column: column.into(), column_type: Type::Int64 };
    let index = |index: &str, kind, columns: &[&str]| Statement::CreateIndex {
        table: user(),
        index: index.into(),
        kind,
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    let mut bad = vec![
        (named(""), "``"),
        (named("a~b"), "a~b"),
        (named("_ID"), "_ID"),
        (named("user"), "user"),
        (named("a`b"), "a`b"),
        (with_key(vec![text("id"), text("_label")], "id"), "_label"),
        (with_key(vec![text("id"), text("_src")], "id"), "_src"),
        (with_key(vec![text("id"), text("_DST")], "id"), "_DST"),
        (with_key(vec![text("id"), text("ID")], "id"), "ID"),
        (with_key(vec![text("id")], "key"), "key"),
        (with_key(vec![text("id")], ""), "primary key ``"),
        (with_key(vec![text("id"), text("id2")], "id, id2"), "id, id2"),
        (with_key(vec![Column::new("id", Type::Double)], "id"), "DOUBLE"),
        (with_key(vec![with_default("id", Type::String, "same")], "id"), "id"),
        (with_key(vec![text("id"), with_default("n", Type::Int64, "none")], "id"), "n"),
        (with_key(vec![text("id"), Column::new("n", Type::Decimal { precision: 60, scale: 2 })], "id"), "`n`"),
        (edge_table("E", "User", "Nowhere"), "Nowhere"),
        (edge_table("E", "LIVES_IN", "User"), "LIVES_IN"),
        (edge_table("City", "User", "City"), "City"),
        (Statement::DropNodeTable { table: "Nowhere".into(), cascade: false }, "Nowhere"),
        (Statement::DropNodeTable { table: "City".into(), cascade: false }, "LIVES_IN"),
        (Statement::DropNodeTable { table: "LIVES_IN".into(), cascade: true }, "LIVES_IN"),
        (Statement::DropEdgeTable { table: user() }, "User"),
        (Statement::UndropTable { table: "Nowhere".into() }, "Nowhere"),
        (Statement::RenameTable { table: "Nowhere".into(), to: "Here".into() }, "Nowhere"),
        (Statement::RenameTable { table: user(), to: "CITY".into() }, "CITY"),
        (Statement::RenameTable { table: user(), to: "a~b".into() }, "a~b"),
        (add_column("Nowhere", text("n")), "Nowhere"),
        (add_column("User", text("NAME")), "NAME"),
        (add_column("User", text("_src")), "_src"),
        (drop_column("nothing"), "nothing"),
        (drop_column("name"), "by_name"),
        (drop_column("id"), "id"),
        (retype("id"), "id"),
        (retype("nothing"), "nothing"),
        (Statement::UndropColumn { table: user(), column: "gone".into() }, "gone"),
        (Statement::RenameColumn { table: user(), column: "nothing".into(), to: "n".into() }, "nothing"),
        (Statement::RenameColumn { table: user(), column: "email".into(), to: "Name".into() }, "Name"),
        (index("by_name", IndexKind::Value, &["email"]), "by_name"),
        (index("empty", IndexKind::Value, &[]), "empty"),
        (index("twice", IndexKind::Value, &["email", "email"]), "email"),
        (index("other", IndexKind::Value, &["nothing"]), "nothing"),
        (Statement::DropIndex { table: user(), index: "nothing".into() }, "nothing"),
        (Statement::CommentOnColumn { table: user(), column: "nothing".into(), comment: "c".into() }, "nothing"),
        (Statement::CommentOnTable { table: user(), comment: "c".repeat(Ddl::COMMENT_BYTES_MAX + 1) }, "4097"),
        (Statement::IfExists(Box::new(named("Fine"))), "IF EXISTS"),
        (Statement::IfNotExists(Box::new(drop_column("email"))), "IF NOT EXISTS"),
    ];
    let pair = |from: &str, to: &str| ("LIVES_IN".to_owned(), from.to_owned(), to.to_owned());
    let (table, from, to) = pair("User", "City");
    bad.push((Statement::AddPair { table, from, to }, "LIVES_IN"));
    let (table, from, to) = pair("User", "City");
    bad.push((Statement::DropPair { table, from, to }, "the last"));
    let (table, from, to) = pair("City", "User");
    bad.push((Statement::DropPair { table, from, to }, "no such pair"));
    bad
}

// ---- very many at once ----

async fn thousand(cluster: &mut Cluster) {
    let hosts: Vec<u32> = cluster.hosts().collect();
    for (index, one) in hosts.iter().enumerate() {
        for other in &hosts[index + 1..] {
            cluster.cut_link(*one, *other, 0);
        }
    }
    let mut accepted = 0;
    for number in 0..200 {
        for host in &hosts {
            accepted += usize::from(cluster.submit(*host, vec![one_of_many(*host, number)]).await.is_ok());
        }
    }
    cluster.heal();
    let replicas = cluster.settle().await;
    let found = format!("{accepted} operations at five peers");
    cluster.check("1,000 operations are accepted while nobody hears of the others", accepted == 1_000, found);
    let versions = replicas.iter().map(|state| format!("version {}", state.schema_operations));
    check_list(cluster, "each peer ends with all of them", versions, ["version 1000"; 5]);
    let digests: std::collections::BTreeSet<String> =
        replicas.iter().map(|state| format!("{} {}", state.schema_digest, state.view.digest())).collect();
    let tables = replicas.first().map_or(0, |state| state.view.tables.len());
    let found = format!("{} different schemas, of {tables} tables", digests.len());
    cluster.check("all end with one schema", digests.len() == 1 && replicas.len() == 5, found);
}

/// Operations on twenty tables that every peer makes as well: one makes the table, the next nine change it.
fn one_of_many(host: u32, number: u32) -> Statement {
    let table = format!("T{}", number / 10);
    let column = |name: &str| name.to_owned();
    match number % 10 {
        0 => {
            // Two of the five disagree about the key.
            let key = if host < 2 { Type::String } else { Type::Int64 };
            let (columns, primary_key) = (vec![Column::new("id", key), Column::new("a", Type::Int32)], "id".into());
            Statement::CreateNodeTable { table, columns, primary_key }
        }
        1 => add_column(&table, with_default("b", if host == 0 { Type::Int64 } else { Type::Int32 }, number_of(host))),
        2 => Statement::RenameColumn { table, column: column("a"), to: format!("a{host}") },
        3 => Statement::CommentOnTable { table, comment: format!("by peer {host}") },
        4 => add_column(&table, Column::new(format!("own{host}"), Type::String)),
        5 => {
            let (index, kind, columns) = (format!("by_b_{host}"), IndexKind::Value, vec![column("b")]);
            Statement::CreateIndex { table, index, kind, columns }
        }
        6 => Statement::AlterColumnType {
            table,
            column: column("b"),
            column_type: if host.is_multiple_of(2) { Type::String } else { Type::Int128 },
        },
        7 => Statement::CommentOnColumn { table, column: column("b"), comment: format!("b by peer {host}") },
        8 if host == 4 => Statement::DropColumn { table, column: format!("a{host}"), cascade: true },
        8 => Statement::RenameColumn { table, column: format!("own{host}"), to: column("own") },
        _ if host == 3 => Statement::DropNodeTable { table, cascade: true },
        _ => {
            let to = format!("{table}_{}", host % 2);
            Statement::RenameTable { table, to }
        }
    }
}

/// A default of the type the peer gives the column.
fn number_of(host: u32) -> Value {
    if host == 0 { Value::from(0) } else { Value::Int32(host as i32) }
}
