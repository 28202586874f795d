//! The pages that people read, as files that a reviewer can judge without the code.
//!
//! Every scripted scenario has one, at its own seed and on the memory store; so have a failure of each kind, the timeline
//! of a plan with faults, and the table of cases. Provenance is fixed, so a page changes when what happens changes or
//! when its words do, and never otherwise.

use std::collections::BTreeSet;
use std::path::Path;

use kuzusync_core::replica::Notice;
use kuzusync_core::statement::{Properties, Statement};
use kuzusync_core::value::Value;
use kuzusync_reports::conformance::{Problem, Trial};
use kuzusync_reports::provenance::Provenance;
use kuzusync_reports::{conformance, failure, scenario_page, timeline};
use kuzusync_scenarios::case::Case;
use kuzusync_scenarios::crash_points;
use kuzusync_scenarios::sample::{create_user, create_user_table, set_email};
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_sim::checker::Checkers;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::options::{LinkOptions, Options};
use kuzusync_sim::outcome::{Failure, Outcome, Property};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::step::{Plan, Step};
use kuzusync_sim::store::StoreChoice;

/// Columns of the pages, where a name does not say otherwise.
const WIDTH: usize = 100;

/// The snapshots that are not of scenarios.
const OTHERS: [&str; 10] = [
    "conformance",
    "conformance-of-a-failure",
    "crash-points",
    "failure-convergence-at-120-columns",
    "failure-convergence-at-80-columns",
    "failure-crash",
    "failure-panic",
    "failure-durability",
    "failure-liveness",
    "timeline-of-a-plan-with-faults",
];

fn names() -> BTreeSet<String> {
    let scenarios = Scenario::all().into_iter().map(|scenario| format!("scenario-{}", scenario.name));
    scenarios.chain(OTHERS.map(str::to_owned)).collect()
}

fn assert_page(name: &str, width: usize, page: &str) {
    assert!(names().contains(name), "`{name}` is not in the list of snapshots");
    let lines: Vec<&str> = page.lines().collect();
    assert!(lines.iter().all(|line| *line == line.trim_end()), "{name} has spaces at the end of a line");
    let too_wide = lines.iter().find(|line| kuzusync_reports::text::width(line) > width);
    assert_eq!(too_wide, None, "{name} fits {width} columns");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, page));
}

#[test]
fn no_snapshot_is_left_over() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<String> = files.filter_map(|name| name.strip_suffix(".snap").map(str::to_owned)).collect();
    let names = names();
    let left_over: Vec<&String> = found.difference(&names).collect();
    assert!(left_over.is_empty(), "no test makes {left_over:?}: delete them");
}

#[test]
fn every_scripted_scenario_has_a_page() {
    for scenario in Scenario::all() {
        let outcome = scenario.run(scenario.seed, StoreChoice::Memory);
        assert_eq!(outcome.failure, None, "{}", scenario.name);
        assert_page(&format!("scenario-{}", scenario.name), WIDTH, &scenario_page::page(&scenario, &outcome, WIDTH));
    }
}

#[test]
fn a_transaction_survives_a_crash_of_one_or_two_replicas_at_any_point() {
    let rows = crash_points::all();
    let wrong = rows.iter().find(|row| row.failure.is_some());
    assert_eq!(wrong, None);
    assert_page("crash-points", WIDTH, &kuzusync_reports::crash_points::page(&rows));
}

// ---- a plan with faults ----

fn submit(replica: u32, statements: &[Statement]) -> Step {
    Step::Submit { replica, statements: statements.to_vec(), participants: Vec::new() }
}

fn rename(id: &str, name: &str) -> Statement {
    let properties = Properties::from([("name".into(), Value::from(name))]);
    Statement::UpdateNode { table: "User".into(), key: Value::from(id), properties }
}

