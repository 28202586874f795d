//! The text of every statement that is sent, and the quoting of names.
//!
//! Names come from people and stand between backticks, which they cannot contain. Values never stand in a text: they are
//! parameters, and inside a text only `$key` (one row) or `r.key` (a row of a list) stands for them. So the number of
//! texts is bounded by the number of schemas, and no value can be read as a statement.

use std::fmt::Display;

use kuzusync_core::store::StoreError;
use kuzusync_core::store::text_index::TextIndex;
use kuzusync_core::value::{Field, Type};
use kuzusync_core::view::{Table, TableKind};

use crate::catalogue::{EdgeShape, NodeEnd, NodeShape};
use crate::fidelity::{DIGITS_MAX, held_type};
use crate::value::travels_in_list;

/// The property of ours that tells parallel edges apart. No column of a user contains a `~`.
pub(crate) const DISCRIMINATOR: &str = "~discriminator";

/// A name that no table keeps: Kùzu takes a change of case for no change, and refuses it without a step between.
pub(crate) const BETWEEN_NAMES: &str = "~between names";

/// What happens to rows, one kind per statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Update,
    Delete,
}

/// How rows are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One row, its values as parameters.
    Single,
    /// A list of structs as the parameter `rows`.
    List,
}

impl Form {
    fn opening(self) -> &'static str {
        match self {
            Form::Single => "",
            Form::List => "UNWIND $rows AS r ",
        }
    }

    /// What a statement returns to say how many rows it found: one row each, which costs nothing, or their number,
    /// which costs a tenth of a millisecond.
    fn found(self) -> &'static str {
        match self {
            Form::Single => "RETURN 1",
            Form::List => "RETURN count(*)",
        }
    }

    /// What stands for the value of a field.
    fn value(self, field: &str, column_type: &Type) -> String {
        match self {
            Form::Single if travels_in_list(column_type) => format!("${field}[1]"),
            Form::Single => format!("${field}"),
            Form::List => format!("r.{field}"),
        }
    }
}

/// The field of a row with a node's key.
pub(crate) const KEY: &str = "k";
/// The field of a row with the key of an edge's start.
pub(crate) const FROM: &str = "a";
/// The field of a row with the key of an edge's end.
pub(crate) const TO: &str = "b";
/// The field of a row with an edge's discriminator.
pub(crate) const NAME: &str = "d";

/// The field of a row with the value of the column at `index` of its shape.
pub(crate) fn field(index: usize) -> String {
    format!("p{index}")
}

/// The refusal of a statement.
pub(crate) fn refused(statement: impl Into<String>, message: impl Display) -> StoreError {
    StoreError { store: "kuzu", statement: statement.into(), message: message.to_string() }
}

/// `name` between backticks.
///
/// # Errors
/// A name that cannot stand there; core lets none through.
pub(crate) fn quoted(name: &str) -> Result<String, StoreError> {
    if name.is_empty() || name.contains(['`', '\0']) {
        return Err(refused(format!("quote {name:?}"), "no name is empty or contains a backtick or NUL"));
    }
    Ok(format!("`{name}`"))
}

/// `text` as a literal, for the calls that take a table's name as a string. Kùzu unescapes by dropping the backslash,
/// whatever follows it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Makes a table. A node table's key column comes first: see [`crate::reading`].
pub(crate) fn create_table(name: &str, table: &Table) -> Result<String, StoreError> {
    let name = quoted(name)?;
    match &table.kind {
        TableKind::Node { primary_key } => {
            let key_type = table.columns.iter().filter(|(column, _)| *column == primary_key);
            let others = table.columns.iter().filter(|(column, _)| *column != primary_key);
            let columns = key_type.chain(others).map(definition).collect::<Result<Vec<_>, _>>()?.join(", ");
            Ok(format!("CREATE NODE TABLE {name} ({columns}, PRIMARY KEY ({}))", quoted(primary_key)?))
        }
        TableKind::Edge { pairs } => {
            let pairs = pairs.iter().map(|(from, to)| pair(from, to)).collect::<Result<Vec<_>, _>>()?.join(", ");
            let columns = table.columns.iter().map(|column| Ok(format!(", {}", definition(column)?)));
            let columns = columns.collect::<Result<Vec<_>, StoreError>>()?.concat();
            Ok(format!("CREATE REL TABLE {name} ({pairs}, {} STRING{columns})", quoted(DISCRIMINATOR)?))
        }
    }
}

