//! Many seeds: making the runs, making a share of them again, adding up what came of them, and the page that tells.
//!
//! A sweep has two passes. In the first every seed is run once, in whatever order workers take them. In the second a
//! share of them is run again, in new processes and in reverse order: history, length and final state must be equal,
//! because a run is a function of its seed. What comes out does not depend on how many workers there are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use kuzusync_core::id::Digest;
use kuzusync_core::planted::Bug;
use kuzusync_scenarios::swarm::Profile;
use kuzusync_sim::fault::Fault;
use kuzusync_sim::outcome::{Failure, Property};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::sometimes;
use kuzusync_sim::store::StoreChoice;
use serde::{Deserialize, Serialize};

use crate::runs::{Shard, results_digest};
use crate::text::{labelled, plural};
use crate::worker::{Answer, Crew, News, Reply, Request};

/// Without a store asked for, one seed in so many feeds both stores and the others the memory store alone.
pub const BOTH_STORES_EVERY: u64 = 50;

/// What is to be swept.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The seeds, half-open.
    pub seeds: Range<u64>,
    /// What makes their plans.
    pub profile: Profile,
    /// What all replicas feed; `None` for a mixture.
    pub store: Option<StoreChoice>,
    /// How many of a hundred seeds are run a second time.
    pub check_percent: u64,
    /// The bug that is planted.
    pub bug: Option<Bug>,
    /// Which of the seeds are run.
    pub shard: Shard,
    /// After how much real time no more seeds are begun.
    pub time: Option<Duration>,
}

impl Sweep {
    /// The seeds that are run.
    pub fn seeds(&self) -> impl Iterator<Item = Seed> + use<> {
        let Sweep { seeds: Range { start, end }, shard: Shard { index, of }, .. } = *self;
        (0..self.count() as u64).map(move |place| Seed(start + index + place * of)).filter(move |seed| seed.0 < end)
    }

    /// How many seeds are run.
    fn count(&self) -> usize {
        let Sweep { seeds: Range { start, end }, shard: Shard { index, of }, .. } = self;
        (end - start).saturating_sub(*index).div_ceil(*of) as usize
    }

    /// What the replicas of this seed feed; a function of the seed alone, so that it can be run by itself.
    #[must_use]
    pub fn store_of(&self, seed: Seed) -> StoreChoice {
        let mixed = seed.0.is_multiple_of(BOTH_STORES_EVERY) && StoreChoice::Both.is_built();
        self.store.unwrap_or(if mixed { StoreChoice::Both } else { StoreChoice::Memory })
    }

    /// Whether a seed is run a second time: evenly spread, and the first whenever there is any.
    #[must_use]
    pub fn is_checked(&self, seed: Seed) -> bool {
        let place = u128::from(seed.0 - self.seeds.start);
        (place * u128::from(self.check_percent)) % 100 < u128::from(self.check_percent)
    }

    /// The run of a seed.
    #[must_use]
    pub fn request(&self, seed: Seed) -> Request {
        Request::generated(seed, self.store_of(seed), self.profile, self.bug)
    }

    /// Makes every run. With a limit of time the sweep ends with the last seed that was begun in time, and its range of
    /// seeds with it.
    pub fn run(&mut self, crew: &Crew, mut watch: impl FnMut(Progress)) -> Results {
        let mut results = Results::default();
        self.first_pass(crew, &mut results, &mut watch);
        if self.time.is_some() {
            self.seeds.end = self.seeds.start + results.rows.len() as u64;
        }
        self.second_pass(crew, &mut results, &mut watch);
        results
    }

    /// The second pass takes as long for a seed as the first, and gets its share of the time.
    fn deadline(&self) -> Option<Instant> {
        self.time.map(|time| Instant::now() + time.mul_f64(100.0 / (100 + self.check_percent) as f64))
    }

