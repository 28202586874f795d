//! No change is applied before its causes, and none is stamped before them.
//!
//! A rejection stands in for its change: what follows it may be applied. It lends its stamps to nothing, since a clock too
//! far ahead is why it may have been rejected.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::{Change, ChangeId, Op};
use kuzusync_core::clock::{Seen, Timestamp};
use kuzusync_core::id::TableId;
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::Ruling;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::Property;

/// See the module.
#[derive(Default)]
pub struct Causality {
    /// What each host has applied, or passed.
    applied: BTreeMap<u32, Seen>,
    stamps: BTreeMap<ChangeId, Stamps>,
    rejected: BTreeSet<ChangeId>,
}

/// What orders a change after its causes.
struct Stamps {
    timestamp: Timestamp,
    link_epoch: u64,
    /// The greatest of the change's own and its causes', by table.
    authority_epochs: BTreeMap<TableId, u64>,
}

impl Checker for Causality {
    fn property(&self) -> Property {
        Property::Causality
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Opened { cursor, rejected, .. } => {
                self.applied.insert(host, cursor.seen.clone());
                self.rejected.extend(rejected);
                Ok(())
            }
            // What is proposed is stamped, and what follows it may be applied.
            EventKind::Notified(Notice::Applied { entry } | Notice::Proposed { entry }) => {
                self.apply(host, &entry.change)
            }
            EventKind::Notified(Notice::Ruled { ruling: Ruling::Rejection(rejection), .. }) => {
                self.rejected.insert(rejection.change);
                self.pass(host, rejection.change)
            }
            EventKind::Notified(Notice::Failed { id, .. }) => self.pass(host, *id),
            _ => Ok(()),
        }
    }
}

impl Causality {
    fn apply(&mut self, host: u32, change: &Change) -> Result<(), Finding> {
        let applied = self.applied.entry(host).or_default();
        let causes = || change.seen.heads().chain(change.depends_on.iter().copied());
        if let Some(cause) = causes().find(|cause| !applied.passes(*cause)) {
            let message = format!("replica {host} applied change {} before its cause {cause}", change.id);
            return Err(Finding::new(message, &[host]));
        }
        let own = Stamps {
            timestamp: change.timestamp,
            link_epoch: change.link_epoch,
            authority_epochs: change.authority_epochs.clone(),
        };
        let stamps = self.stamp(change, causes().collect(), own, host)?;
        self.stamps.insert(change.id, stamps);
        self.pass(host, change.id)
    }

    /// The stamps of a change and its causes, if it stands after all of them.
    fn stamp(&self, change: &Change, causes: Vec<ChangeId>, own: Stamps, host: u32) -> Result<Stamps, Finding> {
        let writes_to = |table| change.ops.iter().filter_map(Op::element).any(|row| row.table() == table);
        let mut stamps = own;
        for cause in causes.into_iter().filter(|cause| !self.rejected.contains(cause)) {
            let Some(earlier) = self.stamps.get(&cause) else { continue };
            let follows = earlier.timestamp < stamps.timestamp && earlier.link_epoch <= stamps.link_epoch;
            let lacks_authority = |(table, epoch): &(&TableId, &u64)| {
                writes_to(**table) && change.authority_epochs.get(table).copied().unwrap_or(0) < **epoch
            };
            if !follows || earlier.authority_epochs.iter().any(|known| lacks_authority(&known)) {
                let message = format!("change {} is stamped no later than its cause {cause}", change.id);
                return Err(Finding::new(message, &[host]));
            }
            for (table, epoch) in &earlier.authority_epochs {
                let known = stamps.authority_epochs.entry(*table).or_default();
                *known = *epoch.max(known);
            }
        }
        Ok(stamps)
    }

    /// From now on what follows `id` may be applied.
    fn pass(&mut self, host: u32, id: ChangeId) -> Result<(), Finding> {
        let applied = self.applied.entry(host).or_default();
        if applied.head(id.replica) + 1 < id.seq {
            return Err(Finding::new(
                format!("replica {host} passed change {id} before its author's earlier ones"),
                &[host],
            ));
        }
        if !applied.passes(id) {
            applied.insert(id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{altered, applied, change, id, insert, noticed, opened, rejected, users};
    use kuzusync_core::ruling::Reason;
    use std::sync::Arc;

    const DRIFT: Reason = Reason::Drift { main_ms: 1 };

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
    fn what_follows_a_rejected_or_failed_change_may_be_applied() {
        let cause = change(id(1, 1), 9, &[], Vec::new());
        let effect = change(id(1, 2), 2, &[], Vec::new());
        let failed = noticed(0, Notice::Failed { id: cause.id, problem: "it names nothing".into() });
        assert_eq!(verdict(&[rejected(0, &cause, DRIFT, 1), applied(0, &effect)]), Ok(()));
        assert_eq!(verdict(&[failed, applied(0, &effect)]), Ok(()));
        let out_of_order = rejected(0, &effect, DRIFT, 1);
        assert!(verdict(&[out_of_order]).unwrap_err().message.contains("before its author's earlier ones"));
    }

    /// The verdict on an effect whose author had seen the cause, as both are altered.
    fn stamped(alter: impl FnOnce(&mut Change, &mut Change)) -> Result<(), Finding> {
        let mut cause = change(id(1, 1), 5, &[], vec![insert(1, "a")]).as_ref().clone();
        let mut effect = change(id(2, 1), 6, &[cause.id], vec![insert(2, "b")]).as_ref().clone();
        alter(&mut cause, &mut effect);
        verdict(&[applied(0, &Arc::new(cause)), applied(0, &Arc::new(effect))])
    }

    #[test]
    fn a_stamp_before_that_of_a_cause_is_found() {
        let table = users().table_id();
        assert_eq!(stamped(|_, _| {}), Ok(()));
        let same_time = stamped(|cause, effect| effect.timestamp = cause.timestamp);
        assert!(same_time.unwrap_err().message.contains("stamped no later"));
        assert!(stamped(|cause, _| cause.link_epoch = 1).is_err());
        assert!(stamped(|cause, _| cause.authority_epochs = [(table, 1)].into()).is_err());
        let raised = stamped(|cause, effect| {
            cause.authority_epochs.insert(table, 1);
            effect.authority_epochs.insert(table, 1);
        });
        assert_eq!(raised, Ok(()));
    }

    #[test]
    fn authority_is_inherited_through_changes_that_do_not_write_to_the_table() {
        let table = users().table_id();
        let first = altered(&change(id(1, 1), 1, &[], vec![insert(1, "a")]), |change| {
            change.authority_epochs.insert(table, 1);
        });
        let between = change(id(2, 1), 2, &[first.id], Vec::new());
        let last = change(id(3, 1), 3, &[between.id], vec![insert(2, "b")]);
        assert!(verdict(&[applied(0, &first), applied(0, &between), applied(0, &last)]).is_err());
    }

    #[test]
    fn a_rejected_change_lends_its_stamps_to_nothing() {
        let ahead = change(id(1, 1), 900, &[], Vec::new());
        let anew = change(id(1, 2), 5, &[], Vec::new());
        assert!(verdict(&[applied(1, &ahead), applied(1, &anew)]).is_err());
        assert_eq!(verdict(&[applied(1, &ahead), rejected(1, &ahead, DRIFT, 1), applied(1, &anew)]), Ok(()));
    }
}
