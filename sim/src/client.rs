//! The clients: what a generated step asks of a replica, given what that replica shows.
//!
//! Steps name tables and rows by number; the client turns them into statements that are legal where they are submitted.
//! The sample schema is made to collide: two replicas may create one table with different columns, one name with
//! different keys, or one edge table between different ends. One table has a column of every type, named after it.

mod schema;

use std::sync::LazyLock;

use kuzusync_core::clock::WallTime;
use kuzusync_core::ddl::{Column, Multiplicity, Rule};
use kuzusync_core::policy::Policy;
use kuzusync_core::statement::{EdgeName, Properties, Statement, Transaction};
use kuzusync_core::value::sample::samples;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{EdgeRef, TableKind, View};

use crate::step::Step;

/// Keys that generated nodes have: few, so that replicas create the same ones.
const KEYS: u32 = 8;

/// Columns of a wide table that one value of a step can reach.
const COLUMNS_PER_STEP: u32 = 3;

/// What a client knows of the place where it submits.
pub struct Surroundings {
    /// What its replica shows.
    pub view: View,
    /// What its wall clock shows.
    pub wall_ms: i64,
    /// Whether the database has a main.
    pub has_main: bool,
    /// Tables that can be brought back, and columns with their tables.
    pub dropped: Vec<(String, Option<String>)>,
}

/// The transaction a step stands for, without its identity, or why it can do nothing there.
///
/// # Errors
/// The reason, in words.
pub fn transaction(step: &Step, here: &Surroundings) -> Result<Transaction, &'static str> {
    let statements = match step {
        Step::CreateTable { table, .. } => create_table(*table, &here.view)?,
        Step::CreateNode { table, key, value, .. } => create_node(*table, *key, *value, &here.view)?,
        Step::CreateEdge { table, from, to, value, .. } => create_edge(*table, *from, *to, *value, &here.view)?,
        Step::Transact { what, row, column, value, .. } => together(*what, *row, *column, *value, &here.view)?,
        _ => vec![statement(step, here)?],
    };
    let transaction = Transaction { statements, ..Transaction::default() };
    match step {
        Step::UpdateNodeStrictly { .. } if !here.has_main => Err("only a main numbers what strict updates rely on"),
        Step::UpdateNodeStrictly { .. } => Ok(Transaction { is_strict: true, ..transaction }),
        Step::UpdateNodeEarlier { ago_ms, submilli_ns, .. } => {
            let ms = here.wall_ms.saturating_sub(i64::from(*ago_ms)).max(0);
            Ok(Transaction { created_at: Some(WallTime { ms, submilli_ns: submilli_ns % 1_000_000 }), ..transaction })
        }
        _ => Ok(transaction),
    }
}

/// Whether a statement writes rows and nothing else.
#[must_use]
pub fn is_data(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateNode { .. }
            | Statement::UpdateNode { .. }
            | Statement::IncrementNode { .. }
            | Statement::DeleteNode { .. }
            | Statement::CreateEdge { .. }
            | Statement::UpdateEdge { .. }
            | Statement::IncrementEdge { .. }
            | Statement::DeleteEdge { .. }
    )
}

fn statement(step: &Step, here: &Surroundings) -> Result<Statement, &'static str> {
    let view = &here.view;
    match step {
        Step::UpdateNode { row, column, value, .. }
        | Step::UpdateNodeStrictly { row, column, value, .. }
        | Step::UpdateNodeEarlier { row, column, value, .. } => {
            let (table, key) = node(*row, view)?;
            let properties = one_property(&table, *column, *value, view)?;
            Ok(Statement::UpdateNode { table, key, properties })
        }
        Step::IncrementNode { row, column, by, .. } => {
            let (table, key) = node(*row, view)?;
            let column = number(&table, *column, view)?;
            Ok(Statement::IncrementNode { table, key, column, by: Value::from(*by) })
        }
        Step::DeleteNode { row, .. } => {
            let (table, key) = node(*row, view)?;
            Ok(Statement::DeleteNode { table, key })
        }
        Step::UpdateEdge { row, column, value, .. } => {
            let edge = edge(*row, view)?;
            let properties = one_property(&edge.table, *column, *value, view)?;
            Ok(Statement::UpdateEdge { edge, properties })
        }
        Step::IncrementEdge { row, column, by, .. } => {
            let edge = edge(*row, view)?;
            let column = number(&edge.table, *column, view)?;
            Ok(Statement::IncrementEdge { edge, column, by: Value::from(*by) })
        }
        Step::DeleteEdge { row, .. } => Ok(Statement::DeleteEdge { edge: edge(*row, view)? }),
        Step::SetRule { table, rule, .. } => set_rule(*table, *rule, here),
        Step::ChangeSchema { table, column, change, .. } => schema::change(*table, *column, *change, here),
        Step::Constrain { table, column, constraint, .. } => constrain(*table, *column, *constraint, &here.view),
        _ => Err("it is no client's step"),
    }
}

