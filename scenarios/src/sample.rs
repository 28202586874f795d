//! The small graphs that scenarios use, and the verbs they share.

use kuzusync_core::change::ChangeId;
use kuzusync_core::ddl::{Column, Rule};
use kuzusync_core::policy::Policy;
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::Ruling;
use kuzusync_core::statement::{EdgeName, Properties, Statement, Transaction};
use kuzusync_core::value::{Type, Value};
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::{LinkOptions, Options};

// ---- worlds ----

/// Links that lose, repeat and reorder a good part of what they carry.
#[must_use]
pub fn bad_links() -> LinkOptions {
    let (loss_permille, repeat_permille, reorder_permille) = (150, 150, 150);
    LinkOptions { loss_permille, repeat_permille, reorder_permille, ..LinkOptions::default() }
}

/// A main and two edges on links that take exactly so long, so that a scenario can act while a message is on its way.
#[must_use]
pub fn timed_links(latency_ms: u64) -> Options {
    let links = LinkOptions { latency_ms_min: latency_ms, latency_ms_max: latency_ms, ..LinkOptions::default() };
    Options { links, ..Options::default() }
}

// ---- statements ----

/// A node table; the first column is its key.
#[must_use]
pub fn node_table(table: &str, columns: &[(&str, Type)]) -> Statement {
    let primary_key = columns.first().map_or(String::new(), |(name, _)| (*name).to_owned());
    let column = |(name, of): &(&str, Type)| Column::new(*name, of.clone());
    Statement::CreateNodeTable { table: table.into(), columns: columns.iter().map(column).collect(), primary_key }
}

/// An edge table without properties.
#[must_use]
pub fn edge_table(table: &str, from: &str, to: &str) -> Statement {
    Statement::CreateEdgeTable { table: table.into(), from: from.into(), to: to.into(), columns: Vec::new() }
}

/// A node.
#[must_use]
pub fn create<const N: usize>(table: &str, properties: [(&str, Value); N]) -> Statement {
    Statement::CreateNode { table: table.into(), properties: named(properties) }
}

/// New values for some properties of a node.
#[must_use]
pub fn update<const N: usize>(table: &str, key: &str, properties: [(&str, Value); N]) -> Statement {
    Statement::UpdateNode { table: table.into(), key: key.into(), properties: named(properties) }
}

