//! The main's numbers have no gaps, survive restarts, and mean the same change or ruling everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kuzusync_core::change::ChangeId;
use kuzusync_core::clock::Lsn;
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::Ruling;
use kuzusync_core::snapshot::ResyncReason;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct Numbering {
    /// What each number was given to.
    given: BTreeMap<Lsn, Numbered>,
    /// The last number that each host has told of.
    last: BTreeMap<u32, Lsn>,
    /// The hosts whose numbers the main refused, so that they begin anew.
    refused: BTreeSet<u32>,
}

/// What has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Numbered {
    Change(ChangeId),
    Ruling(Ruling),
}

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Numbered::Change(id) => write!(f, "change {id}"),
            Numbered::Ruling(Ruling::Epoch(epoch)) => write!(f, "epoch {epoch}"),
            Numbered::Ruling(Ruling::Rejection(rejection)) => write!(f, "the rejection of change {}", rejection.change),
            Numbered::Ruling(Ruling::Compaction(cut)) => write!(f, "the compaction up to number {cut}"),
            Numbered::Ruling(Ruling::RolledBack(rolled_back)) => write!(f, "the end of transaction {}", rolled_back.tx),
        }
    }
}

impl Checker for Numbering {
    fn property(&self) -> Property {
        Property::Numbering
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::DiskReplaced | EventKind::Wiped | EventKind::Cloned { .. } => {
                self.last.remove(&host);
                Ok(())
            }
            EventKind::Notified(Notice::ResyncRequired { peer, reason }) => {
                if *reason != ResyncReason::Compacted {
                    self.refused.insert(peer.0);
                }
                Ok(())
            }
            EventKind::Notified(Notice::Resynced { .. }) if self.refused.remove(&host) => {
                self.last.remove(&host);
                Ok(())
            }
            EventKind::Opened { cursor, .. } => self.open(host, cursor.lsn),
            EventKind::Notified(Notice::Applied { entry }) => match entry.lsn {
                Some(lsn) => self.hear(host, lsn, Numbered::Change(entry.change.id)),
                None => Ok(()),
            },
            EventKind::Notified(Notice::Numbered { id, lsn }) => self.hear(host, *lsn, Numbered::Change(*id)),
            EventKind::Notified(Notice::Ruled { ruling, lsn }) => {
                self.hear(host, *lsn, Numbered::Ruling(ruling.clone()))
            }
            _ => Ok(()),
        }
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        for replica in replicas {
            for entry in &replica.log {
                let Some(lsn) = entry.lsn else { continue };
                self.agree(replica.host, lsn, Numbered::Change(entry.change.id))?;
                if lsn > replica.cursor.lsn {
                    let message = format!(
                        "replica {} holds change {} as number {lsn} and knows only {} numbers",
                        replica.host, entry.change.id, replica.cursor.lsn
                    );
                    return Err(Finding::new(message, &[replica.host]));
                }
            }
        }
        Ok(())
    }
}

impl Numbering {
    fn open(&mut self, host: u32, known: Lsn) -> Result<(), Finding> {
        match self.last.insert(host, known) {
            Some(last) if last > known => {
                let message = format!("replica {host} restarted with {known} numbers and had told of {last}");
                Err(Finding::new(message, &[host]))
            }
            _ => Ok(()),
        }
    }

    fn hear(&mut self, host: u32, lsn: Lsn, what: Numbered) -> Result<(), Finding> {
        let last = self.last.insert(host, lsn).unwrap_or(0);
        if lsn != last + 1 {
            let message = format!("at replica {host} {what} came as number {lsn} after number {last}");
            return Err(Finding::new(message, &[host]));
        }
        self.agree(host, lsn, what)
    }

