//! A database that was in use before, read for adoption: its own catalogue and rows, as [`Found`].
//!
//! The database is copied first and only the copy is opened, so nothing is ever done to the original, also not by what Kùzu
//! does on its own when it opens one. Close it before: what a running program has not written is not in the copy.
//!
//! Kùzu 0.11.3 does not tell everything. A default is shown as the text it was given as, without the sign of a negative
//! number; so a row that takes them all is made in the copy and read. The multiplicity of an edge table is in no
//! catalogue call; so the copy's schema is exported and read there.
//!
//! What no replica could agree on is refused by name ([`AdoptError`]), before anything is adopted: numbers that a
//! database hands out itself, defaults that come out differently each time, types without a counterpart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kuzusync_core::adopt::{Found, FoundIndex, number_edges};
use kuzusync_core::ddl::{IndexKind, Multiplicity};
use kuzusync_core::store::StoreError;
use kuzusync_core::store::text_index::TextIndex;
use kuzusync_core::value::Type;
use kuzusync_core::value::sample::samples;
use kuzusync_core::view::{NodeRef, Table, TableKind};

use crate::catalogue::NodeEnd;
use crate::engine::Engine;
use crate::reading::{self, KuzuIndex, Selection, texts};
use crate::statement::{self, DISCRIMINATOR, refused};
use crate::value::{content, single};

/// Why a database cannot be adopted as it is.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The system's.
    #[error("{} could not be copied or read: {error}", path.display())]
    Folder {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Kùzu's own, or what it says and no view can hold.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two replicas would hand out one number twice.
    #[error(
        "column `{column}` of table `{table}` is SERIAL: every replica would hand out the same numbers; copy the table to one \
         whose `{column}` is INT64 or UUID, and let the program choose the values"
    )]
    Serial {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A type without a counterpart.
    #[error("column `{column}` of table `{table}` is {found}: {problem}; copy it to a column of another type")]
    UnknownType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Kùzu's name for it.
        found: String,
        /// Why it cannot be.
        problem: String,
    },
    /// Two replicas would show different values.
    #[error(
        "the default of column `{column}` of table `{table}` is {default}, which is no constant: every replica would show \
         another value; add the column anew with a constant or without a default"
    )]
    VolatileDefault {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its text.
        default: String,
    },
    /// A name by which Kùzu cannot be asked about it.
    #[error("Kùzu cannot describe table `{table}` because its name contains a dot; rename it")]
    DottedName {
        /// The table.
        table: String,
    },
    /// What holds no rows of its own.
    #[error("`{name}` is of kind {kind}, neither nodes nor edges of this database; drop it or detach its database")]
    ForeignTable {
        /// Its name.
        name: String,
        /// Kùzu's name for what it is.
        kind: String,
    },
}

/// Reads a database file. A copy of it lies in `scratch`, an existing folder, while it is read.
///
/// # Errors
/// What cannot be adopted, and whatever keeps the database from being read.
pub fn read(database: &Path, scratch: &Path) -> Result<Found, AdoptError> {
    let folder = scratch.join("adopted");
    let in_folder = |path: &Path| {
        let path = path.to_owned();
        move |error| AdoptError::Folder { path, error }
    };
    fs::create_dir(&folder).map_err(in_folder(&folder))?;
    let copy = folder.join("copy.kuzu");
    fs::copy(database, &copy).map_err(in_folder(database))?;
    // What was written since the last checkpoint.
    let log = |file: &Path| PathBuf::from(format!("{}.wal", file.display()));
    if log(database).exists() {
        fs::copy(log(database), log(&copy)).map_err(in_folder(&log(database)))?;
    }
    let found = Engine::on_disk(&copy).map_err(AdoptError::from).and_then(|engine| {
        let mut reader = Reader { engine, found: Found::default(), default_texts: BTreeMap::new() };
        reader.read(&folder.join("schema"))?;
        Ok(reader.found)
    });
    fs::remove_dir_all(&folder).map_err(in_folder(&folder))?;
    found
}

