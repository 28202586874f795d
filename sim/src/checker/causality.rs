//! No change is applied before its causes, and none is stamped before them.

use std::collections::BTreeMap;

use kuzusync_core::change::{Change, ChangeId};
use kuzusync_core::clock::{Seen, Timestamp};
use kuzusync_core::replica::Notice;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::Property;

/// See the module.
#[derive(Default)]
pub struct Causality {
    applied: BTreeMap<u32, Seen>,
    stamps: BTreeMap<ChangeId, Timestamp>,
}

impl Checker for Causality {
    fn property(&self) -> Property {
        Property::Causality
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Opened { seen, .. } => {
                self.applied.insert(host, seen.clone());
                Ok(())
            }
            EventKind::Notified(Notice::Applied { entry }) => self.apply(host, &entry.change),
            _ => Ok(()),
        }
    }
}

impl Causality {
    fn apply(&mut self, host: u32, change: &Change) -> Result<(), Finding> {
        let applied = self.applied.entry(host).or_default();
        let causes = change.seen.heads().chain(change.depends_on.iter().copied());
        for cause in causes {
            if !applied.contains(cause) {
                let message = format!("replica {host} applied change {} before its cause {cause}", change.id);
                return Err(Finding::new(message, &[host]));
            }
            if self.stamps.get(&cause).is_some_and(|stamp| *stamp >= change.timestamp) {
                let message = format!("change {} is stamped no later than its cause {cause}", change.id);
                return Err(Finding::new(message, &[host]));
            }
        }
        if !applied.contains(change.id) {
            applied.insert(change.id);
        }
        self.stamps.insert(change.id, change.timestamp);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{applied, change, id, opened};

    fn verdict(events: &[Event]) -> Result<(), Finding> {
        let mut checker = Causality::default();
        events.iter().try_for_each(|event| checker.observe(event))
    }

    #[test]
    fn an_effect_before_its_cause_is_found() {
        let cause = change(id(1, 1), 1, &[], Vec::new());
        let effect = change(id(2, 1), 2, &[cause.id], Vec::new());
        assert_eq!(verdict(&[applied(0, &cause), applied(0, &effect)]), Ok(()));
        assert!(verdict(&[applied(0, &effect)]).unwrap_err().message.contains("before its cause"));
        assert_eq!(verdict(&[opened(0, &[cause.id]), applied(0, &effect)]), Ok(()), "its log held the cause");
        assert!(verdict(&[applied(0, &cause), opened(0, &[]), applied(0, &effect)]).is_err(), "it lost the cause");
    }

    #[test]
    fn a_stamp_before_that_of_a_cause_is_found() {
        let cause = change(id(1, 1), 5, &[], Vec::new());
        let effect = change(id(2, 1), 5, &[cause.id], Vec::new());
        assert!(verdict(&[applied(0, &cause), applied(0, &effect)]).unwrap_err().message.contains("stamped"));
    }
}
