//! Cases about what people and pipelines read, judged by reading it: pages are made of runs and read back, a change is
//! previewed and then carried out, and the gate is run as a pipeline runs it, with its exit code and its JUnit file parsed.
//!
//! A clause is compared with something that the writer of the page has not made: the logs of the replicas, the view before
//! and after, the text of the case list. What cannot be read here, because a folder of the clone is not there, is missing
//! and no failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use kuzusync_bench::rows::{ROWS, Row};
use kuzusync_core::change::Op;
use kuzusync_core::conflict::Written;
use kuzusync_core::ddl::{Column, IndexKind};
use kuzusync_core::id::{Role, TxId};
use kuzusync_core::statement::{Statement, Transaction};
use kuzusync_core::store::plan::Touched;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::View;
use kuzusync_directory::{Directory, Impact, Init, Preview};
use kuzusync_scenarios::case::Case;
use kuzusync_scenarios::sample::{create_user, create_user_table};
use kuzusync_scenarios::scenario::{Scenario, mismatch};
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_sim::checker::Checkers;
use kuzusync_sim::outcome::{Check, Failure, Outcome};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::step::{Plan, Step};
use kuzusync_sim::store::StoreChoice;
use quick_junit::{Report as Junit, TestCaseStatus};
use serde_json::Value as Json;

use crate::conformance::{Conformance, Verdict, not_run};
use crate::html::{Page, ShownRun};
use crate::provenance::Provenance;
use crate::text::{plural, width};
use crate::{failure, measure, scenario_page};

/// The pages that reviewers read, in the clone this program was built in.
const SNAPSHOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");

/// Columns of those pages.
const SNAPSHOT_COLUMNS: usize = 100;

/// Columns and lines of a terminal that nobody has made larger.
const SCREEN: (usize, usize) = (80, 50);

/// Reads what this build writes, judges by it the cases among these that are about that, and last whether all cases are
/// shown. `program` is the command.
pub fn judge(conformance: &mut Conformance, stores: &[StoreChoice], program: &Path) {
    for case in conformance.cases.iter_mut().filter(|case| case.case.is_read()) {
        let read_on: &[StoreChoice] = match case.case {
            Case::B10 | Case::B11 | Case::H7 | Case::H9 => &[StoreChoice::Memory, StoreChoice::Kuzu],
            Case::H8 => &[StoreChoice::Memory],
            _ => continue,
        };
        let mut findings = Findings::default();
        let mut unread = None;
        for store in read_on.iter().copied().filter(|store| store.is_built()) {
            let read = match case.case {
                Case::B10 => read_versions(store, &mut findings),
                Case::B11 => read_advice(store, &mut findings).and_then(|()| read_preview(&mut findings)),
                Case::H7 => read_pages(store, &mut findings),
                Case::H9 => run_benchmarks(store, &ROWS, &mut findings).map(|()| check_results(RESULTS, &mut findings)),
                _ => read_gate(program, &mut findings),
            };
            match read {
                Ok(()) => case.stores.push(store.store_names()[0]),
                Err(reason) => unread = unread.or(Some(reason)),
            }
        }
        (case.verdict, case.reason) = match (findings.problem(case.case), unread, not_run(stores)) {
            (_, Some(reason), _) | (None, None, Some(reason)) => (Verdict::Missing, Some(reason)),
            (Some(problem), None, _) => (Verdict::Fail, Some(problem)),
            (None, None, None) => (Verdict::Pass, None),
        };
        case.exit_code = u8::from(case.verdict == Verdict::Fail);
    }
    cover(conformance);
}

/// What was found, clause by clause.
#[derive(Default)]
struct Findings(Vec<Check>);

impl Findings {
    fn check(&mut self, clause: &str, holds: bool, found: impl Into<String>) {
        self.0.push(Check { clause: clause.to_owned(), holds, found: found.into() });
    }

    /// The first clause of a case that does not hold or was never looked at, or what is no clause of it.
    fn problem(&self, case: Case) -> Option<String> {
        let unmet = self.0.iter().find(|check| !check.holds);
        let unmet = unmet.map(|Check { clause, found, .. }| format!("`{clause}`: {found}"));
        unmet.or_else(|| mismatch(case.clauses(), &self.0))
    }
}

fn provenance() -> Provenance {
    Provenance { commit: "0".into(), lock: "0".into(), command: "kuzusync conformance".into() }
}

// ---- H2 ----

