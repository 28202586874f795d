//! What a sweep keeps of every seed, as a file: `runs.ndjson` in the directory it leaves behind.
//!
//! The page of a sweep is a function of these rows, and rows can be put together: shards of one sweep, made anywhere, give
//! the page, the counts and the digest of one run. The first line says of which sweep the rows are, built from what, and
//! which of its shards they make up; each other line is one seed. Only shards of one sweep by one build can be merged:
//! seed 7 of another commit is another run.
//!
//! Situations and faults have numbers, their places in the lists of the first line, because a seed reaches dozens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use kuzusync_core::id::Digest;
use kuzusync_core::planted::Bug;
use kuzusync_scenarios::case::Case;
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_scenarios::swarm::Profile;
use kuzusync_sim::fault::Fault;
use kuzusync_sim::outcome::Failure;
use kuzusync_sim::seed::Seed;
use kuzusync_sim::sometimes;
use kuzusync_sim::store::StoreChoice;
use serde::{Deserialize, Serialize};

use crate::conformance::{CaseReport, Conformance, Covered, Verdict};
use crate::sweep::{Results, Row, Sweep};

/// The version of the format.
pub const RUNS_VERSION: u32 = 1;

/// A part of a sweep: every `of`-th seed, from the one at place `index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 0.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

impl Shard {
    /// The only part of a sweep that is not divided.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || "write a shard as I/N, for example 0/4 for the first of four".to_owned();
        let (index, of) = text.split_once('/').ok_or_else(form)?;
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| form());
        let (index, of) = (number(index)?, number(of)?);
        match of.checked_sub(1) {
            None => Err("there is no sweep of 0 shards; 0/1 is all of it".to_owned()),
            Some(last) if index > last => Err(format!("the shards of {of} are 0/{of} to {last}/{of}")),
            Some(_) => Ok(Shard { index, of }),
        }
    }
}

/// The first line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the format: by what rules to read it.
    pub runs_version: u32,
    /// The commit, shortened, or `unknown`.
    pub commit: String,
    /// The beginning of the SHA-256 of the lock file.
    pub lock: String,
    /// The first seed of the sweep and the one after its last.
    pub seeds: (u64, u64),
    /// What makes the plans, by name.
    pub profile: String,
    /// What all replicas feed; `null` for a mixture.
    pub store: Option<StoreChoice>,
    /// How many of a hundred seeds are run a second time.
    pub check_percent: u64,
    /// The planted bug, by name.
    pub bug: Option<String>,
    /// How many shards the sweep has.
    pub shards: u64,
    /// Those whose seeds are in the file.
    pub present: BTreeSet<u64>,
    /// The situations, in the order of their numbers.
    pub situations: Vec<String>,
    /// The faults, in the order of their numbers.
    pub faults: Vec<String>,
    /// How the documented cases stand, if they were run.
    pub cases: Option<Vec<KeptCase>>,
    /// Real time of the first pass, in seconds; of several shards the longest.
    pub run_seconds: f64,
    /// Real time of it all, in seconds; of several shards the longest.
    pub wall_seconds: f64,
}

/// How a documented case stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptCase {
    id: String,
    scenarios: Vec<KeptScenario>,
    stores: Vec<String>,
    verdict: String,
    reason: Option<String>,
    measured: Option<String>,
    limit: Option<String>,
    exit_code: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptScenario {
    name: String,
    is_failed: bool,
}

/// A seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    seed: Seed,
    #[serde(flatten)]
    row: Row,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

