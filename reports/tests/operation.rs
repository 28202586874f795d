//! The commands on a replica directory as an operator meets them, and what an import leaves when it is killed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const KUZUSYNC: &str = env!("CARGO_BIN_EXE_kuzusync");

/// Tells how often the import is killed, and how many rows it has, in place of what a quick test does.
const KILLS: &str = "KUZUSYNC_TEST_KILLS";
const ROWS: &str = "KUZUSYNC_TEST_ROWS";

fn kuzusync(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(KUZUSYNC);
    command.args(arguments).current_dir(folder).env_remove("IMPORT_BATCH_SIZE").stdin(Stdio::null()).output().unwrap()
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = kuzusync(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(folder, &[arguments, &["--json"]].concat())).unwrap()
}

/// Bad input: exit code 2, a message with these words, nothing on standard output.
fn refused(folder: &Path, arguments: &[&str], words: &[&str]) {
    let output = kuzusync(folder, arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty() && !message.contains("panicked"), "{arguments:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{arguments:?} should say `{word}`: {message}");
    }
}

const TABLE: &str = r#"{"create_node_table": {"table": "User", "primary_key": "id", "columns": [{"name": "id", "type": "INT64"}, {"name": "name", "type": "STRING"}, {"name": "visits", "type": "INT64"}]}}"#;

/// A folder with a main that holds one table.
fn with_main() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    fs::write(path.join("table.ndjson"), TABLE).unwrap();
    ok(&path, &["init", "--dir", "main"]);
    ok(&path, &["apply", "--dir", "main", "table.ndjson"]);
    (folder, path)
}

/// A plain file of so many rows, three of four transactions of one row, the others updates of an earlier row.
fn plain(rows: usize) -> String {
    let mut text = "{\"__meta__\":{\"client_id\":\"till\",\"source_node\":\"till\"}}\n".to_owned();
    for lsn in 1..=rows {
        let (key, op) = if lsn.is_multiple_of(4) { (lsn - 1, "U") } else { (lsn, "I") };
        let payload = format!("{{\"name\":\"user {lsn}\",\"visits\":{}}}", i64::MAX - lsn as i64);
        let (minute, second) = (lsn / 60 % 60, lsn % 60);
        let _ = writeln!(
            text,
            "{{\"lsn\":{lsn},\"tx_id\":\"t{lsn}\",\"table_name\":\"User\",\"pk_json\":{{\"id\":{key}}},\"op\":\"{op}\",\"payload\":\
             {payload},\"tombstone\":0,\"created_at\":\"2024-05-01T{:02}:{minute:02}:{second:02}Z\",\"source_node\":\"till\"}}",
            lsn / 3600 % 24
        );
    }
    text
}

#[test]
fn the_walk_through_of_the_readme_can_be_pasted() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let script = readme.split("```sh walk-through\n").nth(1).unwrap().split("```").next().unwrap();
    let programs = Path::new(KUZUSYNC).parent().unwrap().display();
    let script = format!("set -eu\nPATH=\"{programs}:$PATH\"\nTMPDIR=$PWD\n{script}");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}\n{err}");
    assert!(
        out.contains("t-2 was left out, and t-1 was not") && out.contains("1 transaction applied, 0 still left out"),
        "{out}"
    );
    assert!(out.contains("User: 3 rows") && out.contains("from till-7: last_lsn 2 of 2"), "{out}");
}

#[test]
fn a_dry_run_tells_what_is_touched_and_changes_nothing() {
    let (_kept, folder) = with_main();
    let path = folder.as_path();
    let status = || json(path, &["status", "--dir", "main"]);
    let rows = "{\"create_node\": {\"table\": \"User\", \"properties\": {\"id\": {\"int64\": 1}}}}\n\
                {\"create_node\": {\"table\": \"User\", \"properties\": {\"id\": {\"int64\": 2}}}}\n";
    fs::write(path.join("rows.ndjson"), rows).unwrap();
    let before = status();
    let first = ok(path, &["apply", "--dir", "main", "rows.ndjson", "--dry-run"]);
    assert!(first.starts_with("rows of User: 2 created, 0 updated, 0 deleted\nwould apply 2 transactions"), "{first}");
    assert_eq!(status(), before);
    ok(path, &["apply", "--dir", "main", "rows.ndjson"]);
    let before = status();
    // The third row is there when the column is dropped, the fourth when the table is.
    let create = |id: u8| {
        format!("{{\"create_node\": {{\"table\": \"User\", \"properties\": {{\"id\": {{\"int64\": {id}}}}}}}}}")
    };
    let drop_column = "{\"drop_column\": {\"table\": \"User\", \"column\": \"visits\"}}";
    let lines =
        [create(3), drop_column.to_owned(), create(4), "{\"drop_node_table\": {\"table\": \"User\"}}".to_owned()];
    fs::write(path.join("drop.ndjson"), lines.join("\n")).unwrap();
    fs::write(path.join("rules.toml"), "[tables.User]\npolicy = \"last_write_wins\"\n").unwrap();
    let impacts = json(path, &["apply", "--dir", "main", "drop.ndjson", "--dry-run"])["transactions"].clone();
    let touched = |line: usize| impacts[line - 1]["schema"]["steps"][0]["touched"].clone();
    assert_eq!(impacts.as_array().unwrap().len(), 4);
    assert_eq!(touched(2), serde_json::json!({"tables": ["User"], "columns": ["visits"], "rows": 3}));
    assert_eq!(touched(4), serde_json::json!({"tables": ["User"], "columns": ["id", "name"], "rows": 4}));
    let page = ok(path, &["apply", "--dir", "main", "drop.ndjson", "--dry-run"]);
    assert!(
        page.contains(
            "`drop.ndjson`, line 2\n1. ALTER TABLE User DROP visits [tables: User; rows: 3; columns: visits]"
        ),
        "{page}"
    );
    assert!(page.ends_with("would apply 4 transactions; nothing was changed\n"), "{page}");
    let rules = ok(path, &["apply", "--dir", "main", "--rules", "rules.toml", "--dry-run"]);
    assert_eq!(rules, "would apply 1 transaction; nothing was changed\n");
    refused(
        path,
        &["apply", "--dir", "main", "table.ndjson", "--dry-run"],
        &["table.ndjson", "line 1", "exists already"],
    );
    assert_eq!(status(), before);
}