/// Whether every case that is not later is shown: of one that is not, none of these findings can be told.
fn cover(conformance: &mut Conformance) {
    let others = || conformance.cases.iter().filter(|case| case.case != Case::H2 && !case.case.is_later());
    let asked: BTreeSet<Case> = others().map(|case| case.case).collect();
    let unasked = Case::ALL.iter().filter(|case| **case != Case::H2 && !case.is_later() && !asked.contains(case));
    let unasked: Vec<&str> = unasked.map(|case| case.id()).collect();
    let without: Vec<&str> = others().filter(|case| case.stores.is_empty()).map(|case| case.id).collect();
    let missing: Vec<&str> = others().filter(|case| case.verdict == Verdict::Missing).map(|case| case.id).collect();
    let mut findings = Findings::default();
    findings.check(
        "every case that is not later has a scenario or a judge",
        without.is_empty() && unasked.is_empty(),
        [without, unasked].concat().join(", "),
    );
    findings.check("each of them ran on all that it asks for", missing.is_empty(), missing.join(", "));
    let stores = others().find(|case| case.stores.len() > 1).map_or_else(|| vec!["memory"], |case| case.stores.clone());
    let Some(case) = conformance.cases.iter_mut().find(|case| case.case == Case::H2) else { return };
    case.stores = stores;
    // What is not covered was not shown, and has not failed.
    (case.verdict, case.reason) = match findings.problem(Case::H2) {
        Some(problem) => (Verdict::Missing, Some(problem)),
        None => (Verdict::Pass, None),
    };
}

// ---- B10 and B11 ----

fn submit(replica: u32, statements: Vec<Statement>) -> Step {
    Step::Submit { replica, statements, participants: Vec::new() }
}

/// A main and two edges, each of which changes the schema of a table with two rows.
fn evolution() -> Plan {
    let age = Statement::AddColumn { table: "User".into(), column: Column::new("age", Type::Int64) };
    let (table, index) = ("User".to_owned(), "by_email".to_owned());
    let index = Statement::CreateIndex { table, index, kind: IndexKind::Value, columns: vec!["email".into()] };
    let drop = Statement::DropColumn { table: "User".into(), column: "name".into(), cascade: false };
    let wait = || Step::Wait { ms: 300 };
    let steps = vec![
        submit(0, vec![create_user_table(), create_user("ann", "Ann"), create_user("bob", "Bob")]),
        wait(),
        submit(1, vec![age]),
        wait(),
        submit(2, vec![index]),
        wait(),
        submit(0, vec![drop]),
        wait(),
    ];
    Plan::new(kuzusync_sim::options::Options::default(), steps)
}

fn run(plan: Plan, store: StoreChoice) -> Result<Outcome, String> {
    let (_, outcome) = StoredCase::run(Seed(11), store, None, plan);
    match &outcome.failure {
        Some(failure) => Err(format!("the run to be read fails: {}", failure.message())),
        None => Ok(outcome),
    }
}

/// The run on the page that is made of it, as a browser reads it.
fn on_a_page(outcome: &Outcome, queries: &str) -> Result<(Vec<String>, Json), String> {
    let mut page = Page::new("a run", &provenance());
    let (label, replay) = ("a run".to_owned(), String::new());
    page.run(&ShownRun { label, outcome, plan: None, replay, story: None, signature: None, queries });
    let html = page.to_html();
    let data = html.split_once("id=\"data\">").and_then(|(_, rest)| rest.split_once("</script>"));
    let (data, _) = data.ok_or("the page holds no data")?;
    let run = serde_json::from_str::<Json>(data).map_err(|error| error.to_string())?["runs"][0].clone();
    let hosts = run["hosts"].as_array().into_iter().flatten();
    Ok((hosts.map(|host| host.as_str().unwrap_or_default().to_owned()).collect(), run))
}

fn read_versions(store: StoreChoice, findings: &mut Findings) -> Result<(), String> {
    let outcome = run(evolution(), store)?;
    let (hosts, run) = on_a_page(&outcome, "")?;
    check_versions(&outcome, &hosts, &run["versions"], findings);
    Ok(())
}

