//! Whatever the history, the Kùzu store and the reference store hold the same.
//!
//! A history is drawn from a tape of numbers: each choice takes the next one, so a shorter tape is a shorter history and
//! proptest shrinks a failing one by itself. Only legal deltas are drawn, from the view that the reference holds.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::*;

const TABLES: [&str; 7] = ["User", "MATCH", "a b", "O'Neil \"x\"", "Zoë🦀", "a.b", "loser~ab12"];
const COLUMNS: [&str; 6] = ["n", "set", "x y", "it's", "ü", "a.b"];
const KEY: &str = "the key";

/// The numbers that decide everything; zeros when they run out.
struct Tape {
    numbers: std::vec::IntoIter<u16>,
}

impl Tape {
    fn is_over(&self) -> bool {
        self.numbers.as_slice().is_empty()
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.numbers.next().unwrap_or(0)) % bound
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { Some(&from[self.below(from.len())]) }
    }

    /// Half of all types are samples; the others are made of each other.
    fn column_type(&mut self, levels: usize) -> Type {
        let kind = self.below(12);
        let mut part = || self.column_type(levels - 1);
        match kind {
            0 if levels > 1 => Type::List(Box::new(part())),
            1 if levels > 1 => Type::Array(Box::new(part()), 2),
            2 if levels > 1 => Type::Map(Box::new(part()), Box::new(part())),
            3 if levels > 1 => Type::Struct(["a", "B"].map(|name| field(name, part())).into()),
            4 if levels > 1 => Type::Union(["x", "Y", "z"].map(|name| field(name, part())).into()),
            _ => self.pick(samples()).expect("there are samples").column_type.clone(),
        }
    }

    fn value(&mut self, of: &Type) -> Value {
        if self.below(8) == 0 {
            return Value::Null;
        }
        let sample = samples().iter().find(|sample| sample.column_type == *of);
        if let Some(value) = sample.and_then(|sample| self.pick(&sample.values)) {
            return value.clone();
        }
        match of {
            Type::List(element) => Value::List((0..self.below(4)).map(|_| self.value(element)).collect()),
            Type::Array(element, length) => Value::Array((0..*length).map(|_| self.value(element)).collect()),
            Type::Map(key, value) => {
                let entries: BTreeMap<_, _> =
                    (0..self.below(4)).map(|_| (self.value(key), self.value(value))).collect();
                Value::Map(entries.into_iter().filter(|(key, _)| *key != Value::Null).collect())
            }
            Type::Struct(fields) => {
                let value = |field: &Field| (field.name.clone(), self.value(&field.field_type));
                Value::Struct(fields.iter().map(value).collect())
            }
            Type::Union(members) => {
                let member = &members[self.below(members.len())];
                Value::Union(member.name.clone(), Box::new(self.value(&member.field_type)))
            }
            plain => unreachable!("{plain} is sampled"),
        }
    }

    /// Some of the columns, with values.
    fn row(&mut self, table: &Table) -> Row {
        let mut row = Row::new();
        let is_key = |column: &str| matches!(&table.kind, TableKind::Node { primary_key } if primary_key == column);
        for (column, column_type) in table.columns.iter().filter(|(column, _)| !is_key(column)) {
            if self.below(3) > 0 {
                let value = self.value(column_type);
                if value != Value::Null {
                    row.insert(column.clone(), value);
                }
            }
        }
        row
    }

    fn columns(&mut self) -> Vec<(&'static str, Type)> {
        let count = self.below(4);
        COLUMNS.into_iter().take(count).map(|column| (column, self.column_type(3))).collect()
    }
}

fn field(name: &str, field_type: Type) -> Field {
    Field { name: name.to_owned(), field_type }
}

fn node_tables(view: &View) -> Vec<String> {
    let nodes = view.tables.iter().filter(|(_, table)| matches!(table.kind, TableKind::Node { .. }));
    nodes.map(|(name, _)| name.clone()).collect()
}

