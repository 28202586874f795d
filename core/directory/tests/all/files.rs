//! What is exchanged as files, and which files are refused.

use kuzusync_core::clock::VectorClock;
use kuzusync_core::export::{self, FileProblem};
use kuzusync_core::id::{DatabaseId, Role};
use kuzusync_core::value::Value;
use kuzusync_directory::{Directory, Error, Init};
use sha2::{Digest, Sha256};

use crate::support::*;

/// Two with a main, one of which wrote the tables, and both hold them.
fn pair(place: &Place) -> (Directory, Directory) {
    let main = place.with_tables("main", Role::Main);
    let mut edge = place.init("edge", Role::Edge);
    carry(&main, &mut edge);
    (main, edge)
}

#[test]
fn both_directions_bring_all_to_both_and_nobody_logs_anything_twice() {
    let place = Place::new();
    let (mut main, mut edge) = pair(&place);
    edge = apply(edge, &format!("{}\n{}", user("ann", i64::MAX), rename("ann", "Ann")));
    main = apply(main, &user("bob", i64::MIN));
    assert_eq!(edge.status().unwrap().queued_operations, 2);
    let there = carry(&edge, &mut main);
    assert_eq!((there.applied, there.left_out.len()), (2, 0), "{there:?}");
    let back = carry(&main, &mut edge);
    assert_eq!((back.applied, back.left_out.len()), (1, 0), "{back:?}");
    assert_eq!(main.replica().view(), edge.replica().view());
    assert_eq!(cell(&edge.replica().view(), "bob", "visits"), Some(Value::from(i64::MIN)));
    assert_eq!(cell(&main.replica().view(), "ann", "visits"), Some(Value::from(i64::MAX)));
    assert_eq!(edge.status().unwrap().queued_operations, 0, "the main's numbers acknowledge");
    let rows = |directory: &Directory| sql(directory.path(), "SELECT tx_id, op FROM change_log ORDER BY 1, 2");
    assert_eq!(rows(&main), rows(&edge), "each operation is in each log once");
    assert_eq!(carry(&edge, &mut main).applied, 0);
    assert_eq!(rows(&main), rows(&edge));
}