/// A main and two edges on links that lose a quarter of everything; an edge is cut off, another dies.
fn plan_with_faults() -> Plan {
    let links = LinkOptions { loss_permille: 250, repeat_permille: 100, ..LinkOptions::default() };
    let steps = vec![
        submit(0, &[create_user_table(), create_user("ann", "Ann")]),
        Step::Wait { ms: 1_500 },
        Step::Partition { group: 0b010 },
        submit(1, &[set_email("ann", "ann@edge.one")]),
        Step::Wait { ms: 100 },
        submit(2, &[set_email("ann", "ann@edge.two"), create_user("bob", "Bob")]),
        Step::Crash { replica: 2, after_outputs: 0, kept_bytes: 0 },
        submit(0, &[rename("ann", "Anna")]),
        Step::Wait { ms: 400 },
        Step::Heal,
        Step::Restart { replica: 2 },
        Step::Wait { ms: 300 },
    ];
    Plan::new(Options { links, ..Options::default() }, steps)
}

fn run(plan: Plan) -> (Plan, Outcome) {
    let (stored, outcome) = StoredCase::run(Seed(7), StoreChoice::Memory, None, plan);
    (stored.plan, outcome)
}

#[test]
fn the_timeline_of_a_plan_with_faults() {
    let (_, outcome) = run(plan_with_faults());
    assert_eq!(outcome.failure, None);
    assert_page("timeline-of-a-plan-with-faults", WIDTH, &timeline::text(&outcome, WIDTH));
}

// ---- failures ----

fn failure_page(outcome: &Outcome, plan: &Plan, width: usize) -> String {
    let command = "kuzusync sweep --seeds 7..8 --store memory".to_owned();
    let provenance = Provenance { commit: "0123456789ab".into(), lock: "fedcba987654".into(), command };
    failure::page(outcome, Some(plan), &provenance, "kuzusync replay failures/7.json", width)
}

/// The run as it would have ended if edge 2 had kept the email that should have lost.
fn diverged() -> (Plan, Outcome) {
    let (plan, mut outcome) = run(plan_with_faults());
    let loser = outcome.replicas[0].audit[0].clone();
    let replica = &mut outcome.replicas[2];
    let kuzusync_core::conflict::Written::Value(email) = loser.loser.written else { panic!("an email loses") };
    let views = replica.stores.values_mut().chain(std::iter::once(&mut replica.view));
    for view in views {
        let user = view.nodes.get_mut("User").and_then(|rows| rows.get_mut(&Value::from("ann"))).expect("ann is there");
        user.insert("email".into(), email.clone());
    }
    let outcome = judged(outcome);
    assert_eq!(outcome.failure.as_ref().and_then(Failure::property), Some(Property::Convergence));
    (plan, outcome)
}

#[test]
fn a_failure_of_convergence_names_property_replicas_values_and_replay() {
    let (plan, outcome) = diverged();
    let page = failure_page(&outcome, &plan, 80);
    for needed in ["hold the same graph", "edge 2", "ann@edge.one", "ann@edge.two", "kuzusync replay failures/7.json"] {
        assert!(page.contains(needed), "{needed}");
    }
    assert!(page.lines().count() <= 50, "it fits a screen");
    assert_page("failure-convergence-at-80-columns", 80, &page);
    assert_page("failure-convergence-at-120-columns", 120, &failure_page(&outcome, &plan, 120));
}

/// Lets the checkers judge a run again, after something in it was altered.
fn judged(mut outcome: Outcome) -> Outcome {
    let mut checkers = Checkers::default();
    checkers.judge(outcome.simulated_us, &outcome.replicas, &BTreeSet::new());
    let violation = checkers.violation().cloned().expect("what was altered is found");
    outcome.failure = Some(Failure::Safety(violation));
    outcome
}

#[test]
fn a_row_that_is_in_the_log_and_not_in_the_view_is_told_so() {
    let (plan, mut outcome) = run(plan_with_faults());
    let replica = &mut outcome.replicas[1];
    for view in replica.stores.values_mut().chain(std::iter::once(&mut replica.view)) {
        view.nodes.get_mut("User").unwrap().remove(&Value::from("bob")).unwrap();
    }
    let page = failure_page(&judged(outcome), &plan, WIDTH);
    assert!(page.contains("edge 1        absent  though its log holds edge 2:1"), "{page}");
}

