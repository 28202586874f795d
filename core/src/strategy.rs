//! How to send over the link that there is: measured, not configured.
//!
//! A session gauges its link from its own traffic. The shortest time in which a small message was answered is the round
//! trip; what a large one took beyond that is its transmission, and the fastest of the last few of them is the bandwidth:
//! whatever else is on its way makes a message slower and never faster. What was sent again is not measured. A transmission
//! no longer than round trips differ among each other tells only what the link carries at least.
//!
//! | link | strategy | changes in a batch | zstd |
//! |---|---|---|---|
//! | below 1 Mbit/s | `priority_based`: what critical tables need goes first, the rest waits | 100 | 15 |
//! | else above 500 ms | `batch_optimized`: fewer and larger messages | 1,000 | 3 |
//! | else, or not known yet | `streaming`: every change at once | 100 | 1 |
//!
//! A strategy is left only once its link is a quarter better than where it is entered, so that a link at the limit does not
//! make it flutter. (Distributed Sync Engine, case D6.2.)

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::block::Compression;
use crate::clock::Instant;

/// Below it a link is slow.
pub const SLOW_BITS_PER_S: u64 = 1_000_000;

/// Above it a link is far.
pub const FAR: Duration = Duration::from_millis(500);

/// How long what is not critical waits before a batch of it tries a slow link again.
pub const PROBE_AFTER: Duration = Duration::from_secs(10);

/// Messages of fewer bytes tell the round trip, messages of more the bandwidth.
const LARGE_BYTES: usize = 1_024;

/// Measurements that count.
const SAMPLES: usize = 4;

/// What is known of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkQuality {
    /// Bits per second; `None` if nothing large was sent yet.
    pub bandwidth_bits_per_s: Option<u64>,
    /// From a message to its answer; `None` if there was none yet.
    pub round_trip: Option<Duration>,
}

impl fmt::Display for NetworkQuality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bandwidth_bits_per_s {
            Some(bits) => write!(f, "{} kbit/s", bits / 1_000)?,
            None => f.write_str("an unknown bandwidth")?,
        }
        match self.round_trip {
            Some(round_trip) => write!(f, ", there and back in {} ms", round_trip.as_millis()),
            None => Ok(()),
        }
    }
}

/// How to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Every change at once.
    #[default]
    Streaming,
    /// Fewer and larger messages.
    BatchOptimized,
    /// What critical tables need, and the rest later.
    PriorityBased,
}

/// How much one batch holds; it holds at least one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Changes at most.
    pub changes: usize,
    /// Bytes of them at most.
    pub bytes: usize,
}

impl BatchLimits {
    /// All that there is.
    pub const NONE: BatchLimits = BatchLimits { changes: usize::MAX, bytes: usize::MAX };
}

impl Strategy {
    /// The strategy for a link, after `current`.
    #[must_use]
    pub fn choose(current: Strategy, quality: NetworkQuality) -> Strategy {
        let (mut slow, mut far) = (SLOW_BITS_PER_S, FAR);
        match current {
            Strategy::PriorityBased => slow += slow / 4,
            Strategy::BatchOptimized => far -= far / 4,
            Strategy::Streaming => {}
        }
        if quality.bandwidth_bits_per_s.is_some_and(|bandwidth| bandwidth < slow) {
            Strategy::PriorityBased
        } else if quality.round_trip.is_some_and(|round_trip| round_trip > far) {
            Strategy::BatchOptimized
        } else {
            Strategy::Streaming
        }
    }

    /// Its name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Streaming => "streaming",
            Strategy::BatchOptimized => "batch_optimized",
            Strategy::PriorityBased => "priority_based",
        }
    }

    /// How much it puts into one message.
    #[must_use]
    pub fn batch_limits(self) -> BatchLimits {
        match self {
            Strategy::Streaming | Strategy::PriorityBased => BatchLimits { changes: 100, bytes: 256 << 10 },
            Strategy::BatchOptimized => BatchLimits { changes: 1_000, bytes: 2 << 20 },
        }
    }

    /// How hard it tries to make a message smaller.
    #[must_use]
    pub fn compression(self) -> Compression {
        match self {
            Strategy::Streaming => Compression::Fast,
            Strategy::BatchOptimized => Compression::Normal,
            Strategy::PriorityBased => Compression::Best,
        }
    }
}

/// What measures one link.
#[derive(Clone, Debug, Default)]
pub struct Gauge {
    /// What small messages took to be answered.
    round_trips: VecDeque<Duration>,
    /// What large messages took, and their bytes.
    transfers: VecDeque<(Duration, usize)>,
    strategy: Strategy,
}

impl Gauge {
    /// A message of so many bytes, alone on its way and for the first time, was sent then and answered now.
    pub fn note_answer(&mut self, sent: Instant, now: Instant, bytes: usize) {
        let elapsed = Duration::from_micros(now.0.saturating_sub(sent.0));
        if bytes < LARGE_BYTES {
            push(&mut self.round_trips, elapsed);
        } else {
            push(&mut self.transfers, (elapsed, bytes));
        }
        self.strategy = Strategy::choose(self.strategy, self.quality());
    }

