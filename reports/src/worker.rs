//! Worker processes: where the runs of a sweep are made, so that the death of one costs one seed and not the sweep.
//!
//! A worker is this same program with the hidden command `worker`. It reads one [`Request`] per line and answers each
//! with one [`Answer`]; it holds nothing between two runs. The parent keeps one worker per job ([`Crew`]) and feeds it
//! from one queue. A worker that dies is a crash of the run it was making, and a new one takes its place.
//!
//! Kùzu is native code: what goes wrong in it ends a process and cannot be caught. That is why runs are made here and
//! not in threads of the command.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use kuzusync_core::id::Digest;
use kuzusync_core::planted::Bug;
use kuzusync_scenarios::swarm::{self, Profile};
use kuzusync_sim::fault::Fault;
use kuzusync_sim::history::{Event, History};
use kuzusync_sim::outcome::{Failure, Outcome};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::simulation::{Run, SIMULATION_THREAD, Script, simulate};
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
    /// The profile that makes the plan, by name.
    pub profile: String,
    /// The planted bug, by name.
    pub bug: Option<String>,
    /// The plan, if it is not the one that profile and seed make.
    pub plan: Option<Plan>,
    /// Whether every event is sent back: for finding where two runs part.
    pub wants_events: bool,
}

impl Request {
    /// A generated run.
    #[must_use]
    pub fn generated(seed: Seed, store: StoreChoice, profile: Profile, bug: Option<Bug>) -> Self {
        let (profile, bug) = (profile.to_string(), bug.map(|bug| bug.name().to_owned()));
        Request { seed, store, profile, bug, plan: None, wants_events: false }
    }

    /// The same run with every event sent back.
    #[must_use]
    pub fn with_events(self) -> Self {
        Request { wants_events: true, ..self }
    }

    /// The plan it runs.
    ///
    /// # Errors
    /// If its profile is none.
    pub fn plan(&self) -> Result<Plan, String> {
        match &self.plan {
            Some(plan) => Ok(plan.clone()),
            None => Ok(swarm::plan(self.profile.parse()?, self.seed)),
        }
    }

    /// The bug it plants.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn bug(&self) -> Result<Option<Bug>, String> {
        let find = |name: &String| Bug::named(name).ok_or_else(|| format!("there is no planted bug `{name}`"));
        self.bug.as_ref().map(find).transpose()
    }

    /// Makes the run in this process.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn run(&self) -> Result<(Plan, Outcome), String> {
        let (plan, bug) = (self.plan()?, self.bug()?);
        let script = Script::Plan(&plan.steps);
        let outcome = simulate(&Run { seed: self.seed, options: &plan.options, store: self.store, script, bug });
        Ok((plan, outcome))
    }
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
}

impl Answer {
    fn new(request: &Request, steps: usize, outcome: &Outcome, wall: Duration) -> Self {
        let line = |event: &Event| format!("{event:?}");
        Answer {
            seed: outcome.seed,
            digest: outcome.digest,
            events: outcome.events.len() as u64,
            state: outcome.state_digest(),
            failure: outcome.failure.clone(),
            reached: sometimes::reached(outcome).into_iter().map(str::to_owned).collect(),
            faults: fired(&outcome.events),
            steps: steps as u64,
            replicas: u64::from(outcome.options.replicas),
            losses: outcome.replicas.iter().map(|replica| replica.audit.len() as u64).max().unwrap_or(0),
            simulated_us: outcome.simulated_us,
            wall_us: wall.as_micros() as u64,
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
    /// Let every worker tell something else of this seed
    #[arg(long, value_name = "SEED", hide = true)]
    worker_differs_at: Option<u64>,
}

impl Sabotage {
    fn arguments(&self) -> Vec<String> {
        let options = [("--worker-dies-at", self.worker_dies_at), ("--worker-differs-at", self.worker_differs_at)];
        let given = options.into_iter().filter_map(|(name, seed)| Some([name.to_owned(), seed?.to_string()]));
        given.flatten().collect()
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
        if sabotage.worker_dies_at == Some(request.seed.0) {
            std::process::abort();
        }
        let start = Instant::now();
        let (plan, outcome) = request.run().map_err(io::Error::other)?;
        let mut answer = Answer::new(&request, plan.steps.len(), &outcome, start.elapsed());
        sabotage.distort(&mut answer);
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}

/// A worker process that ended before it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// How it ended, in one sentence.
    pub message: String,
}

impl Death {
    /// The failure of the run it was making.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::Crash { message: self.message.clone() }
    }
}

/// What became of a request.
pub type Reply = Result<Answer, Death>;

/// How workers are started.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
    sabotage: Sabotage,
}