#[test]
fn a_store_that_does_not_hold_its_view_is_named() {
    let (plan, mut outcome) = run(plan_with_faults());
    outcome.replicas[2].stores.get_mut("memory").unwrap().nodes.clear();
    let outcome = judged(outcome);
    assert_eq!(outcome.failure.as_ref().and_then(Failure::property), Some(Property::StoreAgreement));
    let page = failure_page(&outcome, &plan, WIDTH);
    assert!(page.contains("the memory store of edge 2  absent"), "{page}");
}

/// As if the last change of edge 1 had never reached edge 2.
#[test]
fn a_failure_of_durability_shows_what_happened_to_the_change() {
    let (plan, mut outcome) = run(plan_with_faults());
    let edge = outcome.replicas[1].id;
    let lost = outcome.replicas[2].log.iter().rev().find(|entry| entry.change.id.replica == edge).unwrap().change.id;
    outcome.events.retain(|event| match &event.kind {
        EventKind::Notified(Notice::Applied { entry }) => event.host != Some(2) || entry.change.id != lost,
        _ => true,
    });
    let violation = kuzusync_sim::outcome::Violation {
        property: Property::Durability,
        at_us: outcome.simulated_us,
        message: format!("change {lost} was accepted and never reached replica 2"),
        hosts: vec![2],
        details: Vec::new(),
    };
    outcome.failure = Some(Failure::Safety(violation));
    assert_page("failure-durability", WIDTH, &failure_page(&outcome, &plan, WIDTH));
}

#[test]
fn a_failure_of_liveness_says_what_is_waited_for() {
    let mut plan = plan_with_faults();
    plan.options.settle_ms_max = 40;
    let (plan, outcome) = run(plan);
    assert!(matches!(outcome.failure, Some(Failure::Liveness(_))), "{:?}", outcome.failure);
    assert_page("failure-liveness", WIDTH, &failure_page(&outcome, &plan, WIDTH));
}

#[test]
fn a_crash_has_a_page_with_or_without_a_history() {
    let (plan, mut outcome) = run(plan_with_faults());
    outcome.replicas = Vec::new();
    outcome.failure = Some(Failure::Crash { message: "called `Option::unwrap()` on a `None` value".into() });
    let plan = Plan::new(plan.options, plan.steps[..5].to_vec());
    assert_page("failure-panic", WIDTH, &failure_page(&outcome, &plan, WIDTH));
    outcome.events = Vec::new();
    assert_page("failure-crash", WIDTH, &failure_page(&outcome, &plan, WIDTH));
}

// ---- cases ----

/// Makes the runs in this process.
fn here(trials: &[Trial]) -> Vec<Option<Problem>> {
    let run = |trial: &Trial| trial.scenario.run(trial.scenario.seed, trial.store);
    trials.iter().map(|trial| run(trial).failure.map(|failure| Problem::of(&failure, None))).collect()
}

/// Asked for memory alone, every build says the same.
#[test]
fn the_table_of_cases() {
    let conformance = conformance::judge(Case::ALL, &[StoreChoice::Memory], here);
    assert!(!conformance.has_failures() && !conformance.all_pass());
    assert_page("conformance", WIDTH, &conformance::text(&conformance, WIDTH));
}

#[test]
fn the_table_of_cases_with_a_pass_and_a_failure() {
    let mut conformance = conformance::judge(&[Case::D1_1, Case::D2_1, Case::C3], &[StoreChoice::Memory], here);
    for case in &mut conformance.cases {
        (case.verdict, case.reason, case.stores) = (conformance::Verdict::Pass, None, vec!["memory", "kuzu"]);
    }
    conformance.cases[1].verdict = conformance::Verdict::Fail;
    let reason = "concurrent-update on kuzu: `the value is alice@b.com everywhere`: \"alice@b.com\", \"alice@a.com\"";
    conformance.cases[1].reason = Some(reason.to_owned());
    assert!(conformance.has_failures() && !conformance.all_pass());
    assert_page("conformance-of-a-failure", WIDTH, &conformance::text(&conformance, WIDTH));
}
