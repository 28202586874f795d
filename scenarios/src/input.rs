//! Minimal Sync Guide, security checklist: parameters only, and messages that are not what they should be.

use std::collections::BTreeMap;

use kuzusync_core::Error;
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, Digest};
use kuzusync_core::message::{Hello, MESSAGE_BYTES_MAX, Message, PROTOCOL_VERSION, Record, Role, SyncMode};
use kuzusync_core::statement::{EdgeName, Properties, Statement};
use kuzusync_core::summary::Told;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::View;
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::{create_user, create_user_table};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "parameters-only",
            story: "Clients use names and values that look like statements; what they ask for is what they get.",
            cases: &[Case::C8],
            claims: &[],
            seed: Seed(38),
            options: Options { replicas: 2, ..Options::default() },
            body: |cluster| Box::pin(parameters_only(cluster)),
        },
        Scenario {
            name: "invalid-messages",
            story: "The main gets garbage, damaged and oversized messages, and greetings it cannot accept, as if from its \
                    edges.",
            cases: &[Case::C9],
            claims: &[],
            seed: Seed(39),
            options: Options::default(),
            body: |cluster| Box::pin(invalid_messages(cluster)),
        },
    ]
}

// ---- parameters only ----

/// What no text may contain: it is in every hostile value.
const VALUE_MARK: &str = "VALUE-4711";

/// What a text may contain between quotes only: it is in every hostile name.
const NAME_MARK: &str = "name 0815";

/// Values that would do harm inside a statement.
fn hostile_values() -> Vec<String> {
    let forms = [
        "{}'}) DETACH DELETE n //",
        "'; DROP TABLE User; MATCH (n) SET n.x = '{}",
        "{}` }) RETURN 1 //",
        "$k {} $rows r.p0",
        "{}\\'\\\"\\\\",
        "/* {} */ -- \u{1F980}",
        "{}\n\t\0",
    ];
    forms.map(|form| form.replace("{}", VALUE_MARK)).to_vec()
}

/// Names of tables and columns that would do harm if they were not quoted, the key's first.
fn hostile_names() -> Vec<String> {
    let forms = ["{} MATCH (n) DELETE n", "{}'", "{}\"; DROP TABLE User", "{}) //", "SET {} = $k"];
    forms.map(|form| form.replace("{}", NAME_MARK)).to_vec()
}

async fn parameters_only(cluster: &mut Cluster) {
    let (main, edge) = (0, 1);
    let names = hostile_names();
    let (values, table, edges) = (hostile_values(), format!("TABLE {NAME_MARK}'s"), format!("EDGE {NAME_MARK}]"));
    let mut written = vec![cluster.submit(main, vec![create_user_table(), create_user("ann", "Ann")]).await];
    written.push(cluster.submit(main, tables(&table, &edges, &names)).await);
    cluster.settle().await;
    // Half of the rows by each, some one by one and the rest together, since stores are asked differently then.
    let rows: Vec<Statement> = values.iter().map(|value| create_row(&table, &names, value)).collect();
    let (first, rest) = rows.split_at(2);
    for row in first {
        written.push(cluster.submit(edge, vec![row.clone()]).await);
    }
    cluster.settle().await;
    written.push(cluster.submit(main, rest.to_vec()).await);
    written.push(cluster.submit(main, values.iter().map(|value| create_edge(&table, &edges, value)).collect()).await);
    cluster.settle().await;
    let update = Properties::from([(names[1].clone(), Value::from(values[0].as_str()))]);
    let last = Value::from(values[6].as_str());
    written.push(
        cluster.submit(edge, vec![Statement::UpdateNode { table: table.clone(), key: last, properties: update }]).await,
    );
    let refused = refused_names(cluster, main).await;
    let replicas = cluster.settle().await;

    let done = written.iter().filter(|result| result.is_ok()).count();
    let stored: Vec<&View> = replicas.iter().flat_map(|replica| replica.stores.values()).collect();
    let kept = stored.iter().map(|view| values.iter().filter(|value| is_kept(view, &table, &names, value)).count());
    let kept: Vec<usize> = kept.collect();
    let is_kept = done == written.len() && kept.len() >= 2 && kept.iter().all(|count| *count == values.len());
    let found = format!("of {} hostile values as key and property, the stores hold {kept:?}", values.len());
    cluster.check("values come back byte by byte", is_kept, found);

    let expected = [("User".to_owned(), 1), (table.clone(), values.len()), (edges.clone(), values.len())];
    let is_exact = |view: &&View| {
        let nodes = view.nodes.iter().map(|(name, rows)| (name.clone(), rows.len()));
        let edges = view.edges.iter().map(|(name, rows)| (name.clone(), rows.len()));
        nodes.chain(edges).collect::<BTreeMap<_, _>>() == BTreeMap::from(expected.clone())
    };
    let exact = stored.iter().filter(|view| is_exact(view)).count();
    let found = format!("{exact} of {} stores hold the three tables and their rows and nothing else", stored.len());
    cluster.check("nothing is there but what was asked for", exact == stored.len() && exact >= 2, found);

    let texts: Vec<String> = [main, edge].into_iter().flat_map(|host| cluster.statement_texts(host)).collect();
    let seen = match texts.len() {
        0 => "this store is not asked in texts".to_owned(),
        count => format!("{count} texts of statements"),
    };
    let with_value = texts.iter().filter(|text| text.contains(VALUE_MARK)).count();
    let found = format!("{seen}, {with_value} with a value");
    cluster.check("no value stands in the text of a statement", with_value == 0, found);
    let all_names: Vec<&str> = names.iter().chain([&table, &edges]).map(String::as_str).collect();
    let unquoted = texts.iter().filter(|text| !is_quoted(text, &all_names)).count();
    let named = texts.iter().filter(|text| text.contains(NAME_MARK)).count();
    let found = format!("{seen}, {named} with a hostile name, {unquoted} without its quotes");
    cluster.check("every identifier stands in quotes", unquoted == 0 && (texts.is_empty() || named > 10), found);
    let (asked, by_name) = refused;
    let found = format!("{by_name} of {asked} refused by name");
    cluster.check("an identifier that cannot be quoted is refused by name", asked == by_name, found);
}

