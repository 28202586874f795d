//! A change carries no epoch that its author had not applied, and every disconnection from the main begins one.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::Change;
use kuzusync_core::id::{ReplicaId, TableId};
use kuzusync_core::message::Role;
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::Ruling;

use crate::checker::{Checker, Finding};
use crate::history::{EpochsKnown, Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct Epochs {
    authors: BTreeMap<ReplicaId, u32>,
    /// What each host has applied since it was opened, and what it found on its disk.
    known: BTreeMap<u32, EpochsKnown>,
    /// The hosts in a session with the main, host 0.
    connected: BTreeSet<u32>,
    /// The hosts of which nobody hears, because they share an identity. Whether they disconnect is not known.
    doubled: BTreeSet<u32>,
    /// The hosts that have disconnected since the last epoch began.
    disconnected: BTreeSet<u32>,
}

const MAIN: u32 = 0;

impl Checker for Epochs {
    fn property(&self) -> Property {
        Property::Epochs
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Opened { replica, epochs, .. } => {
                self.authors.insert(*replica, host);
                self.known.insert(host, epochs.clone());
                if host == MAIN {
                    self.connected.clear();
                }
            }
            EventKind::Notified(Notice::Applied { entry }) => return self.apply(host, &entry.change),
            EventKind::Notified(Notice::Ruled { ruling: Ruling::Epoch(epoch), .. }) => {
                let known = self.known.entry(host).or_default();
                known.link = known.link.max(*epoch);
                if host == MAIN {
                    self.disconnected.clear();
                }
            }
            EventKind::Notified(Notice::Established { peer, .. })
                if host == MAIN && !self.doubled.contains(&peer.0) =>
            {
                self.connected.insert(peer.0);
            }
            EventKind::Cloned { .. } | EventKind::Doubled => {
                self.connected.remove(&host);
                self.doubled.insert(host);
            }
            EventKind::Wiped => drop(self.doubled.remove(&host)),
            EventKind::Refused { .. } | EventKind::Notified(Notice::Refused { .. }) if host == MAIN => {
                self.connected.clear();
            }
            EventKind::WentOffline if host == MAIN => self.disconnected.append(&mut self.connected),
            EventKind::WentOffline if self.connected.remove(&host) => {
                self.disconnected.insert(host);
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        let has_main = replicas.iter().any(|replica| replica.role == Role::Main);
        match self.disconnected.first().filter(|_| has_main) {
            None => Ok(()),
            Some(host) => {
                Err(Finding::new(format!("no epoch began after replica {host} disconnected"), &[MAIN, *host]))
            }
        }
    }
}

impl Epochs {
    fn apply(&mut self, host: u32, change: &Change) -> Result<(), Finding> {
        let stamps = EpochsKnown::of(change);
        let known = self.known.entry(host).or_default();
        let is_own = self.authors.get(&change.id.replica) == Some(&host);
        // The main raises the authority of a table with each write to it.
        let raise = u64::from(host == MAIN);
        let is_lent = |(table, epoch): (&TableId, &u64)| {
            *epoch > known.authority.get(table).copied().unwrap_or(0).saturating_add(raise)
        };
        if is_own && (stamps.link > known.link || stamps.authority.iter().any(is_lent)) {
            let message = format!("change {} carries an epoch that its author had not applied", change.id);
            return Err(Finding::new(message, &[host]));
        }
        known.merge(&stamps);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{altered, applied, change, event, id, noticed, opened, state, update, user};
    use kuzusync_core::clock::Lsn;
    use kuzusync_core::message::SyncMode;
    use kuzusync_core::session::Peer;

    fn ruled(host: u32, lsn: Lsn, epoch: u64) -> Event {
        noticed(host, Notice::Ruled { ruling: Ruling::Epoch(epoch), lsn })
    }

    fn established(peer: u32) -> Event {
        let (protocol_version, mode) = ("1.0".to_owned(), SyncMode::Incremental);
        noticed(0, Notice::Established { peer: Peer(peer), replica: id(2, 1).replica, protocol_version, mode })
    }

    fn verdict(events: &[Event]) -> Result<(), Finding> {
        let mut checker = Epochs::default();
        events.iter().try_for_each(|event| checker.observe(event))
    }

    #[test]
    fn an_epoch_that_was_only_received_is_found() {
        let by = |author: u8| change(id(author, 1), 1, &[], vec![update(user(1), "name", "a")]);
        let in_epoch = altered(&by(1), |change| change.link_epoch = 1);
        let opened = |host| opened(host, &[]);
        assert_eq!(verdict(&[opened(1), ruled(1, 1, 1), applied(1, &in_epoch)]), Ok(()));
        assert!(verdict(&[opened(1), applied(1, &in_epoch)]).unwrap_err().message.contains("had not applied"));
        assert_eq!(verdict(&[opened(1), applied(0, &in_epoch)]), Ok(()), "another's change may carry what it likes");

        let with_authority = |author, epoch| {
            altered(&by(author), |change| change.authority_epochs = BTreeMap::from([(user(1).table(), epoch)]))
        };
        let own = with_authority(1, 1);
        assert_eq!(verdict(&[opened(1), applied(1, &with_authority(0, 1)), applied(1, &own)]), Ok(()));
        assert!(verdict(&[opened(1), applied(1, &own)]).is_err());
        assert_eq!(verdict(&[opened(0), applied(0, &with_authority(0, 1))]), Ok(()), "the main raises it");
        assert!(verdict(&[opened(0), applied(0, &with_authority(0, 2))]).is_err(), "by one");
    }

    #[test]
    fn what_a_replica_wrote_down_before_it_died_counts() {
        let own =
            altered(&change(id(1, 2), 1, &[], vec![update(user(1), "name", "a")]), |change| change.link_epoch = 1);
        let reopened = |link| {
            let mut event = opened(1, &[]);
            if let EventKind::Opened { epochs, .. } = &mut event.kind {
                epochs.link = link;
            }
            event
        };
        assert_eq!(verdict(&[reopened(1), applied(1, &own)]), Ok(()));
        assert!(verdict(&[reopened(0), applied(1, &own)]).is_err());
    }

    #[test]
    fn a_disconnection_without_an_epoch_is_found() {
        let mut checker = Epochs::default();
        let replicas = [ReplicaState { role: Role::Main, ..state(0, &[]) }];
        checker.observe(&established(1)).unwrap();
        checker.observe(&event(1, EventKind::WentOffline)).unwrap();
        assert!(checker.judge(&replicas).unwrap_err().message.contains("after replica 1 disconnected"));
        checker.observe(&ruled(0, 1, 1)).unwrap();
        assert_eq!(checker.judge(&replicas), Ok(()));
        checker.observe(&event(2, EventKind::WentOffline)).unwrap();
        assert_eq!(checker.judge(&replicas), Ok(()), "it was in no session");
    }

    #[test]
    fn whether_hosts_with_one_identity_disconnect_is_not_known() {
        let is_found = |events: &[Event]| {
            let mut checker = Epochs::default();
            events.iter().for_each(|event| checker.observe(event).unwrap());
            checker.judge(&[ReplicaState { role: Role::Main, ..state(0, &[]) }]).is_err()
        };
        let main_goes = event(0, EventKind::WentOffline);
        let (doubled, wiped) = (event(1, EventKind::Doubled), event(1, EventKind::Wiped));
        assert!(is_found(&[established(1), main_goes.clone()]));
        assert!(!is_found(&[established(1), doubled.clone(), main_goes.clone()]));
        assert!(!is_found(&[doubled.clone(), established(1), main_goes.clone()]));
        assert!(is_found(&[doubled, wiped, established(1), main_goes]));
    }
}
