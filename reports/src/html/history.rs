//! A run's history as the page draws it: rows of the diagram, bands of faults, and what became of every view.
//!
//! Texts are told once per row, states as differences, and all of it is deflated: a history of 100,000 events takes some
//! hundred kilobytes.

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use kuzusync_core::replica::Notice;
use kuzusync_core::store::GraphStore;
use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::view::{Describe, Row, RowChange, View, ViewDelta};
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::outcome::Outcome;
use serde::Serialize;

use crate::timeline::{self, Line, Place};
use crate::words::{self, Names};

/// What is wrong with a message, as bits of a row.
const LOST: u8 = 1;
const CUT: u8 = 2;
const REPEATED: u8 = 4;
const DAMAGED: u8 = 8;
const REORDERED: u8 = 16;

/// A row of the diagram: microseconds, kind, host, other host, number of the message, bits, words. Of kind 0 something
/// happened at a host, and the number is its mark; 1 is a sending, 2 an arrival, 3 a miss, 4 a band across the page.
type DrawnRow = (u64, u8, i64, i64, u64, u8, String);

/// Cells by column, or nothing for a row that is gone.
type Cells = Option<BTreeMap<String, String>>;

/// What becomes of the graph that a host shows: row of the diagram, host, whether what it showed before is void, rows.
type DrawnState = (usize, u32, bool, Vec<(String, Cells)>);

#[derive(Serialize)]
struct Drawn {
    rows: Vec<DrawnRow>,
    /// Host (-1 for the network), first and last row, and what it is.
    bands: Vec<(i64, usize, usize, &'static str)>,
    /// In the order in which it happened.
    states: Vec<DrawnState>,
    /// Row, host, changes applied, own changes not acknowledged.
    counts: Vec<(usize, u32, u64, u64)>,
    /// The row from which on the sides differ for good.
    divergence: Option<usize>,
}

/// The history, deflated and in base 64.
pub fn packed(outcome: &Outcome, names: &Names, divergence: Option<usize>) -> String {
    let text = serde_json::to_vec(&drawn(outcome, names, divergence)).expect("its keys are text");
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let deflated = encoder.write_all(&text).and_then(|()| encoder.finish());
    STANDARD.encode(deflated.expect("memory takes what is written to it"))
}

fn drawn(outcome: &Outcome, names: &Names, divergence: Option<usize>) -> Drawn {
    let lines = timeline::lines(outcome.events.iter(), names);
    // The first row at or after an event.
    let row_of = |event: usize| {
        let place = lines.partition_point(|line| line.event < event);
        place.min(lines.len().saturating_sub(1))
    };
    Drawn {
        rows: lines.iter().map(|line| row(line, &outcome.events)).collect(),
        bands: bands(&outcome.events, lines.len(), row_of),
        states: states(&outcome.events, row_of),
        counts: counts(&outcome.events, names, row_of),
        divergence: divergence.map(row_of),
    }
}

fn row(line: &Line, events: &[Event]) -> DrawnRow {
    let event = events.get(line.event).map(|event| &event.kind);
    let (kind, host, other, number, bits) = match (line.place, event) {
        (Place::Leaves { from, to, .. }, Some(EventKind::Sent { number, is_cut, fate, .. })) => {
            let lost = if fate.delays_us.is_empty() && !is_cut { LOST } else { 0 };
            let cut = if *is_cut { CUT } else { 0 };
            let repeated = if fate.delays_us.len() > 1 { REPEATED } else { 0 };
            let damaged = if fate.flipped_bit.is_some() { DAMAGED } else { 0 };
            let reordered = if fate.is_reordered { REORDERED } else { 0 };
            (1, i64::from(from), i64::from(to), *number, lost | cut | repeated | damaged | reordered)
        }
        (Place::Leaves { from, to, .. }, _) => (1, i64::from(from), i64::from(to), 0, 0),
        (Place::Arrives { from, to, is_heard }, event) => {
            let number = match event {
                Some(EventKind::Received { number, .. } | EventKind::Missed { number, .. }) => *number,
                _ => 0,
            };
            (if is_heard { 2 } else { 3 }, i64::from(to), i64::from(from), number, 0)
        }
        (Place::At { host, mark }, _) => (0, i64::from(host), -1, u64::from(u32::from(mark)), 0),
        (Place::Band, _) => (4, -1, -1, 0, 0),
    };
    (line.at_us, kind, host, other, number, bits, line.words.clone())
}

/// From when to when a host is down, stands still or is offline, the network is split, and faults are over.
fn bands(events: &[Event], rows: usize, row_of: impl Fn(usize) -> usize) -> Vec<(i64, usize, usize, &'static str)> {
    let mut open: BTreeMap<(i64, &'static str), usize> = BTreeMap::new();
    let mut bands = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let host = event.host.map_or(-1, i64::from);
        let (begins, ends): (Option<&'static str>, &[&'static str]) = match &event.kind {
            EventKind::Crashed { .. } => (Some("down"), &["paused"]),
            EventKind::Opened { .. } => (None, &["down"]),
            EventKind::Paused => (Some("paused"), &[]),
            EventKind::Resumed => (None, &["paused"]),
            EventKind::WentOffline => (Some("offline"), &[]),
            EventKind::WentOnline => (None, &["offline"]),
            EventKind::Partitioned(_) | EventKind::LinkCut { .. } => (Some("split"), &[]),
            EventKind::Healed => (None, &["split"]),
            // Who stays out stays cut off.
            EventKind::Settling { out } if !out.is_empty() => (Some("settling"), &[]),
            EventKind::Settling { .. } => (Some("settling"), &["split"]),
            EventKind::Settled { .. } => (None, &["settling"]),
            _ => continue,
        };
        for kind in ends {
            if let Some(from) = open.remove(&(host, *kind)) {
                bands.push((host, from, row_of(number), *kind));
            }
        }
        if let Some(kind) = begins {
            open.entry((host, kind)).or_insert_with(|| row_of(number));
        }
    }
    let last = rows.saturating_sub(1);
    bands.extend(open.into_iter().map(|((host, kind), from)| (host, from, last, kind)));
    bands
}

