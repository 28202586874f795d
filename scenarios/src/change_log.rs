//! Sync Policy: who wins, what is applied once, what is recorded, and the file that says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use kuzusync_core::change::{Change, ChangeId};
use kuzusync_core::clock::{Instant, Now, Seen, VectorClock, WallTime};
use kuzusync_core::conflict::{Loss, Write, Written};
use kuzusync_core::ddl::{Multiplicity, Rule};
use kuzusync_core::id::{DatabaseId, Digest, ReplicaId, TxId};
use kuzusync_core::message::{Delivery, Entry, Message, Role};
use kuzusync_core::policy::Policy;
use kuzusync_core::replica::{Config, Input, Notice, Output, Replica};
use kuzusync_core::rules::RulesFile;
use kuzusync_core::ruling::Reason;
use kuzusync_core::statement::{Statement, Transaction};
use kuzusync_core::value::Type;
use kuzusync_sim::clock::START_MS;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{
    bad_links, check_list, connect, create, create_user, create_user_table, delete, each, edge_table, increment,
    node_table, rename, rows, set_column_policy, set_policy, shown, shown_at, update, write,
};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "instants",
            story: "Cut off from each other, a and b hand in what was written a while ago, with instants of other \
                    offsets and precisions; b does so first.",
            cases: &[Case::E3],
            claims: &[],
            seed: Seed(53),
            options: Options { has_main: false, links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(instants(cluster)),
        },
        Scenario {
            name: "prefer-main",
            story: "Cut off from the main, an edge writes a second after it, to a table that prefers the main and to \
                    one that does not; then once more, having seen what the main wrote.",
            cases: &[Case::E4],
            claims: &[],
            seed: Seed(54),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(prefer_main(cluster)),
        },
        Scenario {
            name: "transactions-once-and-alone",
            story: "A client hands one transaction in three times. Then changes of a stranger arrive: an invoice for \
                    which there is no table, its payment, and a user. Somebody makes the table and retries the \
                    invoice.",
            cases: &[Case::E5],
            claims: &[],
            seed: Seed(55),
            options: Options { has_main: false, links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(transactions(cluster)),
        },
        Scenario {
            name: "transaction-at-two-replicas",
            story: "A client hands one transaction in at an edge that is cut off, loses patience, and hands it in at \
                    another.",
            cases: &[],
            claims: &[
                "both show it at once",
                "the main carries it out once",
                "the first author is told which change does",
            ],
            seed: Seed(56),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(transaction_at_two_replicas(cluster)),
        },
        Scenario {
            name: "no-echo",
            story: "All write; links lose, repeat and reorder; an edge dies and starts again.",
            cases: &[Case::E9],
            claims: &[],
            seed: Seed(59),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(no_echo(cluster)),
        },
        Scenario {
            name: "audit",
            story: "Cut off from each other, the main and an edge write to one user under three policies, one \
                    deletes what the other updates, and each lets the user live in another city.",
            cases: &[Case::E10],
            claims: &[],
            seed: Seed(60),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(audit(cluster)),
        },
        Scenario {
            name: "rules-file",
            story: "The main issues a rules file. Then somebody mistypes it, and somebody has another one.",
            cases: &[Case::E11],
            claims: &[],
            seed: Seed(61),
            options: Options { links: bad_links(), ..Options::default() },
            body: |cluster| Box::pin(rules_file(cluster)),
        },
    ]
}

async fn instants(cluster: &mut Cluster) {
    // As text the first of each pair is the later one, or another.
    let written = [
        ("offset", "2024-01-01T12:00:01+02:00", "2024-01-01T10:00:02Z"),
        ("precision", "2024-01-01T10:00:03Z", "2024-01-01T10:00:03.000000001Z"),
        ("equal", "2024-01-01T12:00:04+02:00", "2024-01-01T10:00:04.000Z"),
    ];
    let (a, b) = (0, 1);
    write(cluster, a, create_user_table()).await;
    for (user, ..) in written {
        write(cluster, a, create_user(user, "")).await;
    }
    cluster.settle().await;
    cluster.isolate(a);
    cluster.wait(5_000).await;
    for (host, name) in [(b, "b"), (a, "a")] {
        for (user, by_a, by_b) in written {
            let created_at: Option<WallTime> = if host == a { by_a } else { by_b }.parse().ok();
            let (tx, statements) = (cluster.next_tx(), vec![rename(user, name)]);
            let transaction = Transaction { tx, statements, created_at, ..Transaction::default() };
            drop(cluster.submit_transaction(host, transaction).await);
        }
        cluster.wait(1_000).await;
    }
    let replicas = cluster.settle().await;
    let later = [shown(cluster, "User", "offset", "name"), shown(cluster, "User", "precision", "name")].concat();
    check_list(cluster, "the later instant wins, whatever its text", later, ["b"; 6]);
    let ids = [a, b].map(|host| cluster.ask(host, |replica| replica.id()));
    let greater = if ids[0] > ids[1] { "a" } else { "b" };
    let equal = shown(cluster, "User", "equal", "name");
    check_list(cluster, "of equal instants the greater author's wins everywhere", equal, [greater; 3]);
    let rules = replicas.iter().flat_map(|replica| replica.audit.iter().map(|loss| loss.resolution.name()));
    check_list(cluster, "each loss is recorded as last_write_wins", rules, ["last_write_wins"; 9]);
}

