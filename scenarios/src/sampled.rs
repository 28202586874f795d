//! What a case of the harness asks of many runs, seen from outside of a single one.
//!
//! A scenario is one run and can look at nothing else. What is said of seeds, of generated plans and of the checkers is
//! shown here, after that run, by making others: on the same store, and with the same bug planted, if one is.

use std::collections::BTreeSet;

use kuzusync_core::id::Digest;
use kuzusync_core::planted::Bug;
use kuzusync_core::view::View;
use kuzusync_sim::checker::Checkers;
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::outcome::{Check, Failure, Outcome, Property, ReplicaState, Violation};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::simulation::{Run, Script, simulate};
use kuzusync_sim::sometimes;
use kuzusync_sim::step::{Plan, Step};
use kuzusync_sim::store::StoreChoice;

use crate::case::Case;
use crate::shrink::{self, REPLAYS_MAX, Replay, Replays, Shrunk, Trial};
use crate::swarm::{self, Profile};

/// Generated plans of each profile that have to pass.
const PLANS: u64 = 2;

/// Generated plans in which every kind of step has to be drawn, and a false claim refuted.
const PLANS_MAX: u64 = 80;

/// Generated plans in which every fault has to be injected. Some twenty are enough for most seeds.
const INJECTING_PLANS_MAX: u64 = 400;

/// Steps and faults that may be left of a plan.
const STEPS_MAX: usize = 10;
const FAULTS_MAX: usize = 3;

/// Makes runs of generated plans.
struct Sample {
    first: Seed,
    store: StoreChoice,
    bug: Option<Bug>,
}

/// Checks the clauses of a case that its scenario's own run cannot. `again` makes that run with another seed.
pub fn check(case: Case, outcome: &mut Outcome, store: StoreChoice, bug: Option<Bug>, again: impl Fn(Seed) -> Outcome) {
    let sample = Sample { first: outcome.seed, store, bug };
    let checks = match case {
        Case::H3 => sample.generation(),
        Case::H4 => sample.injection(),
        Case::H5 => sample.judging(outcome),
        Case::H6 => repetition(outcome, again),
        _ => Vec::new(),
    };
    let found = checks.iter().find(|check| !check.holds).map(|check| (check.clause.clone(), check.found.clone()));
    outcome.checks.extend(checks);
    if outcome.failure.is_none()
        && let Some((clause, found)) = found
    {
        let message = format!("`{clause}` does not hold: {found}");
        let (at_us, hosts, details) = (outcome.simulated_us, Vec::new(), Vec::new());
        let violation = Violation { property: Property::Scenario, at_us, message, hosts, details };
        outcome.failure = Some(Failure::Safety(violation));
    }
}

fn checked(clause: &str, holds: bool, found: impl Into<String>) -> Check {
    Check { clause: clause.to_owned(), holds, found: found.into() }
}

/// One seed, one history (case H6).
fn repetition(outcome: &Outcome, again: impl Fn(Seed) -> Outcome) -> Vec<Check> {
    let identity = |outcome: &Outcome| (outcome.digest, outcome.events.len());
    let told = |(digest, events): (Digest, usize)| format!("history {digest} of {events} events");
    let first = identity(outcome);
    let second = identity(&again(outcome.seed));
    let other = identity(&again(Seed(outcome.seed.0 + 1)));
    let third = identity(&again(outcome.seed));
    vec![
        checked("the same seed gives a byte-equal history", first == second, format!("{}, twice", told(first))),
        checked("whatever ran before makes no difference", first == third, format!("{}, after another", told(third))),
        checked("another seed gives another history", other.0 != first.0, told(other)),
    ]
}

impl Sample {
    fn run(&self, seed: Seed, plan: &Plan, store: StoreChoice) -> Outcome {
        simulate(&Run { seed, options: &plan.options, store, script: Script::Plan(&plan.steps), bug: self.bug })
    }

    /// Seeds that follow the scenario's own.
    fn seeds(&self, count: u64) -> impl Iterator<Item = Seed> + use<> {
        let first = self.first.0;
        (0..count).map(move |place| Seed(first.wrapping_mul(1_000).wrapping_add(place)))
    }

