//! One HTML file for a sweep or a run, with everything in it: nothing is loaded from anywhere.
//!
//! Rust puts together what is to be told and JavaScript draws it, and only what is on the screen: a history of 100,000 events
//! is some megabytes of text, so it is embedded deflated and unpacked by the browser when its run is opened. Whatever comes
//! from a run reaches the page as the content of a text node or an attribute, never as markup.

use std::collections::BTreeMap;

use kuzusync_scenarios::stored::StoredCase;
use kuzusync_sim::outcome::{Failure, Outcome, Property};
use kuzusync_sim::step::Plan;
use serde_json::{Value as Json, json};

use crate::advice;
use crate::benchmarks::{Benchmark, growths};
use crate::conformance::{CaseReport, Conformance};
use crate::disagreement::Difference;
use crate::evolution;
use crate::failure;
use crate::provenance::Provenance;
use crate::runs::Runs;
use crate::sweep::{Report, Row};
use crate::words::Names;

mod history;

const SHELL: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Seeds listed for a signature.
const SEEDS_MAX: usize = 50;

/// The slowest seeds that are listed.
const SLOWEST_MAX: usize = 10;

/// A page that is being put together.
pub struct Page {
    title: String,
    data: BTreeMap<&'static str, Json>,
    runs: Vec<Json>,
}

/// A run to be shown.
pub struct ShownRun<'a> {
    /// What it is, in a few words.
    pub label: String,
    /// How it ended.
    pub outcome: &'a Outcome,
    /// Its plan, if it has one.
    pub plan: Option<&'a Plan>,
    /// The command that makes it again.
    pub replay: String,
    /// The story of a scenario.
    pub story: Option<&'a str>,
    /// The signature of the failure it shows.
    pub signature: Option<String>,
    /// Queries whose filters are looked at.
    pub queries: &'a str,
}

impl Page {
    /// A page that says where it comes from, and nothing else yet.
    #[must_use]
    pub fn new(title: impl Into<String>, provenance: &Provenance) -> Page {
        let Provenance { commit, lock, command } = provenance;
        let build = json!({"commit": commit, "lock": lock, "command": command});
        Page { title: title.into(), data: BTreeMap::from([("build", build)]), runs: Vec::new() }
    }

    /// Adds a sweep.
    pub fn sweep(&mut self, runs: &Runs, report: &Report) {
        let (start, end) = runs.header.seeds;
        let sentence = |name: &str| {
            let property = Property::ALL.into_iter().find(|property| property.name() == name);
            property.map(Property::sentence)
        };
        let signature = |(signature, failures): &(&str, Vec<&crate::sweep::FailureReport>)| {
            let first = failures[0];
            let seeds: Vec<u64> = failures.iter().take(SEEDS_MAX).map(|failure| failure.seed).collect();
            json!({
                "signature": signature,
                "class": first.class,
                "property": first.property,
                "sentence": first.property.and_then(sentence),
                "count": failures.len(),
                "seeds": seeds,
                "message": runs.results.failures.get(&kuzusync_sim::seed::Seed(first.seed)).map(Failure::message),
                "replay": first.replay,
            })
        };
        let signatures: Vec<Json> = report.signatures().iter().map(signature).collect();
        let store =
            runs.header.store.map_or("memory, and every 50th seed on both".to_owned(), |store| store.to_string());
        let sweep = json!({
            "seeds": [start, end],
            "profile": runs.header.profile,
            "store": store,
            "bug": runs.header.bug,
            "shards": runs.header.shards,
            "report": report,
            "signatures": signatures,
            "times": times(&runs.results.rows.values().collect::<Vec<_>>()),
            "slowest": slowest(runs),
        });
        self.data.insert("sweep", sweep);
    }

    /// Adds the documented cases.
    pub fn cases(&mut self, conformance: &Conformance) {
        self.data.insert("cases", conformance.cases.iter().map(case).collect());
    }

    /// Adds measurements.
    pub fn benchmarks(&mut self, benchmarks: &[Benchmark]) {
        self.data.insert("benchmarks", json!(benchmarks));
        self.data.insert("growths", json!(growths(benchmarks)));
    }

    /// Adds a run.
    pub fn run(&mut self, run: &ShownRun<'_>) {
        self.runs.push(run_json(run));
    }

    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut data = self.data.clone();
        data.insert("runs", self.runs.clone().into());
        let data = serde_json::to_string(&data).expect("its keys are text");
        SHELL
            .replace("{{title}}", &escaped(&self.title))
            .replace("{{style}}", STYLE)
            .replace("{{script}}", SCRIPT)
            .replace("{{data}}", &within_script(&data))
    }
}

