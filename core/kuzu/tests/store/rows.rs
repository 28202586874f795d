//! Rows of every kind, one by one and by the thousand.

use super::*;

/// A column for every sampled type.
fn columns() -> Vec<(String, Type)> {
    samples().iter().enumerate().map(|(place, sample)| (format!("c{place}"), sample.column_type.clone())).collect()
}

fn named(columns: &[(String, Type)]) -> Vec<(&str, Type)> {
    columns.iter().map(|(name, of)| (name.as_str(), of.clone())).collect()
}

/// Rows that hold every sample, each in its column, and nothing where there are no more.
fn every_row() -> Vec<Row> {
    let rows = samples().iter().map(|sample| sample.values.len()).max().unwrap();
    let row = |at: usize| {
        let cell = |((name, _), values): (&(String, Type), &Vec<Value>)| Some((name.clone(), values.get(at)?.clone()));
        columns().iter().zip(samples().iter().map(|sample| &sample.values)).filter_map(cell).collect()
    };
    (0..=rows).map(row).collect()
}

#[test]
fn every_sample_survives_as_property_of_nodes_and_edges_in_small_and_large_deltas() {
    let columns = columns();
    for portion in [1, 1_000] {
        let mut both = Both::new();
        let nodes_table = node_table(("id", Type::Int64), &named(&columns));
        let tables = [("N", nodes_table), ("E", edge_table(&[("N", "N")], &named(&columns)))];
        both.apply(schema(tables.map(|(name, table)| create_table(name, table))));
        let mut rows = every_row();
        // Every value comes to each place, and goes to NULL and comes back from it.
        for round in 0..rows.len() {
            let change = |row: &Row| {
                let row = row.clone();
                if round == 0 { RowChange::Create(row) } else { RowChange::Update(row) }
            };
            for (start, rows) in rows.chunks(portion).enumerate().map(|(index, rows)| (index * portion, rows)) {
                let keys = (start as i64..).map(Value::from);
                both.apply(nodes("N", keys.clone().zip(rows).map(|(key, row)| (key, change(row)))));
                let loops = keys.map(|key| edge(("N", key.clone()), ("N", key), "a\0b"));
                both.apply(edges("E", loops.zip(rows).map(|(edge, row)| (edge, change(row)))));
            }
            rows.rotate_left(1);
        }
    }
}

#[test]
fn every_sample_survives_a_rebuild() {
    let columns = columns();
    let mut both = Both::new();
    both.apply(schema([create_table("N", node_table(("id", Type::Int64), &named(&columns)))]));
    both.apply(nodes("N", (0..).map(Value::from).zip(every_row().into_iter().map(RowChange::Create))));
    both.kuzu.rebuild(both.memory.view()).unwrap();
    both.check();
    both.apply(nodes("N", [(0.into(), RowChange::Update(Row::new()))]));
}

#[test]
fn every_sample_survives_in_a_table_whose_name_has_a_dot() {
    let columns = columns();
    let mut both = Both::new();
    both.apply(schema([create_table("a.b", node_table(("id", Type::Int64), &named(&columns)))]));
    both.apply(schema([create_table("e.f", edge_table(&[("a.b", "a.b")], &named(&columns)))]));
    both.apply(nodes("a.b", (0..).map(Value::from).zip(every_row().into_iter().map(RowChange::Create))));
}

#[test]
fn every_key_survives_and_is_found_again() {
    let number: &[(&str, Type)] = &[("n", Type::Int64)];
    for sample in samples().iter().filter(|sample| sample.column_type.can_be_key()) {
        for portion in [1, 1_000] {
            let mut both = Both::new();
            let tables = [
                create_table("N", node_table(("key", sample.column_type.clone()), number)),
                create_table("E", edge_table(&[("N", "N")], number)),
            ];
            both.apply(schema(tables));
            for keys in sample.values.chunks(portion) {
                let loops = |change: RowChange| {
                    let own = |key: &Value| edge(("N", key.clone()), ("N", key.clone()), "");
                    edges("E", keys.iter().map(move |key| (own(key), change.clone())))
                };
                let all = |change: RowChange| nodes("N", keys.iter().map(move |key| (key.clone(), change.clone())));
                both.apply(all(RowChange::Create(row(&[("n", 1.into())]))));
                both.apply(loops(RowChange::Create(row(&[("n", 1.into())]))));
                both.apply(all(RowChange::Update(row(&[("n", 2.into())]))));
                both.apply(loops(RowChange::Update(row(&[("n", 3.into())]))));
            }
            for keys in sample.values.chunks(portion) {
                let own = |key: &Value| (edge(("N", key.clone()), ("N", key.clone()), ""), RowChange::Delete);
                both.apply(edges("E", keys.iter().map(own)));
                both.apply(nodes("N", keys.iter().map(|key| (key.clone(), RowChange::Delete))));
            }
        }
    }
}

/// A column of each of some types.
const COLUMNS: [(&str, Type); 4] =
    [("bool", Type::Bool), ("int", Type::Int64), ("double", Type::Double), ("text", Type::String)];

#[test]
fn an_update_sets_exactly_the_row_and_everything_else_to_null() {
    let mut both = Both::new();
    both.apply(users());
    both.apply(nodes("User", [(1.into(), RowChange::Update(row(&[("name", "Ada Lovelace".into())])))]));
    let follows = |name| edge(("User", 1.into()), ("User", 2.into()), name);
    both.apply(edges("Follows", [(follows(""), RowChange::Update(row(&[("note", "no longer since".into())])))]));
    both.apply(edges("Follows", [(follows("again"), RowChange::Update(Row::new()))]));
    both.apply(nodes("User", [(1.into(), RowChange::Update(Row::new()))]));
}

