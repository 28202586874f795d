//! Case → scenarios → verdict: which documented requirements this build is shown to meet.
//!
//! A case passes when every scenario that covers it passes on the memory store **and** on Kùzu. What was not run was not
//! shown: a case that passed on one store only is missing, and says why.

use kuzusync_scenarios::case::Case;
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_sim::outcome::Outcome;
use kuzusync_sim::store::StoreChoice;
use serde::Serialize;

use crate::text::{fit, labelled, pad, plural, rule};

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

    /// Whether every case that is not later passes.
    #[must_use]
    pub fn all_pass(&self) -> bool {
        self.count(Verdict::Fail) == 0 && self.count(Verdict::Missing) == 0
    }

    /// How many cases stand like that.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|case| case.verdict == verdict).count()
    }
}

/// One scenario on one store, and the first thing wrong with it.
struct Tried {
    scenario: &'static str,
    cases: &'static [Case],
    store: &'static str,
    problem: Option<String>,
}

/// Runs every scenario that covers one of these cases, once per store, and judges the cases by what came of it.
/// `progress` is told of each run before it starts.
pub fn judge(cases: &[Case], stores: &[StoreChoice], mut progress: impl FnMut(&str)) -> Conformance {
    let covering = |scenario: &Scenario| scenario.cases.iter().any(|case| cases.contains(case));
    let scenarios: Vec<Scenario> = Scenario::all().into_iter().filter(covering).collect();
    let mut tried = Vec::new();
    for scenario in &scenarios {
        for store in single_stores(stores).into_iter().filter(|store| store.is_built()) {
            let store_name = store.store_names()[0];
            progress(&format!("{} on {store_name}", scenario.name));
            let outcome = scenario.run(scenario.seed, store);
            let (cases, problem) = (scenario.cases, problem(&outcome));
            tried.push(Tried { scenario: scenario.name, cases, store: store_name, problem });
        }
    }
    let report = |case: &Case| judge_case(*case, &scenarios, stores, &tried);
    Conformance { cases: cases.iter().map(report).collect() }
}

/// `both` means each by itself here.
fn single_stores(stores: &[StoreChoice]) -> Vec<StoreChoice> {
    let is_asked = |name: &str| stores.iter().any(|store| store.store_names().contains(&name));
    [StoreChoice::Memory, StoreChoice::Kuzu].into_iter().filter(|store| is_asked(store.store_names()[0])).collect()
}

/// The first check that does not hold, or else the failure of the run.
fn problem(outcome: &Outcome) -> Option<String> {
    let failure = outcome.failure.as_ref()?;
    let check = outcome.checks.iter().find(|check| !check.holds);
    Some(check.map_or(failure.message().to_owned(), |check| format!("`{}`: {}", check.clause, check.found)))
}

fn judge_case(case: Case, scenarios: &[Scenario], stores: &[StoreChoice], tried: &[Tried]) -> CaseReport {
    let covering = scenarios.iter().filter(|scenario| scenario.cases.contains(&case));
    let scenarios: Vec<&'static str> = covering.map(|scenario| scenario.name).collect();
    let own: Vec<&Tried> = tried.iter().filter(|tried| tried.cases.contains(&case)).collect();
    let failed = own.iter().find_map(|tried| {
        let problem = tried.problem.as_ref()?;
        Some(format!("{} on {}: {problem}", tried.scenario, tried.store))
    });
    let (verdict, reason) = match failed {
        _ if case.is_later() => (Verdict::Later, None),
        Some(reason) => (Verdict::Fail, Some(reason)),
        None if scenarios.is_empty() => (Verdict::Missing, Some("no scenario covers it".to_owned())),
        None => match not_run(stores) {
            Some(reason) => (Verdict::Missing, Some(reason)),
            None => (Verdict::Pass, None),
        },
    };
    let names = StoreChoice::Both.store_names().iter().copied();
    let ran_on = names.filter(|store| own.iter().any(|tried| tried.store == *store)).collect();
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
    }
}

/// The store that a case needs and that was not tried, with the reason.
fn not_run(stores: &[StoreChoice]) -> Option<String> {
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

/// A case in one line; why it fails, or was not tried everywhere, in as many more as that takes.
fn row(case: &CaseReport, width: usize) -> String {
    let indent = ID_COLUMNS + VERDICT_COLUMNS;
    let columns = width.saturating_sub(indent);
    let start = format!("{}{}", pad(case.id, ID_COLUMNS), pad(case.verdict.name(), VERDICT_COLUMNS));
    let requirement = fit(case.case.requirement(), columns);
    let mut page = format!("{start}{requirement}\n");
    let scenarios = case.scenarios.join(", ");
    let remark = match &case.reason {
        _ if case.scenarios.is_empty() => return page,
        Some(reason) if case.verdict == Verdict::Fail => reason.clone(),
        Some(reason) => format!("{scenarios}: {reason}"),
        None => format!("shown by {scenarios} on {}", case.stores.join(" and ")),
    };
    page.push_str(&labelled("", &remark, indent, width));
    page
}

fn summary(conformance: &Conformance) -> String {
    let counted = Verdict::ALL.map(|verdict| format!("{} {}", conformance.count(verdict), verdict.name()));
    let total = plural(conformance.cases.len(), "case");
    format!("{total}: {}. Missing: no scenario covers it, or not every store was tried.", counted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_exactly_the_published_fields() {
        let conformance = judge(&[Case::B3], &[StoreChoice::Memory], |_| {});
        let expected = r#"{"cases":[{"id":"B3","document":"DDL Synchronisation","scenarios":[],"stores":[],"verdict":"missing","reason":"no scenario covers it","measured":null,"limit":null}]}"#;
        assert_eq!(serde_json::to_string(&conformance).expect("it has only strings"), expected);
    }

    #[test]
    fn a_case_that_was_not_tried_on_every_store_is_missing_and_says_which() {
        let mut told = Vec::new();
        let conformance = judge(&[Case::D1_1, Case::C10], &[StoreChoice::Memory], |run| told.push(run.to_owned()));
        assert_eq!(told, ["handshake on memory"]);
        let [handshake, later] = conformance.cases.as_slice() else { panic!("two cases were asked for") };
        assert_eq!((handshake.verdict, handshake.stores.as_slice()), (Verdict::Missing, ["memory"].as_slice()));
        assert_eq!(handshake.reason.as_deref(), Some("not run on Kùzu: only memory was asked for"));
        assert_eq!((later.verdict, later.reason.as_deref()), (Verdict::Later, None));
    }

    #[test]
    fn both_stores_pass_together_or_the_build_has_only_one() {
        let conformance = judge(&[Case::D1_1], &[StoreChoice::Both], |_| {});
        let case = &conformance.cases[0];
        if StoreChoice::Kuzu.is_built() {
            assert_eq!((case.verdict, case.stores.as_slice()), (Verdict::Pass, ["memory", "kuzu"].as_slice()));
        } else {
            assert_eq!(case.reason.as_deref(), Some("not run on Kùzu: this build has none"));
        }
        assert_eq!(conformance.all_pass(), StoreChoice::Kuzu.is_built());
    }
}