    /// Plans come from proptest, and shrink (case H3).
    fn generation(&self) -> Vec<Check> {
        let plan = |seed| swarm::plan(Profile::Default, seed);
        let mut kinds = BTreeSet::new();
        let mut repeats = 0;
        for profile in Profile::ALL {
            for seed in self.seeds(PLANS_MAX) {
                let plan = swarm::plan(profile, seed);
                repeats += u32::from(plan == swarm::plan(profile, seed));
                kinds.extend(plan.steps.iter().map(kind));
            }
        }
        let expected = PLANS_MAX as usize * Profile::ALL.len();
        let is_sampled = repeats as usize == expected && plan(self.first) != plan(Seed(self.first.0.wrapping_add(1)));
        let missing: Vec<&str> = GENERATED.into_iter().filter(|kind| !kinds.contains::<str>(kind)).collect();
        let mut failures = Vec::new();
        for profile in Profile::ALL {
            for seed in self.seeds(PLANS) {
                let failure = self.run(seed, &swarm::plan(profile, seed), self.store).failure;
                failures.extend(failure.map(|failure| format!("{profile}, seed {}: {}", seed.0, failure.message())));
            }
        }
        let runs = PLANS as usize * Profile::ALL.len();
        let mut checks = vec![
            checked(
                "a seed and a profile give one plan, and another seed another",
                is_sampled,
                format!("{repeats} of {expected} plans are drawn twice alike"),
            ),
            checked(
                "every kind of step is drawn",
                missing.is_empty(),
                format!("{} kinds, missing: {missing:?}", kinds.len()),
            ),
            checked(
                "generated plans of every profile pass every checker",
                failures.is_empty(),
                format!("{} of {runs} runs pass {failures:?}", runs - failures.len()),
            ),
        ];
        checks.extend(self.shrinking());
        checks
    }

    /// `no write ever loses to a concurrent one` is a claim that no engine can keep whose replicas write on their own. So it is
    /// refuted by a generated plan, and that has something to shrink without a bug in the engine.
    fn shrinking(&self) -> Vec<Check> {
        let mut runs = Refutation { sample: self, seed: self.first };
        let found = self.seeds(PLANS_MAX).find_map(|seed| {
            runs.seed = seed;
            let plan = swarm::plan(Profile::Default, seed);
            runs.run(&plan).and_then(|replay| replay.trial.signature).map(|_| plan)
        });
        let shrunk = found.as_ref().map(|plan| shrink::shrink(plan, REFUTED, &mut runs));
        let (holds, told) = match (&found, &shrunk) {
            (Some(plan), Some(Ok(Shrunk { plan: small, replays, is_smallest }))) => {
                let (steps, faults) = (small.steps.len(), shrink::faults(small));
                let is_small = steps <= STEPS_MAX && faults <= FAULTS_MAX && *replays <= REPLAYS_MAX && *is_smallest;
                let still_fails =
                    runs.run(small).is_some_and(|replay| replay.trial.signature.as_deref() == Some(REFUTED));
                let told = format!(
                    "{} steps shrink to {steps} and {faults} faults in {replays} runs: {:?}",
                    plan.steps.len(),
                    small.steps
                );
                (is_small && still_fails, told)
            }
            (_, Some(Err(error))) => (false, error.to_string()),
            _ => (false, format!("{PLANS_MAX} plans show nothing")),
        };
        let clause = "a false claim is refuted by a plan";
        let refuted = found.as_ref().map_or("no plan does".to_owned(), |_| format!("by seed {}", runs.seed.0));
        vec![
            checked(clause, found.is_some(), format!("`{REFUTED}`: {refuted}")),
            checked("it shrinks to at most 10 steps and 3 faults that refute the same", holds, told),
        ]
    }