#[test]
fn a_row_whose_first_of_a_list_is_null_keeps_the_types_of_the_others() {
    let mut both = Both::new();
    both.apply(schema([create_table("N", node_table(("id", Type::Int64), &COLUMNS))]));
    let full = row(&[("bool", true.into()), ("int", 7.into()), ("double", 0.5.into()), ("text", "t".into())]);
    let rows = (0..10).map(|id| (Value::from(id), RowChange::Create(if id == 0 { Row::new() } else { full.clone() })));
    both.apply(nodes("N", rows));
    let rows = (0..10).map(|id| (Value::from(id), RowChange::Update(if id < 9 { Row::new() } else { full.clone() })));
    both.apply(nodes("N", rows));
}

#[test]
fn deltas_of_several_thousand_rows_go_through() {
    const ROWS: i64 = 2_500;
    let mut both = Both::new();
    both.apply(schema([
        create_table("N", node_table(("id", Type::Int64), &[("n", Type::Int64)])),
        create_table("E", edge_table(&[("N", "N")], &[("n", Type::Int64)])),
    ]));
    let all = |change: fn(i64) -> RowChange| nodes("N", (0..ROWS).map(move |id| (Value::from(id), change(id))));
    let ring = |id: i64| edge(("N", id.into()), ("N", ((id + 1) % ROWS).into()), "");
    let all_edges = |change: fn(i64) -> RowChange| edges("E", (0..ROWS).map(move |id| (ring(id), change(id))));
    both.apply(all(|id| RowChange::Create(row(&[("n", id.into())]))));
    both.apply(all_edges(|id| RowChange::Create(row(&[("n", id.into())]))));
    both.apply(all(|id| RowChange::Update(row(&[("n", (-id).into())]))));
    both.apply(all_edges(|id| RowChange::Update(row(&[("n", (-id).into())]))));
    let mut gone = all_edges(|_| RowChange::Delete);
    gone.nodes = all(|_| RowChange::Delete).nodes;
    both.apply(gone);
}

#[test]
fn between_large_tables_many_edges_appear_at_once() {
    let mut both = Both::new();
    both.apply(schema([
        create_table("N", node_table(("id", Type::Int64), &[])),
        create_table("E", edge_table(&[("N", "N")], &[])),
    ]));
    both.apply(nodes("N", (0..5_100).map(|id| (Value::from(id), RowChange::Create(Row::new())))));
    let spoke = |id: i64| (edge(("N", 0.into()), ("N", id.into()), "spoke"), RowChange::Create(Row::new()));
    both.apply(edges("E", (0..50).map(spoke)));
}

#[test]
fn edges_go_before_the_nodes_they_touch_and_come_after_them() {
    let mut both = Both::new();
    both.apply(users());
    let ends = |from: i64, to: i64, name| edge(("User", from.into()), ("User", to.into()), name);
    let mut delta = nodes("User", [(2.into(), RowChange::Delete), (4.into(), RowChange::Create(Row::new()))]);
    let gone = [ends(1, 2, ""), ends(1, 2, "again"), ends(2, 2, "")].map(|edge| (edge, RowChange::Delete));
    let new = (ends(1, 4, ""), RowChange::Create(Row::new()));
    delta.edges = edges("Follows", gone.into_iter().chain([new])).edges;
    both.apply(delta);
}

#[test]
fn a_node_deleted_comes_back_without_its_old_values() {
    let mut both = Both::new();
    both.apply(users());
    for _ in 0..3 {
        both.apply(nodes("User", [(3.into(), RowChange::Delete)]));
        both.apply(nodes("User", [(3.into(), RowChange::Create(row(&[("age", 3.into())])))]));
    }
}

#[test]
fn tables_of_nothing_but_a_key_take_updates() {
    let mut both = Both::new();
    both.apply(schema([
        create_table("N", node_table(("id", Type::String), &[])),
        create_table("E", edge_table(&[("N", "N")], &[])),
    ]));
    let own = edge(("N", "a".into()), ("N", "a".into()), "");
    both.apply(nodes("N", [("a".into(), RowChange::Create(Row::new()))]));
    both.apply(edges("E", [(own.clone(), RowChange::Create(Row::new()))]));
    both.apply(nodes("N", [("a".into(), RowChange::Update(Row::new()))]));
    both.apply(edges("E", [(own, RowChange::Update(Row::new()))]));
}

#[test]
fn a_store_that_starts_again_still_takes_what_it_holds_otherwise() {
    let columns = columns();
    let mut both = Both::new();
    both.apply(schema([create_table("N", node_table(("id", Type::Int64), &named(&columns)))]));
    both.apply(nodes("N", [(0.into(), RowChange::Create(Row::new()))]));
    for row in every_row().into_iter().cycle().take(40) {
        both.apply(nodes("N", [(0.into(), RowChange::Update(row))]));
    }
}

#[test]
fn thousands_of_updates_do_not_fill_the_pool() {
    let mut both = Both::new();
    both.apply(users());
    both.apply(schema([create_table("N", node_table(("id", Type::Int64), &COLUMNS))]));
    both.apply(nodes("N", [(0.into(), RowChange::Create(Row::new()))]));
    let count = 8_000;
    for n in 0..count {
        let cells = [("int", n.into()), ("double", 0.5.into()), ("text", "t".into()), ("bool", true.into())];
        let delta = nodes("N", [(0.into(), RowChange::Update(row(&cells)))]);
        both.memory.apply(&delta).unwrap();
        both.kuzu.apply(&delta).unwrap_or_else(|error| panic!("update {n}: {error}"));
    }
    both.check();
    both.apply(nodes("User", [(3.into(), RowChange::Delete)]));
}