/// The versions of a page beside the logs of the replicas.
fn check_versions(outcome: &Outcome, hosts: &[String], versions: &Json, findings: &mut Findings) {
    let versions: Vec<&Json> = versions.as_array().into_iter().flatten().collect();
    let operations: BTreeSet<u64> = outcome.replicas.iter().map(|replica| replica.schema_operations).collect();
    let numbers: Vec<u64> = versions.iter().filter_map(|version| version["version"].as_u64()).collect();
    let is_whole = numbers.iter().copied().eq(1..=versions.len() as u64);
    findings.check(
        "a page lists every version of the schema, in order",
        is_whole && operations == [versions.len() as u64].into(),
        format!("versions {numbers:?} of {operations:?} operations"),
    );
    let longest = outcome.replicas.iter().max_by_key(|replica| replica.log.len());
    let changes = longest.into_iter().flat_map(|replica| replica.log.iter().map(|entry| &entry.change));
    let operations = changes.flat_map(|change| {
        let schema = change.ops.iter().filter(|op| matches!(op, Op::Schema(_)));
        schema
            .map(|_| outcome.replicas.iter().find(|replica| replica.id == change.id.replica).map(|author| author.host))
    });
    let authors: Vec<Option<u32>> = operations.collect();
    let told: Vec<&str> = versions.iter().filter_map(|version| version["by"].as_str()).collect();
    let name = |author: &Option<u32>| author.and_then(|host| hosts.get(host as usize)).map(String::as_str);
    let distinct: BTreeSet<&str> = told.iter().copied().collect();
    findings.check(
        "each version says who made it",
        authors.iter().map(name).eq(told.iter().map(|by| Some(*by))) && distinct.len() == outcome.replicas.len(),
        format!("by {}", told.join(", ")),
    );
    let mut wrong = Vec::new();
    for (version, author) in versions.iter().zip(&authors) {
        let times: Vec<Option<u64>> =
            version["reached_us"].as_array().into_iter().flatten().map(Json::as_u64).collect();
        let first = times.iter().flatten().min();
        let own = author.and_then(|host| times.get(host as usize).copied().flatten());
        if times.len() != hosts.len() || times.contains(&None) || own.as_ref() != first {
            wrong.push(version["version"].to_string());
        }
    }
    findings.check(
        "each says when every replica had it, its author first",
        wrong.is_empty() && !versions.is_empty(),
        if wrong.is_empty() { "all of them".to_owned() } else { format!("not version {}", wrong.join(", ")) },
    );
}

const QUERIES: &str = "MATCH (u:User {email: $e}) RETURN u;\nMATCH (u:User) WHERE u.age > 30 RETURN u;\n\
                       MATCH (u:User) WHERE u.id = $i RETURN u;\nMATCH (u:User) WHERE u.agee = 1 RETURN u";

fn read_advice(store: StoreChoice, findings: &mut Findings) -> Result<(), String> {
    let outcome = run(evolution(), store)?;
    let (_, run) = on_a_page(&outcome, QUERIES)?;
    let rows = outcome.replicas.first().and_then(|replica| replica.view.nodes.get("User")).map_or(0, BTreeMap::len);
    check_advice(&run["advice"], rows, findings);
    Ok(())
}

/// The advice of a page on [`QUERIES`].
fn check_advice(advice: &Json, rows: usize, findings: &mut Findings) {
    let of = |column: &str| {
        let found = advice.as_array().into_iter().flatten().find(|advice| advice["column"] == column);
        found.cloned().unwrap_or(Json::Null)
    };
    let says = |column: &str, words: &str| of(column)["advice"].as_str().is_some_and(|advice| advice.contains(words));
    let age = of("age");
    let is_listed = age["table"] == "User" && age["served_by"].is_null() && age["rows"] == rows;
    findings.check("a filter that no index serves is listed with its rows", is_listed, age.to_string());
    findings.check("it says which index would", says("age", "CREATE INDEX on User(age)"), age["advice"].to_string());
    let served = [of("id")["served_by"].clone(), of("email")["served_by"].clone()];
    findings.check(
        "what the primary key or an index serves is told so",
        served == [Json::from("the primary key"), Json::from("index by_email")],
        Json::from(served.to_vec()).to_string(),
    );
    let agee = of("agee");
    findings.check("a column that is not there is named", says("agee", "no column agee"), agee["advice"].to_string());
}

fn read_preview(findings: &mut Findings) -> Result<(), String> {
    let said = |error: kuzusync_directory::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("main");
    let directory = Directory::init(&path, &Init { role: Role::Main, database: None, name: None }).map_err(said)?;
    let transaction = |number: u8, statements| {
        (usize::from(number), Transaction { tx: TxId([number; 16]), statements, ..Transaction::default() })
    };
    let rows = vec![create_user_table(), create_user("ann", "Ann"), create_user("bob", "Bob")];
    let (directory, _) = directory.apply(vec![transaction(1, rows)]).map_err(said)?;
    let (view, status) = (directory.replica().view(), directory.status().map_err(said)?);
    let drop_email = Statement::DropColumn { table: "User".into(), column: "email".into(), cascade: false };
    let change = || vec![transaction(2, vec![drop_email.clone()])];
    let impacts = Preview::of(directory).and_then(|mut preview| preview.transactions(change())).map_err(said)?;
    let mut directory = Directory::open(&path).map_err(said)?;
    let held = directory.read_graph().map_err(said)?;
    findings.check(
        "asking changes nothing",
        directory.status().map_err(said)? == status && directory.replica().view() == view && held == view,
        format!("row {} of the log, {status:?}", status.last_lsn),
    );
    let (mut directory, _) = directory.apply(change()).map_err(said)?;
    check_preview(&impacts, &view, &directory.read_graph().map_err(said)?, findings);
    Ok(())
}

