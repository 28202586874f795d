//! What two sides of a failed run hold differently, who wrote each side's value, and which events touched it.
//!
//! A difference is found where it is: in the views the run ended with. Replicas that hold the same value stand together.
//! Who wrote a value is looked up in the replica's own log, and so is the write that should have won there: when the two
//! are not the same write, the rule that decides between writes was broken on that replica.

use std::collections::BTreeSet;

use kuzusync_core::change::{ChangeId, Element, Node, Op};
use kuzusync_core::clock::Rank;
use kuzusync_core::ddl::{Ddl, Rule, fold};
use kuzusync_core::id::TableId;
use kuzusync_core::message::Entry;
use kuzusync_core::policy::{Place, Policy};
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::Ruling;
use kuzusync_core::statement::{EdgeName, Statement};
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{Describe, EdgeRef, NodeRef, Row, View};
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::model;
use kuzusync_sim::outcome::{Outcome, Property, ReplicaState, Violation};
use kuzusync_sim::store;

use crate::words::{Names, edge, stamp};

/// What a page is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A table, by its shown name.
    Table(String),
    /// A node.
    Node(NodeRef),
    /// An edge and its table's shown name.
    Edge(String, EdgeRef),
    /// One column of a node or an edge.
    Cell(Box<Subject>, String),
    /// A change.
    Change(ChangeId),
}

/// One value and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    /// Names of replicas, `the model`, or a store.
    pub holders: String,
    /// The hosts among them.
    pub hosts: Vec<u32>,
    /// The value, or `absent`.
    pub value: String,
    /// Who wrote it; empty if nothing is known.
    pub written: String,
}

/// One place where the sides differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The cell, row or table.
    pub subject: Subject,
    /// The cell, row or table in words.
    pub place: String,
    /// The values, each once.
    pub sides: Vec<Side>,
}

/// A view, whose it is, and the changes it was made from.
struct Held<'a> {
    /// Not used for a replica's own view, which has its replica's name.
    name: String,
    host: Option<u32>,
    /// Whether it is what a replica shows; else it is the model, or a store.
    is_view: bool,
    view: &'a View,
    log: Vec<&'a Entry>,
}

/// Where the views that a violation is about differ.
pub(crate) fn differences(outcome: &Outcome, violation: &Violation, names: &Names) -> Vec<Difference> {
    let expected;
    let mut held: Vec<Held<'_>> = outcome.replicas.iter().map(|replica| of_replica(replica)).collect();
    match violation.property {
        Property::Convergence => {}
        Property::Oracle => {
            let is_concerned = |replica: &&ReplicaState| violation.hosts.contains(&replica.host);
            let Some(concerned) = outcome.replicas.iter().find(is_concerned) else { return Vec::new() };
            expected = model::view(&concerned.log);
            // Others say something only if they hold the same changes.
            let alike = outcome.replicas.iter().filter(|replica| replica.cursor == concerned.cursor);
            held = alike.map(of_replica).collect();
            let log = concerned.log.iter().collect();
            held.push(Held { name: "the model".to_owned(), host: None, is_view: false, view: &expected, log });
        }
        Property::StoreAgreement => {
            let of_violation = outcome.replicas.iter().filter(|replica| violation.hosts.contains(&replica.host));
            return of_violation.flat_map(|replica| compare_stores(replica, names)).collect();
        }
        _ => return Vec::new(),
    }
    compare(&held, names)
}

/// Each store of a replica against what it should hold.
fn compare_stores(replica: &ReplicaState, names: &Names) -> Vec<Difference> {
    let mut found = Vec::new();
    for (store, view) in &replica.stores {
        let expected = store::expected(store, replica);
        let name = format!("the {store} store of {}", names.host(replica.host));
        let own = Held { view: &expected, ..of_replica(replica) };
        found.extend(compare(&[own, Held { name, view, is_view: false, ..of_replica(replica) }], names));
    }
    found
}

fn of_replica(replica: &ReplicaState) -> Held<'_> {
    let log = replica.log.iter().collect();
    Held { name: String::new(), host: Some(replica.host), is_view: true, view: &replica.view, log }
}

