//! No replica applies a change twice, or one that was rejected, and no transaction becomes two changes.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::{Change, ChangeId};
use kuzusync_core::clock::{Lsn, Seen};
use kuzusync_core::id::{ReplicaId, TxId};
use kuzusync_core::message::Entry;
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::Ruling;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct Idempotence {
    /// What each host has applied, or knows to be rejected.
    passed: BTreeMap<u32, Seen>,
    /// The change that each author last made of a transaction.
    transactions: BTreeMap<(ReplicaId, TxId), ChangeId>,
    /// What anybody knows to be rejected: only this may be written anew.
    rejected: BTreeSet<ChangeId>,
    /// The numbers of changes.
    lsns: BTreeMap<ChangeId, Lsn>,
    /// What was compacted: whoever asks for the same again has waited too long.
    forgotten: BTreeSet<ChangeId>,
}

impl Checker for Idempotence {
    fn property(&self) -> Property {
        Property::Idempotence
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Opened { cursor, rejected, .. } => {
                self.passed.insert(host, cursor.seen.clone());
                self.rejected.extend(rejected);
                Ok(())
            }
            EventKind::Notified(Notice::Applied { entry }) => {
                self.lsns.extend(entry.lsn.map(|lsn| (entry.change.id, lsn)));
                self.apply(host, &entry.change)
            }
            EventKind::Notified(Notice::Ruled { ruling: Ruling::Compaction(cut), .. }) => {
                let forgotten = self.lsns.iter().filter(|(_, lsn)| *lsn <= cut).map(|(id, _)| *id);
                self.forgotten.extend(forgotten);
                Ok(())
            }
            EventKind::Notified(Notice::Ruled { ruling: Ruling::Rejection(rejection), .. }) => {
                pass(self.passed.entry(host).or_default(), rejection.change);
                self.rejected.insert(rejection.change);
                Ok(())
            }
            EventKind::Notified(Notice::Proposed { entry }) => {
                let (id, passed) = (entry.change.id, self.passed.entry(host).or_default());
                if passed.head(id.replica) + 1 == id.seq {
                    passed.pass(id);
                }
                Ok(())
            }
            EventKind::Notified(Notice::Failed { id, .. }) => {
                let passed = self.passed.entry(host).or_default();
                if passed.head(id.replica) + 1 == id.seq {
                    passed.pass(*id);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        for replica in replicas {
            let mut transactions = BTreeMap::new();
            for Entry { change, lsn } in &replica.log {
                let Some((first, first_lsn)) = transactions.insert(change.tx, (change.id, *lsn)) else { continue };
                let is_forgotten = first_lsn.is_some_and(|lsn| lsn <= replica.cut);
                if !is_forgotten || change.replaces.is_some() {
                    return Err(became_two(first, change.id, replica.host));
                }
            }
        }
        Ok(())
    }
}

impl Idempotence {
    fn apply(&mut self, host: u32, change: &Change) -> Result<(), Finding> {
        let (id, passed) = (change.id, self.passed.entry(host).or_default());
        if passed.contains(id) {
            let message = format!("replica {host} applied change {id} again, or after it was rejected");
            return Err(Finding::new(message, &[host]));
        }
        pass(passed, id);
        let earlier = self.transactions.insert((id.replica, change.tx), id).unwrap_or(id);
        let is_forgotten = self.forgotten.contains(&earlier) || self.forgotten.contains(&id);
        // What it replaces may be later than the last that was told of: an author can die before it tells.
        let is_rejected = |id| self.rejected.contains(&id);
        let is_written_anew = change.replaces.is_some_and(is_rejected) && is_rejected(earlier);
        if earlier == id || is_written_anew || is_forgotten { Ok(()) } else { Err(became_two(earlier, id, host)) }
    }
}

/// From now on `id` is not to be applied again. What failed before it may still be.
fn pass(passed: &mut Seen, id: ChangeId) {
    if passed.passes(id) {
        passed.fill(id);
    } else if passed.head(id.replica) + 1 == id.seq {
        passed.insert(id);
    } else {
        passed.merge(&[id].into_iter().collect());
    }
}

fn became_two(first: ChangeId, second: ChangeId, host: u32) -> Finding {
    Finding::new(format!("one transaction became changes {first} and {second}"), &[host])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{altered, applied, change, id, noticed, opened, rejected, state};
    use kuzusync_core::ruling::Reason;

    fn verdict(events: &[Event]) -> Result<(), Finding> {
        let mut checker = Idempotence::default();
        events.iter().try_for_each(|event| checker.observe(event))
    }

    #[test]
    fn applying_a_change_twice_is_found() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        assert_eq!(verdict(&[applied(0, &change), applied(1, &change)]), Ok(()));
        assert!(verdict(&[applied(0, &change), applied(0, &change)]).unwrap_err().message.contains("again"));
        assert!(verdict(&[opened(0, &[change.id]), applied(0, &change)]).is_err(), "its log held it already");
    }

    #[test]
    fn a_failed_change_may_be_applied_later_and_once() {
        let changes = [1, 2].map(|seq| change(id(1, seq), 1, &[], Vec::new()));
        let failed = noticed(0, Notice::Failed { id: id(1, 1), problem: String::new() });
        let retried = [failed, applied(0, &changes[1]), applied(0, &changes[0])];
        assert_eq!(verdict(&retried), Ok(()));
        let again = [retried.as_slice(), &[applied(0, &changes[0])]].concat();
        assert!(verdict(&again).unwrap_err().message.contains("again"));
    }

    #[test]
    fn applying_a_rejected_change_is_found() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        let rejected = rejected(0, &change, Reason::Duplicate { of: id(2, 1) }, 1);
        assert_eq!(verdict(&[applied(0, &change), rejected.clone()]), Ok(()), "its author could not know");
        assert!(verdict(&[rejected, applied(0, &change)]).unwrap_err().message.contains("rejected"));
    }