/// What was told of a change of the schema beside what it did.
fn check_preview(impacts: &[Impact], before: &View, after: &View, findings: &mut Findings) {
    let told: Vec<&Touched> =
        impacts.iter().flat_map(|impact| &impact.schema.steps).map(|step| &step.touched).collect();
    let [told] = told.as_slice() else {
        return findings.check(
            "a schema change tells tables, columns and rows before it runs",
            false,
            format!("{told:?}"),
        );
    };
    let words = format!("tables {:?}, columns {:?}, {}", told.tables, told.columns, plural(told.rows, "row"));
    let is_told = !told.tables.is_empty() && !told.columns.is_empty() && told.rows > 0;
    findings.check("a schema change tells tables, columns and rows before it runs", is_told, &words);
    let (mut tables, mut columns, mut rows) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (name, table) in &before.tables {
        let left = after.tables.get(name).map(|table| &table.columns);
        if left != Some(&table.columns) {
            tables.insert(name.clone());
            let is_gone = |column: &&String| left.is_none_or(|left| !left.contains_key(*column));
            columns.extend(table.columns.keys().filter(is_gone).cloned());
            rows += before.nodes.get(name).map_or(0, BTreeMap::len);
        }
    }
    let is_done = (&tables, &columns, rows) == (&told.tables, &told.columns, told.rows);
    let found = format!("told: {words}; done: tables {tables:?}, columns {columns:?}, {}", plural(rows, "row"));
    findings.check("it then does what was told", is_done, found);
}

// ---- H7 ----

/// What is on no page: signs of the language the harness is written in.
const OF_THE_CODE: [&str; 5] = ["::", "Some(", "Ok(", "Err(", "unwrap"];

fn read_pages(store: StoreChoice, findings: &mut Findings) -> Result<(), String> {
    let scenario = Scenario::named("concurrent-update")?;
    let outcome = scenario.run(scenario.seed, store);
    check_scenario_page(&scenario, &outcome, &scenario_page::page(&scenario, &outcome, SCREEN.0), findings);
    let (outcome, values) = diverged(outcome)?;
    let page = failure::page(&outcome, None, &provenance(), "kuzusync replay seed-21.json", SCREEN.0);
    check_failure_page(&page, &values, findings);
    if store == StoreChoice::Memory {
        compare_snapshots(Path::new(SNAPSHOTS), findings)?;
    }
    Ok(())
}

/// On one line, as it was before it was wrapped.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check_scenario_page(scenario: &Scenario, outcome: &Outcome, page: &str, findings: &mut Findings) {
    let text = flat(page);
    let asks = scenario.cases.iter().flat_map(|case| [case.id(), case.document().title(), case.requirement()]);
    let unsaid: Vec<&str> = asks.filter(|words| !text.contains(&flat(words))).collect();
    findings.check("a page says case, document and what is asked for", unsaid.is_empty(), unsaid.join(", "));
    let unsaid = scenario.cases.iter().flat_map(|case| case.clauses()).filter(|clause| {
        let found = outcome.checks.iter().find(|check| check.clause == **clause);
        found.is_none_or(|check| !text.contains(&flat(&format!("✓ {clause} found: {}", check.found))))
    });
    let unsaid: Vec<&str> = unsaid.copied().collect();
    findings.check("each clause stands there with what was found", unsaid.is_empty(), unsaid.join(", "));
    check_shape(page, usize::MAX, findings);
}

fn check_failure_page(page: &str, values: &[String], findings: &mut Findings) {
    let text = flat(page);
    let wanted = ["hold the same graph", "kuzusync replay seed-21.json"].into_iter();
    let wanted = wanted.chain(values.iter().map(String::as_str));
    let unsaid: Vec<&str> = wanted.filter(|words| !text.contains(*words)).collect();
    let clause = "a failure says what is broken, who holds which value, and how to see it again";
    findings.check(clause, unsaid.is_empty(), unsaid.join(", "));
    check_shape(page, SCREEN.1, findings);
}