/// A database half read.
struct Reader {
    engine: Engine,
    found: Found,
    /// The defaults that are not NULL, by table and column.
    default_texts: BTreeMap<String, BTreeMap<String, String>>,
}

/// The key columns of both tables of a pair.
type Ends = (NodeEnd, NodeEnd);

impl Reader {
    fn read(&mut self, schema_folder: &Path) -> Result<(), AdoptError> {
        let mut edges = Vec::new();
        for (name, kind, comment) in self.tables()? {
            if !comment.is_empty() {
                self.found.comments.insert(name.clone(), comment);
            }
            if name.contains('.') {
                return Err(AdoptError::DottedName { table: name });
            }
            match kind.as_str() {
                "NODE" => self.read_nodes(&name)?,
                "REL" => edges.push(name),
                _ => return Err(AdoptError::ForeignTable { name, kind }),
            }
        }
        let mut pairs = Vec::new();
        for name in edges {
            let ends = self.read_edges(&name)?;
            pairs.push((name, ends));
        }
        self.read_indexes()?;
        self.read_sequences()?;
        self.read_multiplicities(schema_folder)?;
        // Last, because it changes the copy.
        pairs.into_iter().try_for_each(|(name, ends)| self.read_edge_defaults(&name, &ends))?;
        let nodes: Vec<String> = self.found.view.nodes.keys().cloned().collect();
        nodes.into_iter().try_for_each(|name| self.read_node_defaults(&name))
    }

    fn tables(&mut self) -> Result<Vec<(String, String, String)>, AdoptError> {
        const TABLES: &str = "CALL show_tables() RETURN name, type, comment";
        let mut tables = Vec::new();
        for row in self.engine.execute(TABLES, Vec::new())? {
            let [name, kind, comment] = <[String; 3]>::try_from(texts(TABLES, row)?)
                .map_err(|row| refused(TABLES, format!("not a table: {row:?}")))?;
            tables.push((name, kind, comment));
        }
        Ok(tables)
    }

    /// The columns of a table and, for nodes, its key.
    fn columns(&mut self, table: &str) -> Result<(BTreeMap<String, Type>, Option<String>), AdoptError> {
        let (mut columns, mut key) = (BTreeMap::new(), None);
        let statement = statement::show_columns(table);
        for row in self.engine.execute(&statement, Vec::new())? {
            let [_, kuzu::Value::String(column), kuzu::Value::String(found), kuzu::Value::String(default), is_key] =
                row.as_slice()
            else {
                return Err(refused(statement, format!("not a column: {row:?}")).into());
            };
            let (table, column) = (table.to_owned(), column.clone());
            if found == "SERIAL" {
                return Err(AdoptError::Serial { table, column });
            }
            let of = found.parse::<Type>().map_err(|problem| AdoptError::UnknownType {
                table: table.clone(),
                column: column.clone(),
                found: found.clone(),
                problem: problem.to_string(),
            })?;
            if default != "NULL" {
                if !is_constant(default) {
                    return Err(AdoptError::VolatileDefault { table, column, default: default.clone() });
                }
                self.default_texts.entry(table).or_default().insert(column.clone(), default.clone());
            }
            if *is_key == kuzu::Value::Bool(true) {
                key = Some(column.clone());
            }
            columns.insert(column, of);
        }
        Ok((columns, key))
    }

    fn read_nodes(&mut self, name: &str) -> Result<(), AdoptError> {
        let (columns, key) = self.columns(name)?;
        let primary_key = key.ok_or_else(|| refused(statement::show_columns(name), "no key"))?;
        let table = Table { kind: TableKind::Node { primary_key }, columns };
        let rows = reading::node_rows(&mut self.engine, name, &table)?;
        self.found.view.nodes.insert(name.to_owned(), rows);
        self.found.view.tables.insert(name.to_owned(), table);
        Ok(())
    }