fn columns(columns: &[(&str, Type)]) -> Vec<Column> {
    columns.iter().map(|(name, of)| Column::new(*name, of.clone())).collect()
}

fn node_table(table: &str, key: &str, definition: &[(&str, Type)]) -> Statement {
    Statement::CreateNodeTable { table: table.into(), columns: columns(definition), primary_key: key.into() }
}

fn edge_table(table: &str, from: &str, to: &str, definition: &[(&str, Type)]) -> Statement {
    Statement::CreateEdgeTable { table: table.into(), from: from.into(), to: to.into(), columns: columns(definition) }
}

/// The sample schema, a migration for each table. What stands here twice is what replicas disagree about.
fn sample_tables() -> Vec<Vec<Statement>> {
    use Type::{Bool, Double, Int64, Interval, String};
    let person =
        [("id", Int64), ("name", String), ("age", Int64), ("score", Double), ("active", Bool), ("visits", Int64)];
    let lives_in = edge_table("LIVES_IN", "Person", "City", &[("since", Int64)]);
    let in_one_city = Rule::Multiplicity(Multiplicity::ManyOne);
    vec![
        vec![node_table("Person", "id", &person)],
        vec![node_table("City", "name", &[("name", String), ("population", Int64)])],
        vec![edge_table("KNOWS", "Person", "Person", &[("since", Int64), ("note", String)])],
        vec![lives_in, Statement::SetRule { table: "LIVES_IN".into(), rule: in_one_city }],
        // One table, other columns, spellings and a contested type.
        vec![node_table("person", "ID", &[("ID", Int64), ("Name", String), ("age", String), ("email", String)])],
        // One name, another key.
        vec![node_table("City", "id", &[("id", Int64), ("name", String)])],
        // One edge table, other ends.
        vec![edge_table("KNOWS", "City", "City", &[("since", Int64)])],
        // A column of every type, and edges with values that cannot be bound as they are.
        vec![node_table("Sample", "id", &every_column("id", 0))],
        vec![edge_table(
            "MARKS",
            "Sample",
            "Sample",
            &[("of", Interval), ("as", sampled("UNION")), ("with", sampled("JSON["))],
        )],
        // The same table, each column of the type that comes after it.
        vec![node_table("sample", "ID", &every_column("ID", 1))],
    ]
}

/// A key and a column named after every sampled type, of the type so many places further.
fn every_column(key: &'static str, further: usize) -> Vec<(&'static str, Type)> {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| samples().iter().map(|sample| sample.column_type.to_string()).collect());
    let types = samples().iter().map(|sample| &sample.column_type).cycle().skip(further);
    let columns = NAMES.iter().zip(types).map(|(name, of)| (name.as_str(), of.clone()));
    std::iter::once((key, Type::Uuid)).chain(columns).collect()
}

/// The first sampled type whose name begins so.
fn sampled(begin: &str) -> Type {
    let found = samples().iter().find(|sample| sample.column_type.to_string().starts_with(begin));
    found.expect("the type is sampled").column_type.clone()
}

fn create_table(choice: u32, view: &View) -> Result<Vec<Statement>, &'static str> {
    let exists = |name: &str| view.tables.keys().any(|table| table.eq_ignore_ascii_case(name));
    let is_node = |name: &str| view.nodes.contains_key(name);
    let is_legal = |migration: &Vec<Statement>| match &migration[0] {
        Statement::CreateNodeTable { table, .. } => !exists(table),
        Statement::CreateEdgeTable { table, from, to, .. } => !exists(table) && is_node(from) && is_node(to),
        _ => false,
    };
    let legal: Vec<_> = sample_tables().into_iter().filter(is_legal).collect();
    pick(&legal, choice).cloned().ok_or("every sample table exists")
}

