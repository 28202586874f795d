//! Nodes that were each written by an author of its own, and two peers one of which lacks ten of them. (Distributed Sync
//! Engine, case D5.1.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kuzusync_core::change::{Change, ChangeId, Element, Node, Op};
use kuzusync_core::clock::{Timestamp, VectorClock};
use kuzusync_core::ddl::{Column, Ddl, column_id};
use kuzusync_core::id::{Digest, ReplicaId, Role, TxId};
use kuzusync_core::message::{Cursor, Delivery, Entry, Hello, Message, PROTOCOL_VERSION, SyncMode};
use kuzusync_core::replica::{Input, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::summary::Told;
use kuzusync_core::value::Type;
use kuzusync_core::view::View;

use crate::heap::Tally;
use crate::node::{Traffic, config, converse, input, now};

/// Changes in a message.
const BATCH: usize = 500;

/// Two peers that met, one of which lacked ten nodes.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// From their greetings to the last frame.
    pub time: Duration,
    /// What they said to each other.
    pub traffic: Traffic,
    /// The most that each held on the heap from its start on, in bytes. Zero in a program whose allocator does not count.
    pub peaks: [u64; 2],
    /// What each holds in the end.
    pub held: [u64; 2],
}

impl Pair {
    /// The first holds that many nodes, the second those that it does not lack; they meet.
    ///
    /// # Errors
    /// What a replica says, or nodes that are missing then.
    pub fn meet(nodes: u32, is_lacking: impl Fn(u32) -> bool) -> Result<Pair, String> {
        let mut sides = [Side::open(1), Side::open(2)];
        sides[0].tell((0..=nodes).map(authored).collect())?;
        sides[1].tell((0..=nodes).filter(|number| *number == 0 || !is_lacking(*number)).map(authored).collect())?;
        let lacking = nodes as usize - sides[1].rows();
        if lacking != 10 {
            return Err(format!("{lacking} nodes are lacking instead of 10"));
        }
        let start = Instant::now();
        let traffic = converse(|side, heard| sides[side].input(|| input(heard)))?;
        let time = start.elapsed();
        let rows = sides.each_ref().map(Side::rows);
        if rows != [nodes as usize; 2] {
            return Err(format!("they hold {rows:?} nodes instead of {nodes}"));
        }
        let peaks = sides.each_ref().map(|side| side.heap.peak.unsigned_abs());
        let held = sides.each_ref().map(|side| u64::try_from(side.heap.held).unwrap_or_default());
        Ok(Pair { time, traffic, peaks, held })
    }
}

/// What a replica shows that holds so many nodes.
///
/// # Errors
/// What a replica says.
pub fn view(nodes: u32) -> Result<View, String> {
    let mut side = Side::open(1);
    side.tell((0..=nodes).map(authored).collect())?;
    Ok(side.replica.view())
}

/// A replica whose heap is counted: everything it asks for, and nothing that its surroundings keep of what it says.
struct Side {
    replica: Replica,
    heap: Tally,
}

impl Side {
    fn open(name: u8) -> Side {
        let mut heap = Tally::default();
        let replica = heap.during(|| Replica::open(config(Role::Peer), [name; 32], &[]).unwrap());
        Side { replica, heap }
    }

    fn rows(&self) -> usize {
        self.replica.view().nodes.get("Device").map_or(0, BTreeMap::len)
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        self.input(|| input(Some(bytes)))
    }

    /// The input is made, and what is said is dropped, on the replica's account; its surroundings get copies.
    fn input(&mut self, make: impl FnOnce() -> Input) -> Result<Vec<Vec<u8>>, String> {
        let Side { replica, heap } = self;
        heap.during(|| replica.handle_input(now(), make())).map_err(|error| error.to_string())?;
        let mut frames = Vec::new();
        loop {
            let output = heap.during(|| replica.poll_output());
            let is_done = matches!(output, Output::Timeout(_));
            if let Output::Transmit { bytes, .. } = &output {
                frames.push(bytes.clone());
            }
            heap.during(|| drop(output));
            if is_done {
                return Ok(frames);
            }
        }
    }

    /// It learns these from somebody that comes by.
    fn tell(&mut self, deliveries: Vec<Delivery>) -> Result<(), String> {
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION.to_owned(),
            mode: SyncMode::Incremental,
            database: self.replica.database(),
            replica: ReplicaId([0xEE; 16]),
            role: Role::Peer,
            cursor: Cursor::default(),
            tip: Default::default(),
            schema_version: 0,
            heads: Told::Whole,
            is_reply: true,
        };
        self.hear(&Message::Hello(hello).encode())?;
        for batch in deliveries.chunks(BATCH) {
            let batch = Message::Changes { clock: VectorClock::default(), deliveries: batch.to_vec() };
            self.hear(&batch.encode())?;
        }
        self.input(|| Input::Disconnected(Peer(0))).map(drop)
    }
}

/// The change in which the author of that number makes the table, number 0, or a node of it.
#[must_use]
pub fn authored(number: u32) -> Delivery {
    let author = |number: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&(number + 1).to_be_bytes());
        ReplicaId(id)
    };
    let columns = vec![Column::new("id", Type::Int64), Column::new("name", Type::String)];
    let create = Ddl::CreateNodeTable { name: "Device".into(), birth: 0, columns, primary_key: "id".into() };
    let table = create.table_id();
    let insert = |number: u32| {
        let cells = [(column_id(table, "name"), format!("device {number}").as_str().into())];
        let element = Element::Node(Node { table, key: i64::from(number).into() });
        Op::Insert { element, cells: cells.into() }
    };
    let id = ChangeId { replica: author(number), seq: 1 };
    let change = Change {
        id,
        tx: TxId(id.replica.0),
        previous: Digest::default(),
        timestamp: Timestamp::at_ms(now().wall_ms - 1_000),
        link_epoch: 0,
        authority_epochs: BTreeMap::new(),
        seen: (number > 0).then(|| ChangeId { replica: author(0), seq: 1 }).into_iter().collect(),
        depends_on: Vec::new(),
        replaces: None,
        expects: Vec::new(),
        participants: Vec::new(),
        ops: vec![if number == 0 { Op::Schema(create) } else { insert(number) }],
    };
    Delivery::Change(Entry { change: Arc::new(change), lsn: None })
}
