//! Change logs as rows and as files.
//!
//! A row has the columns of document E's minimum schema: one for each operation of a change, in order, and one for each
//! ruling of the main. `op` is `I`, `U` or `D` for a row of the graph, `S` for a change of the schema and `R` for a ruling.
//! An increment is a `U` whose payload is `{"column": {"increment": 5}}`.
//!
//! A file is NDJSON:
//!
//! * the first line is `{"__meta__": …}`: [`Meta`];
//! * then a line for each [`Row`]. The first of a change carries, beside the documented columns, the change itself as
//!   `delivery`: what a replica imports is that, exactly as it was written;
//! * the last is `{"__end__": {"count": …, "sha256": …}}`, the hash over the exact bytes of all lines before it.
//!
//! Whole numbers are JSON numbers of up to 64 bits and lose no digit; a value that JSON has no notation for is tagged with
//! its type, as in plan files: `{"date": "2024-02-29"}`.
//!
//! A file is read as a whole before anything of it is believed: a damaged, shortened, reordered or newer one is an error that
//! names the line. A *plain* file is one that another system wrote: its meta has no `format_version`, its rows nothing but
//! the documented columns, and its end is optional: see [`crate::foreign`]. (Sync Policy, case E8.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Plain, json};
use sha2::{Digest as _, Sha256};

use crate::change::{Cells, Change, Element, Node, Op};
use crate::clock::{VectorClock, WallTime};
use crate::foreign::{ForeignKey, ForeignOp, ForeignRow, ForeignTransaction};
use crate::id::{DatabaseId, ReplicaId, TableId, canonical_bytes};
use crate::message::{CHANGE_BYTES_MAX, Delivery, Role};
use crate::planted::{Bug, is_planted};
use crate::ruling::Ruling;
use crate::schema::{Kind, Schema};
use crate::value::Value;

/// The format that this build writes, and the newest it reads.
pub const FORMAT_VERSION: u64 = 1;

/// Rows of one transaction of a plain file at most.
const FOREIGN_ROWS_MAX: usize = Change::OPS_MAX;

/// The first line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u64,
    /// The graph.
    pub database: DatabaseId,
    /// The replica that wrote it.
    pub client_id: ReplicaId,
    /// What that replica is called.
    pub source_node: String,
    /// That replica's part.
    pub role: Role,
    /// The rows are those after this one.
    pub from_lsn: u64,
    /// The last row.
    pub to_lsn: u64,
    /// How many there are.
    pub count: u64,
    /// Schema operations that the writer knew.
    pub schema_version: u64,
    /// The writer's clock.
    pub clock: VectorClock,
}

/// A row of the change log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its number in the writer's log, without gaps.
    pub lsn: u64,
    /// The transaction.
    pub tx_id: String,
    /// The table, unless the row is of none.
    pub table_name: Option<String>,
    /// Which row of it.
    pub pk_json: Option<Plain>,
    /// What was done.
    pub op: String,
    /// What was written.
    pub payload: Option<Plain>,
    /// 1 for a delete.
    pub tombstone: u8,
    /// When, as an instant.
    pub created_at: String,
    /// Who did it.
    pub source_node: String,
    /// The change or ruling itself, on its first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

/// What one operation or ruling says in the documented columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// See [`Row::table_name`].
    pub table_name: Option<String>,
    /// See [`Row::pk_json`].
    pub pk_json: Option<Plain>,
    /// See [`Row::op`].
    pub op: &'static str,
    /// See [`Row::payload`].
    pub payload: Option<Plain>,
}

impl Columns {
    /// The columns of an operation, by the names that a schema gives.
    #[must_use]
    pub fn of_op(schema: &Schema, op: &Op) -> Columns {
        let columns = |element: &Element, op, payload| Columns {
            table_name: Some(schema.shown_name(element.table()).to_owned()),
            pk_json: Some(key(schema, element)),
            op,
            payload,
        };
        match op {
            Op::Insert { element, cells } => columns(element, "I", Some(payload(schema, element.table(), cells))),
            Op::Update { element, cells } => columns(element, "U", Some(payload(schema, element.table(), cells))),
            Op::Increment { element, column, by } => {
                let name = column_name(schema, element.table(), |table| Some(table.column(*column)?.name()));
                let by = json!({ name: { "increment": plain(by) } });
                columns(element, "U", Some(by))
            }
            Op::Delete { element } => columns(element, "D", None),
            Op::Schema(ddl) => Columns {
                table_name: Some(schema.shown_name(ddl.table_id()).to_owned()),
                pk_json: None,
                op: "S",
                payload: serde_json::to_value(ddl).ok(),
            },
        }
    }