fn definition((name, column_type): (&String, &Type)) -> Result<String, StoreError> {
    Ok(format!("{} {}", quoted(name)?, held_type(column_type)))
}

fn pair(from: &str, to: &str) -> Result<String, StoreError> {
    Ok(format!("FROM {} TO {}", quoted(from)?, quoted(to)?))
}

pub(crate) fn drop_table(name: &str) -> Result<String, StoreError> {
    Ok(format!("DROP TABLE {}", quoted(name)?))
}

pub(crate) fn rename_table(from: &str, to: &str) -> Result<String, StoreError> {
    Ok(format!("ALTER TABLE {} RENAME TO {}", quoted(from)?, quoted(to)?))
}

pub(crate) fn rename_column(table: &str, from: &str, to: &str) -> Result<String, StoreError> {
    Ok(format!("ALTER TABLE {} RENAME {} TO {}", quoted(table)?, quoted(from)?, quoted(to)?))
}

pub(crate) fn add_column(table: &str, column: &str, column_type: &Type) -> Result<String, StoreError> {
    Ok(format!("ALTER TABLE {} ADD {} {}", quoted(table)?, quoted(column)?, held_type(column_type)))
}

pub(crate) fn drop_column(table: &str, column: &str) -> Result<String, StoreError> {
    Ok(format!("ALTER TABLE {} DROP {}", quoted(table)?, quoted(column)?))
}

/// On an edge table only: on a node table the same statement crashes Kùzu 0.11.3.
pub(crate) fn add_pair(table: &str, from: &str, to: &str) -> Result<String, StoreError> {
    Ok(format!("ALTER TABLE {} ADD {}", quoted(table)?, pair(from, to)?))
}

/// Changes node rows with the fields [`KEY`] and one per column. Kùzu checks that a created key is new.
pub(crate) fn change_nodes(verb: Verb, form: Form, shape: &NodeShape) -> Result<String, StoreError> {
    let (opening, found) = (form.opening(), form.found());
    let node = format!(
        "{} {{{}: {}",
        quoted(&shape.end.table)?,
        quoted(&shape.end.primary_key)?,
        form.value(KEY, &shape.key_type)
    );
    Ok(match verb {
        Verb::Create => format!("{opening}CREATE (:{node}{}}})", cells(form, &shape.columns)?),
        Verb::Update => {
            format!("{opening}MATCH (n:{node}}}) SET {} {found}", assignments("n", form, &shape.columns)?)
        }
        Verb::Delete => format!("{opening}MATCH (n:{node}}}) DELETE n {found}"),
    })
}

/// Changes edge rows with the fields [`FROM`], [`TO`], [`NAME`] and one per column.
///
/// With one MATCH over the whole pattern, Kùzu joins a list with all edges of the table: six times slower.
pub(crate) fn change_edges(verb: Verb, form: Form, shape: &EdgeShape) -> Result<String, StoreError> {
    let (opening, found) = (form.opening(), form.found());
    let edge = format!("{} {{{}: {}", quoted(&shape.table)?, quoted(DISCRIMINATOR)?, form.value(NAME, &Type::String));
    let end = |end: &NodeEnd, field, key_type| {
        Ok(format!("{} {{{}: {}}}", quoted(&end.table)?, quoted(&end.primary_key)?, form.value(field, key_type)))
    };
    let [from_type, to_type] = &shape.key_types;
    let (from, to): (String, String) = (end(&shape.from, FROM, from_type)?, end(&shape.to, TO, to_type)?);
    let existing = format!("{opening}MATCH (a:{from}) MATCH (a)-[e:{edge}}}]->(b:{to})");
    Ok(match verb {
        Verb::Create => {
            let cells = cells(form, &shape.columns)?;
            format!("{opening}MATCH (a:{from}) MATCH (b:{to}) CREATE (a)-[:{edge}{cells}}}]->(b) {found}")
        }
        Verb::Update => format!("{existing} SET {} {found}", assignments("e", form, &shape.columns)?),
        Verb::Delete => format!("{existing} DELETE e {found}"),
    })
}

/// `, column: value` for every column.
fn cells(form: Form, columns: &[(String, Type)]) -> Result<String, StoreError> {
    let cell = |(index, (column, column_type)): (usize, &(String, Type))| {
        Ok(format!(", {}: {}", quoted(column)?, form.value(&field(index), column_type)))
    };
    columns.iter().enumerate().map(cell).collect()
}

