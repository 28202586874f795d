//! A run as a space–time diagram: a line per event, a column per replica, time from top to bottom.
//!
//! A dot marks where the event happened, an arrow which way a message goes: a dot at its tail is the sending, a dot at
//! its head the arrival, a cross that it never arrives. What concerns the whole network is a band across the page. What is
//! only bookkeeping (syncs, records, views, answers that say yes) is left out. What one input brought at one replica is
//! told together: `applies main:1…7`.

use kuzusync_core::change::ChangeId;
use kuzusync_core::conflict::Loss;
use kuzusync_core::conflict::schema::SchemaLoss;
use kuzusync_core::message::Entry;
use kuzusync_core::replica::Notice;
use kuzusync_core::session::Peer;
use kuzusync_sim::disk::DiskFault;
use kuzusync_sim::engine::StoreFault;
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::network::{Fate, Partition};
use kuzusync_sim::outcome::Outcome;

use crate::text::{fit, ms, pad, plural, rule, width as width_of, wrap};
use crate::words::Names;

/// Lines of a diagram at most: of a longer one the middle is left out, because a run is understood from how it began
/// and how it ended.
pub const LINES_MAX: usize = 400;

/// Columns for the time.
const TIME_COLUMNS: usize = 9;

/// Lines of text per event at most.
const WRAPPED_LINES_MAX: usize = 3;

/// The bands around a rest.
const SETTLING: &str = "no more faults; the cluster is given time";
const AT_REST: &str = "at rest: nothing is under way";

/// Where on the diagram an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On one replica's line.
    At { host: u32, mark: char },
    /// A message leaves.
    Leaves { from: u32, to: u32, arrives: bool },
    /// A message arrives, or comes to nobody.
    Arrives { from: u32, to: u32, is_heard: bool },
    /// Across the page.
    Band,
}

/// One line of the diagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub at_us: u64,
    pub place: Place,
    pub words: String,
    /// The place, among those given, of the last event it tells of.
    pub event: usize,
}

/// The diagram of a run.
#[must_use]
pub fn text(outcome: &Outcome, width: usize) -> String {
    let names = Names::of(outcome);
    let lines = lines(outcome.events.iter(), &names);
    draw(&lines, &names, outcome.options.replicas, width, LINES_MAX)
}

// ---- events to lines ----

/// What the events look like on the diagram, without those that are only bookkeeping.
pub(crate) fn lines<'a>(events: impl Iterator<Item = &'a Event>, names: &Names) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut told = Together::default();
    let mut openings = std::collections::BTreeSet::new();
    for (number, event) in events.enumerate() {
        let host = event.host.unwrap_or(0);
        if let EventKind::Notified(notice) = &event.kind {
            if (told.at_us, told.host) != (event.at_us, host) {
                told.flush(names, &mut lines);
                told = Together { at_us: event.at_us, host, ..Together::default() };
            }
            if told.take(notice) {
                told.event = number;
                continue;
            }
        }
        // The events may be a selection, so what a replica finds on its disk counts as well.
        let is_again = match &event.kind {
            EventKind::Opened { has_new_base: true, .. } => continue,
            EventKind::Opened { cursor, .. } => !openings.insert(host) || cursor.seen.heads().next().is_some(),
            _ => false,
        };
        if let Some((place, words)) = line(event, host, is_again, names) {
            told.flush(names, &mut lines);
            lines.push(Line { at_us: event.at_us, place, words, event: number });
        }
    }
    told.flush(names, &mut lines);
    without_empty_rests(lines)
}

/// A cluster at rest that is given time and stays at rest is no news.
fn without_empty_rests(lines: Vec<Line>) -> Vec<Line> {
    let mut kept: Vec<Line> = Vec::new();
    for line in lines {
        let is_rest = |line: Option<&Line>| line.is_some_and(|line| line.place == Place::Band && line.words == AT_REST);
        let before = kept.len().checked_sub(2).and_then(|at| kept.get(at));
        if is_rest(Some(&line)) && is_rest(before) && kept.last().is_some_and(|last| last.words == SETTLING) {
            kept.pop();
        } else {
            kept.push(line);
        }
    }
    kept
}

