//! Each store holds exactly the view of its replica, and never has to be rebuilt.
//!
//! Exactly is what the store can hold: [`held`] says it, by the types alone, and names what a store holds otherwise.
//! No engine fault is injected, so a store that refuses a delta was given a wrong one.

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};
use crate::store::held;

/// See the module.
pub struct StoreAgreement;

impl Checker for StoreAgreement {
    fn property(&self) -> Property {
        Property::StoreAgreement
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        match (&event.kind, event.host) {
            (EventKind::StoreFailed { error }, Some(host)) => {
                Err(Finding::new(format!("a store of replica {host} failed: {error}"), &[host]))
            }
            _ => Ok(()),
        }
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        for replica in replicas {
            for (store, view) in &replica.stores {
                let expected = held(store, &replica.view);
                if *view != *expected {
                    let host = replica.host;
                    let message = format!("the {store} store of replica {host} does not hold its view (store / view)");
                    return Err(Finding::new(message, &[host]).with_details(view.differences(&expected, 8)));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{change, event, id, state, users};
    use kuzusync_core::change::Op;
    use kuzusync_core::view::View;

    #[test]
    fn a_store_that_failed_or_lags_behind_is_found() {
        let failed = event(0, EventKind::StoreFailed { error: "no such table".into() });
        assert!(StoreAgreement.observe(&failed).unwrap_err().message.contains("no such table"));

        let log = [change(id(1, 1), 1, &[], vec![Op::Schema(users())])];
        let mut replica = state(0, &log);
        assert_eq!(StoreAgreement.judge(std::slice::from_ref(&replica)), Ok(()));
        replica.stores.insert("memory".into(), View::default());
        let found = StoreAgreement.judge(&[replica]).unwrap_err();
        assert!(found.details[0].contains("table User"), "{found:?}");
    }

    /// Kùzu holds JSON inside another type as text: that is no disagreement, and anything else is one.
    #[cfg(feature = "kuzu")]
    #[test]
    fn a_store_is_compared_with_what_it_can_hold() {
        use kuzusync_core::view::{Table, TableKind};
        let view = |of: &str| {
            let columns = [("id", "INT64"), ("tags", of)].map(|(name, of)| (name.to_owned(), of.parse().unwrap()));
            let kind = TableKind::Node { primary_key: "id".into() };
            View { tables: [("T".to_owned(), Table { kind, columns: columns.into() })].into(), ..View::default() }
        };
        let stores = [("memory".to_owned(), view("JSON[]"))].into();
        let mut replica = ReplicaState { view: view("JSON[]"), stores, ..state(0, &[]) };
        assert_eq!(crate::store::held_otherwise("memory", &replica.view), [] as [String; 0]);
        assert_eq!(crate::store::held_otherwise("kuzu", &replica.view).len(), 1);
        replica.stores.insert("kuzu".into(), view("STRING[]"));
        assert_eq!(StoreAgreement.judge(std::slice::from_ref(&replica)), Ok(()));
        replica.stores.insert("kuzu".into(), view("JSON[]"));
        assert!(StoreAgreement.judge(std::slice::from_ref(&replica)).unwrap_err().message.contains("kuzu store"));
        replica.stores.clear();
        replica.stores.insert("memory".into(), view("STRING[]"));
        assert!(StoreAgreement.judge(&[replica]).unwrap_err().message.contains("memory store"));
    }
}
