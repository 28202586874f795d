//! DDL Integration Plan: a Kùzu database that was in use before becomes a replica in a directory.
//!
//! The database is made by Kùzu itself, with statements as people write them, and not by our store. A build without Kùzu
//! hands in what would be found in it, so that its pages are the same; as a case it counts only with Kùzu.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kuzusync_core::adopt::{Found, number_edges};
use kuzusync_core::ddl::Multiplicity;
use kuzusync_core::id::Role;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, NodeRef, Row, Table, TableKind, View};
use kuzusync_directory::{Applied, Directory, Error};
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::options::Options;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::operation::{Folder, Outcome, apply, import, run};
use crate::scenario::Scenario;

/// The scenarios of this section.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "migrated-database",
        story: "A main and an edge adopt copies of one Kùzu database, each goes on writing, then they exchange files.",
        cases: &[Case::A8],
        claims: &[],
        seed: Seed(81),
        options: Options { replicas: 2, ..Options::default() },
        body: |cluster| Box::pin(run(cluster, migrated)),
    }]
}

/// What people wrote long ago. `MANY_ONE` lets nobody work at two places.
#[cfg(feature = "kuzu")]
const STATEMENTS: [&str; 13] = [
    "CREATE NODE TABLE Person(id STRING PRIMARY KEY, age INT64 DEFAULT 18, is_vip BOOL DEFAULT false, note STRING DEFAULT '', \
     born DATE, seen TIMESTAMP, height FLOAT, score DOUBLE, balance DECIMAL(18, 3), points INT128, tiny INT8, rank UINT64, \
     photo BLOB, badge UUID, absence INTERVAL, tags STRING[], place INT64[3], address STRUCT(street STRING, number INT64), \
     visits MAP(STRING, INT64), contact UNION(number INT64, text STRING))",
    "CREATE NODE TABLE Firm(number INT64 PRIMARY KEY, name STRING)",
    "CREATE REL TABLE KNOWS(FROM Person TO Person, since INT64 DEFAULT 1999)",
    "CREATE REL TABLE WORKS_AT(FROM Person TO Firm, FROM Firm TO Firm, role STRING, MANY_ONE)",
    "COMMENT ON TABLE Person IS 'Who we know'",
    "CREATE SEQUENCE tickets",
    r#"CREATE (:Person {id: 'ann', age: 30, is_vip: true, note: 'it\'s "quoted" \\ and 🦀', born: date('2024-02-29'),
       seen: timestamp('2024-02-29 12:34:56.000001'), height: CAST(0.5 AS FLOAT), score: 5e-324,
       balance: CAST('-999999999999999.999' AS DECIMAL(18, 3)),
       points: CAST('170141183460469231731687303715884105727' AS INT128), tiny: CAST(-128 AS INT8),
       rank: CAST('18446744073709551615' AS UINT64), photo: BLOB('\\x00\\xFFA'),
       badge: UUID('01234567-89ab-cdef-0123-456789abcdef'), absence: interval('1 year 2 months 3 days 00:00:01.000001'),
       tags: ['', 'a, b]'], place: CAST([1, 2, 3] AS INT64[3]), address: {street: 'Main', number: 7},
       visits: map(['a=b', 'c'], [1, 2]), contact: CAST('5' AS UNION(number INT64, text STRING))})"#,
    "CREATE (:Person {id: 'bob', age: NULL, note: NULL})",
    "CREATE (:Person {id: '', age: 9223372036854775807, is_vip: NULL})",
    "CREATE (:Firm {number: 1, name: 'Acme'}), (:Firm {number: 7})",
    "MATCH (a:Person {id: 'ann'}), (b:Person {id: 'bob'}) \
     CREATE (a)-[:KNOWS {since: 2009}]->(b), (a)-[:KNOWS]->(b), (b)-[:KNOWS {since: NULL}]->(b)",
    "MATCH (a:Person {id: 'ann'}), (f:Firm {number: 7}) CREATE (a)-[:WORKS_AT {role: 'CTO'}]->(f)",
    "MATCH (f:Firm {number: 7}), (g:Firm {number: 1}) CREATE (f)-[:WORKS_AT]->(g)",
];

