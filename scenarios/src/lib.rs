//! What we make happen: the documented cases as scenarios, and random plans.
//!
//! | module | holds |
//! |---|---|
//! | [`case`] | every documented requirement, by id |
//! | [`scenario`] | what a scenario is; the list of all |
//! | [`session`], [`conflict`], [`offline`], [`reconciliation`] | the scenarios, a file per section of the case list |
//! | [`sample`] | the small graph they use |
//! | [`swarm`] | the generator of random plans |
//! | [`stored`], [`mod@format`] | runs as files, and the schema of such files |

pub mod case;
pub mod conflict;
pub mod format;
pub mod offline;
pub mod reconciliation;
pub mod sample;
pub mod scenario;
pub mod session;
pub mod stored;
pub mod swarm;
