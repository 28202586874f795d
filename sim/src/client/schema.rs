//! Generated schema changes: few names and types, so that replicas claim the same ones and disagree about them.

use kuzusync_core::ddl::{Column, IndexKind, same_name};
use kuzusync_core::statement::Statement;
use kuzusync_core::store::refusing::Refusal;
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{TableKind, View};

use super::{Surroundings, pick, sample, writable};

const TABLES: [&str; 4] = ["Person", "City", "Place", "KNOWS"];
const COLUMNS: [&str; 5] = ["name", "Age", "note", "score", "rank"];

/// What databases refuse in generated plans: tables and columns that clients make, and their types.
pub(super) fn refusals() -> Vec<Refusal> {
    let tables = TABLES.map(|name| Refusal::Table(name.to_owned()));
    let columns = COLUMNS.map(|name| Refusal::Column(name.to_owned()));
    tables.into_iter().chain(columns).chain(types().map(Refusal::Type)).collect()
}

/// How many kinds of change there are, the frequent ones counted more than once.
const KINDS: u32 = 20;

fn types() -> [Type; 7] {
    [Type::Int64, Type::String, Type::Int32, Type::Double, Type::Int8, Type::UInt16, Type::Bool]
}

/// A change that is legal here, or why there is none.
pub(super) fn change(table: u32, column: u32, change: u32, here: &Surroundings) -> Result<Statement, &'static str> {
    let view = &here.view;
    let names: Vec<&String> = view.tables.keys().collect();
    let number = table;
    let table = (*pick(&names, table).ok_or("there is no table")?).clone();
    let (kind, choice) = (change % KINDS, change / KINDS);
    let property = || pick(&writable(&table, view), column).cloned().ok_or("the table has no property");
    let any_column = || {
        let columns: Vec<&String> = view.tables[&table].columns.keys().collect();
        pick(&columns, column).map(|name| (*name).clone()).ok_or("the table has no column")
    };
    match kind {
        0..=4 => {
            let name = free(&COLUMNS, choice, |name| has_column(view, &table, name))?;
            let column_type = pick(&types(), column).cloned().ok_or("there is no type")?;
            let default = (!choice.is_multiple_of(3)).then(|| falsy_or_sample(&column_type, choice));
            Ok(Statement::AddColumn { table, column: Column { name, column_type, default } })
        }
        5..=7 => Ok(Statement::DropColumn { column: property()?.0, table, cascade: true }),
        8 | 9 => {
            let column = any_column()?;
            let to = free(&COLUMNS, choice, |name| has_column(view, &table, name))?;
            Ok(Statement::RenameColumn { table, column, to })
        }
        10 => {
            // Few columns, and types that can be united where replicas meet in one.
            let columns = writable(&table, view);
            let (column, of) = pick(&columns, column % 3).ok_or("the table has no property")?;
            let others: Vec<&Type> = of.widening().iter().filter(|other| *other != of).collect();
            let column_type = (*pick(&others, choice).ok_or("the type has no wider one")?).clone();
            Ok(Statement::AlterColumnType { table, column: column.clone(), column_type })
        }
        11 => {
            let (column, _) = property()?;
            let column_type = pick(&types(), choice).cloned().ok_or("there is no type")?;
            Ok(Statement::AlterColumnType { table, column, column_type })
        }
        12 => {
            let to = free(&TABLES, choice, |name| view.tables.keys().any(|table| same_name(table, name)))?;
            Ok(Statement::RenameTable { table, to })
        }
        13 if view.nodes.contains_key(&table) => Ok(Statement::DropNodeTable { table, cascade: true }),
        13 => Ok(Statement::DropEdgeTable { table }),
        14 | 15 => match pick(&here.dropped, choice).ok_or("nothing is dropped")?.clone() {
            (table, None) => Ok(Statement::UndropTable { table }),
            (table, Some(column)) => Ok(Statement::UndropColumn { table, column }),
        },
        16 => {
            let edges: Vec<&String> = view.edges.keys().collect();
            let table = pick(&edges, number).ok_or("there is no edge table")?;
            pair(table, column, choice, view)
        }
        17 => {
            let (column, _) = property()?;
            let index = format!("by_{}", column.replace('~', "_"));
            Ok(Statement::CreateIndex { table, index, kind: IndexKind::Value, columns: vec![column] })
        }
        18 => Ok(Statement::CommentOnTable { table, comment: format!("comment {choice}") }),
        _ => {
            let column = any_column()?;
            Ok(Statement::CommentOnColumn { table, column, comment: format!("comment {choice}") })
        }
    }
}

/// A pair that the edge table lacks, or most times one it can spare.
fn pair(table: &str, column: u32, choice: u32, view: &View) -> Result<Statement, &'static str> {
    let TableKind::Edge { pairs } = &view.tables[table].kind else { return Err("only edge tables have pairs") };
    let table = table.to_owned();
    if !choice.is_multiple_of(3) && pairs.len() > 1 {
        let (from, to) =
            pick(&pairs.iter().collect::<Vec<_>>(), column).map(|pair| (*pair).clone()).ok_or("no pair")?;
        return Ok(Statement::DropPair { table, from, to });
    }
    let nodes: Vec<&String> = view.nodes.keys().collect();
    let all = nodes.iter().flat_map(|from| nodes.iter().map(move |to| ((*from).clone(), (*to).clone())));
    let lacking: Vec<(String, String)> = all.filter(|pair| !pairs.contains(pair)).collect();
    let (from, to) = pick(&lacking, column).cloned().ok_or("it has every pair")?;
    Ok(Statement::AddPair { table, from, to })
}

fn has_column(view: &View, table: &str, name: &str) -> bool {
    view.tables[table].columns.keys().any(|column| same_name(column, name))
}

/// One of the names that is not taken.
fn free(names: &[&str], choice: u32, is_taken: impl Fn(&str) -> bool) -> Result<String, &'static str> {
    let free: Vec<&&str> = names.iter().filter(|name| !is_taken(name)).collect();
    pick(&free, choice).map(|name| (**name).to_owned()).ok_or("every name is taken")
}

/// Half of the defaults are what a careless program takes for none.
fn falsy_or_sample(column_type: &Type, choice: u32) -> Value {
    match column_type {
        Type::Bool => Value::from(false),
        Type::String if choice.is_multiple_of(2) => Value::from(""),
        Type::Int64 if choice.is_multiple_of(2) => Value::from(0),
        other => sample(other, choice),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::client::tests::surroundings;

    #[test]
    fn every_kind_of_change_is_drawn_and_names_what_is_there() {
        let mut here = surroundings(&[0, 1, 2, 6], true);
        here.dropped = vec![("Gone".into(), None), ("City".into(), Some("gone".into()))];
        let drawn = (0..4).flat_map(|table| (0..200).map(move |number| (table, number)));
        let statements: Vec<Statement> =
            drawn.filter_map(|(table, number)| change(table, number / 3, number, &here).ok()).collect();
        let kinds: BTreeSet<String> = statements
            .iter()
            .map(|statement| format!("{statement:?}").split(' ').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(kinds.len(), 13, "{kinds:?}");
    }
}