/// `variable.column = value` for every column.
fn assignments(variable: &str, form: Form, columns: &[(String, Type)]) -> Result<String, StoreError> {
    let assignment = |(index, (column, column_type)): (usize, &(String, Type))| {
        Ok(format!("{variable}.{} = {}", quoted(column)?, form.value(&field(index), column_type)))
    };
    let assignments: Result<Vec<String>, StoreError> = columns.iter().enumerate().map(assignment).collect();
    Ok(assignments?.join(", "))
}

pub(crate) const MEMORY_USED: &str = "CALL bm_info() RETURN mem_usage";

pub(crate) const SHOW_TABLES: &str = "CALL show_tables() RETURN name, type";

pub(crate) fn show_columns(table: &str) -> String {
    format!("CALL table_info({}) RETURN *", literal(table))
}

pub(crate) fn show_pairs(table: &str) -> String {
    format!("CALL show_connection({}) RETURN *", literal(table))
}

/// The words that are looked for.
pub(crate) const WORDS: &str = "words";

pub(crate) const SHOW_INDEXES: &str = "CALL show_indexes() RETURN table_name, index_name, index_type, property_names";

/// Makes a full-text index. Kùzu writes the names into statements of its own: see [`crate::text_index`].
pub(crate) fn create_text_index(index: &TextIndex, columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| literal(column)).collect();
    let TextIndex { table, name } = index;
    format!("CALL CREATE_FTS_INDEX({}, {}, [{}])", literal(table), literal(name), columns.join(", "))
}

pub(crate) fn drop_text_index(TextIndex { table, name }: &TextIndex) -> String {
    format!("CALL DROP_FTS_INDEX({}, {})", literal(table), literal(name))
}

/// Returns the key of each node that has some of the words that are passed.
pub(crate) fn query_text_index(index: &TextIndex, primary_key: &str, key_type: &Type) -> Result<String, StoreError> {
    let TextIndex { table, name } = index;
    let key = readable("node", primary_key, key_type)?;
    Ok(format!("CALL QUERY_FTS_INDEX({}, {}, ${WORDS}) RETURN {key}", literal(table), literal(name)))
}

/// Returns these columns of every node.
pub(crate) fn scan_columns(table: &str, columns: &[String]) -> Result<String, StoreError> {
    let columns = columns.iter().map(|column| Ok(format!("n.{}", quoted(column)?)));
    Ok(format!("MATCH {} RETURN {}", node_pattern(table)?, columns.collect::<Result<Vec<_>, StoreError>>()?.join(", ")))
}

/// Writes the schema, without rows, to files in a new folder.
pub(crate) fn export_schema(folder: &str) -> String {
    format!("EXPORT DATABASE {} (schema_only=true)", literal(folder))
}

/// Every node of a table.
pub(crate) fn node_pattern(table: &str) -> Result<String, StoreError> {
    Ok(format!("(n:{})", quoted(table)?))
}

/// Every edge of a table between two others. Without their names Kùzu 0.11.3 looks at the columns of all node tables,
/// and gives up where two of them share the name of a union.
pub(crate) fn edge_pattern(table: &str, from: &NodeEnd, to: &NodeEnd) -> Result<String, StoreError> {
    Ok(format!("(a:{})-[n:{}]->(b:{})", quoted(&from.table)?, quoted(table)?, quoted(&to.table)?))
}

/// Returns no row of every column, in the table's order.
pub(crate) fn scan_header(pattern: &str) -> String {
    format!("MATCH {pattern} RETURN n.* LIMIT 0")
}

/// Returns one row with the names of the types of columns.
pub(crate) fn scan_types(pattern: &str, columns: &[String]) -> Result<String, StoreError> {
    let types = columns.iter().map(|column| Ok(format!("typeof(n.{})", quoted(column)?)));
    let types = types.collect::<Result<Vec<_>, StoreError>>()?.join(", ");
    Ok(format!("OPTIONAL MATCH {pattern} RETURN {types} LIMIT 1"))
}

/// What returns the value of column `n.column`: its own expression, and for a union first its tag, which the binding
/// drops.
pub(crate) fn selected(column: &str, column_type: &Type) -> Result<Vec<String>, StoreError> {
    let value = readable("n", column, column_type)?;
    Ok(match column_type {
        Type::Union(_) => vec![format!("union_tag({value})"), value],
        _ => vec![value],
    })
}