/// A schema step that is legal on `view`, if the draw allows one.
fn draw_step(tape: &mut Tape, view: &View) -> Option<SchemaStep> {
    let free: Vec<_> = TABLES.into_iter().filter(|name| !view.tables.contains_key(*name)).collect();
    let all: Vec<_> = view.tables.keys().cloned().collect();
    let nodes = node_tables(view);
    match tape.below(8) {
        0 | 1 => {
            let keys: Vec<_> = samples().iter().filter(|sample| sample.column_type.can_be_key()).collect();
            let key_type = tape.pick(&keys)?.column_type.clone();
            Some(create_table(tape.pick(&free)?, node_table((KEY, key_type), &tape.columns())))
        }
        2 => {
            let (from, to) = (tape.pick(&nodes)?, tape.pick(&nodes)?);
            Some(create_table(tape.pick(&free)?, edge_table(&[(from, to)], &tape.columns())))
        }
        3 => {
            let (from, to) = (tape.pick(&all)?.clone(), (*tape.pick(&free)?).to_owned());
            Some(SchemaStep::RenameTable { from, to })
        }
        4 => {
            let edge_tables: Vec<_> = all.into_iter().filter(|name| !nodes.contains(name)).collect();
            let table = tape.pick(&edge_tables)?.clone();
            Some(SchemaStep::AddPair { table, from: tape.pick(&nodes)?.clone(), to: tape.pick(&nodes)?.clone() })
        }
        5 | 6 => {
            let table = tape.pick(&all)?.clone();
            let new: Vec<_> = COLUMNS.into_iter().filter(|c| !view.tables[&table].columns.contains_key(*c)).collect();
            let column = (*tape.pick(&new)?).to_owned();
            Some(SchemaStep::AddColumn { table, column, column_type: tape.column_type(3) })
        }
        _ => {
            let table = tape.pick(&all)?.clone();
            let old: Vec<_> = view.tables[&table].columns.keys().filter(|column| *column != KEY).cloned().collect();
            let column = tape.pick(&old)?.clone();
            Some(SchemaStep::RetypeColumn { table, column, column_type: tape.column_type(3) })
        }
    }
}

/// Changes of edges: every edge may be updated or deleted, and new ones appear between nodes that stay.
fn draw_edges(tape: &mut Tape, view: &View, delta: &mut ViewDelta) {
    for (name, table) in &view.tables {
        let TableKind::Edge { pairs } = &table.kind else { continue };
        let mut changes = BTreeMap::new();
        for edge in view.edges[name].keys() {
            match tape.below(5) {
                0 => drop(changes.insert(edge.clone(), RowChange::Delete)),
                1 => drop(changes.insert(edge.clone(), RowChange::Update(tape.row(table)))),
                _ => {}
            }
        }
        let pairs: Vec<_> = pairs.iter().cloned().collect();
        for _ in 0..tape.below(6) {
            let Some((from, to)) = tape.pick(&pairs).cloned() else { continue };
            let (starts, ends) = (keys(view, &from), keys(view, &to));
            let (Some(start), Some(end)) = (tape.pick(&starts).cloned(), tape.pick(&ends).cloned()) else { continue };
            let edge = edge((&from, start), (&to, end), ["", "second", "\0"][tape.below(3)]);
            if !view.edges[name].contains_key(&edge) && !changes.contains_key(&edge) {
                let row = tape.row(table);
                changes.insert(edge, RowChange::Create(row));
            }
        }
        if !changes.is_empty() {
            delta.edges.insert(name.clone(), changes);
        }
    }
}

fn keys(view: &View, table: &str) -> Vec<Value> {
    view.nodes[table].keys().cloned().collect()
}

