//! Sync Policy, as an operator uses it: replicas in directories, their logs in SQLite, their files.
//!
//! These scenarios need no network. Each makes its directories in a folder of its own, with the engine, the log and the graph
//! that the command uses, and removes them.

use std::fs;
use std::path::{Path, PathBuf};

use kuzusync_core::id::{DatabaseId, Role};
use kuzusync_core::planted::Bug;
use kuzusync_core::value::Value;
use kuzusync_directory::{BATCH_SIZE, Directory, Error, ImportOptions, ImportReport, Init, parse_transactions};
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;
use tempfile::TempDir;

use crate::case::Case;
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let scenario = |name, story, cases, claims, body| Scenario {
        name,
        story,
        cases,
        claims,
        seed: Seed(80),
        options: Options { replicas: 2, ..Options::default() },
        body,
    };
    vec![
        scenario(
            "log-on-disk",
            "A main in a directory makes tables and rows, ends, loses its graph, and its log is copied in mid-life.",
            &[Case::DA2],
            &["the schema state survives on disk", "the main's numbers survive on disk without a gap"],
            |cluster| Box::pin(run(cluster, log_on_disk)),
        ),
        scenario(
            "change-log-files",
            "A main and an edge exchange files; then somebody damages one, and one comes from elsewhere.",
            &[Case::E1, Case::E8],
            &[],
            |cluster| Box::pin(run(cluster, files)),
        ),
        scenario(
            "sync-state",
            "A file of another system holds a transaction for which there is no table. Somebody makes it and retries.",
            &[Case::E2],
            &[],
            |cluster| Box::pin(run(cluster, sync_state)),
        ),
        scenario(
            "implicit-alter",
            "A file of another system has columns that nobody here has.",
            &[Case::E6],
            &[],
            |cluster| Box::pin(run(cluster, implicit_alter)),
        ),
        scenario(
            "import-batches",
            "A file of 250 transactions is imported, and watched from outside.",
            &[Case::E7],
            &[],
            |cluster| Box::pin(run(cluster, batches)),
        ),
        scenario(
            "backup-and-restore",
            "A replica is backed up while it is in use, goes on, and is restored elsewhere.",
            &[Case::E12],
            &[],
            |cluster| Box::pin(run(cluster, backup)),
        ),
    ]
}

/// Each bug in what is done with files, with the scenario that finds it.
pub const FINDS: [(Bug, &str); 4] = [
    (Bug::FileUnchecked, "change-log-files"),
    (Bug::SourceRewritten, "change-log-files"),
    (Bug::LastLsnPassesFailure, "sync-state"),
    (Bug::TypeOfOneValue, "implicit-alter"),
];

/// What a body came to.
pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Runs a body in a folder of its own. What it did not expect is a check that does not hold.
pub(crate) async fn run(cluster: &mut Cluster, body: fn(&mut Cluster, &Folder) -> Outcome) {
    let folder = TempDir::new().map(Folder);
    let result = folder.map_err(Into::into).and_then(|folder| body(cluster, &folder));
    if let Err(error) = result {
        cluster.check("it goes on to its end", false, error.to_string());
    }
}

/// Where the directories of a run are.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn init(&self, name: &str, role: Role) -> Result<Directory, Error> {
        Directory::init(&self.path(name), &Init { role, database: Some(DatabaseId([8; 16])), name: None })
    }

    pub(crate) fn with_tables(&self, name: &str, role: Role) -> Result<Directory, Error> {
        apply(self.init(name, role)?, TABLES)
    }
}

const TABLES: &str = r#"[{"create_node_table": {"table": "User", "columns": [{"name": "id", "type": "STRING"}, {"name": "name", "type": "STRING"}, {"name": "visits", "type": "INT64"}], "primary_key": "id"}}]"#;

pub(crate) fn apply(directory: Directory, text: &str) -> Result<Directory, Error> {
    Ok(directory.apply(parse_transactions(text)?)?.0)
}