    /// The columns of a ruling.
    #[must_use]
    pub fn of_ruling(ruling: &Ruling) -> Columns {
        Columns { table_name: None, pk_json: None, op: "R", payload: serde_json::to_value(ruling).ok() }
    }

    /// See [`Row::tombstone`].
    #[must_use]
    pub fn tombstone(&self) -> u8 {
        u8::from(self.op == "D")
    }
}

fn key(schema: &Schema, element: &Element) -> Plain {
    let end = |node: &Node| json!({ "table": schema.shown_name(node.table), "key": plain(&node.key) });
    match element {
        Element::Node(node) => {
            let name = column_name(schema, node.table, |table| match table.kind() {
                Kind::Node { key } => Some(table.column(*key)?.name()),
                Kind::Edge { .. } => None,
            });
            json!({ name: plain(&node.key) })
        }
        Element::Edge(edge) if edge.discriminator.is_empty() => {
            json!({ "from": end(&edge.from), "to": end(&edge.to) })
        }
        Element::Edge(edge) => {
            json!({ "from": end(&edge.from), "to": end(&edge.to), "discriminator": edge.discriminator })
        }
    }
}

fn column_name<'s>(
    schema: &'s Schema,
    table: TableId,
    name: impl FnOnce(&'s crate::schema::TableState) -> Option<&'s str>,
) -> String {
    schema.table(table).and_then(name).unwrap_or("?").to_owned()
}

fn payload(schema: &Schema, table: TableId, cells: &Cells) -> Plain {
    let named = cells
        .iter()
        .map(|(column, value)| (column_name(schema, table, |table| Some(table.column(*column)?.name())), plain(value)));
    Plain::Object(named.collect::<Map<_, _>>())
}

/// A value in plain JSON, tagged with its type where JSON has none like it.
#[must_use]
pub fn plain(value: &Value) -> Plain {
    let integer = value.as_integer();
    match value {
        Value::Null => Plain::Null,
        Value::Bool(value) => json!(value),
        Value::String(value) => json!(value),
        Value::Double(value) if value.get().is_finite() => json!(value.get()),
        _ => match integer.map(|number| (i64::try_from(number), u64::try_from(number))) {
            Some((Ok(number), _)) => json!(number),
            Some((_, Ok(number))) => json!(number),
            _ => serde_json::to_value(value).unwrap_or(Plain::Null),
        },
    }
}

/// The value that plain JSON stands for, before it is cast to its column's type.
#[must_use]
pub fn from_plain(json: &Plain) -> Option<Value> {
    Some(match json {
        Plain::Null => Value::Null,
        Plain::Bool(value) => Value::Bool(*value),
        Plain::String(text) => Value::String(text.clone()),
        Plain::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int64(number),
            (_, Some(number)) => Value::UInt64(number),
            _ => Value::from(number.as_f64()?),
        },
        Plain::Array(elements) => Value::List(elements.iter().map(from_plain).collect::<Option<_>>()?),
        Plain::Object(fields) => match serde_json::from_value::<Value>(json.clone()) {
            Ok(tagged) => tagged,
            Err(_) => {
                let field = |(name, value): (&String, &Plain)| Some((name.clone(), from_plain(value)?));
                Value::Struct(fields.iter().map(field).collect::<Option<_>>()?)
            }
        },
    })
}

// ---- writing ----

