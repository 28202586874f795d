//! After healing, the graph is what the naive model makes of all changes.

use std::collections::BTreeMap;

use crate::checker::{Checker, Finding};
use crate::model;
use crate::outcome::{Property, ReplicaState};

/// See the module.
pub struct Oracle;

impl Checker for Oracle {
    fn property(&self) -> Property {
        Property::Oracle
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        let changes: BTreeMap<_, _> =
            replicas.iter().flat_map(|replica| &replica.log).map(|change| (change.id, change)).collect();
        let expected = model::view(changes.into_values().map(AsRef::as_ref));
        for replica in replicas {
            if replica.view != expected {
                let message = format!("replica {} does not hold what the model says (replica / model)", replica.host);
                let details = replica.view.differences(&expected, 8);
                return Err(Finding::new(message, &[replica.host]).with_details(details));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{change, ddl, id, insert, state};
    use kuzusync_core::change::Op;
    use kuzusync_core::value::Value;

    #[test]
    fn replicas_that_agree_on_something_wrong_are_found() {
        let log = [
            change(id(1, 1), 1, &[], vec![Op::Schema(ddl())]),
            change(id(1, 2), 2, &[], vec![insert(1, "early")]),
            change(id(2, 1), 3, &[id(1, 1)], vec![insert(1, "late")]),
        ];
        let mut view = model::view(log.iter().map(AsRef::as_ref));
        assert_eq!(view.node("User", &Value::from(1)).unwrap()["name"], Value::from("late"));
        assert_eq!(Oracle.judge(&[state(0, &log, view.clone())]), Ok(()));
        let row = view.nodes.get_mut("User").and_then(|rows| rows.get_mut(&Value::from(1))).unwrap();
        row.insert("name".into(), Value::from("early"));
        let found = Oracle.judge(&[state(0, &log, view.clone()), state(1, &log, view)]).unwrap_err();
        assert!(found.details[0].contains("early") && found.details[0].contains("late"), "{found:?}");
    }
}