    /// How long so many bytes are on their way beyond a round trip, at most: as long as nothing is known of it, over a link
    /// that is slow.
    #[must_use]
    pub fn transmission(&self, bytes: usize) -> Duration {
        let bits_per_s = self.quality().bandwidth_bits_per_s.unwrap_or(SLOW_BITS_PER_S / 4).max(1);
        let bits = bytes.saturating_sub(LARGE_BYTES) as u64 * 8;
        Duration::from_micros(bits.saturating_mul(1_000_000) / bits_per_s)
    }

    /// No large message takes less than a round trip either.
    fn round_trip(&self) -> Option<Duration> {
        self.round_trips.iter().chain(self.transfers.iter().map(|(elapsed, _)| elapsed)).min().copied()
    }

    /// What is known of the link.
    #[must_use]
    pub fn quality(&self) -> NetworkQuality {
        NetworkQuality { bandwidth_bits_per_s: self.bandwidth_bits_per_s(), round_trip: self.round_trip() }
    }

    fn bandwidth_bits_per_s(&self) -> Option<u64> {
        let (shortest, longest) = (self.round_trips.iter().min()?, self.round_trips.iter().max()?);
        let jitter = longest.saturating_sub(*shortest);
        let bandwidth = |(elapsed, bytes): &(Duration, usize)| {
            let transmission = elapsed.saturating_sub(*shortest);
            let bits = *bytes as u128 * 8 * 1_000_000;
            let bits_per_s = u64::try_from(bits / transmission.as_micros().max(1)).unwrap_or(u64::MAX);
            (bits_per_s, transmission < jitter)
        };
        let (bits_per_s, is_lost_in_jitter) = self.transfers.iter().map(bandwidth).max()?;
        // What was held up as small messages are would have been faster without that.
        let is_known = !is_lost_in_jitter || bits_per_s >= SLOW_BITS_PER_S + SLOW_BITS_PER_S / 4;
        is_known.then_some(bits_per_s)
    }

    /// How to send over it.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }
}

fn push<T>(samples: &mut VecDeque<T>, sample: T) {
    if samples.len() == SAMPLES {
        samples.pop_front();
    }
    samples.push_back(sample);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(kbit_per_s: u64, ms: u64) -> NetworkQuality {
        let bandwidth_bits_per_s = Some(kbit_per_s * 1_000);
        NetworkQuality { bandwidth_bits_per_s, round_trip: Some(Duration::from_millis(ms)) }
    }

    #[test]
    fn bandwidth_is_asked_before_latency_and_what_is_unknown_is_good() {
        let chosen = |quality| Strategy::choose(Strategy::Streaming, quality);
        assert_eq!(chosen(quality(999, 10)), Strategy::PriorityBased);
        assert_eq!(chosen(quality(999, 501)), Strategy::PriorityBased, "both limits are crossed");
        assert_eq!(chosen(quality(1_000, 501)), Strategy::BatchOptimized);
        assert_eq!(chosen(quality(1_000, 500)), Strategy::Streaming);
        assert_eq!(chosen(NetworkQuality::default()), Strategy::Streaming);
        assert!(Strategy::BatchOptimized.batch_limits().changes > 100);
    }

    #[test]
    fn a_link_at_the_limit_does_not_flutter() {
        use Strategy::{BatchOptimized, PriorityBased, Streaming};
        assert_eq!(Strategy::choose(PriorityBased, quality(1_200, 10)), PriorityBased);
        assert_eq!(Strategy::choose(PriorityBased, quality(1_250, 10)), Streaming);
        assert_eq!(Strategy::choose(BatchOptimized, quality(5_000, 400)), BatchOptimized);
        assert_eq!(Strategy::choose(BatchOptimized, quality(5_000, 375)), Streaming);
    }

    #[test]
    fn round_trip_and_bandwidth_are_told_apart() {
        let mut gauge = Gauge::default();
        gauge.note_answer(Instant(0), Instant(900_000), 10_000);
        let known = NetworkQuality { bandwidth_bits_per_s: None, round_trip: Some(Duration::from_millis(900)) };
        assert_eq!(gauge.quality(), known, "a large message alone tells what the round trip is at most");
        gauge.note_answer(Instant(0), Instant(45_000), 100);
        gauge.note_answer(Instant(0), Instant(40_000), 100);
        // 10,000 bytes at 800 kbit/s take 100 ms.
        gauge.note_answer(Instant(0), Instant(140_000), 10_000);
        let known = NetworkQuality { bandwidth_bits_per_s: Some(800_000), round_trip: Some(Duration::from_millis(40)) };
        assert_eq!((gauge.quality(), gauge.strategy()), (known, Strategy::PriorityBased));
        // One that was held up changes nothing; a faster one does.
        gauge.note_answer(Instant(0), Instant(900_000), 10_000);
        assert_eq!(gauge.quality(), known);
        gauge.note_answer(Instant(0), Instant(50_000), 10_000);
        assert_eq!(gauge.strategy(), Strategy::Streaming);
        // The last few count.
        (0..SAMPLES).for_each(|_| gauge.note_answer(Instant(0), Instant(440_000), 10_000));
        assert_eq!(gauge.quality().bandwidth_bits_per_s, Some(200_000));
        // A message that is held up as small ones are tells nothing of a slow link, and something of a good one.
        gauge.note_answer(Instant(0), Instant(940_000), 100);
        assert_eq!(gauge.quality().bandwidth_bits_per_s, None);
        gauge.note_answer(Instant(0), Instant(80_000), 10_000);
        assert_eq!(gauge.quality().bandwidth_bits_per_s, Some(2_000_000));
    }
}