    fn first_pass(&self, crew: &Crew, results: &mut Results, watch: &mut impl FnMut(Progress)) {
        let start = Instant::now();
        let numbers = Numbers::new();
        let Shard { index, of } = self.shard;
        let seed = |place: usize| Seed(self.seeds.start + index + place as u64 * of);
        crew.answer_until(
            self.deadline(),
            self.count(),
            |place| self.request(seed(place)),
            |news| {
                if let News::Reply(place, reply) = news {
                    results.add(seed(place), self.is_checked(seed(place)), *reply, &numbers);
                }
                let (done, failed) = (results.rows.len(), results.failures.len());
                let total = self.time.is_none().then(|| self.count());
                watch(Progress { pass: "running", done, total, failed });
            },
        );
        results.run_seconds = start.elapsed().as_secs_f64();
    }

    fn second_pass(&self, crew: &Crew, results: &mut Results, watch: &mut impl FnMut(Progress)) {
        let first: Vec<(Seed, Fingerprint)> = std::mem::take(&mut results.to_check).into_iter().rev().collect();
        let (mut done, mut parted) = (0, BTreeMap::new());
        crew.answer(
            first.len(),
            |place| self.request(first[place].0),
            |news| {
                if let News::Reply(place, reply) = news {
                    let (seed, fingerprint) = first[place];
                    done += 1;
                    if let Some(failure) = fingerprint.difference(&reply) {
                        parted.insert(seed, failure);
                    }
                }
                let failed = results.failures.len() + parted.len();
                watch(Progress { pass: "running again", done, total: Some(first.len()), failed });
            },
        );
        for (seed, _) in &first {
            results.rows.entry(*seed).or_default().is_checked = true;
        }
        for (seed, failure) in parted {
            let row = results.rows.entry(seed).or_default();
            let failure = match failure {
                Failure::Nondeterminism { message } => {
                    row.is_mismatch = true;
                    let place = first_difference(crew, &self.request(seed));
                    Failure::Nondeterminism { message: format!("{message}; {place}") }
                }
                failure => {
                    row.digest = None;
                    failure
                }
            };
            results.failures.insert(seed, failure);
        }
    }
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is being done.
    pub pass: &'static str,
    /// Runs made.
    pub done: usize,
    /// Runs to be made; `None` if as many as there is time for.
    pub total: Option<usize>,
    /// Failures found.
    pub failed: usize,
}

/// What must be equal when a seed is run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    digest: Digest,
    events: u64,
    state: Digest,
}

impl Fingerprint {
    fn of(answer: &Answer) -> Self {
        Fingerprint { digest: answer.digest, events: answer.events, state: answer.state }
    }

    /// How a second run differs from the first, if it does. One that is stopped differs in nothing but its time.
    fn difference(&self, again: &Reply) -> Option<Failure> {
        let again = match again {
            Ok(answer) => Fingerprint::of(answer),
            Err(failure @ (Failure::Harness { .. } | Failure::TimeLimit { .. })) => return Some(failure.clone()),
            Err(failure) => {
                let message = format!("the second run of the seed died: {}", failure.message());
                return Some(Failure::Nondeterminism { message });
            }
        };
        let mut parts = Vec::new();
        if self.digest != again.digest {
            parts.push(format!("the history is {} and then {}", self.digest.short(), again.digest.short()));
        }
        if self.events != again.events {
            parts.push(format!("it has {} events and then {}", self.events, again.events));
        }
        if self.state != again.state {
            parts.push(format!("the final state is {} and then {}", self.state.short(), again.state.short()));
        }
        (!parts.is_empty()).then(|| Failure::Nondeterminism { message: parts.join(", ") })
    }
}

/// Runs a seed twice more, in two new processes, and says where the histories part.
fn first_difference(crew: &Crew, request: &Request) -> String {
    let request = request.clone().with_events();
    match (crew.launcher.ask(&request), crew.launcher.ask(&request)) {
        (Ok(one), Ok(other)) => parting(&one.history, &other.history),
        (Err(failure), _) | (_, Err(failure)) => format!("run once more, {}", failure.message()),
    }
}