async fn prefer_main(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    for table in ["Company", "Note"] {
        write(cluster, main, node_table(table, &[("id", Type::String), ("text", Type::String)])).await;
        write(cluster, main, create(table, [("id", "one".into()), ("text", "new".into())])).await;
    }
    write(cluster, main, set_policy("Company", Policy::PreferMain)).await;
    cluster.settle().await;
    cluster.isolate(edge);
    for (host, text) in [(main, "by the main"), (edge, "by the edge")] {
        for table in ["Company", "Note"] {
            write(cluster, host, update(table, "one", [("text", text.into())])).await;
        }
        cluster.wait(1_000).await;
    }
    let replicas = cluster.settle().await;
    let texts = shown(cluster, "Company", "one", "text");
    check_list(cluster, "a change of the main beats a later one that had not seen it", texts, ["by the main"; 3]);
    let texts = shown(cluster, "Note", "one", "text");
    check_list(cluster, "in another table the later one wins", texts, ["by the edge"; 3]);
    let rules: BTreeSet<_> =
        replicas.iter().flat_map(|replica| replica.audit.iter().map(|loss| loss.resolution.name())).collect();
    check_list(cluster, "the audit names the rule of each", rules, ["last_write_wins", "prefer_main"]);
    write(cluster, edge, update("Company", "one", [("text", "having seen it".into())])).await;
    cluster.settle().await;
    let texts = shown(cluster, "Company", "one", "text");
    check_list(cluster, "one that had seen the main's beats it", texts, ["having seen it"; 3]);
}

async fn transactions(cluster: &mut Cluster) {
    let (first, second) = (0, 1);
    write(cluster, first, node_table("User", &[("id", Type::String), ("visits", Type::Int64)])).await;
    cluster.settle().await;
    let user = |id: &str| create("User", [("id", id.into())]);
    let statements = vec![user("alice"), user("bob"), increment("User", "alice", "visits", 1)];
    let transaction = Transaction { tx: TxId([7; 16]), statements, ..Transaction::default() };
    let mut changes = BTreeSet::new();
    for _ in 0..2 {
        changes.insert(cluster.submit_transaction(first, transaction.clone()).await);
    }
    cluster.crash(first, 0);
    cluster.restart(first).await;
    changes.insert(cluster.submit_transaction(first, transaction).await);
    cluster.settle().await;
    let is_one = changes.len() == 1 && changes.iter().all(Result::is_ok);
    cluster.check("handed in again it gives the change it gave before", is_one, format!("{} changes", changes.len()));
    let found = each(cluster, |host| {
        format!("{} users, {} visit", rows(cluster, host, "User"), shown_at(cluster, host, "User", "alice", "visits"))
    });
    check_list(cluster, "all its rows are applied, each once", found, ["2 users, 1 visit"; 3]);

    let pay = update("Invoice", "i-1", [("paid", true.into())]);
    let invoice = create("Invoice", [("id", "i-1".into()), ("paid", false.into())]);
    let invoices = node_table("Invoice", &[("id", Type::String), ("paid", Type::Bool)]);
    let users = node_table("User", &[("id", Type::String), ("visits", Type::Int64)]);
    let (author, foreign) = foreign(vec![users, invoices.clone()], vec![invoice, pay, user("carol")]);
    drop(cluster.inject(first, second, foreign).await);
    cluster.settle().await;
    let users = each(cluster, |host| format!("{} users", rows(cluster, host, "User")));
    check_list(cluster, "one that fails is left out alone", users, ["3 users"; 3]);
    check_list(cluster, "it is listed with what names its results", failed(cluster), ["2 failed"; 3]);

    let invoice = ChangeId { replica: author, seq: 1 };
    let too_early = retry_everywhere(cluster, invoice).await;
    write(cluster, second, invoices).await;
    cluster.settle().await;
    let waiting = each(cluster, |host| format!("{} invoices", rows(cluster, host, "Invoice")));
    let expected = [["still fails"; 3], ["2 failed"; 3], ["0 invoices"; 3]].concat();
    let found = [too_early, failed(cluster), waiting].concat();
    check_list(cluster, "it waits until it is retried with success", found, expected);
    let retried = retry_everywhere(cluster, invoice).await;
    cluster.settle().await;
    let paid = each(cluster, |host| format!("paid: {}", shown_at(cluster, host, "Invoice", "i-1", "paid")));
    let expected = [["applied"; 3], ["0 failed"; 3], ["paid: true"; 3]].concat();
    let found = [retried, failed(cluster), paid].concat();
    check_list(cluster, "then it is applied, and so is what waited for it", found, expected);
}

