//! Case → scenarios → verdict: which documented requirements this build is shown to meet.
//!
//! A case passes when every scenario that covers it passes on the memory store **and** on Kùzu. What was not run was not
//! shown: a case that passed on one store only is missing, and says why.

use std::fmt;

use kuzusync_scenarios::case::Case;
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_sim::outcome::{Check, Failure, gravest};
use kuzusync_sim::store::StoreChoice;
use serde::Serialize;

use crate::text::{fit, labelled, pad, plural, rule};
use crate::worker::{Crew, News, Request};

/// How a case stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every scenario that covers it passed on every store.
    Pass,
    /// A scenario that covers it failed.
    Fail,
    /// No scenario covers it, or not every store was tried.
    Missing,
    /// It belongs to a later product.
    Later,
}

impl Verdict {
    /// Every verdict, in the order of the summary.
    pub const ALL: [Verdict; 4] = [Verdict::Pass, Verdict::Fail, Verdict::Missing, Verdict::Later];

    /// The verdict's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Missing => "missing",
            Verdict::Later => "later",
        }
    }
}

/// How one case stands, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// The case.
    #[serde(skip)]
    pub case: Case,
    /// Its id.
    pub id: &'static str,
    /// The title of its document.
    pub document: &'static str,
    /// The scenarios that cover it.
    pub scenarios: Vec<&'static str>,
    /// The stores they ran on.
    pub stores: Vec<&'static str>,
    /// How it stands.
    pub verdict: Verdict,
    /// Why it does not pass.
    pub reason: Option<String>,
    /// What was measured, for a case with a limit.
    pub measured: Option<String>,
    /// The document's limit.
    pub limit: Option<String>,
    /// Those scenarios, each with what it tells and whether it failed.
    #[serde(skip)]
    pub coverage: Vec<Covered>,
    /// The exit code of the gravest class of which a scenario that covers it failed, 0 if none did.
    #[serde(skip)]
    pub exit_code: u8,
}

/// A scenario of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Its name.
    pub scenario: &'static str,
    /// What it tells.
    pub story: &'static str,
    /// Whether it failed on some store.
    pub is_failed: bool,
}

/// How all cases stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conformance {
    /// In the order they were asked for.
    pub cases: Vec<CaseReport>,
}

impl Conformance {
    /// Whether a scenario failed.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.count(Verdict::Fail) > 0
    }

    /// The exit code of the gravest failure, 0 if there is none.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        gravest(self.cases.iter().map(|case| case.exit_code))
    }

    /// Whether every case that is not later passes.
    #[must_use]
    pub fn all_pass(&self) -> bool {
        self.count(Verdict::Fail) == 0 && self.count(Verdict::Missing) == 0
    }

    /// The cases that were run, if on fewer stores than they ask for.
    pub fn ran(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases.iter().filter(|case| !case.stores.is_empty())
    }

    /// How many cases stand like that.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|case| case.verdict == verdict).count()
    }
}

/// One scenario on one store: a run to be made.
#[derive(Clone)]
pub struct Trial {
    /// Which scenario.
    pub scenario: Scenario,
    /// A single store.
    pub store: StoreChoice,
}

impl Trial {
    /// The run, at the scenario's own seed.
    #[must_use]
    pub fn request(&self) -> Request {
        Request::scenario(self.scenario.name, self.scenario.seed, self.store)
    }

    fn store_name(&self) -> &'static str {
        self.store.store_names()[0]
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.scenario.name, self.store_name())
    }
}

/// What is wrong with a run of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The exit code of its class.
    pub exit_code: u8,
    /// In words.
    pub words: String,
}

impl Problem {
    /// The first clause that does not hold, or else the failure of the run.
    #[must_use]
    pub fn of(failure: &Failure, unmet: Option<&Check>) -> Self {
        let words = unmet.map_or(failure.message().to_owned(), |check| format!("`{}`: {}", check.clause, check.found));
        Problem { exit_code: failure.exit_code(), words }
    }
}

/// Has every scenario run that covers one of these cases, once per store, and judges the cases by what came of it.
/// `run` makes the runs and says of each, in their order, what is wrong with it.
pub fn judge(
    cases: &[Case],
    stores: &[StoreChoice],
    run: impl FnOnce(&[Trial]) -> Vec<Option<Problem>>,
) -> Conformance {
    let covering = |scenario: &Scenario| scenario.cases.iter().any(|case| cases.contains(case));
    let scenarios: Vec<Scenario> = Scenario::all().into_iter().filter(covering).collect();
    let built = || single_stores(stores).into_iter().filter(|store| store.is_built());
    let on_each = |scenario: &Scenario| built().map(|store| Trial { scenario: scenario.clone(), store }).collect();
    let trials: Vec<Trial> = scenarios.iter().flat_map::<Vec<Trial>, _>(on_each).collect();
    let problems = run(&trials);
    assert_eq!(problems.len(), trials.len(), "every run is told of");
    let tried: Vec<_> = trials.into_iter().zip(problems).collect();
    Conformance { cases: cases.iter().map(|case| judge_case(*case, &scenarios, stores, &tried)).collect() }
}

