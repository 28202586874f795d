//! What survives: restarts, lost and foreign graphs, deaths, backups.

use std::fs;

use kuzusync_core::id::Role;
use kuzusync_directory::{Directory, Error, GraphState, Init, parse_transactions};

use crate::support::*;

#[test]
fn a_replica_comes_back_as_it_was() {
    let place = Place::new();
    let directory = apply(place.with_tables("a", Role::Main), &user("ann", 1));
    let before = directory.status().unwrap();
    drop(directory);
    let after = Directory::open(&place.path("a")).unwrap().status().unwrap();
    assert_eq!((after.replica, after.digest, after.last_number), (before.replica, before.digest, before.last_number));
    assert_eq!((after.schema_version, after.last_lsn), (before.schema_version, before.last_lsn));
    let columns = sql(
        &place.path("a"),
        "SELECT table_name, column_name, column_type, is_primary_key FROM \"schema\" WHERE table_name = 'User' ORDER BY column_name",
    );
    assert_eq!(columns[0], ["User", "id", "STRING", "1"]);
    assert_eq!(columns.len(), 3);
}

#[test]
fn one_process_at_a_time() {
    let place = Place::new();
    let directory = place.init("a", Role::Main);
    assert!(matches!(Directory::open(&place.path("a")), Err(Error::Locked(_))));
    drop(directory);
    drop(Directory::open(&place.path("a")).unwrap());
    assert!(matches!(Directory::open(&place.path("b")), Err(Error::NoReplica(_))));
}

#[test]
fn input_is_applied_as_a_whole_or_not_at_all() {
    let place = Place::new();
    let directory = place.with_tables("a", Role::Main);
    let before = directory.status().unwrap();
    let lines = format!("{}\n\n{}\n", user("ann", 1), rename("nobody", "x"));
    let Err(error) = directory.apply(parse_transactions(&lines).unwrap()) else { panic!("nobody is there") };
    assert!(matches!(&error, Error::Line { line: 3, .. }) && error.to_string().contains("nobody"), "{error}");
    assert!(matches!(parse_transactions("{}"), Err(Error::Line { line: 1, .. })));
    let after = Directory::open(&place.path("a")).unwrap().status().unwrap();
    assert_eq!((after.digest, after.last_lsn), (before.digest, before.last_lsn));
}

