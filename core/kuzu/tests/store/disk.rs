//! A database on disk: what was closed or died comes back, and what cannot be read is thrown away.

use std::fs;

use kuzusync_core::store::plan::Way;

use super::*;

fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_closed_is_there_when_it_is_opened_again_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut both = Both::on_disk(folder.path());
    both.apply(users());
    for round in 10..14 {
        both = both.reopened(folder.path());
        both.check();
        both.apply(nodes("User", [(round.into(), RowChange::Create(row(&[("age", round.into())])))]));
    }
    both.kuzu.apply(&nodes("User", [(1.into(), RowChange::Create(Row::new()))])).unwrap_err();
}

#[test]
fn whatever_a_process_leaves_when_it_dies_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut both = Both::on_disk(folder.path());
    for delta in [
        users(),
        schema([SchemaStep::AddColumn { table: "User".into(), column: "email".into(), column_type: Type::String }]),
    ] {
        both.apply(delta);
        let died = tempfile::tempdir().unwrap();
        copy(folder.path(), died.path());
        let mut left = KuzuStore::on_disk(died.path()).unwrap();
        assert_eq!(left.read().unwrap(), *both.memory.view());
    }
}

#[test]
fn a_log_that_was_cut_short_loses_its_end_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut both = Both::on_disk(folder.path());
    both.apply(users());
    let before = both.memory.view().clone();
    both.apply(nodes("User", [(9.into(), RowChange::Create(Row::new()))]));
    let after = both.memory.view().clone();
    drop(both);
    let log = folder.path().join("view-1.kuzu.wal");
    let bytes = fs::read(&log).unwrap();
    let mut seen = BTreeMap::new();
    for length in 0..=bytes.len() {
        fs::write(&log, &bytes[..length]).unwrap();
        let left = KuzuStore::on_disk(folder.path()).unwrap().read().unwrap();
        let which = if left == after {
            "after"
        } else if left == before {
            "before"
        } else {
            "earlier"
        };
        *seen.entry(which).or_insert(0) += 1;
    }
    assert!(seen.get("after") == Some(&1) && seen["before"] > 1 && seen["earlier"] > 1, "{seen:?}");
}

#[test]
fn a_file_that_is_no_database_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("view-7.kuzu"), b"garbage").unwrap();
    fs::write(folder.path().join("notes.txt"), b"not ours").unwrap();
    let mut store = KuzuStore::on_disk(folder.path()).unwrap();
    assert_eq!(store.read().unwrap(), View::default());
    store.rebuild(&View::default()).unwrap();
    assert!(!files(folder.path()).iter().any(|name| name.starts_with("view-7")), "{:?}", files(folder.path()));
    assert!(folder.path().join("notes.txt").exists());
}

#[test]
fn a_folder_that_cannot_be_used_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let Err(error) = KuzuStore::on_disk(file.path()) else { panic!("a file is no folder") };
    assert!(error.to_string().contains("keep a database in a folder"), "{error}");
}

#[test]
fn a_rebuild_begins_a_new_file_and_leaves_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut both = Both::on_disk(folder.path());
    both.apply(users());
    let first = files(folder.path());
    both.kuzu.rebuild(both.memory.view()).unwrap();
    let second = files(folder.path());
    assert!(second.iter().all(|name| !first.contains(name)), "{first:?}, then {second:?}");
    both.reopened(folder.path()).check();
}

#[test]
fn of_two_databases_the_newer_is_opened() {
    let (folder, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut both = Both::on_disk(folder.path());
    both.apply(users());
    copy(folder.path(), older.path());
    both.kuzu.rebuild(both.memory.view()).unwrap();
    both.apply(nodes("User", [(9.into(), RowChange::Create(Row::new()))]));
    copy(older.path(), folder.path());
    both.reopened(folder.path()).check();
}

#[test]
fn an_edge_table_that_dropped_a_column_takes_another_pair_after_it_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut both = Both::on_disk(folder.path());
    both.apply(users());
    let drop = SchemaStep::DropColumn { table: "Follows".into(), column: "since".into() };
    both.apply(schema([create_table("Firm", node_table(("name", Type::String), &[])), drop]));
    both = both.reopened(folder.path());
    let add = schema([SchemaStep::AddPair { table: "Follows".into(), from: "User".into(), to: "Firm".into() }]);
    // The statement for it would crash Kùzu, and the database does not tell that it dropped a column.
    assert!(matches!(both.kuzu.plan(&add).unwrap().steps[0].way, Way::StartAgain { .. }));
    both.apply(add);
    both.reopened(folder.path()).check();
}

#[test]
fn thousands_of_updates_fit_the_pool_because_the_store_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut both = Both::on_disk(folder.path());
    both.apply(users());
    let first = files(folder.path());
    for round in 0..4_000 {
        let text = format!("name number {round}");
        let change = RowChange::Update(row(&[("name", text.as_str().into()), ("age", round.into())]));
        let delta = nodes("User", [(1.into(), change)]);
        both.memory.apply(&delta).unwrap();
        both.kuzu.apply(&delta).unwrap();
    }
    both.check();
    assert!(files(folder.path()).iter().all(|name| !first.contains(name)), "it is still the first database");
    both.reopened(folder.path()).check();
}
