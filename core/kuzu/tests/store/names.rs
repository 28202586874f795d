//! Names and values that look like something else.

use super::*;

const NAMES: [&str; 14] = [
    "MATCH",
    "two words",
    " padded ",
    "O'Neil",
    "say \"hi\"",
    "back\\slash",
    "Zoë🦀",
    "dotted.name",
    ".dot",
    "loser~ab12",
    "a; DROP TABLE a",
    "/* comment */",
    "$key",
    "*",
];

#[test]
fn tables_and_columns_are_named_as_their_users_like() {
    let mut both = Both::new();
    for name in NAMES {
        let columns: Vec<_> = NAMES.into_iter().filter(|name| *name != "*").map(|name| (name, Type::String)).collect();
        let key = ("key", Type::String);
        let edge_name = format!("{name} edge");
        both.apply(schema([
            create_table(name, node_table(key, &columns)),
            create_table(&edge_name, edge_table(&[(name, name)], &columns)),
        ]));
        let cells: Vec<_> = columns.iter().map(|(column, _)| (*column, Value::from(*column))).collect();
        both.apply(nodes(name, [(name.into(), RowChange::Create(row(&cells)))]));
        let own = edge((name, name.into()), (name, name.into()), name);
        both.apply(edges(&edge_name, [(own.clone(), RowChange::Create(row(&cells)))]));
        both.apply(nodes(name, [(name.into(), RowChange::Update(row(&cells[..2])))]));
        both.apply(edges(&edge_name, [(own, RowChange::Update(row(&cells[1..])))]));
    }
}

#[test]
fn keys_are_named_as_their_users_like() {
    let mut both = Both::new();
    for (index, name) in NAMES.into_iter().filter(|name| *name != "*").enumerate() {
        let table = format!("T{index}.x");
        both.apply(schema([create_table(&table, node_table((name, Type::Int64), &[("a", Type::Bool)]))]));
        both.apply(nodes(&table, [(1.into(), RowChange::Create(row(&[("a", true.into())])))]));
        both.apply(nodes(&table, [(1.into(), RowChange::Update(Row::new()))]));
        both.apply(nodes(&table, [(1.into(), RowChange::Delete)]));
    }
}

#[test]
fn a_value_that_looks_like_a_statement_is_a_value() {
    let mut both = Both::new();
    both.apply(schema([create_table("T", node_table(("id", Type::String), &[("v", Type::String)]))]));
    let evil = ["'; DROP TABLE T; //", "`}) DETACH DELETE n //", "$k", "r.k", "\\'", "CREATE (:T {id: 'x'})", "*/"];
    let rows = evil.map(|text| (Value::from(text), RowChange::Create(row(&[("v", text.into())]))));
    both.apply(nodes("T", rows));
    for text in evil {
        both.apply(nodes("T", [(text.into(), RowChange::Update(Row::new()))]));
    }
    both.apply(nodes("T", evil.map(|text| (text.into(), RowChange::Delete))));
}
