//! Minimal Sync Guide, security checklist: messages that are not what they should be.

use kuzusync_core::Error;
use kuzusync_core::id::{DatabaseId, Digest};
use kuzusync_core::message::{Hello, MESSAGE_BYTES_MAX, Message, PROTOCOL_VERSION, Record, Role, SyncMode};
use kuzusync_core::summary::Told;
use kuzusync_core::value::Value;
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
    vec![Scenario {
        name: "invalid-messages",
        story: "The main gets garbage, damaged and oversized messages, and greetings it cannot accept, as if from its \
                edges.",
        cases: &[Case::C9],
        claims: &[],
        seed: Seed(39),
        options: Options::default(),
        body: |cluster| Box::pin(invalid_messages(cluster)),
    }]
}

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
    let (protocol_version, mode, role) = (protocol_version.to_owned(), SyncMode::Incremental, Role::Edge);
    let (schema_version, heads, is_reply) = (1, Told::Whole, false);
    let hello = Hello { protocol_version, mode, database, replica, role, cursor, schema_version, heads, is_reply };
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