fn named<const N: usize>(properties: [(&str, Value); N]) -> Properties {
    properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A number of a node, raised or lowered.
#[must_use]
pub fn increment(table: &str, key: &str, column: &str, by: i64) -> Statement {
    Statement::IncrementNode { table: table.into(), key: key.into(), column: column.into(), by: by.into() }
}

/// The end of a node.
#[must_use]
pub fn delete(table: &str, key: &str) -> Statement {
    Statement::DeleteNode { table: table.into(), key: key.into() }
}

/// An edge between two nodes.
#[must_use]
pub fn connect(table: &str, from: (&str, &str), to: (&str, &str)) -> Statement {
    let end = |(table, key): (&str, &str)| (table.to_owned(), Value::from(key));
    let edge = EdgeName { table: table.into(), from: end(from), to: end(to), discriminator: String::new() };
    Statement::CreateEdge { edge, properties: Properties::new() }
}

/// Who wins in a table.
#[must_use]
pub fn set_policy(table: &str, policy: Policy) -> Statement {
    Statement::SetRule { table: table.into(), rule: Rule::Policy { column: None, policy } }
}

/// Who wins in one column of a table.
#[must_use]
pub fn set_column_policy(table: &str, column: &str, policy: Policy) -> Statement {
    Statement::SetRule { table: table.into(), rule: Rule::Policy { column: Some(column.into()), policy } }
}

// ---- users ----

/// `User(id STRING, name STRING, email STRING, PRIMARY KEY(id))`.
#[must_use]
pub fn create_user_table() -> Statement {
    node_table("User", &[("id", Type::String), ("name", Type::String), ("email", Type::String)])
}

/// A user with a name.
#[must_use]
pub fn create_user(id: &str, name: &str) -> Statement {
    create("User", [("id", id.into()), ("name", name.into())])
}

/// Another name for a user.
#[must_use]
pub fn rename(id: &str, name: &str) -> Statement {
    update("User", id, [("name", name.into())])
}

/// Another email for a user.
#[must_use]
pub fn set_email(id: &str, email: &str) -> Statement {
    update("User", id, [("email", email.into())])
}

// ---- what clients do ----

/// Submits one statement as one transaction. A refusal is in the history, and whoever relies on what it does finds out.
pub async fn write(cluster: &mut Cluster, host: u32, statement: Statement) -> Option<ChangeId> {
    cluster.submit(host, vec![statement]).await.ok()
}

/// Like [`write()`], and wants to be refused if somebody else wrote to the row meanwhile.
pub async fn write_strictly(cluster: &mut Cluster, host: u32, statement: Statement) -> Option<ChangeId> {
    let (tx, statements) = (cluster.next_tx(), vec![statement]);
    let transaction = Transaction { tx, statements, is_strict: true, ..Transaction::default() };
    cluster.submit_transaction(host, transaction).await.ok()
}

// ---- what people look at ----

/// What is to be said of each host.
#[must_use]
pub fn each<T>(cluster: &Cluster, look: impl Fn(u32) -> T) -> Vec<T> {
    cluster.hosts().map(look).collect()
}

/// What each host shows of one property of one node.
#[must_use]
pub fn shown(cluster: &Cluster, table: &str, key: &str, column: &str) -> Vec<String> {
    each(cluster, |host| shown_at(cluster, host, table, key, column))
}

/// What one host shows of one property of one node.
#[must_use]
pub fn shown_at(cluster: &Cluster, host: u32, table: &str, key: &str, column: &str) -> String {
    match cluster.view(host).node(table, &key.into()).map(|row| row.get(column)) {
        None => "no row".to_owned(),
        Some(None) => "no value".to_owned(),
        Some(Some(Value::String(text))) => text.clone(),
        Some(Some(value)) => value.to_string(),
    }
}

/// How many nodes of a table one host shows.
#[must_use]
pub fn rows(cluster: &Cluster, host: u32, table: &str) -> usize {
    cluster.view(host).nodes.get(table).map_or(0, std::collections::BTreeMap::len)
}

/// How many epochs each host has heard of.
#[must_use]
pub fn epochs(cluster: &Cluster) -> Vec<String> {
    let epoch = |kind: &EventKind| match kind {
        EventKind::Notified(Notice::Ruled { ruling: Ruling::Epoch(number), .. }) => Some(*number),
        _ => None,
    };
    each(cluster, |host| format!("{} epochs", cluster.events_at(host, epoch).len()))
}

/// The operations of a host that nobody has acknowledged.
#[must_use]
pub fn queued(cluster: &Cluster, host: u32) -> usize {
    cluster.ask(host, |replica| replica.queue().operations()).unwrap_or(usize::MAX)
}

/// Checks that a list reads as expected.
pub fn check_list<F: ToString, E: ToString>(
    cluster: &mut Cluster,
    clause: &str,
    found: impl IntoIterator<Item = F>,
    expected: impl IntoIterator<Item = E>,
) {
    let found: Vec<String> = found.into_iter().map(|item| item.to_string()).collect();
    let expected: Vec<String> = expected.into_iter().map(|item| item.to_string()).collect();
    let words = |list: &[String]| match list {
        [] => "nothing".to_owned(),
        _ if list.iter().any(|item| item.contains(',')) => list.join("; "),
        _ => list.join(", "),
    };
    let holds = found == expected;
    let otherwise = if holds { String::new() } else { format!(" instead of {}", words(&expected)) };
    cluster.check(clause, holds, format!("{}{otherwise}", words(&found)));
}