    #[test]
    fn one_transaction_as_two_changes_is_found() {
        let first = change(id(1, 1), 1, &[], Vec::new());
        let second = altered(&change(id(1, 2), 2, &[], Vec::new()), |second| second.tx = first.tx);
        let found = verdict(&[applied(0, &first), applied(0, &second)]).unwrap_err();
        assert!(found.message.contains("one transaction"), "{found:?}");
    }

    #[test]
    fn only_what_is_rejected_may_be_written_anew_and_its_author_may_die_before_it_tells() {
        let first = change(id(1, 1), 1, &[], Vec::new());
        let anew = |seq, replaced| {
            altered(&change(id(1, seq), 1, &[], Vec::new()), |anew| {
                (anew.tx, anew.replaces) = (first.tx, Some(id(1, replaced)));
            })
        };
        let (second, third) = (anew(2, 1), anew(3, 2));
        let rejected = |change| rejected(0, change, Reason::Drift { main_ms: 1 }, 1);
        let firsts = [applied(0, &first), rejected(&first)];
        let told = |events: &[Event]| verdict(&[&firsts, events].concat());
        assert_eq!(told(&[applied(0, &second), rejected(&second), applied(0, &third)]), Ok(()));
        assert_eq!(told(&[rejected(&second), applied(0, &third)]), Ok(()), "nobody heard of the second before");
        assert!(told(&[applied(0, &third)]).is_err(), "the second was not rejected");
        assert!(verdict(&[applied(0, &first), applied(0, &second)]).is_err(), "the first was not rejected");
    }

    #[test]
    fn a_transaction_may_be_carried_out_again_once_it_is_compacted_but_not_by_itself() {
        let first = change(id(1, 1), 1, &[], Vec::new());
        let again = altered(&change(id(1, 2), 2, &[], Vec::new()), |again| again.tx = first.tx);
        let entry =
            |change: &std::sync::Arc<Change>, lsn| Entry { change: std::sync::Arc::clone(change), lsn: Some(lsn) };
        let applied = |change, lsn| noticed(0, Notice::Applied { entry: entry(change, lsn) });
        let compacted = noticed(0, Notice::Ruled { ruling: Ruling::Compaction(1), lsn: 2 });
        assert_eq!(verdict(&[applied(&first, 1), compacted, applied(&again, 3)]), Ok(()), "its client waited too long");
        assert!(verdict(&[applied(&first, 1), applied(&again, 3)]).is_err());
        let mut replica = state(0, &[first.clone(), again.clone()]);
        replica.log = vec![entry(&first, 1), entry(&again, 3)];
        let mut judged = |cut, replaces| {
            replica.cut = cut;
            replica.log[1].change = altered(&again, |again| again.replaces = replaces);
            Idempotence::default().judge(std::slice::from_ref(&replica)).is_ok()
        };
        assert!(judged(1, None) && !judged(0, None));
        assert!(!judged(1, Some(first.id)), "what is written anew must not have been done");
    }

    #[test]
    fn a_transaction_that_two_replicas_carried_out_is_found_once_both_changes_stay() {
        let first = change(id(1, 1), 1, &[], Vec::new());
        let second = altered(&change(id(2, 1), 2, &[], Vec::new()), |second| second.tx = first.tx);
        let mut checker = Idempotence::default();
        let each = [applied(1, &first), applied(2, &second)];
        assert_eq!(each.iter().try_for_each(|event| checker.observe(event)), Ok(()), "one of them will be rejected");
        assert_eq!(checker.judge(&[state(0, std::slice::from_ref(&first))]), Ok(()));
        assert!(checker.judge(&[state(0, &[first, second])]).unwrap_err().message.contains("one transaction"));
    }
}