/// Notices of one input that are told in one line each kind.
#[derive(Default)]
struct Together {
    at_us: u64,
    host: u32,
    event: usize,
    applied: Vec<Entry>,
    numbered: Vec<(ChangeId, u64)>,
    acknowledged: Vec<ChangeId>,
    held: Vec<ChangeId>,
    repeated: Vec<ChangeId>,
    lost: Vec<Loss>,
    schema_lost: Vec<SchemaLoss>,
}

impl Together {
    /// Says whether the notice is one of those.
    fn take(&mut self, notice: &Notice) -> bool {
        match notice {
            Notice::Applied { entry } => self.applied.push(entry.clone()),
            Notice::Numbered { id, lsn } => self.numbered.push((*id, *lsn)),
            Notice::Acknowledged { id } => self.acknowledged.push(*id),
            Notice::Held { id } => self.held.push(*id),
            Notice::Repeated { id } => self.repeated.push(*id),
            Notice::Lost(loss) => self.lost.push(loss.as_ref().clone()),
            Notice::SchemaLost(loss) => self.schema_lost.push(loss.as_ref().clone()),
            _ => return false,
        }
        true
    }

    fn flush(&mut self, names: &Names, lines: &mut Vec<Line>) {
        let Together { at_us, host, event, applied, numbered, acknowledged, held, repeated, lost, schema_lost } =
            std::mem::take(self);
        let mut tell = |mark, words: String| {
            lines.push(Line { at_us, place: Place::At { host, mark }, words, event });
        };
        let is_own = |id: ChangeId| names.host_of(id.replica) == Some(host);
        let (own, others): (Vec<Entry>, Vec<Entry>) = applied.into_iter().partition(|entry| is_own(entry.change.id));
        if !own.is_empty() {
            tell('●', format!("writes {}", entries(&own, names)));
        }
        if !others.is_empty() {
            tell('●', applies(&others, names));
        }
        for loss in lost {
            tell('✱', names.loss(&loss));
        }
        for loss in schema_lost {
            tell('✱', names.schema_loss(&loss));
        }
        if !numbered.is_empty() {
            let numbers: Vec<String> =
                numbered.iter().map(|(id, lsn)| format!("{} is number {lsn}", names.change(*id))).collect();
            tell('●', format!("learns that {}", numbers.join(", ")));
        }
        // A main acknowledges itself at once: that says nothing.
        let acknowledged: Vec<ChangeId> =
            acknowledged.into_iter().filter(|id| !own.iter().any(|entry| entry.change.id == *id)).collect();
        if !acknowledged.is_empty() {
            tell('●', format!("{} acknowledged", names.changes(&acknowledged)));
        }
        if !held.is_empty() {
            tell('●', format!("keeps {} until its causes are here", names.changes(&held)));
        }
        if !repeated.is_empty() {
            tell('●', format!("has {} already", names.changes(&repeated)));
        }
    }
}

/// Changes and their numbers: `edge 1:1 as number 2`, `main:1…7 as numbers 3…9`.
fn entries(entries: &[Entry], names: &Names) -> String {
    let ids: Vec<ChangeId> = entries.iter().map(|entry| entry.change.id).collect();
    let numbers: Vec<u64> = entries.iter().filter_map(|entry| entry.lsn).collect();
    let shown = names.changes(&ids);
    match numbers.as_slice() {
        [] => shown,
        [number] => format!("{shown} as number {number}"),
        [first, .., last] => format!("{shown} as numbers {first}…{last}"),
    }
}

