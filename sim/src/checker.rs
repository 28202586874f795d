//! The checkers: each judges one property, from the history alone and from what the replicas end with.
//!
//! A checker sees every event as it happens and single replicas now and then (`always`), and every state of rest
//! (`eventually`). It shares no code with the engine's rules, and each has a hand-made history in its tests that violates
//! it.

use std::collections::BTreeSet;

use crate::history::Event;
use crate::outcome::{Property, ReplicaState, Violation};

mod atomicity;
mod audit;
mod causality;
mod constraints;
mod convergence;
mod decision;
mod deletion;
mod durability;
mod epochs;
mod idempotence;
mod lease;
pub mod liveness;
mod numbering;
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

    /// Looks at one replica in the midst of trouble.
    ///
    /// # Errors
    /// What is wrong.
    fn inspect(&mut self, _replica: &ReplicaState) -> Result<(), Finding> {
        Ok(())
    }

    /// Looks at a cluster at rest.
    ///
    /// # Errors
    /// What is wrong.
    fn judge(&mut self, _replicas: &[ReplicaState]) -> Result<(), Finding> {
        Ok(())
    }

    /// Looks at a majority at rest while the others stay out. Most claims are made of any replicas that rest together.
    ///
    /// # Errors
    /// What is wrong.
    fn judge_majority(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        self.judge(replicas)
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
            Box::new(numbering::Numbering::default()),
            Box::new(durability::Durability::default()),
            Box::new(referential_integrity::ReferentialIntegrity::default()),
            Box::new(store_agreement::StoreAgreement),
            Box::new(convergence::Convergence),
            Box::new(oracle::Oracle::default()),
            Box::new(audit::Audit),
            Box::new(epochs::Epochs::default()),
            Box::new(deletion::Deletion),
            Box::new(decision::OneDecision::default()),
            Box::new(atomicity::Atomicity::default()),
            Box::new(lease::Lease::default()),
            Box::new(constraints::Constraints::default()),
        ];
        Checkers { checkers, violation: None }
    }
}

impl Checkers {
    /// Shows an event to every checker.
    pub fn observe(&mut self, event: &Event) {
        self.ask(event.at_us, |checker| checker.observe(event));
    }

    /// Shows a replica in the midst of trouble to every checker.
    pub fn inspect(&mut self, at_us: u64, replica: &ReplicaState) {
        self.ask(at_us, |checker| checker.inspect(replica));
    }