#[test]
fn the_columns_are_those_of_the_document_and_survive_both_ways() {
    let place = Place::new();
    let (mut main, mut edge) = pair(&place);
    let at = r#"{"created_at": "2024-02-29T12:00:00.000000001+02:00", "statements": ["#;
    edge = apply(
        edge,
        &format!("{at}{}]}}\n{}", user("ann", 1), r#"{"delete_node": {"table": "User", "key": {"string": "ann"}}}"#),
    );
    carry(&edge, &mut main);
    let mut other = place.init("other", Role::Edge);
    carry(&main, &mut other);
    let query =
        "SELECT lsn, tx_id, table_name, pk_json, op, payload, tombstone, created_at, source_node FROM change_log
        WHERE table_name = 'User' AND op IN ('I', 'U', 'D') ORDER BY lsn";
    let [of_author, of_main, of_other] = [&edge, &main, &other].map(|directory| sql(directory.path(), query));
    assert_eq!(of_author.len(), 2);
    let [insert, delete] = [&of_author[0], &of_author[1]];
    assert_eq!(insert[2..7], ["User", r#"{"id":"ann"}"#, "I", r#"{"visits":1}"#, "0"]);
    assert_eq!(insert[8], "edge");
    assert_eq!([&delete[4], &delete[5], &delete[6]], ["D", "NULL", "1"]);
    for later in [of_main, of_other] {
        let kept = |rows: &[Vec<String>]| rows.iter().map(|row| row[1..].to_vec()).collect::<Vec<_>>();
        assert_eq!(kept(&later), kept(&of_author), "everything but the number is kept");
    }
    let numbers = sql(main.path(), "SELECT lsn FROM change_log ORDER BY lsn");
    assert!((1..).zip(&numbers).all(|(number, row): (u64, _)| row[0] == number.to_string()), "gapless: {numbers:?}");
}

/// The file with its end made good again.
fn with_end(lines: &[&str]) -> String {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let sha256: String = Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{body}{{\"__end__\":{{\"count\":{},\"sha256\":\"{sha256}\"}}}}\n", lines.len() - 1)
}

#[test]
fn a_file_that_is_not_whole_is_refused_by_its_line_and_nothing_of_it_is_applied() {
    let place = Place::new();
    let (main, edge) = pair(&place);
    let main = apply(main, &format!("{}\n{}\n{}", user("ann", 1), user("bob", 2), user("cy", 3)));
    let text = exported(&main, &edge);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(with_end(&lines[..lines.len() - 1]), text, "the test writes ends as the program does");
    drop(edge);
    let refuse = |text: &str| -> (usize, FileProblem) {
        let mut edge = Directory::open(&place.path("edge")).unwrap();
        let before = (edge.replica().log().cursor(), sql(edge.path(), "SELECT * FROM sync_state"));
        let Err(error) = edge.import(text.as_bytes(), options(), &mut |_| {}) else { panic!("{text} was taken") };
        assert!(error.to_string().contains("nothing was imported"), "{error}");
        let Error::File(error) = error else { panic!("{error}") };
        assert_eq!((edge.replica().log().cursor(), sql(edge.path(), "SELECT * FROM sync_state")), before);
        (error.line, error.problem)
    };
    // Every byte is covered.
    for place in (0..text.len()).step_by(211) {
        let mut bytes = text.clone().into_bytes();
        bytes[place] ^= 1;
        refuse(&String::from_utf8(bytes).unwrap());
    }
    for length in (0..text.len()).step_by(307) {
        refuse(&text[..length]);
    }
    assert!(matches!(refuse(&text[..text.len() - 1]).1, FileProblem::Truncated));
    assert!(matches!(refuse(&lines[..lines.len() - 1].join("\n")), (_, FileProblem::Truncated)));
    let damaged = text.replacen("\"visits\":2", "\"visits\":7", 1);
    assert!(matches!(refuse(&damaged), (5, FileProblem::Hash { .. })), "the last line tells");
    // What somebody has edited and made good again.
    let reordered = with_end(&[lines[0], lines[2], lines[1], lines[3]]);
    assert!(matches!(refuse(&reordered), (2, FileProblem::Order { .. })));
    let shortened = with_end(&[lines[0], lines[1], lines[2]]);
    assert!(matches!(refuse(&shortened), (1, FileProblem::Count { .. })));
    let newer = lines[0].replace("\"format_version\":1", "\"format_version\":2");
    let newer = with_end(&[&newer, lines[1], lines[2], lines[3]]);
    assert_eq!(refuse(&newer), (1, FileProblem::Newer { found: 2, known: 1 }));
    assert!(matches!(refuse("hello\n"), (1, FileProblem::NoMeta(_))));
    assert!(matches!(refuse(""), (1, FileProblem::NoMeta(_))));
}

#[test]
fn whose_file_it_is_decides_as_in_a_handshake() {
    let place = Place::new();
    let (main, mut edge) = pair(&place);
    let refusal = |directory: &mut Directory, text: &str| {
        directory.import(text.as_bytes(), options(), &mut |_| {}).unwrap_err().to_string()
    };
    let own = edge.export(0).unwrap().1;
    assert!(refusal(&mut edge, &own).contains("exported by this replica itself"), "{}", refusal(&mut edge, &own));
    let foreign = Init { role: Role::Main, database: Some(DatabaseId([6; 16])), name: None };
    let foreign = apply(Directory::init(&place.path("foreign"), &foreign).unwrap(), SCHEMA);
    let of_foreign = foreign.export(0).unwrap().1;
    assert!(refusal(&mut edge, &of_foreign).contains("database"), "{}", refusal(&mut edge, &of_foreign));
    let second = place.with_tables("second", Role::Main);
    let of_second = second.export(0).unwrap().1;
    assert!(refusal(&mut edge, &of_second).contains("main"), "{}", refusal(&mut edge, &of_second));
    let peer = place.with_tables("peer", Role::Peer);
    let of_peer = peer.export(0).unwrap().1;
    assert!(!refusal(&mut edge, &of_peer).is_empty());
    let main = apply(main, &format!("{}\n{}", user("ann", 1), user("bob", 2)));
    let late = main.export(main.status().unwrap().last_lsn - 1).unwrap().1;
    assert!(refusal(&mut edge, &late).contains("export it again with `--from-lsn 3`"), "{}", refusal(&mut edge, &late));
    assert!(matches!(main.export(99), Err(Error::BeyondEnd { asked: 99, .. })));
}

#[test]
fn a_transaction_is_never_divided() {
    let place = Place::new();
    let main = place.with_tables("main", Role::Main);
    let (meta, _) = main.export(2).unwrap();
    assert_eq!((meta.from_lsn, meta.to_lsn), (0, 3), "the three tables are one transaction");
    assert_eq!(main.export(3).unwrap().0.count, 0);
    let empty = export::write(&meta, &[]);
    assert!(export::read(empty.as_bytes()).is_err(), "its first line tells of three");
    assert_eq!(meta.clock, main.replica().clock().clone());
    assert_ne!(meta.clock, VectorClock::default());
}

#[test]
fn a_full_text_index_that_is_not_built_is_told_with_the_reason() {
    let place = Place::new();
    let index = r#"{"create_index": {"table": "User", "index": "words", "kind": "full_text", "columns": ["name"]}}"#;
    let main = apply(place.with_tables("main", Role::Main), index);
    let told = |directory: &Directory| {
        let unbuilt = directory.status().unwrap().unbuilt_indexes;
        unbuilt.into_iter().map(|index| (index.table, index.name, index.reason)).collect::<Vec<_>>()
    };
    // On disk Kùzu cannot be trusted with one, and without Kùzu there is none.
    let reason = if cfg!(feature = "kuzu") { "on disk" } else { "builds no indexes" };
    let [(table, name, why)] = told(&main).try_into().unwrap();
    assert!((table.as_str(), name.as_str()) == ("User", "words") && why.contains(reason), "{why}");
    drop(main);
    let main = Directory::open(&place.path("main")).unwrap();
    assert_eq!(told(&main).len(), 1);
    let main = apply(main, r#"{"drop_index": {"table": "User", "index": "words"}}"#);
    assert!(told(&main).is_empty());
}