fn compare(held: &[Held<'_>], names: &Names) -> Vec<Difference> {
    let mut found = Vec::new();
    let union = |keys: fn(&View) -> BTreeSet<Subject>| -> BTreeSet<Subject> {
        held.iter().flat_map(|held| keys(held.view)).collect()
    };
    for subject in union(subjects) {
        if let Subject::Table(name) = &subject {
            let values = held.iter().map(|held| held.view.tables.get(name).map(Describe::describe));
            let sides = sides(held, values.collect(), names, |_| String::new());
            found.extend(sides.map(|sides| Difference {
                place: format!("table {name}"),
                subject: subject.clone(),
                sides,
            }));
            continue;
        }
        let rows: Vec<Option<&Row>> = held.iter().map(|held| row(held.view, &subject)).collect();
        let existence = rows.iter().map(|row| row.map(Describe::describe)).collect::<Vec<_>>();
        let exists = |row: &Option<&Row>| row.is_some();
        if rows.iter().all(exists) {
            found.extend(compare_cells(held, &subject, &rows, names));
        } else if rows.iter().any(exists) {
            let written = |held: &Held<'_>| of_existence(held, &subject, names);
            let sides = sides(held, existence, names, written);
            found.extend(sides.map(|sides| Difference {
                place: place(&subject, names),
                subject: subject.clone(),
                sides,
            }));
        }
    }
    found
}

fn compare_cells(held: &[Held<'_>], subject: &Subject, rows: &[Option<&Row>], names: &Names) -> Vec<Difference> {
    let columns: BTreeSet<&String> = rows.iter().flatten().flat_map(|row| row.keys()).collect();
    let mut found = Vec::new();
    for column in columns {
        let values: Vec<Option<&Value>> = rows.iter().map(|row| row.and_then(|row| row.get(column))).collect();
        let shown = values.iter().map(|value| value.map(ToString::to_string)).collect();
        let written = |held: &Held<'_>| {
            let value = row(held.view, subject).and_then(|row| row.get(column));
            of_cell(held, subject, column, value, names)
        };
        let sides = sides(held, shown, names, written);
        let cell = Subject::Cell(Box::new(subject.clone()), column.clone());
        found.extend(sides.map(|sides| Difference { place: place(&cell, names), subject: cell, sides }));
    }
    found
}

/// The holders by what they hold; `None` if all hold the same.
fn sides(
    held: &[Held<'_>],
    values: Vec<Option<String>>,
    names: &Names,
    written: impl Fn(&Held<'_>) -> String,
) -> Option<Vec<Side>> {
    let mut groups: Vec<(Option<String>, Vec<&Held<'_>>)> = Vec::new();
    for (held, value) in held.iter().zip(values) {
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, holders)) => holders.push(held),
            None => groups.push((value, vec![held])),
        }
    }
    let side = |(value, holders): &(Option<String>, Vec<&Held<'_>>)| {
        let hosts: Vec<u32> = holders.iter().filter(|held| held.is_view).filter_map(|held| held.host).collect();
        let others = holders.iter().filter(|held| !held.is_view).map(|held| held.name.clone());
        let replicas = Some(names.hosts(hosts.iter().copied())).filter(|replicas| !replicas.is_empty());
        Side {
            holders: replicas.into_iter().chain(others).collect::<Vec<_>>().join(", "),
            hosts: holders.iter().filter_map(|held| held.host).collect(),
            value: value.clone().unwrap_or_else(|| "absent".to_owned()),
            written: holders.first().map_or(String::new(), |held| written(held)),
        }
    };
    (groups.len() > 1).then(|| groups.iter().map(side).collect())
}

fn subjects(view: &View) -> BTreeSet<Subject> {
    let tables = view.tables.keys().cloned().map(Subject::Table);
    let nodes = view.nodes.iter().flat_map(|(table, rows)| {
        rows.keys().map(|key| Subject::Node(NodeRef { table: table.clone(), key: key.clone() }))
    });
    let edges =
        view.edges.iter().flat_map(|(table, rows)| rows.keys().map(|edge| Subject::Edge(table.clone(), edge.clone())));
    tables.chain(nodes).chain(edges).collect()
}

fn row<'a>(view: &'a View, subject: &Subject) -> Option<&'a Row> {
    match subject {
        Subject::Node(node) => view.node(&node.table, &node.key),
        Subject::Edge(table, edge) => view.edges.get(table)?.get(edge),
        Subject::Table(_) | Subject::Cell(..) | Subject::Change(_) => None,
    }
}