fn check_shape(page: &str, lines_max: usize, findings: &mut Findings) {
    let too_wide = page.lines().find(|line| width(line) > SCREEN.0);
    let (lines, has_colour) = (page.lines().count(), page.contains('\u{1b}'));
    let found = format!("{lines} lines, colour: {has_colour}, too wide: {}", too_wide.unwrap_or("none"));
    let holds = too_wide.is_none() && lines <= lines_max && !has_colour;
    findings.check("it fits 80 columns without colour, and a failure one screen", holds, found);
}

/// The run as it would have ended if the last replica had kept the email that lost; with the name of that replica and both
/// emails.
fn diverged(mut outcome: Outcome) -> Result<(Outcome, Vec<String>), String> {
    let loss = outcome.replicas.first().and_then(|replica| replica.audit.first()).cloned();
    let (Some(loss), Some(replica)) = (loss, outcome.replicas.last_mut()) else {
        return Err("no write of the run lost".to_owned());
    };
    let (Written::Value(lost), Written::Value(won)) = (&loss.loser.written, &loss.winner.written) else {
        return Err("what lost is no value".to_owned());
    };
    let mut is_altered = false;
    for view in replica.stores.values_mut().chain(std::iter::once(&mut replica.view)) {
        for row in view.nodes.values_mut().flat_map(BTreeMap::values_mut) {
            for value in row.values_mut().filter(|value| *value == won) {
                value.clone_from(lost);
                is_altered = true;
            }
        }
    }
    let mut checkers = Checkers::default();
    checkers.judge(outcome.simulated_us, &outcome.replicas, &BTreeSet::new());
    match checkers.violation().filter(|_| is_altered) {
        Some(violation) => outcome.failure = Some(Failure::Safety(violation.clone())),
        None => return Err("the run has no value that could be altered".to_owned()),
    }
    let text = |value: &Value| match value {
        Value::String(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    let values = vec!["peer 2".to_owned(), text(lost), text(won)];
    Ok((outcome, values))
}

/// Every page in the folder beside what is rendered today.
fn compare_snapshots(folder: &Path, findings: &mut Findings) -> Result<(), String> {
    if !folder.exists() {
        return Err(format!("`{}` is not there: run this in the clone it was built in", folder.display()));
    }
    let (mut differ, mut of_the_code, mut pages) = (Vec::new(), Vec::new(), 0);
    for scenario in Scenario::all() {
        let file = folder.join(format!("scenario-{}.snap", scenario.name));
        let stored = fs::read_to_string(file).unwrap_or_default();
        let outcome = scenario.run(scenario.seed, StoreChoice::Memory);
        let page = scenario_page::page(&scenario, &outcome, SNAPSHOT_COLUMNS);
        // After the header, which says where it was made.
        let stored = stored.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).map(|(_, page)| page);
        if stored.map(str::trim_end) != Some(page.trim_end()) {
            differ.push(scenario.name);
        }
        if OF_THE_CODE.iter().any(|word| page.contains(word)) {
            of_the_code.push(scenario.name);
        }
        pages += 1;
    }
    let found = if differ.is_empty() { plural(pages, "page") } else { differ.join(", ") };
    findings.check("the page of every scenario is kept, and is what is made today", differ.is_empty(), found);
    let clause = "no page needs the code to be read";
    findings.check(clause, of_the_code.is_empty(), of_the_code.join(", "));
    Ok(())
}

// ---- H9 ----

/// What was measured, for every row and peer.
const RESULTS: &str = include_str!("../../core/benches/README.md");

/// Does once what each benchmark times: the same functions that Criterion calls, verified by themselves.
fn run_benchmarks(store: StoreChoice, rows: &[Row], findings: &mut Findings) -> Result<(), String> {
    let documented = Case::ALL.iter().map(|case| case.id()).filter(|id| is_row(id));
    let without: Vec<&str> = documented.filter(|id| !rows.iter().any(|row| row.case == *id)).collect();
    findings.check("every row of the performance table has a benchmark", without.is_empty(), without.join(", "));
    let open = || measure::stores(store);
    let fails = |row: &Row| (row.run)(&open).err().map(|problem| format!("{}: {problem}", row.case));
    let problems: Vec<String> = rows.iter().filter_map(fails).collect();
    findings.check("what each of them times ends as it must", problems.is_empty(), problems.join("; "));
    Ok(())
}

/// Whether a case is a row of the performance table.
fn is_row(id: &str) -> bool {
    id.strip_prefix("D.P").is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// The table of results: a line for each row, a column for each who was measured.
fn check_results(text: &str, findings: &mut Findings) {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace(['*', ','], "")).collect()
    };
    let lines: Vec<Vec<String>> = text.lines().filter(|line| line.starts_with('|')).map(cells).collect();
    let head = lines.iter().find(|line| line.iter().any(|cell| cell == "kuzusync"));
    let column = |who: &str| head.and_then(|head| head.iter().position(|cell| cell == who));
    let mut absent = Vec::new();
    for row in &ROWS {
        let is_its_line = |line: &&Vec<String>| line[0] == row.case || line[0].starts_with(&format!("{} ", row.case));
        let line = lines.iter().find(is_its_line);
        for who in ["kuzusync"].iter().chain(row.peers).chain(row.has_stores.then_some(&"with Kùzu")) {
            let cell = column(who).and_then(|column| line?.get(column));
            if !cell.is_some_and(|cell| cell.parse::<f64>().is_ok_and(|figure| figure > 0.0)) {
                absent.push(format!("{who} at {}", row.case));
            }
        }
    }
    findings.check(
        "the table of results has a figure of the engine and of each peer for every row",
        absent.is_empty(),
        absent.join(", "),
    );
    let without: Vec<&str> = ["cargo bench", "cores", "load"].into_iter().filter(|word| !text.contains(word)).collect();
    findings.check(
        "it says what it was measured on and how to measure again",
        without.is_empty(),
        format!("without {}", without.join(", ")),
    );
}

