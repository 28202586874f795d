//! Kùzu 0.11.3 on disk has three defects that damage a database or kill the process: a directory outlives them.
//!
//! | | sequence | then |
//! |---|---|---|
//! | 4 | checkpoint, drop a column, insert, checkpoint | the process dies |
//! | 5 | a table is made and rolled back, another one gets rows, the process dies | it cannot be opened |
//! | 6 | a column is added with the default NULL, the process dies | it cannot be opened |
//!
//! Twice: done by the directory's own operations, which the store carries out such that nothing is damaged; and done to the
//! graph's file by another program, after which the graph is built anew from the log. Whatever may die does so in a process
//! of its own, which is this program again.

use kuzusync_core::id::Role;
use kuzusync_directory::{Directory, GraphState, parse_transactions};

use crate::support::*;

const DROP_NAME: &str = r#"{"drop_column": {"table": "User", "column": "name", "cascade": true}}"#;

fn add(column: &str, column_type: &str, default: &str) -> String {
    format!(
        r#"{{"add_column": {{"table": "User", "column": {{"name": "{column}", "type": "{column_type}", "default": {default}}}}}}}"#
    )
}

fn table(name: &str) -> String {
    format!(
        r#"{{"create_node_table": {{"table": "{name}", "columns": [{{"name": "id", "type": "INT64"}}], "primary_key": "id"}}}}"#
    )
}

/// Opens it; the graph holds what the log makes, and was not damaged.
fn reopened(path: &std::path::Path) -> Directory {
    let mut directory = Directory::open(path).unwrap();
    let view = directory.replica().view();
    assert_eq!(directory.read_graph().unwrap(), view);
    let expected = if cfg!(feature = "kuzu") { GraphState::Kept } else { GraphState::InMemory };
    assert_eq!(*directory.graph(), expected);
    directory
}

#[test]
fn what_the_directory_does_itself_meets_none_of_them() {
    let place = Place::new();
    let path = place.path("a");
    drop(apply(place.with_tables("a", Role::Main), &user("ann", 1)));
    for round in 0..20 {
        // 4: nothing is closed with a checkpoint.
        let directory = apply(reopened(&path), DROP_NAME);
        drop(apply(directory, &user(&format!("u{round}"), round)));
        // 5: the engine refuses what would have to be rolled back, before the database is told anything.
        let refused = format!("[{}, {}]", table(&format!("Gone{round}")), user("ann", 2));
        let Err(error) = reopened(&path).apply(parse_transactions(&refused).unwrap()) else { panic!("ann is there") };
        assert!(error.to_string().contains("exists already"), "{error}");
        let made = format!(
            r#"[{}, {{"create_node": {{"table": "Made{round}", "properties": {{"id": {{"int64": 1}}}}}}}}]"#,
            table(&format!("Made{round}"))
        );
        drop(apply(reopened(&path), &made));
        // 6: a default is not Kùzu's to know.
        let directory = apply(reopened(&path), &add("name", "STRING", "null"));
        drop(apply(directory, &add(&format!("small{round}"), "INT8", &format!(r#"{{"int8": {round}}}"#))));
        drop(apply(reopened(&path), &rename("ann", &format!("Ann {round}"))));
    }
    let status = reopened(&path).status().unwrap();
    assert_eq!((status.tables["User"], status.tables.len()), (21, 23));
}

#[cfg(feature = "kuzu")]
mod by_another_program {
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::Path;
    use std::process::{Command, Output};

    use super::*;

    /// Tells a process of its own what to do and where.
    const JOB: &str = "KUZUSYNC_TEST_JOB";

    const SEQUENCES: [&[&str]; 3] = [
        &["CHECKPOINT", "ALTER TABLE User DROP name", "CREATE (:User {id: 'zoe'})", "CHECKPOINT"],
        &[
            "BEGIN TRANSACTION",
            "CREATE NODE TABLE Gone(id INT64 PRIMARY KEY)",
            "ROLLBACK",
            "CREATE NODE TABLE Other(id INT64 PRIMARY KEY, name STRING)",
            "CREATE (:Other {id: 1, name: 'x'})",
        ],
        &["ALTER TABLE User ADD extra INT64 DEFAULT NULL", "CREATE (:User {id: 'zoe'})"],
    ];

    fn in_a_process(job: &str, path: &Path) -> Output {
        let name = "defects::by_another_program::a_process_of_its_own";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(JOB, format!("{job} {}", path.display()));
        command.output().unwrap()
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "it tells the test that started it")]
    fn a_process_of_its_own() {
        let Ok(job) = std::env::var(JOB) else { return };
        let (job, path) = job.split_once(' ').unwrap();
        if job == "open" {
            let mut directory = Directory::open(Path::new(path)).unwrap();
            let view = directory.replica().view();
            assert_eq!(directory.read_graph().unwrap(), view);
            println!("graph: {:?}", directory.graph());
            return;
        }
        let config = kuzu::SystemConfig::default().max_num_threads(1).max_db_size(1 << 30).buffer_pool_size(64 << 20);
        let database = kuzu::Database::new(path, config).unwrap();
        let connection = kuzu::Connection::new(&database).unwrap();
        for statement in SEQUENCES[job.parse::<usize>().unwrap()] {
            connection.query(statement).unwrap();
        }
        std::process::abort();
    }

    fn file(path: &Path) -> std::path::PathBuf {
        let files = std::fs::read_dir(path.join("graph")).unwrap().map(|file| file.unwrap().path());
        files.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "kuzu")).unwrap()
    }

    #[test]
    fn what_another_program_does_to_the_graph_is_undone_by_building_it_anew() {
        let place = Place::new();
        for (number, sequence) in SEQUENCES.iter().enumerate() {
            let path = place.path(&number.to_string());
            let directory = apply(place.with_tables(&number.to_string(), Role::Main), &user("ann", 1));
            let before = directory.status().unwrap().digest;
            drop(apply(directory, &rename("ann", "Ann")));
            let died = in_a_process(&number.to_string(), &file(&path));
            assert!(died.status.signal().is_some(), "{sequence:?} ends in a death: {died:?}");
            // It may also kill who opens it, once.
            let mut opened = in_a_process("open", &path);
            if opened.status.signal().is_some() {
                opened = in_a_process("open", &path);
            }
            let told = String::from_utf8(opened.stdout).unwrap();
            assert!(opened.status.success() && told.contains("graph: Rebuilt("), "{sequence:?}: {told}");
            let directory = reopened(&path);
            assert_ne!(directory.status().unwrap().digest, before);
            assert_eq!(directory.status().unwrap().tables["User"], 1);
            drop(apply(directory, &user("bob", 2)));
            drop(reopened(&path));
        }
    }
}