/// A subject in words.
pub(crate) fn place(subject: &Subject, names: &Names) -> String {
    match subject {
        Subject::Table(name) => format!("table {name}"),
        Subject::Node(node) => node.describe(),
        Subject::Edge(table, EdgeRef { from, to, discriminator }) => {
            edge(table, &from.describe(), &to.describe(), discriminator)
        }
        Subject::Cell(row, column) => format!("{}.{column}", place(row, names)),
        Subject::Change(id) => format!("change {}", names.change(*id)),
    }
}

// ---- who wrote it ----

/// Every operation of a log on one row, in the order of the log.
fn writes<'a>(held: &Held<'a>, subject: &Subject, names: &Names) -> Vec<(Place, &'a Op)> {
    let places = |entry: &&'a Entry| {
        let lsn = entry.lsn.unwrap_or(Place::UNNUMBERED);
        entry.change.ranked_ops().map(move |(rank, op)| (Place { rank, lsn }, op))
    };
    let ops = held.log.iter().flat_map(places);
    ops.filter(|(_, op)| op.element().is_some_and(|element| is_row(element, subject, names))).collect()
}

/// The policy by which a log decides about a row, or one of its columns.
fn policy(held: &Held<'_>, writes: &[(Place, &Op)], column: Option<&str>, names: &Names) -> Policy {
    let table = writes.iter().find_map(|(_, op)| op.element()).map(Element::table);
    let set = |is_meant: &dyn Fn(Option<&str>) -> bool| {
        let ops = held.log.iter().flat_map(|entry| entry.change.ranked_ops());
        let policies = ops.filter_map(|(rank, op)| match op {
            Op::Schema(Ddl::SetRule { table: of, rule: Rule::Policy { column, policy } }) if Some(*of) == table => {
                let column = column.map(|column| names.column(column));
                is_meant(column.as_deref()).then_some((rank, *policy))
            }
            _ => None,
        });
        policies.max_by_key(|(rank, _)| *rank).map(|(_, policy)| policy)
    };
    let is_same = |set: Option<&str>| set.zip(column).is_some_and(|(set, column)| fold(set) == fold(column));
    set(&is_same).or_else(|| set(&|set| set.is_none())).unwrap_or_default()
}

fn by(rank: &Rank, names: &Names) -> String {
    format!("{} (stamped {})", names.change(rank.change), stamp(rank.timestamp))
}

/// Who wrote the value a cell shows, and the greater write that it should have given way to.
fn of_cell(held: &Held<'_>, subject: &Subject, column: &str, value: Option<&Value>, names: &Names) -> String {
    let written = |op: &Op| match op {
        Op::Delete { .. } => Some(Value::Null),
        Op::Insert { cells, .. } | Op::Update { cells, .. } => {
            let cell = cells.iter().find(|(id, _)| fold(&names.column(**id)) == fold(column));
            cell.map(|(_, value)| value.clone())
        }
        Op::Increment { .. } | Op::Schema(_) => None,
    };
    let shows = |written: &Value| match value {
        None => *written == Value::Null,
        Some(value) => column_type(held.view, subject, column).and_then(|of| written.cast(of)).as_ref() == Some(value),
    };
    let writes = writes(held, subject, names);
    let policy = policy(held, &writes, Some(column), names);
    let adds = |op: &&Op| matches!(op, Op::Increment { column: id, .. } if fold(&names.column(*id)) == fold(column));
    let added: Vec<String> =
        writes.iter().filter(|(_, op)| adds(op)).map(|(place, _)| names.change(place.rank.change)).collect();
    if !added.is_empty() {
        return format!("its log adds to it by {}", added.join(", "));
    }
    let writes: Vec<(Place, Value)> = writes.iter().filter_map(|(place, op)| Some((*place, written(op)?))).collect();
    match writes.iter().max_by(|one, other| policy.compare(&one.0, &other.0)) {
        None => "nothing in its log writes it".to_owned(),
        Some((place, greatest)) if shows(greatest) => format!("written by {}", by(&place.rank, names)),
        Some((winner, greatest)) => {
            // Several may have written the value; the last to arrive is the one that should not have been kept.
            let shown_by = writes.iter().rfind(|(_, written)| shows(written));
            let shown_by = shown_by.map_or("nothing in its log".to_owned(), |(place, _)| by(&place.rank, names));
            let winner = by(&winner.rank, names);
            match policy {
                Policy::Auto | Policy::LastWriteWins => {
                    format!("written by {shown_by}, though its log also holds {greatest} by the later {winner}")
                }
                _ => {
                    let rule = policy.name();
                    format!("written by {shown_by}, though {greatest} by {winner} of its log wins by {rule}")
                }
            }
        }
    }
}