/// How many failed changes each host lists.
fn failed(cluster: &Cluster) -> Vec<String> {
    let count = |host| cluster.ask(host, |replica| replica.log().failed().count()).unwrap_or(usize::MAX);
    each(cluster, |host| format!("{} failed", count(host)))
}

/// Says of each host what came of it.
async fn retry_everywhere(cluster: &mut Cluster, id: ChangeId) -> Vec<String> {
    let mut said = Vec::new();
    for host in cluster.hosts() {
        let is_applied = cluster.retry(host, id).await == Some(Ok(()));
        said.push(if is_applied { "applied".to_owned() } else { "still fails".to_owned() });
    }
    said
}

/// What an author whom nobody here has met wrote, a change for each statement, as if it had never told of the tables
/// that it had made before; and who that is.
fn foreign(tables: Vec<Statement>, statements: Vec<Statement>) -> (ReplicaId, Vec<u8>) {
    let config = Config::new(Role::Peer, DatabaseId::default());
    let mut author = Replica::open(config, [77; 32], &[]).expect("a replica without records opens");
    let transactions = std::iter::once(tables).chain(statements.into_iter().map(|statement| vec![statement]));
    for (number, statements) in (100..).zip(transactions) {
        let transaction = Transaction { tx: TxId([number; 16]), statements, ..Transaction::default() };
        let now = Now { monotonic: Instant::default(), wall_ms: START_MS };
        author.handle_input(now, Input::Local(transaction)).expect("a stranger's statements are good ones");
        while !matches!(author.poll_output(), Output::Timeout(_)) {}
    }
    let (mut deliveries, mut seen, mut previous) = (Vec::new(), Seen::default(), Digest::default());
    for change in author.log().changes().skip(1) {
        let id = ChangeId { seq: change.id.seq - 1, ..change.id };
        let change = Change { id, seen: seen.clone(), previous, ..change.as_ref().clone() };
        seen.insert(id);
        previous = change.digest();
        deliveries.push(Delivery::Change(Entry { change: Arc::new(change), lsn: None }));
    }
    (author.id(), Message::Changes { clock: VectorClock::default(), deliveries }.encode())
}

async fn transaction_at_two_replicas(cluster: &mut Cluster) {
    let (main, edges) = (0, [1, 2]);
    write(cluster, main, node_table("User", &[("id", Type::String), ("visits", Type::Int64)])).await;
    write(cluster, main, create("User", [("id", "alice".into())])).await;
    cluster.settle().await;
    let statements = vec![increment("User", "alice", "visits", 1)];
    let transaction = Transaction { tx: TxId([7; 16]), statements, ..Transaction::default() };
    cluster.isolate(edges[0]);
    let refused = cluster.submit_transaction(edges[0], transaction.clone()).await;
    let carried_out = cluster.submit_transaction(edges[1], transaction).await;
    let visits = shown(cluster, "User", "alice", "visits");
    check_list(cluster, "both show it at once", visits, ["no value", "1", "1"]);
    cluster.wait(5_000).await;
    cluster.settle().await;
    let visits = shown(cluster, "User", "alice", "visits");
    check_list(cluster, "the main carries it out once", visits, ["1"; 3]);
    let told = cluster.events_at(edges[0], |kind| match kind {
        EventKind::Notified(Notice::Rejected { id, reason: Reason::Duplicate { of } }) => Some((Ok(*id), Ok(*of))),
        _ => None,
    });
    let found: Vec<_> = told.iter().flat_map(|(_, of)| of.as_ref().ok()).map(ToString::to_string).collect();
    let holds = told == [(refused, carried_out)];
    cluster.check("the first author is told which change does", holds, found.join(", "));
}

