//! Shrinking: a smaller plan that fails of the same thing.
//!
//! A generated plan that fails has some sixty steps and as many faults, of which a handful matter. Shrinking takes parts
//! of it away and keeps what still fails with the same [signature](kuzusync_sim::outcome::Failure::signature): another
//! failure is another bug. Large groups go first: all steps of a kind, all that concerns a host. Then lists are reduced by
//! halves, quarters and so on down to single items, the last ones first, because what comes after the failure's cause
//! seldom matters. Link faults are rates in a generated plan; they become a list of the messages concerned, which is then
//! reduced like the steps.
//!
//! Many a step stays only because it takes time. Where nothing can go by itself, time passes in its place; one cut of a link
//! stands for many lost messages; and if that leaves a plan that is still long, what a client does in a row becomes one
//! transaction.
//!
//! What each pass leaves is run a second time. If the two runs differ, the run depends on more than its plan: nothing that
//! shrinking says could be trusted, and it ends.

use std::collections::BTreeSet;
use std::mem::discriminant;
use std::ops::Range;

use kuzusync_core::id::Digest;
use kuzusync_core::statement::Statement;
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::options::{LinkOptions, MessageName, Options};
use kuzusync_sim::step::{Plan, Step};
use serde_json::Value as Json;

/// Runs that shrinking makes at most.
pub const REPLAYS_MAX: u32 = 300;

/// Steps of a plan that a reader still takes in at once.
pub const STEPS_FEW: usize = 10;

/// Faults of a plan that a reader still takes in at once.
pub const FAULTS_FEW: usize = 3;

/// What a run came to, as far as shrinking cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The signature of its failure, if it failed.
    pub signature: Option<String>,
    /// The digest of its history, if it left one.
    pub digest: Option<Digest>,
}

/// Who makes the runs.
pub trait Replays {
    /// Runs a plan; `None` if there is no time left for it.
    fn run(&mut self, plan: &Plan) -> Option<Trial>;

    /// The history of this plan's run; nothing if it is not to be had.
    fn events(&mut self, plan: &Plan) -> Vec<Event>;
}

/// What is left of a plan.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// Runs that were made for it.
    pub replays: u32,
    /// Whether everything was tried; else runs or time ran out before.
    pub is_smallest: bool,
}

/// A plan that cannot be shrunk.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unshrinkable {
    /// Two runs of one plan differ.
    #[error("two runs of one plan differ: {first:?} and then {second:?}")]
    Nondeterminism {
        /// What came of the first.
        first: Trial,
        /// What came of the second.
        second: Trial,
    },
    /// It does not fail as it should.
    #[error("it fails of {}, not of {expected}", found.as_deref().unwrap_or("nothing"))]
    OtherFailure {
        /// The signature it should fail with.
        expected: String,
        /// The one it fails with.
        found: Option<String>,
    },
}

/// The messages of a history to which something happened on their way.
#[must_use]
pub fn faulty_messages(events: &[Event]) -> BTreeSet<MessageName> {
    let name = |event: &Event| match &event.kind {
        EventKind::Sent { to, number, fate, is_cut: false, .. } if fate.is_faulty() => {
            Some(MessageName { from: event.host?, to: *to, number: *number })
        }
        _ => None,
    };
    events.iter().filter_map(name).collect()
}

/// What goes wrong in a plan besides its clients: the steps that are faults, the messages that are, and false clocks. Link
/// faults that are still rates are not counted; their messages have to be seen in a run.
#[must_use]
pub fn faults(plan: &Plan) -> usize {
    let steps = plan.steps.iter().filter(|step| is_fault(step)).count();
    let Options { replicas, skew_ms, drift_ppm, links, .. } = &plan.options;
    let is_false = |host: &usize| {
        skew_ms.get(*host).is_some_and(|ms| *ms != 0) || drift_ppm.get(*host).is_some_and(|ppm| *ppm != 0)
    };
    let clocks = (0..*replicas as usize).filter(is_false).count();
    let narrow_links = usize::from(links.bytes_per_second_max > 0);
    steps + clocks + narrow_links + links.faulty_messages.as_ref().map_or(0, BTreeSet::len)
}