fn parting(one: &[String], other: &[String]) -> String {
    let equal = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let show = |events: &[String]| events.get(equal).map_or("the end".to_owned(), Clone::clone);
    if equal == one.len() && equal == other.len() {
        return "run twice more, both histories are equal: it does not happen every time".to_owned();
    }
    format!("run twice more, event {equal} is the first that differs: {} / {}", show(one), show(other))
}

/// What is kept of a seed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The digest of its history; `None` if a worker of it ended without an answer.
    pub digest: Option<Digest>,
    /// Events of its history.
    pub events: u64,
    /// Steps of its plan.
    pub steps: u64,
    /// Its replicas.
    pub replicas: u64,
    /// Concurrent losses in its longest audit.
    pub losses: u64,
    /// Simulated time.
    pub simulated_us: u64,
    /// Real time.
    pub wall_us: u64,
    /// The situations it reached, by their places among all.
    pub reached: Vec<u16>,
    /// The faults that fired, by their places among all, and how often.
    pub faults: Vec<(u16, u64)>,
    /// Whether it was run a second time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_checked: bool,
    /// Whether the second run was another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_mismatch: bool,
}

/// The names of situations and faults, and their places.
struct Numbers {
    situations: BTreeMap<&'static str, u16>,
    faults: BTreeMap<&'static str, u16>,
}

impl Numbers {
    fn new() -> Self {
        let places = |names: Vec<&'static str>| names.into_iter().zip(0..).collect();
        Numbers { situations: places(sometimes::all()), faults: places(fault_names()) }
    }

    fn row(&self, answer: &Answer) -> Row {
        let situation = |name: &String| self.situations.get(name.as_str()).copied();
        let fault = |(name, count): (&String, &u64)| Some((*self.faults.get(name.as_str())?, *count));
        Row {
            digest: Some(answer.digest),
            events: answer.events,
            steps: answer.steps,
            replicas: answer.replicas,
            losses: answer.losses,
            simulated_us: answer.simulated_us,
            wall_us: answer.wall_us,
            reached: answer.reached.iter().filter_map(situation).collect(),
            faults: answer.faults.iter().filter_map(fault).collect(),
            is_checked: false,
            is_mismatch: false,
        }
    }
}

fn fault_names() -> Vec<&'static str> {
    Fault::ALL.map(Fault::name).to_vec()
}

/// What came of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// What is kept of each seed.
    pub rows: BTreeMap<Seed, Row>,
    /// Why seeds failed; nondeterminism hides what else a seed failed of.
    pub failures: BTreeMap<Seed, Failure>,
    /// Real time of the first pass.
    pub run_seconds: f64,
    /// What the second runs have to be equal to.
    pub(crate) to_check: BTreeMap<Seed, Fingerprint>,
}

impl Results {
    fn add(&mut self, seed: Seed, is_checked: bool, reply: Reply, numbers: &Numbers) {
        let answer = match reply {
            Ok(answer) => answer,
            Err(failure) => {
                self.rows.insert(seed, Row::default());
                self.failures.insert(seed, failure);
                return;
            }
        };
        self.rows.insert(seed, numbers.row(&answer));
        if is_checked {
            self.to_check.insert(seed, Fingerprint::of(&answer));
        }
        if let Some(failure) = answer.failure {
            self.failures.insert(seed, failure);
        }
    }

    /// The digest of a seed's history, if it has one.
    #[must_use]
    pub fn digest(&self, seed: Seed) -> Option<Digest> {
        self.rows.get(&seed)?.digest
    }

    /// How many seeds reached each situation.
    #[must_use]
    pub fn sometimes(&self) -> BTreeMap<String, u64> {
        counted(&sometimes::all(), self.rows.values().flat_map(|row| row.reached.iter().map(|place| (*place, 1))))
    }