/// A text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// JSON within a `script` element: no text in it can end the element.
fn within_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// How many seeds took how long: the upper bound of a class in milliseconds, each twice the one before, and its seeds.
fn times(rows: &[&Row]) -> Vec<(f64, u64)> {
    let mut classes: BTreeMap<u32, u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.wall_us > 0) {
        *classes.entry(row.wall_us.next_power_of_two().ilog2()).or_insert(0) += 1;
    }
    let (Some(first), Some(last)) = (classes.keys().min().copied(), classes.keys().max().copied()) else {
        return Vec::new();
    };
    let class = |power| ((1_u64 << power) as f64 / 1e3, classes.get(&power).copied().unwrap_or(0));
    (first..=last).map(class).collect()
}

fn slowest(runs: &Runs) -> Vec<Json> {
    let mut rows: Vec<_> = runs.results.rows.iter().collect();
    rows.sort_by_key(|(seed, row)| (std::cmp::Reverse(row.wall_us), **seed));
    let row = |(seed, row): &(&kuzusync_sim::seed::Seed, &Row)| json!([seed.0, row.wall_us / 1_000, row.events]);
    rows.iter().take(SLOWEST_MAX).map(row).collect()
}

fn case(case: &CaseReport) -> Json {
    let scenarios: Vec<Json> = case
        .coverage
        .iter()
        .map(|covered| json!({"name": covered.scenario, "story": covered.story, "failed": covered.is_failed}))
        .collect();
    json!({
        "id": case.id,
        "document": case.document,
        "requirement": case.case.requirement(),
        "clauses": case.case.clauses(),
        "verdict": case.verdict,
        "reason": case.reason,
        "stores": case.stores,
        "measured": case.measured,
        "limit": case.limit,
        "scenarios": scenarios,
    })
}

fn run_json(run: &ShownRun<'_>) -> Json {
    let ShownRun { label, outcome, plan, replay, story, signature, queries } = run;
    let mut names = Names::of(outcome);
    plan.iter().for_each(|plan| failure::learn_keys(plan, &mut names));
    let told = failure::told(outcome, &names);
    let difference = |difference: &Difference| {
        let side = |side: &crate::disagreement::Side| json!([side.holders, side.value, side.written]);
        json!({"place": difference.place, "sides": difference.sides.iter().map(side).collect::<Vec<_>>()})
    };
    let hosts: Vec<String> = (0..outcome.options.replicas).map(|host| names.host(host)).collect();
    json!({
        "label": label,
        "seed": outcome.seed,
        "class": outcome.failure.as_ref().map(Failure::class),
        "property": outcome.failure.as_ref().and_then(Failure::property).map(Property::name),
        "signature": signature,
        "story": story,
        "expected": told.expected,
        "found": told.found,
        "since": told.since.as_ref().map(|(_, since)| since),
        "details": told.details,
        "differences": told.differences.iter().map(difference).collect::<Vec<_>>(),
        "plan": plan.map(|plan| failure::steps(plan, &names)),
        "plan_json": plan.map(|plan| serde_json::to_string(plan).expect("a plan has text as keys")),
        "faults": failure::faults(outcome),
        "options": failure::options(&outcome.options),
        "replay": replay,
        "digest": outcome.digest,
        "events": outcome.events.len(),
        "hosts": hosts,
        "checks": outcome.checks,
        "versions": evolution::versions(outcome, &names),
        "advice": advice::advise(outcome, &names, queries),
        "history": history::packed(outcome, &names, told.since.map(|(event, _)| event)),
    })
}

/// What a stored case is called on a page.
#[must_use]
pub fn label(stored: &StoredCase, is_smallest: bool) -> String {
    let seed = stored.seed.0;
    if is_smallest { format!("seed {seed}, smallest plan") } else { format!("seed {seed}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuzusync_scenarios::scenario::Scenario;
    use kuzusync_sim::store::StoreChoice;

    pub(super) fn outcome(name: &str) -> Outcome {
        let scenario = Scenario::named(name).expect("there is such a scenario");
        scenario.run(scenario.seed, StoreChoice::Memory)
    }

    #[test]
    fn nothing_on_a_page_can_end_its_script_or_load_anything() {
        let provenance = Provenance { commit: "</script><b>".into(), lock: "l".into(), command: "\u{2028}".into() };
        let mut page = Page::new("<title>", &provenance);
        let outcome = outcome("concurrent-update");
        let (label, replay) = ("</script>".to_owned(), String::new());
        let run = ShownRun { label, outcome: &outcome, plan: None, replay, story: None, signature: None, queries: "" };
        page.run(&run);
        let html = page.to_html();
        assert_eq!(html.matches("</script>").count(), 2, "its own two");
        assert!(!html.contains("<title><title>") && !html.contains('\u{2028}') && !html.contains("{{"));
        for remote in ["src=", "href=\"http", "url(", "@import", "fetch("] {
            assert!(!html.contains(remote), "{remote}");
        }
    }

    #[test]
    fn times_are_told_in_classes_without_gaps() {
        let row = |wall_us| Row { wall_us, ..Row::default() };
        let rows = [row(0), row(900), row(1_000), row(5_000)];
        let expected = [(1.024, 2), (2.048, 0), (4.096, 0), (8.192, 1)];
        assert_eq!(times(&rows.iter().collect::<Vec<_>>()), expected);
    }
}