/// A schema step changes rows that the delta does not name, so after one the whole graph is told again.
fn states(events: &[Event], row_of: impl Fn(usize) -> usize) -> Vec<DrawnState> {
    let mut states = Vec::new();
    let mut stores: BTreeMap<u32, MemoryStore> = BTreeMap::new();
    for (number, event) in events.iter().enumerate() {
        let Some(host) = event.host else { continue };
        let store = stores.entry(host).or_default();
        let (is_new, rows) = match &event.kind {
            EventKind::Viewed(delta) => {
                // What the memory store cannot carry out the run has told as a failure of it.
                let held =
                    store.apply(delta).ok().filter(|()| !delta.schema.is_empty()).and_then(|()| store.read().ok());
                held.map_or_else(|| (false, changes(delta)), |view| (true, whole(&view)))
            }
            EventKind::Rebuilt { view, .. } => {
                let is_held = store.rebuild(view).is_ok();
                (is_held, whole(view))
            }
            _ => continue,
        };
        states.push((row_of(number), host, is_new, rows));
    }
    states
}

fn whole(view: &View) -> Vec<(String, Cells)> {
    changes(&view.to_delta())
}

fn changes(delta: &ViewDelta) -> Vec<(String, Cells)> {
    let mut changes = Vec::new();
    for (table, rows) in &delta.nodes {
        changes.extend(rows.iter().map(|(key, change)| (format!("{table}({key})"), cells(change))));
    }
    for (table, rows) in &delta.edges {
        let name = |edge: &kuzusync_core::view::EdgeRef| {
            words::edge(table, &edge.from.describe(), &edge.to.describe(), &edge.discriminator)
        };
        changes.extend(rows.iter().map(|(edge, change)| (name(edge), cells(change))));
    }
    changes
}

fn cells(change: &RowChange) -> Cells {
    let shown = |row: &Row| row.iter().map(|(column, value)| (column.clone(), value.to_string())).collect();
    match change {
        RowChange::Create(row) | RowChange::Update(row) => Some(shown(row)),
        RowChange::Delete => None,
    }
}

