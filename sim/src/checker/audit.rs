//! Every audit names exactly the concurrent losses among the changes it counts, each with its greatest winner.
//!
//! With a main only numbered changes count, so that two replicas that hold the same numbers hold the same audit. Of what was
//! compacted no conflict is known any more.

use kuzusync_core::conflict::{ConflictType, Loss};
use kuzusync_core::message::Role;

use crate::checker::{Checker, Finding};
use crate::model::Model;
use crate::outcome::{Property, ReplicaState};

/// See the module.
pub struct Audit;

impl Checker for Audit {
    fn property(&self) -> Property {
        Property::Audit
    }

    fn inspect(&mut self, replica: &ReplicaState) -> Result<(), Finding> {
        let counts = |lsn: Option<_>| lsn.is_some() || replica.role == Role::Peer;
        let counted = || replica.log.iter().filter(|entry| counts(entry.lsn));
        let model = Model::of(counted());
        let expected: Vec<Loss> = model.audit().into_iter().filter(|loss| !is_forgotten(loss, replica)).collect();
        let rows = differences(&replica.audit, &expected);
        let schema = differences(&replica.schema_audit, &model.schema_audit());
        if rows.is_empty() && schema.is_empty() {
            return Ok(());
        }
        let message = format!("the audit of replica {} is not the model's", replica.host);
        Err(Finding::new(message, &[replica.host]).with_details([rows, schema].concat()))
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        replicas.iter().try_for_each(|replica| self.inspect(replica))
    }
}

/// Whether a replica has forgotten a conflict. What is lost because of how things stand now is known from how they stand.
fn is_forgotten(loss: &Loss, replica: &ReplicaState) -> bool {
    let loser = replica.log.iter().find(|entry| entry.change.id == loss.loser.rank.change);
    let is_past = !matches!(loss.conflict, ConflictType::Multiplicity | ConflictType::FailedCast);
    is_past && loser.and_then(|entry| entry.lsn).is_some_and(|lsn| lsn <= replica.cut)
}

/// What one audit holds and the other does not, an example of each; also if only their order differs.
fn differences<L: PartialEq + std::fmt::Debug>(replicas: &[L], expected: &[L]) -> Vec<String> {
    if replicas == expected {
        return Vec::new();
    }
    let only = |whose: &str, here: &[L], there: &[L]| {
        here.iter().find(|loss| !there.contains(loss)).map(|loss| format!("only {whose}: {loss:?}"))
    };
    let found = [only("the replica", replicas, expected), only("the model", expected, replicas)];
    let found: Vec<String> = found.into_iter().flatten().collect();
    if found.is_empty() { vec!["both hold the same losses in another order or number".to_owned()] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{change, id, insert, numbered, state, update, user, users};
    use kuzusync_core::change::{Change, Op};
    use std::sync::Arc;

    /// Two replicas give one user different names.
    fn log() -> [Arc<Change>; 3] {
        [
            change(id(1, 1), 1, &[], vec![Op::Schema(users()), insert(1, "first")]),
            change(id(1, 2), 2, &[], vec![update(user(1), "name", "early")]),
            change(id(2, 1), 3, &[id(1, 1)], vec![update(user(1), "name", "late")]),
        ]
    }

    #[test]
    fn a_loss_that_is_missing_and_one_that_never_was_are_found() {
        let replica = state(0, &log());
        assert_eq!(replica.audit.len(), 1);
        assert_eq!(Audit.judge(std::slice::from_ref(&replica)), Ok(()));
        let missing = ReplicaState { audit: Vec::new(), ..replica.clone() };
        let found = Audit.judge(&[missing]).unwrap_err();
        assert!(found.details[0].starts_with("only the model") && found.details[0].contains("early"), "{found:?}");
        let invented = ReplicaState { audit: replica.audit.clone(), ..state(0, &log()[..2]) };
        assert!(Audit.inspect(&invented).unwrap_err().details[0].starts_with("only the replica"));
    }

    #[test]
    fn a_conflict_that_was_compacted_is_to_be_forgotten_and_no_other() {
        let whole = ReplicaState { role: Role::Edge, log: numbered(&log()), ..state(0, &log()) };
        let forgets = |cut, forgets: bool| {
            let audit = if forgets { Vec::new() } else { whole.audit.clone() };
            Audit.inspect(&ReplicaState { cut, audit, ..whole.clone() }).is_ok()
        };
        assert!(forgets(2, true) && !forgets(2, false), "the one that lost is number 2");
        assert!(forgets(1, false) && !forgets(1, true));
    }

    #[test]
    fn a_loss_to_the_wrong_winner_is_found() {
        let mut replica = state(0, &log());
        replica.audit[0].winner.rank.index += 1;
        assert_eq!(Audit.inspect(&replica).unwrap_err().details.len(), 2);
    }

    #[test]
    fn with_a_main_a_loss_among_changes_without_a_number_is_found() {
        let mut replica = ReplicaState { role: Role::Edge, log: numbered(&log()), ..state(0, &log()) };
        assert_eq!(Audit.inspect(&replica), Ok(()));
        replica.log[2].lsn = None;
        assert!(Audit.inspect(&replica).unwrap_err().details[0].starts_with("only the replica"));
    }
}
