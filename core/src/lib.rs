//! The sync engine for Kùzu graphs: a pure state machine.
//!
//! Many replicas hold one graph. Each takes changes while it is offline, sends them when it can, and ends with what all
//! the others end with. This crate is all the rules of that and none of its surroundings: it asks nobody the time, opens
//! nothing, spawns nothing and draws no random numbers. A host feeds it inputs and carries out its outputs; the contract
//! is one paragraph in [`replica`].
//!
//! # The map
//!
//! Each module depends only on those above it.
//!
//! | module | holds |
//! |---|---|
//! | [`value`], [`id`], [`clock`], [`policy`], [`change`], [`ddl`], [`ruling`], [`statement`], [`view`], [`error`] | the vocabulary: plain data |
//! | [`message`], [`block`] | all that crosses the wire or lies on a disk, and its bytes |
//! | [`log`], [`schema`], [`state`] | what a replica knows |
//! | [`store`] | the port to a graph database |
//! | [`causal`], [`conflict`], [`constraint`], [`resolve`], [`rules`] | the rules |
//! | [`adopt`], [`foreign`] | what an existing database and another system's log become |
//! | [`flat_map`] | an ordered map of few entries |
//! | [`export`] | change logs as rows and as files |
//! | [`session`], [`queue`], [`strategy`] | getting changes across |
//! | [`two_phase`] | doing something together or not at all |
//! | [`summary`], [`sketch`] | finding what differs |
//! | [`snapshot`] | all at once, for who joins late |
//! | [`compaction`] | what may be forgotten |
//! | [`replica`] | the machine |
//! | [`planted`] | bugs on purpose |
//!
//! # Invariants
//!
//! * **Nothing is applied before its causes, and nothing twice.** [`causal`] holds and [`log`] knows.
//! * **One order decides every conflict**: [`clock::Rank`], of which a [`policy`] compares a part. Never arrival.
//! * **The view is a pure function of the applied changes.** The store never disagrees with the log; if in doubt it is
//!   rebuilt.
//! * **Nothing is said that is not durable.**
//! * **No input panics.** Bad input is an [`error::Error`] that names the offender, and changes nothing.

pub mod adopt;
pub mod block;
pub mod causal;
pub mod change;
pub mod clock;
pub mod compaction;
pub mod conflict;
pub mod constraint;
pub mod ddl;
pub mod error;
pub mod export;
pub mod flat_map;
pub mod foreign;
pub mod id;
#[cfg(feature = "json-schema")]
mod json_schema;
pub mod log;
pub mod message;
pub mod planted;
pub mod policy;
pub mod queue;
pub mod replica;
pub mod resolve;
pub mod rules;
pub mod ruling;
pub mod schema;
pub mod session;
pub mod sketch;
pub mod snapshot;
pub mod state;
pub mod statement;
pub mod store;
pub mod strategy;
pub mod summary;
pub mod two_phase;
pub mod value;
pub mod view;

pub use error::Error;