fn column_type<'a>(view: &'a View, subject: &Subject, column: &str) -> Option<&'a Type> {
    let table = match subject {
        Subject::Node(node) => &node.table,
        Subject::Edge(table, _) => table,
        Subject::Table(_) | Subject::Cell(..) | Subject::Change(_) => return None,
    };
    view.tables.get(table)?.columns.get(column)
}

/// The greatest operation of its log that makes or deletes a row.
fn of_existence(held: &Held<'_>, subject: &Subject, names: &Names) -> String {
    let ends = match subject {
        Subject::Edge(_, edge) => vec![&edge.from, &edge.to],
        _ => Vec::new(),
    };
    if let Some(end) = ends.into_iter().find(|end| held.view.node(&end.table, &end.key).is_none()) {
        return format!("{} is absent too", end.describe());
    }
    let is_shown = row(held.view, subject).is_some();
    let writes = writes(held, subject, names);
    let makes_or_deletes = writes.iter().filter(|(_, op)| matches!(op, Op::Insert { .. } | Op::Delete { .. }));
    let policy = policy(held, &writes, None, names);
    let greatest = makes_or_deletes.max_by(|one, other| policy.compare(&one.0, &other.0));
    match greatest.map(|(place, op)| (place.rank, op)) {
        None => "its log holds no change that makes it".to_owned(),
        Some((rank, Op::Delete { .. })) if is_shown => {
            format!("though its log holds the deletion by {}", by(&rank, names))
        }
        Some((rank, Op::Delete { .. })) => format!("deleted by {}", by(&rank, names)),
        Some((rank, _)) if is_shown => format!("made by {}", by(&rank, names)),
        Some((rank, _)) => format!("though its log holds {}, which makes it", by(&rank, names)),
    }
}

// ---- which events touched it ----

/// What a violation that is not about views is about: changes and rows that its words name.
pub(crate) fn named_in(outcome: &Outcome, violation: &Violation, names: &Names) -> Vec<Subject> {
    let words = format!("{} {}", violation.message, violation.details.join(" "));
    let mut subjects: Vec<Subject> = names.changes_in(&words).into_iter().map(Subject::Change).collect();
    let mut rows = BTreeSet::new();
    for event in &outcome.events {
        let EventKind::Viewed(delta) = &event.kind else { continue };
        for (table, changes) in &delta.nodes {
            let nodes = changes.keys().map(|key| NodeRef { table: table.clone(), key: key.clone() });
            rows.extend(nodes.filter(|node| words.contains(&node.describe())).map(Subject::Node));
        }
    }
    subjects.extend(rows);
    subjects
}

/// Whether an event touched one of the subjects.
pub(crate) fn touches(event: &Event, subjects: &[Subject], names: &Names) -> bool {
    subjects.iter().any(|subject| touches_one(&event.kind, subject, names))
}

