//! What people read of a run, and the command that makes runs.
//!
//! A run ends as an [`kuzusync_sim::outcome::Outcome`]; everything here turns outcomes into pages, and seeds into
//! outcomes. Pages are functions from outcomes to text, so a snapshot can hold them; the command is the only part that
//! writes, waits or starts processes.
//!
//! | module | holds |
//! |---|---|
//! | [`failure`] | one page for one failing run |
//! | [`timeline`] | a line per event, a column per replica |
//! | [`scenario_page`] | one page for one run of a scripted scenario |
//! | [`words`], [`text`] | events and graphs in words; columns |
//! | [`conformance`] | case → scenario → verdict |
//! | [`measure`], [`inspection`] | cases with a limit of time or memory; cases about what is read |
//! | [`html`] | a sweep and its runs as one page, with a diagram to look around in |
//! | [`evolution`], [`advice`] | the versions of the schema; filters without an index |
//! | [`benchmarks`] | what Criterion measured |
//! | [`junit`], [`markdown`] | a sweep and the cases for pipelines and pull requests |
//! | [`crash_points`] | transactions interrupted at every point |
//! | [`shrinking`] | the smallest plan of a failure |
//! | [`sweep`] | many seeds: counts, what was reached, failures by signature |
//! | [`runs`] | what is kept of every seed, and shards put together |
//! | [`baseline`] | a sweep beside an earlier one |
//! | [`provenance`] | which commit, which lock file, which command |
//! | [`worker`] | the process in which generated seeds run |
//! | [`command`] | the command line |

/// A run makes and drops a great many small things in a thread of its own: with the system's allocator a sweep spends a
/// quarter of its time on that. It counts where the engine's memory is measured, and only there.
#[global_allocator]
static ALLOCATOR: kuzusync_bench::heap::Counting<mimalloc::MiMalloc> =
    kuzusync_bench::heap::Counting(mimalloc::MiMalloc);

pub mod advice;
pub mod baseline;
pub mod benchmarks;
pub mod command;
pub mod conformance;
pub mod crash_points;
mod disagreement;
pub mod evolution;
pub mod failure;
pub mod html;
pub mod inspection;
pub mod junit;
pub mod markdown;
pub mod measure;
pub mod provenance;
pub mod runs;
pub mod scenario_page;
pub mod shrinking;
pub mod sweep;
pub mod text;
pub mod timeline;
pub mod words;
pub mod worker;
