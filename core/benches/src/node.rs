//! A replica with stores and nothing between it and its peer: no link, no disk, no clock.

use std::collections::VecDeque;

use kuzusync_core::clock::{self, Now};
use kuzusync_core::id::{DatabaseId, TxId};
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{Statement, Transaction};
use kuzusync_core::store::GraphStore;

/// The stores that a replica feeds.
pub type Stores = Vec<Box<dyn GraphStore>>;

/// A replica and its stores.
pub struct Node {
    /// The replica.
    pub replica: Replica,
    /// What it feeds.
    pub stores: Stores,
}

/// What went from one to the other and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames, both ways.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a replica without a history is told, in that role, in the database of all these workloads.
#[must_use]
pub fn config(role: kuzusync_core::id::Role) -> Config {
    Config::new(role, DatabaseId([1; 16]))
}

/// The moment at which everything happens.
#[must_use]
pub fn now() -> Now {
    Now { monotonic: clock::Instant(0), wall_ms: 1_700_000_000_000 }
}

/// A client's transaction with a name of its own.
#[must_use]
pub fn transaction(author: u8, number: u64, statements: Vec<Statement>) -> Transaction {
    let mut tx = TxId([author; 16]);
    tx.0[..8].copy_from_slice(&number.to_le_bytes());
    // Names of transactions are random to whoever compresses them.
    tx.0[8..15].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()[..7]);
    Transaction { tx, statements, ..Transaction::default() }
}

impl Node {
    /// A new replica, which draws its identity from its name.
    ///
    /// # Errors
    /// What the replica or a store says.
    pub fn open(name: u8, config: Config, stores: Stores) -> Result<Node, String> {
        let replica = Replica::open(config, [name; 32], &[]).map_err(|error| error.to_string())?;
        let mut node = Node { replica, stores };
        node.carry_out()?;
        Ok(node)
    }

    /// Does what the replica wants done, and returns what it sends.
    fn carry_out(&mut self) -> Result<Vec<Vec<u8>>, String> {
        let mut frames = Vec::new();
        loop {
            let result = match self.replica.poll_output() {
                Output::Timeout(_) => return Ok(frames),
                Output::Transmit { bytes, .. } => {
                    frames.push(bytes);
                    Ok(())
                }
                Output::View(delta) => self.stores.iter_mut().try_for_each(|store| store.apply(&delta)),
                Output::Rebuild(view) => self.stores.iter_mut().try_for_each(|store| store.rebuild(&view)),
                Output::Persist(_) | Output::Notify(_) => Ok(()),
            };
            result.map_err(|error| error.to_string())?;
        }
    }

    /// Hands it an input, and returns what it sends.
    ///
    /// # Errors
    /// What the replica or a store says.
    pub fn input(&mut self, input: Input) -> Result<Vec<Vec<u8>>, String> {
        self.replica.handle_input(now(), input).map_err(|error| error.to_string())?;
        self.carry_out()
    }

    /// Hands it a client's transaction, while it is alone.
    ///
    /// # Errors
    /// What the replica or a store says.
    pub fn submit(&mut self, author: u8, number: u64, statements: Vec<Statement>) -> Result<(), String> {
        self.input(Input::Local(transaction(author, number, statements))).map(drop)
    }

    /// Rows of a table that every store of it holds, which is what the replica shows.
    ///
    /// # Errors
    /// A store that cannot be read, or that holds something else.
    pub fn rows(&mut self, table: &str) -> Result<usize, String> {
        let view = self.replica.view();
        for store in &mut self.stores {
            if store.read().map_err(|error| error.to_string())? != view {
                return Err(format!("{} does not hold what the replica shows", store.name()));
            }
        }
        Ok(view.nodes.get(table).map_or(0, std::collections::BTreeMap::len))
    }
}

/// Both greet each other, everything is said that is to be said, and they part.
///
/// # Errors
/// What a replica or a store says.
pub fn meet(nodes: &mut [Node; 2]) -> Result<Traffic, String> {
    let traffic = converse(|side, heard| nodes[side].input(input(heard)))?;
    nodes.iter_mut().try_for_each(|node| node.input(Input::Disconnected(Peer(0))).map(drop))?;
    Ok(traffic)
}

/// Everything that two sides say to each other, from their greetings on. Either hears that they are connected, or a frame, and
/// says frames.
pub(crate) fn converse(
    mut hear: impl FnMut(usize, Option<&[u8]>) -> Result<Vec<Vec<u8>>, String>,
) -> Result<Traffic, String> {
    let mut on_their_way = VecDeque::new();
    let mut traffic = Traffic::default();
    for from in [0, 1] {
        on_their_way.extend(hear(from, None)?.into_iter().map(|bytes| (1 - from, bytes)));
    }
    while let Some((to, bytes)) = on_their_way.pop_front() {
        traffic.messages += 1;
        traffic.bytes += bytes.len() as u64;
        on_their_way.extend(hear(to, Some(&bytes))?.into_iter().map(|bytes| (1 - to, bytes)));
    }
    Ok(traffic)
}

/// What is heard, as the replica is told.
pub(crate) fn input(heard: Option<&[u8]>) -> Input {
    match heard {
        None => Input::Connected(Peer(0)),
        Some(bytes) => Input::Receive { from: Peer(0), bytes: bytes.to_vec() },
    }
}