/// Why rows cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRuns {
    /// A line is none of the format.
    #[error("line {line}: {problem}")]
    Malformed {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The file is of a later version.
    #[error("its version {0} is of a newer kuzusync")]
    Newer(u32),
    /// The file is not of the sweep that another is of.
    #[error("{what} is {found} and not {expected}; shards are merged only with those of the same sweep and build")]
    OtherSweep {
        /// What differs.
        what: &'static str,
        /// In this file.
        found: String,
        /// In those before.
        expected: String,
    },
    /// Seeds are missing, or there are too many.
    #[error("it holds {found} seeds, and its shards have {expected}: it was cut, or the sweep did not end")]
    Incomplete {
        /// In the file.
        found: u64,
        /// In the shards that it says it has.
        expected: u64,
    },
    /// A shard is there already.
    #[error("shard {0} is given twice")]
    Twice(Shard),
}

/// The rows of some or all shards of a sweep.
#[derive(Clone, Debug)]
pub struct Runs {
    /// Of which sweep they are.
    pub header: Header,
    /// The rows.
    pub results: Results,
}

impl Runs {
    /// What is kept of a sweep.
    #[must_use]
    pub fn new(
        sweep: &Sweep,
        (commit, lock): (&str, &str),
        results: Results,
        conformance: Option<&Conformance>,
        wall_seconds: f64,
    ) -> Runs {
        let header = Header {
            runs_version: RUNS_VERSION,
            commit: commit.to_owned(),
            lock: lock.to_owned(),
            seeds: (sweep.seeds.start, sweep.seeds.end),
            profile: sweep.profile.to_string(),
            store: sweep.store,
            check_percent: sweep.check_percent,
            bug: sweep.bug.map(|bug| bug.name().to_owned()),
            shards: sweep.shard.of,
            present: BTreeSet::from([sweep.shard.index]),
            situations: names(sometimes::all()),
            faults: names(Fault::ALL.map(Fault::name).to_vec()),
            cases: conformance.map(|conformance| conformance.cases.iter().map(keep).collect()),
            run_seconds: results.run_seconds,
            wall_seconds,
        };
        Runs { header, results }
    }

    /// The file.
    #[must_use]
    pub fn to_ndjson(&self) -> String {
        let line = |(seed, row): (&Seed, &Row)| {
            let failure = self.results.failures.get(seed).cloned();
            json(&Line { seed: *seed, row: row.clone(), failure })
        };
        let lines = self.results.rows.iter().map(line);
        std::iter::once(json(&self.header)).chain(lines).map(|line| line + "\n").collect()
    }

    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn from_ndjson(text: &str) -> Result<Runs, BadRuns> {
        let malformed = |line: usize, error: &serde_json::Error| {
            let problem = error.to_string();
            let problem = problem.rsplit_once(" at line ").map_or(problem.as_str(), |(problem, _)| problem).to_owned();
            BadRuns::Malformed { line: line + 1, problem }
        };
        let mut lines = text.lines().enumerate();
        let (_, first) = lines.next().unwrap_or((0, ""));
        if let Some(version) = version(first).filter(|version| *version > RUNS_VERSION) {
            return Err(BadRuns::Newer(version));
        }
        let header: Header = serde_json::from_str(first).map_err(|error| malformed(0, &error))?;
        let mut results = Results { run_seconds: header.run_seconds, ..Results::default() };
        for (number, line) in lines {
            let Line { seed, row, failure } = serde_json::from_str(line).map_err(|error| malformed(number, &error))?;
            let bad = |problem: String| BadRuns::Malformed { line: number + 1, problem };
            let numbers = row.reached.iter().map(|reached| (*reached, header.situations.len()));
            let mut numbers = numbers.chain(row.faults.iter().map(|(fault, _)| (*fault, header.faults.len())));
            if let Some((number, count)) = numbers.find(|(number, count)| usize::from(*number) >= *count) {
                return Err(bad(format!("number {number} is none of the {count} names of the first line")));
            }
            if results.rows.insert(seed, row).is_some() {
                return Err(bad(format!("seed {} is there twice", seed.0)));
            }
            failure.map(|failure| results.failures.insert(seed, failure));
        }
        let runs = Runs { header, results };
        runs.check()?;
        Ok(runs)
    }

