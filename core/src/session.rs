//! A session with one peer: the handshake, what the peer holds, and what is on its way to it.
//!
//! Links lose, repeat and reorder, so nothing is assumed of a message but that it arrived. A peer's [`Cursor`] only
//! rises; what it lacks is computed from the log each time. A few batches may be on their way to it; what its cursor does not
//! come to cover in time is sent again, at growing intervals. (Distributed Sync Engine, case D1.1; Minimal Sync Guide, case C6.)

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Instant, Lsn};
use crate::id::ReplicaId;
use crate::message::{Cursor, Protocol};
use crate::planted::{Bug, is_planted};
use crate::sketch::Key;
use crate::snapshot::Tip;
use crate::strategy::Gauge;
use crate::summary::Asking;

/// A peer's address, as the host numbers them.
///
/// Messages from an address may be lost, repeated and late. Once another replica has said hello from there, as after its
/// host lost its disk, what the one before held must not be taken for what this one holds. Changes, acknowledgements and
/// refusals say whose they are ([`crate::message::Message::Tagged`]), so late ones are known and passed over. Hellos are not: none of the
/// one before may arrive, and in a session that speaks a version without tags nothing of it. A transport with
/// connections keeps to that; one without has to number its peers anew.
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

/// What was sent again counts for at most so many attempts when the next batch is sent.
const ATTEMPT_KEPT_MAX: u32 = 3;

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

/// Batches on their way to one peer at most.
pub const BATCHES_IN_FLIGHT_MAX: u32 = 4;

/// A session with one peer.
#[derive(Clone, Debug)]
pub struct Session {
    /// Where it stands.
    pub phase: Phase,
    /// The version in which this side talks.
    pub protocol: Protocol,
    /// What the peer holds durably, as far as it told.
    cursor: Cursor,
    /// What it will hold once everything on its way has arrived.
    sent: Cursor,
    batches_in_flight: u32,
    /// How often the current hello or batch was sent again.
    pub attempt: u32,
    /// How this side tells what it holds.
    pub asking: Asking,
    /// The last number of the snapshot that the peer was offered.
    offered: Option<Lsn>,
    /// Where the numbers end that the peer knows, if they are of another history.
    refused_tip: Option<Tip>,
    /// What its traffic tells of the link.
    pub gauge: Gauge,
    /// The message that is measured: when it was sent, its bytes, and what its answer covers.
    measured: Option<(Instant, usize, Cursor)>,
    /// The last batch's size.
    bytes_sent: usize,
    /// What is on its way was sent before.
    is_resent: bool,
    /// When it said hello, if it did so once.
    pub greeted: Option<Instant>,
    /// Changes wait until the link is faster, or until one batch of them tries it.
    pub is_held_back: bool,
    /// It is time for such a batch.
    pub is_probe_due: bool,
    /// The key of the last summary the peer sent.
    summary_key: Option<Key>,
}

impl Session {
    /// A session that has yet to say hello.
    #[must_use]
    pub fn new() -> Self {
        let (cursor, sent) = (Cursor::default(), Cursor::default());
        Session {
            phase: Phase::Greeting,
            protocol: Protocol::NEWEST,
            cursor,
            sent,
            batches_in_flight: 0,
            attempt: 0,
            asking: Asking::default(),
            offered: None,
            refused_tip: None,
            gauge: Gauge::default(),
            measured: None,
            bytes_sent: 0,
            is_resent: false,
            greeted: None,
            is_held_back: false,
            is_probe_due: false,
            summary_key: None,
        }
    }

    /// A session that has yet to say hello, in this version.
    #[must_use]
    pub fn speaking(protocol: Protocol) -> Self {
        Session { protocol, ..Session::new() }
    }

    /// A session that one side has ended.
    #[must_use]
    pub fn refused() -> Self {
        Session { phase: Phase::Refused, ..Session::new() }
    }

