//! Shrinking: a smaller plan that fails of the same thing.
//!
//! A generated plan that fails has some sixty steps and as many faults, of which a handful matter. Shrinking takes parts
//! of it away and keeps what still fails with the same [signature](kuzusync_sim::outcome::Failure::signature): another
//! failure is another bug. Large groups go first: all steps of a kind, all that concerns a host. Then lists are reduced by
//! halves, quarters and so on down to single items, the last ones first, because what comes after the failure's cause
//! seldom matters. Link faults are rates in a generated plan; they become a list of the messages concerned, which is then
//! reduced like the steps.
//!
//! A message is known by its number, and what happens to a number is drawn from the seed. So many a step and many a fault stay
//! only because without them another message would have the number that matters. Where much is left, one thing happens for
//! certain to the messages of one kind, such as the chunks of a snapshot, and to nothing else; from then on a fault follows its
//! message: if the message has another number in a smaller plan, the plan is run again with that number.
//!
//! Many a step stays only because it takes time. Where nothing can go by itself, time passes in its place; one step, such as
//! a cut of a link, stands for many faulty messages; and if that leaves a plan that is still long, what a client does in a row
//! becomes one transaction.
//!
//! What each pass leaves is run a second time. If the two runs differ, the run depends on more than its plan: nothing that
//! shrinking says could be trusted, and it ends.

use std::collections::BTreeSet;
use std::mem::discriminant;
use std::ops::Range;

use kuzusync_core::id::Digest;
use kuzusync_core::message::Message;
use kuzusync_core::statement::Statement;
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::options::{LinkOptions, MessageName, Options};
use kuzusync_sim::step::{Plan, Step};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Runs that shrinking makes at most.
pub const REPLAYS_MAX: u32 = 300;

/// Steps of a plan that a reader still takes in at once.
pub const STEPS_FEW: usize = 10;

/// Faults of a plan that a reader still takes in at once.
pub const FAULTS_FEW: usize = 3;

/// How long a link holds back what is sent, where that stands for messages that are late.
const CLOGGED_MS: u64 = 1_000;

/// Runs after which no other kind of message is tried.
const AIMING_MAX: u32 = 20;

/// What a run came to, as far as shrinking cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The signature of its failure, if it failed.
    pub signature: Option<String>,
    /// The digest of its history, if it left one.
    pub digest: Option<Digest>,
}

/// A message that was sent in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its name there.
    pub name: MessageName,
    /// What kind of message it is.
    pub kind: MessageKind,
    /// What went wrong with it.
    pub fault: Option<LinkFault>,
}

/// What happens to a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LinkFault {
    /// It does not arrive.
    Loss,
    /// Other bytes arrive.
    Damage,
    /// It arrives twice.
    Repeat,
    /// It arrives after later ones.
    Reorder,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MessageKind {
    /// The handshake.
    Hello,
    /// Its answer.
    HelloBack,
    /// Changes and rulings.
    Changes,
    /// What the sender holds.
    Ack,
    /// The end of a session.
    Refused,
    /// A summary was too short.
    Unclear,
    /// About a transaction that replicas vote on.
    TwoPhase,
    /// A snapshot is to be had.
    Offer,
    /// Which chunks of it are wanted.
    Want,
    /// One of them.
    Chunk,
    /// What is no message.
    Other,
}

/// What is known of a run.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What it came to.
    pub trial: Trial,
    /// What was sent on links that were not cut, in order; of a plan whose links are good nothing need be told.
    pub sent: Vec<Sent>,
}