    /// The seeds must be those of the shards.
    fn check(&self) -> Result<(), BadRuns> {
        let header = &self.header;
        let bad = |problem: String| Err(BadRuns::Malformed { line: 1, problem });
        let ((start, end), of) = (header.seeds, header.shards);
        if start >= end || of == 0 {
            return bad(format!("there are no seeds from {start} to {end} in {of} shards"));
        }
        if let Some(index) = header.present.iter().find(|index| **index >= of) {
            return bad(format!("there is no shard {index} of {of}"));
        }
        let of_shard = |index: &u64| (end - start).saturating_sub(*index).div_ceil(of);
        let expected: u64 = header.present.iter().map(of_shard).sum();
        let is_expected =
            |seed: &Seed| (start..end).contains(&seed.0) && header.present.contains(&((seed.0 - start) % of));
        if let Some(other) = self.results.rows.keys().find(|seed| !is_expected(seed)) {
            return bad(format!("seed {} is in none of its shards", other.0));
        }
        let found = self.results.rows.len() as u64;
        if found == expected { Ok(()) } else { Err(BadRuns::Incomplete { found, expected }) }
    }

    /// Adds other shards of the same sweep.
    ///
    /// # Errors
    /// If they are of another sweep or another build, or are there already.
    pub fn merge(&mut self, other: Runs) -> Result<(), BadRuns> {
        let Header { shards: of, present, .. } = &self.header;
        for (what, found, expected) in other.header.identity().into_iter().zip(self.header.identity()).map(same) {
            if found != expected {
                return Err(BadRuns::OtherSweep { what, found, expected });
            }
        }
        if let Some(index) = present.intersection(&other.header.present).next() {
            return Err(BadRuns::Twice(Shard { index: *index, of: *of }));
        }
        let header = &mut self.header;
        header.present.extend(other.header.present);
        header.cases = header.cases.take().or(other.header.cases);
        header.run_seconds = header.run_seconds.max(other.header.run_seconds);
        header.wall_seconds = header.wall_seconds.max(other.header.wall_seconds);
        self.results.run_seconds = header.run_seconds;
        self.results.rows.extend(other.results.rows);
        self.results.failures.extend(other.results.failures);
        Ok(())
    }

    /// The shards that are not there.
    #[must_use]
    pub fn missing(&self) -> Vec<Shard> {
        let of = self.header.shards;
        let is_missing = |index: &u64| !self.header.present.contains(index);
        (0..of).filter(is_missing).map(|index| Shard { index, of }).collect()
    }

    /// The sweep they are of, as far as the rows of this file go.
    ///
    /// # Errors
    /// If this build has no such profile, or carries no such bug.
    pub fn sweep(&self) -> Result<Sweep, String> {
        let Header { seeds: (start, end), profile, store, check_percent, bug, .. } = &self.header;
        let find = |name: &String| Bug::named(name).ok_or_else(|| format!("there is no planted bug `{name}`"));
        Ok(Sweep {
            seeds: *start..*end,
            profile: profile.parse::<Profile>()?,
            store: *store,
            check_percent: *check_percent,
            bug: bug.as_ref().map(find).transpose()?,
            shard: Shard::WHOLE,
            time: None,
        })
    }

    /// How the documented cases stand, if they were run.
    ///
    /// # Errors
    /// The case or scenario that this build does not have.
    pub fn conformance(&self) -> Result<Option<Conformance>, String> {
        let cases = |kept: &Vec<KeptCase>| kept.iter().map(told).collect::<Result<Vec<CaseReport>, String>>();
        let cases = self.header.cases.as_ref().map(cases).transpose()?;
        Ok(cases.map(|cases| Conformance { cases }))
    }
}