/// A merge rule that its table can have.
fn set_rule(table: u32, choice: u32, here: &Surroundings) -> Result<Statement, &'static str> {
    let names: Vec<_> = here.view.tables.keys().collect();
    let table = (*pick(&names, table).ok_or("there is no table")?).clone();
    let policies: Vec<Policy> =
        Policy::ALL.into_iter().filter(|policy| here.has_main || !policy.needs_main()).collect();
    let kinds = if here.view.edges.contains_key(&table) { 5 } else { 3 };
    let (kind, choice) = (choice % kinds, choice / kinds);
    let policy = *pick(&policies, choice).ok_or("there is no policy")?;
    let is_on = !choice.is_multiple_of(3);
    let rule = match kind {
        0 => Rule::Policy { column: None, policy },
        1 => {
            let columns = writable(&table, &here.view);
            let (column, _) = pick(&columns, choice / 4).ok_or("the table has no property")?;
            Rule::Policy { column: Some(column.clone()), policy }
        }
        2 => Rule::UpdateRevives(is_on),
        3 => Rule::Revive(is_on),
        _ => Rule::Multiplicity(match choice % 4 {
            0 => Multiplicity::ManyMany,
            1 => Multiplicity::ManyOne,
            2 => Multiplicity::OneMany,
            _ => Multiplicity::OneOne,
        }),
    };
    Ok(Statement::SetRule { table, rule })
}

/// A constraint that a column can have.
fn constrain(table: u32, column: u32, choice: u32, view: &View) -> Result<Statement, &'static str> {
    let names: Vec<_> = view.tables.keys().collect();
    let table = (*pick(&names, table).ok_or("there is no table")?).clone();
    let rule = if choice.is_multiple_of(2) {
        let columns = writable(&table, view);
        let (column, _) = pick(&columns, column).cloned().ok_or("the table has no property")?;
        Rule::Unique { column, is_on: !choice.is_multiple_of(8) }
    } else {
        let bound = (choice % 8 != 1).then(|| i64::from(choice % 3) * -10);
        Rule::AtLeast { column: number(&table, column, view)?, bound }
    };
    Ok(Statement::SetRule { table, rule })
}

/// What several replicas are to do together.
fn together(what: u32, row: u32, column: u32, value: u32, view: &View) -> Result<Vec<Statement>, &'static str> {
    let update = || {
        let (table, key) = node(row, view)?;
        let properties = one_property(&table, column, value, view)?;
        Ok(Statement::UpdateNode { table, key, properties })
    };
    let add = || {
        let (table, key) = node(row, view)?;
        let column = number(&table, column, view)?;
        Ok(Statement::IncrementNode { table, key, column, by: Value::from(i64::from(value % 11) - 5) })
    };
    let connect = || create_edge(value, row, column, value, view);
    let statements = match what % 6 {
        0 => vec![update()?],
        1 => connect()?,
        2 => vec![add()?],
        3 => [connect()?, vec![update()?]].concat(),
        4 => create_node(row, column, value, view)?,
        _ => give(row, column, value, view)?,
    };
    if statements.iter().all(is_data) { Ok(statements) } else { Err("there is no edge table yet") }
}

/// One row has less of something, and the next has it.
fn give(row: u32, column: u32, value: u32, view: &View) -> Result<Vec<Statement>, &'static str> {
    let by = i64::from(value % 5) + 1;
    let add = |row: u32, by: i64| {
        let (table, key) = node(row, view)?;
        let column = number(&table, column, view)?;
        Ok(Statement::IncrementNode { table, key, column, by: Value::from(by) })
    };
    Ok(vec![add(row, -by)?, add(row + 1, by)?])
}

