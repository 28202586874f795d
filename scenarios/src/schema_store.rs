//! Scenarios for case A7 and A9 of the DDL Integration Plan: what the graph stores make of schema changes.

use kuzusync_core::ddl::{Column, Ddl};
use kuzusync_core::statement::Statement;
use kuzusync_core::store::StoreCounts;
use kuzusync_core::store::refusing::Refusal;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::View;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{check_list, create, create_user, create_user_table, each, node_table, rename, set_email, write};
use crate::scenario::Scenario;
use crate::schema_changes::{deliver, foreign, node_ddl};

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "schema-changes-in-batches",
            story: "Thirty schema changes reach one peer as they are made and another all at once; five wait for a sixth.",
            cases: &[Case::A7],
            claims: &[],
            seed: Seed(1_311),
            options: Options { has_main: false, ..Options::default() },
            body: |cluster| Box::pin(in_batches(cluster)),
        },
        Scenario {
            name: "refused-schema-change",
            story: "An edge's database refuses a part of the schema, half-way through a run of changes, for as long as it is the old one.",
            cases: &[Case::A9],
            claims: &[],
            seed: Seed(1_312),
            options: Options::default(),
            body: |cluster| Box::pin(refused(cluster)),
        },
    ]
}

// ---- batches ----

/// What each store of a host was asked between two looks.
fn asked(before: &[StoreCounts], after: &[StoreCounts]) -> Vec<StoreCounts> {
    let between = |(before, after): (&StoreCounts, &StoreCounts)| StoreCounts {
        plans: after.plans - before.plans,
        schema_steps: after.schema_steps - before.schema_steps,
        statements: after.statements - before.statements,
        prepared: after.prepared - before.prepared,
        new_databases: after.new_databases - before.new_databases,
    };
    before.iter().zip(after).map(between).collect()
}

fn plans(counts: &[StoreCounts]) -> Vec<String> {
    counts.iter().map(|counts| format!("{} plans of {} steps", counts.plans, counts.schema_steps)).collect()
}

async fn in_batches(cluster: &mut Cluster) {
    let (author, online, offline) = (0, 1, 2);
    write(cluster, author, create_user_table()).await;
    write(cluster, author, create_user("ann", "Ann")).await;
    cluster.settle().await;
    cluster.go_offline(offline).await;
    let before = each(cluster, |host| cluster.store_counts(host));
    let stores = before[0].len();
    for number in 0..30 {
        let column = Column::new(format!("c{number}"), Type::Int64);
        write(cluster, author, Statement::AddColumn { table: "User".into(), column }).await;
        cluster.wait(50).await;
    }
    cluster.go_online(offline).await;
    cluster.settle().await;
    let asked_of = |cluster: &Cluster, host: u32| asked(&before[host as usize], &cluster.store_counts(host));
    let together = plans(&asked_of(cluster, offline));
    check_list(cluster, "a run that arrives together is one plan", together, vec!["1 plans of 30 steps"; stores]);
    let one_by_one = plans(&asked_of(cluster, online));
    let same = cluster.stored(online) == cluster.stored(offline) && cluster.stored(online) == cluster.stored(author);
    let holds = same && one_by_one == vec!["30 plans of 30 steps"; stores];
    let found = format!("{}, and the same graph: {same}", one_by_one.join(", "));
    cluster.check("one by one gives the same", holds, found);

    let cause = foreign(70, &[], node_ddl("Cause"));
    let before = cluster.store_counts(author);
    let mut waited = true;
    for number in 71..76 {
        let effect: Ddl = node_ddl(&format!("Effect{number}"));
        waited &= deliver(cluster, &foreign(number, &[cause.id], effect)).await;
    }
    waited &= cluster.store_counts(author) == before;
    waited &= deliver(cluster, &cause).await;
    let found = plans(&asked(&before, &cluster.store_counts(author)));
    let expected = if waited { vec!["1 plans of 6 steps"; stores] } else { vec!["they waited"] };
    check_list(cluster, "what waited for one cause is one plan with it", found, expected);

    // One update is sent by itself, the second is known to come again.
    for name in ["Anna", "Hanna"] {
        write(cluster, author, rename("ann", name)).await;
    }
    let before = cluster.store_counts(author);
    for number in 0..40 {
        write(cluster, author, rename("ann", &format!("Ann {number}"))).await;
    }
    let found = asked(&before, &cluster.store_counts(author));
    // A store also asks now and then how large its database has grown, which is another text that comes again; and a new
    // database prepares all of them once more.
    let is_once = |counts: &StoreCounts| counts.prepared <= 1 + 2 * counts.new_databases;
    let words = found.iter().map(|counts| {
        format!(
            "{} statements, {} prepared, {} new databases",
            counts.statements, counts.prepared, counts.new_databases
        )
    });
    let words: Vec<String> = words.collect();
    let clause = "a statement that comes again is prepared once";
    cluster.check(clause, found.len() == stores && found.iter().all(is_once), words.join(", "));
    cluster.settle().await;
}

