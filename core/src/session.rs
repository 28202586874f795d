//! A session with one peer: the handshake, what the peer holds, and what is on its way to it.
//!
//! Links lose, repeat and reorder, so nothing is assumed of a message but that it arrived. A peer's [`Cursor`] only
//! rises; what it lacks is computed from the log each time. One batch is in flight per peer and is sent again, at growing
//! intervals, until the peer's cursor covers it. (Distributed Sync Engine, case D1.1; Minimal Sync Guide, case C6.)

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::ReplicaId;
use crate::message::Cursor;

/// A peer's address, as the host numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Peer(pub u32);

/// The first interval after which an unanswered message is sent again; it doubles each time.
pub const RESEND_AFTER_MIN: Duration = Duration::from_millis(250);

/// The longest such interval.
pub const RESEND_AFTER_MAX: Duration = Duration::from_secs(4);

/// How long to wait for an answer to attempt number `attempt`, from 0.
#[must_use]
pub fn resend_after(attempt: u32) -> Duration {
    RESEND_AFTER_MIN.saturating_mul(1 << attempt.min(16)).min(RESEND_AFTER_MAX)
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Hellos go out, none came in yet.
    Greeting,
    /// Both know what the other holds.
    Established {
        /// Who the peer is.
        replica: ReplicaId,
    },
    /// One side refused the other; nothing more is said until the host connects again.
    Refused,
}

/// A batch that the peer has not acknowledged.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// What the peer will hold once it has it.
    pub expected: Cursor,
}

/// A session with one peer.
#[derive(Clone, Debug)]
pub struct Session {
    /// Where it stands.
    pub phase: Phase,
    /// What the peer holds durably, as far as it told.
    pub cursor: Cursor,
    /// What was sent and not acknowledged.
    pub in_flight: Option<InFlight>,
    /// How often the current hello or batch was sent again.
    pub attempt: u32,
}

impl Session {
    /// A session that has yet to say hello.
    #[must_use]
    pub fn new() -> Self {
        Session { phase: Phase::Greeting, cursor: Cursor::default(), in_flight: None, attempt: 0 }
    }

    /// The peer introduced itself. Says whether that is news: a repeated hello is not.
    pub fn establish(&mut self, replica: ReplicaId, cursor: &Cursor) -> bool {
        let is_news = self.phase != Phase::Established { replica };
        if is_news {
            *self = Session { phase: Phase::Established { replica }, ..Session::new() };
        }
        self.cursor.merge(cursor);
        // The peer may have restarted and lost what was on its way.
        self.in_flight = None;
        self.attempt = 0;
        is_news
    }

    /// The peer holds `cursor`. Says whether a batch in flight has arrived with that.
    pub fn advance(&mut self, cursor: &Cursor) -> bool {
        self.cursor.merge(cursor);
        let arrived = self.in_flight.as_ref().is_some_and(|batch| self.cursor.includes(&batch.expected));
        if arrived {
            self.in_flight = None;
            self.attempt = 0;
        }
        arrived
    }

    /// Whether changes may be exchanged.
    #[must_use]
    pub fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Established { .. })
    }
}

impl Default for Session {
    fn default() -> Self {
        Session::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::ChangeId;

    const PEER: ReplicaId = ReplicaId([2; 16]);

    fn cursor(seq: u64) -> Cursor {
        Cursor { seen: [ChangeId { replica: PEER, seq }].into_iter().collect(), lsn: 0 }
    }

    #[test]
    fn intervals_double_up_to_a_bound() {
        let intervals: Vec<_> = (0..6).map(|attempt| resend_after(attempt).as_millis()).collect();
        assert_eq!(intervals, [250, 500, 1000, 2000, 4000, 4000]);
        assert_eq!(resend_after(u32::MAX), RESEND_AFTER_MAX);
    }

    #[test]
    fn a_repeated_hello_is_no_news_and_an_old_one_does_not_lower_the_cursor() {
        let mut session = Session::new();
        assert!(session.establish(PEER, &cursor(5)));
        assert!(!session.establish(PEER, &cursor(3)));
        assert_eq!(session.cursor, cursor(5));
        assert!(session.establish(ReplicaId([3; 16]), &cursor(1)), "another incarnation is another session");
        assert_eq!(session.cursor, cursor(1));
    }

    #[test]
    fn a_batch_is_in_flight_until_the_cursor_covers_it() {
        let mut session = Session::new();
        session.establish(PEER, &cursor(1));
        session.in_flight = Some(InFlight { expected: cursor(4) });
        assert!(!session.advance(&cursor(3)));
        assert!(session.in_flight.is_some());
        assert!(session.advance(&cursor(4)));
        assert!(session.in_flight.is_none());
    }
}