fn is_fault(step: &Step) -> bool {
    match step {
        Step::Crash { .. }
        | Step::GoOffline { .. }
        | Step::Partition { .. }
        | Step::PartitionOneWay { .. }
        | Step::Isolate { .. }
        | Step::PartitionRing
        | Step::CutLink { .. }
        | Step::JumpClock { .. }
        | Step::Inject { .. }
        | Step::SubmitAgain
        | Step::Pause { .. }
        | Step::Wipe { .. }
        | Step::Clone { .. }
        | Step::FailDisk { .. }
        | Step::SlowDisk { .. }
        | Step::FailStore { .. }
        | Step::RefuseSchema { .. }
        | Step::SettleMajority { .. }
        | Step::Upgrade { .. }
        | Step::Clog { .. } => true,
        Step::Wait { .. }
        | Step::Submit { .. }
        | Step::CreateTable { .. }
        | Step::CreateNode { .. }
        | Step::UpdateNode { .. }
        | Step::UpdateNodeStrictly { .. }
        | Step::UpdateNodeEarlier { .. }
        | Step::IncrementNode { .. }
        | Step::DeleteNode { .. }
        | Step::CreateEdge { .. }
        | Step::UpdateEdge { .. }
        | Step::IncrementEdge { .. }
        | Step::DeleteEdge { .. }
        | Step::SetRule { .. }
        | Step::ChangeSchema { .. }
        | Step::Transact { .. }
        | Step::Constrain { .. }
        | Step::SubmitAgainElsewhere { .. }
        | Step::Restart { .. }
        | Step::Resume { .. }
        | Step::MendDisk { .. }
        | Step::AcceptSchema { .. }
        | Step::GoOnline { .. }
        | Step::Heal
        | Step::Settle => false,
    }
}

/// Makes a plan smaller that fails with this signature.
///
/// # Errors
/// If the plan does not fail so, or if two runs of one plan differ.
pub fn shrink(plan: &Plan, signature: &str, replays: &mut impl Replays) -> Result<Shrunk, Unshrinkable> {
    let mut shrinking = Shrinking::new(plan, signature, replays);
    let found = shrinking.run(plan).and_then(|trial| trial.signature.clone().inspect(|_| shrinking.last = Some(trial)));
    if found.as_deref() != Some(signature) {
        return Err(Unshrinkable::OtherFailure { expected: signature.to_owned(), found });
    }
    shrinking.confirm()?;
    shrinking.pass(Shrinking::drop_conditions)?;
    shrinking.pass(Shrinking::drop_kinds)?;
    let mut size = plan.steps.len();
    loop {
        let before = shrinking.best.clone();
        shrinking.pass(|shrinking| shrinking.drop_steps(size))?;
        // What is left of a whole list hardly ever goes by more than two.
        size = 2;
        shrinking.pass(Shrinking::drop_hosts)?;
        shrinking.pass(Shrinking::join_waits)?;
        shrinking.pass(Shrinking::drop_conditions)?;
        shrinking.pass(Shrinking::drop_messages)?;
        shrinking.pass(Shrinking::simplify_steps)?;
        if shrinking.best == before {
            shrinking.pass(Shrinking::let_time_pass)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::cut_instead)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::join_statements)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::drop_pairs)?;
        }
        if shrinking.best == before || shrinking.is_over {
            break;
        }
    }
    Ok(Shrunk { plan: shrinking.best, replays: shrinking.made, is_smallest: !shrinking.is_over })
}

struct Shrinking<'r, R> {
    replays: &'r mut R,
    signature: &'r str,
    /// The smallest plan so far that fails as it should.
    best: Plan,
    /// What its run came to, if it was run once.
    last: Option<Trial>,
    /// The smallest plan so far of which two runs were the same.
    confirmed: Plan,
    /// The plans that were run: which did not fail as they should is known.
    tried: BTreeSet<Digest>,
    made: u32,
    /// Whether runs or time ran out.
    is_over: bool,
}

impl<'r, R: Replays> Shrinking<'r, R> {
    fn new(plan: &Plan, signature: &'r str, replays: &'r mut R) -> Self {
        let (best, confirmed) = (plan.clone(), plan.clone());
        Shrinking { replays, signature, best, last: None, confirmed, tried: BTreeSet::new(), made: 0, is_over: false }
    }

    /// Makes a run, as long as one is left for the second run of what is kept.
    fn run(&mut self, plan: &Plan) -> Option<Trial> {
        let trial = if self.made + 1 < REPLAYS_MAX { self.replays.run(plan) } else { None };
        self.made += u32::from(trial.is_some());
        self.is_over |= trial.is_none();
        trial
    }

    /// Carries a pass out and runs what it leaves a second time.
    fn pass(&mut self, pass: impl FnOnce(&mut Self)) -> Result<(), Unshrinkable> {
        if !self.is_over {
            pass(self);
        }
        self.confirm()
    }

    /// Runs the smallest plan a second time, if that was not done. Without time for it the plan before it stands.
    fn confirm(&mut self) -> Result<(), Unshrinkable> {
        let Some(first) = self.last.take() else { return Ok(()) };
        let again = if self.made < REPLAYS_MAX { self.replays.run(&self.best) } else { None };
        self.made += u32::from(again.is_some());
        match again {
            Some(second) if second != first => Err(Unshrinkable::Nondeterminism { first, second }),
            Some(_) => {
                self.confirmed = self.best.clone();
                Ok(())
            }
            None => {
                self.is_over = true;
                self.best = self.confirmed.clone();
                Ok(())
            }
        }
    }