    /// The peer introduced itself, of its own accord or in reply. Says whether that is news: a repeated hello is not.
    pub fn establish(&mut self, replica: ReplicaId, cursor: &Cursor, is_reply: bool) -> bool {
        let is_other = self.phase != Phase::Established { replica };
        let is_news = is_other && !(is_planted(Bug::SessionOutlivesReplica) && self.is_established());
        if is_news {
            // What was asked before the peer's own hello came is still to be answered.
            let asking = std::mem::take(&mut self.asking);
            let (phase, refused_tip) = (Phase::Established { replica }, self.refused_tip);
            *self = Session { phase, asking, protocol: self.protocol, refused_tip, ..Session::new() };
        }
        if is_planted(Bug::QueueLostMidFlush) {
            self.cursor.merge(&self.sent);
        }
        self.note_held(cursor);
        if !is_reply {
            // The peer may have restarted and lost what was on its way.
            self.forget_sent();
        }
        self.attempt = 0;
        is_news
    }

    /// The peer summarised what it holds, under this key. Under another than before it does so because something had
    /// collided, so what was learned from the one before may be too much.
    pub fn learn_summary(&mut self, key: Key, cursor: &Cursor) {
        if self.summary_key.replace(key).is_some_and(|before| before != key) {
            self.cursor = cursor.clone();
            self.forget_sent();
        }
    }

    /// The peer holds `cursor`, though it did not say so.
    pub fn note_held(&mut self, cursor: &Cursor) {
        self.cursor.merge(cursor);
        self.sent.merge(cursor);
    }

    /// The peer says that it holds `cursor`. Says whether that is news.
    pub fn advance(&mut self, cursor: &Cursor) -> bool {
        let is_news = !self.cursor.includes(cursor);
        self.note_held(cursor);
        if !self.is_in_flight() {
            self.batches_in_flight = 0;
        }
        if is_news && std::mem::take(&mut self.is_resent) {
            // It may have come in its own time: the next one is given as long, so that a far link is measured at all.
            self.attempt = self.attempt.min(ATTEMPT_KEPT_MAX);
        } else if is_news {
            self.attempt = 0;
        }
        is_news
    }

    /// What the peer will hold once everything on its way has arrived; `None` if no more may be sent for now.
    #[must_use]
    pub fn sendable_after(&self) -> Option<&Cursor> {
        (self.is_established() && self.batches_in_flight < BATCHES_IN_FLIGHT_MAX).then_some(&self.sent)
    }

    /// How long to wait for an answer before sending again: never less than two of the link's round trips, and longer
    /// for what takes long to send.
    #[must_use]
    pub fn resend_after(&self) -> Duration {
        let round_trip = self.gauge.quality().round_trip.unwrap_or_default();
        let waits = resend_after(self.attempt).max(round_trip.saturating_mul(2));
        waits.saturating_add(self.gauge.transmission(self.bytes_sent)).min(RESEND_AFTER_MAX)
    }

    /// A message of so many bytes is sent that tells the peer `cursor`. If nothing else is on its way, it is measured.
    pub fn measure(&mut self, now: Instant, bytes: usize, cursor: &Cursor) {
        self.bytes_sent = bytes;
        // An answer to what is sent again would not tell to which of both (Karn's rule).
        if self.batches_in_flight == 0 && self.measured.is_none() && !self.is_resent {
            self.measured = Some((now, bytes, cursor.clone()));
        }
    }

    /// The peer has answered: what is measured may have come to its end.
    pub fn note_answer(&mut self, now: Instant) {
        if let Some((sent, bytes, _)) = self.measured.take_if(|(_, _, cursor)| self.cursor.includes(cursor)) {
            self.gauge.note_answer(sent, now, bytes);
        }
    }

    /// A batch was sent; with it the peer will hold `cursor` too.
    pub fn note_sent(&mut self, cursor: &Cursor) {
        self.sent.merge(cursor);
        if is_planted(Bug::QueueEmptiedEarly) {
            self.cursor.merge(cursor);
        }
        self.batches_in_flight += 1;
    }