#[test]
fn a_transaction_with_a_name_is_applied_once() {
    let place = Place::new();
    let line = format!(r#"{{"tx": "07070707070707070707070707070707", "statements": [{}]}}"#, user("ann", 1));
    let directory = place.with_tables("a", Role::Main);
    let (directory, first) = directory.apply(parse_transactions(&line).unwrap()).unwrap();
    let (_, second) = directory.apply(parse_transactions(&line).unwrap()).unwrap();
    assert_eq!((first.changes.len(), second.changes.len(), second.repeated), (1, 0, 1));
}

#[test]
fn the_graph_is_believed_only_when_it_holds_what_the_log_makes() {
    let place = Place::new();
    let path = place.path("a");
    drop(apply(place.with_tables("a", Role::Main), &user("ann", 1)));
    let check = |expected: &str| {
        let mut directory = Directory::open(&path).unwrap();
        let (state, store) = (directory.graph().clone(), directory.status().unwrap().store);
        let view = directory.replica().view();
        assert_eq!(directory.read_graph().unwrap(), view);
        match state {
            GraphState::InMemory => assert_eq!(store, "memory"),
            GraphState::Kept => assert_eq!(expected, "kept"),
            GraphState::Rebuilt(reason) => assert_eq!(reason, expected),
            GraphState::Broken(reason) => panic!("{reason}"),
        }
    };
    check("kept");
    let graph = path.join("graph");
    drop(fs::remove_dir_all(&graph));
    check("it was missing");
    check("kept");
    if !cfg!(feature = "kuzu") {
        return;
    }
    // Behind: as it was before the last change.
    let older = place.path("older");
    copy(&graph, &older);
    drop(apply(Directory::open(&path).unwrap(), &user("bob", 1)));
    fs::remove_dir_all(&graph).unwrap();
    copy(&older, &graph);
    rusqlite::Connection::open(path.join("log.sqlite"))
        .unwrap()
        .execute("UPDATE setting SET value = value - 1", [])
        .unwrap();
    check("it was behind the log");
    // Behind and nobody noted it: somebody has put an older one there, or written to it.
    fs::remove_dir_all(&graph).unwrap();
    copy(&older, &graph);
    check("it did not hold what the log makes");
    // Damaged.
    for file in fs::read_dir(&graph).unwrap().map(Result::unwrap) {
        fs::write(file.path(), b"garbage").unwrap();
    }
    check("it did not hold what the log makes");
    // In doubt: opening it killed the process.
    fs::write(path.join("graph.opening"), b"").unwrap();
    check("opening it had ended the process before");
    check("kept");
    // And somebody has thrown it away because of that.
    fs::remove_dir_all(&graph).unwrap();
    fs::write(path.join("graph.opening"), b"").unwrap();
    check("it was missing");
    check("kept");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn a_backup_made_while_writes_go_on_is_restored_as_a_new_replica_that_holds_the_same() {
    let place = Place::new();
    for (name, role) in [("main", Role::Main), ("peer", Role::Peer)] {
        let mut directory = apply(place.with_tables(name, role), &user("ann", 1));
        let file = place.path(&format!("{name}.backup"));
        let at_backup = directory.status().unwrap();
        // The directory is open in this process, as in one that writes.
        Directory::backup(&place.path(name), &file).unwrap();
        directory = apply(directory, &user("bob", 2));
        assert!(matches!(Directory::backup(&place.path(name), &file), Err(Error::Log(_))), "nothing is overwritten");
        let mut restored = Directory::restore(&place.path(&format!("{name}-restored")), &file, None).unwrap();
        let status = restored.status().unwrap();
        assert_eq!((status.digest, status.last_lsn), (at_backup.digest, at_backup.last_lsn));
        let view = restored.replica().view();
        assert_eq!(restored.read_graph().unwrap(), view);
        assert_ne!(status.replica, at_backup.replica, "a new incarnation");
        assert_eq!(status.name, name);
        assert_eq!(status.database == at_backup.database, role == Role::Peer, "a restored main gives numbers anew");
        restored = apply(restored, &user("cy", 3));
        if role == Role::Peer {
            // The old one goes on, and both end equal.
            assert!(carry(&restored, &mut directory).left_out.is_empty());
            assert!(carry(&directory, &mut restored).left_out.is_empty());
            assert_eq!(directory.replica().view(), restored.replica().view());
            assert_eq!(directory.replica().view().nodes["User"].len(), 3);
        }
    }
    assert!(matches!(
        Directory::restore(&place.path("main"), &place.path("main.backup"), None),
        Err(Error::NotEmpty(_))
    ));
    fs::write(place.path("nonsense"), b"nonsense").unwrap();
    assert!(Directory::restore(&place.path("new"), &place.path("nonsense"), None).is_err());
    assert!(!place.path("new").exists(), "nothing is made of it");
}

#[test]
fn the_edges_of_a_restored_main_join_it_anew() {
    let place = Place::new();
    let mut main = apply(place.with_tables("main", Role::Main), &user("ann", 1));
    let mut edge = place.init("edge", Role::Edge);
    carry(&main, &mut edge);
    Directory::backup(&place.path("main"), &place.path("backup")).unwrap();
    main = apply(main, &user("lost", 2));
    edge = apply(edge, &user("bob", 3));
    drop(main);
    let mut main = Directory::restore(&place.path("again"), &place.path("backup"), None).unwrap();
    // Neither takes the other's files any more, and both are left as they were.
    let (before, edge_before) = (main.status().unwrap(), edge.status().unwrap());
    let (of_edge, of_main) = (edge.export(0).unwrap().1, main.export(0).unwrap().1);
    for (file, to) in [(of_edge, &mut main), (of_main, &mut edge)] {
        let refused = to.import(file.as_bytes(), options(), &mut |_| {}).unwrap_err().to_string();
        assert!(refused.contains("database"), "{refused}");
    }
    assert_eq!((main.status().unwrap(), edge.status().unwrap()), (before.clone(), edge_before));
    // A new directory joins, works and sends.
    let init = Init { role: Role::Edge, database: Some(before.database), name: None };
    let mut anew = Directory::init(&place.path("anew"), &init).unwrap();
    assert!(carry(&main, &mut anew).left_out.is_empty());
    assert_eq!(anew.replica().view(), main.replica().view());
    // What the old one had written after the backup is handed in again.
    anew = apply(anew, &user("bob", 3));
    assert!(carry(&anew, &mut main).left_out.is_empty());
    assert!(carry(&main, &mut anew).left_out.is_empty());
    assert_eq!(anew.replica().view(), main.replica().view());
    assert_eq!(main.replica().view().nodes["User"].keys().cloned().collect::<Vec<_>>(), ["ann".into(), "bob".into()]);
    assert_eq!(anew.status().unwrap().queued_operations, 0);
}