    /// Keeps a smaller plan if it fails as it should, and says so. A plan is run once, also if several passes come to it.
    fn keeps(&mut self, candidate: Plan) -> bool {
        if self.is_over || candidate == self.best || !self.tried.insert(Digest::of_value(&candidate)) {
            return false;
        }
        let trial = self.run(&candidate);
        let fails = trial.as_ref().is_some_and(|trial| trial.signature.as_deref() == Some(self.signature));
        if fails {
            (self.best, self.last) = (candidate, trial);
        }
        fails
    }

    fn keeps_with(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        self.keeps(candidate)
    }

    /// Takes items out of a list of the plan: so many at a time, then half as many, at last one by one.
    fn reduce<T>(&mut self, mut size: usize, get: impl Fn(&Plan) -> Vec<T>, set: impl Fn(&mut Plan, Vec<T>)) {
        while size > 0 && !self.is_over {
            let mut end = get(&self.best).len();
            while end > 0 && !self.is_over {
                let start = end.saturating_sub(size);
                let mut items = get(&self.best);
                items.drain(start..end);
                self.keeps_with(|plan| set(plan, items));
                end = start;
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// Good links and true clocks, all at once or one after the other.
    fn drop_conditions(&mut self) {
        let conditions: [fn(&mut Plan); 13] = [
            |plan| plan.options.links.loss_permille = 0,
            |plan| plan.options.links.repeat_permille = 0,
            |plan| plan.options.links.reorder_permille = 0,
            |plan| plan.options.links.corrupt_permille = 0,
            |plan| plan.options.links.jitter_ms_max = 0,
            |plan| {
                let LinkOptions { latency_ms_min, latency_ms_max, .. } = LinkOptions::default();
                plan.options.links.latency_ms_min = latency_ms_min;
                plan.options.links.latency_ms_max = latency_ms_max;
            },
            |plan| plan.options.links.bytes_per_second_max = 0,
            |plan| plan.options.whole_heads_max = Options::default().whole_heads_max,
            |plan| plan.options.critical_tables.clear(),
            |plan| plan.options.chunk_numbers = Options::default().chunk_numbers,
            |plan| plan.options.skew_ms.clear(),
            |plan| plan.options.drift_ppm.clear(),
            |plan| plan.options.older_hosts.clear(),
        ];
        if self.keeps_with(|plan| conditions.iter().for_each(|drop| drop(plan))) {
            return;
        }
        for drop in conditions {
            self.keeps_with(drop);
        }
        for host in 0..self.best.options.skew_ms.len() {
            self.keeps_with(|plan| plan.options.skew_ms[host] = 0);
        }
        for host in 0..self.best.options.drift_ppm.len() {
            self.keeps_with(|plan| plan.options.drift_ppm[host] = 0);
        }
        for host in self.best.options.older_hosts.clone() {
            self.keeps_with(|plan| {
                plan.options.older_hosts.remove(&host);
            });
        }
    }

    /// Takes out all faults, then all steps of one kind.
    fn drop_kinds(&mut self) {
        self.keeps_with(|plan| plan.steps.retain(|step| !is_fault(step)));
        let mut seen = Vec::new();
        for step in self.best.steps.clone() {
            let kind = discriminant(&step);
            if !seen.contains(&kind) {
                seen.push(kind);
                self.keeps_with(|plan| plan.steps.retain(|step| discriminant(step) != kind));
            }
        }
    }

    fn drop_steps(&mut self, size: usize) {
        self.reduce(size, |plan| plan.steps.clone(), |plan, steps| plan.steps = steps)
    }

    /// Takes out two steps at once, such as a crash and its restart, where neither can go alone.
    fn drop_pairs(&mut self) {
        let mut later = self.best.steps.len();
        while later > 0 && !self.is_over {
            later -= 1;
            for earlier in (0..later).rev() {
                let without_both = |plan: &mut Plan| {
                    plan.steps.remove(later);
                    plan.steps.remove(earlier);
                };
                if self.keeps_with(without_both) {
                    later -= 1;
                    break;
                }
            }
        }
    }

    /// Lets time pass at fewer places: what a wait took is added to the one after it, or to the one before.
    fn join_waits(&mut self) {
        let mut place = self.best.steps.len();
        while place > 0 {
            place -= 1;
            let steps = &self.best.steps;
            let Some(Step::Wait { ms }) = steps.get(place) else { continue };
            let is_wait = |other: &usize| matches!(steps[*other], Step::Wait { .. });
            let after = (place + 1..steps.len()).find(is_wait);
            let before = (0..place).rev().find(is_wait);
            let ms = *ms;
            for other in [after, before].into_iter().flatten() {
                let joined = |plan: &mut Plan| {
                    if let Step::Wait { ms: others } = &mut plan.steps[other] {
                        *others += ms;
                    }
                    plan.steps.remove(place);
                };
                if self.keeps_with(joined) {
                    break;
                }
            }
        }
    }

    /// Turns what is left of the links' rates into the messages concerned, and takes out those that do not matter.
    fn drop_messages(&mut self) {
        let links = &self.best.options.links;
        let rates = [links.loss_permille, links.repeat_permille, links.reorder_permille, links.corrupt_permille];
        if rates == [0; 4] {
            self.best.options.links.faulty_messages = None;
            return;
        }
        let mut faulty = faulty_messages(&self.replays.events(&self.best));
        if let Some(known) = &self.best.options.links.faulty_messages {
            faulty.retain(|message| known.contains(message));
        }
        self.keeps_with(|plan| plan.options.links.faulty_messages = Some(faulty));
        let Some(messages) = self.best.options.links.faulty_messages.clone() else { return };
        for link in messages.iter().map(link).collect::<BTreeSet<_>>() {
            self.keeps_with(|plan| {
                if let Some(messages) = &mut plan.options.links.faulty_messages {
                    messages.retain(|message| self::link(message) != link);
                }
            });
        }
        let count = self.best.options.links.faulty_messages.as_ref().map_or(0, BTreeSet::len);
        self.reduce(
            count,
            |plan| plan.options.links.faulty_messages.iter().flatten().copied().collect(),
            |plan, messages| plan.options.links.faulty_messages = Some(messages.into_iter().collect()),
        )
    }

    /// Takes out hosts with all that concerns them, the last ones first. Where that does not do, others take over what they
    /// did.
    fn drop_hosts(&mut self) {
        for host in (0..self.best.options.replicas).rev() {
            let Options { replicas, has_main, .. } = self.best.options;
            if replicas > 2
                && (host > 0 || !has_main)
                && let Some(candidate) = without_host(&self.best, host)
            {
                self.keeps(candidate);
            }
        }
        for replicas in 2..self.best.options.replicas {
            if self.keeps_with(|plan| plan.options.replicas = replicas) {
                break;
            }
        }
    }

    /// Takes statements out of what clients submit, and makes numbers 0.
    fn simplify_steps(&mut self) {
        for place in 0..self.best.steps.len() {
            let Step::Submit { statements, .. } = &self.best.steps[place] else { continue };
            for statement in (0..statements.len()).rev() {
                self.keeps_with(|plan| {
                    if let Step::Submit { statements, .. } = &mut plan.steps[place] {
                        statements.remove(statement);
                    }
                });
            }
        }
        for is_all in [true, false] {
            self.simplify(0..self.best.steps.len(), is_all);
        }
    }

    /// Makes numbers 0 in all of these steps, else in each half of them.
    fn simplify(&mut self, places: Range<usize>, is_all: bool) {
        let replicas = self.best.options.replicas;
        let simplify = |plan: &mut Plan| {
            for step in &mut plan.steps[places.clone()] {
                *step = simpler(step, replicas, is_all).unwrap_or_else(|| step.clone());
            }
        };
        let mut candidate = self.best.clone();
        simplify(&mut candidate);
        if candidate == self.best || self.keeps(candidate) || places.len() < 2 {
            return;
        }
        let middle = places.start + places.len() / 2;
        self.simplify(places.start..middle, is_all);
        self.simplify(middle..places.end, is_all);
    }

    /// Cuts a link from some step on instead of losing three of its messages or more; where more than a few faults are left,
    /// any link instead of all messages.
    fn cut_instead(&mut self) {
        let messages = self.best.options.links.faulty_messages.clone().unwrap_or_default();
        for link in messages.iter().map(link).collect::<BTreeSet<_>>() {
            let others: BTreeSet<MessageName> =
                messages.iter().filter(|other| self::link(other) != link).copied().collect();
            if messages.len() >= others.len() + 3 && self.cut(link, &others) {
                return;
            }
        }
        if messages.len() < 3 || faults(&self.best) <= FAULTS_FEW {
            return;
        }
        let hosts = self.best.options.replicas;
        let links = (0..hosts).flat_map(|host| (host + 1..hosts).map(move |other| (host, other)));
        for link in links {
            if self.cut(link, &BTreeSet::new()) {
                return;
            }
        }
    }

    /// Cuts a link before one of the steps, where only these messages are still concerned by faults.
    fn cut(&mut self, (replica, other): (u32, u32), messages: &BTreeSet<MessageName>) -> bool {
        (0..=self.best.steps.len()).rev().any(|place| {
            self.keeps_with(|plan| {
                plan.options.links.faulty_messages = Some(messages.clone());
                plan.steps.insert(place, Step::CutLink { replica, other, after_messages: 0 });
            })
        })
    }

    /// Puts what clients do in a row at one replica into one transaction, while the plan is long.
    fn join_statements(&mut self) {
        if self.best.steps.len() <= STEPS_FEW {
            return;
        }
        let events = self.replays.events(&self.best);
        let submitted = submitted(&self.best, &events);
        for place in (1..self.best.steps.len()).rev() {
            if self.best.steps.len() <= STEPS_FEW {
                return;
            }
            let together = match &self.best.steps[place - 1..] {
                [_, Step::Submit { replica, statements, .. }, ..] => Some((*replica, statements.clone())),
                _ => submitted[place].clone(),
            };
            let (Some((replica, first)), Some((there, then))) = (submitted[place - 1].clone(), together) else {
                continue;
            };
            if replica != there {
                continue;
            }
            self.keeps_with(|plan| {
                let statements = [first, then].concat();
                plan.steps.splice(place - 1..=place, [Step::Submit { replica, statements, participants: Vec::new() }]);
            });
        }
    }

    /// Lets time pass in the place of a step, longer where it passes already.
    fn let_time_pass(&mut self) {
        for place in (0..self.best.steps.len()).rev() {
            if place >= self.best.steps.len() || matches!(self.best.steps[place], Step::Wait { .. }) {
                continue;
            }
            for longer_ms in [10, 100, 1_000] {
                let instead = |plan: &mut Plan| {
                    plan.steps.remove(place);
                    let beside = [place.checked_sub(1), Some(place)].into_iter().flatten();
                    let wait =
                        beside.into_iter().find(|place| matches!(plan.steps.get(*place), Some(Step::Wait { .. })));
                    match wait.map(|wait| &mut plan.steps[wait]) {
                        Some(Step::Wait { ms }) => *ms += longer_ms,
                        _ => plan.steps.insert(place, Step::Wait { ms: longer_ms }),
                    }
                };
                if self.keeps_with(instead) {
                    break;
                }
            }
        }
    }
}

/// The two hosts between which a message passes.
fn link(message: &MessageName) -> (u32, u32) {
    (message.from.min(message.to), message.from.max(message.to))
}

/// Of each step of a plan where and what a client submitted in its run, if it is one that a `Submit` can stand for.
fn submitted(plan: &Plan, events: &[Event]) -> Vec<Option<(u32, Vec<Statement>)>> {
    let replicas = plan.options.replicas;
    let mut rest = events.iter();
    let of_step = |step: &Step| {
        let replica = match step {
            Step::CreateTable { replica, .. }
            | Step::CreateNode { replica, .. }
            | Step::UpdateNode { replica, .. }
            | Step::IncrementNode { replica, .. }
            | Step::DeleteNode { replica, .. }
            | Step::CreateEdge { replica, .. }
            | Step::UpdateEdge { replica, .. }
            | Step::IncrementEdge { replica, .. }
            | Step::DeleteEdge { replica, .. }
            | Step::SetRule { replica, .. }
            | Step::ChangeSchema { replica, .. }
            | Step::Constrain { replica, .. } => replica % replicas,
            _ => return None,
        };
        let mut of_clients = rest.by_ref().filter(|event| event.host == Some(replica)).map(|event| &event.kind);
        match of_clients.find(|kind| matches!(kind, EventKind::Invoked { .. } | EventKind::Skipped { .. })) {
            Some(EventKind::Invoked { statements, .. }) => Some((replica, statements.clone())),
            _ => None,
        }
    };
    plan.steps.iter().map(of_step).collect()
}

/// The plan without a host and without all that concerns it. The hosts after it move up.
fn without_host(plan: &Plan, host: u32) -> Option<Plan> {
    let (replicas, mut plan) = (plan.options.replicas, plan.clone());
    let moved = |other: u32| if other == host { None } else { Some(other - u32::from(other > host)) };
    let without_bit = |bits: u64| {
        let below = (1_u64 << host) - 1;
        bits & below | bits >> 1 & !below
    };
    let mut steps = Vec::new();
    for step in &plan.steps {
        let mut json = serde_json::to_value(step).ok()?;
        let mut is_concerned = false;
        for (kind, fields) in json.as_object_mut().into_iter().flatten() {
            for (name, field) in fields.as_object_mut()? {
                let is_host = matches!(name.as_str(), "replica" | "other") || (kind == "inject" && name == "from");
                let is_bits = matches!(name.as_str(), "group" | "out" | "participants");
                match field.as_u64() {
                    Some(number) if is_host => match moved((number % u64::from(replicas)) as u32) {
                        Some(number) => *field = Json::from(number),
                        None => is_concerned = true,
                    },
                    Some(bits) if is_bits => *field = Json::from(without_bit(bits)),
                    _ => {}
                }
            }
        }
        if !is_concerned {
            steps.push(serde_json::from_value(json).ok()?);
        }
    }
    for step in &mut steps {
        if let Step::Submit { participants, .. } = step {
            *participants = participants.iter().filter_map(|other| moved(other % replicas)).collect();
        }
    }
    plan.steps = steps;
    let Options { replicas, links, skew_ms, drift_ppm, older_hosts, .. } = &mut plan.options;
    *replicas -= 1;
    if (host as usize) < skew_ms.len() {
        skew_ms.remove(host as usize);
    }
    if (host as usize) < drift_ppm.len() {
        drift_ppm.remove(host as usize);
    }
    *older_hosts = older_hosts.iter().filter_map(|other| moved(*other)).collect();
    if let Some(messages) = &mut links.faulty_messages {
        let moved = |message: &MessageName| {
            Some(MessageName { from: moved(message.from)?, to: moved(message.to)?, number: message.number })
        };
        *messages = messages.iter().filter_map(moved).collect();
    }
    Some(plan)
}

/// A step that names its replicas by the numbers they have, and if `is_all` with 0 for every other number.
fn simpler(step: &Step, replicas: u32, is_all: bool) -> Option<Step> {
    let mut json = serde_json::to_value(step).ok()?;
    for (_, fields) in json.as_object_mut()? {
        for (name, field) in fields.as_object_mut()? {
            let is_replica = matches!(name.as_str(), "replica" | "other");
            match field.as_i64() {
                Some(number) if is_replica => *field = Json::from(number % i64::from(replicas)),
                Some(_) if is_all && !matches!(name.as_str(), "group" | "participants") => *field = Json::from(0),
                _ => {}
            }
        }
    }
    serde_json::from_value(json).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kuzusync_sim::network::Fate;

    use super::*;

    /// A run that fails when its plan has what `fails` says.
    struct Pretended<F> {
        fails: F,
        runs: u32,
        /// From this run on every history is another.
        differs_from: u32,
        events: Vec<Event>,
    }

    impl<F: Fn(&Plan) -> Option<&'static str>> Pretended<F> {
        fn new(fails: F) -> Self {
            Pretended { fails, runs: 0, differs_from: u32::MAX, events: Vec::new() }
        }
    }

    impl<F: Fn(&Plan) -> Option<&'static str>> Replays for Pretended<F> {
        fn run(&mut self, plan: &Plan) -> Option<Trial> {
            self.runs += 1;
            let noise = self.runs.saturating_sub(self.differs_from);
            let digest = Digest::of_value(&(plan, noise));
            Some(Trial { signature: (self.fails)(plan).map(str::to_owned), digest: Some(digest) })
        }

        fn events(&mut self, _: &Plan) -> Vec<Event> {
            self.events.clone()
        }
    }

    fn delete(row: u32) -> Step {
        Step::DeleteNode { replica: 1, row }
    }

    /// Sixty steps; a crash and the deletion of row 7 among them.
    fn long_plan() -> Plan {
        let links = LinkOptions { loss_permille: 100, jitter_ms_max: 9, ..LinkOptions::default() };
        let options = Options { replicas: 5, links, skew_ms: vec![5, 0, -3], ..Options::default() };
        let mut steps: Vec<Step> = (100..160).map(delete).collect();
        steps[20] = Step::Crash { replica: 0, after_outputs: 3, kept_bytes: 5 };
        steps[40] = delete(7);
        Plan::new(options, steps)
    }

    fn needs_both(plan: &Plan) -> Option<&'static str> {
        let crash = plan.steps.iter().position(|step| matches!(step, Step::Crash { .. }))?;
        plan.steps[crash..].contains(&delete(7)).then_some("safety")
    }

