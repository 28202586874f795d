//! The checkers: each judges one property, from the history alone and from what the replicas end with.
//!
//! A checker sees every event as it happens (`always`) and every state of rest (`eventually`). It shares no code with
//! the engine's rules, and each has a hand-made history in its tests that violates it.

use crate::history::Event;
use crate::outcome::{Property, ReplicaState, Violation};

mod causality;
mod convergence;
mod durability;
mod idempotence;
pub mod liveness;
mod oracle;
mod referential_integrity;
mod store_agreement;

/// Judges one property.
pub trait Checker {
    /// Which.
    fn property(&self) -> Property;

    /// Looks at one event.
    ///
    /// # Errors
    /// What is wrong.
    fn observe(&mut self, _event: &Event) -> Result<(), Finding> {
        Ok(())
    }

    /// Looks at a cluster at rest.
    ///
    /// # Errors
    /// What is wrong.
    fn judge(&mut self, _replicas: &[ReplicaState]) -> Result<(), Finding> {
        Ok(())
    }
}

/// What a checker found wrong; when and which property is added by [`Checkers`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// In one sentence.
    pub message: String,
    /// The hosts concerned.
    pub hosts: Vec<u32>,
    /// Particulars, a line each.
    pub details: Vec<String>,
}

impl Finding {
    /// A finding about these hosts.
    #[must_use]
    pub fn new(message: impl Into<String>, hosts: &[u32]) -> Self {
        Finding { message: message.into(), hosts: hosts.to_vec(), details: Vec::new() }
    }

    /// With particulars.
    #[must_use]
    pub fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }
}

/// All checkers, and the first thing one of them found.
pub struct Checkers {
    checkers: Vec<Box<dyn Checker>>,
    violation: Option<Violation>,
}

impl Default for Checkers {
    fn default() -> Self {
        let checkers: Vec<Box<dyn Checker>> = vec![
            Box::new(causality::Causality::default()),
            Box::new(idempotence::Idempotence::default()),
            Box::new(durability::Durability::default()),
            Box::new(referential_integrity::ReferentialIntegrity::default()),
            Box::new(store_agreement::StoreAgreement),
            Box::new(convergence::Convergence),
            Box::new(oracle::Oracle),
        ];
        Checkers { checkers, violation: None }
    }
}

impl Checkers {
    /// Shows an event to every checker.
    pub fn observe(&mut self, event: &Event) {
        self.ask(event.at_us, |checker| checker.observe(event));
    }

    /// Shows a cluster at rest to every checker.
    pub fn judge(&mut self, at_us: u64, replicas: &[ReplicaState]) {
        self.ask(at_us, |checker| checker.judge(replicas));
    }

    /// The first thing found wrong.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    fn ask(&mut self, at_us: u64, question: impl Fn(&mut dyn Checker) -> Result<(), Finding>) {
        if self.violation.is_some() {
            return;
        }
        for checker in &mut self.checkers {
            if let Err(Finding { message, hosts, details }) = question(checker.as_mut()) {
                let property = checker.property();
                self.violation = Some(Violation { property, at_us, message, hosts, details });
                return;
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod samples {
    //! Pieces of hand-made histories.

    use std::collections::BTreeMap;
    use std::sync::Arc;

    use kuzusync_core::change::{Cells, Change, ChangeId, Element, Node, Op};
    use kuzusync_core::clock::{Seen, Timestamp, VectorClock};
    use kuzusync_core::ddl::{Column, Ddl, column_id};
    use kuzusync_core::id::{Digest, ReplicaId, TxId};
    use kuzusync_core::message::{Cursor, Entry, Role};
    use kuzusync_core::replica::Notice;
    use kuzusync_core::value::{Type, Value};
    use kuzusync_core::view::View;

    use crate::history::{Event, EventKind};
    use crate::outcome::ReplicaState;

    pub fn id(replica: u8, seq: u64) -> ChangeId {
        ChangeId { replica: ReplicaId([replica; 16]), seq }
    }

    pub fn ddl() -> Ddl {
        let column = |name: &str, column_type| Column { name: name.into(), column_type };
        let columns = vec![column("id", Type::Int64), column("name", Type::String)];
        Ddl::CreateNodeTable { name: "User".into(), birth: 0, columns, primary_key: "id".into() }
    }

    pub fn insert(key: i64, name: &str) -> Op {
        let table = ddl().table_id();
        let cells = Cells::from([(column_id(table, "name"), Value::from(name))]);
        Op::Insert { element: Element::Node(Node { table, key: Value::from(key) }), cells }
    }

    pub fn change(change: ChangeId, ms: i64, seen: &[ChangeId], ops: Vec<Op>) -> Arc<Change> {
        let previous = ChangeId { seq: change.seq - 1, ..change };
        let own = (previous.seq > 0).then_some(previous);
        let seen: Seen = seen.iter().copied().chain(own).collect();
        let tx = TxId(Digest::of_value(&change).0);
        let timestamp = Timestamp { ms, counter: 0 };
        Arc::new(Change { id: change, tx, previous: Digest::default(), timestamp, seen, depends_on: Vec::new(), ops })
    }

    pub fn event(host: u32, kind: EventKind) -> Event {
        Event { at_us: 1, host: Some(host), kind }
    }

    pub fn opened(host: u32, seen: &[ChangeId]) -> Event {
        let replica = ReplicaId([host as u8; 16]);
        event(host, EventKind::Opened { replica, seen: seen.iter().copied().collect() })
    }

    pub fn applied(host: u32, change: &Arc<Change>) -> Event {
        let entry = Entry { change: Arc::clone(change), lsn: None };
        event(host, EventKind::Notified(Notice::Applied { entry }))
    }

    pub fn state(host: u32, log: &[Arc<Change>], view: View) -> ReplicaState {
        let mut seen = Seen::default();
        log.iter().for_each(|change| seen.insert(change.id));
        ReplicaState {
            host,
            id: ReplicaId([host as u8; 16]),
            role: Role::Peer,
            stores: BTreeMap::from([("memory".to_owned(), view.clone())]),
            view,
            cursor: Cursor { seen, lsn: 0 },
            audit: Vec::new(),
            queue_operations: 0,
            hidden_edges: 0,
            schema_operations: 0,
            schema_digest: Digest::default(),
            log: log.to_vec(),
            clock: VectorClock::default(),
        }
    }
}
