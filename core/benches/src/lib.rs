//! Seeded workloads for benchmarks, and the rows of the performance table.
//!
//! | module | holds |
//! |---|---|
//! | [`rows`] | the documented rows, each as work that is timed, verified and counted |
//! | [`authors`] | ten thousand nodes, each by an author of its own |
//! | [`node`] | a replica with stores, and two that meet |
//! | [`heap`] | how much memory a replica holds |
//! | [`agreement`] | two-phase commit |
//!
//! `README.md` beside this says what was measured, on what, and how to run it again.

#![expect(clippy::unwrap_used, reason = "a workload that cannot be made has no measure")]

pub mod agreement;
pub mod authors;
pub mod heap;
pub mod node;
pub mod rows;

use kuzusync_core::clock::{Instant, Now};
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, TxId};
use kuzusync_core::message::{Entry, Message, Role};
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{EdgeName, Properties, Statement, Transaction};
use kuzusync_core::strategy::Strategy;
use kuzusync_core::value::{Type, Value};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How many replicas write.
pub const REPLICAS: usize = 3;

/// Rows that all replicas write to.
const ROWS: u32 = 200;

/// What three peers write to the same nodes and edges while they hear of each other only now and then: `changes` changes
/// of one operation each, causes before effects.
#[must_use]
pub fn concurrent_history(changes: usize, seed: u64) -> Vec<Entry> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut cluster = Cluster::open();
    cluster.submit(0, tables());
    cluster.submit(0, (0..ROWS).map(create).collect());
    cluster.exchange();
    let mut written = 2;
    while written < changes {
        let author = rng.next_u32() as usize % REPLICAS;
        written += usize::from(cluster.try_submit(author, statement(&mut rng)));
        if written.is_multiple_of(50) {
            cluster.exchange();
        }
    }
    cluster.exchange();
    cluster.replicas[0].log().entries().collect()
}

/// Three peers in sessions with each other.
struct Cluster {
    replicas: Vec<Replica>,
    transactions: u64,
}

impl Cluster {
    fn open() -> Cluster {
        let config = Config::new(Role::Peer, DatabaseId([1; 16]));
        let open = |name: usize| Replica::open(config.clone(), [name as u8; 32], &[]).unwrap();
        let mut cluster = Cluster { replicas: (0..REPLICAS).map(open).collect(), transactions: 0 };
        for (from, to) in pairs() {
            cluster.input(from, Input::Connected(Peer(to as u32)));
        }
        while pairs().map(|(from, _)| cluster.deliver(from)).sum::<usize>() > 0 {}
        cluster
    }

    /// Carries what a replica says to those it is for, and counts it.
    fn deliver(&mut self, from: usize) -> usize {
        let frames = self.transmitted(from);
        for (to, bytes) in &frames {
            self.input(to.0 as usize, Input::Receive { from: Peer(from as u32), bytes: bytes.clone() });
        }
        frames.len()
    }

    fn input(&mut self, at: usize, input: Input) -> bool {
        let wall_ms = 1_700_000_000_000 + i64::try_from(self.transactions).unwrap();
        self.replicas[at].handle_input(Now { monotonic: Instant(0), wall_ms }, input).is_ok()
    }

    /// What is not legal there is refused.
    fn try_submit(&mut self, at: usize, statement: Statement) -> bool {
        self.submit(at, vec![statement])
    }

    fn submit(&mut self, at: usize, statements: Vec<Statement>) -> bool {
        self.transactions += 1;
        let mut tx = TxId::default();
        tx.0[..8].copy_from_slice(&self.transactions.to_le_bytes());
        let is_done = self.input(at, Input::Local(Transaction { tx, statements, ..Transaction::default() }));
        self.transmitted(at);
        is_done
    }

    fn transmitted(&mut self, at: usize) -> Vec<(Peer, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            match self.replicas[at].poll_output() {
                Output::Timeout(_) => return frames,
                Output::Transmit { to, bytes } => frames.push((to, bytes)),
                _ => {}
            }
        }
    }

    /// Everybody hears of everything.
    fn exchange(&mut self) {
        for (from, to) in pairs().chain(pairs()) {
            loop {
                let cursor = self.replicas[to].log().cursor();
                let deliveries = self.replicas[from].log().lacking(&cursor, false, Strategy::Streaming.batch_limits());
                if deliveries.is_empty() {
                    break;
                }
                let bytes = Message::Changes { clock: Default::default(), deliveries }.encode();
                assert!(self.input(to, Input::Receive { from: Peer(from as u32), bytes }));
                self.transmitted(to);
                assert_ne!(self.replicas[to].log().cursor(), cursor, "replica {to} takes nothing from {from}");
            }
        }
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..REPLICAS).flat_map(|from| (0..REPLICAS).filter(move |to| *to != from).map(move |to| (from, to)))
}

fn tables() -> Vec<Statement> {
    let column = |name: &str, column_type| Column::new(name, column_type);
    let columns = vec![column("id", Type::Int64), column("name", Type::String), column("visits", Type::Int64)];
    let user = Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() };
    let (from, to) = ("User".to_owned(), "User".to_owned());
    let columns = vec![column("since", Type::Int64)];
    vec![user, Statement::CreateEdgeTable { table: "FOLLOWS".into(), from, to, columns }]
}

fn create(id: u32) -> Statement {
    let properties = Properties::from([("id".into(), i64::from(id).into()), ("name".into(), "nobody".into())]);
    Statement::CreateNode { table: "User".into(), properties }
}

/// Mostly updates, some increments, edges, and now and then a deletion.
fn statement(rng: &mut ChaCha8Rng) -> Statement {
    let id = rng.next_u32() % ROWS;
    let key = Value::from(i64::from(id));
    let table = || "User".to_owned();
    match rng.next_u32() % 20 {
        0..12 => {
            let name = format!("name {}", rng.next_u32());
            let properties = Properties::from([("name".into(), name.as_str().into())]);
            Statement::UpdateNode { table: table(), key, properties }
        }
        12..16 => Statement::IncrementNode { table: table(), key, column: "visits".into(), by: 1.into() },
        16..18 => {
            let to = Value::from(i64::from(rng.next_u32() % ROWS));
            let discriminator = String::new();
            let edge = EdgeName { table: "FOLLOWS".into(), from: (table(), key), to: (table(), to), discriminator };
            Statement::CreateEdge { edge, properties: Properties::new() }
        }
        18 => Statement::DeleteNode { table: table(), key },
        _ => create(id),
    }
}
