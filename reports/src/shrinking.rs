//! Shrinking with runs made in worker processes, so that a plan that kills its process or never ends can be shrunk too.

use std::time::{Duration, Instant};

use kuzusync_scenarios::shrink::{self, Replay, Replays, Shrunk, Trial, Unshrinkable};
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_sim::history::Event;
use kuzusync_sim::outcome::Failure;
use kuzusync_sim::step::Plan;

use crate::worker::{Launcher, Request};

/// Real time that shrinking may take.
pub const SHRINKING_MAX: Duration = Duration::from_secs(60);

/// Makes the plan of a failing case smaller.
///
/// # Errors
/// If it passes or fails of something else, or if two runs of one plan differ.
pub fn shrink(
    stored: &StoredCase,
    launcher: &Launcher,
    progress: impl FnMut(u32, usize),
) -> Result<Shrunk, Unshrinkable> {
    let signature = stored.failure.as_ref().map_or_else(String::new, Failure::signature);
    let (deadline, made) = (Instant::now() + SHRINKING_MAX, 0);
    let mut runs = Runs { stored, launcher, deadline, made, progress };
    shrink::shrink(&stored.plan, &signature, &mut runs)
}

struct Runs<'r, P> {
    stored: &'r StoredCase,
    launcher: &'r Launcher,
    deadline: Instant,
    made: u32,
    /// Told how many runs were made, and how many steps the plan of the last one has.
    progress: P,
}

impl<P> Runs<'_, P> {
    fn request(&self, plan: &Plan) -> Request {
        Request { bug: self.stored.bug.clone(), ..Request::plan(plan.clone(), self.stored.seed, self.stored.store) }
    }
}

impl<P: FnMut(u32, usize)> Replays for Runs<'_, P> {
    fn run(&mut self, plan: &Plan) -> Option<Replay> {
        if Instant::now() >= self.deadline {
            return None;
        }
        self.made += 1;
        (self.progress)(self.made, plan.steps.len());
        Some(match self.launcher.ask(&Request { wants_messages: true, ..self.request(plan) }) {
            Ok(answer) => {
                let signature = answer.failure.as_ref().map(Failure::signature);
                Replay { trial: Trial { signature, digest: Some(answer.digest) }, sent: answer.sent }
            }
            Err(failure) => {
                Replay { trial: Trial { signature: Some(failure.signature()), digest: None }, sent: Vec::new() }
            }
        })
    }

    fn events(&mut self, plan: &Plan) -> Vec<Event> {
        // It came to an end in a worker.
        let outcome = self.request(plan).run();
        outcome.map(|(_, outcome)| outcome.events).unwrap_or_default()
    }
}