    #[test]
    fn what_does_not_matter_goes_and_what_matters_stays() {
        let mut replays = Pretended::new(needs_both);
        let shrunk = shrink(&long_plan(), "safety", &mut replays).unwrap();
        assert_eq!(shrunk.plan.steps, [Step::Crash { replica: 0, after_outputs: 0, kept_bytes: 0 }, delete(7)]);
        let options = Options { replicas: 2, ..Options::default() };
        assert_eq!(shrunk.plan.options, options);
        assert!(shrunk.is_smallest && shrunk.replays == replays.runs && shrunk.replays <= REPLAYS_MAX);
        assert_eq!(faults(&shrunk.plan), 1);
    }

    #[test]
    fn two_steps_that_need_each_other_go_together() {
        let fails = |plan: &Plan| {
            let has = |row| plan.steps.contains(&delete(row));
            (has(0) && has(110) == has(141)).then_some("safety")
        };
        let mut plan = long_plan();
        plan.steps[5] = delete(0);
        let shrunk = shrink(&plan, "safety", &mut Pretended::new(fails)).unwrap();
        assert_eq!(shrunk.plan.steps, [delete(0)]);
    }

    #[test]
    fn another_failure_is_not_the_same_bug() {
        let fails = |plan: &Plan| Some(if plan.steps.len() > 30 { "safety" } else { "crash" });
        let shrunk = shrink(&long_plan(), "safety", &mut Pretended::new(fails)).unwrap();
        assert_eq!(shrunk.plan.steps.len(), 31);
        let refused = shrink(&long_plan(), "liveness", &mut Pretended::new(fails)).unwrap_err();
        assert_eq!(refused.to_string(), "it fails of safety, not of liveness");
    }