    /// How often each fault fired.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<String, u64> {
        counted(&fault_names(), self.rows.values().flat_map(|row| row.faults.iter().copied()))
    }

    /// The situations that no seed reached.
    #[must_use]
    pub fn never_reached(&self) -> Vec<&'static str> {
        let counts = self.sometimes();
        sometimes::all().into_iter().filter(|name| counts.get(*name) == Some(&0)).collect()
    }

    /// The report, without the documented cases and the files.
    #[must_use]
    pub fn report(&self) -> Report {
        // A seed whose worker died tells nothing about what runs are like.
        let ran = || self.rows.values().filter(|row| row.replicas > 0);
        let median_of = |value: fn(&Row) -> u64| median(&ran().map(value).collect::<Vec<_>>());
        let count = |is: fn(&Row) -> bool| self.rows.values().filter(|row| is(row)).count();
        let seeds = self.rows.len();
        let simulated_us: u64 = self.rows.values().map(|row| row.simulated_us).sum();
        Report {
            seeds,
            passed: seeds - self.failures.len(),
            cases: CaseCounts::default(),
            failures: self.failures.iter().map(|(seed, failure)| FailureReport::new(*seed, failure)).collect(),
            sometimes: self.sometimes(),
            faults: self.faults(),
            profile: Medians {
                steps: median_of(|row| row.steps),
                replicas: median_of(|row| row.replicas),
                faults: median_of(|row| row.faults.iter().map(|(_, count)| count).sum()),
                concurrent_losses: median_of(|row| row.losses),
            },
            determinism: Determinism { checked: count(|row| row.is_checked), mismatches: count(|row| row.is_mismatch) },
            results_digest: results_digest(&self.rows),
            missing_shards: Vec::new(),
            seeds_per_second: tenths(seeds as f64 / self.run_seconds.max(1e-9)),
            simulated_seconds: tenths(simulated_us as f64 / 1e6),
            wall_seconds: tenths(self.run_seconds),
        }
    }
}

/// Every name with the sum of what was counted at its place.
fn counted(names: &[&'static str], places: impl Iterator<Item = (u16, u64)>) -> BTreeMap<String, u64> {
    let mut sums = vec![0; names.len()];
    for (place, count) in places {
        if let Some(sum) = sums.get_mut(usize::from(place)) {
            *sum += count;
        }
    }
    names.iter().map(|name| (*name).to_owned()).zip(sums).collect()
}

/// The value that half of the others do not exceed; 0 of none.
pub(crate) fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A sweep as JSON: its fields are part of the interface and stay as they are.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Generated seeds.
    pub seeds: usize,
    /// Of those, the ones without a failure.
    pub passed: usize,
    /// The documented cases that were run before.
    pub cases: CaseCounts,
    /// Every failed seed.
    pub failures: Vec<FailureReport>,
    /// How many seeds reached each situation.
    pub sometimes: BTreeMap<String, u64>,
    /// How often each fault fired.
    pub faults: BTreeMap<String, u64>,
    /// What a run is like.
    pub profile: Medians,
    /// The second runs.
    pub determinism: Determinism,
    /// Over every seed and the digest of its history.
    pub results_digest: Digest,
    /// The shards that were not there to be merged, as `I/N`; not told if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_shards: Vec<String>,
    /// Seeds per second of the first pass.
    pub seeds_per_second: f64,
    /// Simulated time of the first pass.
    pub simulated_seconds: f64,
    /// Real time of it all.
    pub wall_seconds: f64,
}

/// Documented cases of a sweep.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CaseCounts {
    /// Run on every store that was asked for, without a failure.
    pub passed: usize,
    /// Failed on one.
    pub failed: usize,
}

/// A failed seed.
#[derive(Clone, Debug, Serialize)]
pub struct FailureReport {
    /// The seed.
    pub seed: u64,
    /// The class of the failure.
    pub class: &'static str,
    /// The property it violates, if it is a violation.
    pub property: Option<&'static str>,
    /// Equal for failures that are likely one bug.
    pub signature: String,
    /// The stored case, if files were asked for.
    pub case_file: Option<String>,
    /// The command that makes the run again.
    pub replay: String,
}

impl FailureReport {
    fn new(seed: Seed, failure: &Failure) -> Self {
        let property = failure.property().map(Property::name);
        let (class, signature) = (failure.class(), failure.signature());
        FailureReport { seed: seed.0, class, property, signature, case_file: None, replay: String::new() }
    }
}