#[test]
fn bad_input_is_refused_with_its_file_line_and_remedy() {
    let (_kept, folder) = with_main();
    let path = folder.as_path();
    refused(
        path,
        &["adopt", "--dir", "new", "missing.kuzu"],
        &[if cfg!(feature = "kuzu") { "missing.kuzu" } else { "no Kùzu" }],
    );
    assert!(!path.join("new").exists());
    refused(path, &["status", "--dir", "nowhere"], &["nowhere", "kuzusync init --dir nowhere"]);
    refused(path, &["init", "--dir", "main"], &["main", "not empty", "another directory"]);
    refused(path, &["init", "--dir", "x", "--database", "7"], &["--database", "32 hexadecimal digits"]);
    refused(path, &["apply", "--dir", "main"], &["FILE"]);
    refused(path, &["apply", "--dir", "main", "missing.ndjson"], &["missing.ndjson", "cannot be read"]);
    fs::write(path.join("bad.ndjson"), format!("{TABLE}\n{{\"create_nod\": 1}}\n")).unwrap();
    refused(
        path,
        &["apply", "--dir", "main", "bad.ndjson"],
        &["bad.ndjson", "line 2", "create_nod", "nothing was applied"],
    );
    refused(path, &["apply", "--dir", "main", "table.ndjson"], &["table.ndjson", "line 1", "User", "exists already"]);
    fs::write(path.join("rules.toml"), "[tables.User]\npolicy = \"wild\"\n").unwrap();
    refused(path, &["apply", "--dir", "main", "--rules", "rules.toml"], &["rules.toml", "line 2", "wild"]);
    ok(path, &["export-changelog", "--dir", "main", "--out", "main.ndjson"]);
    let whole = fs::read_to_string(path.join("main.ndjson")).unwrap();
    fs::write(path.join("cut.ndjson"), &whole[..whole.len() - 9]).unwrap();
    refused(
        path,
        &["import-changelog", "--dir", "main", "--in", "cut.ndjson"],
        &["cut.ndjson", "line 3", "copy it again", "nothing was imported"],
    );
    refused(
        path,
        &["import-changelog", "--dir", "main", "--in", "main.ndjson"],
        &["main.ndjson", "exported by this replica"],
    );
    refused(
        path,
        &["import-changelog", "--dir", "main", "--in", "main.ndjson", "--batch-size", "0"],
        &["--batch-size"],
    );
    refused(path, &["import-changelog", "--dir", "main", "--dismiss", "t9"], &["t9", "status"]);
    refused(path, &["export-changelog", "--dir", "main", "--from-lsn", "9"], &["row 1", "--from-lsn 9"]);
    refused(path, &["export-changelog", "--dir", "main", "--json"], &["--out"]);
    refused(path, &["backup", "--dir", "main", "--to", "main.ndjson"], &["main.ndjson", "there already"]);
    refused(path, &["restore", "--dir", "again", "--from", "main.ndjson"], &["database"]);
    let mut command = Command::new(KUZUSYNC);
    let in_environment = command.args(["import-changelog", "--dir", "main", "--in", "cut.ndjson"]).current_dir(path);
    let output = in_environment.env("IMPORT_BATCH_SIZE", "many").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("IMPORT_BATCH_SIZE is \"many\""));
    fs::write(path.join("main/settings.toml"), "name = \"main\"\nimport_batch_size = 0\n").unwrap();
    refused(path, &["status", "--dir", "main"], &["settings.toml", "import_batch_size"]);
}

