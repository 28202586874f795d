//! Worker processes: where runs are made, so that the death of one costs one run and not the sweep.
//!
//! A worker is this same program with the hidden command `worker`. It reads one [`Request`] per line and answers each
//! with one [`Answer`]; it holds nothing between two runs. The parent keeps one worker per job ([`Crew`]) and feeds it
//! from one queue. A worker that dies is a crash of the run it was making; one that does not answer in time is killed, and
//! its run has failed of the time limit. Either way a new one takes its place. A worker that cannot be started, says what is no
//! answer, or panics beside the simulation is a failure of the harness: it says nothing about the engine.
//!
//! Kùzu is native code: what goes wrong in it ends a process and cannot be caught. And a simulated task that never gives
//! its turn back leaves nobody inside the simulation to notice. That is why runs are made here and not in threads of the
//! command.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use kuzusync_core::id::Digest;
use kuzusync_core::planted::Bug;
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_scenarios::shrink::{self, Sent};
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_scenarios::swarm::{self, Profile};
use kuzusync_sim::fault::Fault;
use kuzusync_sim::history::{Event, History};
use kuzusync_sim::options::Options;
use kuzusync_sim::outcome::{Check, Failure, HARNESS_FAILED, Outcome};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::simulation::{Body, Run, SIMULATION_THREAD, Script, simulate};
use kuzusync_sim::sometimes;
use kuzusync_sim::step::Plan;
use kuzusync_sim::store::StoreChoice;
use serde::{Deserialize, Serialize};

/// A run that a worker is asked to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// From which everything is drawn.
    pub seed: Seed,
    /// What the replicas feed.
    pub store: StoreChoice,
    /// What happens.
    pub script: RequestedScript,
    /// The planted bug, by name.
    pub bug: Option<String>,
    /// Whether every event is sent back: for finding where two runs part.
    pub wants_events: bool,
    /// Whether every message is sent back, if links have faults: for leaving faults out.
    pub wants_messages: bool,
}

/// What happens in a run, as it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RequestedScript {
    /// The plan that the profile of this name makes of the seed.
    Generated(String),
    /// This plan.
    Plan(Box<Plan>),
    /// The scenario of this name.
    Scenario(String),
}

impl Request {
    /// A generated run.
    #[must_use]
    pub fn generated(seed: Seed, store: StoreChoice, profile: Profile, bug: Option<Bug>) -> Self {
        let bug = bug.map(|bug| bug.name().to_owned());
        Request {
            seed,
            store,
            script: RequestedScript::Generated(profile.to_string()),
            bug,
            wants_events: false,
            wants_messages: false,
        }
    }

    /// A run of this plan.
    #[must_use]
    pub fn plan(plan: Plan, seed: Seed, store: StoreChoice) -> Self {
        Request {
            seed,
            store,
            script: RequestedScript::Plan(Box::new(plan)),
            bug: None,
            wants_events: false,
            wants_messages: false,
        }
    }

    /// The run of a stored case.
    #[must_use]
    pub fn stored(stored: &StoredCase) -> Self {
        Request { bug: stored.bug.clone(), ..Request::plan(stored.plan.clone(), stored.seed, stored.store) }
    }

    /// A run of a scenario.
    #[must_use]
    pub fn scenario(name: &str, seed: Seed, store: StoreChoice) -> Self {
        Request {
            seed,
            store,
            script: RequestedScript::Scenario(name.to_owned()),
            bug: None,
            wants_events: false,
            wants_messages: false,
        }
    }

    /// The same run with every event sent back.
    #[must_use]
    pub fn with_events(self) -> Self {
        Request { wants_events: true, ..self }
    }

    /// What it runs.
    ///
    /// # Errors
    /// If its profile or its scenario is none.
    fn work(&self) -> Result<Work, String> {
        Ok(match &self.script {
            RequestedScript::Generated(profile) => Work::Plan(Box::new(swarm::plan(profile.parse()?, self.seed))),
            RequestedScript::Plan(plan) => Work::Plan(plan.clone()),
            RequestedScript::Scenario(name) => Work::Scenario(Box::new(Scenario::named(name)?)),
        })
    }