fn counts(events: &[Event], names: &Names, row_of: impl Fn(usize) -> usize) -> Vec<(usize, u32, u64, u64)> {
    let mut known: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let mut counts: Vec<(usize, u32, u64, u64)> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let Some(host) = event.host else { continue };
        let (applied, pending) = known.entry(host).or_default();
        match &event.kind {
            EventKind::Opened { cursor, .. } => {
                (*applied, *pending) = (cursor.seen.heads().map(|head| head.seq).sum(), 0);
            }
            EventKind::Notified(Notice::Applied { entry }) => {
                *applied += 1;
                *pending += u64::from(names.host_of(entry.change.id.replica) == Some(host));
            }
            EventKind::Notified(Notice::Acknowledged { .. }) => *pending = pending.saturating_sub(1),
            _ => continue,
        }
        let row = row_of(number);
        match counts.last_mut().filter(|last| (last.0, last.1) == (row, host)) {
            Some(last) => (last.2, last.3) = (*applied, *pending),
            None => counts.push((row, host, *applied, *pending)),
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuzusync_scenarios::swarm::{self, Profile};
    use kuzusync_sim::seed::Seed;
    use kuzusync_sim::simulation::{Run, Script, simulate};
    use kuzusync_sim::store::StoreChoice;

    fn generated(seed: u64) -> Outcome {
        let plan = swarm::plan(Profile::Default, Seed(seed));
        let script = Script::Plan(&plan.steps);
        simulate(&Run { seed: Seed(seed), options: &plan.options, store: StoreChoice::Memory, script, bug: None })
    }

    #[test]
    fn what_the_differences_add_up_to_is_what_every_replica_ended_with() {
        for seed in 3..7 {
            let outcome = generated(seed);
            let names = Names::of(&outcome);
            let mut shown: BTreeMap<u32, BTreeMap<String, BTreeMap<String, String>>> = BTreeMap::new();
            for (_, host, is_new, changes) in drawn(&outcome, &names, None).states {
                let graph = shown.entry(host).or_default();
                if is_new {
                    graph.clear();
                }
                for (name, cells) in changes {
                    match cells {
                        Some(cells) => graph.insert(name, cells),
                        None => graph.remove(&name),
                    };
                }
            }
            for replica in &outcome.replicas {
                let expected: BTreeMap<_, _> =
                    whole(&replica.view).into_iter().filter_map(|(name, cells)| Some((name, cells?))).collect();
                assert_eq!(shown.get(&replica.host).cloned().unwrap_or_default(), expected, "seed {seed}");
            }
        }
    }

    #[test]
    fn every_arrival_has_its_sending_and_bands_lie_within_the_diagram() {
        let (mut lost, mut bands) = (0, 0);
        for seed in 3..9 {
            let outcome = generated(seed);
            let drawn = drawn(&outcome, &Names::of(&outcome), None);
            let name = |row: &DrawnRow| (row.2, row.3, row.4);
            let sent: std::collections::BTreeSet<_> = drawn.rows.iter().filter(|row| row.1 == 1).map(name).collect();
            let mut arrivals = drawn.rows.iter().filter(|row| matches!(row.1, 2 | 3));
            assert!(arrivals.all(|row| sent.contains(&(row.3, row.2, row.4))), "seed {seed}");
            assert!(drawn.bands.iter().all(|(_, from, to, _)| from <= to && *to < drawn.rows.len()), "seed {seed}");
            assert!(drawn.states.iter().all(|state| state.0 < drawn.rows.len()), "seed {seed}");
            lost += drawn.rows.iter().filter(|row| row.5 & LOST > 0).count();
            bands += drawn.bands.iter().filter(|band| band.3 != "settling").count();
        }
        assert!(lost > 0 && bands > 0, "{lost} lost, {bands} bands");
    }

    #[test]
    fn a_hundred_thousand_events_are_packed_into_two_megabytes() {
        let mut outcome = generated(3);
        let (once, length) = (outcome.events.clone(), outcome.simulated_us);
        let mut turn = 0;
        while outcome.events.len() < 100_000 {
            turn += 1;
            outcome
                .events
                .extend(once.iter().cloned().map(|event| Event { at_us: event.at_us + turn * length, ..event }));
        }
        let packed = packed(&outcome, &Names::of(&outcome), None);
        assert!(packed.len() < 2 << 20, "{} bytes", packed.len());
    }
}