    fn lost(MessageName { from, to, number }: MessageName) -> Event {
        let fate = Fate { delays_us: Vec::new(), is_reordered: false, flipped_bit: None, clogged_us: 0, queued_us: 0 };
        let (bytes, checksum, frame) = (0, 0, Arc::default());
        let kind = EventKind::Sent { to, number, bytes, checksum, frame, is_cut: false, fate };
        Event { at_us: number, host: Some(from), kind }
    }

    #[test]
    fn link_faults_become_the_messages_that_matter() {
        let message = |number| MessageName { from: 1, to: 0, number };
        let fails = move |plan: &Plan| {
            let LinkOptions { loss_permille, faulty_messages, .. } = &plan.options.links;
            let is_lost = faulty_messages.as_ref().is_none_or(|messages| messages.contains(&message(5)));
            (*loss_permille > 0 && is_lost).then_some("safety")
        };
        let mut replays =
            Pretended { events: (1..40).map(|number| lost(message(number))).collect(), ..Pretended::new(fails) };
        let shrunk = shrink(&long_plan(), "safety", &mut replays).unwrap();
        assert_eq!(shrunk.plan.options.links.faulty_messages, Some([message(5)].into()));
        assert_eq!((shrunk.plan.steps.len(), faults(&shrunk.plan)), (0, 1));
    }