// ---- H8 ----

/// What a pipeline sees of a gate.
struct Seen {
    code: Option<i32>,
    screen: String,
    junit: Option<Junit>,
}

impl Seen {
    /// The tests that failed, each with why.
    fn failures(&self) -> Vec<(String, String)> {
        let tests = self.junit.iter().flat_map(|junit| &junit.test_suites).flat_map(|suite| &suite.test_cases);
        let failed = tests.filter_map(|test| match &test.status {
            TestCaseStatus::NonSuccess { message, .. } => {
                let why = message.as_ref().map_or(String::new(), |message| message.as_str().to_owned());
                Some((test.name.as_str().to_owned(), why))
            }
            _ => None,
        });
        failed.collect()
    }
}

fn read_gate(program: &Path, findings: &mut Findings) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(said)?;
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    let (mut stored, _) = StoredCase::run(Seed(11), StoreChoice::Memory, None, evolution());
    // Its digest is that of this very build.
    stored.digest = None;
    for (cases, failure) in [(&good, None), (&bad, Some(Failure::Crash { message: "planted".into() }))] {
        fs::create_dir(cases).map_err(said)?;
        let case =
            serde_json::to_string(&StoredCase { failure, ..stored.clone() }).map_err(|error| error.to_string())?;
        fs::write(cases.join("case.json"), case).map_err(said)?;
    }
    let gate = |cases: &Path, out: &str, more: &[&str]| {
        let out = folder.path().join(out);
        let mut command = Command::new(program);
        command.args(["gate", "--minutes", "0", "--no-cases", "--no-canary", "--from", "7", "--jobs", "1"]);
        command.arg("--cases").arg(cases).arg("--out").arg(&out).args(more);
        command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY").stdin(Stdio::null());
        let output = command.output().map_err(|error| format!("`{}` cannot be run: {error}", program.display()))?;
        let junit = fs::read_to_string(out.join("gate.xml")).ok();
        let junit = junit.and_then(|text| Junit::deserialize_from_str(&text).ok());
        let screen = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok::<Seen, String>(Seen { code: output.status.code(), screen, junit })
    };
    let passes = gate(&good, "passes", &[])?;
    let planted = gate(&bad, "planted", &[])?;
    let crash = gate(&good, "crash", &["--worker-dies-at", "7"])?;
    let usage = gate(&good, "usage", &["--minutes", "soon"])?;
    check_gate(&passes, &planted, &crash, &usage, findings);
    Ok(())
}

