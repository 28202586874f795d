//! What a database would refuse is refused, by name.

use super::*;

/// A store that holds [`users`] refuses `delta` and says why.
#[track_caller]
fn refused(delta: &ViewDelta, why: &str) {
    let mut kuzu = KuzuStore::in_memory().unwrap();
    kuzu.apply(&users()).unwrap();
    let error = kuzu.apply(delta).unwrap_err();
    assert_eq!(error.store, "kuzu");
    assert!(error.message.contains(why), "{error}");
}

/// The same, and the reference store refuses it too.
#[track_caller]
fn refused_by_both(delta: &ViewDelta, why: &str) {
    let mut memory = MemoryStore::default();
    memory.apply(&users()).unwrap();
    memory.apply(delta).unwrap_err();
    refused(delta, why);
}

fn create() -> RowChange {
    RowChange::Create(Row::new())
}

fn ends(from: i64, to: i64) -> EdgeRef {
    edge(("User", from.into()), ("User", to.into()), "")
}

#[test]
fn a_row_that_is_there_is_not_created() {
    refused_by_both(&nodes("User", [(1.into(), create())]), "exists already");
    refused_by_both(&edges("Follows", [(ends(1, 2), create())]), "exists already");
}

#[test]
fn a_row_that_is_not_there_is_neither_updated_nor_deleted() {
    for change in [RowChange::Update(Row::new()), RowChange::Delete] {
        refused_by_both(&nodes("User", [(9.into(), change.clone())]), "no such node");
        refused_by_both(&edges("Follows", [(ends(2, 1), change)]), "no such edge");
    }
}

#[test]
fn an_edge_needs_both_its_ends() {
    refused_by_both(&edges("Follows", [(ends(1, 9), create())]), "no node User(9)");
    refused_by_both(&edges("Follows", [(ends(9, 1), create())]), "no node User(9)");
}

#[test]
fn a_node_that_edges_touch_stays() {
    refused(&nodes("User", [(2.into(), RowChange::Delete)]), "4 ends of edges touch it");
}

#[test]
fn tables_that_do_not_exist_hold_no_rows() {
    refused_by_both(&nodes("Nobody", [(1.into(), create())]), "no node table");
    refused_by_both(&nodes("Follows", [(1.into(), create())]), "no node table");
    refused_by_both(&edges("Nothing", [(ends(1, 2), create())]), "no such edge table");
    refused_by_both(&edges("User", [(ends(1, 2), create())]), "no such edge table");
}

#[test]
fn columns_that_do_not_exist_hold_no_values() {
    let unknown = RowChange::Update(row(&[("nickname", "A".into())]));
    refused(&nodes("User", [(1.into(), unknown.clone())]), "no column nickname");
    refused(&edges("Follows", [(ends(1, 2), unknown)]), "no column nickname");
    refused(&nodes("User", [(1.into(), RowChange::Update(row(&[("id", 1.into())])))]), "is the key");
}

#[test]
fn a_value_has_the_type_of_its_column() {
    let wrong = RowChange::Update(row(&[("age", "old".into())]));
    refused(&nodes("User", [(1.into(), wrong)]), "column age is INT64; \"old\" is no such value");
    refused(&nodes("User", [("one".into(), create())]), "id cannot be \"one\"");
    refused(&nodes("User", [(Value::Null, create())]), "id cannot be NULL");
    let wrong = RowChange::Update(row(&[("since", 0.5.into())]));
    refused(&edges("Follows", [(ends(1, 2), wrong)]), "column since is INT64; 0.5 is no such value");
}

#[test]
fn an_edge_joins_a_pair_of_its_table() {
    let mut delta = schema([create_table("Firm", node_table(("name", Type::String), &[]))]);
    delta.nodes = nodes("Firm", [("x".into(), create())]).nodes;
    delta.edges = edges("Follows", [(edge(("User", 1.into()), ("Firm", "x".into()), ""), create())]).edges;
    refused(&delta, "no such pair");
}

#[test]
fn a_name_is_given_once() {
    let table = || node_table(("id", Type::Int64), &[]);
    refused_by_both(&schema([create_table("User", table())]), "exists already");
    refused(&schema([create_table("uSER", table())]), "User exists already");
    let rename = |from: &str, to: &str| SchemaStep::RenameTable { from: from.into(), to: to.into() };
    refused_by_both(&schema([rename("User", "Follows")]), "exists already");
    refused_by_both(&schema([rename("Nobody", "Somebody")]), "no such table");
    let add = |table: &str, column: &str| SchemaStep::AddColumn {
        table: table.into(),
        column: column.into(),
        column_type: Type::Bool,
    };
    refused_by_both(&schema([add("User", "age")]), "exists already");
    refused(&schema([add("User", "AGE")]), "exists already");
    refused(&schema([create_table("T", node_table(("id", Type::Int64), &[("ID", Type::Bool)]))]), "comes twice");
    refused_by_both(&schema([add("Nobody", "age")]), "no table Nobody");
}

#[test]
fn names_that_cannot_be_used_are_refused() {
    let table = |column| node_table(("id", Type::Int64), &[(column, Type::Bool)]);
    for bad in ["", "a`b", "a\0b"] {
        refused(&schema([create_table(bad, table("a"))]), "backtick");
        refused(&schema([create_table("T", table(bad))]), "backtick");
        refused(&schema([SchemaStep::RenameTable { from: "User".into(), to: bad.into() }]), "backtick");
    }
    for own in ["_ID", "_label", "_Src", "_nodes", "_ROW_OFFSET"] {
        refused(&schema([create_table("T", table(own))]), "Kùzu's own");
        let column = own.to_owned();
        let add = SchemaStep::AddColumn { table: "User".into(), column, column_type: Type::Bool };
        refused(&schema([add]), "Kùzu's own");
    }
    refused(&schema([create_table("T", table("~discriminator"))]), "this store's own");
    refused(&schema([create_table("T", table("*"))]), "all columns");
}

#[test]
fn a_table_is_whole() {
    refused(&schema([create_table("T", edge_table(&[], &[]))]), "no pair");
    refused(&schema([create_table("T", edge_table(&[("User", "Nobody")], &[]))]), "no node table Nobody");
    refused(&schema([create_table("T", edge_table(&[("User", "Follows")], &[]))]), "no node table Follows");
    refused(&schema([create_table("T", node_table(("id", Type::Double), &[]))]), "cannot be the key");
    let mut keyless = node_table(("id", Type::Int64), &[]);
    keyless.columns.clear();
    refused(&schema([create_table("T", keyless)]), "which is to be the key");
}

#[test]
fn columns_and_pairs_change_where_they_can() {
    let retype = |table: &str, column: &str| SchemaStep::RetypeColumn {
        table: table.into(),
        column: column.into(),
        column_type: Type::String,
    };
    refused_by_both(&schema([retype("User", "nickname")]), "no such column");
    refused(&schema([retype("User", "id")]), "it is the key");
    let pair = |table: &str, to: &str| SchemaStep::AddPair { table: table.into(), from: "User".into(), to: to.into() };
    refused_by_both(&schema([pair("User", "User")]), "node table");
    refused(&schema([pair("Follows", "Nobody")]), "no node table Nobody");
}