fn touches_one(kind: &EventKind, subject: &Subject, names: &Names) -> bool {
    match kind {
        EventKind::Notified(notice) => match notice {
            Notice::Applied { entry } | Notice::Proposed { entry } => {
                entry.change.ops.iter().any(|op| is_in_op(op, subject, names)) || is_change(entry.change.id, subject)
            }
            Notice::Numbered { id, .. }
            | Notice::Held { id }
            | Notice::Repeated { id }
            | Notice::Discarded { id, .. } => is_change(*id, subject),
            Notice::AlreadySubmitted { id, .. }
            | Notice::Acknowledged { id }
            | Notice::Rejected { id, .. }
            | Notice::WrittenAnew { id, .. }
            | Notice::Failed { id, .. } => is_change(*id, subject),
            Notice::Ruled { ruling: Ruling::Rejection(rejection), .. } => is_change(rejection.change, subject),
            _ => false,
        },
        EventKind::Invoked { statements, .. } => statements.iter().any(|asked| is_in_statement(asked, subject)),
        _ => false,
    }
}

fn is_change(id: ChangeId, subject: &Subject) -> bool {
    matches!(subject, Subject::Change(named) if *named == id)
}

fn is_in_op(op: &Op, subject: &Subject, names: &Names) -> bool {
    match (op, subject) {
        (Op::Schema(ddl), Subject::Table(table)) => is_table(ddl.table_id(), table, names),
        (Op::Update { cells, .. }, Subject::Cell(row, column)) => {
            cells.keys().any(|id| fold(&names.column(*id)) == fold(column)) && is_in_op(op, row, names)
        }
        (_, Subject::Cell(row, _)) => is_in_op(op, row, names),
        _ => op.element().is_some_and(|element| is_row(element, subject, names)),
    }
}

/// Whether a table is the one that is shown by that name: the loser of a name is shown as `name~shortid`.
fn is_table(id: TableId, shown: &str, names: &Names) -> bool {
    let name = names.table(id);
    fold(&name) == fold(shown) || format!("{name}~{}", id.short()) == shown
}

fn is_row(element: &Element, subject: &Subject, names: &Names) -> bool {
    let is_node = |node: &Node, shown: &NodeRef| node.key == shown.key && is_table(node.table, &shown.table, names);
    match (element, subject) {
        (Element::Node(node), Subject::Node(shown)) => is_node(node, shown),
        (Element::Edge(edge), Subject::Edge(table, shown)) => {
            is_node(&edge.from, &shown.from)
                && is_node(&edge.to, &shown.to)
                && edge.discriminator == shown.discriminator
                && is_table(edge.table, table, names)
        }
        _ => false,
    }
}

fn is_in_statement(asked: &Statement, subject: &Subject) -> bool {
    let is_named = |edge: &EdgeName, table: &str, shown: &EdgeRef| {
        fold(&edge.table) == fold(table)
            && edge.from.1 == shown.from.key
            && edge.to.1 == shown.to.key
            && edge.discriminator == shown.discriminator
    };
    match (asked, subject) {
        (
            Statement::UpdateNode { properties, .. } | Statement::UpdateEdge { properties, .. },
            Subject::Cell(row, column),
        ) => properties.keys().any(|name| fold(name) == fold(column)) && is_in_statement(asked, row),
        (_, Subject::Cell(row, _)) => is_in_statement(asked, row),
        (
            Statement::CreateNodeTable { table, .. } | Statement::CreateEdgeTable { table, .. },
            Subject::Table(shown),
        ) => fold(table) == fold(shown),
        (Statement::CreateNode { table, properties }, Subject::Node(node)) => {
            fold(table) == fold(&node.table) && properties.values().any(|value| *value == node.key)
        }
        (Statement::UpdateNode { table, key, .. } | Statement::DeleteNode { table, key }, Subject::Node(node)) => {
            fold(table) == fold(&node.table) && *key == node.key
        }
        (
            Statement::CreateEdge { edge, .. } | Statement::UpdateEdge { edge, .. } | Statement::DeleteEdge { edge },
            Subject::Edge(table, shown),
        ) => is_named(edge, table, shown),
        _ => false,
    }
}
