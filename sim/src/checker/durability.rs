//! What a client was told is done survives crashes and reaches every replica.

use std::collections::BTreeMap;

use kuzusync_core::change::ChangeId;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct Durability {
    /// The changes that clients were told are done, by the host that told them.
    done: BTreeMap<ChangeId, u32>,
}

impl Checker for Durability {
    fn property(&self) -> Property {
        Property::Durability
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Returned { result: Ok(id), .. } => {
                self.done.insert(*id, host);
            }
            EventKind::Opened { seen, .. } => {
                let lost = self.done.iter().find(|(id, teller)| **teller == host && !seen.contains(**id));
                if let Some((id, _)) = lost {
                    return Err(Finding::new(format!("replica {host} restarted without its change {id}"), &[host]));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        for replica in replicas {
            if let Some(id) = self.done.keys().find(|id| !replica.cursor.seen.contains(**id)) {
                let message = format!("change {id} was accepted and never reached replica {}", replica.host);
                return Err(Finding::new(message, &[replica.host]));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{change, event, id, opened, state};
    use kuzusync_core::view::View;

    #[test]
    fn an_accepted_change_lost_by_a_crash_is_found() {
        let returned = event(0, EventKind::Returned { invocation: 1, result: Ok(id(1, 1)) });
        let mut checker = Durability::default();
        assert_eq!(checker.observe(&returned), Ok(()));
        assert_eq!(checker.observe(&opened(0, &[id(1, 1)])), Ok(()));
        assert_eq!(checker.observe(&opened(1, &[])), Ok(()), "another host need not have it yet");
        assert!(checker.observe(&opened(0, &[])).unwrap_err().message.contains("restarted without"));
    }

    #[test]
    fn an_accepted_change_that_never_arrives_is_found() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        let mut checker = Durability::default();
        checker.observe(&event(0, EventKind::Returned { invocation: 1, result: Ok(change.id) })).unwrap();
        let holder = state(0, &[change], View::default());
        assert_eq!(checker.judge(std::slice::from_ref(&holder)), Ok(()));
        assert!(
            checker.judge(&[holder, state(1, &[], View::default())]).unwrap_err().message.contains("never reached")
        );
    }
}