/// What half of all runs do not exceed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Medians {
    /// Steps of the plan.
    pub steps: u64,
    /// Replicas.
    pub replicas: u64,
    /// Faults that fired.
    pub faults: u64,
    /// Concurrent losses in the audit.
    pub concurrent_losses: u64,
}

/// The second runs of a sweep.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Determinism {
    /// Seeds that were run a second time.
    pub checked: usize,
    /// Of those, the ones that differed.
    pub mismatches: usize,
}

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Columns of the headings.
const INDENT: usize = 18;

/// Signatures shown on the screen; the others are counted.
const SIGNATURES_MAX: usize = 8;

/// The sweep on one screen.
#[must_use]
pub fn text(report: &Report, width: usize) -> String {
    let mut page = String::new();
    let mut line = |label: &str, text: &str| page.push_str(&labelled(label, text, INDENT, width));
    let Report { cases, profile, determinism, .. } = report;
    if cases.passed + cases.failed > 0 {
        line("documented cases", &format!("{} passed, {} failed", cases.passed, cases.failed));
    }
    let failed = report.seeds - report.passed;
    line("generated seeds", &format!("{} passed, {failed} failed", report.passed));
    let (checked, mismatches) = (plural(determinism.checked, "seed"), determinism.mismatches);
    line("determinism", &format!("{checked} run again in new processes and in reverse order, {mismatches} differ"));
    line("speed", &speed(report));
    line(
        "medians",
        &format!(
            "{} steps, {} replicas, {} faults fired, {} concurrent losses",
            profile.steps, profile.replicas, profile.faults, profile.concurrent_losses
        ),
    );
    line("faults fired", &counts(&report.faults));
    let (reached, never): (Vec<_>, Vec<_>) = report.sometimes.iter().partition(|(_, count)| **count > 0);
    // Faults have a line of their own.
    let is_situation = |(name, _): &&(&String, &u64)| !report.faults.contains_key(*name);
    let situations: BTreeMap<String, u64> =
        reached.iter().filter(is_situation).map(|(name, count)| ((*name).clone(), **count)).collect();
    line("reached", &format!("{} of {}, by seeds: {}", reached.len(), report.sometimes.len(), counts(&situations)));
    let never: Vec<_> = never.iter().filter(is_situation).collect();
    if !never.is_empty() {
        let names: Vec<&str> = never.iter().map(|(name, _)| name.as_str()).collect();
        line("never reached", &names.join(", "));
    }
    line("results digest", &report.results_digest.to_string());
    if !report.missing_shards.is_empty() {
        line(
            "MISSING SHARDS",
            &format!("{}: their seeds are in none of these numbers", report.missing_shards.join(", ")),
        );
    }
    page + &signatures(report, width)
}

fn speed(report: &Report) -> String {
    let ratio = report.simulated_seconds / (report.seeds as f64 / report.seeds_per_second.max(1e-9)).max(1e-9);
    format!(
        "{:.0} seeds a second, {ratio:.0} simulated seconds a second, {:.1} s in all",
        report.seeds_per_second, report.wall_seconds
    )
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

impl Report {
    /// The failures, those that are likely one bug together, the most frequent first, each with its signature.
    #[must_use]
    pub fn signatures(&self) -> Vec<(&str, Vec<&FailureReport>)> {
        let mut groups: BTreeMap<&str, Vec<&FailureReport>> = BTreeMap::new();
        for failure in &self.failures {
            groups.entry(&failure.signature).or_default().push(failure);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, failures)| std::cmp::Reverse(failures.len()));
        groups
    }
}

fn signatures(report: &Report, width: usize) -> String {
    let groups = report.signatures();
    let mut page = String::new();
    for (signature, failures) in groups.iter().take(SIGNATURES_MAX) {
        let first = failures[0];
        let count = format!("{BAD}{}{BAD:#} {signature}", plural(failures.len(), "failure"));
        let _ = writeln!(page, "\n{count}");
        page.push_str(&labelled(
            "",
            &format!("seed {}: {}", first.seed, first.replay),
            2,
            width.max(first.replay.len() + 40),
        ));
    }
    if groups.len() > SIGNATURES_MAX {
        let _ = writeln!(page, "\nand {}", plural(groups.len() - SIGNATURES_MAX, "other signature"));
    }
    page
}

