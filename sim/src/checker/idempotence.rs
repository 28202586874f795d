//! No replica applies a change twice, and no transaction becomes two changes.

use std::collections::BTreeMap;

use kuzusync_core::change::ChangeId;
use kuzusync_core::clock::Seen;
use kuzusync_core::id::TxId;
use kuzusync_core::replica::Notice;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::Property;

/// See the module.
#[derive(Default)]
pub struct Idempotence {
    applied: BTreeMap<u32, Seen>,
    transactions: BTreeMap<TxId, ChangeId>,
}

impl Checker for Idempotence {
    fn property(&self) -> Property {
        Property::Idempotence
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Opened { seen, .. } => {
                self.applied.insert(host, seen.clone());
            }
            EventKind::Notified(Notice::Applied { entry }) => {
                let (id, tx) = (entry.change.id, entry.change.tx);
                let applied = self.applied.entry(host).or_default();
                if applied.contains(id) {
                    return Err(Finding::new(format!("replica {host} applied change {id} twice"), &[host]));
                }
                applied.merge(&[id].into_iter().collect());
                let first = *self.transactions.entry(tx).or_insert(id);
                if first != id {
                    return Err(Finding::new(format!("one transaction became changes {first} and {id}"), &[host]));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{applied, change, id, opened};
    use std::sync::Arc;

    fn verdict(events: &[Event]) -> Result<(), Finding> {
        let mut checker = Idempotence::default();
        events.iter().try_for_each(|event| checker.observe(event))
    }

    #[test]
    fn applying_a_change_twice_is_found() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        assert_eq!(verdict(&[applied(0, &change), applied(1, &change)]), Ok(()));
        assert!(verdict(&[applied(0, &change), applied(0, &change)]).unwrap_err().message.contains("twice"));
        assert!(verdict(&[opened(0, &[change.id]), applied(0, &change)]).is_err(), "its log held it already");
    }

    #[test]
    fn one_transaction_as_two_changes_is_found() {
        let first = change(id(1, 1), 1, &[], Vec::new());
        let mut second = change(id(1, 2), 2, &[], Vec::new()).as_ref().clone();
        second.tx = first.tx;
        let found = verdict(&[applied(0, &first), applied(0, &Arc::new(second))]).unwrap_err();
        assert!(found.message.contains("one transaction"), "{found:?}");
    }
}
