//! A change carries no epoch that its author had not applied, and every disconnection from the main begins one.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::{Change, ChangeId};
use kuzusync_core::clock::Lsn;
use kuzusync_core::id::{ReplicaId, TableId};
use kuzusync_core::message::{Cursor, Role};
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::Ruling;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct Epochs {
    authors: BTreeMap<ReplicaId, u32>,
    /// What each host has applied since it was opened, and what it found on its disk.
    known: BTreeMap<u32, Known>,
    stamps: BTreeMap<ChangeId, Known>,
    rulings: BTreeMap<Lsn, u64>,
    /// The hosts in a session with the main, host 0.
    connected: BTreeSet<u32>,
    /// The hosts that have disconnected since the last epoch began.
    disconnected: BTreeSet<u32>,
}

/// Epochs.
#[derive(Clone, Default)]
struct Known {
    link: u64,
    authority: BTreeMap<TableId, u64>,
}

impl Known {
    fn of(change: &Change) -> Known {
        Known { link: change.link_epoch, authority: change.authority_epochs.clone() }
    }

    fn merge(&mut self, other: &Known) {
        self.link = self.link.max(other.link);
        for (table, epoch) in &other.authority {
            let known = self.authority.entry(*table).or_insert(0);
            *known = (*known).max(*epoch);
        }
    }
}

const MAIN: u32 = 0;

impl Checker for Epochs {
    fn property(&self) -> Property {
        Property::Epochs
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Opened { replica, cursor, .. } => {
                self.authors.insert(*replica, host);
                self.known.insert(host, self.on_disk(cursor));
                if host == MAIN {
                    self.connected.clear();
                }
            }
            EventKind::Notified(Notice::Applied { entry }) => return self.apply(host, &entry.change),
            EventKind::Notified(Notice::Ruled { ruling: Ruling::Epoch(epoch), lsn }) => {
                self.rulings.insert(*lsn, *epoch);
                self.known.entry(host).or_default().merge(&Known { link: *epoch, ..Known::default() });
                if host == MAIN {
                    self.disconnected.clear();
                }
            }
            EventKind::Notified(Notice::Established { peer, .. }) if host == MAIN => {
                self.connected.insert(peer.0);
            }
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
    /// What a replica knows that opens its log.
    fn on_disk(&self, cursor: &Cursor) -> Known {
        let mut known = Known::default();
        let applied = self.stamps.iter().filter(|(id, _)| cursor.seen.contains(**id));
        applied.for_each(|(_, stamps)| known.merge(stamps));
        let ruled = self.rulings.range(..=cursor.lsn).map(|(_, epoch)| *epoch).max().unwrap_or(0);
        known.link = known.link.max(ruled);
        known
    }

    fn apply(&mut self, host: u32, change: &Change) -> Result<(), Finding> {
        let stamps = Known::of(change);
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
        self.stamps.insert(change.id, stamps);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{altered, applied, change, event, id, noticed, opened, state, update, user};
    use kuzusync_core::message::SyncMode;
    use kuzusync_core::session::Peer;

    fn ruled(host: u32, lsn: Lsn, epoch: u64) -> Event {
        noticed(host, Notice::Ruled { ruling: Ruling::Epoch(epoch), lsn })
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
    fn a_disconnection_without_an_epoch_is_found() {
        let (protocol_version, mode) = ("1.0".to_owned(), SyncMode::Incremental);
        let replica = id(2, 1).replica;
        let established = Notice::Established { peer: Peer(1), replica, protocol_version, mode };
        let mut checker = Epochs::default();
        let replicas = [ReplicaState { role: Role::Main, ..state(0, &[]) }];
        checker.observe(&noticed(0, established)).unwrap();
        checker.observe(&event(1, EventKind::WentOffline)).unwrap();
        assert!(checker.judge(&replicas).unwrap_err().message.contains("after replica 1 disconnected"));
        checker.observe(&ruled(0, 1, 1)).unwrap();
        assert_eq!(checker.judge(&replicas), Ok(()));
        checker.observe(&event(2, EventKind::WentOffline)).unwrap();
        assert_eq!(checker.judge(&replicas), Ok(()), "it was in no session");
    }
}
