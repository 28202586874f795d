//! After healing, all replicas hold the same graph, schema, cursor, rejections and audit.

use crate::checker::{Checker, Finding};
use crate::outcome::{Property, ReplicaState};

/// Differences shown of two views.
const DIFFERENCES_MAX: usize = 8;

/// See the module.
pub struct Convergence;

impl Checker for Convergence {
    fn property(&self) -> Property {
        Property::Convergence
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        let Some((first, others)) = replicas.split_first() else { return Ok(()) };
        others.iter().try_for_each(|other| compare(first, other))
    }
}

fn compare(one: &ReplicaState, other: &ReplicaState) -> Result<(), Finding> {
    let hosts = [one.host, other.host];
    let differ = |what: &str, details| {
        Err(Finding::new(format!("replicas {} and {} hold different {what}", one.host, other.host), &hosts)
            .with_details(details))
    };
    if one.view != other.view {
        return differ("graphs", one.view.differences(&other.view, DIFFERENCES_MAX));
    }
    if one.cursor != other.cursor {
        return differ("cursors", vec![format!("{:?} / {:?}", one.cursor, other.cursor)]);
    }
    if (one.schema_operations, one.schema_digest) != (other.schema_operations, other.schema_digest) {
        let line =
            |state: &ReplicaState| format!("version {}, digest {}", state.schema_operations, state.schema_digest);
        return differ("schemas", vec![format!("{} / {}", line(one), line(other))]);
    }
    if one.rejections != other.rejections || one.failed != other.failed {
        let line = |state: &ReplicaState| format!("{:?}, failed {:?}", state.rejections, state.failed);
        return differ("rejected or failed changes", vec![line(one), line(other)]);
    }
    let audits = || only(one, other, |state| &state.audit).into_iter().chain(only(other, one, |state| &state.audit));
    let schema_audits = || {
        only(one, other, |state| &state.schema_audit).into_iter().chain(only(other, one, |state| &state.schema_audit))
    };
    if one.audit != other.audit || one.schema_audit != other.schema_audit {
        return differ("audits", audits().chain(schema_audits()).collect());
    }
    Ok(())
}

/// A loss that only one of two audits holds.
fn only<L: PartialEq + std::fmt::Debug>(
    here: &ReplicaState,
    there: &ReplicaState,
    audit: impl Fn(&ReplicaState) -> &Vec<L>,
) -> Option<String> {
    let loss = audit(here).iter().find(|loss| !audit(there).contains(loss))?;
    Some(format!("only {}: {loss:?}", here.host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{change, id, insert, rejection, state, users};
    use kuzusync_core::change::Op;
    use kuzusync_core::ruling::Reason;

    /// What is found of two replicas, the second altered.
    fn found(alter: impl FnOnce(&mut ReplicaState)) -> Option<Finding> {
        let create = change(id(1, 1), 1, &[], vec![Op::Schema(users())]);
        let early = change(id(1, 2), 2, &[], vec![insert(1, "early")]);
        let late = change(id(2, 1), 3, &[id(1, 1)], vec![insert(1, "late")]);
        let log = [create, early, late];
        let (one, mut other) = (state(0, &log), state(1, &log));
        alter(&mut other);
        Convergence.judge(&[one, other]).err()
    }

    #[test]
    fn two_replicas_that_differ_in_anything_have_not_converged() {
        assert_eq!(found(|_| {}), None);
        let message = |found: Option<Finding>| found.map(|found| found.message).unwrap_or_default();
        let graphs = found(|other| other.view.nodes.values_mut().for_each(|rows| rows.clear())).unwrap();
        assert!(graphs.message.contains("different graphs") && graphs.details[0].contains("node User 1"), "{graphs:?}");
        assert!(message(found(|other| other.cursor.lsn = 7)).contains("cursors"));
        assert!(message(found(|other| other.schema_operations = 2)).contains("schemas"));
        assert!(message(found(|other| other.failed.push(id(3, 1)))).contains("failed changes"));
        let rejected = rejection(&change(id(3, 1), 1, &[], Vec::new()), Reason::Drift { main_ms: 1 });
        assert!(message(found(|other| other.rejections.push(rejected))).contains("rejected"));
        let audits = found(|other| other.audit.clear()).unwrap();
        assert!(audits.message.contains("audits") && audits.details[0].starts_with("only 0"), "{audits:?}");
    }
}