#[cfg(feature = "kuzu")]
fn make(file: &Path) -> Outcome {
    // The defaults reserve 8 TiB of address space for each database.
    let config = kuzu::SystemConfig::default().max_num_threads(1).max_db_size(1 << 30).buffer_pool_size(64 << 20);
    let database = kuzu::Database::new(file, config)?;
    let connection = kuzu::Connection::new(&database)?;
    for statement in STATEMENTS {
        connection.query(statement)?;
    }
    Ok(())
}

#[cfg(feature = "kuzu")]
fn adopt(directory: Directory, file: &Path) -> Result<(Directory, Applied, Vec<String>), Error> {
    directory.adopt(file)
}

#[cfg(not(feature = "kuzu"))]
fn make(file: &Path) -> Outcome {
    Ok(fs::write(file, "a database")?)
}

#[cfg(not(feature = "kuzu"))]
fn adopt(directory: Directory, _file: &Path) -> Result<(Directory, Applied, Vec<String>), Error> {
    let (directory, applied) = directory.adopt_found(&database())?;
    Ok((directory, applied, database().left_behind))
}

/// What the statements make.
fn database() -> Found {
    let person = [
        ("id", "STRING"),
        ("age", "INT64"),
        ("is_vip", "BOOL"),
        ("note", "STRING"),
        ("born", "DATE"),
        ("seen", "TIMESTAMP"),
        ("height", "FLOAT"),
        ("score", "DOUBLE"),
        ("balance", "DECIMAL(18, 3)"),
        ("points", "INT128"),
        ("tiny", "INT8"),
        ("rank", "UINT64"),
        ("photo", "BLOB"),
        ("badge", "UUID"),
        ("absence", "INTERVAL"),
        ("tags", "STRING[]"),
        ("place", "INT64[3]"),
        ("address", "STRUCT(street STRING, number INT64)"),
        ("visits", "MAP(STRING, INT64)"),
        ("contact", "UNION(number INT64, text STRING)"),
    ];
    let tables = BTreeMap::from([
        ("Person".to_owned(), table(TableKind::Node { primary_key: "id".into() }, &person)),
        (
            "Firm".to_owned(),
            table(TableKind::Node { primary_key: "number".into() }, &[("number", "INT64"), ("name", "STRING")]),
        ),
        ("KNOWS".to_owned(), table(pairs(&[("Person", "Person")]), &[("since", "INT64")])),
        ("WORKS_AT".to_owned(), table(pairs(&[("Person", "Firm"), ("Firm", "Firm")]), &[("role", "STRING")])),
    ]);
    let ann = r#"{"age": {"int64": 30}, "is_vip": {"bool": true}, "note": {"string": "it's \"quoted\" \\ and 🦀"},
        "born": {"date": "2024-02-29"}, "seen": {"timestamp": "2024-02-29T12:34:56.000001Z"}, "height": {"float": 0.5},
        "score": {"double": 5e-324}, "balance": {"decimal": "-999999999999999.999"},
        "points": {"int128": "170141183460469231731687303715884105727"}, "tiny": {"int8": -128},
        "rank": {"uint64": "18446744073709551615"}, "photo": {"blob": "00ff41"},
        "badge": {"uuid": "01234567-89ab-cdef-0123-456789abcdef"},
        "absence": {"interval": "1 year 2 months 3 days 00:00:01.000001"},
        "tags": {"list": [{"string": ""}, {"string": "a, b]"}]},
        "place": {"array": [{"int64": 1}, {"int64": 2}, {"int64": 3}]},
        "address": {"struct": {"street": {"string": "Main"}, "number": {"int64": 7}}},
        "visits": {"map": [[{"string": "a=b"}, {"int64": 1}], [{"string": "c"}, {"int64": 2}]]},
        "contact": {"union": ["number", {"int64": 5}]}}"#;
    let persons = BTreeMap::from([
        ("ann".into(), row(ann)),
        ("bob".into(), row(r#"{"is_vip": {"bool": false}}"#)),
        ("".into(), row(r#"{"age": {"int64": "9223372036854775807"}, "note": {"string": ""}}"#)),
    ]);
    let firms = BTreeMap::from([(1.into(), row(r#"{"name": {"string": "Acme"}}"#)), (7.into(), Row::new())]);
    let (ann, bob) = (("Person", "ann".into()), ("Person", "bob".into()));
    let firm = |number: i64| ("Firm", Value::from(number));
    let knows = [
        (edge(&ann, &bob), row(r#"{"since": {"int64": 1999}}"#)),
        (edge(&ann, &bob), row(r#"{"since": {"int64": 2009}}"#)),
        (edge(&bob, &bob), Row::new()),
    ];
    let works_at = BTreeMap::from([
        (edge(&ann, &firm(7)), row(r#"{"role": {"string": "CTO"}}"#)),
        (edge(&firm(7), &firm(1)), Row::new()),
    ]);
    let default = |table: &str, column: &str, value| ((table.to_owned(), column.to_owned()), value);
    Found {
        view: View {
            tables,
            nodes: BTreeMap::from([("Person".to_owned(), persons), ("Firm".to_owned(), firms)]),
            edges: BTreeMap::from([("KNOWS".to_owned(), number_edges(knows)), ("WORKS_AT".to_owned(), works_at)]),
        },
        defaults: BTreeMap::from([
            default("Person", "age", 18.into()),
            default("Person", "is_vip", false.into()),
            default("Person", "note", "".into()),
            default("KNOWS", "since", 1999.into()),
        ]),
        comments: BTreeMap::from([("Person".to_owned(), "Who we know".to_owned())]),
        multiplicities: BTreeMap::from([("WORKS_AT".to_owned(), Multiplicity::ManyOne)]),
        indexes: Vec::new(),
        left_behind: vec!["sequence tickets".to_owned()],
    }
}

fn table(kind: TableKind, columns: &[(&str, &str)]) -> Table {
    let column = |(name, of): &(&str, &str)| ((*name).to_owned(), of.parse::<Type>().expect("a type"));
    Table { kind, columns: columns.iter().map(column).collect() }
}

fn pairs(pairs: &[(&str, &str)]) -> TableKind {
    let pair = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
    TableKind::Edge { pairs: pairs.iter().map(pair).collect::<BTreeSet<_>>() }
}

fn row(json: &str) -> Row {
    serde_json::from_str(json).expect("the rows are well-formed")
}

fn edge(from: &(&str, Value), to: &(&str, Value)) -> EdgeRef {
    let node = |(table, key): &(&str, Value)| NodeRef { table: (*table).to_owned(), key: key.clone() };
    EdgeRef { from: node(from), to: node(to), discriminator: String::new() }
}

const OLDER_ANN: &str =
    r#"{"update_node": {"table": "Person", "key": {"string": "ann"}, "properties": {"age": {"int64": 31}}}}"#;
const CYD: &str = r#"[{"create_node": {"table": "Person", "properties": {"id": {"string": "cyd"}}}}, {"create_edge": {"edge": {"table": "KNOWS", "from": ["Person", {"string": "cyd"}], "to": ["Person", {"string": "ann"}]}, "properties": {}}}]"#;
const SECOND_FIRM: &str = r#"{"create_edge": {"edge": {"table": "WORKS_AT", "from": ["Person", {"string": "ann"}], "to": ["Firm", {"int64": 1}]}, "properties": {}}}"#;

fn counts(view: &View) -> String {
    let nodes = view.nodes.iter().map(|(table, rows)| (table, rows.len()));
    let edges = view.edges.iter().map(|(table, edges)| (table, edges.len()));
    let words: Vec<String> = nodes.chain(edges).map(|(table, rows)| format!("{table} {rows}")).collect();
    words.join(", ")
}

fn migrated(cluster: &mut Cluster, folder: &Folder) -> Outcome {
    let (old, copy, expected) = (folder.path("old.kuzu"), folder.path("copy.kuzu"), database());
    make(&old)?;
    let bytes = fs::read(&old)?;
    fs::copy(&old, &copy)?;
    let (mut main, _, left_behind) = adopt(folder.init("main", Role::Main)?, &old)?;
    let view = main.replica().view();
    let holds = view == expected.view && main.read_graph()? == expected.view;
    let columns: usize = view.tables.values().map(|table| table.columns.len()).sum();
    let found = format!("{} tables, {columns} columns; {}; as it was: {holds}", view.tables.len(), counts(&view));
    cluster.check("its catalogue, rows and edges are in the directory, value by value", holds, found);
    let comment =
        main.replica().schema().table_named("Person").and_then(|(_, table)| table.comment()).unwrap_or("none");
    cluster.check("comments come along", comment == "Who we know", comment.to_owned());
    let holds = left_behind == expected.left_behind;
    cluster.check("what cannot come along is named", holds, left_behind.join(", "));
    let is_same = fs::read(&old)? == bytes;
    cluster.check("the database itself stays as it was", is_same, format!("byte by byte: {is_same}"));
    let before = main.status()?;
    let (again, _, _) = adopt(main, &old)?;
    main = again;
    let holds = main.status()? == before;
    let found = format!("{} rows of the log before and after", before.last_lsn);
    cluster.check("adopting it again changes nothing", holds, found);

    // Each goes on with its own before they have met.
    let (mut edge, _, _) = adopt(folder.init("edge", Role::Edge)?, &copy)?;
    edge = apply(edge, CYD)?;
    main = apply(main, OLDER_ANN)?;
    let text = edge.export(0)?.1;
    import(&mut main, &text)?;
    let text = main.export(0)?.1;
    import(&mut edge, &text)?;
    let mut wanted = expected.view;
    let cyd = row(r#"{"age": {"int64": 18}, "is_vip": {"bool": false}, "note": {"string": ""}}"#);
    let persons = wanted.nodes.entry("Person".to_owned()).or_default();
    persons.insert("cyd".into(), cyd);
    persons.entry("ann".into()).or_default().insert("age".to_owned(), 31.into());
    let (new, ann) = (("Person", "cyd".into()), ("Person", "ann".into()));
    let since = row(r#"{"since": {"int64": 1999}}"#);
    wanted.edges.entry("KNOWS".to_owned()).or_default().insert(self::edge(&new, &ann), since);
    let mut shown = Vec::new();
    for directory in [&mut main, &mut edge] {
        let view = directory.replica().view();
        let is_shown = directory.read_graph()? == view;
        shown.push((view == wanted && is_shown, counts(&view), directory.status()?));
    }
    let [(main_holds, main_counts, main_status), (edge_holds, edge_counts, edge_status)] = shown.as_slice() else {
        return Err("two directories".into());
    };
    let holds = *main_holds && *edge_holds && main_status.digest == edge_status.digest;
    let found = format!("main {main_counts}; edge {edge_counts}; as wanted: {holds}");
    cluster.check("two that adopted copies exchange files and become one graph, everything in it once", holds, found);
    let (losses, queued) = (main_status.audit + edge_status.audit, edge_status.queued_operations);
    let found = format!("{losses} losses, {queued} operations of the edge not acknowledged");
    cluster.check("nothing of it is in conflict with its copy", losses == 0 && queued == 0, found);
    let refused = apply(edge, SECOND_FIRM).err().map_or("taken".to_owned(), |error| error.to_string());
    cluster.check("limits on edges go on to hold", refused.contains("many_one"), refused);
    let refused = match adopt(apply(folder.with_tables("other", Role::Main)?, &crate::operation::user("ann", 1))?, &old)
    {
        Err(error @ Error::NotNew) => error.to_string(),
        Err(error) => return Err(error.into()),
        Ok(_) => "taken".to_owned(),
    };
    cluster.check("where there are rows of other origin nothing is adopted", refused != "taken", refused);
    Ok(())
}
