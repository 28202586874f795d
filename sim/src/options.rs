//! Every knob of one run: printed whole when it fails, stored with the case.

use std::collections::BTreeSet;

use kuzusync_core::compaction::RETENTION;
use kuzusync_core::snapshot::CHUNK_NUMBERS;
use kuzusync_core::summary::WHOLE_HEADS_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reading::OutOfRange;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// What a clock may be off, and how long a plan may wait.
pub(crate) const YEAR_MS: u64 = 365 * DAY_MS;

/// What a clock may gain in a million.
const DRIFT_PPM_MAX: i32 = 100_000;

/// How long a host may be held up at once.
pub(crate) const PAUSE_MS_MAX: u64 = HOUR_MS;

/// One message on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageName {
    /// The sending host.
    pub from: u32,
    /// The receiving host.
    pub to: u32,
    /// The message's number on this link, from 1.
    pub number: u64,
}

/// How links behave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LinkOptions {
    /// Messages lost, in a thousand.
    #[schemars(range(max = 1_000))]
    pub loss_permille: u32,
    /// Messages that arrive twice, in a thousand.
    #[schemars(range(max = 1_000))]
    pub repeat_permille: u32,
    /// Messages held back so that later ones overtake them, in a thousand.
    #[schemars(range(max = 1_000))]
    pub reorder_permille: u32,
    /// Messages of which one bit arrives wrong, in a thousand.
    #[schemars(range(max = 1_000))]
    pub corrupt_permille: u32,
    /// Each direction of each link has a latency of its own; the shortest that is drawn.
    pub latency_ms_min: u64,
    /// The longest that is drawn.
    #[schemars(range(max = HOUR_MS))]
    pub latency_ms_max: u64,
    /// What a single message may take longer than its link's latency.
    #[schemars(range(max = HOUR_MS))]
    pub jitter_ms_max: u64,
    /// Bytes that pass one direction of a link in a second, one message after the other; 0 for as many as there are.
    pub bytes_per_second_max: u64,
    /// Of the messages that are drawn to be lost, repeated, held back or damaged only these are; without it all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faulty_messages: Option<BTreeSet<MessageName>>,
}

impl Default for LinkOptions {
    /// A good network: nothing lost, repeated, reordered or damaged, 1 to 10 ms.
    fn default() -> Self {
        LinkOptions {
            loss_permille: 0,
            repeat_permille: 0,
            reorder_permille: 0,
            corrupt_permille: 0,
            latency_ms_min: 1,
            latency_ms_max: 10,
            jitter_ms_max: 0,
            bytes_per_second_max: 0,
            faulty_messages: None,
        }
    }
}

/// Every knob of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How many replicas there are.
    #[schemars(range(min = 1, max = Options::REPLICAS_MAX))]
    pub replicas: u32,
    /// Whether replica 0 is the main and the others are linked to it alone; else all are peers, linked to each other.
    pub has_main: bool,
    /// How links behave until the plan heals them.
    pub links: LinkOptions,
    /// Authors that a hello names one by one; more are summarised.
    pub whole_heads_max: u32,
    /// Tables that slow links carry before all else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub critical_tables: Vec<String>,
    /// Numbers in a chunk of a snapshot.
    #[schemars(range(min = 1))]
    pub chunk_numbers: u32,
    /// How long the main waits for a replica of which it hears nothing before it forgets what that lacks.
    #[schemars(range(max = YEAR_MS))]
    pub retention_ms: u64,
    /// What each host's wall clock is ahead of the true time; hosts beyond the list have none.
    #[schemars(inner(range(min = -YEAR_MS.cast_signed(), max = YEAR_MS)))]
    pub skew_ms: Vec<i64>,
    /// What each host's wall clock gains in a million milliseconds, or loses if that is negative; hosts beyond the list
    /// have a true one.
    #[schemars(inner(range(min = -DRIFT_PPM_MAX, max = DRIFT_PPM_MAX)))]
    pub drift_ppm: Vec<i32>,
    /// Hosts that speak the protocol's version before the newest until they are upgraded.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub older_hosts: BTreeSet<u32>,
    /// Simulated time within which a healed cluster must come to rest.
    #[schemars(range(min = 1, max = DAY_MS))]
    pub settle_ms_max: u64,
    /// How often the tasks of a run get their turn before it counts as endless. A generated run takes a few hundred.
    #[schemars(range(min = 1))]
    pub turns_max: u64,
}

