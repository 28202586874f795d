//! Every graph is what the naive model makes of the changes it comes from, in the midst of trouble and after healing.
//!
//! The model knows the whole history, also what was compacted. So there are two things it cannot be asked. One is what a graph
//! shows in which a rule lets deleted rows come back that was set when they were forgotten already; replicas still have to agree.
//! The other is what a replica shows that took a base while it had changes of its own: until the main has refused those, they
//! compete with what is left alone.

use std::collections::BTreeMap;

use kuzusync_core::clock::Lsn;
use kuzusync_core::ddl::{Ddl, Rule};
use kuzusync_core::message::Entry;
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::Ruling;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::model::Model;
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct Oracle {
    /// The cuts of the compactions, by their numbers.
    cuts: BTreeMap<Lsn, Lsn>,
    /// The last number for which the base stands that a host took.
    bases: BTreeMap<u32, Lsn>,
}

impl Oracle {
    /// Whether a log has a rule by which deleted rows come back, or a pair of tables to which it may apply, and got that after a
    /// compaction.
    fn revives_too_late(&self, log: &[Entry]) -> bool {
        let revives = |ddl: &Ddl| {
            matches!(
                ddl,
                Ddl::SetRule { rule: Rule::UpdateRevives(true) | Rule::Revive(true), .. } | Ddl::AddPair { .. }
            )
        };
        self.cuts.keys().next().is_some_and(|first| {
            let is_later = |entry: &&Entry| entry.lsn.is_none_or(|lsn| lsn > *first);
            log.iter().filter(is_later).any(|entry| entry.change.ddls().any(|(_, ddl)| revives(ddl)))
        })
    }

    /// Whether a replica shows changes that had not seen what the base stands for that it took since.
    fn shows_what_will_be_refused(&self, replica: &ReplicaState) -> bool {
        let Some(base) = self.bases.get(&replica.host) else { return false };
        let is_in_base = |entry: &&Entry| entry.lsn.is_some_and(|lsn| lsn <= *base);
        let mut unnumbered = replica.log.iter().filter(|entry| entry.lsn.is_none());
        unnumbered
            .any(|own| replica.log.iter().filter(is_in_base).any(|entry| !own.change.seen.contains(entry.change.id)))
    }
}

impl Checker for Oracle {
    fn property(&self) -> Property {
        Property::Oracle
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        match (&event.kind, event.host) {
            (EventKind::Notified(Notice::Ruled { ruling: Ruling::Compaction(cut), lsn }), _) => {
                self.cuts.insert(*lsn, *cut);
            }
            (EventKind::Notified(Notice::Resynced { cursor, .. }), Some(host)) => {
                self.bases.insert(host, cursor.lsn);
            }
            _ => {}
        }
        Ok(())
    }

    fn inspect(&mut self, replica: &ReplicaState) -> Result<(), Finding> {
        let carried_out = self.cuts.iter().map(|(lsn, cut)| (*lsn, *cut)).filter(|(_, cut)| *cut <= replica.cut);
        let model = Model::after_compactions(&replica.log, carried_out);
        let (counted, there_are) = (replica.schema_operations, model.schema_operations());
        if counted != there_are {
            let message =
                format!("replica {} is at schema version {counted} after {there_are} operations", replica.host);
            return Err(Finding::new(message, &[replica.host]));
        }
        let expected = model.view();
        let is_unknown = || self.revives_too_late(&replica.log) || self.shows_what_will_be_refused(replica);
        if replica.view == expected || is_unknown() {
            return Ok(());
        }
        let message = format!("replica {} does not hold what the model says (replica / model)", replica.host);
        Err(Finding::new(message, &[replica.host]).with_details(replica.view.differences(&expected, 8)))
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        replicas.iter().try_for_each(|replica| self.inspect(replica))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{change, id, insert, noticed, rule, state, users};
    use kuzusync_core::change::Op;
    use kuzusync_core::message::Cursor;
    use kuzusync_core::session::Peer;
    use kuzusync_core::value::Value;

    #[test]
    fn replicas_that_agree_on_something_wrong_are_found() {
        let log = [
            change(id(1, 1), 1, &[], vec![Op::Schema(users())]),
            change(id(1, 2), 2, &[], vec![insert(1, "early")]),
            change(id(2, 1), 3, &[id(1, 1)], vec![insert(1, "late")]),
        ];
        let mut replica = state(0, &log);
        assert_eq!(replica.view.node("User", &Value::from(1)).unwrap()["name"], Value::from("late"));
        assert_eq!(Oracle::default().judge(std::slice::from_ref(&replica)), Ok(()));
        assert_eq!(Oracle::default().inspect(&replica), Ok(()));
        let row = replica.view.nodes.get_mut("User").and_then(|rows| rows.get_mut(&Value::from(1))).unwrap();
        row.insert("name".into(), Value::from("early"));
        assert!(Oracle::default().inspect(&replica).is_err());
        let found = Oracle::default().judge(&[replica.clone(), ReplicaState { host: 1, ..replica }]).unwrap_err();
        assert!(found.details[0].contains("early") && found.details[0].contains("late"), "{found:?}");
    }

    #[test]
    fn what_comes_back_by_a_rule_that_is_set_after_a_compaction_is_not_known() {
        let revives = rule(users().table_id(), Rule::UpdateRevives(true));
        let log = [
            change(id(1, 1), 1, &[], vec![Op::Schema(users()), insert(1, "Ann")]),
            change(id(1, 2), 2, &[], vec![revives]),
        ];
        let mut replica = state(0, &log);
        for (entry, lsn) in replica.log.iter_mut().zip([1, 3]) {
            entry.lsn = Some(lsn);
        }
        replica.view.nodes.get_mut("User").unwrap().clear();
        let compacted_as = |number: Option<Lsn>| {
            let mut oracle = Oracle::default();
            if let Some(lsn) = number {
                oracle.observe(&noticed(0, Notice::Ruled { ruling: Ruling::Compaction(1), lsn })).unwrap();
            }
            oracle.inspect(&replica).is_ok()
        };
        assert!(compacted_as(Some(2)), "the rule came later");
        assert!(!compacted_as(None) && !compacted_as(Some(4)));
    }

    #[test]
    fn what_a_pending_change_shows_over_a_base_it_had_not_seen_is_not_known() {
        let log = [
            change(id(1, 1), 1, &[], vec![Op::Schema(users()), insert(1, "Ann")]),
            change(id(2, 1), 2, &[id(1, 1)], vec![insert(2, "Bob")]),
            change(id(1, 2), 3, &[id(1, 1)], vec![insert(3, "Cyd")]),
        ];
        let mut replica = state(0, &log);
        for (entry, lsn) in replica.log.iter_mut().zip([Some(1), None, Some(2)]) {
            entry.lsn = lsn;
        }
        replica.view.nodes.get_mut("User").unwrap().clear();
        let base_through = |lsn: Lsn| {
            let (mut oracle, cursor) = (Oracle::default(), Cursor { lsn, ..Cursor::default() });
            oracle.observe(&noticed(0, Notice::Resynced { peer: Peer(1), cursor })).unwrap();
            oracle.inspect(&replica).is_ok()
        };
        assert!(base_through(2), "it had not seen the second");
        assert!(!base_through(1), "it had seen the first");
        assert!(Oracle::default().inspect(&replica).is_err(), "it has taken no base");
    }
}