/// What came from elsewhere, with what it does if it is little.
fn applies(others: &[Entry], names: &Names) -> String {
    match others {
        [one, other] => format!("applies {}; {}", applied(one, names), applied(other, names)),
        [only] => format!("applies {}", applied(only, names)),
        _ => format!("applies {}", entries(others, names)),
    }
}

fn applied(entry: &Entry, names: &Names) -> String {
    format!("{}: {}", entries(std::slice::from_ref(entry), names), names.ops(&entry.change))
}

fn line(event: &Event, host: u32, is_again: bool, names: &Names) -> Option<(Place, String)> {
    let at = |mark, words: String| Some((Place::At { host, mark }, words));
    match &event.kind {
        EventKind::Opened { cursor, .. } => {
            let changes: u64 = cursor.seen.heads().map(|head| head.seq).sum();
            let changes = usize::try_from(changes).unwrap_or(usize::MAX);
            let from = format!("starts again from its disk, with {}", plural(changes, "change"));
            at('▲', if is_again { from } else { "starts".to_owned() })
        }
        EventKind::Invoked { statements, .. } => {
            let asked: Vec<String> = statements.iter().map(|statement| names.statement(statement)).collect();
            at('◆', format!("client asks: {}", asked.join("; ")))
        }
        EventKind::Returned { result: Err(reason), .. } => at('◆', format!("client is refused: {reason}")),
        EventKind::Abandoned { .. } => at('◆', "client gets no answer".to_owned()),
        EventKind::Refused { error } => at('✗', format!("refuses what it got: {}", names.in_sentence(error))),
        EventKind::StoreFailed { error } => at('✗', format!("store fails: {error}")),
        EventKind::Kept { store } => at('●', format!("its {store} store holds that already")),
        EventKind::Rebuilt { is_opening: false, .. } => at('●', "store is filled anew".to_owned()),
        EventKind::Crashed { lost_records: 0 } => at('✗', "dies".to_owned()),
        EventKind::Crashed { lost_records } => {
            let lost = plural(usize::try_from(*lost_records).unwrap_or(usize::MAX), "record");
            at('✗', format!("dies and loses {lost} not yet synced"))
        }
        EventKind::TimedOut { .. } => at('◆', "client waits no longer for its answer".to_owned()),
        EventKind::SubmittedAgain { .. } => at('◆', "client asks again for what it has an answer to".to_owned()),
        EventKind::DiskFailed(DiskFault::Read) => at('✗', "cannot read its disk".to_owned()),
        EventKind::DiskFailed(DiskFault::Write) => at('✗', "cannot write a record, and stops".to_owned()),
        EventKind::DiskFailed(DiskFault::Full) => at('✗', "finds its disk full, and stops".to_owned()),
        EventKind::TailCut => at('●', "cuts a torn record off the end of its log".to_owned()),
        EventKind::SyncWaited { us } => at('●', format!("waits {} ms for its disk", us / 1_000)),
        EventKind::StoreBroken { fault, statements } => {
            let after = plural(*statements as usize, "statement");
            let how = match fault {
                StoreFault::Error => "refuses the next",
                StoreFault::Abandonment => "is lost and opened again",
            };
            at('✗', format!("store carries out {after} and {how}"))
        }
        EventKind::Refusing { refusal } => at('◆', format!("its database refuses {refusal} from now on")),
        EventKind::Accepting { .. } => at('◆', "its database refuses nothing any more".to_owned()),
        EventKind::SchemaRefused { error } => at('✗', format!("store gives up: {error}")),
        EventKind::HeldBack { store, parts } => {
            let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
            at('●', format!("its {store} store goes on without {}", parts.join(" and ")))
        }
        EventKind::Paused => at('○', "stands still".to_owned()),
        EventKind::Resumed => at('●', "goes on".to_owned()),
        EventKind::Upgraded => at('○', "stops to be upgraded".to_owned()),
        EventKind::Wiped => at('○', "loses its disk and gets an empty one".to_owned()),
        EventKind::Cloned { from } => at('○', format!("gets a copy of the disk of {}", names.host(*from))),
        EventKind::Doubled => at('○', "is no longer alone with its identity".to_owned()),
        EventKind::DiskReplaced => at('○', "gets another disk".to_owned()),
        EventKind::WentOffline => at('○', "goes offline".to_owned()),
        EventKind::WentOnline => at('●', "is online again".to_owned()),
        EventKind::ClockJumped { ms } => at('●', format!("clock jumps by {ms:+} ms")),
        EventKind::Notified(notice) => at('●', told(notice, names)?),
        EventKind::Sent { to, number, frame, is_cut, fate, .. } => {
            let place = Place::Leaves { from: host, to: *to, arrives: !fate.delays_us.is_empty() };
            let (what, to, fate) = (names.message(frame), names.host(*to), became(*is_cut, fate));
            Some((place, format!("sends {what} → {to} #{number}{fate}")))
        }
        EventKind::Received { from, number } => {
            let place = Place::Arrives { from: *from, to: host, is_heard: true };
            Some((place, format!("hears ← {} #{number}", names.host(*from))))
        }
        EventKind::Missed { from, number } => {
            let place = Place::Arrives { from: *from, to: host, is_heard: false };
            Some((place, format!("misses ← {} #{number}: down or cut off", names.host(*from))))
        }
        EventKind::Injected { from, bytes, .. } => {
            let bytes = plural(usize::try_from(*bytes).unwrap_or(usize::MAX), "byte");
            at('✗', format!("gets {bytes} from somebody who claims to be {}", names.host(*from)))
        }
        EventKind::Partitioned(_)
        | EventKind::LinkCut { .. }
        | EventKind::Clogged { .. }
        | EventKind::Healed
        | EventKind::Settling { .. }
        | EventKind::Settled { .. } => Some((Place::Band, band(&event.kind, names))),
        _ => None,
    }
}