    fn read_edges(&mut self, name: &str) -> Result<Vec<Ends>, AdoptError> {
        let ends = reading::pairs(&mut self.engine, name)?;
        let (mut columns, _) = self.columns(name)?;
        // A store of ours tells parallel edges apart itself.
        let is_named = columns.get(DISCRIMINATOR) == Some(&Type::String);
        if is_named {
            columns.remove(DISCRIMINATOR);
        }
        let pairs = ends.iter().map(|(from, to)| (from.table.clone(), to.table.clone())).collect();
        let table = Table { kind: TableKind::Edge { pairs }, columns };
        let edges = reading::edges(&mut self.engine, name, &table, &ends, &self.found.view.tables, is_named)?;
        let edges = if is_named { edges.into_iter().collect() } else { number_edges(edges) };
        self.found.view.edges.insert(name.to_owned(), edges);
        self.found.view.tables.insert(name.to_owned(), table);
        Ok(ends)
    }

    fn read_indexes(&mut self) -> Result<(), AdoptError> {
        for KuzuIndex { index, columns, other_kind } in reading::indexes(&mut self.engine)? {
            let TextIndex { table, name: index } = index;
            match other_kind {
                None => {
                    let kind = IndexKind::FullText;
                    self.found.indexes.push(FoundIndex { table, index, kind, columns });
                }
                Some(kind) => {
                    self.found.left_behind.push(format!("index {index} of table {table}, of kind {kind}"));
                }
            }
        }
        Ok(())
    }

    fn read_sequences(&mut self) -> Result<(), AdoptError> {
        const SEQUENCES: &str = "CALL show_sequences() RETURN name";
        for row in self.engine.execute(SEQUENCES, Vec::new())? {
            let names = texts(SEQUENCES, row)?;
            self.found.left_behind.extend(names.into_iter().map(|name| format!("sequence {name}")));
        }
        Ok(())
    }

    /// Reads what Kùzu writes of the schema: `CREATE REL TABLE` with the name first and the multiplicity last.
    fn read_multiplicities(&mut self, folder: &Path) -> Result<(), AdoptError> {
        let text = statement::export_schema(&folder.display().to_string());
        self.engine.query(&text)?;
        let path = folder.join("schema.cypher");
        let schema = fs::read_to_string(&path).map_err(|error| AdoptError::Folder { path, error })?;
        for name in self.found.view.edges.keys() {
            let opening = format!("CREATE REL TABLE {} (", statement::quoted(name)?);
            let Some(line) = schema.lines().find(|line| line.starts_with(&opening)) else { continue };
            let limits = [Multiplicity::ManyOne, Multiplicity::OneMany, Multiplicity::OneOne];
            let is_last = |limit: &Multiplicity| line.ends_with(&format!("{});", limit.name().to_ascii_uppercase()));
            if let Some(limit) = limits.into_iter().find(is_last) {
                self.found.multiplicities.insert(name.clone(), limit);
            }
        }
        Ok(())
    }

    /// The columns of a table that have a default, with their types.
    fn defaulted(&self, name: &str) -> BTreeMap<String, Type> {
        let columns = &self.found.view.tables[name].columns;
        let texts = self.default_texts.get(name).into_iter().flat_map(BTreeMap::keys);
        texts.filter_map(|column| Some((column.clone(), columns.get(column)?.clone()))).collect()
    }

    fn take_defaults(
        &mut self,
        name: &str,
        text: &str,
        row: Vec<kuzu::Value>,
        selection: &Selection,
    ) -> Result<(), AdoptError> {
        for (column, value) in selection.read(text, row.into_iter())? {
            self.found.defaults.insert((name.to_owned(), column), value);
        }
        Ok(())
    }

    fn read_node_defaults(&mut self, name: &str) -> Result<(), AdoptError> {
        let columns = self.defaulted(name);
        if columns.is_empty() {
            return Ok(());
        }
        let (room, of) = self.make_room(name)?;
        let selection = Selection::of(columns.iter())?;
        let text = format!("CREATE {} RETURN {}", probe("n", &room)?, selection.expressions().join(", "));
        let key = ("n", single(content(Some(&room.node.key), &of), &of));
        let row = self.engine.execute(&text, vec![key])?.into_iter().next().unwrap_or_default();
        self.take_defaults(name, &text, row, &selection)
    }