fn create_node(table: u32, key: u32, value: u32, view: &View) -> Result<Vec<Statement>, &'static str> {
    let names: Vec<&String> = view.nodes.keys().collect();
    let Some(name) = pick(&names, table) else { return create_table(table, view) };
    let definition = &view.tables[*name];
    let TableKind::Node { primary_key } = &definition.kind else { return Err("it is no node table") };
    let rows = &view.nodes[*name];
    let key_type = &definition.columns[primary_key];
    let mut keys = (0..KEYS).map(|offset| (key + offset) % KEYS).map(|number| match key_type {
        Type::String => Value::String(format!("k{number}")),
        Type::Int64 => Value::Int64(i64::from(number)),
        other => sample(other, number),
    });
    let free = keys.find(|key| !rows.contains_key(key)).ok_or("every sample node exists")?;
    let mut properties = all_properties(name, value, view);
    properties.insert(primary_key.clone(), free);
    Ok(vec![Statement::CreateNode { table: (*name).clone(), properties }])
}

fn create_edge(table: u32, from: u32, to: u32, value: u32, view: &View) -> Result<Vec<Statement>, &'static str> {
    let names: Vec<&String> = view.edges.keys().collect();
    let Some(name) = pick(&names, table) else { return create_table(table, view) };
    let TableKind::Edge { pairs } = &view.tables[*name].kind else { return Err("it is no edge table") };
    let pairs: Vec<_> = pairs.iter().collect();
    let (from_table, to_table) = pick(&pairs, value).ok_or("the edge table has no pair")?;
    let key =
        |table: &str, row: u32| pick(&view.nodes[table].keys().collect::<Vec<_>>(), row).map(|key| (*key).clone());
    let (Some(from), Some(to)) = (key(from_table, from), key(to_table, to)) else { return Err("an end has no node") };
    let edge = EdgeName {
        table: (*name).clone(),
        from: (from_table.clone(), from),
        to: (to_table.clone(), to),
        discriminator: if value.is_multiple_of(5) { format!("d{}", value % 3) } else { String::new() },
    };
    if view.edges[*name].contains_key(&edge_ref(&edge)) {
        return Err("the edge exists");
    }
    Ok(vec![Statement::CreateEdge { edge, properties: all_properties(name, value, view) }])
}

fn edge_ref(name: &EdgeName) -> EdgeRef {
    let end = |(table, key): &(String, Value)| kuzusync_core::view::NodeRef { table: table.clone(), key: key.clone() };
    EdgeRef { from: end(&name.from), to: end(&name.to), discriminator: name.discriminator.clone() }
}

fn node(row: u32, view: &View) -> Result<(String, Value), &'static str> {
    let rows = view.nodes.iter().flat_map(|(table, rows)| rows.keys().map(move |key| (table, key)));
    let all: Vec<_> = rows.collect();
    pick(&all, row).map(|(table, key)| ((*table).clone(), (*key).clone())).ok_or("there is no node")
}

fn edge(row: u32, view: &View) -> Result<EdgeName, &'static str> {
    let rows = view.edges.iter().flat_map(|(table, rows)| rows.keys().map(move |edge| (table, edge)));
    let all: Vec<_> = rows.collect();
    let (table, edge) = pick(&all, row).ok_or("there is no edge")?;
    let end = |node: &kuzusync_core::view::NodeRef| (node.table.clone(), node.key.clone());
    let (from, to) = (end(&edge.from), end(&edge.to));
    Ok(EdgeName { table: (*table).clone(), from, to, discriminator: edge.discriminator.clone() })
}

/// The columns of a table that can be written.
fn writable(table: &str, view: &View) -> Vec<(String, Type)> {
    let definition = &view.tables[table];
    let is_key = |name: &String| matches!(&definition.kind, TableKind::Node { primary_key } if primary_key == name);
    definition.columns.iter().filter(|(name, _)| !is_key(name)).map(|(name, of)| (name.clone(), of.clone())).collect()
}

/// A column that can be incremented.
fn number(table: &str, column: u32, view: &View) -> Result<String, &'static str> {
    let columns: Vec<_> = writable(table, view).into_iter().filter(|(_, of)| of.is_summable()).collect();
    pick(&columns, column).map(|(name, _)| name.clone()).ok_or("the table has no number")
}