/// The last line of a sweep.
#[must_use]
pub fn verdict(problems: &[String]) -> String {
    if problems.is_empty() {
        return format!("{GOOD}PASS{GOOD:#}\n");
    }
    format!("{BAD}FAIL{BAD:#}  {}\n", problems.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(seeds: Range<u64>, check_percent: u64) -> Sweep {
        let (profile, store) = (Profile::Default, Some(StoreChoice::Memory));
        Sweep { seeds, profile, store, check_percent, bug: None, shard: Shard::WHOLE, time: None }
    }

    #[test]
    fn every_seed_is_in_one_shard() {
        let of = 4;
        let shards = (0..of).map(|index| Sweep { shard: Shard { index, of }, ..sweep(3..13, 0) });
        let counts: Vec<usize> = shards.clone().map(|shard| shard.count()).collect();
        assert_eq!(counts, [3, 3, 2, 2]);
        let mut seeds: Vec<u64> = shards.flat_map(|shard| shard.seeds()).map(|seed| seed.0).collect();
        seeds.sort_unstable();
        assert_eq!(seeds, (3..13).collect::<Vec<_>>());
        assert_eq!(Sweep { shard: Shard { index: 3, of }, ..sweep(3..5, 0) }.count(), 0);
    }

    #[test]
    fn the_share_that_is_run_again_is_what_was_asked_for() {
        for (percent, expected) in [(0, 0), (1, 1), (10, 10), (33, 33), (100, 100)] {
            let sweep = sweep(700..800, percent);
            let checked = (700..800).filter(|seed| sweep.is_checked(Seed(*seed))).count();
            assert_eq!(checked, expected, "{percent} %");
        }
        assert!(sweep(7..8, 1).is_checked(Seed(7)));
    }

    #[test]
    fn a_median_is_a_value_in_the_middle() {
        assert_eq!([median(&[]), median(&[5]), median(&[9, 1, 5]), median(&[4, 1, 3, 2])], [0, 5, 5, 2]);
    }

    #[test]
    fn two_histories_part_at_the_first_event_that_differs() {
        let events = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(
            parting(&events(&["a", "b"]), &events(&["a", "c"])).ends_with("event 1 is the first that differs: b / c")
        );
        assert!(parting(&events(&["a"]), &events(&["a", "c"])).ends_with("differs: the end / c"));
        assert!(parting(&events(&["a"]), &events(&["a"])).contains("both histories are equal"));
    }

    #[test]
    fn a_second_run_that_differs_in_anything_is_told() {
        let first = Fingerprint { digest: Digest([1; 16]), events: 3, state: Digest([2; 16]) };
        let died = first.difference(&Err(Failure::Crash { message: "gone".into() }));
        assert_eq!(died.as_ref().map(Failure::class), Some("nondeterminism"));
        assert!(died.is_some_and(|failure| failure.message().contains("gone")));
        let late = Failure::TimeLimit { message: "late".into() };
        assert_eq!(first.difference(&Err(late.clone())), Some(late));
        let answer = |fingerprint: Fingerprint| Answer {
            seed: Seed(1),
            digest: fingerprint.digest,
            events: fingerprint.events,
            state: fingerprint.state,
            failure: None,
            unmet: None,
            reached: Vec::new(),
            faults: BTreeMap::new(),
            steps: 0,
            replicas: 0,
            losses: 0,
            simulated_us: 0,
            wall_us: 0,
            history: Vec::new(),
            sent: Vec::new(),
        };
        assert_eq!(first.difference(&Ok(answer(first))), None);
        for other in [
            Fingerprint { digest: Digest([9; 16]), ..first },
            Fingerprint { events: 4, ..first },
            Fingerprint { state: Digest([9; 16]), ..first },
        ] {
            assert!(first.difference(&Ok(answer(other))).is_some());
        }
    }
}