    #[test]
    fn a_plan_whose_runs_differ_is_not_shrunk() {
        let mut replays = Pretended { differs_from: 9, ..Pretended::new(needs_both) };
        let refused = shrink(&long_plan(), "safety", &mut replays).unwrap_err();
        assert!(matches!(refused, Unshrinkable::Nondeterminism { .. }), "{refused}");
    }

    #[test]
    fn it_ends_after_as_many_runs_as_it_may_make() {
        // Every other step matters, so that nothing but single steps can go.
        let fails = |plan: &Plan| {
            let is_needed = |row: &u32| plan.steps.contains(&delete(*row));
            (0..300).step_by(2).all(|row| is_needed(&row)).then_some("safety")
        };
        let plan = Plan::new(Options::default(), (0..300).map(delete).collect());
        let shrunk = shrink(&plan, "safety", &mut Pretended::new(fails)).unwrap();
        assert!(!shrunk.is_smallest && (REPLAYS_MAX - 1..=REPLAYS_MAX).contains(&shrunk.replays));
        assert_eq!(fails(&shrunk.plan), Some("safety"));
    }

    #[test]
    fn time_that_has_to_pass_does_so_at_as_few_places_as_possible() {
        let fails = |plan: &Plan| {
            let waited_ms = |step: &Step| if let Step::Wait { ms } = step { *ms } else { 0 };
            (plan.steps.iter().map(waited_ms).sum::<u64>() >= 60).then_some("safety")
        };
        let steps = vec![Step::Wait { ms: 20 }, delete(1), Step::Wait { ms: 20 }, Step::Wait { ms: 20 }];
        let plan = Plan::new(Options::default(), steps);
        let shrunk = shrink(&plan, "safety", &mut Pretended::new(fails)).unwrap();
        assert_eq!(shrunk.plan.steps, [Step::Wait { ms: 60 }]);
    }

