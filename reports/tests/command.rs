//! The command as its users meet it: exit codes, messages, JSON, files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const KUZUSYNC: &str = env!("CARGO_BIN_EXE_kuzusync");

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    // These tests may themselves run in a job on GitHub.
    command.args(arguments).env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY");
    command.stdin(Stdio::null()).output().unwrap()
}

fn kuzusync(arguments: &[&str]) -> Output {
    run(KUZUSYNC, arguments)
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Bad input: exit code 2, a message with these words, no backtrace, and nothing on standard output.
fn assert_refused(arguments: &[&str], words: &[&str]) {
    let output = kuzusync(arguments);
    let message = stderr(&output);
    assert_eq!(code(&output), 2, "{arguments:?}: {message}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", stdout(&output));
    for word in words {
        assert!(message.contains(word), "{arguments:?} should say `{word}`: {message}");
    }
    assert!(!message.contains("panicked") && !message.contains("backtrace"), "{message}");
}

#[test]
fn bad_seeds_jobs_profiles_and_stores_are_refused_by_name() {
    assert_refused(&["sweep", "--seeds", "5..5"], &["5..5", "empty", "5..6"]);
    assert_refused(&["sweep", "--seeds", "9..3"], &["9..3", "reversed", "3..9"]);
    assert_refused(&["sweep", "--seeds", "many"], &["many", "A..B"]);
    assert_refused(&["sweep", "--count", "0"], &["--count 0"]);
    assert_refused(&["sweep", "--count", "1", "--seeds", "0..1"], &["--seeds", "--count"]);
    assert_refused(&["sweep", "--jobs", "0"], &["--jobs", "0"]);
    assert_refused(&["sweep", "--check", "101"], &["--check", "101"]);
    assert_refused(&["sweep", "--profile", "wild"], &["wild", "default, quiet"]);
    assert_refused(&["sweep", "--store", "disk"], &["disk", "memory, kuzu, kuzu-disk or both"]);
}

#[test]
fn unknown_names_are_refused_with_the_nearest_one() {
    assert_refused(&["run", "handshke"], &["handshke", "did you mean `handshake`?", "kuzusync list"]);
    assert_refused(&["run", "nonsense"], &["nonsense", "kuzusync list"]);
    assert_refused(&["conformance", "D1.1", "D99"], &["D99", "kuzusync conformance"]);
    assert_refused(&["conformance", "C33"], &["did you mean `C3`?"]);
}

#[test]
fn files_that_cannot_be_used_are_refused_as_what_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let absent = directory.path().join("absent.json").to_str().unwrap().to_owned();
    assert_refused(&["replay", &absent], &["absent.json", "cannot be read"]);
    assert_refused(&["run", &absent], &["absent.json", "cannot be read"]);
    assert_refused(&["replay", &file("broken.json", "{")], &["broken.json", "line 1", "kuzusync schema case"]);
    assert_refused(&["run", &file("empty.json", "")], &["empty.json"]);
    assert_refused(
        &["replay", &file("newer.json", r#"{"case_version": 99}"#)],
        &["newer.json", "version 99", "newer kuzusync"],
    );
    assert_refused(&["run", &file("plan.json", r#"{"version": 99}"#)], &["version 99", "newer kuzusync"]);
    let unknown_field = r#"{"version": 1, "steps": [], "option": {}}"#;
    let where_and_what =
        ["typo.json", "line 1, column 36, `option`", "expected one of `version`", "kuzusync schema plan"];
    assert_refused(&["run", &file("typo.json", unknown_field)], &where_and_what);
    let no_replicas = r#"{"version": 1, "options": {"replicas": 0}, "steps": []}"#;
    assert_refused(&["run", &file("none.json", no_replicas)], &["options.replicas", "from 1 to 64"]);
    assert_refused(&["run", directory.path().to_str().unwrap()], &["cannot be read"]);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_anything_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("out").to_str().unwrap().to_owned();
    assert_refused(&["sweep", "--count", "1", "--out", &below], &["file/out", "cannot be written"]);
    assert_refused(&["run", "handshake", "--trace", &below], &["file/out", "cannot be written"]);
}

#[cfg(not(feature = "kuzu"))]
#[test]
fn a_build_without_kuzu_says_what_it_cannot_do() {
    for store in ["kuzu", "both"] {
        assert_refused(&["sweep", "--count", "1", "--store", store], &["no Kùzu", store, "--no-default-features"]);
        assert_refused(&["run", "handshake", "--store", store], &["no Kùzu", store]);
    }
    let output = kuzusync(&["sweep", "--count", "2", "--no-cases"]);
    assert!(stdout(&output).contains("memory store alone"), "{}", stdout(&output));
}

#[cfg(not(feature = "planted-bugs"))]
#[test]
fn a_build_without_planted_bugs_names_the_one_that_has_them() {
    let build = "cargo build --release --features planted-bugs --bin kuzusync-planted";
    assert_refused(&["bugs"], &[build]);
    assert_refused(&["sweep", "--count", "1", "--bug", "canary"], &[build]);
}

#[test]
fn a_small_sweep_passes_and_tells_everything_as_json() {
    let output = kuzusync(&["sweep", "--count", "20", "--store", "memory", "--check", "100", "--json"]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let report = json(&output);
    let expected = [
        "seeds",
        "passed",
        "cases",
        "failures",
        "sometimes",
        "faults",
        "profile",
        "determinism",
        "results_digest",
        "seeds_per_second",
        "simulated_seconds",
        "wall_seconds",
    ];
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let mut found = keys(&report);
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!((&report["seeds"], &report["passed"]), (&Value::from(20), &Value::from(20)));
    assert_eq!(report["determinism"], serde_json::json!({"checked": 20, "mismatches": 0}));
    assert_eq!(report["cases"]["failed"], 0);
    assert!(report["cases"]["passed"].as_u64().unwrap() >= 5);
    assert!(report["profile"]["steps"].as_u64().unwrap() >= 40);
    assert!(stderr(&output).contains("--seeds 0..20 --profile default --store memory"), "{}", stderr(&output));
}

#[test]
fn what_a_sweep_finds_does_not_depend_on_its_workers() {
    let digest = |jobs: &str| {
        let output =
            kuzusync(&["sweep", "--seeds", "100..130", "--store", "memory", "--jobs", jobs, "--no-cases", "--json"]);
        json(&output)["results_digest"].clone()
    };
    let one = digest("1");
    assert_eq!(one.as_str().unwrap().len(), 32);
    assert_eq!(one, digest("3"));
}

#[test]
fn the_screen_begins_with_every_option_and_ends_with_the_verdict() {
    let output = kuzusync(&["sweep", "--seeds", "3..13", "--store", "memory", "--jobs", "2"]);
    let screen = stdout(&output);
    let first = screen.lines().next().unwrap();
    assert!(first.contains("--seeds 3..13 --profile default --store memory --jobs 2 --check 10"), "{first}");
    assert_eq!(screen.lines().last(), Some("PASS"));
    // A screen of forty lines, of which every situation to be reached takes about a third of one.
    assert!(screen.lines().count() <= 40, "{screen}");
    assert!(!screen.contains('\u{1b}'), "colours are for terminals only");
}

#[test]
fn a_sweep_that_misses_a_required_situation_fails() {
    let output = kuzusync(&["sweep", "--count", "1", "--profile", "quiet", "--store", "memory", "--require-sometimes"]);
    assert_eq!(code(&output), 6, "{}", stdout(&output));
    assert!(stdout(&output).contains("never reached: "), "{}", stdout(&output));
}

#[test]
fn the_death_of_a_worker_costs_one_seed_and_not_the_sweep() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let arguments =
        ["sweep", "--count", "12", "--store", "memory", "--no-cases", "--worker-dies-at", "5", "--out", out];
    let output = kuzusync(&[&arguments[..], &["--json"]].concat());
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!((&report["seeds"], &report["passed"]), (&Value::from(12), &Value::from(11)));
    let failures = report["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!((&failures[0]["seed"], &failures[0]["class"]), (&Value::from(5), &Value::from("crash")));
    let file = failures[0]["case_file"].as_str().unwrap();
    let stored: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let message = stored["failure"]["message"].as_str().unwrap();
    assert!(cfg!(not(unix)) || message.contains("signal 6 SIGABRT"), "{message}");
    let screen = stdout(&kuzusync(&arguments));
    assert!(screen.contains("seed 5: ") && screen.contains("FAIL"), "{screen}");
}

#[test]
fn a_failure_of_the_harness_is_told_apart_from_one_that_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let sweep = ["sweep", "--count", "6", "--store", "memory", "--no-cases", "--jobs", "1", "--json", "--out", out];
    let sabotage = ["--worker-dies-at", "2", "--worker-panics-at", "4"];
    let output = kuzusync(&[&sweep[..], &sabotage].concat());
    assert_eq!(code(&output), 8, "{}", stderr(&output));
    let report = json(&output);
    let failures = report["failures"].as_array().unwrap();
    let classes: Vec<_> = failures.iter().map(|failure| failure["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["crash", "harness"]);
    assert!(failures[1]["signature"].as_str().unwrap().contains("the harness itself failed"), "{report}");
    // JUnit has a name for both: a test that fails, and one that could not be made.
    let junit = quick_junit::Report::deserialize_from_str(&file(folder.path(), "junit.xml")).unwrap();
    assert_eq!((junit.failures, junit.errors), (1, 1));
    // What is asked of the harness in a way that it does not understand is no finding either.
    let mut worker = Command::new(KUZUSYNC).arg("worker").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    worker.stdin.take().unwrap().write_all(b"{}\n").unwrap();
    let output = worker.wait_with_output().unwrap();
    assert_eq!(code(&output), 8);
    assert!(stderr(&output).contains("the harness itself failed, which says nothing"), "{}", stderr(&output));
}

#[test]
fn two_runs_of_a_seed_that_differ_are_told_with_the_event_where_they_part() {
    let arguments = ["sweep", "--seeds", "3..9", "--store", "memory", "--no-cases", "--worker-differs-at", "5"];
    let output = kuzusync(&[&arguments[..], &["--check", "100", "--json"]].concat());
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["determinism"], serde_json::json!({"checked": 6, "mismatches": 1}));
    let failure = &report["failures"][0];
    assert_eq!((&failure["seed"], &failure["class"]), (&Value::from(5), &Value::from("nondeterminism")));
    assert!(failure["replay"].as_str().unwrap().contains("--seeds 5..6"), "{failure}");
    let screen = stdout(&kuzusync(&[&arguments[..], &["--check", "100"]].concat()));
    assert!(screen.contains("is the first that differs: process"), "{screen}");
}

#[test]
fn a_sweep_leaves_its_report_behind() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("new/out");
    let output = kuzusync(&["sweep", "--count", "5", "--store", "memory", "--out", out.to_str().unwrap(), "--json"]);
    assert_eq!(code(&output), 0);
    let written: Value = serde_json::from_str(&fs::read_to_string(out.join("sweep.json")).unwrap()).unwrap();
    assert_eq!(written, json(&output));
    // The cases, and all seeds together.
    let junit = quick_junit::Report::deserialize_from_str(&file(&out, "junit.xml")).unwrap();
    let cases = written["cases"]["passed"].as_u64().unwrap() as usize;
    assert_eq!((junit.tests, junit.failures, junit.errors), (cases + 1, 0, 0));
    assert!(junit.test_suites[0].test_cases.iter().any(|case| case.name.as_str() == "D1.1"));
    let left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(fs::read_to_string(out.join("summary.md")).unwrap().starts_with("### ✅ kuzusync sweep: 5 of 5 seeds"));
}

/// The parts of a sweep, each in a directory below `folder`.
fn make_shards(folder: &Path, of: u64, options: &[&str]) -> Vec<String> {
    let make = |index: u64| {
        let (shard, out) = (format!("{index}/{of}"), folder.join(format!("shard-{index}")).display().to_string());
        let output = kuzusync(&[&["sweep", "--shard", &shard, "--out", &out], options].concat());
        assert!([0, 4].contains(&code(&output)), "{}", stderr(&output));
        out
    };
    (0..of).map(make).collect()
}

fn file(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap()
}

#[test]
fn shards_put_together_are_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let options = ["--seeds", "40..71", "--store", "memory", "--check", "30", "--worker-dies-at", "50"];
    let parts = make_shards(folder.path(), 4, &options);
    let (one, all) = (path("one"), path("all"));
    let whole = json(&kuzusync(&[&["sweep", "--json", "--out", &one], &options[..]].concat()));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let output = kuzusync(&[&["merge", "--json", "--out", &all], &parts[..]].concat());
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let merged = json(&output);
    assert_eq!((&merged["seeds"], &merged["passed"]), (&Value::from(31), &Value::from(30)));
    for field in ["seeds", "passed", "cases", "sometimes", "faults", "profile", "determinism", "results_digest"] {
        assert_eq!(merged[field], whole[field], "{field}");
    }
    assert_eq!(keys(&merged), keys(&whole));
    let failure = |report: &Value| (report["failures"][0]["seed"].clone(), report["failures"][0]["signature"].clone());
    assert_eq!(failure(&merged), failure(&whole));
    // What is left behind is what one sweep leaves behind, and can be put together again.
    let all = Path::new(&all);
    assert_eq!(file(all, "cases/seed-50.json"), file(Path::new(&one), "cases/seed-50.json"));
    let report: Value = serde_json::from_str(&file(all, "sweep.json")).unwrap();
    assert_eq!(report["failures"][0]["case_file"], all.join("cases/seed-50.json").display().to_string());
    let rows = |directory: &Path| file(directory, "runs.ndjson").lines().skip(1).map(without_time).collect::<Vec<_>>();
    assert_eq!(rows(all), rows(Path::new(&one)));
    let page = stdout(&kuzusync(&["merge", all.to_str().unwrap(), "--out", &path("again")]));
    assert!(page.contains("1 failure crash//") && page.contains("30 passed, 1 failed"), "{page}");
    assert_eq!(page.lines().last(), Some("FAIL  1 seed failed (crash)"));
}

/// A row of a seed without how long it took.
fn without_time(line: &str) -> Value {
    let mut row: Value = serde_json::from_str(line).unwrap();
    row["wall_us"] = Value::Null;
    row
}

#[test]
fn a_missing_shard_is_told_and_what_is_no_part_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let options = ["--count", "8", "--store", "memory", "--check", "0", "--no-cases"];
    let parts = make_shards(folder.path(), 3, &options);
    let (out, absent) = (path("all"), path("absent"));
    let output = kuzusync(&["merge", &parts[2], &absent, &parts[0], "--out", &out]);
    assert_eq!(code(&output), 2, "{}", stdout(&output));
    assert!(stderr(&output).contains("absent` has no runs.ndjson"), "{}", stderr(&output));
    let page = stdout(&output);
    assert!(page.contains("MISSING SHARDS") && page.contains("FAIL  1 shard missing: 1/3"), "{page}");
    let report: Value = serde_json::from_str(&file(Path::new(&out), "sweep.json")).unwrap();
    assert_eq!((&report["seeds"], &report["missing_shards"]), (&Value::from(5), &serde_json::json!(["1/3"])));
    let other = kuzusync(&["sweep", "--count", "9", "--store", "memory", "--no-cases", "--out", &path("other")]);
    assert_eq!(code(&other), 0);
    assert_refused(&["merge", &parts[0], &parts[0], "--out", &out], &["shard 0/3 is given twice", &parts[0]]);
    assert_refused(&["merge", &parts[0], &path("other"), "--out", &out], &["other`", "0..9 and not 0..8"]);
    assert_refused(&["merge", &absent, "--out", &out], &["runs.ndjson", "sweep --shard I/N"]);
    let rows = folder.path().join("shard-0/runs.ndjson");
    fs::write(&rows, "{}").unwrap();
    assert_refused(&["merge", &parts[0], "--out", &out], &["shard-0/runs.ndjson", "line 1"]);
    assert_refused(&["sweep", "--shard", "3/3"], &["0/3 to 2/3"]);
}

#[test]
fn a_sweep_with_a_limit_of_time_ends_with_the_last_seed_that_was_begun() {
    let output = kuzusync(&["sweep", "--minutes", "0.02", "--store", "memory", "--no-cases", "--check", "0", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    let seeds = report["seeds"].as_u64().unwrap();
    assert!(seeds >= 1, "{report}");
    let again = kuzusync(&[
        "sweep",
        "--count",
        &seeds.to_string(),
        "--store",
        "memory",
        "--no-cases",
        "--check",
        "0",
        "--json",
    ]);
    assert_eq!(json(&again)["results_digest"], report["results_digest"]);
    let none = kuzusync(&["sweep", "--minutes", "0", "--store", "memory", "--no-cases", "--json"]);
    assert_eq!(json(&none)["seeds"], 1);
    assert_refused(&["sweep", "--minutes=-1"], &["--minutes", "for example 2.5"]);
    assert_refused(&["sweep", "--minutes", "1", "--shard", "0/2"], &["--shard"]);
}

#[test]
fn a_sweep_beside_an_earlier_one_names_what_is_worse() {
    let folder = tempfile::tempdir().unwrap();
    let (before, now) = (folder.path().join("before"), folder.path().join("now"));
    let (before, now) = (before.to_str().unwrap(), now.to_str().unwrap());
    let options = ["sweep", "--count", "60", "--store", "memory", "--check", "0", "--no-cases"];
    assert_eq!(code(&kuzusync(&[&options[..], &["--out", before]].concat())), 0);
    let worse = ["--profile", "quiet", "--worker-dies-at", "3", "--baseline", before, "--out", now];
    let output = kuzusync(&[&options[..], &worse].concat());
    let page = stdout(&output);
    assert!(page.contains("slower to reach") && page.contains("never, before one in"), "{page}");
    assert!(page.contains("new signature     1 failure crash//"), "{page}");
    let same = stdout(&kuzusync(&[&options[..], &["--baseline", before]].concat()));
    // How long a seed takes is the machine's affair, and may be told as worse.
    assert!(same.contains("baseline") && same.contains("60 seeds"), "{same}");
    let is_told = |what: &str| same.lines().any(|line| line.starts_with(what));
    assert!(!is_told("slower to reach") && !is_told("new signature"), "{same}");
    assert_refused(&["sweep", "--count", "1", "--baseline", "nowhere"], &["nowhere/runs.ndjson", "cannot be read"]);
}

#[test]
fn documented_cases_are_told_in_four_formats() {
    let told = |format: &str| stdout(&kuzusync(&["conformance", "D1.1", "C10", "--format", format]));
    assert!(told("text").contains("D1.1"));
    assert!(told("markdown").contains("| D1.1 | Distributed Sync Engine |"));
    assert_eq!(serde_json::from_str::<Value>(&told("json")).unwrap()["cases"][1]["verdict"], "later");
    let junit = quick_junit::Report::deserialize_from_str(&told("junit")).unwrap();
    let skipped: usize = junit.test_suites.iter().map(|suite| suite.skipped).sum();
    assert_eq!((junit.tests, skipped, junit.test_suites.len()), (2, 1, 2));
    assert_eq!(
        junit.failures,
        usize::from(cfg!(not(feature = "kuzu"))),
        "without Kùzu a case that was asked for is missing"
    );
}

#[test]
fn a_job_on_github_gets_annotations_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("summary.md");
    fs::write(&summary, "before\n").unwrap();
    let arguments = ["sweep", "--count", "4", "--store", "memory", "--no-cases", "--worker-dies-at", "2", "--json"];
    let mut command = Command::new(KUZUSYNC);
    command.args(arguments).env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let output = command.stdin(Stdio::null()).output().unwrap();
    json(&output);
    let annotations: Vec<String> =
        stderr(&output).lines().filter(|line| line.starts_with("::error ")).map(str::to_owned).collect();
    assert_eq!(annotations.len(), 1, "{}", stderr(&output));
    assert!(annotations[0].starts_with("::error title=1 failure%3A seed 2::crash//"), "{annotations:?}");
    let summary = fs::read_to_string(&summary).unwrap();
    assert!(summary.starts_with("before\n### ❌ kuzusync sweep: 3 of 4 seeds passed"), "{summary}");
    let elsewhere = stderr(&kuzusync(&arguments));
    assert!(!elsewhere.contains("::error"), "{elsewhere}");
}

#[test]
fn every_scenario_that_is_listed_runs() {
    let list = json(&kuzusync(&["list", "--json"]));
    for scenario in list["scenarios"].as_array().unwrap() {
        assert_eq!(keys(scenario), ["cases", "name", "stores"]);
        let name = scenario["name"].as_str().unwrap();
        let output = kuzusync(&["run", name]);
        assert_eq!(code(&output), 0, "{}", stdout(&output));
        assert!(stdout(&output).contains("PASS"), "{}", stdout(&output));
    }
}

#[test]
fn a_run_shows_every_replica_as_json_and_traces_every_event() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("events.ndjson");
    let output = kuzusync(&["run", "concurrent-update", "--json", "--trace", trace.to_str().unwrap()]);
    assert_eq!(code(&output), 0);
    let run = json(&output);
    assert_eq!(keys(&run), ["class", "digest", "replicas", "verdict"]);
    assert_eq!((&run["verdict"], &run["class"]), (&Value::from("pass"), &Value::Null));
    for replica in run["replicas"].as_array().unwrap() {
        assert_eq!(keys(replica), ["audit", "edges", "id", "nodes", "queue", "refused", "role", "schema"]);
        assert_eq!(replica["nodes"]["User"][0]["email"], "alice@b.com");
        assert_eq!(replica["schema"]["tables"][0]["primary_key"], "id");
        assert_eq!(replica["audit"][0]["conflict"], "concurrent_update");
        assert_eq!(replica["audit"][0]["winner"]["value"], "alice@b.com");
    }
    let events = fs::read_to_string(&trace).unwrap();
    assert!(events.lines().count() > 20);
    assert!(events.contains(r#""message":{"changes":[{"replica":"#), "what messages hold is told");
    assert!(events.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn a_plan_of_ones_own_runs_on_the_seed_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let plan = directory.path().join("plan.json");
    let steps = r#"[{"create_table": {"replica": 0, "table": 0}}, {"wait": {"ms": 50}}, "settle"]"#;
    fs::write(&plan, format!(r#"{{"version": 1, "options": {{"replicas": 2}}, "steps": {steps}}}"#)).unwrap();
    let digest = |seed: &str| {
        let output = kuzusync(&["run", plan.to_str().unwrap(), "--seed", seed, "--json"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        json(&output)["digest"].clone()
    };
    assert_eq!(digest("7"), digest("7"));
    assert_ne!(digest("7"), digest("8"));
}

/// The JSON of a section of the README.
fn readme_examples(section: &str) -> Vec<Value> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let from = readme.split(&format!("\n## {section}\n")).nth(1).unwrap();
    let section = from.split("\n## ").next().unwrap();
    let blocks = section.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.map(|block| serde_json::from_str(block).unwrap()).collect()
}

/// Whether everything that `part` says, `whole` says too.
fn includes(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|found| includes(found, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(found, value)| includes(found, value))
        }
        _ => whole == part,
    }
}

#[test]
fn the_plan_in_the_readme_ends_as_the_readme_says() {
    let [plan, replica] = readme_examples("Plans and cases").try_into().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("my-plan.json");
    fs::write(&file, plan.to_string()).unwrap();
    let output = kuzusync(&["run", file.to_str().unwrap(), "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let run = json(&output);
    assert_eq!((&run["verdict"], &run["class"]), (&Value::from("pass"), &Value::Null));
    let replicas = run["replicas"].as_array().unwrap();
    assert_eq!(
        replicas.iter().map(|replica| replica["role"].as_str().unwrap()).collect::<Vec<_>>(),
        ["main", "edge", "edge"]
    );
    for found in replicas {
        assert!(includes(found, &replica), "{found:#}");
        assert_eq!(keys(found).len(), keys(&replica).len() + 2, "with id and role it has nothing else");
    }
}

#[test]
fn the_schema_is_printed_for_each_kind_of_file_and_for_both() {
    for (of, title) in [(&["plan"][..], "kuzusync plan"), (&["case"], "kuzusync case"), (&[], "kuzusync plan or case")]
    {
        let schema = json(&kuzusync(&[&["schema"], of].concat()));
        assert_eq!(schema["title"], title);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema["$defs"]["Step"]["oneOf"].as_array().unwrap().len() > 10, "it tells every step");
    }
    assert_refused(&["schema", "sweep"], &["sweep", "plan", "case"]);
}

/// A case made of the plan of a seed.
fn stored(directory: &Path, seed: &str) -> String {
    let file = directory.join(format!("seed-{seed}.json")).to_str().unwrap().to_owned();
    let output = kuzusync(&["run", "--profile", "default", "--seed", seed, "--case", &file]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    file
}

fn edit(file: &str, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let mut json: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    edit(json.as_object_mut().unwrap());
    fs::write(file, json.to_string()).unwrap();
}

#[test]
fn a_stored_case_tells_whether_it_is_still_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = stored(directory.path(), "5");
    let replay = || kuzusync(&["replay", &file]);
    assert_eq!(code(&replay()), 0);
    assert!(stdout(&replay()).contains("byte for byte") && stdout(&replay()).contains("It passes as stored"));

    let digest = Value::from("00000000000000000000000000000000");
    edit(&file, |case| drop(case.insert("digest".into(), digest)));
    assert_eq!(code(&replay()), 5);
    assert!(stdout(&replay()).contains("NOT the stored one"), "{}", stdout(&replay()));

    edit(&file, |case| drop(case.remove("digest")));
    assert_eq!(code(&replay()), 0, "without a digest the verdict counts");
    let compared = json(&kuzusync(&["replay", &file, "--json"]))["stored"].clone();
    assert_eq!((&compared["is_same_digest"], &compared["is_same_failure"]), (&Value::Null, &Value::from(true)));

    edit(&file, |case| drop(case.insert("reaches".into(), serde_json::json!(["change_repeated", "the_moon"]))));
    assert_eq!(code(&replay()), 6);
    assert!(stdout(&replay()).contains("does not reach what it is kept for: the_moon"), "{}", stdout(&replay()));

    edit(&file, |case| drop(case.insert("failure".into(), serde_json::json!({"class": "crash", "message": "m"}))));
    assert!(stdout(&replay()).contains("It does not fail as stored: m."), "{}", stdout(&replay()));
}

#[test]
fn a_case_that_is_run_onto_itself_is_brought_up_to_date_and_keeps_what_people_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let file = stored(directory.path(), "6");
    let read = || serde_json::from_str::<Value>(&fs::read_to_string(&file).unwrap()).unwrap();
    let fresh = read();
    edit(&file, |case| {
        case.insert("story".into(), "Why it is kept.".into());
        case.insert("failure".into(), serde_json::json!({"class": "crash", "message": "long fixed"}));
        case.remove("digest");
    });
    assert_eq!(code(&kuzusync(&["run", &file, "--case", &file])), 0);
    let kept = read();
    assert_eq!((&kept["story"], &kept["failure"]), (&Value::from("Why it is kept."), &Value::Null));
    assert_eq!((kept.get("digest"), &kept["plan"]), (None, &fresh["plan"]), "it had no digest, so it gets none");
    assert_refused(&["run", "handshake", "--case", &file], &["a scenario is code"]);
    assert_refused(&["run", "handshake", "--profile", "quiet"], &["--profile"]);
    assert_refused(&["run"], &["SCENARIO"]);
}

// ---- runs that never end ----

#[test]
fn a_run_that_never_ends_costs_its_time_and_not_the_sweep() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let hangs = ["--store", "memory", "--no-cases", "--worker-hangs-at", "5", "--seconds-max", "1"];
    let sweep = |more: &[&str]| kuzusync(&[&["sweep", "--seeds", "3..9"], &hangs[..], more].concat());
    let output = sweep(&["--json"]);
    assert_eq!(code(&output), 7, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!((&report["seeds"], &report["passed"]), (&Value::from(6), &Value::from(5)));
    let failure = &report["failures"][0];
    assert_eq!((&failure["seed"], &failure["class"]), (&Value::from(5), &Value::from("time_limit")));
    assert!(failure["replay"].as_str().unwrap().contains("--seeds 5..6"), "{failure}");
    assert!(failure["replay"].as_str().unwrap().contains("--seconds-max 1"), "{failure}");
    let output = sweep(&["--out", out]);
    let screen = stdout(&output);
    assert!(screen.contains("TIME LIMIT, seed 5") && screen.contains("after 1 s of real time"), "{screen}");
    let file = directory.path().join("cases/seed-5.json").to_str().unwrap().to_owned();
    assert!(screen.contains(&format!("replay {file} --seconds-max 1")), "{screen}");
    let output = kuzusync(&["replay", &file, "--worker-hangs-at", "5", "--seconds-max", "1"]);
    assert_eq!(code(&output), 7);
    assert!(stdout(&output).contains("It fails as stored."), "{}", stdout(&output));
    assert_eq!(code(&kuzusync(&["replay", &file])), 0, "it hangs for the test only");
}

/// The seed of the scenario `handshake`, which shows case D1.1.
const HANDSHAKE_SEED: &str = "11";

#[test]
fn scenarios_and_plans_that_kill_their_process_or_never_end_are_told_and_not_suffered() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("events.ndjson").to_str().unwrap().to_owned();
    let hangs = ["--worker-hangs-at", HANDSHAKE_SEED, "--seconds-max", "1"];
    let output = kuzusync(&[&["conformance", "D1.1", "--json"], &hangs[..]].concat());
    assert_eq!(code(&output), 7, "{}", stderr(&output));
    let case = json(&output)["cases"][0].clone();
    assert_eq!(case["verdict"], "fail");
    assert!(case["reason"].as_str().unwrap().contains("after 1 s of real time"), "{case}");
    let output = kuzusync(&["conformance", "D1.1", "--worker-dies-at", HANDSHAKE_SEED]);
    assert_eq!(code(&output), 4, "{}", stdout(&output));
    let output = kuzusync(&[&["run", "handshake", "--trace", &trace], &hangs[..]].concat());
    assert_eq!(code(&output), 7, "{}", stderr(&output));
    assert!(stdout(&output).contains("TIME LIMIT, seed 11"), "{}", stdout(&output));
    assert_eq!(fs::read_to_string(&trace).unwrap(), "");
    let output = kuzusync(&["run", "handshake", "--worker-differs-at", HANDSHAKE_SEED]);
    assert_eq!(code(&output), 5, "two processes, two histories: {}", stdout(&output));
    let output = kuzusync(&["sweep", "--seeds", "3..5", "--store", "memory", "--worker-dies-at", HANDSHAKE_SEED]);
    assert_eq!(code(&output), 4, "a documented case died: {}", stdout(&output));
}

#[test]
fn a_plan_that_takes_too_many_turns_fails_of_the_time_limit_with_its_history() {
    let directory = tempfile::tempdir().unwrap();
    let plan = directory.path().join("plan.json");
    fs::write(&plan, r#"{"version": 1, "options": {"turns_max": 40}, "steps": [{"wait": {"ms": 1000}}]}"#).unwrap();
    let output = kuzusync(&["run", plan.to_str().unwrap(), "--json"]);
    assert_eq!(code(&output), 7, "{}", stderr(&output));
    assert_eq!(
        (&json(&output)["verdict"], &json(&output)["class"]),
        (&Value::from("fail"), &Value::from("time_limit"))
    );
    let page = stdout(&kuzusync(&["run", plan.to_str().unwrap()]));
    assert!(page.contains("40 turns") && page.contains("options.turns_max") && page.contains("session with"), "{page}");
}

#[test]
fn conformance_judges_the_named_cases() {
    let output = kuzusync(&["conformance", "D1.1", "C3", "--format", "json"]);
    let report = json(&output);
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.iter().map(|case| case["id"].as_str().unwrap()).collect::<Vec<_>>(), ["D1.1", "C3"]);
    let expected = ["document", "id", "limit", "measured", "reason", "scenarios", "stores", "verdict"];
    assert!(cases.iter().all(|case| keys(case) == expected));
    // Without Kùzu they are shown on one store only, and that is no pass.
    assert_eq!(code(&output), i32::from(!cfg!(feature = "kuzu")));

    // All of them. How long the timed ones take is no matter for a test that runs beside others.
    let report = json(&kuzusync(&["conformance", "--format", "json"]));
    let failed = |case: &&Value| case["verdict"] == "fail" && case["measured"].is_null();
    let failures = report["cases"].as_array().unwrap().iter().filter(failed).collect::<Vec<_>>();
    assert!(failures.is_empty(), "{failures:?}");
}

/// Pages, previews and the gate, read back by the program itself. Without Kùzu they are read of runs on one store only.
#[test]
fn what_is_read_is_judged_by_reading_it() {
    let output = kuzusync(&["conformance", "B10", "B11", "H7", "H8", "H9", "--json"]);
    let missing = "not run on Kùzu: this build has none";
    let expected = if cfg!(feature = "kuzu") { Value::Null } else { missing.into() };
    for case in json(&output)["cases"].as_array().unwrap() {
        assert_eq!(case["reason"], expected, "{case}");
        assert_eq!(case["stores"][0], "memory", "{case}");
    }
    let screen = stdout(&kuzusync(&["conformance", "B10"]));
    let told = if cfg!(feature = "kuzu") { "read in what is written of runs on memory and kuzu" } else { missing };
    assert!(screen.contains(told), "{screen}");
}

#[test]
fn help_has_examples_and_completions_are_a_script() {
    for command in ["sweep", "run", "replay", "shrink", "schema", "list", "conformance", "bugs", "completions"] {
        let output = kuzusync(&[command, "--help"]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("Example"), "{command}");
    }
    assert!(stdout(&kuzusync(&["--version"])).starts_with("kuzusync "));
    assert!(stdout(&kuzusync(&["completions", "bash"])).contains("kuzusync"));
    assert_eq!(code(&kuzusync(&[])), 2);
}

#[test]
fn a_reader_that_goes_away_ends_the_command_with_a_message() {
    for arguments in [&["list"][..], &["sweep", "--count", "3", "--store", "memory"], &["completions", "zsh"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(KUZUSYNC).args(arguments).stdout(writer).output().unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}: {:?}", output.status);
        assert!(stderr(&output).contains("closed it before everything was written"), "{arguments:?}");
        assert!(!stderr(&output).contains("panicked"), "{arguments:?}");
    }
}

#[test]
fn workers_end_when_nobody_asks_any_more() {
    let output = kuzusync(&["worker"]);
    assert_eq!(code(&output), 0);
    assert!(output.stdout.is_empty() && Path::new(KUZUSYNC).exists());
}

#[test]
fn a_case_that_passes_is_not_shrunk() {
    let case = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/cases/clock-jump.json");
    assert_refused(&["shrink", case, "-o", "small.json"], &["passes", "only a failure can be shrunk"]);
}

#[test]
fn a_sweep_becomes_one_page_that_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let sweep = ["sweep", "--count", "12", "--store", "memory", "--no-cases", "--worker-dies-at", "5", "--out", out];
    assert_eq!(code(&kuzusync(&sweep)), 4);
    let output = kuzusync(&["report", out]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let page = file(folder.path(), "report.html");
    assert!(page.len() < 2 << 20 && page.starts_with("<!doctype html>"));
    assert!(["src=", "href=\"http", "@import"].iter().all(|remote| !page.contains(remote)));
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    let report: Value = serde_json::from_str(&file(folder.path(), "sweep.json")).unwrap();
    assert_eq!(data["sweep"]["report"]["results_digest"], report["results_digest"]);
    assert_eq!(data["sweep"]["signatures"][0]["seeds"], serde_json::json!([5]));
    assert_eq!(data["runs"][0]["signature"], report["failures"][0]["signature"]);
    assert!(data["runs"][0]["replay"].as_str().unwrap().contains("replay"), "{}", data["runs"][0]["replay"]);
    let markdown = stdout(&kuzusync(&["report", out, "--format", "markdown"]));
    assert!(markdown.starts_with("### ❌ kuzusync sweep: 11 of 12 seeds passed"), "{markdown}");
    assert_refused(&["report", "nowhere"], &["nowhere/runs.ndjson", "cannot be read"]);
    assert_refused(&["report", out, "--benchmarks", "nowhere"], &["nowhere", "cannot be read"]);
}

#[test]
fn a_run_becomes_a_page_with_the_versions_of_its_schema_and_advice() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("q.cypher"), "MATCH (u:User {email: $e}) RETURN u; MATCH (u:User) WHERE u.id = $i RETURN u")
        .unwrap();
    let output = kuzusync(&["run", "schema-state", "--html", &path("page.html"), "--queries", &path("q.cypher")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let page = file(folder.path(), "page.html");
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let run = serde_json::from_str::<Value>(data).unwrap()["runs"][0].clone();
    let replicas = json(&kuzusync(&["run", "schema-state", "--json"]))["replicas"].clone();
    let versions = run["versions"].as_array().unwrap();
    assert_eq!(versions.len() as u64, replicas[0]["schema"]["version"].as_u64().unwrap());
    for (number, version) in (1..).zip(versions) {
        assert_eq!(version["version"], number);
        // A change is called after its author.
        let change = version["change"].as_str().unwrap();
        assert!(change.starts_with(version["by"].as_str().unwrap()), "{version}");
        assert!(version["reached_us"].as_array().unwrap().iter().all(Value::is_number), "{version}");
    }
    let served = |column: &str| {
        let advice = run["advice"].as_array().unwrap().iter().find(|advice| advice["column"] == column).unwrap();
        advice["served_by"].clone()
    };
    assert_eq!((served("email"), served("id")), (Value::Null, Value::from("the primary key")));
}

/// A gate that takes as little time as it can.
const SMALL_GATE: [&str; 7] = ["gate", "--minutes", "0", "--no-cases", "--from", "7", "--no-canary"];

#[test]
fn a_gate_says_what_it_covered_and_what_not() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let output = kuzusync(&[&SMALL_GATE[..], &["--out", out]].concat());
    let screen = stdout(&output);
    assert_eq!(code(&output), 0, "{screen}");
    for told in
        ["ok      kept cases", "ok      fresh seeds", "ok      determinism", "not covered", "situations never reached"]
    {
        assert!(screen.contains(told), "{told}: {screen}");
    }
    assert_eq!(screen.lines().last(), Some("PASS"));
    let junit = quick_junit::Report::deserialize_from_str(&file(folder.path(), "gate.xml")).unwrap();
    assert_eq!((junit.tests, junit.failures), (4, 0));
    let failed = kuzusync(&[&SMALL_GATE[..], &["--worker-dies-at", "7", "--json"]].concat());
    assert_eq!(code(&failed), 4, "{}", stderr(&failed));
    assert_eq!(json(&failed)["verdict"], "fail");
    assert_refused(&["gate", "--no-canary", "--no-cases", "--cases", "nowhere"], &["nowhere", "--cases"]);
}

#[cfg(not(feature = "planted-bugs"))]
#[test]
fn a_gate_without_the_build_that_carries_bugs_says_how_to_make_it() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("kuzusync");
    fs::copy(KUZUSYNC, &alone).unwrap();
    let output = run(alone.to_str().unwrap(), &["gate", "--minutes", "0", "--no-cases"]);
    assert_eq!(code(&output), 2);
    let message = stderr(&output);
    assert!(message.contains("--bin kuzusync-planted") && message.contains("--no-canary"), "{message}");
}

/// As if the harness had become blind: what stands where the build with planted bugs should be carries none.
#[cfg(not(feature = "planted-bugs"))]
#[test]
fn a_harness_that_misses_the_planted_bug_says_so_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let [program, planted] = ["kuzusync", "kuzusync-planted"].map(|name| folder.path().join(name));
    fs::copy(KUZUSYNC, &program).unwrap();
    fs::copy(KUZUSYNC, &planted).unwrap();
    let gate = ["gate", "--minutes", "0", "--no-cases", "--from", "7"];
    let output = run(program.to_str().unwrap(), &gate);
    let screen = stdout(&output);
    assert_eq!(code(&output), 8, "{screen}");
    assert!(screen.contains("FAILED  canary") && screen.contains("the harness itself is broken"), "{screen}");
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use super::*;

    const PLANTED: &str = env!("CARGO_BIN_EXE_kuzusync-planted");

    #[test]
    fn the_planted_bugs_are_found_and_their_cases_replay() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().to_str().unwrap();
        let output = run(PLANTED, &["bugs", "--count", "1000", "--json", "--out", out]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["canary"], "found");
        let by_scenario = report["by_scenario"].as_array().unwrap();
        assert!(by_scenario.len() == 4 && by_scenario.iter().all(|bug| bug["found"] == true), "{by_scenario:?}");
        let bug = &report["bugs"][0];
        let expected = [
            "faults",
            "found",
            "id",
            "origin",
            "profile",
            "property",
            "replays",
            "runs",
            "seeds",
            "shrinking_ms",
            "steps",
        ];
        assert_eq!(keys(bug), expected);
        assert_eq!((&bug["id"], &bug["found"]), (&Value::from("arrival-order"), &Value::from(true)));
        assert_eq!(bug["replays"], true);
        let bugs = report["bugs"].as_array().unwrap();
        for bug in bugs {
            for (field, most) in [("steps", 10), ("faults", 3), ("runs", 300)] {
                assert!(bug[field].as_u64().is_some_and(|left| left <= most), "{bug}");
            }
        }
        for entry in fs::read_dir(directory.path().join("cases")).unwrap() {
            let file = entry.unwrap().path();
            let output = run(PLANTED, &["replay", file.to_str().unwrap()]);
            assert!([1, 3, 4].contains(&code(&output)), "{}", stdout(&output));
            assert!(stdout(&output).contains("byte for byte"), "{}", stdout(&output));
        }
    }

    #[test]
    fn a_failure_shrinks_to_a_case_that_fails_of_the_same_thing() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().to_str().unwrap();
        let sweep = ["sweep", "--count", "1", "--store", "memory", "--no-cases", "--bug", "canary", "--out", out];
        assert_eq!(code(&run(PLANTED, &sweep)), 1);
        let (case, small) = (directory.path().join("cases/seed-0.json"), directory.path().join("small.json"));
        let (case, small) = (case.to_str().unwrap(), small.to_str().unwrap());
        let output = run(PLANTED, &["shrink", case, "-o", small, "--json"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let report = json(&output);
        assert!(report["steps"].as_u64() <= Some(5) && report["steps_before"].as_u64() >= Some(20), "{report}");
        assert!(report["replays"].as_u64() <= Some(300) && report["is_smallest"] == true, "{report}");
        assert!(report["test"].as_str().unwrap().contains("#[test]"));
        let replayed = run(PLANTED, &["replay", small]);
        assert_eq!(code(&replayed), 1);
        assert!(stdout(&replayed).contains("byte for byte"));
        // Another failure than the stored one is told and not shrunk.
        let mut other: Value = serde_json::from_str(&fs::read_to_string(case).unwrap()).unwrap();
        other["failure"]["message"] = "something else".into();
        fs::write(case, other.to_string()).unwrap();
        let refused = run(PLANTED, &["shrink", case, "-o", small]);
        assert_eq!(code(&refused), 2);
        assert!(stderr(&refused).contains("does not fail as stored"), "{}", stderr(&refused));
    }

    #[test]
    fn the_screen_shows_the_page_of_the_first_bug_and_how_to_replay_it() {
        let screen = stdout(&run(PLANTED, &["bugs", "--count", "1000"]));
        assert!(screen.contains("found   arrival-order") && screen.contains("found   canary"), "{screen}");
        assert!(screen.contains("--bug arrival-order") && screen.contains("SAFETY"), "{screen}");
    }

    #[test]
    fn a_gate_finds_a_planted_bug_and_says_so_on_one_screen() {
        let arguments = ["gate", "--minutes", "0.2", "--no-cases", "--from", "0", "--bug", "canary"];
        let output = run(PLANTED, &arguments);
        let screen = stdout(&output);
        assert_eq!(code(&output), 1, "{screen}");
        assert!(screen.contains("FAILED  fresh seeds") && screen.contains("ok      canary"), "{screen}");
        assert!(screen.contains("SAFETY") && screen.lines().count() <= 70, "{screen}");
    }

    #[test]
    fn a_sweep_with_the_canary_fails() {
        let output = run(PLANTED, &["sweep", "--count", "5", "--store", "memory", "--no-cases", "--bug", "canary"]);
        assert_eq!(code(&output), 1, "{}", stdout(&output));
        assert!(stdout(&output).contains("FAIL"));
    }
}