/// What became of a message, unless it simply arrives.
fn became(is_cut: bool, fate: &Fate) -> String {
    let copies = match fate.delays_us.len() {
        _ if is_cut => ", cut",
        0 => ", lost",
        1 => "",
        _ => ", arrives twice",
    };
    let overtaken = if fate.is_reordered { ", overtaken" } else { "" };
    let damaged = if fate.flipped_bit.is_some() { ", damaged on the way" } else { "" };
    let held_ms = (fate.queued_us + fate.clogged_us) / 1_000;
    let held = if held_ms > 0 { format!(", held back {held_ms} ms") } else { String::new() };
    format!("{copies}{overtaken}{damaged}{held}")
}

/// The notices that are not told together; what is left is bookkeeping.
fn told(notice: &Notice, names: &Names) -> Option<String> {
    match notice {
        Notice::Established { peer: Peer(peer), protocol_version, mode, .. } => {
            Some(format!("session with {} (protocol {protocol_version}, {})", names.host(*peer), mode.name()))
        }
        Notice::Refused { peer: Peer(peer), reason } => {
            Some(format!("is refused by {}: {}", names.host(*peer), names.in_sentence(reason)))
        }
        Notice::Ruled { ruling, lsn } => Some(format!("number {lsn}: {}", names.ruling(ruling))),
        Notice::Rejected { id, .. } => Some(format!("takes its {} back", names.change(*id))),
        Notice::WrittenAnew { rejected, id } => {
            Some(format!("writes {} again as {}", names.change(*rejected), names.change(*id)))
        }
        Notice::Failed { id, problem } => Some(format!("passes {}, which fails: {problem}", names.change(*id))),
        Notice::Drifted { id, ahead_ms } => Some(format!("{} is stamped {ahead_ms} ms ahead", names.change(*id))),
        Notice::Merged { register } => Some(format!("adds {} up", names.register(register))),
        Notice::Discarded { id, reason } => Some(format!("drops {}: {reason}", names.change(*id))),
        Notice::AlreadySubmitted { id, .. } => Some(format!("has done that transaction as {}", names.change(*id))),
        Notice::Voted { tx, vote } => Some(format!("transaction {}: {}", tx.short(), names.vote(vote))),
        Notice::Proposed { entry } => Some(format!("proposes {} to the main", names.change(entry.change.id))),
        Notice::Decided { tx, decision } => Some(format!("transaction {}: {}", tx.short(), names.decision(decision))),
        Notice::Compared { peer: Peer(peer), differences, .. } => {
            let heads = plural(usize::try_from(*differences).unwrap_or(usize::MAX), "head");
            Some(format!("differs from {} in {heads}", names.host(*peer)))
        }
        Notice::LinkMeasured { peer: Peer(peer), quality, strategy } => {
            Some(format!("the link to {} carries {quality}: {}", names.host(*peer), strategy.name()))
        }
        Notice::ChunkDamaged { last, .. } => Some(format!("the chunk up to number {last} is damaged")),
        Notice::SnapshotTaken { peer: Peer(peer), lsn, chunks } => {
            let chunks = plural(usize::try_from(*chunks).unwrap_or(usize::MAX), "chunk");
            Some(format!("has all {chunks} of {}'s snapshot up to number {lsn}", names.host(*peer)))
        }
        Notice::ResyncRequired { peer: Peer(peer), reason } => {
            Some(format!("{} has to take a snapshot in place of all it knows: {}", names.host(*peer), reason.name()))
        }
        Notice::Resynced { peer: Peer(peer), .. } => {
            Some(format!("begins anew with the base of {}'s log, and keeps what that has not", names.host(*peer)))
        }
        Notice::HeldBack { peer: Peer(peer), changes } => {
            let changes = plural(usize::try_from(*changes).unwrap_or(usize::MAX), "change");
            Some(format!("{changes} for {} can wait for a faster link", names.host(*peer)))
        }
        Notice::Late { peer: Peer(peer) } => Some(format!("passes over a late message from {}", names.host(*peer))),
        Notice::Resent { peer: Peer(peer) } => Some(format!("has no answer from {} and repeats", names.host(*peer))),
        _ => None,
    }
}