    /// Shows a cluster at rest to every checker, or what is at rest of one of which these hosts stay out.
    pub fn judge(&mut self, at_us: u64, replicas: &[ReplicaState], out: &BTreeSet<u32>) {
        let is_whole = out.is_empty();
        self.ask(at_us, |checker| if is_whole { checker.judge(replicas) } else { checker.judge_majority(replicas) });
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

    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use kuzusync_core::change::{Cells, Change, ChangeId, Edge, Element, Node, Op};
    use kuzusync_core::clock::{Lsn, Seen, Timestamp, VectorClock};
    use kuzusync_core::ddl::{Column, Ddl, Rule, column_id};
    use kuzusync_core::id::{ColumnId, Digest, ReplicaId, TableId, TxId};
    use kuzusync_core::message::{Cursor, Entry, Role};
    use kuzusync_core::replica::Notice;
    use kuzusync_core::ruling::{Reason, Rejection, Ruling};
    use kuzusync_core::value::{Type, Value};

    use crate::history::{EpochsKnown, Event, EventKind};
    use crate::model;
    use crate::outcome::ReplicaState;

    pub fn id(replica: u8, seq: u64) -> ChangeId {
        ChangeId { replica: ReplicaId([replica; 16]), seq }
    }

    fn columns(columns: &[(&str, Type)]) -> Vec<Column> {
        columns.iter().map(|(name, of)| Column::new(*name, of.clone())).collect()
    }

    /// Users by id, with a name and visits.
    pub fn users() -> Ddl {
        let columns = columns(&[("id", Type::Int64), ("name", Type::String), ("visits", Type::Int64)]);
        Ddl::CreateNodeTable { name: "User".into(), birth: 0, columns, primary_key: "id".into() }
    }

    /// Edges between users.
    pub fn follows() -> Ddl {
        let (from, to) = (users().table_id(), users().table_id());
        Ddl::CreateEdgeTable { name: "FOLLOWS".into(), birth: 0, from, to, columns: columns(&[("since", Type::Int64)]) }
    }

    fn node(key: i64) -> Node {
        Node { table: users().table_id(), key: Value::from(key) }
    }

    pub fn user(key: i64) -> Element {
        Element::Node(node(key))
    }

    pub fn edge(from: i64, to: i64) -> Element {
        let (from, to) = (node(from), node(to));
        Element::from(Edge { table: follows().table_id(), from, to, discriminator: String::new() })
    }

    pub fn column(element: &Element, name: &str) -> ColumnId {
        column_id(element.table(), name)
    }

    pub fn insert(key: i64, name: &str) -> Op {
        Op::Insert { element: user(key), cells: Cells::from([(column(&user(key), "name"), Value::from(name))]) }
    }

    pub fn connect(from: i64, to: i64) -> Op {
        Op::Insert { element: edge(from, to), cells: Cells::new() }
    }

    pub fn update(element: Element, name: &str, value: impl Into<Value>) -> Op {
        let cells = Cells::from([(column(&element, name), value.into())]);
        Op::Update { element, cells }
    }

    pub fn increment(key: i64, by: i64) -> Op {
        Op::Increment { element: user(key), column: column(&user(key), "visits"), by: Value::from(by) }
    }

    pub fn delete(element: Element) -> Op {
        Op::Delete { element }
    }

    pub fn rule(table: TableId, rule: Rule<ColumnId>) -> Op {
        Op::Schema(Ddl::SetRule { table, rule })
    }

    pub fn change(change: ChangeId, ms: i64, seen: &[ChangeId], ops: Vec<Op>) -> Arc<Change> {
        let previous = ChangeId { seq: change.seq - 1, ..change };
        let own = (previous.seq > 0).then_some(previous);
        let seen: Seen = seen.iter().copied().chain(own).collect();
        Arc::new(Change {
            id: change,
            tx: TxId(Digest::of_value(&change).0),
            previous: Digest::default(),
            timestamp: Timestamp::at_ms(ms),
            link_epoch: 0,
            authority_epochs: BTreeMap::new(),
            seen,
            depends_on: Vec::new(),
            replaces: None,
            expects: Vec::new(),
            participants: Vec::new(),
            ops,
        })
    }

    /// The change with something about it altered.
    pub fn altered(change: &Arc<Change>, alter: impl FnOnce(&mut Change)) -> Arc<Change> {
        let mut altered = change.as_ref().clone();
        alter(&mut altered);
        Arc::new(altered)
    }

    /// Changes that the main has not numbered.
    pub fn unnumbered(changes: &[Arc<Change>]) -> Vec<Entry> {
        changes.iter().map(|change| Entry { change: Arc::clone(change), lsn: None }).collect()
    }

    /// Changes that the main has numbered in this order.
    pub fn numbered(changes: &[Arc<Change>]) -> Vec<Entry> {
        (1..).zip(changes).map(|(lsn, change)| Entry { change: Arc::clone(change), lsn: Some(lsn) }).collect()
    }

    pub fn rejection(change: &Arc<Change>, reason: Reason) -> Rejection {
        Rejection { change: change.id, tx: change.tx, digest: change.digest(), reason }
    }

    pub fn event(host: u32, kind: EventKind) -> Event {
        Event { at_us: 1, host: Some(host), kind }
    }

    pub fn noticed(host: u32, notice: Notice) -> Event {
        event(host, EventKind::Notified(notice))
    }

    pub fn opened(host: u32, seen: &[ChangeId]) -> Event {
        opened_with(host, seen, 0)
    }

    pub fn opened_with(host: u32, seen: &[ChangeId], lsn: Lsn) -> Event {
        let cursor = Cursor { seen: seen.iter().copied().collect(), lsn };
        let (rejected, prepared, decided) = (Vec::new(), Vec::new(), Vec::new());
        let (replica, epochs) = (ReplicaId([host as u8; 16]), EpochsKnown::default());
        event(host, EventKind::Opened { replica, cursor, rejected, prepared, decided, epochs, has_new_base: false })
    }

    pub fn applied(host: u32, change: &Arc<Change>) -> Event {
        let entry = Entry { change: Arc::clone(change), lsn: None };
        noticed(host, Notice::Applied { entry })
    }

    pub fn rejected(host: u32, change: &Arc<Change>, reason: Reason, lsn: Lsn) -> Event {
        let ruling = Ruling::Rejection(Box::new(rejection(change, reason)));
        noticed(host, Notice::Ruled { ruling, lsn })
    }

    /// A peer that holds these changes and shows what the model says.
    pub fn state(host: u32, log: &[Arc<Change>]) -> ReplicaState {
        let mut seen = Seen::default();
        log.iter().for_each(|change| seen.insert(change.id));
        let log = unnumbered(log);
        let view = model::view(&log);
        ReplicaState {
            host,
            id: ReplicaId([host as u8; 16]),
            role: Role::Peer,
            stores: BTreeMap::from([("memory".to_owned(), view.clone())]),
            held_back: BTreeMap::new(),
            text_indexes: BTreeMap::new(),
            view,
            cursor: Cursor { seen, lsn: 0 },
            audit: model::audit(&log),
            schema_audit: model::schema_audit(&log),
            queue_operations: 0,
            hidden_edges: 0,
            cut: 0,
            purged: BTreeSet::new(),
            shape: BTreeMap::new(),
            schema_operations: model::Model::of(&log).schema_operations(),
            schema_digest: Digest::default(),
            log,
            rejections: Vec::new(),
            failed: Vec::new(),
            prepared: Vec::new(),
            decisions: BTreeMap::new(),
            clock: VectorClock::default(),
        }
    }
}