fn check_gate(passes: &Seen, planted: &Seen, crash: &Seen, usage: &Seen, findings: &mut Findings) {
    let is_passed = passes.code == Some(0) && passes.failures().is_empty();
    let is_told = passes.junit.as_ref().is_some_and(|junit| junit.tests > 0) && passes.screen.ends_with("PASS\n");
    let found = format!("exit code {:?}, failures {:?}", passes.code, passes.failures());
    findings.check(
        "a gate in which all holds ends with 0 and a JUnit file without a failure",
        is_passed && is_told,
        found,
    );
    let codes = [planted.code, crash.code];
    findings.check(
        "one that finds something ends with the exit code of what it found",
        codes == [Some(1), Some(4)],
        format!("exit codes {codes:?}"),
    );
    let failures = [planted.failures(), crash.failures()];
    let is_named = |failures: &[(String, String)], name: &str, words: &str| {
        failures.iter().any(|(test, why)| test == name && why.contains(words))
    };
    findings.check(
        "a parser reads in its JUnit file what failed, and why",
        is_named(&failures[0], "kept cases", "does not end as stored")
            && is_named(&failures[1], "fresh seeds", "crash"),
        format!("{failures:?}"),
    );
    let is_refused = usage.code == Some(2) && usage.screen.is_empty() && usage.junit.is_none();
    findings.check("bad usage ends with 2 before anything is run", is_refused, format!("exit code {:?}", usage.code));
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuzusync_bench::rows::Taken;
    use serde_json::json;

    fn holds(case: Case, look: impl FnOnce(&mut Findings)) -> Option<String> {
        let mut findings = Findings::default();
        look(&mut findings);
        findings.problem(case)
    }

    #[test]
    fn versions_are_compared_with_the_logs() {
        let outcome = run(evolution(), StoreChoice::Memory).unwrap();
        let (hosts, run) = on_a_page(&outcome, "").unwrap();
        let look = |versions: &Json| holds(Case::B10, |findings| check_versions(&outcome, &hosts, versions, findings));
        let versions = run["versions"].clone();
        assert_eq!(look(&versions), None);
        assert_eq!(versions.as_array().unwrap().len(), 4);
        let mut other = versions.clone();
        other.as_array_mut().unwrap().pop();
        assert!(look(&other).is_some_and(|problem| problem.contains("every version")));
        let mut other = versions.clone();
        other[1]["by"] = json!("main");
        assert!(look(&other).is_some_and(|problem| problem.contains("who made it")));
        let mut other = versions;
        other[2]["reached_us"][0] = json!(0);
        assert!(look(&other).is_some_and(|problem| problem.contains("not version 3")));
    }

    #[test]
    fn advice_and_impact_are_compared_with_the_graph() {
        let outcome = run(evolution(), StoreChoice::Memory).unwrap();
        let (_, run) = on_a_page(&outcome, QUERIES).unwrap();
        let whole = holds(Case::B11, |findings| {
            check_advice(&run["advice"], 2, findings);
            read_preview(findings).unwrap();
        });
        assert_eq!(whole, None);
        let wrong = |advice: &Json, rows| holds(Case::B11, |findings| check_advice(advice, rows, findings));
        assert!(wrong(&run["advice"], 3).is_some_and(|problem| problem.contains("with its rows")));
        assert!(wrong(&json!([]), 2).is_some());
        let mut findings = Findings::default();
        let view = &outcome.replicas[0].view;
        check_preview(&[Impact::default()], view, view, &mut findings);
        assert!(findings.problem(Case::B11).is_some_and(|problem| problem.contains("before it runs")));
        let touched = Touched { tables: ["User".into()].into(), columns: ["age".into()].into(), rows: 2 };
        let step = kuzusync_core::view::SchemaStep::DropColumn { table: "User".into(), column: "age".into() };
        let way = kuzusync_core::store::plan::Way::Statements(Vec::new());
        let mut impact = Impact::default();
        impact.schema.steps = vec![kuzusync_core::store::plan::PlanStep { step, way, touched }];
        let mut findings = Findings::default();
        check_preview(&[impact], view, view, &mut findings);
        assert!(findings.problem(Case::B11).is_some_and(|problem| problem.contains("does what was told")));
    }

    #[test]
    fn a_page_that_leaves_something_out_is_found() {
        let scenario = Scenario::named("concurrent-update").unwrap();
        let outcome = scenario.run(scenario.seed, StoreChoice::Memory);
        let page = scenario_page::page(&scenario, &outcome, SCREEN.0);
        let look = |page: &str| {
            let mut findings = Findings::default();
            check_scenario_page(&scenario, &outcome, page, &mut findings);
            findings.0.into_iter().filter(|check| !check.holds).map(|check| check.clause).collect::<Vec<_>>()
        };
        assert!(look(&page).is_empty());
        assert_eq!(look(&page.replace("D2.1", "D2.2")), ["a page says case, document and what is asked for"]);
        assert_eq!(look(&page.replace('✓', "✗")), ["each clause stands there with what was found"]);
        assert_eq!(look(&format!("{page}{}", "x".repeat(81))).len(), 1);
        let (outcome, values) = diverged(outcome).unwrap();
        let page = failure::page(&outcome, None, &provenance(), "kuzusync replay seed-21.json", SCREEN.0);
        let look = |page: &str| holds(Case::H7, |findings| check_failure_page(page, &values, findings));
        assert!(look(&page).is_some_and(|problem| problem.contains("never checked")), "{page}");
        assert!(look(&page.replace("alice@b.com", "")).is_some_and(|problem| problem.contains("alice@b.com")));
        assert!(look(&page.replace("kuzusync replay", "")).is_some_and(|problem| problem.contains("see it again")));
    }

    #[test]
    fn a_snapshot_that_is_missing_is_told_and_no_folder_is_no_failure() {
        assert!(compare_snapshots(Path::new("nowhere"), &mut Findings::default()).is_err());
    }

    #[test]
    fn a_gate_that_does_not_say_what_it_found_is_found() {
        let seen = |code: i32, parts: &[(&str, Option<&str>)]| {
            let parts: Vec<(String, Option<String>)> =
                parts.iter().map(|(name, why)| ((*name).to_owned(), why.map(str::to_owned))).collect();
            let junit = Junit::deserialize_from_str(&crate::junit::gate(&parts)).ok();
            Seen { code: Some(code), screen: "PASS\n".into(), junit }
        };
        let passes = || seen(0, &[("kept cases", None)]);
        let planted = || seen(1, &[("kept cases", Some("case: does not end as stored"))]);
        let crash = || seen(4, &[("fresh seeds", Some("1 of 1 fail, most of crash//"))]);
        let usage = || Seen { code: Some(2), screen: String::new(), junit: None };
        let look = |passes: Seen, planted: Seen, crash: Seen, usage: Seen| {
            holds(Case::H8, |findings| check_gate(&passes, &planted, &crash, &usage, findings))
        };
        assert_eq!(look(passes(), planted(), crash(), usage()), None);
        assert!(look(planted(), planted(), crash(), usage()).is_some());
        assert!(look(passes(), passes(), crash(), usage()).is_some());
        assert!(look(passes(), planted(), seen(4, &[("fresh seeds", None)]), usage()).is_some());
        assert!(look(passes(), planted(), crash(), passes()).is_some());
    }

    #[test]
    fn a_row_without_a_benchmark_or_a_figure_is_found() {
        let look = |rows: &[Row], text: &str| {
            let mut findings = Findings::default();
            run_benchmarks(StoreChoice::Memory, rows, &mut findings).unwrap();
            check_results(text, &mut findings);
            let unmet = findings.0.into_iter().filter(|check| !check.holds);
            unmet.map(|check| format!("{}: {}", check.clause, check.found)).collect::<Vec<_>>()
        };
        // Those that end at once, so that the test does.
        let quick = |case: &'static str| Row {
            case,
            run: |_| Ok(Taken { time: std::time::Duration::from_millis(1), counts: Vec::new() }),
            ..ROWS[0]
        };
        let rows = ROWS.map(|row| quick(row.case));
        assert_eq!(look(&rows, RESULTS), Vec::<String>::new());
        let found = look(&rows[1..], RESULTS);
        assert!(found.len() == 1 && found[0].ends_with("D.P1"), "{found:?}");
        let mut broken = rows;
        broken[2].run = |_| Err("3 rows are lost".to_owned());
        let found = look(&broken, RESULTS);
        assert!(found.len() == 1 && found[0].ends_with("D.P3: 3 rows are lost"), "{found:?}");
        let found = look(&rows, &RESULTS.replace("| loro |", "| someone |"));
        assert!(found.len() == 1 && found[0].contains("loro at D.P1, loro at D.P2"), "{found:?}");
        let found = look(&rows, &RESULTS.replace("| D.P4", "| D.P9"));
        assert!(found.len() == 1 && found[0].contains("kuzusync at D.P4"), "{found:?}");
        assert_eq!(look(&rows, "").len(), 2);
    }

    #[test]
    fn all_cases_are_covered_only_if_each_of_them_ran() {
        let mut conformance = crate::conformance::judge(Case::ALL, &[], |_| Vec::new());
        let verdict = |conformance: &mut Conformance| {
            cover(conformance);
            let case = conformance.cases.iter().find(|case| case.case == Case::H2).unwrap();
            (case.verdict, case.reason.clone().unwrap_or_default())
        };
        let (missing, reason) = verdict(&mut conformance);
        assert!(missing == Verdict::Missing && reason.contains("B10"), "{reason}");
        for case in conformance.cases.iter_mut().filter(|case| !case.case.is_later()) {
            (case.verdict, case.stores) = (Verdict::Pass, vec!["memory", "kuzu"]);
        }
        assert_eq!(verdict(&mut conformance), (Verdict::Pass, String::new()));
        conformance.cases.retain(|case| case.case != Case::D1_1);
        let (missing, reason) = verdict(&mut conformance);
        assert!(missing == Verdict::Missing && reason.contains("D1.1"), "{reason}");
    }
}
