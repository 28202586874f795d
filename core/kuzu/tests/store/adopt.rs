//! Databases that were made without the store and are adopted.

use kuzu::{Connection, Database, SystemConfig};
use kuzusync_core::adopt::Found;
use kuzusync_core::ddl::Multiplicity;
use kuzusync_kuzu::adopt::{AdoptError, read};

use super::*;

/// What is found in a database made by these statements; the last of them may be lost to a crash.
fn found(statements: &[&str]) -> Result<Found, AdoptError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("theirs.kuzu");
    {
        let config = SystemConfig::default().max_num_threads(1).max_db_size(1 << 30).buffer_pool_size(64 << 20);
        let database = Database::new(&file, config).unwrap();
        let connection = Connection::new(&database).unwrap();
        for statement in statements {
            connection.query(statement).unwrap();
        }
    }
    let before = std::fs::read(&file).unwrap();
    let found = read(&file, folder.path());
    assert_eq!(std::fs::read(&file).unwrap(), before, "the database is as it was");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    found
}

const PERSON: &str = "CREATE NODE TABLE Person(name STRING PRIMARY KEY, age INT64 DEFAULT -1, vip BOOL DEFAULT false, \
                      note STRING DEFAULT '', born DATE DEFAULT date('2000-01-01'), score DOUBLE)";

#[test]
fn tables_rows_defaults_comments_and_multiplicities_are_found() {
    let found = found(&[
        PERSON,
        "CREATE NODE TABLE Firm(id INT64 PRIMARY KEY)",
        "CREATE REL TABLE Works(FROM Person TO Firm, FROM Person TO Person, since INT64 DEFAULT 1999, MANY_ONE)",
        "CREATE REL TABLE Owns(FROM Firm TO Firm)",
        "COMMENT ON TABLE Person IS 'Who we know'",
        "CREATE SEQUENCE tickets",
        "CREATE (:Person {name: 'Ada', age: 36, score: 0.5})",
        "CREATE (:Person {name: 'Bo', note: NULL})",
        "CREATE (:Firm {id: 7})",
        "MATCH (a:Person {name: 'Ada'}), (f:Firm) CREATE (a)-[:Works {since: 2001}]->(f)",
        "MATCH (f:Firm) CREATE (f)-[:Owns]->(f), (f)-[:Owns]->(f)",
    ])
    .unwrap();
    let default = |column: &str| found.defaults.get(&("Person".to_owned(), column.to_owned())).cloned();
    assert_eq!(default("age"), Some((-1).into()), "with its sign, which Kùzu does not tell");
    assert_eq!([default("vip"), default("note"), default("score")], [Some(false.into()), Some("".into()), None]);
    assert_eq!(default("born").unwrap().to_string(), "2000-01-01");
    assert_eq!(found.defaults[&("Works".to_owned(), "since".to_owned())], 1999.into());
    assert_eq!(found.comments, [("Person".to_owned(), "Who we know".to_owned())].into());
    assert_eq!(found.multiplicities, [("Works".to_owned(), Multiplicity::ManyOne)].into());
    assert_eq!(found.left_behind, ["sequence tickets"]);
    let ada = found.view.node("Person", &"Ada".into()).unwrap();
    assert_eq!((&ada["age"], &ada["vip"], &ada["score"]), (&36.into(), &false.into(), &0.5.into()));
    let works = edge_table(&[("Person", "Firm"), ("Person", "Person")], &[("since", Type::Int64)]);
    assert_eq!(found.view.tables["Works"], works);
    let owns = |discriminator| edge(("Firm", 7.into()), ("Firm", 7.into()), discriminator);
    assert_eq!(found.view.edges["Owns"], [(owns(""), Row::new()), (owns("2"), Row::new())].into());
    let works = edge(("Person", "Ada".into()), ("Firm", 7.into()), "");
    assert_eq!(found.view.edges["Works"], [(works, row(&[("since", 2001.into())]))].into());
}

#[test]
fn defaults_of_empty_tables_are_found() {
    let works = "CREATE REL TABLE Works(FROM Person TO Person, since INT64 DEFAULT -7)";
    let found = found(&[PERSON, works]).unwrap();
    assert_eq!(found.defaults.len(), 5);
    assert_eq!(found.defaults[&("Works".to_owned(), "since".to_owned())], (-7).into());
    assert_eq!(found.view.nodes["Person"], BTreeMap::new());
}

#[test]
fn what_no_replica_could_agree_on_is_refused_by_name() {
    let refused = |statement: &str| found(&[statement]).unwrap_err().to_string();
    let serial = refused("CREATE NODE TABLE T(id SERIAL PRIMARY KEY)");
    assert!(serial.starts_with("column `id` of table `T` is SERIAL"), "{serial}");
    let volatile = refused("CREATE NODE TABLE T(id INT64 PRIMARY KEY, at TIMESTAMP DEFAULT current_timestamp())");
    assert!(volatile.contains("`at` of table `T` is current_timestamp(), which is no constant"), "{volatile}");
    let dotted = refused("CREATE NODE TABLE `a.b`(id INT64 PRIMARY KEY)");
    assert!(dotted.contains("`a.b`"), "{dotted}");
    let nowhere = read(Path::new("/nowhere/db.kuzu"), tempfile::tempdir().unwrap().path()).unwrap_err();
    assert!(matches!(nowhere, AdoptError::Folder { .. }), "{nowhere}");
}

#[test]
fn every_sample_is_found_as_it_was_held() {
    // A database of our own is adopted like any other.
    let folder = tempfile::tempdir().unwrap();
    let mut both = Both::on_disk(&folder.path().join("store"));
    let samples = samples();
    let column = |index: usize| format!("c{index}");
    let columns: Vec<_> = samples.iter().map(|sample| sample.column_type.clone()).enumerate().collect();
    let mut table = node_table(("id", Type::Int64), &[]);
    table.columns.extend(columns.into_iter().map(|(index, of)| (column(index), of)));
    both.apply(schema([create_table("T", table), create_table("E", edge_table(&[("T", "T")], &[("n", Type::Int8)]))]));
    let cells = samples.iter().enumerate().map(|(index, sample)| (column(index), sample.values[0].clone()));
    both.apply(nodes("T", [(1.into(), RowChange::Create(cells.collect()))]));
    let own = |name| edge(("T", 1.into()), ("T", 1.into()), name);
    both.apply(edges("E", ["", "b", "2"].map(|name| (own(name), RowChange::Create(Row::new())))));
    let Both { kuzu, memory } = both;
    drop(kuzu);
    let found = read(&folder.path().join("store/view-1.kuzu"), folder.path()).unwrap();
    assert_eq!(found.view, *held(memory.view()));
}
