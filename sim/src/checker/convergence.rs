//! After healing, all replicas hold the same graph, schema, cursor and audit.

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
    if one.audit != other.audit {
        let only = |here: &ReplicaState, there: &ReplicaState| {
            here.audit
                .iter()
                .find(|loss| !there.audit.contains(loss))
                .map(|loss| format!("only {}: {loss:?}", here.host))
        };
        return differ("audits", only(one, other).into_iter().chain(only(other, one)).collect());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{change, ddl, id, state};
    use crate::model;
    use kuzusync_core::change::Op;

    #[test]
    fn two_replicas_with_different_graphs_have_not_converged() {
        let create = change(id(1, 1), 1, &[], vec![Op::Schema(ddl())]);
        let insert = change(id(1, 2), 2, &[], vec![crate::checker::samples::insert(1, "a")]);
        let log = [create, insert];
        let full = state(0, &log, model::view(log.iter().map(AsRef::as_ref)));
        let mut lacking = state(1, &log, model::view(log[..1].iter().map(AsRef::as_ref)));
        assert_eq!(Convergence.judge(&[full.clone(), full.clone()]), Ok(()));
        let found = Convergence.judge(&[full.clone(), lacking.clone()]).unwrap_err();
        assert!(found.message.contains("different graphs") && found.details[0].contains("node User 1"), "{found:?}");

        lacking.view = full.view.clone();
        lacking.cursor.lsn = 7;
        assert!(Convergence.judge(&[full.clone(), lacking.clone()]).unwrap_err().message.contains("cursors"));
        lacking.cursor = full.cursor.clone();
        lacking.schema_operations = 2;
        assert!(Convergence.judge(&[full, lacking]).unwrap_err().message.contains("schemas"));
    }
}
