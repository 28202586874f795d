//! How the schema of a run came to be: its versions, who made each, when it reached the others, and what it touched.
//!
//! Every schema operation raises the version by one (DDL Synchronisation, case B4), so the versions are the schema operations
//! of the longest log, in its order. What one touched is told by its author's own view at that moment (cases B10, B11).

use std::collections::BTreeMap;

use kuzusync_core::change::{ChangeId, Op};
use kuzusync_core::message::Entry;
use kuzusync_core::replica::Notice;
use kuzusync_core::store::plan::{Outline, Touched};
use kuzusync_core::view::{RowChange, SchemaStep, Table, View, ViewDelta};
use kuzusync_sim::history::EventKind;
use kuzusync_sim::outcome::Outcome;
use serde::Serialize;

use crate::text::plural;
use crate::words::Names;

/// A version of the schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its number, from 1.
    pub version: u64,
    /// What was done, in words.
    pub operation: String,
    /// Who did it, by name.
    pub by: String,
    /// Their host, if it is one of the run's.
    pub host: Option<u32>,
    /// The change it is part of, by name.
    pub change: String,
    /// When each host had it, in simulated microseconds; `None` if it never had.
    pub reached_us: Vec<Option<u64>>,
    /// What it touched where it was made: tables, rows, columns; empty if it changed no table.
    pub touched: Vec<String>,
}

/// The versions of a run's schema, in the order of the longest log.
#[must_use]
pub fn versions(outcome: &Outcome, names: &Names) -> Vec<Version> {
    let Some(replica) = outcome.replicas.iter().max_by_key(|replica| (replica.log.len(), replica.host)) else {
        return Vec::new();
    };
    let Arrivals { reached, touched } = arrivals(outcome, names);
    let mut versions = Vec::new();
    for Entry { change, .. } in &replica.log {
        for op in change.ops.iter().filter(|op| matches!(op, Op::Schema(_))) {
            let host = names.host_of(change.id.replica);
            let by = host.map_or_else(|| change.id.replica.to_string(), |host| names.host(host));
            let at = |host: u32| reached.get(&(host, change.id)).copied();
            versions.push(Version {
                version: versions.len() as u64 + 1,
                operation: names.op(op),
                by,
                host,
                change: names.change(change.id),
                reached_us: (0..outcome.options.replicas).map(at).collect(),
                touched: touched.get(&change.id).cloned().unwrap_or_default(),
            });
        }
    }
    versions
}

struct Arrivals {
    /// When each host applied each change for the first time.
    reached: BTreeMap<(u32, ChangeId), u64>,
    /// What a change touched where it was made, in words.
    touched: BTreeMap<ChangeId, Vec<String>>,
}

/// When each host applied each change for the first time, and what it touched where it was made.
fn arrivals(outcome: &Outcome, names: &Names) -> Arrivals {
    let (mut reached, mut touched) = (BTreeMap::new(), BTreeMap::new());
    let mut outlines: BTreeMap<u32, Tables> = BTreeMap::new();
    let mut made: BTreeMap<u32, Vec<ChangeId>> = BTreeMap::new();
    let mut impacts: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for event in &outcome.events {
        let Some(host) = event.host else { continue };
        match &event.kind {
            EventKind::Notified(Notice::Applied { entry }) => {
                let id = entry.change.id;
                reached.entry((host, id)).or_insert(event.at_us);
                if names.host_of(id.replica) == Some(host) {
                    made.entry(host).or_default().push(id);
                }
            }
            EventKind::Viewed(delta) => {
                impacts.entry(host).or_default().extend(outlines.entry(host).or_default().apply(delta));
            }
            EventKind::Rebuilt { view, .. } => *outlines.entry(host).or_default() = Tables::of(view),
            EventKind::Invoked { .. } => {
                // What one input brought is told together, in either order; the next begins with a client.
                settle(&mut made, &mut impacts, host, &mut touched);
            }
            _ => {}
        }
    }
    let hosts: Vec<u32> = made.keys().copied().collect();
    hosts.into_iter().for_each(|host| settle(&mut made, &mut impacts, host, &mut touched));
    Arrivals { reached, touched }
}

