//! Plain files of other systems: once, alone, by instant, with and without new columns.

use kuzusync_core::id::Role;
use kuzusync_core::value::Value;
use kuzusync_directory::{Directory, Error, ImportOptions};

use crate::support::*;

const META: &str = r#"{"__meta__":{"client_id":"shop-1","source_node":"shop-1"}}"#;

fn row(lsn: u64, tx: &str, op: &str, id: &str, payload: &str, at: &str) -> String {
    let tombstone = u8::from(op == "D");
    format!(
        r#"{{"lsn":{lsn},"tx_id":"{tx}","table_name":"User","pk_json":"{{\"id\":\"{id}\"}}","op":"{op}","payload":{payload},"tombstone":{tombstone},"created_at":"{at}","source_node":"shop-1"}}"#
    )
}

fn file(rows: &[String]) -> String {
    std::iter::once(META.to_owned()).chain(rows.iter().cloned()).map(|line| line + "\n").collect()
}

fn last_write_wins(directory: Directory) -> Directory {
    directory.apply_rules("[tables.User]\npolicy = \"last_write_wins\"\n").unwrap().0
}

#[test]
fn a_transaction_is_applied_once_with_all_its_rows_wherever_it_is_imported() {
    let place = Place::new();
    let text = file(&[
        row(1, "t1", "I", "ann", r#"{"name":"Ann","visits":9223372036854775807}"#, "2024-01-01T12:00:00+02:00"),
        row(2, "t1", "I", "bob", r#""{\"name\":\"Bob\"}""#, "2024-01-01T10:00:00Z"),
        row(3, "t2", "U", "ann", r#"{"name":"Anna"}"#, "2024-01-01T10:00:01Z"),
        row(4, "t3", "D", "bob", "null", "2024-01-01T10:00:02Z"),
    ]);
    let tables = place.with_tables("a", Role::Peer);
    let (mut one, mut other) = (tables, place.init("b", Role::Peer));
    carry(&one, &mut other);
    for directory in [&mut one, &mut other] {
        let first = import(directory, &text);
        assert_eq!((first.rows, first.transactions, first.applied, first.last_lsn), (4, 3, 3, 4), "{first:?}");
        let again = import(directory, &text);
        assert_eq!((again.applied, again.repeated), (0, 3));
    }
    assert_eq!(one.replica().view(), other.replica().view());
    let view = one.replica().view();
    assert_eq!(cell(&view, "ann", "name"), Some("Anna".into()));
    assert_eq!(cell(&view, "ann", "visits"), Some(Value::from(i64::MAX)));
    assert!(view.node("User", &"bob".into()).is_none());
    // Both have imported it; now they meet.
    let met = carry(&one, &mut other);
    assert!(met.left_out.is_empty(), "{met:?}");
    carry(&other, &mut one);
    assert_eq!(one.replica().view(), other.replica().view());
    assert_eq!(one.replica().view(), view, "nothing is done twice");
    let told = sql(one.path(), "SELECT tx_id, created_at, source_node FROM change_log WHERE lsn = 4");
    assert_eq!(told, [["t1", "2024-01-01T12:00:00+02:00", "shop-1"]], "as the file says it");
}

#[test]
fn what_fails_is_left_out_alone_and_what_names_its_results_waits_until_a_retry() {
    let place = Place::new();
    let mut directory = place.with_tables("a", Role::Peer);
    let invoice = |lsn, tx: &str, op: &str| {
        row(lsn, tx, op, "i-1", r#"{"name":"x"}"#, "2024-01-01T10:00:00Z").replace("User", "Invoice")
    };
    let text = file(&[
        row(1, "t1", "I", "ann", "{}", "2024-01-01T10:00:00Z"),
        row(2, "t2", "I", "cy", "{}", "2024-01-01T10:00:00Z"),
        invoice(3, "t2", "I"),
        invoice(4, "t3", "U"),
        row(5, "t4", "I", "bob", "{}", "2024-01-01T10:00:00Z"),
    ]);
    let report = import(&mut directory, &text);
    let left: Vec<_> = report.left_out.iter().map(|left| (left.tx_id.as_str(), left.line)).collect();
    assert_eq!(left, [("t2", 3), ("t3", 5)]);
    assert!(report.left_out[0].problem.contains("no node table `Invoice`"), "{}", report.left_out[0].problem);
    let view = directory.replica().view();
    assert!(view.node("User", &"ann".into()).is_some() && view.node("User", &"bob".into()).is_some());
    assert!(view.node("User", &"cy".into()).is_none(), "all rows of a transaction, or none");
    assert_eq!((report.applied, report.last_lsn), (2, 1), "the cursor does not pass what was left out");
    let status = directory.status().unwrap();
    assert_eq!((status.sync_state[0].last_lsn, status.sync_state[0].read_lsn), (1, 5));
    assert_eq!(status.dead_letters.len(), 2);
    // It outlives the process.
    drop(directory);
    let mut directory = Directory::open(&place.path("a")).unwrap();
    assert_eq!(directory.retry().unwrap().left_out.len(), 2);
    let invoices = r#"{"create_node_table": {"table": "Invoice", "columns": [{"name": "id", "type": "STRING"}, {"name": "name", "type": "STRING"}], "primary_key": "id"}}"#;
    directory = apply(directory, invoices);
    assert_eq!(directory.retry().unwrap().applied, ["t2", "t3"]);
    let status = directory.status().unwrap();
    assert_eq!((status.sync_state[0].last_lsn, status.dead_letters.len()), (5, 0));
    let view = directory.replica().view();
    assert!(view.node("User", &"cy".into()).is_some() && view.node("Invoice", &"i-1".into()).is_some());
    assert_eq!(import(&mut directory, &text).repeated, 4);
}

#[test]
fn a_person_can_give_up_what_was_left_out() {
    let place = Place::new();
    let mut directory = place.with_tables("a", Role::Peer);
    let text = file(&[row(1, "t1", "U", "nobody", r#"{"name":"x"}"#, "2024-01-01T10:00:00Z")]);
    assert_eq!(import(&mut directory, &text).left_out.len(), 1);
    assert!(matches!(directory.dismiss("t9"), Err(Error::NoDeadLetter(_))));
    directory.dismiss("t1").unwrap();
    let status = directory.status().unwrap();
    assert_eq!((status.dead_letters.len(), status.sync_state[0].last_lsn), (0, 1));
}

#[test]
fn the_later_instant_wins_against_what_is_here_whatever_arrives_first() {
    let place = Place::new();
    let mut directory = last_write_wins(place.with_tables("a", Role::Main));
    let at = |at: &str, statement: &str| format!(r#"{{"created_at": "{at}", "statements": [{statement}]}}"#);
    // The replica's clock does not go back, so its own writes are made before its later ones.
    let own = [
        at("2024-01-01T10:00:00Z", &user("early", 0)),
        at("2024-01-01T10:00:00Z", &user("late", 0)),
        at("2024-01-01T11:00:00Z", &rename("early", "here")),
        at("2024-01-01T13:00:00Z", &rename("late", "here")),
    ];
    drop(directory);
    let fresh = place.init("b", Role::Main);
    let dated = SCHEMA.lines().map(|line| format!(r#"{{"created_at": "2024-01-01T00:00:00Z", "statements": {line}}}"#));
    let fresh = apply(fresh, &dated.collect::<String>());
    let rule = r#"{"created_at": "2024-01-01T00:00:01Z", "statements": [{"set_rule": {"table": "User", "rule": {"policy": {"column": null, "policy": "last_write_wins"}}}}]}"#;
    directory = apply(apply(fresh, rule), &own.join("\n"));
    let text = file(&[
        row(1, "t1", "U", "early", r#"{"name":"there"}"#, "2024-01-01T13:30:00+02:00"),
        row(2, "t2", "U", "late", r#"{"name":"there"}"#, "2024-01-01T12:00:00Z"),
    ]);
    let report = import(&mut directory, &text);
    assert!(report.left_out.is_empty(), "{report:?}");
    let view = directory.replica().view();
    assert_eq!(cell(&view, "early", "name"), Some("there".into()), "11:30Z beats 11:00Z");
    assert_eq!(cell(&view, "late", "name"), Some("here".into()), "12:00Z loses to 13:00Z");
    let audit = sql(
        directory.path(),
        "SELECT fields, resolution, loser, loser_source, winner, winner_source FROM audit ORDER BY subject",
    );
    assert_eq!(
        audit,
        [
            ["name", "last_write_wins", "\"here\"", "b", "\"there\"", "shop-1"],
            ["name", "last_write_wins", "\"there\"", "shop-1", "\"here\"", "b"],
        ]
    );
}

#[test]
fn a_column_is_added_only_where_that_is_allowed() {
    let place = Place::new();
    let mut directory = place.with_tables("a", Role::Peer);
    let text = file(&[
        row(1, "t1", "I", "ann", r#"{"age":30,"height":1.7,"note":"x","is_new":true}"#, "2024-01-01T10:00:00Z"),
        row(2, "t2", "I", "bob", r#"{"age":31,"height":2,"note":5,"is_new":null}"#, "2024-01-01T10:00:00Z"),
    ]);
    let refused = import(&mut directory, &text);
    assert_eq!((refused.applied, refused.left_out.len(), refused.added_columns.len()), (0, 2, 0));
    assert!(
        refused.left_out[0].problem.contains("table `User` has no column `age`"),
        "{}",
        refused.left_out[0].problem
    );
    let version = directory.status().unwrap().schema_version;
    let allowed = ImportOptions { allow_schema_alter: true, ..options() };
    let report = directory.import(text.as_bytes(), allowed, &mut |_| {}).unwrap();
    assert_eq!(report.added_columns, ["User.age INT64", "User.height DOUBLE", "User.is_new BOOL", "User.note STRING"]);
    assert_eq!((report.applied, report.left_out.len()), (2, 0));
    assert_eq!(directory.status().unwrap().schema_version, version + 4);
    let view = directory.replica().view();
    assert_eq!(cell(&view, "bob", "note"), Some("5".into()));
    assert_eq!(cell(&view, "bob", "height"), Some(Value::from(2.0)));
    assert_eq!(cell(&view, "bob", "is_new"), None, "what is added is nullable");
    let audit = sql(directory.path(), "SELECT subject, winner FROM audit WHERE kind = 'schema_alter' ORDER BY subject");
    assert_eq!(audit[0], ["age", "ADD INT64"]);
    assert_eq!(audit.len(), 4);
    assert_eq!(directory.status().unwrap().dead_letters.len(), 0, "the first import's are applied now");
}

#[test]
fn a_batch_is_committed_as_a_whole_with_how_far_the_file_was_read() {
    let place = Place::new();
    let rows: Vec<String> = (1..=25)
        .map(|number| row(number, &format!("t{number}"), "I", &format!("u{number}"), "{}", "2024-01-01T10:00:00Z"))
        .collect();
    for (batch_size, batches) in [(1, 25), (10, 3), (100, 1)] {
        let mut directory = place.with_tables(&format!("with-{batch_size}"), Role::Peer);
        let before = sql(directory.path(), "SELECT count(*) FROM record")[0][0].parse::<usize>().unwrap();
        let (mut told, path) = (Vec::new(), directory.path().to_owned());
        let options = ImportOptions { batch_size, ..options() };
        let report = directory
            .import(file(&rows).as_bytes(), options, &mut |progress| {
                let read = sql(&path, "SELECT last_lsn FROM sync_state")[0][0].parse::<usize>().unwrap();
                assert_eq!(read, progress.done, "it is durable when it is told");
                let journal = std::fs::metadata(path.join("log.sqlite-wal")).map_or(0, |file| file.len());
                assert_eq!(journal, 0, "a checkpoint followed");
                told.push(progress.done);
            })
            .unwrap();
        assert_eq!((report.batches, told.len()), (batches, batches));
        let after = sql(directory.path(), "SELECT count(*) FROM record")[0][0].parse::<usize>().unwrap();
        assert_eq!(after - before, batches, "a record for each batch");
    }
}

#[test]
fn edges_come_in_plain_files_too() {
    let place = Place::new();
    let mut directory = place.with_tables("a", Role::Peer);
    let edge = |lsn: u64, op: &str| {
        format!(
            r#"{{"lsn":{lsn},"tx_id":"t{lsn}","table_name":"LIVES_IN","pk_json":{{"from":{{"table":"User","key":"ann"}},"to":{{"table":"City","key":"Rome"}}}},"op":"{op}","payload":{{}},"created_at":"2024-01-01T10:00:0{lsn}Z"}}"#
        )
    };
    let city =
        row(2, "t2", "I", "Rome", "{}", "2024-01-01T10:00:00Z").replace("User", "City").replace("id\\\"", "name\\\"");
    let text = file(&[row(1, "t1", "I", "ann", "{}", "2024-01-01T10:00:00Z"), city, edge(3, "I")]);
    let report = import(&mut directory, &text);
    assert!(report.left_out.is_empty(), "{report:?}");
    assert_eq!(directory.replica().view().edges["LIVES_IN"].len(), 1);
    // The delete of a node takes the edges that are known.
    import(&mut directory, &file(&[row(4, "t4", "D", "ann", "null", "2024-01-01T10:00:05Z")]));
    assert!(directory.replica().view().edges["LIVES_IN"].is_empty());
    assert_eq!(
        sql(directory.path(), "SELECT op, created_at FROM change_log WHERE tx_id = 't4'"),
        [["D", "2024-01-01T10:00:05Z"]; 2]
    );
}

#[test]
fn a_plain_file_that_is_not_in_order_or_not_understood_is_refused_by_its_line() {
    let place = Place::new();
    let mut directory = place.with_tables("a", Role::Peer);
    let good = row(1, "t1", "I", "ann", "{}", "2024-01-01T10:00:00Z");
    for (line, bad) in [
        (3, row(1, "t2", "I", "bob", "{}", "2024-01-01T10:00:00Z")),
        (3, row(2, "", "I", "bob", "{}", "2024-01-01T10:00:00Z")),
        (3, row(2, "t2", "X", "bob", "{}", "2024-01-01T10:00:00Z")),
        (3, row(2, "t2", "I", "bob", "{}", "yesterday")),
        (3, row(2, "t2", "I", "bob", "[]", "2024-01-01T10:00:00Z")),
        (3, row(2, "t2", "I", "bob", "{}", "2024-01-01T10:00:00Z").replace(":0,", ":1,")),
        (3, "not json".to_owned()),
    ] {
        let text = file(&[good.clone(), bad.clone()]);
        let error = directory.import(text.as_bytes(), options(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().starts_with(&format!("line {line}: ")), "{bad}: {error}");
        assert!(directory.replica().view().nodes["User"].is_empty());
    }
}
