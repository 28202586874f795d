//! A host's clocks: the monotonic one is the simulation's, the wall clock is wrong by what the run says.

use kuzusync_core::clock::{Instant, Now};

/// The true wall time at which every run starts: 2024-01-01T10:00:00Z, the date of the documents' examples.
pub const START_MS: i64 = 1_704_103_200_000;

/// How far one host's wall clock is ahead of the true time.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostClock {
    offset_ms: i64,
}

impl HostClock {
    /// A clock that is ahead by `skew_ms`, or behind if that is negative.
    #[must_use]
    pub fn skewed(skew_ms: i64) -> Self {
        HostClock { offset_ms: skew_ms }
    }

    /// Somebody sets the clock.
    pub fn jump(&mut self, ms: i64) {
        self.offset_ms = self.offset_ms.saturating_add(ms);
    }

    /// Both clocks after `elapsed_us` of simulated time.
    #[must_use]
    pub fn now(&self, elapsed_us: u64) -> Now {
        let true_ms = START_MS.saturating_add(i64::try_from(elapsed_us / 1_000).unwrap_or(i64::MAX));
        Now { monotonic: Instant(elapsed_us), wall_ms: true_ms.saturating_add(self.offset_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_and_jumps_move_the_wall_clock_and_nothing_else() {
        let mut clock = HostClock::skewed(-500);
        assert_eq!(clock.now(2_000).wall_ms, START_MS + 2 - 500);
        clock.jump(1_000);
        assert_eq!(clock.now(2_000).wall_ms, START_MS + 2 + 500);
        assert_eq!(clock.now(2_000).monotonic, Instant(2_000));
    }
}