    /// The bug it plants.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn bug(&self) -> Result<Option<Bug>, String> {
        let find = |name: &String| Bug::named(name).ok_or_else(|| format!("there is no planted bug `{name}`"));
        self.bug.as_ref().map(find).transpose()
    }

    /// Makes the run in this process. There is no plan if it is of a scenario.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn run(&self) -> Result<(Option<Plan>, Outcome), String> {
        let (seed, store, bug) = (self.seed, self.store, self.bug()?);
        Ok(match self.work()? {
            Work::Scenario(scenario) => (None, scenario.run_with(seed, store, bug)),
            Work::Plan(plan) => {
                let script = Script::Plan(&plan.steps);
                let outcome = simulate(&Run { seed, options: &plan.options, store, script, bug });
                (Some(*plan), outcome)
            }
        })
    }

    /// The outcome of a run of which nothing is known but how its process ended.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn outcome_without_history(&self, failure: Failure) -> Result<(Option<Plan>, Outcome), String> {
        let (plan, options) = match self.work()? {
            Work::Scenario(scenario) => (None, scenario.options),
            Work::Plan(plan) => {
                let options = plan.options.clone();
                (Some(*plan), options)
            }
        };
        let outcome = Outcome {
            seed: self.seed,
            options,
            failure: Some(failure),
            digest: History::default().digest(),
            events: Vec::new(),
            replicas: Vec::new(),
            checks: Vec::new(),
            simulated_us: 0,
        };
        Ok((plan, outcome))
    }
}

/// What a request comes to.
enum Work {
    Plan(Box<Plan>),
    Scenario(Box<Scenario>),
}

/// What a worker tells about a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Which run.
    pub seed: Seed,
    /// The digest of its history.
    pub digest: Digest,
    /// How many events it has.
    pub events: u64,
    /// The digest of what the replicas ended with.
    pub state: Digest,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// The first clause of a scenario that does not hold.
    pub unmet: Option<Check>,
    /// The situations it reached.
    pub reached: Vec<String>,
    /// How often each fault fired.
    pub faults: BTreeMap<String, u64>,
    /// Steps of its plan.
    pub steps: u64,
    /// Its replicas.
    pub replicas: u64,
    /// Concurrent losses in the longest audit.
    pub losses: u64,
    /// Simulated time.
    pub simulated_us: u64,
    /// Real time.
    pub wall_us: u64,
    /// Every event as one line of text, if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<String>,
    /// Every message that was sent, if asked for and if links have faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<Sent>,
}

impl Answer {
    fn new(request: &Request, plan: Option<&Plan>, outcome: &Outcome, wall: Duration) -> Self {
        let line = |event: &Event| format!("{event:?}");
        let wants_messages = request.wants_messages && plan.is_some_and(shrink::has_link_faults);
        Answer {
            seed: outcome.seed,
            digest: outcome.digest,
            events: outcome.events.len() as u64,
            state: outcome.state_digest(),
            failure: outcome.failure.clone(),
            unmet: outcome.checks.iter().find(|check| !check.holds).cloned(),
            reached: sometimes::reached(outcome).into_iter().map(str::to_owned).collect(),
            faults: fired(&outcome.events),
            steps: plan.map_or(0, |plan| plan.steps.len() as u64),
            replicas: u64::from(outcome.options.replicas),
            losses: outcome.replicas.iter().map(|replica| replica.losses()).max().unwrap_or(0) as u64,
            simulated_us: outcome.simulated_us,
            wall_us: wall.as_micros() as u64,
            sent: if wants_messages { shrink::sent(&outcome.events) } else { Vec::new() },
            history: if request.wants_events { outcome.events.iter().map(line).collect() } else { Vec::new() },
        }
    }
}

/// How often each fault fired in a history.
#[must_use]
pub fn fired(events: &[Event]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for fault in events.iter().flat_map(|event| Fault::in_event(&event.kind)) {
        *counts.entry(fault.name().to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Keeps panics of simulated replicas quiet: they are findings that the run's outcome tells, not faults of the program.
pub fn silence_simulations() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().name() != Some(SIMULATION_THREAD) {
            usual(panic);
        }
    }));
}