fn one_property(table: &str, column: u32, value: u32, view: &View) -> Result<Properties, &'static str> {
    let columns = writable(table, view);
    // Steps number few columns, so that replicas meet in them.
    let is_wide = columns.len() > 2 * COLUMNS_PER_STEP as usize;
    let column = if is_wide { column % COLUMNS_PER_STEP + value / 32 * COLUMNS_PER_STEP } else { column };
    let (name, column_type) = pick(&columns, column).ok_or("the table has no property")?;
    Ok(Properties::from([(name.clone(), property(column_type, value))]))
}

/// Most of a new row's properties: every third is left out.
fn all_properties(table: &str, value: u32, view: &View) -> Properties {
    let columns = writable(table, view);
    let numbered = (value..).zip(columns).filter(|(number, _)| !number.is_multiple_of(3));
    numbered.map(|(number, (name, column_type))| (name, property(&column_type, number))).collect()
}

fn property(column_type: &Type, value: u32) -> Value {
    if value % 11 == 10 {
        return Value::Null;
    }
    match column_type {
        Type::Bool => Value::Bool(value.is_multiple_of(2)),
        Type::Int64 => Value::Int64(i64::from(value) - 500),
        Type::Double => Value::from(f64::from(value) / 8.0),
        Type::String => {
            Value::String(if value.is_multiple_of(2) { format!("text {value}") } else { value.to_string() })
        }
        other => sample(other, value),
    }
}

/// A sample of the type, NULL if it is not sampled.
fn sample(column_type: &Type, number: u32) -> Value {
    let found = samples().iter().find(|sample| sample.column_type == *column_type);
    found.and_then(|sample| pick(&sample.values, number)).cloned().unwrap_or(Value::Null)
}