/// Makes the runs in worker processes. `progress` is told of each when it is made.
pub fn in_workers(crew: &Crew, trials: &[Trial], mut progress: impl FnMut(&str)) -> Vec<Option<Problem>> {
    let mut problems = vec![None; trials.len()];
    crew.answer(
        trials.len(),
        |place| trials[place].request(),
        |news| {
            let News::Reply(place, reply) = news else { return };
            progress(&trials[place].to_string());
            problems[place] = match *reply {
                Ok(answer) => answer.failure.map(|failure| Problem::of(&failure, answer.unmet.as_ref())),
                Err(failure) => Some(Problem::of(&failure, None)),
            };
        },
    );
    problems
}

/// Every choice that is one store.
const SINGLE_STORES: [StoreChoice; 3] = [StoreChoice::Memory, StoreChoice::Kuzu, StoreChoice::KuzuDisk];

/// `both` means each by itself here.
fn single_stores(stores: &[StoreChoice]) -> Vec<StoreChoice> {
    let is_asked = |name: &str| stores.iter().any(|store| store.store_names().contains(&name));
    SINGLE_STORES.into_iter().filter(|store| is_asked(store.store_names()[0])).collect()
}

fn judge_case(
    case: Case,
    scenarios: &[Scenario],
    stores: &[StoreChoice],
    tried: &[(Trial, Option<Problem>)],
) -> CaseReport {
    let has_failed = |name: &str| tried.iter().any(|(trial, problem)| trial.scenario.name == name && problem.is_some());
    let covered = |scenario: &Scenario| {
        let Scenario { name, story, .. } = *scenario;
        Covered { scenario: name, story, is_failed: has_failed(name) }
    };
    let covering = scenarios.iter().filter(|scenario| scenario.cases.contains(&case));
    let coverage: Vec<Covered> = covering.map(covered).collect();
    let scenarios: Vec<&'static str> = coverage.iter().map(|covered| covered.scenario).collect();
    let own = || tried.iter().filter(|(trial, _)| trial.scenario.cases.contains(&case));
    let failed = own().find_map(|(trial, problem)| Some(format!("{trial}: {}", problem.as_ref()?.words)));
    let exit_code = gravest(own().filter_map(|(_, problem)| Some(problem.as_ref()?.exit_code)));
    let (verdict, reason) = match failed {
        _ if case.is_later() => (Verdict::Later, None),
        Some(reason) => (Verdict::Fail, Some(reason)),
        None if scenarios.is_empty() => (Verdict::Missing, Some("no scenario covers it".to_owned())),
        None => match not_run(stores) {
            Some(reason) => (Verdict::Missing, Some(reason)),
            None => (Verdict::Pass, None),
        },
    };
    let names = SINGLE_STORES.map(|store| store.store_names()[0]).into_iter();
    let ran_on = names.filter(|store| own().any(|(trial, _)| trial.store_name() == *store)).collect();
    CaseReport {
        case,
        id: case.id(),
        document: case.document().title(),
        scenarios,
        stores: ran_on,
        verdict,
        reason,
        measured: None,
        limit: None,
        coverage,
        exit_code,
    }
}

/// The store that a case needs and that was not tried, with the reason.
pub(crate) fn not_run(stores: &[StoreChoice]) -> Option<String> {
    let asked = single_stores(stores);
    for (store, name) in [(StoreChoice::Memory, "memory"), (StoreChoice::Kuzu, "Kùzu")] {
        if !asked.contains(&store) {
            let asked: Vec<&str> = asked.iter().map(|store| store.store_names()[0]).collect();
            return Some(format!("not run on {name}: only {} was asked for", asked.join(" and ")));
        }
        if !store.is_built() {
            return Some(format!("not run on {name}: this build has none"));
        }
    }
    None
}

/// Columns of ids and verdicts.
const ID_COLUMNS: usize = 8;
const VERDICT_COLUMNS: usize = 9;

/// The cases as a table by document, and how many stand how.
#[must_use]
pub fn text(conformance: &Conformance, width: usize) -> String {
    let mut page = String::new();
    let mut document = "";
    for case in &conformance.cases {
        if case.document != document {
            let gap = if document.is_empty() { "" } else { "\n" };
            page.push_str(&format!("{gap}{}\n", rule(case.document, width)));
            document = case.document;
        }
        page.push_str(&row(case, width));
    }
    page.push('\n');
    page.push_str(&labelled("", &summary(conformance), 0, width));
    page
}

/// Of more scenarios than these each has a line of its own.
const SCENARIOS_IN_A_LINE: usize = 5;