pub(crate) fn user(id: &str, visits: i64) -> String {
    format!(
        r#"{{"create_node": {{"table": "User", "properties": {{"id": {{"string": "{id}"}}, "visits": {{"int64": {visits}}}}}}}}}"#
    )
}

const DELETE_ANN: &str = r#"{"delete_node": {"table": "User", "key": {"string": "ann"}}}"#;

fn options() -> ImportOptions {
    ImportOptions { batch_size: BATCH_SIZE, allow_schema_alter: false }
}

pub(crate) fn import(directory: &mut Directory, text: &str) -> Result<ImportReport, Error> {
    directory.import(text.as_bytes(), options(), &mut |_| {})
}

/// What the log says to whoever opens it with SQLite.
fn sql(directory: &Path, query: &str) -> Result<Vec<String>, rusqlite::Error> {
    let connection = rusqlite::Connection::open(directory.join("log.sqlite"))?;
    let mut statement = connection.prepare(query)?;
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        let cell = |column| {
            Ok::<_, rusqlite::Error>(match row.get::<_, rusqlite::types::Value>(column)? {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                _ => "NULL".to_owned(),
            })
        };
        Ok((0..columns).map(cell).collect::<Result<Vec<_>, _>>()?.join(" | "))
    };
    statement.query_map([], read)?.collect()
}

/// A file of another system with these rows, each `lsn`, `tx_id`, `op`, key and payload.
fn plain(rows: &[(u64, &str, &str, &str, &str)]) -> String {
    let mut text = String::from("{\"__meta__\":{\"client_id\":\"shop-1\",\"source_node\":\"shop-1\"}}\n");
    for (lsn, tx, op, key, payload) in rows {
        let (table, id) = key.split_once('/').unwrap_or(("User", key));
        text.push_str(&format!(
            "{{\"lsn\":{lsn},\"tx_id\":\"{tx}\",\"table_name\":\"{table}\",\"pk_json\":{{\"id\":\"{id}\"}},\"op\":\"{op}\",\
             \"payload\":{payload},\"tombstone\":0,\"created_at\":\"2020-05-01T12:00:00+02:00\",\"source_node\":\"shop-1\"}}\n"
        ));
    }
    text
}

fn log_on_disk(cluster: &mut Cluster, folder: &Folder) -> Outcome {
    let directory = folder.with_tables("main", Role::Main)?;
    let directory = apply(directory, &format!("{}\n{}", user("ann", 1), user("bob", 2)))?;
    let before = directory.status()?;
    let copy = folder.path("copy");
    fs::create_dir(&copy)?;
    for file in ["log.sqlite", "log.sqlite-wal", "settings.toml"] {
        if directory.path().join(file).exists() {
            fs::copy(directory.path().join(file), copy.join(file))?;
        }
    }
    drop(directory);
    let mut directory = Directory::open(&folder.path("main"))?;
    let after = directory.status()?;
    let view = directory.replica().view();
    let is_shown = directory.read_graph()? == view;
    let found = format!("{} rows, graph equal: {is_shown}", after.tables.values().sum::<usize>());
    let is_equal = after.digest == before.digest && after.replica == before.replica && is_shown;
    cluster.check("a replica is rebuilt from its log on disk", is_equal, found);
    let of_copy = Directory::open(&copy)?.status()?;
    let found = format!("{} of {} rows of the log", of_copy.last_lsn, before.last_lsn);
    cluster.check("a copy made in mid-life opens and holds the same", of_copy.digest == before.digest, found);
    let found = format!("version {}, {} table", after.schema_version, directory.replica().schema_state().tables.len());
    cluster.check("the schema state survives on disk", after.schema_version == before.schema_version, found);
    directory = apply(directory, &user("cy", 3))?;
    let numbers = sql(directory.path(), "SELECT DISTINCT number FROM change_log ORDER BY number")?;
    let is_gapless = (1..).zip(&numbers).all(|(number, found): (u64, _)| *found == number.to_string());
    let holds = is_gapless && numbers.len() == 4;
    cluster.check("the main's numbers survive on disk without a gap", holds, numbers.join(", "));
    drop(directory);
    drop(fs::remove_dir_all(folder.path("main").join("graph")));
    let mut directory = Directory::open(&folder.path("main"))?;
    let view = directory.replica().view();
    let users = view.nodes.get("User").map_or(0, std::collections::BTreeMap::len);
    let holds = directory.read_graph()? == view && users == 3;
    cluster.check("a lost graph is built anew from the log", holds, format!("{users} users"));
    Ok(())
}