/// Changes of nodes: a node goes only when no edge touches it after `delta`'s edges.
fn draw_nodes(tape: &mut Tape, view: &View, delta: &mut ViewDelta) {
    let mut touched: BTreeSet<NodeRef> = BTreeSet::new();
    for (name, edges) in &view.edges {
        let changes = delta.edges.get(name);
        let stays = |edge: &&EdgeRef| changes.and_then(|changes| changes.get(edge)) != Some(&RowChange::Delete);
        touched.extend(edges.keys().filter(stays).flat_map(|edge| [edge.from.clone(), edge.to.clone()]));
        let created = changes.into_iter().flatten().filter(|(_, change)| matches!(change, RowChange::Create(_)));
        touched.extend(created.flat_map(|(edge, _)| [edge.from.clone(), edge.to.clone()]));
    }
    for name in node_tables(view) {
        let table = &view.tables[&name];
        let mut changes = BTreeMap::new();
        for key in keys(view, &name) {
            match tape.below(4) {
                0 if !touched.contains(&NodeRef { table: name.clone(), key: key.clone() }) => {
                    changes.insert(key, RowChange::Delete);
                }
                1 => drop(changes.insert(key, RowChange::Update(tape.row(table)))),
                _ => {}
            }
        }
        for _ in 0..tape.below(8) {
            let key = tape.value(&table.columns[KEY]);
            if key != Value::Null && !view.nodes[&name].contains_key(&key) {
                let row = tape.row(table);
                changes.entry(key).or_insert(RowChange::Create(row));
            }
        }
        if !changes.is_empty() {
            delta.nodes.insert(name, changes);
        }
    }
}

/// A delta that is legal on `view`.
fn draw_delta(tape: &mut Tape, view: &View) -> ViewDelta {
    let mut delta = ViewDelta::default();
    let mut after_schema = MemoryStore::default();
    after_schema.rebuild(view).unwrap();
    for _ in 0..tape.below(3) {
        if let Some(step) = draw_step(tape, after_schema.view()) {
            after_schema.apply(&schema([step.clone()])).unwrap();
            delta.schema.push(step);
        }
    }
    draw_edges(tape, after_schema.view(), &mut delta);
    draw_nodes(tape, after_schema.view(), &mut delta);
    delta
}

/// The same history on both, the Kùzu store in memory, or in a folder out of which it is opened again now and then.
fn agree(numbers: Vec<u16>, folder: Option<&Path>) -> Result<(), TestCaseError> {
    let mut tape = Tape { numbers: numbers.into_iter() };
    let mut both = folder.map_or_else(Both::new, Both::on_disk);
    while !tape.is_over() {
        let delta = draw_delta(&mut tape, both.memory.view());
        both.memory.apply(&delta).unwrap();
        if let Err(error) = both.kuzu.apply(&delta) {
            return Err(TestCaseError::fail(format!("{error}\nin {delta:#?}")));
        }
        let held = held(both.memory.view()).into_owned();
        let read = both.kuzu.read();
        prop_assert!(read.is_ok(), "{read:?}\nafter {delta:#?}");
        let differences = read.unwrap().differences(&held, 10);
        prop_assert!(differences.is_empty(), "{differences:#?}\nafter {delta:#?}");
        // A rebuild in the middle of a history changes nothing.
        if tape.below(20) == 1 {
            both.kuzu.rebuild(both.memory.view()).unwrap();
        }
        if let Some(folder) = folder.filter(|_| tape.below(3) == 1) {
            both = both.reopened(folder);
            let found = both.kuzu.read();
            prop_assert!(found.is_ok(), "{found:?}\nopened again after {delta:#?}");
            let differences = found.unwrap().differences(&held, 10);
            prop_assert!(differences.is_empty(), "{differences:#?}\nopened again after {delta:#?}");
            // What is held otherwise has other types in Kùzu, and a store that was opened knows of no others.
            if held != *both.memory.view() {
                both.kuzu.rebuild(both.memory.view()).unwrap();
            }
        }
    }
    both.check();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn kuzu_and_memory_agree_after_any_history(numbers in proptest::collection::vec(any::<u16>(), 0..3_000)) {
        agree(numbers, None)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_database_on_disk_agrees_after_any_history_however_often_it_is_opened(
        numbers in proptest::collection::vec(any::<u16>(), 0..1_000),
    ) {
        let folder = tempfile::tempdir().unwrap();
        agree(numbers, Some(folder.path()))?;
    }
}