/// A file as text.
#[must_use]
pub fn write(meta: &Meta, rows: &[Row]) -> String {
    let mut text = String::new();
    let add = |text: &mut String, line: Plain| {
        text.push_str(&line.to_string());
        text.push('\n');
    };
    add(&mut text, json!({ "__meta__": meta }));
    for row in rows {
        // Not by way of a JSON value, which would sort the columns.
        text.push_str(&serde_json::to_string(row).expect("a row has text as keys"));
        text.push('\n');
    }
    let sha256 = sha256(text.as_bytes());
    add(&mut text, json!({ "__end__": { "count": rows.len(), "sha256": sha256 } }));
    text
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

// ---- reading ----

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct FileError {
    /// From 1.
    pub line: usize,
    /// What is wrong, with the remedy.
    pub problem: FileProblem,
}

/// See [`FileError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileProblem {
    /// Not the first line of a change-log file.
    #[error("a change-log file begins with a line {{\"__meta__\": …}}; this one does not ({0})")]
    NoMeta(String),
    /// Written by a newer build.
    #[error("the file has format {found}, and this build reads up to {known}; update it")]
    Newer {
        /// The file's.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// Cut short.
    #[error("the file ends before its last line {{\"__end__\": …}}: it was cut short; copy it again")]
    Truncated,
    /// Changed after it was written.
    #[error(
        "the SHA-256 of all lines before is {found}, and the file says {told}: it was damaged or edited; copy it again"
    )]
    Hash {
        /// Of the bytes.
        found: String,
        /// In the last line.
        told: String,
    },
    /// Lines are missing or too many.
    #[error("there are {found} rows, and the file says {told}; copy it again")]
    Count {
        /// Counted.
        found: u64,
        /// In the file.
        told: u64,
    },
    /// Not in its place.
    #[error("lsn {found} stands where {expected} has to: rows are missing or out of order; export the file again")]
    Order {
        /// In the row.
        found: u64,
        /// In its place.
        expected: u64,
    },
    /// Not a row.
    #[error("this is no row of a change log: {0}")]
    Row(String),
}

/// A file that was read and found whole.
#[derive(Clone, Debug, PartialEq)]
pub enum File {
    /// Of a replica of ours.
    Own {
        /// Its first line.
        meta: Box<Meta>,
        /// Its rows.
        rows: Vec<Row>,
    },
    /// Of another system.
    Plain {
        /// Its client.
        client_id: String,
        /// Its transactions in the order of their first rows, each with the line of that and its rows' numbers.
        transactions: Vec<PlainTransaction>,
    },
}

/// A transaction of a plain file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainTransaction {
    /// What was done.
    pub transaction: ForeignTransaction,
    /// The line of its first row, from 1.
    pub line: usize,
    /// The number of its first row.
    pub first_lsn: u64,
    /// The number of its last row.
    pub last_lsn: u64,
    /// Of each row the instant as it is written there.
    pub created_at: Vec<String>,
}

/// Reads a file.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(bytes: &[u8]) -> Result<File, FileError> {
    let at = |line: usize, problem: FileProblem| FileError { line, problem };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        at(line, FileProblem::Row("it is no UTF-8; copy the file again".to_owned()))
    })?;
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.first().copied().unwrap_or("");
    let no_meta = |why: String| at(1, FileProblem::NoMeta(why));
    let document: Plain = serde_json::from_str(first).map_err(|error| no_meta(error.to_string()))?;
    let meta = document.get("__meta__").ok_or_else(|| no_meta("it has no `__meta__`".to_owned()))?;
    match meta.get("format_version") {
        None => read_plain(meta, &lines, text),
        Some(version) => {
            let found = version.as_u64().ok_or_else(|| no_meta("`format_version` is no number".to_owned()))?;
            if found > FORMAT_VERSION {
                return Err(at(1, FileProblem::Newer { found, known: FORMAT_VERSION }));
            }
            let meta = Meta::deserialize(meta).map_err(|error| no_meta(error.to_string()))?;
            read_own(meta, &lines, text)
        }
    }
}

#[derive(Deserialize)]
struct End {
    count: u64,
    sha256: String,
}

