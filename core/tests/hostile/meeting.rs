//! Two replicas that met, and what must hold of one that is told lies. Also used by the fuzz target beside this test.

use std::collections::VecDeque;

use kuzusync_core::Error;
use kuzusync_core::clock::{Instant, Now, VectorClock};
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, Digest, TxId};
use kuzusync_core::message::{Message, Record, Role};
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::snapshot::chunk_bytes;
use kuzusync_core::statement::{EdgeName, Properties, Statement, Transaction};
use kuzusync_core::store::GraphStore;
use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::two_phase::{Abort, AbortReason, Letter, Says};
use kuzusync_core::value::{Type, Value};

const DATABASE: DatabaseId = DatabaseId([7; 16]);

/// Who has sessions with whom.
pub const PAIRS: [[Role; 2]; 3] = [[Role::Edge, Role::Main], [Role::Main, Role::Edge], [Role::Peer, Role::Peer]];

/// A replica with what its host keeps: its records and its store.
#[derive(Debug)]
pub struct Host {
    role: Role,
    pub replica: Replica,
    pub records: Vec<Record>,
    store: MemoryStore,
}

impl Host {
    pub fn new(role: Role, name: u8) -> Host {
        // Peers tell each other what they hold in summaries, the others by name.
        let whole_heads_max = if role == Role::Peer { 0 } else { usize::MAX };
        let config = Config { whole_heads_max, chunk_numbers: 2, ..Config::new(role, DATABASE) };
        let replica = Replica::open(config, [name; 32], &[]).unwrap();
        let mut host = Host { role, replica, records: Vec::new(), store: MemoryStore::default() };
        host.carry_out();
        host
    }

    /// What the replica sends and what it says to the input.
    fn input(&mut self, input: Input) -> (Vec<Vec<u8>>, Result<(), Error>) {
        let now = Now { monotonic: Instant(0), wall_ms: 1_000 };
        let result = self.replica.handle_input(now, input);
        (self.carry_out(), result)
    }

    pub fn receive(&mut self, bytes: Vec<u8>) -> (Vec<Vec<u8>>, Result<(), Error>) {
        self.input(Input::Receive { from: Peer(0), bytes })
    }

    fn carry_out(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            match self.replica.poll_output() {
                Output::Timeout(_) => return frames,
                Output::Persist(record) => self.records.push(record),
                Output::Transmit { bytes, .. } => frames.push(bytes),
                Output::View(delta) => self.store.apply(&delta).unwrap(),
                Output::Rebuild(view) => self.store.rebuild(&view).unwrap(),
                Output::Notify(_) => {}
            }
        }
    }

    pub fn submit(&mut self, tx: u8, statements: Vec<Statement>) -> Vec<Vec<u8>> {
        let (frames, result) =
            self.input(Input::Local(Transaction { tx: TxId([tx; 16]), statements, ..Transaction::default() }));
        assert_eq!(result, Ok(()));
        frames
    }

    /// All that a replica is, compared with what came of its outputs.
    pub fn check(&self) {
        let again = Replica::open(Config::new(self.role, DATABASE), [0; 32], &self.records).unwrap();
        assert_eq!(again.id(), self.replica.id());
        assert_eq!(again.log().cursor(), self.replica.log().cursor());
        assert_eq!(again.queue().operations(), self.replica.queue().operations());
        assert_eq!(again.view(), self.replica.view(), "its records make another graph");
        assert_eq!(*self.store.view(), self.replica.view(), "its store holds another graph");
    }
}

/// Two replicas with a session and a history on both sides.
#[derive(Debug)]
pub struct Meeting {
    pub hosts: [Host; 2],
    /// Every frame that was sent.
    pub frames: Vec<Vec<u8>>,
    /// Those of them that have not arrived at the first host yet.
    pub on_their_way: Vec<Vec<u8>>,
}

