//! A host's clocks: the monotonic one is the simulation's, the wall clock is wrong by what the run says.

use kuzusync_core::clock::{Instant, Now};

/// The true wall time at which every run starts: 2024-01-01T10:00:00Z, the date of the documents' examples.
pub const START_MS: i64 = 1_704_103_200_000;

/// How far one host's wall clock is ahead of the true time.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostClock {
    offset_ms: i64,
    /// What it gains in a million.
    drift_ppm: i32,
}

impl HostClock {
    /// A clock that is ahead by `skew_ms` and gains `drift_ppm` in a million; behind, and loses, if they are negative.
    #[must_use]
    pub fn new(skew_ms: i64, drift_ppm: i32) -> Self {
        HostClock { offset_ms: skew_ms, drift_ppm }
    }

    /// Somebody sets the clock.
    pub fn jump(&mut self, ms: i64) {
        self.offset_ms = self.offset_ms.saturating_add(ms);
    }

    /// Both clocks after `elapsed_us` of simulated time.
    #[must_use]
    pub fn now(&self, elapsed_us: u64) -> Now {
        let elapsed_ms = i64::try_from(elapsed_us / 1_000).unwrap_or(i64::MAX);
        let gained_ms = i128::from(elapsed_ms) * i128::from(self.drift_ppm) / 1_000_000;
        let offset_ms = self.offset_ms.saturating_add(i64::try_from(gained_ms).unwrap_or(i64::MAX));
        let true_ms = START_MS.saturating_add(elapsed_ms);
        Now { monotonic: Instant(elapsed_us), wall_ms: true_ms.saturating_add(offset_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_and_jumps_move_the_wall_clock_and_nothing_else() {
        let mut clock = HostClock::new(-500, 0);
        assert_eq!(clock.now(2_000).wall_ms, START_MS + 2 - 500);
        clock.jump(1_000);
        assert_eq!(clock.now(2_000).wall_ms, START_MS + 2 + 500);
        assert_eq!(clock.now(2_000).monotonic, Instant(2_000));
    }

    #[test]
    fn a_clock_that_drifts_gains_or_loses_with_time() {
        let hour_us = 3_600_000_000;
        let wall_ms = |ppm| HostClock::new(7, ppm).now(hour_us).wall_ms - START_MS;
        assert_eq!([wall_ms(0), wall_ms(100), wall_ms(-1_000)], [3_600_007, 3_600_367, 3_596_407]);
    }
}