/// A case in one line; why it fails, or was not tried everywhere, in as many more as that takes; then a table of its
/// scenarios where there are many.
fn row(case: &CaseReport, width: usize) -> String {
    let indent = ID_COLUMNS + VERDICT_COLUMNS;
    let columns = width.saturating_sub(indent);
    let start = format!("{}{}", pad(case.id, ID_COLUMNS), pad(case.verdict.name(), VERDICT_COLUMNS));
    let requirement = fit(case.case.requirement(), columns);
    let mut page = format!("{start}{requirement}\n");
    let scenarios = case.scenarios.join(", ");
    if let (Some(measured), Some(limit)) = (&case.measured, &case.limit) {
        let reason = case.reason.as_ref().map_or(String::new(), |reason| format!("; {reason}"));
        let remark = format!("measured {measured}, limit {limit}{reason}");
        page.push_str(&labelled("", &remark, indent, width));
        return page;
    }
    let is_table = case.coverage.len() > SCENARIOS_IN_A_LINE;
    let remark = match &case.reason {
        _ if case.scenarios.is_empty() && case.stores.is_empty() => return page,
        Some(reason) if case.verdict == Verdict::Fail || case.scenarios.is_empty() => reason.clone(),
        Some(reason) if is_table => reason.clone(),
        Some(reason) => format!("{scenarios}: {reason}"),
        None if case.scenarios.is_empty() => {
            format!("read in what is written of runs on {}", case.stores.join(" and "))
        }
        None if is_table => {
            format!("shown by {} on {}:", plural(case.scenarios.len(), "scenario"), case.stores.join(" and "))
        }
        None => format!("shown by {scenarios} on {}", case.stores.join(" and ")),
    };
    page.push_str(&labelled("", &remark, indent, width));
    for Covered { scenario, story, is_failed } in case.coverage.iter().filter(|_| is_table) {
        let mark = if *is_failed { '✗' } else { '✓' };
        let story = fit(story, columns.saturating_sub(SCENARIO_COLUMNS + 3));
        page.push_str(&format!("{}{mark} {} {story}\n", " ".repeat(indent), pad(scenario, SCENARIO_COLUMNS)));
    }
    page
}

/// Columns of a scenario's name in a table of many.
const SCENARIO_COLUMNS: usize = 36;

fn summary(conformance: &Conformance) -> String {
    let counted = Verdict::ALL.map(|verdict| format!("{} {}", conformance.count(verdict), verdict.name()));
    let total = plural(conformance.cases.len(), "case");
    format!("{total}: {}. Missing: no scenario covers it, or not every store was tried.", counted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the runs in this process.
    fn here(trials: &[Trial]) -> Vec<Option<Problem>> {
        let problem = |trial: &Trial| {
            let outcome = trial.scenario.run(trial.scenario.seed, trial.store);
            outcome.failure.map(|failure| Problem::of(&failure, None))
        };
        trials.iter().map(problem).collect()
    }

    #[test]
    fn the_json_has_exactly_the_published_fields() {
        let conformance = judge(&[Case::B10], &[StoreChoice::Memory], here);
        let expected = r#"{"cases":[{"id":"B10","document":"DDL Synchronisation","scenarios":[],"stores":[],"verdict":"missing","reason":"no scenario covers it","measured":null,"limit":null}]}"#;
        assert_eq!(serde_json::to_string(&conformance).expect("it has only strings"), expected);
    }

    #[test]
    fn a_case_that_was_not_tried_on_every_store_is_missing_and_says_which() {
        let mut told = Vec::new();
        let conformance = judge(&[Case::D1_1, Case::C10], &[StoreChoice::Memory], |trials| {
            told.extend(trials.iter().map(Trial::to_string));
            here(trials)
        });
        assert_eq!(told, ["handshake on memory"]);
        let [handshake, later] = conformance.cases.as_slice() else { panic!("two cases were asked for") };
        assert_eq!((handshake.verdict, handshake.stores.as_slice()), (Verdict::Missing, ["memory"].as_slice()));
        assert_eq!(handshake.reason.as_deref(), Some("not run on Kùzu: only memory was asked for"));
        assert_eq!((later.verdict, later.reason.as_deref()), (Verdict::Later, None));
    }

    #[test]
    fn both_stores_pass_together_or_the_build_has_only_one() {
        let conformance = judge(&[Case::D1_1], &[StoreChoice::Both], here);
        let case = &conformance.cases[0];
        if StoreChoice::Kuzu.is_built() {
            assert_eq!((case.verdict, case.stores.as_slice()), (Verdict::Pass, ["memory", "kuzu"].as_slice()));
        } else {
            assert_eq!(case.reason.as_deref(), Some("not run on Kùzu: this build has none"));
        }
        assert_eq!(conformance.all_pass(), StoreChoice::Kuzu.is_built());
    }

    #[test]
    fn a_case_fails_with_the_clause_that_does_not_hold_and_the_class_of_its_run() {
        let failure = Failure::Crash { message: "gone".into() };
        let check = Check { clause: "all is well".into(), holds: false, found: "it is not".into() };
        let fails = |unmet: Option<&Check>| {
            let problem = Problem::of(&failure, unmet);
            judge(&[Case::D1_1], &[StoreChoice::Memory], |trials| vec![Some(problem); trials.len()])
        };
        let died = fails(None);
        assert_eq!((died.exit_code(), died.cases[0].verdict), (4, Verdict::Fail));
        assert_eq!(died.cases[0].reason.as_deref(), Some("handshake on memory: gone"));
        let reason = fails(Some(&check)).cases[0].reason.clone();
        assert_eq!(reason.as_deref(), Some("handshake on memory: `all is well`: it is not"));
    }
}
