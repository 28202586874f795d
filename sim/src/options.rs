//! Every knob of one run: printed whole when it fails, stored with the case.

use serde::{Deserialize, Serialize};

/// How links behave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkOptions {
    /// Messages lost, in a thousand.
    pub loss_permille: u32,
    /// Messages that arrive twice, in a thousand.
    pub repeat_permille: u32,
    /// Messages held back so that later ones overtake them, in a thousand.
    pub reorder_permille: u32,
    /// Messages of which one bit arrives wrong, in a thousand.
    pub corrupt_permille: u32,
    /// Each direction of each link has a latency of its own; the shortest that is drawn.
    pub latency_ms_min: u64,
    /// The longest that is drawn.
    pub latency_ms_max: u64,
    /// What a single message may take longer than its link's latency.
    pub jitter_ms_max: u64,
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
        }
    }
}

/// Every knob of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How many replicas there are.
    pub replicas: u32,
    /// Whether replica 0 is the main and the others are linked to it alone; else all are peers, linked to each other.
    pub has_main: bool,
    /// How links behave until the plan heals them.
    pub links: LinkOptions,
    /// What each host's wall clock is ahead of the true time; hosts beyond the list have none.
    pub skew_ms: Vec<i64>,
    /// Simulated time within which a healed cluster must come to rest.
    pub settle_ms_max: u64,
}

impl Options {
    /// Replicas at most: every pair is a link.
    pub const REPLICAS_MAX: u32 = 64;
}

impl Default for Options {
    /// A main and two edges on a good network, with true clocks.
    fn default() -> Self {
        Options {
            replicas: 3,
            has_main: true,
            links: LinkOptions::default(),
            skew_ms: Vec::new(),
            settle_ms_max: 60_000,
        }
    }
}