impl Header {
    /// What is equal for shards of one sweep by one build.
    fn identity(&self) -> [(&'static str, String); 8] {
        let store = self.store.map_or("a mixture".to_owned(), |store| store.to_string());
        [
            ("the commit", self.commit.clone()),
            ("the lock file", self.lock.clone()),
            ("the range of seeds", format!("{}..{}", self.seeds.0, self.seeds.1)),
            ("the profile", self.profile.clone()),
            ("the store", store),
            ("the share that is run twice", format!("{} %", self.check_percent)),
            ("the planted bug", self.bug.clone().unwrap_or_else(|| "none".to_owned())),
            ("the number of shards", self.shards.to_string()),
        ]
    }
}

fn same(
    ((what, found), (_, expected)): ((&'static str, String), (&'static str, String)),
) -> (&'static str, String, String) {
    (what, found, expected)
}

fn names(names: Vec<&'static str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn json<T: Serialize>(document: &T) -> String {
    serde_json::to_string(document).expect("documents have text as keys")
}

fn version(line: &str) -> Option<u32> {
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    header.get("runs_version")?.as_u64()?.try_into().ok()
}

fn keep(case: &CaseReport) -> KeptCase {
    let scenario = |covered: &Covered| KeptScenario { name: covered.scenario.to_owned(), is_failed: covered.is_failed };
    KeptCase {
        id: case.id.to_owned(),
        scenarios: case.coverage.iter().map(scenario).collect(),
        stores: case.stores.iter().map(|store| (*store).to_owned()).collect(),
        verdict: case.verdict.name().to_owned(),
        reason: case.reason.clone(),
        measured: case.measured.clone(),
        limit: case.limit.clone(),
        exit_code: case.exit_code,
    }
}

fn told(kept: &KeptCase) -> Result<CaseReport, String> {
    let case: Case = kept.id.parse()?;
    let covered = |KeptScenario { name, is_failed }: &KeptScenario| {
        let Scenario { name, story, .. } = Scenario::named(name)?;
        Ok(Covered { scenario: name, story, is_failed: *is_failed })
    };
    let coverage = kept.scenarios.iter().map(covered).collect::<Result<Vec<Covered>, String>>()?;
    let store = |name: &String| Ok(name.parse::<StoreChoice>()?.store_names()[0]);
    let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.name() == kept.verdict);
    Ok(CaseReport {
        case,
        id: case.id(),
        document: case.document().title(),
        scenarios: coverage.iter().map(|covered| covered.scenario).collect(),
        stores: kept.stores.iter().map(store).collect::<Result<_, String>>()?,
        verdict: verdict.ok_or_else(|| format!("`{}` is no verdict", kept.verdict))?,
        reason: kept.reason.clone(),
        measured: kept.measured.clone(),
        limit: kept.limit.clone(),
        coverage,
        exit_code: kept.exit_code,
    })
}