    #[test]
    fn statements_that_do_not_matter_go() {
        let statement = |table: &str| kuzusync_core::statement::Statement::CreateNode {
            table: table.into(),
            properties: Default::default(),
        };
        let statements = ["A", "B", "C"].map(statement).to_vec();
        let needed = statement("B");
        let fails = move |plan: &Plan| {
            let is_there =
                |step: &Step| matches!(step, Step::Submit { statements, .. } if statements.contains(&needed));
            plan.steps.iter().any(is_there).then_some("safety")
        };
        let submit = |statements| Step::Submit { replica: 0, statements, participants: Vec::new() };
        let plan = Plan::new(Options::default(), vec![submit(statements)]);
        let shrunk = shrink(&plan, "safety", &mut Pretended::new(fails)).unwrap();
        assert_eq!(shrunk.plan.steps, [submit(vec![statement("B")])]);
    }

    #[test]
    fn a_host_goes_with_all_that_concerns_it() {
        let fails = |plan: &Plan| {
            let on_last = |step: &Step| matches!(step, Step::DeleteNode { replica, row: 7 } if replica + 1 == plan.options.replicas);
            (plan.options.skew_ms == [0, 9] && plan.steps.iter().any(on_last)).then_some("safety")
        };
        let options = Options { replicas: 2, skew_ms: vec![0, 9], ..Options::default() };
        let small = Plan::new(options, vec![Step::DeleteNode { replica: 1, row: 7 }]);
        let options = Options { replicas: 4, skew_ms: vec![0, 3, 4, 9], ..Options::default() };
        let far = Step::Clog { replica: 2, other: 3, ms: 5 };
        let plan = Plan::new(options, vec![far, Step::DeleteNode { replica: 7, row: 7 }]);
        let without = without_host(&without_host(&plan, 2).unwrap(), 1).unwrap();
        assert_eq!(without, small);
        assert_eq!(fails(&without), Some("safety"));
        let group = Plan::new(Options::default(), vec![Step::Partition { group: 0b110 }]);
        assert_eq!(without_host(&group, 1).unwrap().steps, [Step::Partition { group: 0b10 }]);
    }