/// What a worker is told to do wrong, to see what becomes of the sweep. Only tests ask for it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Sabotage {
    /// Let the worker that comes to this seed die
    #[arg(long, value_name = "SEED", hide = true)]
    worker_dies_at: Option<u64>,
    /// Let a simulated task of this seed never give its turn back
    #[arg(long, value_name = "SEED", hide = true)]
    worker_hangs_at: Option<u64>,
    /// Let the harness in the worker that comes to this seed panic
    #[arg(long, value_name = "SEED", hide = true)]
    worker_panics_at: Option<u64>,
    /// Let every worker tell something else of this seed
    #[arg(long, value_name = "SEED", hide = true)]
    worker_differs_at: Option<u64>,
}

impl Sabotage {
    fn arguments(&self) -> Vec<String> {
        let options = [
            ("--worker-dies-at", self.worker_dies_at),
            ("--worker-hangs-at", self.worker_hangs_at),
            ("--worker-panics-at", self.worker_panics_at),
            ("--worker-differs-at", self.worker_differs_at),
        ];
        let given = options.into_iter().filter_map(|(name, seed)| Some([name.to_owned(), seed?.to_string()]));
        given.flatten().collect()
    }

    /// What happens before the run is made.
    fn interfere(&self, Seed(seed): Seed) {
        if self.worker_dies_at == Some(seed) {
            std::process::abort();
        }
        assert!(self.worker_panics_at != Some(seed), "the worker was told to panic at this seed");
        if self.worker_hangs_at == Some(seed) {
            let body: Body = |_| {
                Box::pin(async {
                    loop {
                        std::hint::spin_loop();
                    }
                })
            };
            let (options, script) = (&Options::default(), Script::Body(body));
            drop(simulate(&Run { seed: Seed(seed), options, store: StoreChoice::Memory, script, bug: None }));
        }
    }

    /// Puts the number of this process where a history should be.
    fn distort(&self, answer: &mut Answer) {
        if self.worker_differs_at == Some(answer.seed.0) {
            let process = std::process::id();
            answer.digest = Digest::of(&[&process.to_le_bytes()]);
            answer.history.push(format!("process {process}"));
        }
    }
}

/// What a worker process does: answers requests until there are no more.
///
/// # Errors
/// A closed pipe, or a line that is no request.
pub fn serve(requests: impl BufRead, mut answers: impl Write, sabotage: &Sabotage) -> io::Result<()> {
    for line in requests.lines() {
        let request: Request = serde_json::from_str(&line?)?;
        sabotage.interfere(request.seed);
        let start = Instant::now();
        let (plan, outcome) = request.run().map_err(io::Error::other)?;
        let mut answer = Answer::new(&request, plan.as_ref(), &outcome, start.elapsed());
        sabotage.distort(&mut answer);
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}

/// What became of a request: the answer, or how the worker process ended without one.
pub type Reply = Result<Answer, Failure>;

/// How workers are started.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
    sabotage: Sabotage,
    /// Real time that a run may take.
    run_max: Duration,
}

impl Launcher {
    /// Workers that run the program this process runs. A run that takes longer than `run_max` is stopped.
    ///
    /// # Errors
    /// If the system does not tell which program that is.
    pub fn this_program(run_max: Duration, sabotage: Sabotage) -> io::Result<Self> {
        Ok(Launcher { program: std::env::current_exe()?, sabotage, run_max })
    }

    /// The program that workers run.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The same for workers that run another program.
    #[must_use]
    pub fn of(&self, program: PathBuf) -> Self {
        Launcher { program, ..self.clone() }
    }

    /// Makes one run in a worker of its own.
    ///
    /// # Errors
    /// How the worker ended without an answer.
    pub fn ask(&self, request: &Request) -> Reply {
        self.start()?.ask(request)
    }