    /// Faults are drawn from the seed, and nothing goes wrong of them (case H4).
    fn injection(&self) -> Vec<Check> {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut failures = Vec::new();
        let mut plans = 0;
        let mut first = None;
        let profiles = [Profile::Server, Profile::Hostile, Profile::Schema];
        for (profile, seed) in profiles.into_iter().cycle().zip(self.seeds(INJECTING_PLANS_MAX)) {
            let plan = swarm::plan(profile, seed);
            let outcome = self.run(seed, &plan, self.store);
            plans += 1;
            reached.extend(sometimes::reached(&outcome));
            reached.extend(wrote_offline(&outcome.events).then_some(OFFLINE_WRITE));
            let has_false_clock =
                plan.options.skew_ms.iter().any(|ms| *ms != 0) || plan.options.drift_ppm.iter().any(|ppm| *ppm != 0);
            reached.extend(has_false_clock.then_some(FALSE_CLOCK));
            failures.extend(outcome.failure.map(|failure| format!("seed {}: {}", seed.0, failure.message())));
            first.get_or_insert((seed, plan, outcome.digest));
            if INJECTED.iter().all(|(_, wanted)| wanted.iter().all(|name| reached.contains(name))) {
                break;
            }
        }
        let mut checks: Vec<Check> = INJECTED
            .iter()
            .map(|(clause, wanted)| {
                let missing: Vec<_> = wanted.iter().filter(|name| !reached.contains(*name)).collect();
                let found = match missing.as_slice() {
                    [] => format!("{} within {plans} plans", wanted.join(", ")),
                    missing => format!("{plans} plans without {missing:?}"),
                };
                checked(clause, missing.is_empty(), found)
            })
            .collect();
        let is_same = first.is_some_and(|(seed, plan, digest)| self.run(seed, &plan, self.store).digest == digest);
        checks.push(checked("the same seed injects the same", is_same, "the first plan, run twice"));
        let found = format!("{} of {plans} plans fail {failures:?}", failures.len());
        checks.push(checked("whatever is injected, no claim is broken", failures.is_empty(), found));
        checks
    }

    /// Every run is judged, and the judges find what is wrong (case H5).
    fn judging(&self, own: &Outcome) -> Vec<Check> {
        let mut unjudged = Vec::new();
        let mut rests = 0;
        for profile in Profile::ALL {
            for seed in self.seeds(1) {
                let outcome = self.run(seed, &swarm::plan(profile, seed), self.store);
                let own_rests = outcome.events.iter().filter(|event| matches!(event.kind, EventKind::Settled { .. }));
                rests += own_rests.count();
                if outcome.failure.is_some() || !is_judged_at_its_end(&outcome) {
                    unjudged.push(format!("{profile}, seed {}", seed.0));
                }
            }
        }
        let replicas = &own.replicas;
        let agree = replicas.windows(2).all(|pair| {
            let of = |state: &ReplicaState| (state.view.clone(), state.schema_digest, state.cursor.clone());
            of(&pair[0]) == of(&pair[1]) && pair[0].audit == pair[1].audit
        });
        let digest = replicas.first().map_or_else(|| View::default().digest(), |state| state.view.digest());
        let losses = replicas.first().map_or(0, |state| state.audit.len());
        let untouched = judged(replicas, |_| {});
        let altered: [Alteration; 4] = [
            ("graph", |state| state.view.edges.values_mut().for_each(|rows| rows.clear())),
            ("schema", |state| state.schema_operations += 1),
            ("cursor", |state| state.cursor.lsn += 1),
            ("audit", |state| state.audit.clear()),
        ];
        let missed: Vec<&str> = altered
            .into_iter()
            .filter(|(_, alter)| {
                let last = replicas.len().saturating_sub(1);
                let alter_last = |states: &mut Vec<ReplicaState>| states.get_mut(last).into_iter().for_each(alter);
                judged(replicas, alter_last).is_none_or(|violation| violation.property != Property::Convergence)
            })
            .map(|(what, _)| what)
            .collect();
        let agreed = judged(replicas, |states| {
            states.iter_mut().for_each(|state| state.view.edges.values_mut().for_each(|rows| rows.clear()));
        });
        let told =
            |found: &Option<Violation>| found.as_ref().map_or("nothing".to_owned(), |found| found.message.clone());
        vec![
            checked(
                "every run ends with a rest at which it is judged",
                unjudged.is_empty() && rests > Profile::ALL.len(),
                format!("{rests} rests in {} runs; not judged: {unjudged:?}", Profile::ALL.len()),
            ),
            checked(
                "the replicas hold one graph, schema, cursor and audit",
                agree && untouched.is_none() && losses > 0,
                format!("{} replicas hold graph {digest} and {losses} losses", replicas.len()),
            ),
            checked(
                "a replica that differs in any of them is found",
                missed.is_empty(),
                format!("in graph, schema, cursor and audit; missed: {missed:?}"),
            ),
            checked(
                "a graph on which all agree is found if it is not the model's",
                agreed.as_ref().is_some_and(|violation| violation.property == Property::Oracle),
                told(&agreed),
            ),
        ]
    }
}

