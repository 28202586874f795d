//! Shrinking: a smaller plan that fails of the same thing.
//!
//! A generated plan that fails has some sixty steps and as many faults, of which a handful matter. Shrinking takes parts
//! of it away and keeps what still fails with the same [signature](kuzusync_sim::outcome::Failure::signature): another
//! failure is another bug. Lists are reduced by halves, quarters and so on down to single items, the last ones first, because what
//! comes after the failure's cause seldom matters. Link faults are rates in a generated plan; they become a list of
//! the messages concerned, which is then reduced like the steps.
//!
//! Every plan that is kept is run twice. If the two runs differ, the run depends on more than its plan: nothing that
//! shrinking says could be trusted, and it ends.

use std::collections::BTreeSet;

use kuzusync_core::id::Digest;
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::options::{LinkOptions, MessageName, Options};
use kuzusync_sim::step::{Plan, Step};
use serde_json::Value as Json;

/// Runs that shrinking makes at most.
pub const REPLAYS_MAX: u32 = 300;

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

    /// The messages of this plan's run to which something happened; none if its history is not to be had.
    fn faulty_messages(&mut self, plan: &Plan) -> BTreeSet<MessageName>;
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
    let mut shrinking = Shrinking { replays, signature, best: plan.clone(), made: 0, is_over: false };
    let found = shrinking.run_twice(plan)?.and_then(|trial| trial.signature);
    if found.as_deref() != Some(signature) {
        return Err(Unshrinkable::OtherFailure { expected: signature.to_owned(), found });
    }
    shrinking.drop_conditions()?;
    loop {
        let before = shrinking.best.clone();
        shrinking.drop_steps()?;
        shrinking.join_waits()?;
        shrinking.drop_conditions()?;
        shrinking.drop_messages()?;
        shrinking.drop_replicas()?;
        shrinking.simplify_steps()?;
        if shrinking.best == before {
            shrinking.drop_pairs()?;
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
    made: u32,
    /// Whether runs or time ran out.
    is_over: bool,
}

impl<R: Replays> Shrinking<'_, R> {
    fn run(&mut self, plan: &Plan) -> Option<Trial> {
        let trial = if self.made < REPLAYS_MAX { self.replays.run(plan) } else { None };
        self.made += u32::from(trial.is_some());
        self.is_over |= trial.is_none();
        trial
    }

    /// Runs a plan again if the first run fails as it should.
    fn run_twice(&mut self, plan: &Plan) -> Result<Option<Trial>, Unshrinkable> {
        let Some(first) = self.run(plan) else { return Ok(None) };
        if first.signature.as_deref() != Some(self.signature) {
            return Ok(Some(first));
        }
        match self.run(plan) {
            Some(second) if second != first => Err(Unshrinkable::Nondeterminism { first, second }),
            again => Ok(again),
        }
    }

    /// Keeps a smaller plan if it fails as it should, and says so.
    fn keeps(&mut self, candidate: Plan) -> Result<bool, Unshrinkable> {
        if candidate == self.best {
            return Ok(false);
        }
        let trial = self.run_twice(&candidate)?;
        let fails = trial.is_some_and(|trial| trial.signature.as_deref() == Some(self.signature));
        if fails {
            self.best = candidate;
        }
        Ok(fails)
    }

    fn keeps_with(&mut self, change: impl FnOnce(&mut Plan)) -> Result<bool, Unshrinkable> {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        self.keeps(candidate)
    }

    /// Takes items out of a list of the plan: half of it at a time, then a quarter, at last one by one.
    fn reduce<T>(
        &mut self,
        get: impl Fn(&Plan) -> Vec<T>,
        set: impl Fn(&mut Plan, Vec<T>),
    ) -> Result<(), Unshrinkable> {
        let mut size = get(&self.best).len();
        while size > 0 && !self.is_over {
            let mut end = get(&self.best).len();
            while end > 0 && !self.is_over {
                let start = end.saturating_sub(size);
                let mut items = get(&self.best);
                items.drain(start..end);
                self.keeps_with(|plan| set(plan, items))?;
                end = start;
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        Ok(())
    }

    /// Good links and true clocks, all at once or one after the other.
    fn drop_conditions(&mut self) -> Result<(), Unshrinkable> {
        let conditions: [fn(&mut Plan); 14] = [
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
        if self.keeps_with(|plan| conditions.iter().for_each(|drop| drop(plan)))? {
            return Ok(());
        }
        for drop in conditions {
            self.keeps_with(drop)?;
        }
        for host in 0..self.best.options.skew_ms.len() {
            self.keeps_with(|plan| plan.options.skew_ms[host] = 0)?;
        }
        for host in 0..self.best.options.drift_ppm.len() {
            self.keeps_with(|plan| plan.options.drift_ppm[host] = 0)?;
        }
        for host in self.best.options.older_hosts.clone() {
            self.keeps_with(|plan| {
                plan.options.older_hosts.remove(&host);
            })?;
        }
        Ok(())
    }

    fn drop_steps(&mut self) -> Result<(), Unshrinkable> {
        self.reduce(|plan| plan.steps.clone(), |plan, steps| plan.steps = steps)
    }

    /// Takes out two steps at once, such as a crash and its restart, where neither can go alone.
    fn drop_pairs(&mut self) -> Result<(), Unshrinkable> {
        let mut later = self.best.steps.len();
        while later > 0 && !self.is_over {
            later -= 1;
            for earlier in (0..later).rev() {
                let without_both = |plan: &mut Plan| {
                    plan.steps.remove(later);
                    plan.steps.remove(earlier);
                };
                if self.keeps_with(without_both)? {
                    later -= 1;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Lets time pass at fewer places: what a wait took is added to the one after it, or to the one before.
    fn join_waits(&mut self) -> Result<(), Unshrinkable> {
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
                if self.keeps_with(joined)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Turns what is left of the links' rates into the messages concerned, and takes out those that do not matter.
    fn drop_messages(&mut self) -> Result<(), Unshrinkable> {
        let links = &self.best.options.links;
        let rates = [links.loss_permille, links.repeat_permille, links.reorder_permille, links.corrupt_permille];
        if rates == [0; 4] {
            self.best.options.links.faulty_messages = None;
            return Ok(());
        }
        let faulty = self.replays.faulty_messages(&self.best);
        self.keeps_with(|plan| plan.options.links.faulty_messages = Some(faulty))?;
        if self.best.options.links.faulty_messages.is_none() {
            return Ok(());
        }
        self.reduce(
            |plan| plan.options.links.faulty_messages.iter().flatten().copied().collect(),
            |plan, messages| plan.options.links.faulty_messages = Some(messages.into_iter().collect()),
        )
    }

    fn drop_replicas(&mut self) -> Result<(), Unshrinkable> {
        for replicas in 2..self.best.options.replicas {
            if self.keeps_with(|plan| plan.options.replicas = replicas)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes statements out of what clients submit, and makes numbers 0.
    fn simplify_steps(&mut self) -> Result<(), Unshrinkable> {
        for place in 0..self.best.steps.len() {
            if let Step::Submit { statements, .. } = &self.best.steps[place] {
                for statement in (0..statements.len()).rev() {
                    self.keeps_with(|plan| {
                        if let Step::Submit { statements, .. } = &mut plan.steps[place] {
                            statements.remove(statement);
                        }
                    })?;
                }
                continue;
            }
            let replicas = self.best.options.replicas;
            for is_all in [true, false] {
                let step = simpler(&self.best.steps[place], replicas, is_all);
                if let Some(step) = step
                    && self.keeps_with(|plan| plan.steps[place] = step)?
                {
                    break;
                }
            }
        }
        Ok(())
    }
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
    use super::*;

    /// A run that fails when its plan has what `fails` says.
    struct Pretended<F> {
        fails: F,
        runs: u32,
        /// From this run on every history is another.
        differs_from: u32,
        faulty: BTreeSet<MessageName>,
    }

    impl<F: Fn(&Plan) -> Option<&'static str>> Pretended<F> {
        fn new(fails: F) -> Self {
            Pretended { fails, runs: 0, differs_from: u32::MAX, faulty: BTreeSet::new() }
        }
    }

    impl<F: Fn(&Plan) -> Option<&'static str>> Replays for Pretended<F> {
        fn run(&mut self, plan: &Plan) -> Option<Trial> {
            self.runs += 1;
            let noise = self.runs.saturating_sub(self.differs_from);
            let digest = Digest::of_value(&(plan, noise));
            Some(Trial { signature: (self.fails)(plan).map(str::to_owned), digest: Some(digest) })
        }

        fn faulty_messages(&mut self, _: &Plan) -> BTreeSet<MessageName> {
            self.faulty.clone()
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

    #[test]
    fn link_faults_become_the_messages_that_matter() {
        let message = |number| MessageName { from: 1, to: 0, number };
        let fails = move |plan: &Plan| {
            let LinkOptions { loss_permille, faulty_messages, .. } = &plan.options.links;
            let is_lost = faulty_messages.as_ref().is_none_or(|messages| messages.contains(&message(5)));
            (*loss_permille > 0 && is_lost).then_some("safety")
        };
        let mut replays = Pretended { faulty: (1..40).map(message).collect(), ..Pretended::new(fails) };
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
        assert!(!shrunk.is_smallest && shrunk.replays == REPLAYS_MAX);
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
}