    /// Makes one run in this process, for its whole outcome: first in a worker, so that a run that kills its process or
    /// never ends is told and not suffered. The two must be the same run.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn outcome(&self, request: &Request) -> Result<(Option<Plan>, Outcome), String> {
        request.bug()?;
        let answer = match self.ask(request) {
            Ok(answer) => answer,
            Err(failure) => return request.outcome_without_history(failure),
        };
        let (plan, mut outcome) = request.run()?;
        if answer.digest != outcome.digest {
            let (worker, here) = (answer.digest.short(), outcome.digest.short());
            let message = format!("the history is {worker} in one process and {here} in another");
            outcome.failure = Some(Failure::Nondeterminism { message });
        }
        Ok((plan, outcome))
    }

    fn start(&self) -> Result<Worker, Failure> {
        let failure = |error: io::Error| {
            let program = self.program.display();
            Failure::Harness { message: format!("no worker process could be started from `{program}`: {error}") }
        };
        self.spawn().map_err(failure)
    }

    fn spawn(&self) -> io::Result<Worker> {
        let stderr = tempfile::tempfile()?;
        let mut command = Command::new(&self.program);
        command
            .arg("worker")
            .args(self.sabotage.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?);
        let mut child = command.spawn()?;
        let requests = child.stdin.take().expect("its standard input is a pipe");
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        let (sender, answers) = mpsc::channel();
        // A pipe cannot be read with a time limit, a channel can. The thread ends with the process.
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines();
            lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Worker { child, requests: Some(requests), answers, stderr, run_max: self.run_max })
    }
}

/// A running worker process.
struct Worker {
    child: Child,
    requests: Option<ChildStdin>,
    answers: mpsc::Receiver<String>,
    stderr: File,
    run_max: Duration,
}

impl Worker {
    fn ask(&mut self, request: &Request) -> Reply {
        if self.send(request).is_err() {
            return Err(self.bury());
        }
        match self.answers.recv_timeout(self.run_max) {
            Ok(line) => serde_json::from_str(&line).map_err(|error| Failure::Harness {
                message: format!("a worker process answers with what is no answer: {error}"),
            }),
            Err(RecvTimeoutError::Disconnected) => Err(self.bury()),
            Err(RecvTimeoutError::Timeout) => Err(self.stop()),
        }
    }

    fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let requests = self.requests.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        requests.write_all(&line)?;
        requests.flush()
    }

    /// Waits for the process to end and tells how it did.
    fn bury(&mut self) -> Failure {
        self.requests = None;
        let status = self.child.wait();
        // A simulation that panics is an outcome; what panics beside it is the harness.
        let is_harness = status.as_ref().is_ok_and(|status| status.code() == Some(i32::from(HARNESS_FAILED)));
        let ending = status.map_or_else(|error| error.to_string(), describe);
        let words = self.last_words().map(|words| format!(": {words}")).unwrap_or_default();
        let message = format!("the worker process {ending}{words}");
        if is_harness { Failure::Harness { message } } else { Failure::Crash { message } }
    }

    /// Ends a process whose run takes too long.
    fn stop(&mut self) -> Failure {
        // If it cannot be killed it is gone already.
        let _ = self.child.kill();
        let seconds = self.run_max.as_secs();
        let message = format!(
            "the run was not at its end after {seconds} s of real time and was stopped: either it never ends, or it needs \
             a greater `--seconds-max`"
        );
        Failure::TimeLimit { message }
    }

    fn last_words(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        self.stderr.seek(SeekFrom::Start(0)).ok()?;
        self.stderr.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
    }
}

impl Drop for Worker {
    /// A worker ends when there is nothing more to read.
    fn drop(&mut self) {
        self.requests = None;
        // It ends by itself; if waiting fails there is nothing left to clean up.
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    let names = [(4, "SIGILL"), (6, "SIGABRT"), (7, "SIGBUS"), (8, "SIGFPE"), (9, "SIGKILL"), (11, "SIGSEGV")];
    let name = |signal| names.iter().find(|(number, _)| *number == signal).map_or("", |(_, name)| name);
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal} {}", name(signal)).trim_end().to_owned(),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => format!("ended: {status}"),
    }
}