impl Meeting {
    pub fn new(roles: [Role; 2]) -> Meeting {
        let hosts = [Host::new(roles[0], 1), Host::new(roles[1], 2)];
        let mut meeting = Meeting { hosts, frames: Vec::new(), on_their_way: Vec::new() };
        meeting.connect();
        let column = |name: &str, column_type| Column::new(name, column_type);
        let columns = vec![column("id", Type::Int64), column("name", Type::String), column("age", Type::Double)];
        let user = Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() };
        let (from, to) = ("User".to_owned(), "User".to_owned());
        let knows = Statement::CreateEdgeTable { table: "KNOWS".into(), from, to, columns: vec![] };
        meeting.submit(1, 1, vec![user, knows]);
        meeting.submit(0, 2, vec![node(1, "Ann"), node(2, "Bo"), edge(1, 2)]);
        let name = Properties::from([("name".into(), "Bob".into())]);
        let rename = Statement::UpdateNode { table: "User".into(), key: 2.into(), properties: name };
        meeting.submit(1, 3, vec![rename, Statement::DeleteNode { table: "User".into(), key: 1.into() }]);
        meeting.agree(20, vec![node(9, "Fay")]);
        let columns = vec![column("id", Type::String)];
        let city = Statement::CreateNodeTable { table: "City".into(), columns, primary_key: "id".into() };
        let written = [vec![node(3, "Cy")], vec![node(4, "Di"), edge(2, 4)], vec![city], vec![node(5, "Ed")]];
        let frames = (4..).zip(written).flat_map(|(tx, written)| meeting.hosts[1].submit(tx, written));
        meeting.on_their_way = frames.collect();
        meeting.frames.extend(meeting.on_their_way.clone());
        meeting.frames.push(Message::Refused("words".into()).encode());
        let mut of_snapshot = Vec::new();
        if let Some((host, manifest)) = meeting.hosts.iter().find_map(|host| Some((host, host.replica.snapshot()?))) {
            of_snapshot.push(Message::Want { chunks: manifest.chunks.iter().map(|chunk| chunk.last).collect() });
            let chunk = |last| chunk_bytes(host.replica.log(), last).map(|bytes| (last, bytes));
            for (last, bytes) in manifest.chunks.iter().filter_map(|each| chunk(each.last)) {
                of_snapshot.push(Message::Chunk { last, clock: VectorClock::default(), bytes });
            }
            of_snapshot.push(Message::Offer { manifest, in_place_of: None });
        }
        meeting.frames.extend(of_snapshot.iter().map(Message::encode));
        meeting.frames.push(Message::Unclear { key: [1; 16], differences_min: 3 }.encode());
        let [to, from] = [0, 1].map(|at: usize| meeting.hosts[at].replica.id());
        let abort = Abort { by: from, reason: AbortReason::LeaseExpired };
        let inquiry = Says::Inquiry { coordinator: to };
        for says in [Says::RollBack(abort.clone()), Says::RolledBack(abort), inquiry, Says::Unknown] {
            let letter = Letter { from, to, tx: TxId([21; 16]), says };
            meeting.frames.push(Message::TwoPhase(Box::new(letter)).encode());
        }
        meeting
    }

    /// The second host proposes what both are to vote on.
    fn agree(&mut self, tx: u8, statements: Vec<Statement>) {
        let (tx, participants) = (TxId([tx; 16]), vec![self.hosts[0].replica.id()]);
        let transaction = Transaction { tx, statements, participants, ..Transaction::default() };
        let (frames, result) = self.hosts[1].input(Input::Local(transaction));
        assert_eq!(result, Ok(()));
        self.exchange(frames.into_iter().map(|bytes| (0, bytes)));
        assert!(self.hosts.iter().all(|host| host.replica.decision(tx).is_some()));
    }

    pub fn submit(&mut self, at: usize, tx: u8, statements: Vec<Statement>) {
        let frames = self.hosts[at].submit(tx, statements);
        self.exchange(frames.into_iter().map(|bytes| (1 - at, bytes)));
    }

    /// Both greet each other, as after a reconnect.
    pub fn connect(&mut self) {
        let greetings = [0, 1].map(|at| (1 - at, self.hosts[at].input(Input::Connected(Peer(0))).0));
        self.exchange(greetings.into_iter().flat_map(|(to, frames)| frames.into_iter().map(move |bytes| (to, bytes))));
    }

    /// Delivers frames and what is answered to them, until nobody has more to say.
    pub fn exchange(&mut self, first: impl Iterator<Item = (usize, Vec<u8>)>) {
        let mut on_their_way: VecDeque<_> = first.collect();
        let mut delivered = 0;
        while let Some((to, bytes)) = on_their_way.pop_front() {
            delivered += 1;
            assert!(delivered < 1_000, "the exchange does not end");
            self.frames.push(bytes.clone());
            // A replica that was lied to may refuse what its peer says, in words.
            let (answers, _) = self.hosts[to].receive(bytes);
            on_their_way.extend(answers.into_iter().map(|bytes| (1 - to, bytes)));
        }
    }
}

pub fn node(id: i64, name: &str) -> Statement {
    let properties = [("id".into(), id.into()), ("name".into(), name.into()), ("age".into(), 1.5.into())];
    Statement::CreateNode { table: "User".into(), properties: Properties::from(properties) }
}

fn edge(from: i64, to: i64) -> Statement {
    let end = |id: i64| ("User".to_owned(), Value::from(id));
    let edge = EdgeName { table: "KNOWS".into(), from: end(from), to: end(to), discriminator: String::new() };
    Statement::CreateEdge { edge, properties: Properties::new() }
}

/// The bytes before a frame's body: magic, format version and checksum.
pub const HEADER_BYTES: usize = 10;

/// A body under the header that lets it pass.
pub fn sealed(frame: &[u8], body: &[u8]) -> Vec<u8> {
    [&frame[..2], &Digest::of(&[body]).0[..HEADER_BYTES - 2], body].concat()
}