fn pick<T>(items: &[T], number: u32) -> Option<&T> {
    items.get(number as usize % items.len().max(1))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use kuzusync_core::ddl::Ddl;
    use kuzusync_core::view::Table;

    use super::*;

    /// Where the given sample tables exist.
    pub(super) fn surroundings(migrations: &[usize], has_main: bool) -> Surroundings {
        let mut view = View::default();
        let tables = migrations.iter().flat_map(|index| sample_tables().swap_remove(*index));
        for statement in tables {
            let (table, kind, columns) = match statement {
                Statement::CreateNodeTable { table, columns, primary_key } => {
                    view.nodes.insert(table.clone(), BTreeMap::from([(Value::from(1), Properties::new())]));
                    (table, TableKind::Node { primary_key }, columns)
                }
                Statement::CreateEdgeTable { table, from, to, columns } => {
                    view.edges.insert(table.clone(), BTreeMap::new());
                    (table, TableKind::Edge { pairs: [(from, to)].into() }, columns)
                }
                _ => continue,
            };
            let columns = columns.into_iter().map(|column| (column.name, column.column_type)).collect();
            view.tables.insert(table, kuzusync_core::view::Table { kind, columns });
        }
        Surroundings { view, wall_ms: 1_000, has_main, dropped: Vec::new() }
    }

    #[test]
    fn a_step_that_can_do_nothing_says_why() {
        let empty = surroundings(&[], true);
        let why = |step: &Step, here: &Surroundings| transaction(step, here).unwrap_err();
        assert_eq!(why(&Step::DeleteNode { replica: 0, row: 5 }, &empty), "there is no node");
        assert_eq!(why(&Step::UpdateEdge { replica: 0, row: 5, column: 0, value: 0 }, &empty), "there is no edge");
        assert_eq!(why(&Step::SetRule { replica: 0, table: 0, rule: 0 }, &empty), "there is no table");
        assert_eq!(why(&Step::Heal, &empty), "it is no client's step");
        let strict = Step::UpdateNodeStrictly { replica: 0, row: 0, column: 0, value: 0 };
        assert!(transaction(&strict, &surroundings(&[0], true)).unwrap().is_strict);
        assert!(why(&strict, &surroundings(&[0], false)).contains("only a main"));
    }

    #[test]
    fn a_node_without_a_table_becomes_the_table() {
        let step = Step::CreateNode { replica: 0, table: 0, key: 0, value: 0 };
        let made = transaction(&step, &surroundings(&[], true)).unwrap();
        assert!(matches!(made.statements.as_slice(), [Statement::CreateNodeTable { table, .. }] if table == "Person"));
        assert!(!made.statements.iter().all(is_data));
    }

    #[test]
    fn an_earlier_update_was_made_so_long_ago_on_the_hosts_clock() {
        let step = Step::UpdateNodeEarlier { replica: 0, row: 0, column: 0, value: 1, ago_ms: 300, submilli_ns: 7 };
        let made = transaction(&step, &surroundings(&[0], true)).unwrap();
        assert_eq!(made.created_at, Some(WallTime { ms: 700, submilli_ns: 7 }));
    }

    #[test]
    fn a_number_is_incremented_and_nothing_else() {
        let here = surroundings(&[0], true);
        for column in 0..9 {
            let step = Step::IncrementNode { replica: 0, row: 0, column, by: 2 };
            let made = transaction(&step, &here).unwrap().statements;
            let [Statement::IncrementNode { column, .. }] = made.as_slice() else { panic!("{made:?}") };
            assert!(["age", "visits"].contains(&column.as_str()), "{column}");
        }
    }

    #[test]
    fn every_rule_is_drawn_that_a_table_can_have_and_no_other() {
        let drawn = |has_main| {
            let here = surroundings(&[0, 2], has_main);
            let rule = |number: u32| set_rule(number % 2, number / 2, &here).unwrap();
            let rules: Vec<_> = (0..2_000).map(rule).collect();
            assert!(rules.iter().all(|statement| match statement {
                Statement::SetRule { table, rule: Rule::Revive(_) | Rule::Multiplicity(_) } => table == "KNOWS",
                _ => true,
            }));
            let count = |is: fn(&Rule<String>) -> bool| {
                rules
                    .iter()
                    .filter(|statement| matches!(statement, Statement::SetRule { rule, .. } if is(rule)))
                    .count()
            };
            assert!(count(|rule| matches!(rule, Rule::UpdateRevives(true))) > 0);
            assert!(count(|rule| matches!(rule, Rule::Revive(true))) > 0);
            assert!(count(|rule| matches!(rule, Rule::Multiplicity(Multiplicity::OneOne))) > 0);
            assert!(count(|rule| matches!(rule, Rule::Policy { column: Some(_), .. })) > 0);
            count(|rule| matches!(rule, Rule::Policy { policy, .. } if policy.needs_main()))
        };
        assert!(drawn(true) > 0);
        assert_eq!(drawn(false), 0, "what needs a main is set only where there is one");
    }

    #[test]
    fn every_type_is_a_column_that_two_replicas_disagree_about() {
        let definition = |table: &str| {
            let found = sample_tables().into_iter().flatten().find_map(|statement| match statement {
                Statement::CreateNodeTable { table: name, columns, primary_key } if name == table => {
                    Some(Ddl::CreateNodeTable { name, birth: 0, columns, primary_key })
                }
                _ => None,
            });
            found.unwrap()
        };
        let (here, there) = (definition("Sample"), definition("sample"));
        assert_eq!((here.check(), there.check()), (Ok(()), Ok(())));
        assert_eq!(here.table_id(), there.table_id());
        assert_eq!(here.columns().len(), samples().len() + 1);
        for (one, other) in here.columns().iter().zip(there.columns()).skip(1) {
            assert_eq!(one.name, one.column_type.to_string());
            assert_eq!(one.name, other.name);
            assert_ne!(one.column_type, other.column_type);
        }
    }

    #[test]
    fn a_step_reaches_every_column_and_every_sample() {
        let columns: BTreeMap<String, Type> = every_column("id", 0).into_iter().map(|(n, of)| (n.into(), of)).collect();
        let kind = TableKind::Node { primary_key: "id".into() };
        let mut view = View::default();
        view.tables.insert("Sample".into(), Table { kind, columns });
        let steps = (0..3).flat_map(|column| (0..1_000).map(move |value| (column, value)));
        let written: BTreeSet<(String, Value)> =
            steps.flat_map(|(column, value)| one_property("Sample", column, value, &view).unwrap()).collect();
        for sample in samples().iter().filter(|sample| !matches!(sample.column_type, Type::Bool | Type::Int64)) {
            let of_type = written.iter().filter(|(name, _)| *name == sample.column_type.to_string()).count();
            assert!(of_type > 1, "{}", sample.column_type);
        }
    }
}