/// Something to be found out, by name.
type Alteration = (&'static str, fn(&mut ReplicaState));

/// What the checkers say of these states, once altered.
fn judged(replicas: &[ReplicaState], alter: impl FnOnce(&mut Vec<ReplicaState>)) -> Option<Violation> {
    let mut states = replicas.to_vec();
    for state in &mut states {
        // A store is compared with the view; that it differs too would be found first.
        state.stores.clear();
    }
    alter(&mut states);
    let mut checkers = Checkers::default();
    checkers.judge(0, &states, &BTreeSet::new());
    checkers.violation().cloned()
}

/// Whether the last thing that happened was a rest of all, whose states were read back and judged.
fn is_judged_at_its_end(outcome: &Outcome) -> bool {
    let mut last = outcome.events.iter().rev().skip_while(|event| matches!(event.kind, EventKind::Compared { .. }));
    let is_rest = |event: &Event| matches!(&event.kind, EventKind::Settled { out } if out.is_empty());
    last.next().is_some_and(is_rest) && outcome.replicas.len() == outcome.options.replicas as usize
}

/// Whether a client was told that something is done while its host was offline.
fn wrote_offline(events: &[Event]) -> bool {
    let mut offline = BTreeSet::new();
    events.iter().any(|event| {
        match event.kind {
            EventKind::WentOffline => drop(offline.insert(event.host)),
            EventKind::WentOnline => drop(offline.remove(&event.host)),
            _ => {}
        }
        matches!(event.kind, EventKind::Returned { result: Ok(_), .. }) && offline.contains(&event.host)
    })
}

const OFFLINE_WRITE: &str = "a write at an offline host";
const FALSE_CLOCK: &str = "a clock that is wrong from the beginning";

/// The clauses of case H4, and what has to come up for each.
const INJECTED: [(&str, &[&str]); 7] = [
    ("partitions cut hosts off, also one way", &["partition", "one_way_partition", "isolation"]),
    ("hosts go offline, and their queues wait", &["offline", OFFLINE_WRITE, "change_acknowledged"]),
    ("schema changes meet concurrently", &["schema_change_lost"]),
    ("transactions that replicas vote on are aborted", &["transaction_rolled_back"]),
    ("hosts die, also with what they had not synced", &["crash", "unsynced_lost"]),
    ("disks fail, fill up and get slow", &["write_error", "full_disk", "slow_disk"]),
    ("clocks are wrong, and jump", &["clock_jump", FALSE_CLOCK]),
];

/// The kinds of steps that generated plans are made of: all but what people write themselves.
const GENERATED: [&str; 42] = [
    "wait",
    "create_table",
    "create_node",
    "update_node",
    "update_node_strictly",
    "update_node_earlier",
    "increment_node",
    "delete_node",
    "create_edge",
    "update_edge",
    "increment_edge",
    "delete_edge",
    "set_rule",
    "change_schema",
    "transact",
    "constrain",
    "submit_again_elsewhere",
    "submit_again",
    "crash",
    "pause",
    "resume",
    "wipe",
    "clone",
    "fail_disk",
    "slow_disk",
    "mend_disk",
    "fail_store",
    "clog",
    "restart",
    "go_offline",
    "go_online",
    "partition",
    "partition_one_way",
    "isolate",
    "partition_ring",
    "cut_link",
    "heal",
    "jump_clock",
    "inject",
    "settle",
    "settle_majority",
    "upgrade",
];

/// The step's name in a plan file.
fn kind(step: &Step) -> String {
    match serde_json::to_value(step) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(fields)) => fields.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// What the shrunk plan has to refute.
const REFUTED: &str = "no write ever loses to a concurrent one";

/// Runs that fail when a write loses to a concurrent one. The engine is the same on every store, so memory will do.
struct Refutation<'s> {
    sample: &'s Sample,
    seed: Seed,
}

impl Replays for Refutation<'_> {
    fn run(&mut self, plan: &Plan) -> Option<Replay> {
        let outcome = self.sample.run(self.seed, plan, StoreChoice::Memory);
        let is_lost = sometimes::reached(&outcome).contains("concurrent_update_lost");
        let trial = Trial { signature: is_lost.then(|| REFUTED.to_owned()), digest: Some(outcome.digest) };
        Some(Replay { trial, sent: shrink::sent(&outcome.events) })
    }

    fn events(&mut self, plan: &Plan) -> Vec<Event> {
        self.sample.run(self.seed, plan, StoreChoice::Memory).events
    }
}
