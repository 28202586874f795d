//! The world around replicas: a network that loses and repeats, disks that forget, clocks that lie, and the checkers
//! that judge what came of it. Everything in it is drawn from one seed.
//!
//! A run is a function of commit (with `Cargo.lock`), plan and seed. The replicas are the real ones, on their real
//! stores; only what surrounds them is simulated, on madsim.
//!
//! # The map
//!
//! | module | holds |
//! |---|---|
//! | [`seed`], [`options`], [`step`], [`reading`] | what a run is made of, and how its file is read |
//! | [`network`], [`disk`], [`clock`], [`store`], [`engine`] | what surrounds a replica |
//! | [`fault`] | what can go wrong |
//! | [`world`], [`host`], [`turns`] | what hosts share; how one runs; when it runs too long |
//! | [`client`], [`cluster`] | who asks replicas for what; the verbs of plans and scenarios |
//! | [`history`] | everything seen, in order, and its digest |
//! | [`model`], [`checker`], [`sometimes`] | what is expected; what must hold; what should be reached |
//! | [`simulation`], [`outcome`] | one run, and how it ended |

#[cfg(not(madsim))]
compile_error!(
    "kuzusync-sim needs `--cfg madsim`, which .cargo/config.toml sets. Is RUSTFLAGS set in the environment? It replaces \
     the flags of that file: unset it."
);

pub mod checker;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod disk;
pub mod engine;
pub mod fault;
pub mod history;
pub mod host;
pub mod model;
pub mod network;
pub mod options;
pub mod outcome;
pub mod reading;
pub mod seed;
pub mod simulation;
pub mod sometimes;
pub mod step;
pub mod store;
pub mod turns;
pub mod world;