/// Who makes the runs.
pub trait Replays {
    /// Runs a plan; `None` if there is no time left for it.
    fn run(&mut self, plan: &Plan) -> Option<Replay>;

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

/// The messages of a history, without those that met a cut link.
#[must_use]
pub fn sent(events: &[Event]) -> Vec<Sent> {
    let message = |event: &Event| match &event.kind {
        EventKind::Sent { to, number, fate, frame, is_cut: false, .. } => {
            let fault = match fate {
                fate if fate.delays_us.is_empty() => Some(LinkFault::Loss),
                fate if fate.flipped_bit.is_some() => Some(LinkFault::Damage),
                fate if fate.delays_us.len() > 1 => Some(LinkFault::Repeat),
                fate => fate.is_reordered.then_some(LinkFault::Reorder),
            };
            let name = MessageName { from: event.host?, to: *to, number: *number };
            Some(Sent { name, kind: MessageKind::of(frame), fault })
        }
        _ => None,
    };
    events.iter().filter_map(message).collect()
}

/// The messages of a history to which something happened on their way.
#[must_use]
pub fn faulty_messages(events: &[Event]) -> BTreeSet<MessageName> {
    faulty(&sent(events))
}

fn faulty(sent: &[Sent]) -> BTreeSet<MessageName> {
    sent.iter().filter(|message| message.fault.is_some()).map(|message| message.name).collect()
}

impl MessageKind {
    fn of(frame: &[u8]) -> Self {
        match Message::decode(frame).map(Message::untagged) {
            Ok(Message::Hello(hello)) if hello.is_reply => MessageKind::HelloBack,
            Ok(Message::Hello(_)) => MessageKind::Hello,
            Ok(Message::Changes { .. }) => MessageKind::Changes,
            Ok(Message::Ack(_)) => MessageKind::Ack,
            Ok(Message::Refused(_)) => MessageKind::Refused,
            Ok(Message::Unclear { .. }) => MessageKind::Unclear,
            Ok(Message::TwoPhase(_)) => MessageKind::TwoPhase,
            Ok(Message::Offer { .. }) => MessageKind::Offer,
            Ok(Message::Want { .. }) => MessageKind::Want,
            Ok(Message::Chunk { .. }) => MessageKind::Chunk,
            Ok(Message::Tagged { .. }) | Err(_) => MessageKind::Other,
        }
    }
}

impl LinkFault {
    /// All of them.
    pub const ALL: [LinkFault; 4] = [LinkFault::Loss, LinkFault::Damage, LinkFault::Repeat, LinkFault::Reorder];

    fn permille(self, links: &mut LinkOptions) -> &mut u32 {
        match self {
            LinkFault::Loss => &mut links.loss_permille,
            LinkFault::Damage => &mut links.corrupt_permille,
            LinkFault::Repeat => &mut links.repeat_permille,
            LinkFault::Reorder => &mut links.reorder_permille,
        }
    }
}

/// Whether anything but time happens to messages on their way.
#[must_use]
pub fn has_link_faults(plan: &Plan) -> bool {
    rates(&plan.options.links) != [0; 4]
}

fn rates(links: &LinkOptions) -> [u32; 4] {
    [links.loss_permille, links.repeat_permille, links.reorder_permille, links.corrupt_permille]
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
        | Step::Compact
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
    let first = shrinking.run(plan);
    let found = first.as_ref().and_then(|replay| replay.trial.signature.clone());
    if found.as_deref() != Some(signature) {
        return Err(Unshrinkable::OtherFailure { expected: signature.to_owned(), found });
    }
    shrinking.note(plan.clone(), first);
    shrinking.confirm()?;
    shrinking.pass(Shrinking::drop_conditions)?;
    shrinking.pass(Shrinking::drop_kinds)?;
    let (mut size, mut is_first) = (plan.steps.len(), true);
    loop {
        let before = shrinking.best.clone();
        shrinking.pass(|shrinking| shrinking.drop_steps(size))?;
        shrinking.pass(Shrinking::drop_hosts)?;
        shrinking.pass(Shrinking::join_waits)?;
        shrinking.pass(Shrinking::drop_conditions)?;
        if is_first {
            shrinking.pass(Shrinking::aim)?;
        }
        shrinking.pass(Shrinking::drop_messages)?;
        if is_first {
            shrinking.pass(Shrinking::simplify_steps)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::aim)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::let_time_pass)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::replace_messages)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::aim_at_one)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::join_statements)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::simplify_steps)?;
        }
        if shrinking.best == before {
            shrinking.pass(Shrinking::drop_pairs)?;
        }
        if shrinking.best == before || shrinking.is_over {
            break;
        }
        // What is left of a whole list hardly ever goes by more than two, unless faults follow their messages from now on.
        let is_aimed = |plan: &Plan| is_certain(&plan.options.links);
        let follows = is_aimed(&shrinking.best) && !is_aimed(&before);
        (size, is_first) = (if follows { shrinking.best.steps.len() } else { 2 }, false);
    }
    Ok(Shrunk { plan: shrinking.best, replays: shrinking.made, is_smallest: !shrinking.is_over })
}