    #[test]
    fn time_passes_in_the_place_of_steps_that_only_take_time() {
        let fails = |plan: &Plan| {
            let took_ms = |step: &Step| if let Step::Wait { ms } = step { *ms } else { 20 };
            let before_last = plan.steps.split_last()?.1.iter().map(took_ms).sum::<u64>();
            (plan.steps.last() == Some(&delete(0)) && before_last >= 90).then_some("safety")
        };
        let steps = (0..8).rev().map(delete).collect();
        let shrunk = shrink(&Plan::new(Options::default(), steps), "safety", &mut Pretended::new(fails)).unwrap();
        assert!(
            matches!(shrunk.plan.steps[..], [Step::Wait { .. }, Step::DeleteNode { .. }]),
            "{:?}",
            shrunk.plan.steps
        );
    }

    #[test]
    fn a_cut_stands_for_many_lost_messages() {
        let message = |number| MessageName { from: 2, to: 1, number };
        let fails = move |plan: &Plan| {
            let lost = plan.options.links.faulty_messages.clone();
            let is_cut = plan.steps.contains(&Step::CutLink { replica: 1, other: 2, after_messages: 0 });
            let is_lost = lost.is_none_or(|lost| (1..5).all(|number| lost.contains(&message(number))));
            (plan.options.links.loss_permille > 0 && (is_cut || is_lost)).then_some("safety")
        };
        let mut replays =
            Pretended { events: (1..40).map(|number| lost(message(number))).collect(), ..Pretended::new(fails) };
        let shrunk = shrink(&long_plan(), "safety", &mut replays).unwrap();
        assert_eq!(shrunk.plan.steps, [Step::CutLink { replica: 1, other: 2, after_messages: 0 }]);
        assert_eq!(faults(&shrunk.plan), 1);
    }

    #[test]
    fn what_a_client_does_in_a_row_becomes_one_transaction_in_a_long_plan() {
        let statement = |row: u32| Statement::DeleteNode { table: "A".into(), key: i64::from(row).into() };
        let invoked = |row: u32| {
            let kind = EventKind::Invoked { invocation: u64::from(row), statements: vec![statement(row)] };
            Event { at_us: u64::from(row), host: Some(1), kind }
        };
        let fails = move |plan: &Plan| {
            let deletes = |row: u32| {
                plan.steps.iter().any(|step| match step {
                    Step::Submit { statements, .. } => statements.contains(&statement(row)),
                    step => *step == delete(row),
                })
            };
            (1..13).all(deletes).then_some("safety")
        };
        let mut replays = Pretended { events: (1..13).map(invoked).collect(), ..Pretended::new(fails) };
        let plan = Plan::new(Options::default(), (1..13).map(delete).collect());
        let shrunk = shrink(&plan, "safety", &mut replays).unwrap();
        assert_eq!(shrunk.plan.steps.len(), STEPS_FEW);
        assert_eq!(fails(&shrunk.plan), Some("safety"));
    }
}