async fn no_echo(cluster: &mut Cluster) {
    let written = [5, 3, 4];
    write(cluster, 0, create_user_table()).await;
    cluster.settle().await;
    for round in 0..5 {
        for (host, count) in (0..).zip(written) {
            if round < count {
                write(cluster, host, create_user(&format!("{round} by {host}"), "")).await;
            }
        }
        if round == 2 {
            cluster.crash(1, 0);
            cluster.restart(1).await;
        }
        cluster.wait(300).await;
    }
    let replicas = cluster.settle().await;
    let own = replicas.iter().map(|replica| {
        let is_own = |entry: &&Entry| entry.change.id.replica == replica.id;
        format!("{} of {}", replica.log.iter().filter(is_own).count(), replica.log.len())
    });
    let clause = "each replica logs as its own what its clients wrote, and nothing else";
    check_list(cluster, clause, own, ["6 of 13", "3 of 13", "4 of 13"]);
}

async fn audit(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let columns = ["id", "name", "email", "nick", "state"].map(|column| (column, Type::String));
    let base = vec![
        node_table("User", &columns),
        set_column_policy("User", "email", Policy::PreferMain),
        set_column_policy("User", "nick", Policy::ServerOrder),
        node_table("City", &[("id", Type::String)]),
        edge_table("LIVES_IN", "User", "City"),
        Statement::SetRule { table: "LIVES_IN".into(), rule: Rule::Multiplicity(Multiplicity::ManyOne) },
        create("User", [("id", "alice".into())]),
        create("User", [("id", "bob".into())]),
        create("City", [("id", "Bern".into())]),
        create("City", [("id", "Bonn".into())]),
    ];
    drop(cluster.submit(main, base).await);
    cluster.settle().await;
    cluster.isolate(edge);
    write(cluster, edge, rename("bob", "Robert")).await;
    cluster.wait(1_000).await;
    let alice_by = |whose: &str| {
        let own = |what| format!("{what} by {whose}").as_str().into();
        update(
            "User",
            "alice",
            [("name", own("name")), ("email", own("email")), ("nick", own("nick")), ("state", "new".into())],
        )
    };
    let move_to = |city| connect("LIVES_IN", ("User", "alice"), ("City", city));
    for (host, whose, city) in [(main, "main", "Bonn"), (edge, "edge", "Bern")] {
        write(cluster, host, alice_by(whose)).await;
        write(cluster, host, move_to(city)).await;
        cluster.wait(1_000).await;
    }
    write(cluster, main, delete("User", "bob")).await;
    cluster.settle().await;

    let audits = each(cluster, |host| audited(cluster, host));
    let expected = [
        "LIVES_IN: User(\"alice\")→City(\"Bonn\"): multiplicity, last_write_wins: \
         insert by host 0 lost to insert by host 1",
        "User(\"alice\") email: concurrent_update, prefer_main: \
         \"email by edge\" by host 1 lost to \"email by main\" by host 0, differing in email, name, nick",
        "User(\"alice\") name: concurrent_update, last_write_wins: \
         \"name by main\" by host 0 lost to \"name by edge\" by host 1, differing in email, name, nick",
        "User(\"alice\") nick: concurrent_update, server_order: \
         \"nick by main\" by host 0 lost to \"nick by edge\" by host 1, differing in email, name, nick",
        "User(\"bob\") name: concurrent_delete, last_write_wins: \
         \"Robert\" by host 1 lost to delete by host 0, differing in name",
    ];
    let clause = "every loss is recorded with both values, both origins, the rule and the differing fields";
    check_list(cluster, clause, &audits[main as usize], expected);
    let equal = audits.iter().filter(|other| **other == audits[main as usize]).count();
    cluster.check("the audits of all replicas are equal", equal == 3, format!("{equal} of 3 equal"));
    write(cluster, edge, alice_by("edge, having seen all")).await;
    cluster.settle().await;
    let losses = each(cluster, |host| format!("{} losses", audited(cluster, host).len()));
    check_list(cluster, "to overwrite what one has seen is no loss", losses, ["5 losses"; 3]);
}