/// The last line, if it is an end. It is checked against what comes before it.
fn end(lines: &[&str], text: &str) -> Result<Option<End>, FileError> {
    let Some(last) = lines.last().filter(|line| line.starts_with("{\"__end__\"")) else { return Ok(None) };
    let at = |problem| FileError { line: lines.len(), problem };
    if !text.ends_with('\n') {
        return Err(at(FileProblem::Truncated));
    }
    let read = serde_json::from_str::<BTreeMap<String, End>>(last).ok().and_then(|mut line| line.remove("__end__"));
    let end = read.ok_or_else(|| at(FileProblem::Truncated))?;
    let before = text.strip_suffix('\n').and_then(|text| text.rfind('\n')).map_or(0, |place| place + 1);
    let found = sha256(&text.as_bytes()[..before]);
    if found != end.sha256 && !is_planted(Bug::FileUnchecked) {
        return Err(at(FileProblem::Hash { found, told: end.sha256 }));
    }
    let found = lines.len() as u64 - 2;
    if found != end.count {
        return Err(at(FileProblem::Count { found, told: end.count }));
    }
    Ok(Some(end))
}

fn read_own(meta: Meta, lines: &[&str], text: &str) -> Result<File, FileError> {
    let at = |line: usize, problem: FileProblem| FileError { line, problem };
    let Some(End { count, .. }) = end(lines, text)? else { return Err(at(lines.len(), FileProblem::Truncated)) };
    if count != meta.count || meta.from_lsn.checked_add(count) != Some(meta.to_lsn) {
        return Err(at(1, FileProblem::Count { found: count, told: meta.count }));
    }
    let mut rows = Vec::with_capacity(lines.len() - 2);
    for (line, expected) in (2..lines.len()).zip(meta.from_lsn + 1..) {
        let row: Row =
            serde_json::from_str(lines[line - 1]).map_err(|error| at(line, FileProblem::Row(error.to_string())))?;
        if row.lsn != expected {
            return Err(at(line, FileProblem::Order { found: row.lsn, expected }));
        }
        if let Some(Delivery::Change(entry)) = &row.delivery {
            let bad = |why: String| at(line, FileProblem::Row(why));
            entry.change.check().map_err(|error| bad(error.to_string()))?;
            let bytes = canonical_bytes(entry.change.as_ref(), Vec::new()).len();
            if bytes > CHANGE_BYTES_MAX {
                return Err(bad(format!("its change takes {bytes} bytes, {CHANGE_BYTES_MAX} at most")));
            }
        }
        rows.push(row);
    }
    Ok(File::Own { meta: Box::new(meta), rows })
}

/// A row as another system writes it. `pk_json` and `payload` are JSON, or text that holds JSON.
#[derive(Deserialize)]
struct PlainRow {
    lsn: Option<u64>,
    tx_id: String,
    table_name: String,
    pk_json: Plain,
    op: String,
    #[serde(default)]
    payload: Plain,
    #[serde(default)]
    tombstone: u8,
    created_at: String,
    source_node: Option<String>,
}

fn read_plain(meta: &Plain, lines: &[&str], text: &str) -> Result<File, FileError> {
    let last = lines.len() - usize::from(end(lines, text)?.is_some());
    let word = |name: &str| meta.get(name).and_then(Plain::as_str).map(str::to_owned);
    let no_meta = |why: &str| FileError { line: 1, problem: FileProblem::NoMeta(why.to_owned()) };
    let client_id =
        word("client_id").or_else(|| word("source_node")).ok_or_else(|| no_meta("it has no `client_id`"))?;
    let default_source = word("source_node").unwrap_or_else(|| client_id.clone());
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut transactions: Vec<PlainTransaction> = Vec::new();
    let mut last_lsn = 0;
    for line in (2..=last).filter(|line| !lines[line - 1].trim().is_empty()) {
        let at = |problem: FileProblem| FileError { line, problem };
        let bad = |why: String| at(FileProblem::Row(why));
        let row: PlainRow = serde_json::from_str(lines[line - 1]).map_err(|error| bad(error.to_string()))?;
        let lsn = row.lsn.unwrap_or(last_lsn + 1);
        if lsn <= last_lsn {
            return Err(at(FileProblem::Order { found: lsn, expected: last_lsn + 1 }));
        }
        last_lsn = lsn;
        if row.tx_id.is_empty() {
            return Err(bad("its `tx_id` is empty; every row belongs to a transaction".to_owned()));
        }
        let source_node = row.source_node.clone().unwrap_or_else(|| default_source.clone());
        let (created_at, foreign) = (row.created_at.clone(), foreign_row(row).map_err(bad)?);
        let name = (source_node, foreign.0);
        let place = *places.entry(name.clone()).or_insert(transactions.len());
        if place == transactions.len() {
            let (source_node, tx_id) = name;
            let transaction = ForeignTransaction { source_node, tx_id, rows: Vec::new() };
            let (first_lsn, created_at) = (lsn, Vec::new());
            transactions.push(PlainTransaction { transaction, line, first_lsn, last_lsn: lsn, created_at });
        }
        let entry = &mut transactions[place];
        entry.last_lsn = lsn;
        entry.created_at.push(created_at);
        entry.transaction.rows.push(foreign.1);
        if entry.transaction.rows.len() > FOREIGN_ROWS_MAX {
            return Err(at(FileProblem::Row(format!("its transaction has more than {FOREIGN_ROWS_MAX} rows"))));
        }
    }
    Ok(File::Plain { client_id, transactions })
}