fn tables(table: &str, edges: &str, names: &[String]) -> Vec<Statement> {
    let columns: Vec<Column> = names.iter().map(|name| Column::new(name.as_str(), Type::String)).collect();
    let create =
        Statement::CreateNodeTable { table: table.to_owned(), columns: columns.clone(), primary_key: names[0].clone() };
    let (from, to) = (table.to_owned(), "User".to_owned());
    vec![create, Statement::CreateEdgeTable { table: edges.to_owned(), from, to, columns }]
}

/// A row of nothing but one value.
fn create_row(table: &str, names: &[String], value: &str) -> Statement {
    let properties = names.iter().map(|name| (name.clone(), Value::from(value))).collect();
    Statement::CreateNode { table: table.to_owned(), properties }
}

fn create_edge(table: &str, edges: &str, value: &str) -> Statement {
    let (from, to) = ((table.to_owned(), Value::from(value)), ("User".to_owned(), Value::from("ann")));
    let edge = EdgeName { table: edges.to_owned(), from, to, discriminator: value.to_owned() };
    let properties = Properties::from([(hostile_names()[2].clone(), Value::from(value))]);
    Statement::CreateEdge { edge, properties }
}

/// Whether a row holds the value under its key and in a column that was never updated.
fn is_kept(view: &View, table: &str, names: &[String], value: &str) -> bool {
    let row = view.node(table, &Value::from(value));
    row.is_some_and(|row| row.get(&names[2]) == Some(&Value::from(value)))
}

/// Whether names stand in a text between quotes only: as identifiers, or as literals where Kùzu asks for a name so.
fn is_quoted(text: &str, names: &[&str]) -> bool {
    let mut rest = text.to_owned();
    for name in names {
        let literal = format!("'{}'", name.replace('\\', "\\\\").replace('\'', "\\'"));
        rest = rest.replace(&format!("`{name}`"), "").replace(&literal, "");
    }
    !rest.contains(NAME_MARK)
}

/// Asks for tables and columns that no statement could name; returns how many, and how many were refused by name.
async fn refused_names(cluster: &mut Cluster, host: u32) -> (usize, usize) {
    let bad = ["a`b", "``", "`; DROP TABLE User; //", "a\0b", "a\nb", "*", ""];
    let mut by_name = 0;
    for name in bad {
        for (table, column) in [(name, "id"), ("Fine", name)] {
            let column = Column::new(column, Type::String);
            let (columns, primary_key) = (vec![column.clone()], column.name);
            let asked = Statement::CreateNodeTable { table: table.to_owned(), columns, primary_key };
            let refusal = cluster.submit(host, vec![asked]).await.err().unwrap_or_default();
            by_name += usize::from(refusal.contains(&format!("`{name}` cannot name a ")));
        }
    }
    (2 * bad.len(), by_name)
}

// ---- invalid messages ----