    fn agree(&mut self, host: u32, lsn: Lsn, what: Numbered) -> Result<(), Finding> {
        let first = self.given.entry(lsn).or_insert_with(|| what.clone());
        if *first != what {
            return Err(Finding::new(format!("number {lsn} is {first}, and at replica {host} it is {what}"), &[host]));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{change, event, id, noticed, numbered, opened_with, rejected, state};
    use kuzusync_core::message::{Cursor, Entry};
    use kuzusync_core::ruling::Reason;
    use kuzusync_core::session::Peer;

    fn number(host: u32, change: ChangeId, lsn: Lsn) -> Event {
        noticed(host, Notice::Numbered { id: change, lsn })
    }

    fn epoch(host: u32, lsn: Lsn) -> Event {
        noticed(host, Notice::Ruled { ruling: Ruling::Epoch(1), lsn })
    }

    fn verdict(events: &[Event]) -> Result<(), String> {
        let mut checker = Numbering::default();
        events.iter().try_for_each(|event| checker.observe(event)).map_err(|finding| finding.message)
    }

    #[test]
    fn a_gap_and_a_number_used_again_after_a_restart_are_found() {
        let (first, second) = (number(0, id(1, 1), 1), number(0, id(1, 2), 2));
        assert_eq!(verdict(&[first.clone(), second.clone(), epoch(0, 3)]), Ok(()));
        assert!(verdict(&[first.clone(), epoch(0, 3)]).unwrap_err().contains("number 3 after number 1"));
        let reopened = |lsn| opened_with(0, &[id(1, 1)], lsn);
        assert_eq!(verdict(&[first.clone(), reopened(1), second.clone()]), Ok(()));
        assert_eq!(verdict(&[first.clone(), reopened(2), epoch(0, 3)]), Ok(()), "it died before it told of number 2");
        assert!(verdict(&[first.clone(), second.clone(), reopened(1)]).unwrap_err().contains("had told of 2"));
        for replaced in [EventKind::DiskReplaced, EventKind::Wiped, EventKind::Cloned { from: 1 }] {
            let events = [first.clone(), second.clone(), event(0, replaced), reopened(1)];
            assert_eq!(verdict(&events), Ok(()), "another disk knows less");
        }
    }

    #[test]
    fn only_who_was_refused_its_numbers_begins_anew() {
        let resynced = |lsn| {
            let (peer, cursor) = (Peer(0), Cursor { lsn, ..Cursor::default() });
            [noticed(1, Notice::Resynced { peer, cursor }), opened_with(1, &[], lsn)]
        };
        let required = |reason| noticed(0, Notice::ResyncRequired { peer: Peer(1), reason });
        let after = |reason, lsn| {
            let told = [number(1, id(1, 1), 1), number(1, id(1, 2), 2), required(reason)];
            verdict(&[told.as_slice(), &resynced(lsn)].concat())
        };
        assert_eq!(after(ResyncReason::OtherHistory, 0), Ok(()));
        assert_eq!(after(ResyncReason::Compacted, 5), Ok(()));
        assert!(after(ResyncReason::Compacted, 1).unwrap_err().contains("had told of 2"));
    }

    #[test]
    fn a_number_that_means_two_things_is_found() {
        let lost = change(id(1, 1), 1, &[], Vec::new());
        let rejection = rejected(0, &lost, Reason::Duplicate { of: id(2, 1) }, 1);
        assert!(verdict(&[number(0, id(1, 1), 1), number(1, id(1, 2), 1)]).unwrap_err().contains("number 1 is change"));
        assert!(verdict(&[rejection, epoch(1, 1)]).unwrap_err().contains("the rejection of change"));
        let entry = numbered(&[lost]).remove(0);
        let applied = noticed(1, Notice::Applied { entry });
        assert!(verdict(&[epoch(0, 1), applied]).unwrap_err().contains("at replica 1 it is change"));
    }

    #[test]
    fn a_log_that_gives_a_number_to_something_else_is_found() {
        let log = [change(id(1, 1), 1, &[], Vec::new())];
        let mut checker = Numbering::default();
        checker.observe(&number(0, id(1, 1), 1)).unwrap();
        let mut replica = state(1, &log);
        replica.log = numbered(&log);
        let found = checker.judge(std::slice::from_ref(&replica)).unwrap_err();
        assert!(found.message.contains("knows only 0 numbers"), "{found:?}");
        replica.cursor.lsn = 1;
        assert_eq!(checker.judge(std::slice::from_ref(&replica)), Ok(()));
        replica.log = vec![Entry { change: change(id(2, 1), 1, &[], Vec::new()), lsn: Some(1) }];
        assert!(checker.judge(&[replica]).unwrap_err().message.contains("at replica 1 it is change"));
    }
}