impl Launcher {
    /// Workers that run the program this process runs.
    ///
    /// # Errors
    /// If the system does not tell which program that is.
    pub fn this_program() -> io::Result<Self> {
        Ok(Launcher { program: std::env::current_exe()?, sabotage: Sabotage::default() })
    }

    /// Workers that do this wrong.
    #[must_use]
    pub fn with(self, sabotage: Sabotage) -> Self {
        Launcher { sabotage, ..self }
    }

    /// Makes one run in a worker of its own.
    ///
    /// # Errors
    /// The worker's death.
    pub fn ask(&self, request: &Request) -> Reply {
        let death = |error: io::Error| Death { message: format!("no worker process could be started: {error}") };
        let mut worker = self.start().map_err(death)?;
        worker.ask(request)
    }

    /// Makes one run in this process, for its whole outcome: first in a worker, so that a run that kills its process is
    /// told and not suffered.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn outcome(&self, request: &Request) -> Result<(Plan, Outcome), String> {
        let (plan, _) = (request.plan()?, request.bug()?);
        match self.ask(request) {
            Ok(_) => request.run(),
            Err(death) => {
                let outcome = killed(request.seed, &plan, &death);
                Ok((plan, outcome))
            }
        }
    }

    fn start(&self) -> io::Result<Worker> {
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
        let answers = BufReader::new(child.stdout.take().expect("its standard output is a pipe"));
        Ok(Worker { child, requests: Some(requests), answers, stderr })
    }
}

/// The outcome of a run of which nothing is known but that its process died.
fn killed(seed: Seed, plan: &Plan, death: &Death) -> Outcome {
    Outcome {
        seed,
        options: plan.options.clone(),
        failure: Some(death.failure()),
        digest: History::default().digest(),
        events: Vec::new(),
        replicas: Vec::new(),
        checks: Vec::new(),
        simulated_us: 0,
    }
}

/// A running worker process.
struct Worker {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    stderr: File,
}

impl Worker {
    fn ask(&mut self, request: &Request) -> Reply {
        self.exchange(request).map_err(|_| self.bury())
    }

    fn exchange(&mut self, request: &Request) -> io::Result<Answer> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let requests = self.requests.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        requests.write_all(&line)?;
        requests.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Waits for the process to end and tells how it did.
    fn bury(&mut self) -> Death {
        self.requests = None;
        let ending = self.child.wait().map_or_else(|error| error.to_string(), describe);
        let words = self.last_words().map(|words| format!(": {words}")).unwrap_or_default();
        Death { message: format!("the worker process {ending}{words}") }
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
    pub fn answer<R: Fn(usize) -> Request + Sync>(&self, count: usize, request: R, mut hear: impl FnMut(News)) {
        const TICK: Duration = Duration::from_millis(200);
        let next = AtomicUsize::new(0);
        let (sender, replies) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..self.jobs.min(count) {
                let (sender, next, request) = (sender.clone(), &next, &request);
                scope.spawn(move || self.job(count, next, request, &sender));
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
        count: usize,
        next: &AtomicUsize,
        request: &R,
        replies: &mpsc::Sender<(usize, Reply)>,
    ) {
        let mut worker = None;
        loop {
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
        if worker.is_none() {
            let death = |error: io::Error| Death { message: format!("no worker process could be started: {error}") };
            *worker = Some(self.launcher.start().map_err(death)?);
        }
        let reply = worker.as_mut().map(|worker| worker.ask(request)).expect("a worker was started above");
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
