//! One run, from seed and script to outcome: disturb, heal, settle, judge.
//!
//! A run has three phases, each with its own claim. *Disturb*: the script happens under faults, and every `always`
//! property holds after every event. *Heal and settle*: faults end, and within a stated simulated time nothing is under
//! way. *Judge*: the `eventually` properties hold of what the replicas and their stores ended with.
//!
//! Each run has a thread of its own, because madsim and the standard library keep random state per thread.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;

use kuzusync_core::planted::{self, Bug};
use madsim::runtime::Runtime;

use crate::cluster::Cluster;
use crate::history::History;
use crate::options::Options;
use crate::outcome::{Failure, Outcome, Property, ReplicaState, Violation};
use crate::seed::Seed;
use crate::step::Step;
use crate::store::{StoreChoice, Stores};
use crate::world::Shared;

/// What a scripted scenario does with its cluster.
pub type Body = for<'a> fn(&'a mut Cluster) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What happens in a run.
#[derive(Clone, Copy)]
pub enum Script<'a> {
    /// The steps of a plan, then rest.
    Plan(&'a [Step]),
    /// A scenario, then rest.
    Body(Body),
}

/// One run to be made.
#[derive(Clone)]
pub struct Run<'a> {
    /// From which everything is drawn.
    pub seed: Seed,
    /// Every knob.
    pub options: &'a Options,
    /// What the replicas feed.
    pub store: StoreChoice,
    /// What happens.
    pub script: Script<'a>,
    /// A bug to plant; it does nothing without the feature `planted-bugs`.
    pub bug: Option<Bug>,
}

/// What a run leaves behind.
struct End {
    failure: Option<Failure>,
    history: History,
    checks: Vec<crate::outcome::Check>,
    replicas: Vec<ReplicaState>,
    simulated_us: u64,
}

impl End {
    fn crash(panic: &(dyn Any + Send), history: History, simulated_us: u64) -> End {
        let failure = Some(Failure::Crash { message: panic_message(panic) });
        End { failure, history, checks: Vec::new(), replicas: Vec::new(), simulated_us }
    }
}

/// Makes a run.
///
/// # Panics
/// If the operating system refuses a thread.
#[must_use]
pub fn simulate(run: &Run<'_>) -> Outcome {
    let end = std::thread::scope(|scope| {
        let simulation = std::thread::Builder::new().name(SIMULATION_THREAD.to_owned());
        let thread = simulation.spawn_scoped(scope, || simulate_here(run));
        thread.expect("the system has a thread to spare").join()
    });
    let end = end.unwrap_or_else(|panic| End::crash(panic.as_ref(), History::default(), 0));
    Outcome {
        seed: run.seed,
        options: run.options.clone(),
        failure: end.failure,
        digest: end.history.digest(),
        events: end.history.into_events(),
        replicas: end.replicas,
        checks: end.checks,
        simulated_us: end.simulated_us,
    }
}

/// The name of the threads in which runs are made: a panic there is a finding, not a fault of the program.
pub const SIMULATION_THREAD: &str = "simulation";

fn simulate_here(run: &Run<'_>) -> End {
    planted::plant(run.bug);
    let mut config = madsim::Config::default();
    // The shortest latency madsim can draw: what a message takes is decided above it, per link and message.
    config.net.send_latency = std::time::Duration::from_micros(1)..std::time::Duration::from_micros(2);
    // Made and removed outside the simulation, however that ends.
    let folder = run.store.folder().expect("the system has a temporary folder");
    let stores = Stores::new(run.store, folder.as_ref());
    let scheduling = run.seed.stream("scheduling", &[]).draw();
    // Kept outside, so that a panic leaves its history behind.
    let world = RefCell::new(None);
    let runtime = Runtime::with_seed_and_config(scheduling, config);
    let end = catch_unwind(AssertUnwindSafe(|| runtime.block_on(drive(run, stores, &world))));
    end.unwrap_or_else(|panic| {
        let world = world.borrow_mut().take();
        let mut salvaged = (History::default(), 0);
        if let Some(mut world) = world.as_ref().and_then(|world: &Shared| world.try_borrow_mut().ok()) {
            let (history, _) = world.finish();
            let simulated_us = history.events().last().map_or(0, |event| event.at_us);
            salvaged = (history, simulated_us);
        }
        End::crash(panic.as_ref(), salvaged.0, salvaged.1)
    })
}

async fn drive(run: &Run<'_>, stores: Stores, shared: &RefCell<Option<Shared>>) -> End {
    let mut cluster = Cluster::new(run.seed, run.options.clone(), stores);
    *shared.borrow_mut() = Some(Rc::clone(cluster.world()));
    let turns = Rc::clone(&cluster.world().borrow().turns);
    let ending = tokio::select! {
        biased;
        () = turns.exceeded() => None,
        replicas = turns.count(perform(run.script, &mut cluster)) => Some(replicas),
    };
    turns.end();
    let is_endless = ending.is_none();
    let mut replicas = ending.unwrap_or_default();
    let violation = cluster.violation();
    let is_stuck = cluster.is_stuck();
    let mut world = cluster.world().borrow_mut();
    if replicas.is_empty() {
        replicas = world.states();
    }
    let simulated_us = world.elapsed_us();
    let (history, checks) = world.finish();
    let failed_check = checks.iter().find(|check| !check.holds).map(|check| Violation {
        property: Property::Scenario,
        at_us: simulated_us,
        message: format!("`{}` does not hold: {}", check.clause, check.found),
        hosts: Vec::new(),
        details: Vec::new(),
    });
    let failure = match violation {
        Some(violation) if is_stuck => Some(Failure::Liveness(violation)),
        None if is_endless => Some(endless(run.options, simulated_us)),
        violation => violation.or(failed_check).map(Failure::Safety),
    };
    End { failure, history, checks, replicas, simulated_us }
}

/// The script, then rest; what the replicas rest with, or nothing if something was wrong before.
async fn perform(script: Script<'_>, cluster: &mut Cluster) -> Vec<ReplicaState> {
    cluster.start().await;
    match script {
        Script::Body(body) => body(cluster).await,
        Script::Plan(steps) => {
            for step in steps {
                cluster.step(step).await;
                if cluster.violation().is_some() {
                    break;
                }
            }
        }
    }
    if cluster.violation().is_some() { Vec::new() } else { cluster.settle().await }
}

fn endless(options: &Options, simulated_us: u64) -> Failure {
    let (turns, ms) = (options.turns_max, simulated_us / 1_000);
    let message = format!(
        "the run is not at its end after {turns} turns of its tasks, {ms} simulated ms: either it never ends, or its \
         plan needs a greater `options.turns_max`"
    );
    Failure::TimeLimit { message }
}

/// What a panic said.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}
