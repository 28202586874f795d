//! With a main nobody stays prepared longer than a lease, once faults have ended.

use std::collections::BTreeMap;

use kuzusync_core::id::TxId;
use kuzusync_core::message::Role;
use kuzusync_core::replica::Notice;
use kuzusync_core::session::RESEND_AFTER_MAX;
use kuzusync_core::two_phase::{LEASE, Vote};

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// What a host may take longer than its lease: it has to say hello, to ask, and perhaps to ask again.
const SLACK_US: u64 = 4 * RESEND_AFTER_MAX.as_micros() as u64;

/// See the module.
#[derive(Default)]
pub struct Lease {
    /// Since when hosts are prepared.
    since_us: BTreeMap<(u32, TxId), u64>,
    /// When faults ended, if they have, and for whom they have not.
    healed: Option<(u64, Vec<u32>)>,
    /// The first that took too long. Only with a main is that wrong.
    late: Option<Finding>,
}

impl Checker for Lease {
    fn property(&self) -> Property {
        Property::Lease
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let at_us = event.at_us;
        match (&event.kind, event.host) {
            (EventKind::Settling { out }, _) => self.healed = Some((at_us, out.clone())),
            (EventKind::Settled { .. }, _) => self.healed = None,
            (EventKind::Opened { prepared, .. }, Some(host)) => {
                self.since_us.retain(|(of, _), _| *of != host);
                self.since_us.extend(prepared.iter().map(|tx| ((host, *tx), at_us)));
            }
            (EventKind::Notified(Notice::Voted { tx, vote: Vote::Commit }), Some(host)) => {
                self.since_us.entry((host, *tx)).or_insert(at_us);
            }
            (EventKind::Notified(Notice::Decided { tx, .. } | Notice::Voted { tx, .. }), Some(host)) => {
                let since_us = self.since_us.remove(&(host, *tx));
                if let (Some(since_us), Some((healed_us, out))) = (since_us, &self.healed)
                    && !out.contains(&host)
                {
                    self.check(host, *tx, at_us - since_us.max(*healed_us));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        let has_main = replicas.iter().any(|replica| replica.role != Role::Peer);
        match self.late.take() {
            Some(finding) if has_main => Err(finding),
            _ => Ok(()),
        }
    }
}

impl Lease {
    fn check(&mut self, host: u32, tx: TxId, prepared_us: u64) {
        let lease_us = LEASE.as_micros() as u64;
        if prepared_us > lease_us + SLACK_US && self.late.is_none() {
            let (ms, lease_ms) = (prepared_us / 1_000, lease_us / 1_000);
            let message = format!(
                "replica {host} stayed prepared for transaction {tx} for {ms} ms without faults, its lease is {lease_ms} ms"
            );
            self.late = Some(Finding::new(message, &[host]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::state;
    use kuzusync_core::id::ReplicaId;
    use kuzusync_core::two_phase::{Abort, AbortReason, Decision};

    const TX: TxId = TxId([7; 16]);

    fn verdict(role: Role, decided_ms: u64) -> Result<(), Finding> {
        let at = |ms: u64, host, kind| Event { at_us: ms * 1_000, host, kind };
        let abort = Abort { by: ReplicaId([1; 16]), reason: AbortReason::LeaseExpired };
        let decided = Notice::Decided { tx: TX, decision: Decision::RolledBack(abort) };
        let events = [
            at(0, Some(1), EventKind::Notified(Notice::Voted { tx: TX, vote: Vote::Commit })),
            at(50_000, None, EventKind::Settling { out: Vec::new() }),
            at(decided_ms, Some(1), EventKind::Notified(decided)),
        ];
        let mut checker = Lease::default();
        events.iter().try_for_each(|event| checker.observe(event))?;
        checker.judge(&[ReplicaState { role, ..state(1, &[]) }])
    }

    #[test]
    fn whoever_stays_prepared_too_long_after_faults_have_ended_is_found() {
        assert_eq!(verdict(Role::Edge, 60_000), Ok(()));
        assert!(verdict(Role::Edge, 80_000).is_err());
        assert_eq!(verdict(Role::Peer, 80_000), Ok(()), "without a main nobody can take over");
    }
}