/// What a host's view took up belongs to what the host made, if that was one change.
fn settle(
    made: &mut BTreeMap<u32, Vec<ChangeId>>,
    impacts: &mut BTreeMap<u32, Vec<String>>,
    host: u32,
    touched: &mut BTreeMap<ChangeId, Vec<String>>,
) {
    let impact = impacts.remove(&host).unwrap_or_default();
    if let [only] = made.remove(&host).unwrap_or_default().as_slice() {
        touched.entry(*only).or_insert(impact);
    }
}

/// The tables of a view and how many rows each has.
#[derive(Default)]
struct Tables {
    tables: BTreeMap<String, (Table, usize)>,
}

impl Tables {
    fn of(view: &View) -> Self {
        let rows = |name: &String| {
            view.nodes.get(name).map_or(0, BTreeMap::len) + view.edges.get(name).map_or(0, BTreeMap::len)
        };
        let tables = view.tables.iter().map(|(name, table)| (name.clone(), (table.clone(), rows(name))));
        Tables { tables: tables.collect() }
    }

    /// What the schema steps of a delta touch, in words; the tables are then as after the delta.
    fn apply(&mut self, delta: &ViewDelta) -> Vec<String> {
        let mut outline = Outline::default();
        self.tables.iter().for_each(|(name, (table, rows))| outline.add(name, table, *rows));
        let impact = delta.schema.iter().map(|step| in_words(step, &outline.take_up(step))).collect();
        delta.schema.iter().for_each(|step| self.take_up(step));
        let nodes = delta.nodes.iter().map(|(name, rows)| (name, growth(rows.values())));
        let edges = delta.edges.iter().map(|(name, rows)| (name, growth(rows.values())));
        for (name, growth) in nodes.chain(edges) {
            if let Some((_, rows)) = self.tables.get_mut(name) {
                *rows = rows.saturating_add_signed(growth);
            }
        }
        impact
    }

    fn take_up(&mut self, step: &SchemaStep) {
        match step {
            SchemaStep::CreateTable { name, table } => drop(self.tables.insert(name.clone(), (table.clone(), 0))),
            SchemaStep::DropTable { name } => drop(self.tables.remove(name)),
            SchemaStep::RenameTable { from, to } => {
                if let Some(table) = self.tables.remove(from) {
                    self.tables.insert(to.clone(), table);
                }
            }
            SchemaStep::AddColumn { table, column, column_type }
            | SchemaStep::RetypeColumn { table, column, column_type } => {
                if let Some((table, _)) = self.tables.get_mut(table) {
                    table.columns.insert(column.clone(), column_type.clone());
                }
            }
            SchemaStep::DropColumn { table, column } => {
                if let Some((table, _)) = self.tables.get_mut(table) {
                    table.columns.remove(column);
                }
            }
            SchemaStep::RenameColumn { table, from, to } => {
                if let Some((table, _)) = self.tables.get_mut(table)
                    && let Some(column_type) = table.columns.remove(from)
                {
                    table.columns.insert(to.clone(), column_type);
                }
            }
            SchemaStep::AddPair { .. } => {}
        }
    }
}

fn growth<'a>(rows: impl Iterator<Item = &'a RowChange>) -> isize {
    rows.map(|change| match change {
        RowChange::Create(_) => 1,
        RowChange::Update(_) => 0,
        RowChange::Delete => -1,
    })
    .sum()
}

fn in_words(step: &SchemaStep, touched: &Touched) -> String {
    let listed = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let columns = match touched.columns.len() {
        0 => String::new(),
        _ => format!(", columns {}", listed(&touched.columns)),
    };
    let step = step.to_string();
    let step = step.split(" {").next().unwrap_or(&step).to_owned();
    format!("{step}: tables {}, {}{columns}", listed(&touched.tables), plural(touched.rows, "row"))
}