async fn invalid_messages(cluster: &mut Cluster) {
    let (main, edge, other) = (0, 1, 2);
    let table = cluster.submit(main, vec![create_user_table(), create_user("ann", "Ann")]).await;
    cluster.settle().await;
    let before = state(cluster, main);

    let valid = cluster.ask(edge, |replica| Message::Ack(replica.log().cursor()).encode()).unwrap_or_default();
    let mut malformed = vec![Vec::new(), b"hello".to_vec(), vec![0xFF; 1_000]];
    malformed.extend((1..valid.len()).map(|length| valid[..length].to_vec()));
    malformed.extend((0..8 * valid.len()).map(|bit| {
        let mut flipped = valid.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    }));
    let count = malformed.len();
    let mut refused = 0;
    for bytes in malformed {
        refused += usize::from(matches!(cluster.inject(main, edge, bytes).await, Some(Err(Error::Malformed { .. }))));
    }
    let found = format!("{refused} of {count}: garbage, every length cut short, every bit flipped");
    cluster.check("bytes that are no message are refused as malformed", refused == count, found);

    let long = cluster.inject(main, edge, vec![0x4B; MESSAGE_BYTES_MAX + 1]).await;
    let (is_refused, words) = told(long, |error| error.to_string().contains("longer than 16 MiB"));
    cluster.check("a message that is too long is refused by its length", is_refused, words);

    let own = cluster.records(main).into_iter().find_map(|record| match record {
        Record::Created { database, .. } => Some(database),
        _ => None,
    });
    let own = own.unwrap_or_default();
    let foreign = greeting(cluster, other, DatabaseId(Digest::of(&[b"another graph"]).0), PROTOCOL_VERSION);
    let answer = cluster.inject(main, other, foreign).await;
    let (is_refused, words) = told(answer, |error| matches!(error, Error::ForeignDatabase { .. }));
    cluster.check("a foreign database is refused by name", is_refused, words);
    let newer = greeting(cluster, other, own, "2.0");
    let answer = cluster.inject(main, other, newer).await;
    let (is_refused, words) = told(answer, |error| matches!(error, Error::ProtocolVersion { .. }));
    cluster.check("a newer protocol version is refused by name", is_refused, words);
    let (log, view) = state(cluster, main);
    let found = format!(
        "the main's log holds {} changes before and {log} after, and its graph is equal: {}",
        before.0,
        view == before.1
    );
    cluster.check("no graph and no log changes", table.is_ok() && before == (log, view), found);

    let written = cluster.submit(edge, vec![create_user("bob", "Bob")]).await;
    cluster.wait(1_000).await;
    let shown = |cluster: &Cluster, host, id: &str| cluster.view(host).node("User", &Value::from(id)).is_some();
    let found = format!("a change of edge 1 is at the main: {}", shown(cluster, main, "bob"));
    cluster.check("the connection goes on", written.is_ok() && shown(cluster, main, "bob"), found);

    // The main now refuses edge 2, whose name was abused, until it connects anew.
    cluster.go_offline(other).await;
    cluster.go_online(other).await;
    cluster.wait(1_000).await;
    let written = cluster.submit(other, vec![create_user("cy", "Cy")]).await;
    cluster.wait(1_000).await;
    let found = format!("a change of edge 2 is at the main once it connects anew: {}", shown(cluster, main, "cy"));
    let is_back = written.is_ok() && shown(cluster, main, "cy") && shown(cluster, other, "bob");
    cluster.check("whoever was refused can come back", is_back, found);
}

/// A host's greeting with another database or protocol version.
fn greeting(cluster: &Cluster, host: u32, database: DatabaseId, protocol_version: &str) -> Vec<u8> {
    let (replica, cursor) = cluster.ask(host, |replica| (replica.id(), replica.log().cursor())).unwrap_or_default();
    let tip = cluster.ask(host, |replica| replica.log().tip());
    let (protocol_version, mode, role) = (protocol_version.to_owned(), SyncMode::Incremental, Role::Edge);
    let (schema_version, heads, is_reply) = (1, Told::Whole, false);
    let hello = Hello { protocol_version, mode, database, replica, role, cursor, tip, schema_version, heads, is_reply };
    Message::Hello(hello).encode()
}

/// Whether a message was refused as expected, and in which words.
fn told(answer: Option<Result<(), Error>>, is_expected: impl Fn(&Error) -> bool) -> (bool, String) {
    match answer {
        Some(Err(error)) => (is_expected(&error), error.to_string()),
        other => (false, format!("{other:?}")),
    }
}

/// How long a host's log is, and what it shows.
fn state(cluster: &Cluster, host: u32) -> (usize, View) {
    (cluster.ask(host, |replica| replica.log().len()).unwrap_or_default(), cluster.view(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_outside_of_quotes_is_seen() {
        let names = hostile_names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let quoted = format!("MATCH (n:User) RETURN n.`{}`", names[0]);
        assert!(is_quoted(&quoted, &names));
        assert!(is_quoted(&format!("CALL table_info('{}') RETURN *", names[1].replace('\'', "\\'")), &names));
        assert!(!is_quoted(&quoted.replace('`', ""), &names));
        assert!(!is_quoted(&format!("CALL table_info('{}') RETURN *", names[1]), &names));
    }
}