struct Shrinking<'r, R> {
    replays: &'r mut R,
    signature: &'r str,
    /// The smallest plan so far that fails as it should.
    best: Plan,
    /// Its run, if it was run once.
    seen: Option<Replay>,
    /// Whether it was run a second time.
    is_confirmed: bool,
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
        Shrinking {
            replays,
            signature,
            best,
            seen: None,
            is_confirmed: false,
            confirmed,
            tried: BTreeSet::new(),
            made: 0,
            is_over: false,
        }
    }

    /// Makes a run, as long as one is left for the second run of what is kept.
    fn run(&mut self, plan: &Plan) -> Option<Replay> {
        let replay = if self.made + 1 < REPLAYS_MAX { self.replays.run(plan) } else { None };
        self.made += u32::from(replay.is_some());
        self.is_over |= replay.is_none();
        replay
    }

    /// The history of the smallest plan, which takes a run as well.
    fn events(&mut self) -> Vec<Event> {
        let is_told = self.seen.as_ref().is_some_and(|replay| replay.trial.digest.is_some());
        if !is_told || self.made + 1 >= REPLAYS_MAX {
            return Vec::new();
        }
        self.made += 1;
        self.replays.events(&self.best)
    }

    fn note(&mut self, best: Plan, seen: Option<Replay>) {
        (self.best, self.seen, self.is_confirmed) = (best, seen, false);
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
        if self.is_confirmed {
            return Ok(());
        }
        let Some(first) = self.seen.as_ref().map(|replay| replay.trial.clone()) else { return Ok(()) };
        let again = if self.made < REPLAYS_MAX { self.replays.run(&self.best) } else { None };
        self.made += u32::from(again.is_some());
        match again {
            Some(Replay { trial: second, .. }) if second != first => {
                Err(Unshrinkable::Nondeterminism { first, second })
            }
            Some(_) => {
                (self.confirmed, self.is_confirmed) = (self.best.clone(), true);
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
        let Some(replay) = self.run(&candidate) else { return false };
        if replay.trial.signature.as_deref() == Some(self.signature) {
            self.note(candidate, Some(replay));
            return true;
        }
        // A run more for each of many steps would leave too few of them.
        let (before, after) = (self.best.steps.len(), candidate.steps.len());
        if before > 2 * STEPS_FEW && after * 8 > before * 7 {
            return false;
        }
        match self.renamed(candidate, &replay.sent) {
            Some(renamed) => self.keeps(renamed),
            None => false,
        }
    }

    /// The candidate with faults for the messages that are in its run what the faulty ones are in the run of the smallest plan:
    /// the same in number among those of their kind on their way. Whatever else is left out, other numbers are theirs.
    fn renamed(&self, mut candidate: Plan, sent: &[Sent]) -> Option<Plan> {
        let known = &self.seen.as_ref()?.sent;
        if !is_certain(&candidate.options.links) {
            return None;
        }
        let names = candidate.options.links.faulty_messages.as_ref().filter(|names| names.len() <= FAULTS_FEW)?;
        let renamed: BTreeSet<MessageName> =
            names.iter().map(|name| counterpart(name, known, sent)).collect::<Option<_>>()?;
        if renamed == *names || candidate.options.replicas != self.best.options.replicas {
            return None;
        }
        candidate.options.links.faulty_messages = Some(renamed);
        Some(candidate)
    }

    fn keeps_with(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        self.keeps(candidate)
    }

    /// Takes items out of a list of the plan: so many at a time, then half as many and so on, as long as they are more than
    /// the least.
    fn reduce<T>(
        &mut self,
        Range { start: mut size, end: least }: Range<usize>,
        get: impl Fn(&Plan) -> Vec<T>,
        set: impl Fn(&mut Plan, Vec<T>),
    ) {
        while size > least && !self.is_over {
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
        if self.keeps_with(drop_all_conditions) {
            return;
        }
        for drop in CONDITIONS {
            self.keeps_with(drop);
        }
        if self.best.options.chunk_numbers != Options::default().chunk_numbers {
            self.keeps_with(|plan| plan.options.chunk_numbers = 1);
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

    /// Takes steps out, and looks now and then whether it still takes bad links and clocks.
    fn drop_steps(&mut self, mut size: usize) {
        while size > 0 && !self.is_over {
            let next = if size == 1 { 0 } else { size.div_ceil(2) };
            self.reduce(size..next, |plan| plan.steps.clone(), |plan, steps| plan.steps = steps);
            self.keeps_with(drop_all_conditions);
            size = next;
        }
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
        if !has_link_faults(&self.best) {
            self.best.options.links.faulty_messages = None;
            return;
        }
        let Some(replay) = &self.seen else { return };
        let mut faulty = faulty(&replay.sent);
        if let Some(known) = &self.best.options.links.faulty_messages {
            faulty.retain(|message| known.contains(message));
        }
        self.keeps_with(|plan| plan.options.links.faulty_messages = Some(faulty));
        self.reduce_messages();
        self.make_certain();
    }

    /// Takes out faulty messages: those of a link at once, then halves of all and so on.
    fn reduce_messages(&mut self) {
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
            count..0,
            |plan| plan.options.links.faulty_messages.iter().flatten().copied().collect(),
            |plan, messages| plan.options.links.faulty_messages = Some(messages.into_iter().collect()),
        );
    }

    /// What goes wrong with messages, and what is sent if nothing does. There is nothing to aim if one thing goes wrong once.
    fn aims(&mut self) -> Option<(Vec<Sent>, Vec<Sent>)> {
        let replay = self.seen.as_ref()?;
        let faulty: Vec<Sent> = replay.sent.iter().filter(|message| message.fault.is_some()).cloned().collect();
        if faulty.len() < 2 || is_certain(&self.best.options.links) {
            return None;
        }
        let mut good = self.best.clone();
        good.options.links.faulty_messages = Some(BTreeSet::new());
        let replay = self.run(&good)?;
        if replay.trial.signature.as_deref() == Some(self.signature) {
            self.note(good, Some(replay));
            return None;
        }
        Some((faulty, replay.sent))
    }

    /// Has one thing happen to all messages of a kind and then to a few of them, where different things happen to many.
    fn aim(&mut self) {
        let is_small = self.best.steps.len() <= STEPS_FEW && faults(&self.best) <= FAULTS_FEW;
        if is_small && self.best.options.links.faulty_messages.is_some() {
            return;
        }
        let Some((faulty, sent)) = self.aims() else { return };
        let kinds: BTreeSet<_> = faulty.iter().filter_map(|message| Some((message.fault?, message.kind))).collect();
        let enough = self.made + AIMING_MAX;
        for (fault, kind) in kinds {
            if self.made >= enough {
                return;
            }
            let like = sent.iter().filter(|message| message.kind == kind);
            let names: BTreeSet<MessageName> = like.map(|message| message.name).collect();
            let before = (self.best.clone(), self.seen.clone(), self.is_confirmed);
            if names.is_empty() || !self.keeps_with(|plan| make_certain(&mut plan.options.links, fault, names)) {
                continue;
            }
            self.reduce_messages();
            if self.best.options.links.faulty_messages.as_ref().map_or(0, BTreeSet::len) <= FAULTS_FEW {
                return;
            }
            (self.best, self.seen, self.is_confirmed) = before;
        }
    }

    /// Where more than a few faults are left, tries each faulty message alone.
    fn aim_at_one(&mut self) {
        if faults(&self.best) <= FAULTS_FEW {
            return;
        }
        let Some((faulty, sent)) = self.aims() else { return };
        let Some(replay) = self.seen.clone() else { return };
        for message in faulty {
            let Some(fault) = message.fault else { continue };
            let Some(name) = counterpart(&message.name, &replay.sent, &sent) else { continue };
            if self.keeps_with(|plan| make_certain(&mut plan.options.links, fault, [name].into())) {
                return;
            }
        }
    }

    /// Has one thing happen to the messages that are left, whatever numbers they have.
    fn make_certain(&mut self) {
        if is_certain(&self.best.options.links) {
            return;
        }
        let Some(replay) = &self.seen else { return };
        let present: BTreeSet<LinkFault> = replay.sent.iter().filter_map(|message| message.fault).collect();
        for fault in present {
            let Some(replay) = &self.seen else { return };
            let concerned = replay.sent.iter().filter(|message| message.fault == Some(fault));
            let names: BTreeSet<MessageName> = concerned.map(|message| message.name).collect();
            if self.keeps_with(|plan| make_certain(&mut plan.options.links, fault, names)) {
                return;
            }
        }
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

    /// Has one step stand for many faulty messages: a cut of their link for three of one link or more; where more than a few
    /// faults are left, anything that keeps messages from arriving in time.
    fn replace_messages(&mut self) {
        let messages = self.best.options.links.faulty_messages.clone().unwrap_or_default();
        let links: BTreeSet<(u32, u32)> = messages.iter().map(link).collect();
        let cut = |(replica, other)| Step::CutLink { replica, other, after_messages: 0 };
        for link in &links {
            let others: BTreeSet<MessageName> =
                messages.iter().filter(|other| self::link(other) != *link).copied().collect();
            if messages.len() >= others.len() + 3 && self.replace(cut(*link), &others) {
                return;
            }
        }
        if messages.len() < 2 || faults(&self.best) <= FAULTS_FEW {
            return;
        }
        let replicas = self.best.options.replicas;
        let all_links = (0..replicas).flat_map(|host| (host + 1..replicas).map(move |other| (host, other)));
        let hosts = || (0..replicas).filter(|host| links.iter().any(|link| link.0 == *host || link.1 == *host));
        let clogs = links.iter().map(|&(replica, other)| Step::Clog { replica, other, ms: CLOGGED_MS });
        let steps = all_links.map(cut).chain(hosts().map(|replica| Step::Isolate { replica }));
        let steps = steps.chain(clogs).chain(hosts().map(|replica| Step::Wipe { replica }));
        for step in steps {
            if self.replace(step, &BTreeSet::new()) {
                return;
            }
        }
    }

    /// Inserts a step before one of the others, where only these messages are still concerned by faults.
    fn replace(&mut self, step: Step, messages: &BTreeSet<MessageName>) -> bool {
        (0..=self.best.steps.len()).rev().any(|place| {
            self.keeps_with(|plan| {
                plan.options.links.faulty_messages = Some(messages.clone());
                plan.steps.insert(place, step.clone());
            })
        })
    }

    /// Puts what clients do in a row at one replica into one transaction, while the plan is long.
    fn join_statements(&mut self) {
        if self.best.steps.len() <= STEPS_FEW {
            return;
        }
        let events = self.events();
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

/// Has one thing happen to these messages and nothing to others.
fn make_certain(links: &mut LinkOptions, fault: LinkFault, messages: BTreeSet<MessageName>) {
    for other in LinkFault::ALL {
        *other.permille(links) = if other == fault { 1_000 } else { 0 };
    }
    links.faulty_messages = Some(messages);
}

/// The message that is in a run what this one is in another: the same in number among those of its kind on its way.
fn counterpart(name: &MessageName, known: &[Sent], sent: &[Sent]) -> Option<MessageName> {
    let way = |message: &Sent| (message.name.from, message.name.to, message.kind);
    let place = known.iter().position(|message| message.name == *name)?;
    let is_like = |message: &&Sent| way(message) == way(&known[place]);
    let before = known[..place].iter().filter(is_like).count();
    sent.iter().filter(is_like).nth(before).map(|message| message.name)
}

/// Whether the same thing happens to every message that is named.
fn is_certain(links: &LinkOptions) -> bool {
    let mut rates = rates(links);
    rates.sort_unstable();
    rates == [0, 0, 0, 1_000]
}

/// Each makes a link or a clock a good one, or another option the usual one.
const CONDITIONS: [fn(&mut Plan); 14] = [
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
    |plan| plan.options.retention_ms = Options::default().retention_ms,
    |plan| plan.options.skew_ms.clear(),
    |plan| plan.options.drift_ppm.clear(),
    |plan| plan.options.older_hosts.clear(),
];

fn drop_all_conditions(plan: &mut Plan) {
    CONDITIONS.iter().for_each(|drop| drop(plan));
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
        fn run(&mut self, plan: &Plan) -> Option<Replay> {
            self.runs += 1;
            let noise = self.runs.saturating_sub(self.differs_from);
            let digest = Digest::of_value(&(plan, noise));
            let trial = Trial { signature: (self.fails)(plan).map(str::to_owned), digest: Some(digest) };
            Some(Replay { trial, sent: sent(&self.events) })
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

    /// Each step sends an acknowledgement, and the deletion of row 7 asks for chunks besides. Of the messages each seventh is
    /// damaged, or each that is named.
    struct Sending;

    impl Replays for Sending {
        fn run(&mut self, plan: &Plan) -> Option<Replay> {
            let LinkOptions { corrupt_permille, faulty_messages, .. } = &plan.options.links;
            let kinds = plan.steps.iter().flat_map(|step| match step {
                step if *step == delete(7) => vec![MessageKind::Ack, MessageKind::Want],
                _ => vec![MessageKind::Ack],
            });
            let message = |(number, kind): (u64, MessageKind)| {
                let name = MessageName { from: 0, to: 1, number };
                let is_named = faulty_messages.as_ref().is_none_or(|names| names.contains(&name));
                let is_drawn = *corrupt_permille == 1_000 || *corrupt_permille > 0 && number % 7 == 0;
                Sent { name, kind, fault: (is_named && is_drawn).then_some(LinkFault::Damage) }
            };
            let sent: Vec<Sent> = (1..).zip(kinds).map(message).collect();
            let fails = sent.iter().any(|message| message.kind == MessageKind::Want && message.fault.is_some());
            let trial = Trial { signature: fails.then(|| "safety".to_owned()), digest: Some(Digest::of_value(plan)) };
            Some(Replay { trial, sent })
        }

        fn events(&mut self, _: &Plan) -> Vec<Event> {
            Vec::new()
        }
    }

    #[test]
    fn a_fault_follows_its_message_when_steps_go() {
        let links = LinkOptions { corrupt_permille: 100, ..LinkOptions::default() };
        let mut steps: Vec<Step> = (100..160).map(delete).collect();
        steps[40] = delete(7);
        let plan = Plan::new(Options { links, ..Options::default() }, steps);
        let shrunk = shrink(&plan, "safety", &mut Sending).unwrap();
        assert_eq!(shrunk.plan.steps, [delete(7)]);
        let LinkOptions { corrupt_permille, faulty_messages, .. } = shrunk.plan.options.links;
        assert_eq!(corrupt_permille, 1_000);
        assert_eq!(faulty_messages, Some([MessageName { from: 0, to: 1, number: 2 }].into()));
        assert!(shrunk.is_smallest);
    }

    #[test]
    fn one_step_stands_for_faulty_messages_of_many_links() {
        let message = |from, to| MessageName { from, to, number: 1 };
        let all = [message(1, 0), message(1, 2), message(3, 1), message(4, 1)];
        let fails = move |plan: &Plan| {
            let lost = plan.options.links.faulty_messages.as_ref();
            let is_isolated = plan.steps.contains(&Step::Isolate { replica: 1 });
            let is_lost = lost.is_none_or(|lost| all.iter().all(|message| lost.contains(message)));
            (plan.options.replicas == 5 && plan.options.links.loss_permille > 0 && (is_isolated || is_lost))
                .then_some("safety")
        };
        let mut replays = Pretended { events: all.map(lost).into(), ..Pretended::new(fails) };
        let shrunk = shrink(&long_plan(), "safety", &mut replays).unwrap();
        assert_eq!(shrunk.plan.steps, [Step::Isolate { replica: 1 }]);
        assert_eq!(faults(&shrunk.plan), 1);
    }

    #[test]
    fn what_happened_to_a_message_and_what_it_was_is_read_from_the_history() {
        let fate = |delays_us, flipped_bit, is_reordered| Fate {
            delays_us,
            is_reordered,
            flipped_bit,
            clogged_us: 0,
            queued_us: 0,
        };
        let fates = [
            (fate(vec![], None, false), Some(LinkFault::Loss)),
            (fate(vec![1], Some(3), false), Some(LinkFault::Damage)),
            (fate(vec![1, 2], None, true), Some(LinkFault::Repeat)),
            (fate(vec![1], None, true), Some(LinkFault::Reorder)),
            (fate(vec![1], None, false), None),
        ];
        for (fate, fault) in fates {
            let frame = Message::Want { chunks: vec![1] }.encode().into();
            let kind = EventKind::Sent { to: 1, number: 4, bytes: 0, checksum: 0, frame, is_cut: false, fate };
            let name = MessageName { from: 0, to: 1, number: 4 };
            let expected = Sent { name, kind: MessageKind::Want, fault };
            assert_eq!(sent(&[Event { at_us: 1, host: Some(0), kind }]), [expected]);
        }
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
