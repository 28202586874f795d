//! What we make happen: the documented cases as scenarios, and random plans.
//!
//! | module | holds |
//! |---|---|
//! | [`case`] | every documented requirement, by id |
//! | [`scenario`] | what a scenario is; the list of all |
//! | [`session`], [`conflict`], [`offline`], [`transfer`], [`compaction`], [`two_phase_commit`], [`reconciliation`], [`resend`], [`input`], [`change_log`], [`operation`], [`migration`], [`schema`], [`schema_changes`], [`schema_history`], [`schema_pairs`], [`schema_store`], [`harness`] | the scenarios, a file per section |
//! | [`crash_points`] | a transaction between replicas, interrupted everywhere |
//! | [`counterexample`] | why the rules are not simpler: a scenario for each simpler one |
//! | [`sampled`] | what the cases of the harness ask of many runs |
//! | [`sample`] | the small graphs they use, and the verbs they share |
//! | [`swarm`] | the generator of random plans |
//! | [`shrink`] | a smaller plan that fails of the same thing |
//! | [`stored`], [`mod@format`] | runs as files, and the schema of such files |

pub mod case;
pub mod change_log;
pub mod compaction;
pub mod conflict;
pub mod counterexample;
pub mod crash_points;
pub mod format;
pub mod harness;
pub mod input;
pub mod migration;
pub mod offline;
pub mod operation;
pub mod reconciliation;
pub mod resend;
pub mod sample;
pub mod sampled;
pub mod scenario;
pub mod schema;
pub mod schema_changes;
pub mod schema_history;
pub mod schema_pairs;
pub mod schema_store;
pub mod session;
pub mod shrink;
pub mod stored;
pub mod swarm;
pub mod transfer;
pub mod two_phase_commit;