fn band(kind: &EventKind, names: &Names) -> String {
    match kind {
        EventKind::Partitioned(partition) => partitioned(*partition, names),
        EventKind::LinkCut { one, other } => {
            format!("the link between {} and {} is cut", names.host(*one), names.host(*other))
        }
        EventKind::Clogged { one, other, ms } => {
            format!("the link between {} and {} is clogged for {ms} ms", names.host(*one), names.host(*other))
        }
        EventKind::Healed => "the network is whole again".to_owned(),
        EventKind::Settling { out } if out.is_empty() => SETTLING.to_owned(),
        EventKind::Settling { out } => {
            format!("no more faults but at {}, cut off; the others are given time", names.hosts(out.iter().copied()))
        }
        EventKind::Settled { out } if !out.is_empty() => "at rest: nothing is under way among the others".to_owned(),
        _ => AT_REST.to_owned(),
    }
}

fn partitioned(partition: Partition, names: &Names) -> String {
    match partition {
        Partition::Split { group } => format!("the network splits: {}", split(group, names)),
        Partition::OneWay { group } => format!("one way is cut: {}", one_way(group, names)),
        Partition::Isolation { host } => format!("{} is cut off", names.host(host)),
        Partition::Ring { .. } => "only neighbours in a ring reach each other".to_owned(),
    }
}

/// The two sides of a split network.
pub(crate) fn split(group: u64, names: &Names) -> String {
    let [group, others] = sides(group, names);
    format!("{group} │ {others}")
}

/// Who is not heard by whom.
pub(crate) fn one_way(group: u64, names: &Names) -> String {
    let [group, others] = sides(group, names);
    format!("{group} ─✗ {others}")
}

