//! Every graph is what the naive model makes of the changes it comes from, in the midst of trouble and after healing.

use crate::checker::{Checker, Finding};
use crate::model::Model;
use crate::outcome::{Property, ReplicaState};

/// See the module.
pub struct Oracle;

impl Checker for Oracle {
    fn property(&self) -> Property {
        Property::Oracle
    }

    fn inspect(&mut self, replica: &ReplicaState) -> Result<(), Finding> {
        let model = Model::of(&replica.log);
        let (counted, there_are) = (replica.schema_operations, model.schema_operations());
        if counted != there_are {
            let message =
                format!("replica {} is at schema version {counted} after {there_are} operations", replica.host);
            return Err(Finding::new(message, &[replica.host]));
        }
        let expected = model.view();
        if replica.view == expected {
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
    use crate::checker::samples::{change, id, insert, state, users};
    use kuzusync_core::change::Op;
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
        assert_eq!(Oracle.judge(std::slice::from_ref(&replica)), Ok(()));
        assert_eq!(Oracle.inspect(&replica), Ok(()));
        let row = replica.view.nodes.get_mut("User").and_then(|rows| rows.get_mut(&Value::from(1))).unwrap();
        row.insert("name".into(), Value::from("early"));
        assert!(Oracle.inspect(&replica).is_err());
        let found = Oracle.judge(&[replica.clone(), ReplicaState { host: 1, ..replica }]).unwrap_err();
        assert!(found.details[0].contains("early") && found.details[0].contains("late"), "{found:?}");
    }
}