// ---- refusals ----

fn parts(cluster: &Cluster, host: u32) -> Vec<String> {
    let held_back = cluster.held_back(host);
    held_back.values().map(|parts| parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")).collect()
}

/// A user's email as a database holds it, with the type of the column.
fn email(view: &View) -> String {
    let of = view.tables["User"].columns.get("email").map_or("no column".to_owned(), ToString::to_string);
    let value = view.node("User", &Value::from("ann")).and_then(|row| row.get("email"));
    format!("{of} {}", value.map_or("no value".to_owned(), ToString::to_string))
}

async fn refused(cluster: &mut Cluster) {
    let (main, refusing, other) = (0, 1, 2);
    let table = || "User".to_owned();
    write(cluster, main, create_user_table()).await;
    write(cluster, main, create_user("ann", "Ann")).await;
    write(cluster, main, set_email("ann", "41")).await;
    cluster.settle().await;
    let before = cluster.stored(refusing);
    let stores = before.len();
    cluster.refuse_schema(refusing, Refusal::Type(Type::Int64));
    cluster.refuse_schema(refusing, Refusal::Table("Firm".into()));

    // The second of three is refused. A table of its own client is refused as well.
    let run = vec![
        Statement::AddColumn { table: table(), column: Column::new("note", Type::String) },
        Statement::AlterColumnType { table: table(), column: "email".into(), column_type: Type::Int64 },
        node_table("City", &[("id", Type::String)]),
    ];
    let mut done = vec![cluster.submit(other, run).await.is_ok()];
    let own = vec![node_table("Firm", &[("id", Type::String)]), create("Firm", [("id", "kù".into())])];
    done.push(cluster.submit(refusing, own).await.is_ok());
    cluster.settle().await;
    let is_done = done.iter().all(|is_done| *is_done);
    let held = cluster.stored(refusing);
    let as_before: Vec<String> = held.iter().map(email).collect();
    let clause = "what it was about stays as it was in that database, schema and data";
    check_list(cluster, clause, as_before, before.iter().map(email));
    let rest = held.iter().filter(|view| {
        view.tables["User"].columns.contains_key("note")
            && view.tables.contains_key("City")
            && !view.tables.contains_key("Firm")
    });
    let rest = rest.count();
    cluster.check("the rest of its run is done", is_done && rest == stores, format!("in {rest} of its stores"));
    let told = |kind: &EventKind| match kind {
        EventKind::HeldBack { parts, .. } => Some(parts.len()),
        _ => None,
    };
    let told = cluster.events_at(refusing, told).last().copied();
    let lacks = "table Firm: refused on purpose and User.email, held as STRING: refused on purpose";
    let found = if told == Some(2) { parts(cluster, refusing) } else { vec!["nobody was told".to_owned()] };
    check_list(cluster, "the replica says what its database refuses", found, vec![lacks; stores]);
    let schemas = each(cluster, |host| {
        let version = cluster.ask(host, |replica| replica.schema().version()).map(|version| version.digest);
        let view = cluster.view(host);
        (version, email(&view), view.node("Firm", &Value::from("kù")).is_some())
    });
    let is_same = schemas.iter().all(|schema| *schema == schemas[0]) && schemas[0].1 == "INT64 41" && schemas[0].2;
    let found = format!("email is {} and the firm is there: {}", schemas[refusing as usize].1, schemas[0].2);
    cluster.check("the schema is the same everywhere, and nothing is lost", is_same, found);

    write(cluster, main, crate::sample::update("User", "ann", [("email", 42.into()), ("note", "new".into())])).await;
    cluster.settle().await;
    let written: Vec<String> = cluster.stored(refusing).iter().map(email).collect();
    check_list(cluster, "rows go on being written", written, vec!["STRING \"42\""; stores]);

    cluster.crash(refusing, 0);
    cluster.restart(refusing).await;
    cluster.settle().await;
    let again = cluster.held_back(refusing);
    let named = |parts: &Vec<kuzusync_core::store::Unmaterialised>| {
        parts.iter().map(|part| part.column.clone().unwrap_or_else(|| part.table.clone())).collect::<Vec<_>>().join(" ")
    };
    let again: Vec<String> = again.values().map(named).collect();
    check_list(cluster, "a restart tries it anew, and says what is still refused", again, vec!["Firm email"; stores]);

    cluster.accept_schema(refusing).await;
    cluster.settle().await;
    let whole = cluster.stored(refusing).iter().filter(|view| **view == cluster.view(refusing)).count();
    let holds = whole == stores && parts(cluster, refusing).is_empty();
    let clause = "once the database takes it, all of it is there";
    cluster.check(clause, holds, format!("in {whole} of its stores, {}", email(&cluster.view(refusing))));
}