/// The hosts whose bit is set and the others.
fn sides(group: u64, names: &Names) -> [String; 2] {
    [true, false].map(|is_in| {
        let hosts = (0..names.host_count()).filter(|host| (group >> host & 1 == 1) == is_in);
        let shown = names.hosts(hosts);
        if shown.is_empty() { "nobody".to_owned() } else { shown }
    })
}

// ---- lines to a page ----

/// The diagram of these lines, `most` of them at most, the middle left out.
pub(crate) fn draw(lines: &[Line], names: &Names, hosts: u32, width: usize, most: usize) -> String {
    let lanes = Lanes::new(names, hosts, width);
    let mut page = lanes.header();
    let (head, left_out, tail) = cut_middle(lines, most);
    let mut last_us = None;
    for line in head {
        lanes.line(line, &mut last_us, &mut page);
    }
    if let (Some(first), Some(last)) = (left_out.first(), left_out.last()) {
        let left_out = format!("{} left out, until {} ms", plural(left_out.len(), "line"), ms(last.at_us));
        page.push_str(&format!("{:>TIME_COLUMNS$}  {}\n", ms(first.at_us), rule(&left_out, lanes.rest())));
    }
    for line in tail {
        lanes.line(line, &mut last_us, &mut page);
    }
    page
}

fn cut_middle(lines: &[Line], most: usize) -> (&[Line], &[Line], &[Line]) {
    if lines.len() <= most {
        return (lines, &[], &[]);
    }
    let half = most / 2;
    let (head, rest) = lines.split_at(half);
    let (left_out, tail) = rest.split_at(rest.len() - (most - half));
    (head, left_out, tail)
}

/// The columns of the replicas.
struct Lanes {
    labels: Vec<String>,
    /// Columns per replica; 0 when there are too many replicas for the page and each line names its own.
    step: usize,
    names: Names,
    width: usize,
}

impl Lanes {
    fn new(names: &Names, hosts: u32, width: usize) -> Self {
        let full: Vec<String> = (0..hosts).map(|host| names.host(host)).collect();
        let numbers: Vec<String> = (0..hosts).map(|host| host.to_string()).collect();
        let columns_of = |labels: &[String]| labels.iter().map(|label| width_of(label)).max().unwrap_or(0) + 2;
        let fits = |labels: &&Vec<String>| columns_of(labels) * labels.len() <= width / 2;
        let labels = [full, numbers].iter().find(fits).cloned().unwrap_or_default();
        let step = if labels.is_empty() { 0 } else { columns_of(&labels) };
        Lanes { labels, step, names: names.clone(), width }
    }

    /// Columns right of the time.
    fn rest(&self) -> usize {
        self.width.saturating_sub(TIME_COLUMNS + 2)
    }

    fn header(&self) -> String {
        let labels: String = self.labels.iter().map(|label| pad(label, self.step)).collect();
        format!("{}\n", format!("{:>TIME_COLUMNS$}  {labels}", "ms").trim_end())
    }

    fn line(&self, line: &Line, last_us: &mut Option<u64>, page: &mut String) {
        let time = if *last_us == Some(line.at_us) { String::new() } else { ms(line.at_us) };
        *last_us = Some(line.at_us);
        if line.place == Place::Band {
            let band = rule(&line.words, self.rest()).replace('─', "═");
            page.push_str(&format!("{:>TIME_COLUMNS$}  {band}\n", ms(line.at_us)));
            return;
        }
        let words =
            if self.step == 0 { format!("{} {}", self.subject(line.place), line.words) } else { line.words.clone() };
        let columns = self.rest().saturating_sub(self.step * self.labels.len() + 1).max(20);
        let mut wrapped = wrap(&words, columns);
        if wrapped.len() > WRAPPED_LINES_MAX {
            let rest = wrapped.split_off(WRAPPED_LINES_MAX - 1).join(" ");
            wrapped.push(fit(&rest, columns));
        }
        for (number, words) in wrapped.iter().enumerate() {
            let (time, lanes) =
                if number == 0 { (time.as_str(), self.lanes(Some(line.place))) } else { ("", self.lanes(None)) };
            page.push_str(format!("{time:>TIME_COLUMNS$}  {lanes} {words}").trim_end());
            page.push('\n');
        }
    }

