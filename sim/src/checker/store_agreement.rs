//! Each store holds exactly the view of its replica, but for what its database refuses, and never has to be rebuilt.
//!
//! Exactly is what the store can hold: [`expected`] says it, by the types and by what the store says it holds back. A part of
//! the schema is held back only if the database was made to refuse it; whatever else a store refuses, it was given wrongly.

use kuzusync_core::store::refusing::REFUSED_ON_PURPOSE;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};
use crate::store::expected;

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
            (EventKind::HeldBack { store, parts }, Some(host)) => {
                let Some(part) = parts.iter().find(|part| part.reason != REFUSED_ON_PURPOSE) else { return Ok(()) };
                Err(Finding::new(format!("the {store} store of replica {host} lacks {part}"), &[host]))
            }
            _ => Ok(()),
        }
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        for replica in replicas {
            for (store, view) in &replica.stores {
                let expected = expected(store, replica);
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
    use kuzusync_core::store::Unmaterialised;
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

    #[test]
    fn a_store_lacks_what_its_database_was_made_to_refuse_and_nothing_else() {
        let part = |reason: &str| Unmaterialised {
            table: "User".into(),
            column: None,
            held_as: None,
            reason: reason.to_owned(),
        };
        let held_back = |reason| EventKind::HeldBack { store: "memory".into(), parts: vec![part(reason)] };
        assert_eq!(StoreAgreement.observe(&event(0, held_back(REFUSED_ON_PURPOSE))), Ok(()));
        let found = StoreAgreement.observe(&event(0, held_back("no room"))).unwrap_err();
        assert_eq!(found.message, "the memory store of replica 0 lacks table User: no room");

        let log = [change(id(1, 1), 1, &[], vec![Op::Schema(users())])];
        let mut replica = state(0, &log);
        replica.held_back.insert("memory".into(), vec![part(REFUSED_ON_PURPOSE)]);
        let found = StoreAgreement.judge(std::slice::from_ref(&replica)).unwrap_err();
        assert!(found.details[0].contains("table User"), "a store that holds what it says it lacks: {found:?}");
        replica.stores.insert("memory".into(), View::default());
        assert_eq!(StoreAgreement.judge(&[replica]), Ok(()));
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