/// The digest of results: over every seed and the digest of its history.
#[must_use]
pub fn results_digest<'a>(rows: impl IntoIterator<Item = (&'a Seed, &'a Row)>) -> Digest {
    let runs: Vec<(u64, Option<Digest>)> = rows.into_iter().map(|(seed, row)| (seed.0, row.digest)).collect();
    Digest::of_value(&runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(shard: Shard) -> Runs {
        let sweep = Sweep {
            seeds: 3..13,
            profile: Profile::Default,
            store: Some(StoreChoice::Memory),
            check_percent: 10,
            bug: None,
            shard,
            time: None,
        };
        let mut results = Results { run_seconds: 1.0 + shard.index as f64, ..Results::default() };
        for seed in sweep.seeds() {
            let digest = (seed.0 != 5).then_some(Digest([seed.0 as u8; 16]));
            let row = Row { digest, steps: seed.0, reached: vec![0, 2], faults: vec![(1, 3)], ..Row::default() };
            results.rows.insert(seed, row);
        }
        if let Some(row) = results.rows.get(&Seed(5)) {
            assert_eq!(row.digest, None);
            results.failures.insert(Seed(5), Failure::Crash { message: "gone".into() });
        }
        Runs::new(&sweep, ("abc", "def"), results, None, 2.0)
    }

    fn read_back(runs: &Runs) -> Runs {
        Runs::from_ndjson(&runs.to_ndjson()).expect("what was written is read")
    }

    #[test]
    fn shards_put_together_in_any_order_are_the_whole() {
        let whole = runs(Shard::WHOLE);
        for order in [[0, 1, 2, 3], [3, 1, 0, 2]] {
            let mut parts = order.map(|index| read_back(&runs(Shard { index, of: 4 }))).into_iter();
            let mut merged = parts.next().expect("there are four");
            parts.for_each(|part| merged.merge(part).expect("it is of the same sweep"));
            assert!(merged.missing().is_empty());
            assert_eq!(merged.results.rows, whole.results.rows);
            assert_eq!(merged.results.failures, whole.results.failures);
            assert_eq!(results_digest(&merged.results.rows), results_digest(&whole.results.rows));
            assert_eq!(read_back(&merged).to_ndjson(), merged.to_ndjson());
        }
    }

    #[test]
    fn a_missing_shard_is_named_and_one_given_twice_refused() {
        let mut merged = runs(Shard { index: 3, of: 4 });
        merged.merge(runs(Shard { index: 0, of: 4 })).expect("it is of the same sweep");
        assert_eq!(merged.missing().iter().map(Shard::to_string).collect::<Vec<_>>(), ["1/4", "2/4"]);
        let twice = merged.merge(runs(Shard { index: 3, of: 4 }));
        assert_eq!(twice, Err(BadRuns::Twice(Shard { index: 3, of: 4 })));
    }

    #[test]
    fn another_sweep_or_build_is_refused_by_what_differs() {
        let mut other = runs(Shard { index: 1, of: 4 });
        other.header.commit = "else".into();
        let refused = runs(Shard { index: 0, of: 4 }).merge(other).expect_err("it is of another commit").to_string();
        assert!(refused.starts_with("the commit is else and not abc"), "{refused}");
        let refused = runs(Shard { index: 0, of: 4 }).merge(runs(Shard { index: 1, of: 2 }));
        assert!(matches!(refused, Err(BadRuns::OtherSweep { what: "the number of shards", .. })), "{refused:?}");
    }

    #[test]
    fn a_damaged_file_is_refused_with_the_line() {
        let text = runs(Shard { index: 1, of: 4 }).to_ndjson();
        let refusal = |text: &str| Runs::from_ndjson(text).expect_err("it is damaged").to_string();
        let cut = &text[..text.len() - 20];
        assert!(refusal(cut).starts_with("line 4: "), "{}", refusal(cut));
        let short: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
        assert!(refusal(&short).contains("holds 2 seeds, and its shards have 3"), "{}", refusal(&short));
        assert!(refusal(&text.replace("\"runs_version\":1", "\"runs_version\":9")).contains("newer"));
        assert!(refusal("").starts_with("line 1: "));
        let number = text.replace("\"reached\":[0,2]", "\"reached\":[0,999]");
        assert!(refusal(&number).contains("number 999 is none"), "{}", refusal(&number));
        let twice = format!("{text}{}\n", text.lines().last().expect("it has lines"));
        assert!(refusal(&twice).contains("twice"), "{}", refusal(&twice));
        let other = text.replace("\"present\":[1]", "\"present\":[2]");
        assert!(refusal(&other).contains("none of its shards"), "{}", refusal(&other));
    }

    #[test]
    fn a_shard_is_written_as_its_number_and_how_many_there_are() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 2, of: 4 }));
        let refused = |text: &str| text.parse::<Shard>().expect_err("it is none");
        assert!(refused("4/4").contains("0/4 to 3/4") && refused("0/0").contains("0/1"));
        assert!(["", "1", "a/b", "-1/3"].into_iter().all(|text| refused(text).contains("I/N")));
    }
}