/// `variable.column` so that the binding reads it exactly: it cuts intervals into months of thirty days and panics at
/// long decimals, so they come as text.
fn readable(variable: &str, column: &str, column_type: &Type) -> Result<String, StoreError> {
    let column = format!("{variable}.{}", quoted(column)?);
    let shown = match column_type {
        Type::Decimal { precision, .. } if *precision > DIGITS_MAX => Type::String,
        other => with_text_for_intervals(other),
    };
    Ok(if shown == *column_type { column } else { format!("CAST({column} AS {shown})") })
}

fn with_text_for_intervals(of: &Type) -> Type {
    let boxed = |part: &Type| Box::new(with_text_for_intervals(part));
    match of {
        Type::Interval => Type::String,
        Type::List(element) => Type::List(boxed(element)),
        Type::Array(element, length) => Type::Array(boxed(element), *length),
        Type::Map(key, value) => Type::Map(boxed(key), boxed(value)),
        Type::Struct(fields) => {
            let field = |Field { name, field_type }: &Field| Field {
                name: name.clone(),
                field_type: with_text_for_intervals(field_type),
            };
            Type::Struct(fields.iter().map(field).collect())
        }
        plain => plain.clone(),
    }
}

/// Returns what is selected of every node.
pub(crate) fn scan_nodes(table: &str, selected: &[String]) -> Result<String, StoreError> {
    Ok(format!("MATCH {} RETURN {}", node_pattern(table)?, selected.join(", ")))
}

/// Returns both keys and what is selected of every edge between two tables.
pub(crate) fn scan_edges(
    table: &str,
    (from, from_type): (&NodeEnd, &Type),
    (to, to_type): (&NodeEnd, &Type),
    selected: &[String],
) -> Result<String, StoreError> {
    let (a, b) = (readable("a", &from.primary_key, from_type)?, readable("b", &to.primary_key, to_type)?);
    let returned = [a, b].into_iter().chain(selected.iter().cloned()).collect::<Vec<_>>().join(", ");
    Ok(format!("MATCH {} RETURN {returned}", edge_pattern(table, from, to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_between_its_quotes() {
        assert_eq!(quoted("a b").unwrap(), "`a b`");
        for bad in ["", "a`b", "a\0b"] {
            assert!(quoted(bad).is_err(), "{bad:?}");
        }
        assert_eq!(show_columns("O'Neil \\ x"), "CALL table_info('O\\'Neil \\\\ x') RETURN *");
    }

    #[test]
    fn values_stand_in_a_text_as_parameters() {
        let end = |table: &str| NodeEnd { table: table.to_owned(), primary_key: "id".to_owned() };
        let columns = vec![("x y".to_owned(), Type::Int64)];
        let nodes = NodeShape { end: end("N"), key_type: Type::Int64, columns: columns.clone() };
        let key_types = [Type::Int64, Type::Int64];
        let edges = EdgeShape { table: "E".to_owned(), from: end("N"), to: end("M"), key_types, columns };
        let create = change_nodes(Verb::Create, Form::List, &nodes).unwrap();
        assert_eq!(create, "UNWIND $rows AS r CREATE (:`N` {`id`: r.k, `x y`: r.p0})");
        let update = change_nodes(Verb::Update, Form::Single, &nodes).unwrap();
        assert_eq!(update, "MATCH (n:`N` {`id`: $k}) SET n.`x y` = $p0 RETURN 1");
        let create = change_edges(Verb::Create, Form::Single, &edges).unwrap();
        let ends = "MATCH (a:`N` {`id`: $a}) MATCH (b:`M` {`id`: $b})";
        assert_eq!(create, format!("{ends} CREATE (a)-[:`E` {{`~discriminator`: $d, `x y`: $p0}}]->(b) RETURN 1"));
        let delete = change_edges(Verb::Delete, Form::List, &edges).unwrap();
        let edge = "(a)-[e:`E` {`~discriminator`: r.d}]->(b:`M` {`id`: r.b})";
        let text = format!("UNWIND $rows AS r MATCH (a:`N` {{`id`: r.a}}) MATCH {edge} DELETE e RETURN count(*)");
        assert_eq!(delete, text);
    }
}