    fn subject(&self, place: Place) -> String {
        match place {
            Place::At { host, .. } => self.names.host(host),
            Place::Leaves { from, .. } => self.names.host(from),
            Place::Arrives { to, .. } => self.names.host(to),
            Place::Band => String::new(),
        }
    }

    /// The replicas' lines, with a mark or an arrow on them.
    fn lanes(&self, place: Option<Place>) -> String {
        let mut row = vec![' '; self.step * self.labels.len()];
        for lane in 0..self.labels.len() {
            row[self.column(lane as u32)] = '│';
        }
        match place {
            Some(Place::At { host, mark }) if self.step > 0 => row[self.column(host)] = mark,
            Some(Place::Leaves { from, to, arrives }) if self.step > 0 => {
                self.arrow(&mut row, from, to, if arrives { None } else { Some('✗') });
                row[self.column(from)] = '●';
            }
            Some(Place::Arrives { from, to, is_heard }) if self.step > 0 => {
                self.arrow(&mut row, from, to, None);
                row[self.column(to)] = if is_heard { '●' } else { '✗' };
            }
            _ => {}
        }
        row.into_iter().collect()
    }

    fn column(&self, host: u32) -> usize {
        host as usize * self.step + self.step / 2 - 1
    }

    /// Draws from one line to just before the other.
    fn arrow(&self, row: &mut [char], from: u32, to: u32, end: Option<char>) {
        let (start, stop) = (self.column(from), self.column(to));
        let is_right = stop > start;
        let between = if is_right { start + 1..stop } else { stop + 1..start };
        for at in between {
            row[at] = if row[at] == '│' { '┼' } else { '─' };
        }
        let head = if is_right { stop - 1 } else { stop + 1 };
        row[head] = end.unwrap_or(if is_right { '→' } else { '←' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_us: u64, place: Place, words: &str) -> Line {
        Line { at_us, place, words: words.to_owned(), event: 0 }
    }

    #[test]
    fn arrows_start_at_the_sender_and_end_at_the_receiver() {
        let names = Names::default();
        let lines = [
            line(0, Place::Leaves { from: 0, to: 2, arrives: true }, "sends"),
            line(0, Place::Arrives { from: 2, to: 1, is_heard: true }, "hears"),
            line(1_500, Place::Leaves { from: 1, to: 0, arrives: false }, "sends, lost"),
        ];
        let drawn = draw(&lines, &names, 3, 60, 10);
        let expected = [
            "       ms  peer 0  peer 1  peer 2",
            "      0.0     ●───────┼──────→│     sends",
            "              │       ●←──────│     hears",
            "      1.5     │✗──────●       │     sends, lost",
        ];
        assert_eq!(drawn.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn of_a_long_history_the_middle_is_left_out_and_counted() {
        let lines: Vec<Line> = (0..100_000).map(|at| line(at, Place::At { host: 0, mark: '●' }, "x")).collect();
        let drawn = draw(&lines, &Names::default(), 1, 60, 10);
        assert_eq!(drawn.lines().count(), 12);
        assert!(drawn.contains("99990 lines left out"), "{drawn}");
    }

    #[test]
    fn with_too_many_replicas_for_the_page_each_line_names_its_own() {
        let lines = [line(0, Place::At { host: 63, mark: '●' }, "starts")];
        assert!(draw(&lines, &Names::default(), 64, 80, 10).contains("peer 63 starts"));
        assert!(draw(&lines[..0], &Names::default(), 8, 80, 10).contains("0  1  2"));
    }
}