    fn read_edge_defaults(&mut self, name: &str, ends: &[Ends]) -> Result<(), AdoptError> {
        let columns = self.defaulted(name);
        let Some((from, to)) = ends.first().filter(|_| !columns.is_empty()) else { return Ok(()) };
        let (start, start_type) = self.make_room(&from.table)?;
        let selection = Selection::of(columns.iter())?;
        let mut parameters = vec![("a", single(content(Some(&start.node.key), &start_type), &start_type))];
        let end = if from.table == to.table {
            "(a)".to_owned()
        } else {
            let (end, end_type) = self.make_room(&to.table)?;
            parameters.push(("b", single(content(Some(&end.node.key), &end_type), &end_type)));
            probe("b", &end)?
        };
        let edge = format!("CREATE {}-[n:{}]->{end}", probe("a", &start)?, statement::quoted(name)?);
        let text = format!("{edge} RETURN {}", selection.expressions().join(", "));
        let row = self.engine.execute(&text, parameters)?.into_iter().next().unwrap_or_default();
        self.take_defaults(name, &text, row, &selection)
    }

    /// A key that no node of a table has now, with its type.
    fn make_room(&mut self, table: &str) -> Result<(Probe, Type), AdoptError> {
        let definition = &self.found.view.tables[table];
        let TableKind::Node { primary_key } = &definition.kind else { unreachable!("edges join node tables") };
        let of = definition.columns[primary_key].clone();
        let known = self.found.view.nodes[table].keys().next().cloned();
        let sampled = || samples().iter().find(|sample| sample.column_type == of)?.values.first().cloned();
        let Some(key) = known.or_else(sampled) else {
            let problem = "the table is empty and no value of this type is known that could be its key".to_owned();
            let (table, column, found) = (table.to_owned(), primary_key.clone(), of.to_string());
            return Err(AdoptError::UnknownType { table, column, found, problem });
        };
        let probe = Probe { node: NodeRef { table: table.to_owned(), key }, primary_key: primary_key.clone() };
        let text = format!("MATCH {} DETACH DELETE n", self::probe("n", &probe)?);
        let key = ("n", single(content(Some(&probe.node.key), &of), &of));
        self.engine.execute(&text, vec![key])?;
        Ok((probe, of))
    }
}

/// A node that is made to be looked at.
struct Probe {
    node: NodeRef,
    primary_key: String,
}

/// `(variable:table {key: $variable})`.
fn probe(variable: &str, probe: &Probe) -> Result<String, StoreError> {
    let (table, key) = (statement::quoted(&probe.node.table)?, statement::quoted(&probe.primary_key)?);
    Ok(format!("({variable}:{table} {{{key}: ${variable}}})"))
}

/// Whether an expression gives the same everywhere: literals, and functions that are known to.
fn is_constant(expression: &str) -> bool {
    const CONSTANT: [&str; 8] = ["date", "timestamp", "interval", "duration", "uuid", "blob", "cast", "list_creation"];
    let mut outside = String::new();
    let (mut characters, mut quote) = (expression.chars(), None);
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, _) => outside.push(character.to_ascii_lowercase()),
        }
    }
    let calls = outside.split('(').rev().skip(1);
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let names: BTreeSet<&str> = calls.map(|before| before.rsplit(|c| !is_name(c)).next().unwrap_or("")).collect();
    names.iter().all(|name| name.is_empty() || CONSTANT.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_differently_each_time_is_no_constant() {
        for constant in
            ["0", "'now()'", "date('2020-01-01')", "[1,2]", "'it\\'s ('", "1 + (2 * 3)", "CAST('x' AS UUID)"]
        {
            assert!(is_constant(constant), "{constant}");
        }
        for volatile in
            ["current_timestamp()", "gen_random_uuid()", "1 + random()", "date(current_date())", "nextval('s')"]
        {
            assert!(!is_constant(volatile), "{volatile}");
        }
    }
}