/// A host's audit, a line for each loss, in the order of the alphabet.
fn audited(cluster: &Cluster, host: u32) -> Vec<String> {
    let ids = each(cluster, |host| cluster.ask(host, |replica| replica.id()));
    let lines = cluster.ask(host, |replica| {
        let lines = replica.audit().iter().map(|loss| line(loss, replica, &ids)).collect::<BTreeSet<_>>();
        lines.into_iter().collect()
    });
    lines.unwrap_or_default()
}

fn line(loss: &Loss, replica: &Replica, ids: &[Option<ReplicaId>]) -> String {
    let table = replica.schema().table(loss.register.element.table());
    let column = |id| table.and_then(|table| table.column(id)).map_or("?", |column| column.name());
    let write = |write: &Write| {
        let what = match &write.written {
            Written::Value(value) => value.to_string(),
            Written::Deleted => "delete".to_owned(),
            Written::Inserted => "insert".to_owned(),
            other => format!("{other:?}"),
        };
        let host = ids.iter().position(|id| *id == Some(write.rank.change.replica));
        host.map_or(what.clone(), |host| format!("{what} by host {host}"))
    };
    let of = loss.register.column.map_or(String::new(), |id| format!(" {}", column(id)));
    let fields: BTreeSet<&str> = loss.fields.iter().map(|id| column(*id)).collect();
    let fields = fields.into_iter().collect::<Vec<_>>().join(", ");
    let differing = if fields.is_empty() { String::new() } else { format!(", differing in {fields}") };
    let (conflict, rule) = (loss.conflict.name(), loss.resolution.name());
    let (lost, kept) = (write(&loss.loser), write(&loss.winner));
    format!(
        "{}{of}: {conflict}, {rule}: {lost} lost to {kept}{differing}",
        replica.state().describe(&loss.register.element)
    )
}

async fn rules_file(cluster: &mut Cluster) {
    const FILE: &str = "
[tables.User]
policy = \"prefer_main\"
columns.email = \"last_write_wins\"

[tables.FOLLOWS]
revive = true
";
    let (main, edge) = (0, 1);
    write(cluster, main, create_user_table()).await;
    write(cluster, main, edge_table("FOLLOWS", "User", "User")).await;
    write(cluster, main, create_user("alice", "Alice")).await;
    let file = RulesFile::parse(FILE).unwrap_or_default();
    drop(cluster.submit(main, file.statements().collect()).await);
    cluster.settle().await;
    let agreement = |cluster: &Cluster, file: &RulesFile, host| {
        let checked = cluster.ask(host, |replica| file.check(replica.schema()));
        checked.map_or("down".to_owned(), |checked| {
            checked.map_or_else(|error| error.to_string(), |()| "agrees".to_owned())
        })
    };
    let issued = file.statements().count();
    let found = each(cluster, |host| agreement(cluster, &file, host));
    let holds = issued == 3 && found.iter().all(|found| found == "agrees");
    let found = format!("{issued} rules issued; the schemas: {}", found.join(", "));
    cluster.check("the file becomes part of every replica's schema", holds, found);

    cluster.isolate(edge);
    for (host, whose) in [(main, "main"), (edge, "edge")] {
        write(cluster, host, update("User", "alice", [("name", whose.into()), ("email", whose.into())])).await;
        cluster.wait(1_000).await;
    }
    cluster.settle().await;
    let found = [shown(cluster, "User", "alice", "name"), shown(cluster, "User", "alice", "email")].concat();
    let expected = [["main"; 3], ["edge"; 3]].concat();
    check_list(cluster, "its rules are in force on every replica", found, expected);

    let problem = |text: &str| RulesFile::parse(text).err().map_or(String::new(), |error| error.to_string());
    let mistyped = problem(&FILE.replace("prefer_main", "prefer_mane"));
    let holds = mistyped.starts_with("line 3: ") && mistyped.contains("`prefer_mane`");
    cluster.check("a bad line is named", holds, mistyped);
    let other = RulesFile::parse(&FILE.replace("prefer_main", "auto")).unwrap_or_default();
    let differing = agreement(cluster, &other, edge);
    let both =
        differing.starts_with("line 3: policy of table `User` is auto in the file and prefer_main in the schema");
    cluster.check("a file that differs from the schema is told with both sides", both, differing);
}