fn files(cluster: &mut Cluster, folder: &Folder) -> Outcome {
    let mut main = folder.with_tables("main", Role::Main)?;
    let mut edge = folder.init("edge", Role::Edge)?;
    import(&mut edge, &main.export(0)?.1)?;
    let dated = format!(r#"{{"created_at": "2020-02-29T12:00:00.000000001Z", "statements": [{}]}}"#, user("ann", 1));
    edge = apply(edge, &format!("{dated}\n{}\n{DELETE_ANN}", user("big", i64::MAX)))?;
    let there = import(&mut main, &edge.export(0)?.1)?;
    let text = main.export(0)?.1;
    let back = import(&mut edge, &text)?;
    let is_equal = main.replica().view() == edge.replica().view();
    let holds = is_equal && there.left_out.is_empty() && back.left_out.is_empty();
    let found = format!("{} applied there, {} back, equal: {is_equal}", there.applied, back.applied);
    cluster.check("what one exports the other imports, in both directions", holds, found);
    let visits = main.replica().view().node("User", &Value::from("big")).and_then(|row| row.get("visits").cloned());
    let holds = visits == Some(Value::from(i64::MAX));
    cluster.check("64-bit integers lose no digit", holds, visits.map_or("none".into(), |value| value.to_string()));

    let columns = sql(main.path(), "SELECT name FROM pragma_table_info('change_log')")?;
    let documented =
        ["lsn", "tx_id", "table_name", "pk_json", "op", "payload", "tombstone", "created_at", "source_node"];
    let holds = documented.iter().all(|column| columns.contains(&(*column).to_owned()));
    cluster.check("the change log has the documented columns", holds, columns.join(", "));
    let lsns = sql(main.path(), "SELECT lsn FROM change_log ORDER BY lsn")?;
    let holds = (1..).zip(&lsns).all(|(lsn, found): (u64, _)| *found == lsn.to_string());
    cluster.check("its lsn is monotonic and gapless", holds && lsns.len() == 4, lsns.join(", "));
    let tombstones = sql(main.path(), "SELECT op, tombstone FROM change_log WHERE table_name = 'User' ORDER BY lsn")?;
    let holds = tombstones == ["S | 0", "I | 0", "I | 0", "D | 1"];
    cluster.check("a delete leaves a tombstone", holds, tombstones.join(", "));
    let query = "SELECT created_at, source_node FROM change_log ORDER BY lsn";
    let (at_author, elsewhere) = (sql(edge.path(), query)?, sql(main.path(), query)?);
    let of_main = elsewhere.first().is_some_and(|row| row.ends_with(" | main"));
    let ann = elsewhere.get(1).cloned().unwrap_or_default();
    let holds = at_author == elsewhere && of_main && ann.starts_with("2020-02-29T12:00:00.000000001Z | edge");
    cluster.check("source_node and created_at survive export and import", holds, ann);

    let first = text.lines().next().unwrap_or_default();
    let holds = first.starts_with("{\"__meta__\":")
        && first.contains("\"client_id\":")
        && first.contains("\"source_node\":\"main\"");
    cluster.check(
        "the first line tells client_id and source_node",
        holds,
        "__meta__ with client_id, and source_node main",
    );
    let mut other = folder.init("other", Role::Edge)?;
    let mut refused = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    let mut reordered = lines.clone();
    reordered.swap(1, 2);
    let reordered = reordered.join("\n") + "\n";
    let newer = text.replacen("\"format_version\":1", "\"format_version\":9", 1);
    let damaged = text.replacen("\"visits\":1", "\"visits\":7", 1);
    for (what, bad) in [
        ("damaged", damaged.as_str()),
        ("truncated", &text[..text.len() / 2]),
        ("reordered", &reordered),
        ("newer", &newer),
    ] {
        match import(&mut other, bad) {
            Err(error) => refused.push(format!("{what}: {}", error.to_string().split(':').next().unwrap_or_default())),
            Ok(_) => refused.push(format!("{what}: taken")),
        }
    }
    let is_empty = other.replica().log().is_empty() && other.status()?.sync_state.is_empty();
    let holds = is_empty && refused.iter().all(|refusal| refusal.contains(": line "));
    cluster.check("a damaged, truncated, reordered or newer file changes nothing", holds, refused.join(", "));
    let init = Init { role: Role::Main, database: Some(DatabaseId([9; 16])), name: None };
    let foreign = apply(Directory::init(&folder.path("foreign"), &init)?, TABLES)?;
    let refusal = import(&mut other, &foreign.export(0)?.1).err().map_or(String::new(), |error| error.to_string());
    let holds = refusal.contains("database") && other.replica().log().is_empty();
    cluster.check("a file of another database changes nothing", holds, "refused by the database's name");
    let legacy = import(&mut main, &plain(&[(1, "t1", "I", "dora", "{\"visits\":9007199254740993}")]))?;
    let dora = main.replica().view().node("User", &Value::from("dora")).and_then(|row| row.get("visits").cloned());
    let again = import(&mut main, &plain(&[(1, "t1", "I", "dora", "{\"visits\":9007199254740993}")]))?;
    let holds = legacy.applied == 1 && again.repeated == 1 && dora == Some(Value::from(9_007_199_254_740_993));
    let found = format!("{} applied, then {} known", legacy.applied, again.repeated);
    cluster.check("a plain file of another system is imported, once", holds, found);
    Ok(())
}

fn sync_state(cluster: &mut Cluster, folder: &Folder) -> Outcome {
    let mut directory = folder.with_tables("a", Role::Main)?;
    let told = |directory: &Directory| sql(directory.path(), "SELECT client_id, last_lsn, read_lsn FROM sync_state");
    import(&mut directory, &plain(&[(1, "t1", "I", "ann", "{}"), (2, "t2", "I", "bob", "{}")]))?;
    let found = told(&directory)?;
    cluster.check("last_lsn is updated when an import succeeds", found == ["shop-1 | 2 | 2"], found.join(", "));
    let more = [(3, "t3", "I", "cy", "{}"), (4, "t4", "I", "Invoice/i-1", "{}"), (5, "t5", "I", "dora", "{}")];
    let report = import(&mut directory, &plain(&more))?;
    let found = told(&directory)?;
    let holds = found == ["shop-1 | 3 | 5"] && report.applied == 2 && report.left_out.len() == 1;
    cluster.check("it does not pass a transaction that failed", holds, found.join(", "));
    let invoices = r#"{"create_node_table": {"table": "Invoice", "columns": [{"name": "id", "type": "STRING"}], "primary_key": "id"}}"#;
    directory = apply(directory, invoices)?;
    let retried = directory.retry()?;
    let found = told(&directory)?;
    let holds = found == ["shop-1 | 5 | 5"] && retried.applied == ["t4"];
    cluster.check("after a retry with success it does", holds, found.join(", "));
    Ok(())
}

fn implicit_alter(cluster: &mut Cluster, folder: &Folder) -> Outcome {
    let mut directory = folder.with_tables("a", Role::Main)?;
    let text = plain(&[
        (1, "t1", "I", "ann", "{\"age\":30,\"note\":\"x\"}"),
        (2, "t2", "I", "bob", "{\"age\":31.5,\"note\":5}"),
        (3, "t3", "I", "cy", "{}"),
    ]);
    let refused = import(&mut directory, &text)?;
    let problem = refused.left_out.first().map(|left| left.problem.clone()).unwrap_or_default();
    let holds = refused.left_out.len() == 2 && refused.applied == 1 && problem.contains("has no column `age`");
    cluster.check("an unknown column is refused by name", holds, problem);
    let allowed = ImportOptions { allow_schema_alter: true, ..options() };
    let report = directory.import(text.as_bytes(), allowed, &mut |_| {})?;
    let view = directory.replica().view();
    let row = |id: &str| view.node("User", &Value::from(id)).cloned().unwrap_or_default();
    let holds = report.applied == 2 && report.left_out.is_empty() && !row("cy").contains_key("age");
    let found = format!("{}; cy has no age", report.added_columns.join(", "));
    cluster.check("where it is allowed the column is added, nullable", holds, found);
    let holds = row("ann").get("age") == Some(&Value::from(30.0)) && row("bob").get("note") == Some(&Value::from("5"));
    cluster.check("its type holds every value of the file", holds, report.added_columns.join(", "));
    let audit = sql(directory.path(), "SELECT table_name, subject, winner FROM audit WHERE kind = 'schema_alter'")?;
    let holds = audit == ["User | age | ADD DOUBLE", "User | note | ADD STRING"];
    cluster.check("the audit records it", holds, audit.join(", "));
    Ok(())
}

fn batches(cluster: &mut Cluster, folder: &Folder) -> Outcome {
    let mut directory = folder.with_tables("a", Role::Main)?;
    let names: Vec<String> = (1..=250).map(|number| format!("u{number}")).collect();
    let rows: Vec<_> = (1..).zip(&names).map(|(lsn, name)| (lsn, name.as_str(), "I", name.as_str(), "{}")).collect();
    let path = directory.path().to_owned();
    let (mut told, mut durable, mut journal_bytes) = (Vec::new(), Vec::new(), 0);
    let batch_size = directory.settings().import_batch_size;
    directory.import(plain(&rows).as_bytes(), ImportOptions { batch_size, ..options() }, &mut |progress| {
        told.push(progress.done.to_string());
        durable.extend(sql(&path, "SELECT last_lsn FROM sync_state").unwrap_or_default());
        journal_bytes += fs::metadata(path.join("log.sqlite-wal")).map_or(0, |file| file.len());
    })?;
    cluster.check("100 transactions are committed together by default", told == ["100", "200", "250"], told.join(", "));
    cluster.check("each batch is durable when it is told", durable == told, durable.join(", "));
    cluster.check(
        "a checkpoint follows each",
        journal_bytes == 0,
        format!("{journal_bytes} bytes left in the journal"),
    );
    Ok(())
}

fn backup(cluster: &mut Cluster, folder: &Folder) -> Outcome {
    let mut old = apply(folder.with_tables("old", Role::Peer)?, &user("ann", 1))?;
    let at_backup = old.status()?;
    let file = folder.path("backup.sqlite");
    Directory::backup(&folder.path("old"), &file)?;
    old = apply(old, &user("bob", 2))?;
    let found = format!("{} rows before, {} after", at_backup.last_lsn, old.status()?.last_lsn);
    cluster.check("a backup is made while the replica is in use", file.exists(), found);
    let mut restored = Directory::restore(&folder.path("new"), &file, None)?;
    let status = restored.status()?;
    let view = restored.replica().view();
    let holds = status.digest == at_backup.digest && restored.read_graph()? == view;
    cluster.check("what is restored shows what was backed up, by digest", holds, format!("{} rows", status.last_lsn));
    let is_new = status.replica != at_backup.replica;
    cluster.check("it is a new incarnation", is_new, format!("another identity: {is_new}"));
    restored = apply(restored, &user("cy", 3))?;
    import(&mut old, &restored.export(0)?.1)?;
    import(&mut restored, &old.export(0)?.1)?;
    let (one, other) = (old.replica().view(), restored.replica().view());
    let users = one.nodes.get("User").map_or(0, std::collections::BTreeMap::len);
    cluster.check("old and restored go on together", one == other && users == 3, format!("{users} users on both"));
    Ok(())
}