#[cfg(not(unix))]
fn describe(status: ExitStatus) -> String {
    format!("ended: {status}")
}

/// Several workers that share one queue.
#[derive(Clone, Debug)]
pub struct Crew {
    /// How each is started.
    pub launcher: Launcher,
    /// How many there are.
    pub jobs: usize,
}

/// What the parent hears from its crew: a reply, or that it is time to say something.
pub enum News {
    /// What became of the request at this place of the queue.
    Reply(usize, Box<Reply>),
    /// A while passed.
    Tick,
}

impl Crew {
    /// Has every request answered by freshly started workers, in whatever order they come to it.
    ///
    /// `hear` is told every reply as it comes, and a few times a second that time passes.
    pub fn answer<R: Fn(usize) -> Request + Sync>(&self, count: usize, request: R, hear: impl FnMut(News)) {
        self.answer_until(None, count, request, hear);
    }

    /// Like [`Crew::answer`], but nothing is begun any more once it is late: what is answered are the first requests of
    /// the queue.
    pub fn answer_until<R: Fn(usize) -> Request + Sync>(
        &self,
        late: Option<Instant>,
        count: usize,
        request: R,
        mut hear: impl FnMut(News),
    ) {
        const TICK: Duration = Duration::from_millis(200);
        let next = AtomicUsize::new(0);
        let (sender, replies) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..self.jobs.min(count) {
                let (sender, next, request) = (sender.clone(), &next, &request);
                scope.spawn(move || self.job(late, count, next, request, &sender));
            }
            drop(sender);
            loop {
                match replies.recv_timeout(TICK) {
                    Ok((place, reply)) => hear(News::Reply(place, Box::new(reply))),
                    Err(RecvTimeoutError::Timeout) => hear(News::Tick),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
    }

    /// Like [`Crew::answer`], with the replies in the order of the queue.
    #[must_use]
    pub fn answers<R: Fn(usize) -> Request + Sync>(&self, count: usize, request: R) -> Vec<Reply> {
        let mut replies = BTreeMap::new();
        self.answer(count, request, |news| {
            if let News::Reply(place, reply) = news {
                replies.insert(place, *reply);
            }
        });
        replies.into_values().collect()
    }

    /// One job: keeps a worker and feeds it from the queue.
    fn job<R: Fn(usize) -> Request>(
        &self,
        late: Option<Instant>,
        count: usize,
        next: &AtomicUsize,
        request: &R,
        replies: &mpsc::Sender<(usize, Reply)>,
    ) {
        let mut worker = None;
        // The first is always begun: no time at all is one seed.
        let is_late = || late.is_some_and(|late| Instant::now() >= late) && next.load(Ordering::Relaxed) > 0;
        while !is_late() {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                return;
            }
            let reply = self.ask(&mut worker, &request(place));
            if replies.send((place, reply)).is_err() {
                return;
            }
        }
    }

    fn ask(&self, worker: &mut Option<Worker>, request: &Request) -> Reply {
        let running = match worker {
            Some(running) => running,
            None => worker.insert(self.launcher.start()?),
        };
        let reply = running.ask(request);
        if reply.is_err() {
            *worker = None;
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_answers_each_line_with_a_line() {
        let requests: String = [4, 5]
            .map(|seed| Request::generated(Seed(seed), StoreChoice::Memory, Profile::Default, None))
            .map(|request| serde_json::to_string(&request).unwrap() + "\n")
            .concat();
        let mut answers = Vec::new();
        serve(requests.as_bytes(), &mut answers, &Sabotage::default()).unwrap();
        let answers: Vec<Answer> =
            String::from_utf8(answers).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.iter().map(|answer| answer.seed).collect::<Vec<_>>(), [Seed(4), Seed(5)]);
        assert_ne!(answers[0].digest, answers[1].digest);
        assert!(answers[0].steps >= 40 && answers[0].history.is_empty());
    }

    #[test]
    fn a_line_that_is_no_request_ends_the_worker() {
        assert!(serve(b"{}\n".as_slice(), Vec::new(), &Sabotage::default()).is_err());
    }
}
