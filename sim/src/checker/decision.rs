//! A transaction on which replicas vote is decided once: nobody ever hears of another decision than the first.

use std::collections::BTreeMap;

use kuzusync_core::id::TxId;
use kuzusync_core::replica::Notice;
use kuzusync_core::two_phase::Decision;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct OneDecision {
    /// What was decided, and who told it first.
    decided: BTreeMap<TxId, (Decision, u32)>,
}

impl Checker for OneDecision {
    fn property(&self) -> Property {
        Property::OneDecision
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        match (&event.kind, event.host) {
            (EventKind::Notified(Notice::Decided { tx, decision }), Some(host)) => self.hear(*tx, decision, host),
            _ => Ok(()),
        }
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        for replica in replicas {
            for (tx, decision) in &replica.decisions {
                self.hear(*tx, decision, replica.host)?;
            }
        }
        Ok(())
    }
}

impl OneDecision {
    fn hear(&mut self, tx: TxId, decision: &Decision, host: u32) -> Result<(), Finding> {
        let (first, teller) = self.decided.entry(tx).or_insert_with(|| (decision.clone(), host));
        let is_same = match (&*first, decision) {
            (Decision::Committed(one), Decision::Committed(other)) => one == other,
            (Decision::RolledBack(_), Decision::RolledBack(_)) => true,
            _ => false,
        };
        if is_same {
            return Ok(());
        }
        let told = |decision: &Decision| match decision {
            Decision::Committed(id) => format!("committed as change {id}"),
            Decision::RolledBack(_) => "rolled_back".to_owned(),
        };
        let (one, other) = (told(first), told(decision));
        let message = format!("transaction {tx} is {one} at replica {teller} and {other} at replica {host}");
        Err(Finding::new(message, &[*teller, host]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{id, noticed, state};
    use kuzusync_core::id::ReplicaId;
    use kuzusync_core::two_phase::{Abort, AbortReason};

    fn decided(host: u32, decision: Decision) -> Event {
        noticed(host, Notice::Decided { tx: TxId([1; 16]), decision })
    }

    fn rolled_back(by: u8) -> Decision {
        Decision::RolledBack(Abort { by: ReplicaId([by; 16]), reason: AbortReason::NoVote })
    }

    fn verdict(events: &[Event]) -> Result<(), Finding> {
        let mut checker = OneDecision::default();
        events.iter().try_for_each(|event| checker.observe(event))
    }

    #[test]
    fn two_decisions_of_one_transaction_are_found() {
        let committed = |seq| Decision::Committed(id(1, seq));
        assert_eq!(verdict(&[decided(0, committed(1)), decided(1, committed(1))]), Ok(()));
        assert_eq!(verdict(&[decided(0, rolled_back(1)), decided(1, rolled_back(2))]), Ok(()), "the reason may differ");
        assert!(verdict(&[decided(0, committed(1)), decided(1, rolled_back(1))]).is_err());
        assert!(verdict(&[decided(0, committed(1)), decided(0, committed(2))]).is_err());
        let mut checker = OneDecision::default();
        checker.observe(&decided(0, committed(1))).unwrap();
        let mut replica = state(1, &[]);
        replica.decisions.insert(TxId([1; 16]), rolled_back(1));
        let found = checker.judge(&[replica]).unwrap_err();
        assert!(found.message.contains("rolled_back at replica 1"), "{found:?}");
    }
}