#[test]
fn the_batch_size_comes_from_the_option_then_the_environment_then_the_settings() {
    let (_kept, folder) = with_main();
    fs::write(folder.join("legacy.jsonl"), plain(20)).unwrap();
    let batches = |name: &str, arguments: &[&str], variable: Option<&str>| {
        ok(&folder, &["init", "--dir", name]);
        ok(&folder, &["apply", "--dir", name, "table.ndjson"]);
        let settings = fs::read_to_string(folder.join(name).join("settings.toml")).unwrap();
        fs::write(folder.join(name).join("settings.toml"), settings.replace("= 100", "= 10")).unwrap();
        let mut command = Command::new(KUZUSYNC);
        command.args(["import-changelog", "--dir", name, "--in", "legacy.jsonl", "--json"]).args(arguments);
        variable.map(|size| command.env("IMPORT_BATCH_SIZE", size));
        let output = command.current_dir(&folder).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["batches"].as_u64().unwrap()
    };
    assert_eq!(batches("by-settings", &[], None), 2);
    assert_eq!(batches("by-environment", &[], Some("5")), 4);
    assert_eq!(batches("by-option", &["--batch-size", "4"], Some("5")), 5);
}

#[test]
#[expect(clippy::print_stderr, reason = "whoever lets it be killed often wants to know where it was")]
fn an_import_that_is_killed_again_and_again_ends_as_one_that_is_not() {
    let number =
        |name: &str, otherwise: usize| std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap());
    let (kills, rows) = (number(KILLS, 6), number(ROWS, 1_500));
    let (_kept, folder) = with_main();
    let path = folder.as_path();
    fs::write(path.join("legacy.jsonl"), plain(rows)).unwrap();
    // All begin as copies of one replica's backup, so they begin equal.
    ok(path, &["backup", "--dir", "main", "--to", "main.backup"]);
    fn import(name: &str) -> [&str; 7] {
        ["import-changelog", "--dir", name, "--in", "legacy.jsonl", "--batch-size", "100"]
    }
    ok(path, &["restore", "--dir", "quiet", "--from", "main.backup"]);
    let started = Instant::now();
    let undisturbed = json(path, &import("quiet"));
    let whole = started.elapsed();
    let all = Some(rows as u64);
    assert_eq!((undisturbed["applied"].as_u64(), undisturbed["last_lsn"].as_u64()), (all, all));
    let quiet = json(path, &["status", "--dir", "quiet"]);
    assert_eq!(quiet["tables"]["User"].as_u64(), Some((rows - rows / 4) as u64));
    let check = |name: &str| {
        let killed = json(path, &["status", "--dir", name]);
        for same in ["digest", "tables", "last_lsn", "last_number", "audit", "dead_letters", "sync_state"] {
            assert_eq!(quiet[same], killed[same], "{same}");
        }
        assert_eq!(killed["last_lsn"].as_u64(), Some(rows as u64 + 1), "nothing is logged twice");
        assert_ne!(killed["graph"]["state"], "broken", "{killed}");
    };
    // One import after another, each killed until it comes to its end.
    let (mut deaths, mut imports, mut places) = (0, 0, BTreeMap::<u64, usize>::new());
    while deaths < kills {
        imports += 1;
        let name = format!("killed-{imports}");
        ok(path, &["restore", "--dir", &name, "--from", "main.backup"]);
        let (mut acknowledged, mut start, mut reach) = (0, Duration::ZERO, whole / 8);
        loop {
            let share = ((deaths + imports) * 7919 + 13) % 1000;
            let mut command = Command::new(KUZUSYNC);
            let command = command.args(import(&name)).current_dir(path).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            if deaths < kills {
                std::thread::sleep(start + reach.mul_f64(share as f64 / 1000.0));
                child.kill().unwrap();
            }
            let is_killed = child.wait().unwrap().code().is_none();
            deaths += usize::from(is_killed);
            let opening = Instant::now();
            let status = json(path, &["status", "--dir", &name]);
            start = opening.elapsed();
            let last_lsn = status["sync_state"][0]["last_lsn"].as_u64().unwrap_or(0);
            assert!(last_lsn >= acknowledged, "what was durable is: {acknowledged}, then {last_lsn}");
            assert!(last_lsn.is_multiple_of(100) || last_lsn == rows as u64, "whole batches: {last_lsn}");
            let told = status["last_lsn"].as_u64().unwrap();
            assert_eq!(told, last_lsn + 1, "a batch is in the log with how far the file was read, or neither is");
            if !is_killed {
                break;
            }
            *places.entry(last_lsn).or_default() += 1;
            // One that gets nowhere is given more time.
            reach = if last_lsn == acknowledged { reach * 2 } else { whole / 8 };
            acknowledged = last_lsn;
        }
        check(&name);
        fs::remove_dir_all(path.join(&name)).unwrap();
    }
    eprintln!("{deaths} deaths in {imports} imports of {rows} rows, which take {whole:?}; by row reached: {places:?}");
    let is_inside = |place: &u64| *place > 0 && *place < rows as u64;
    assert!(places.keys().any(is_inside), "no import was killed on its way: {places:?}");
}