impl Options {
    /// Replicas at most: every pair is a link.
    pub const REPLICAS_MAX: u32 = 64;

    /// Refuses what no cluster can have.
    ///
    /// # Errors
    /// The first option that is out of range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let Options {
            replicas,
            has_main: _,
            links,
            whole_heads_max: _,
            critical_tables: _,
            chunk_numbers,
            retention_ms,
            skew_ms,
            drift_ppm,
            older_hosts: _,
            settle_ms_max,
            turns_max,
        } = self;
        links.check()?;
        in_range("options.replicas", *replicas, (1..=Options::REPLICAS_MAX).contains(replicas), "from 1 to 64")?;
        in_range("options.chunk_numbers", *chunk_numbers, *chunk_numbers > 0, "at least 1")?;
        let year = "at most 31536000000, a year";
        in_range("options.retention_ms", *retention_ms, *retention_ms <= YEAR_MS, year)?;
        for (host, ms) in skew_ms.iter().enumerate() {
            clock_offset(format!("options.skew_ms[{host}]"), *ms)?;
        }
        for (host, ppm) in drift_ppm.iter().enumerate() {
            let holds = ppm.unsigned_abs() <= DRIFT_PPM_MAX.unsigned_abs();
            in_range(format!("options.drift_ppm[{host}]"), *ppm, holds, "from -100000 to 100000, a tenth")?;
        }
        let settle_range = "from 1 to 86400000, a day";
        in_range("options.settle_ms_max", *settle_ms_max, (1..=DAY_MS).contains(settle_ms_max), settle_range)?;
        in_range("options.turns_max", *turns_max, *turns_max > 0, "at least 1")
    }
}

impl LinkOptions {
    fn check(&self) -> Result<(), OutOfRange> {
        let LinkOptions {
            loss_permille,
            repeat_permille,
            reorder_permille,
            corrupt_permille,
            latency_ms_min,
            latency_ms_max,
            jitter_ms_max,
            bytes_per_second_max: _,
            faulty_messages: _,
        } = self;
        let permille = [
            ("loss", loss_permille),
            ("repeat", repeat_permille),
            ("reorder", reorder_permille),
            ("corrupt", corrupt_permille),
        ];
        for (name, permille) in permille {
            let field = format!("options.links.{name}_permille");
            in_range(field, *permille, *permille <= 1_000, "at most 1000")?;
        }
        for (name, ms) in [("latency_ms_max", latency_ms_max), ("jitter_ms_max", jitter_ms_max)] {
            in_range(format!("options.links.{name}"), *ms, *ms <= HOUR_MS, "at most 3600000, an hour")?;
        }
        let holds = latency_ms_min <= latency_ms_max;
        in_range("options.links.latency_ms_max", *latency_ms_max, holds, "at least latency_ms_min")
    }
}

/// Refuses a value that is out of range.
pub(crate) fn in_range(
    field: impl Into<String>,
    found: impl Into<i128>,
    holds: bool,
    range: &'static str,
) -> Result<(), OutOfRange> {
    if holds { Ok(()) } else { Err(OutOfRange { field: field.into(), found: found.into(), range }) }
}

/// Refuses a clock that is off by more than a year.
pub(crate) fn clock_offset(field: String, ms: i64) -> Result<(), OutOfRange> {
    in_range(field, ms, ms.unsigned_abs() <= YEAR_MS, "within a year, 31536000000, of 0")
}

impl Default for Options {
    /// A main and two edges on a good network, with true clocks.
    fn default() -> Self {
        Options {
            replicas: 3,
            has_main: true,
            links: LinkOptions::default(),
            whole_heads_max: WHOLE_HEADS_MAX as u32,
            critical_tables: Vec::new(),
            chunk_numbers: CHUNK_NUMBERS as u32,
            retention_ms: RETENTION.as_millis() as u64,
            skew_ms: Vec::new(),
            drift_ppm: Vec::new(),
            older_hosts: BTreeSet::new(),
            settle_ms_max: 60_000,
            turns_max: 1_000_000,
        }
    }
}