/// A row and its transaction's name.
fn foreign_row(row: PlainRow) -> Result<(String, ForeignRow), String> {
    let op = match (row.op.as_str(), row.tombstone) {
        ("I", 0) => ForeignOp::Insert,
        ("U", 0) => ForeignOp::Update,
        ("D", 0 | 1) => ForeignOp::Delete,
        (op @ ("I" | "U"), _) => return Err(format!("`op` is {op} and `tombstone` is set; one of them is wrong")),
        (op, _) => return Err(format!("`op` is `{op}`; it is I, U or D")),
    };
    let created_at: WallTime = row.created_at.parse().map_err(|error| format!("`created_at`: {error}"))?;
    let payload = match unwrap(row.payload)? {
        Plain::Null => BTreeMap::new(),
        Plain::Object(columns) => {
            let cell = |(name, value): (String, Plain)| {
                let value = from_plain(&value).ok_or_else(|| format!("`payload`: `{name}` is no value"))?;
                Ok::<_, String>((name, value))
            };
            columns.into_iter().map(cell).collect::<Result<_, _>>()?
        }
        other => return Err(format!("`payload` is {other}; it is an object of columns and their values")),
    };
    let key = foreign_key(&unwrap(row.pk_json)?)?;
    Ok((row.tx_id, ForeignRow { table: row.table_name, key, op, payload, created_at }))
}

/// JSON that may be wrapped in text, as a column of text holds it.
fn unwrap(json: Plain) -> Result<Plain, String> {
    match json {
        Plain::String(text) if text.trim_start().starts_with(['{', '[']) => {
            serde_json::from_str(&text).map_err(|error| format!("`{text}` is no JSON: {error}"))
        }
        other => Ok(other),
    }
}

fn foreign_key(json: &Plain) -> Result<ForeignKey, String> {
    let wrong = || {
        format!(
            "`pk_json` is {json}; it is {{\"<key column>\": value}} for a node, and {{\"from\": {{\"table\": …, \"key\": …}}, \
             \"to\": …}} for an edge"
        )
    };
    let end = |end: &Plain| Some((end.get("table")?.as_str()?.to_owned(), from_plain(end.get("key")?)?));
    match json {
        Plain::Object(fields) => match (fields.get("from"), fields.get("to"), fields.len()) {
            (Some(from), Some(to), _) => {
                let (from, to) = (end(from).ok_or_else(wrong)?, end(to).ok_or_else(wrong)?);
                let discriminator = fields.get("discriminator").and_then(Plain::as_str).unwrap_or("").to_owned();
                Ok(ForeignKey::Edge { from, to, discriminator })
            }
            (None, None, 1) => {
                let value = fields.values().next().and_then(from_plain);
                value.map(ForeignKey::Node).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        },
        Plain::Array(_) => Err(wrong()),
        scalar => from_plain(scalar).map(ForeignKey::Node).ok_or_else(wrong),
    }
}