    /// The peer has said where the numbers end that it knows; there is a tip if they are of another history. Once they are
    /// not any more, it holds what it says it holds and no more.
    pub fn note_refused_tip(&mut self, tip: Option<Tip>, cursor: &Cursor) {
        if std::mem::replace(&mut self.refused_tip, tip).is_some() && tip.is_none() {
            self.cursor = cursor.clone();
            self.offered = None;
            self.forget_sent();
        }
    }

    /// Where the numbers end that the peer knows, if they are of another history.
    #[must_use]
    pub fn refused_tip(&self) -> Option<Tip> {
        self.refused_tip
    }

    /// The peer was offered a snapshot that ends there. With it the peer will hold all numbers up to there.
    pub fn note_offered(&mut self, lsn: Lsn) {
        self.offered = Some(lsn);
        self.sent.lsn = self.sent.lsn.max(lsn);
    }

    /// Whether the peer has yet to take in the snapshot that it was offered.
    #[must_use]
    pub fn is_taking_snapshot(&self) -> bool {
        self.offered.is_some_and(|lsn| self.cursor.lsn < lsn)
    }

    /// What was on its way is taken for lost.
    pub fn forget_sent(&mut self) {
        self.sent = self.cursor.clone();
        self.batches_in_flight = 0;
        self.measured = None;
    }

    /// No answer came in time: what was on its way is sent again.
    pub fn note_unanswered(&mut self) {
        self.forget_sent();
        self.attempt += 1;
        self.is_resent = true;
    }

    /// Whether anything is on its way and not acknowledged.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        !self.cursor.includes(&self.sent)
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
        assert!(session.establish(PEER, &cursor(5), false));
        assert!(!session.establish(PEER, &cursor(3), false));
        assert_eq!(session.cursor, cursor(5));
        assert!(session.establish(ReplicaId([3; 16]), &cursor(1), true), "another incarnation is another session");
        assert_eq!(session.cursor, cursor(1));
    }

    #[test]
    fn what_was_sent_is_in_flight_until_the_cursor_covers_it() {
        let mut session = Session::new();
        assert_eq!(session.sendable_after(), None, "nothing is sent before the handshake");
        session.establish(PEER, &cursor(1), false);
        session.note_sent(&cursor(4));
        assert_eq!(session.sendable_after(), Some(&cursor(4)));
        assert!(session.advance(&cursor(3)) && session.is_in_flight());
        assert!(session.advance(&cursor(4)) && !session.is_in_flight());
        assert!(!session.advance(&cursor(2)), "an old acknowledgement is no news");
    }

    #[test]
    fn after_a_batch_that_was_sent_again_the_next_one_is_given_as_long() {
        let mut session = Session::new();
        session.establish(PEER, &cursor(1), false);
        let waits = |session: &Session| session.resend_after().as_millis();
        session.note_sent(&cursor(2));
        session.note_unanswered();
        session.measure(Instant(250_000), 100, &cursor(2));
        session.note_sent(&cursor(2));
        session.advance(&cursor(2));
        session.note_answer(Instant(300_000));
        assert_eq!(
            (waits(&session), session.gauge.quality().round_trip),
            (500, None),
            "nobody knows which was answered"
        );
        session.measure(Instant(400_000), 100, &cursor(3));
        session.note_sent(&cursor(3));
        session.advance(&cursor(3));
        session.note_answer(Instant(800_000));
        assert_eq!(waits(&session), 800, "two round trips");
        session.measure(Instant(900_000), 100_000, &cursor(4));
        assert_eq!(waits(&session), 3_967, "and the time to send it over a link that nobody knows to be good");
    }

    #[test]
    fn few_batches_are_in_flight_and_lost_ones_are_sent_again() {
        let mut session = Session::new();
        session.establish(PEER, &cursor(1), false);
        (2..2 + u64::from(BATCHES_IN_FLIGHT_MAX)).for_each(|seq| session.note_sent(&cursor(seq)));
        assert_eq!(session.sendable_after(), None);
        session.establish(PEER, &cursor(1), true);
        assert_eq!(session.sendable_after(), None, "a reply does not say that it was lost");
        session.establish(PEER, &cursor(1), false);
        assert_eq!(session.sendable_after(), Some(&cursor(1)));
    }
}
