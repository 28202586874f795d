//! The schema as people read it: by name, with everything that is set, and nothing of identities and claims.
//!
//! Two schemas of one shape are the same to everybody who uses them, whatever their histories were; what is dropped is
//! not in it. It is what `schema_state` reports (DDL Synchronisation, case B2) and what a return to an earlier version
//! restores (case B8).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kind, Schema, TableState};
use crate::ddl::{IndexKind, Multiplicity};
use crate::id::{ColumnId, Digest, TableId};
use crate::policy::Policy;
use crate::store::text_index::{TextIndex, TextIndexes};
use crate::value::{Type, Value};
use crate::view::TableKind;

/// What stands beside what everybody knows of and no store builds: Kùzu 0.11.3 has neither secondary indexes nor comments
/// on columns. It has full-text indexes, and builds them where it can be trusted with them, which only a store can tell
/// ([`GraphStore::index_texts`]).
///
/// [`GraphStore::index_texts`]: crate::store::GraphStore::index_texts
pub const RECORDED: &str = "recorded, not materialised";

/// What stands beside a full-text index where there is no store to ask.
pub const BUILT_OR_RECORDED: &str = "built where the store can be trusted with it, else recorded, not materialised";

/// All tables by name.
pub type Shape = BTreeMap<String, TableShape>;

/// The schema of a replica (DDL Synchronisation, case B2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaState {
    /// How many schema operations it knows.
    pub version: u64,
    /// Over the logical schema, what is dropped included.
    pub digest: Digest,
    /// Its tables.
    pub tables: Shape,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableShape {
    /// Nodes or edges.
    pub kind: TableKind,
    /// Its columns.
    pub columns: BTreeMap<String, ColumnShape>,
    /// Its indexes.
    pub indexes: BTreeMap<String, IndexShape>,
    /// What it is for, in somebody's words; [`RECORDED`].
    pub comment: Option<String>,
    /// Who wins where a column says nothing else.
    pub policy: Policy,
    /// Whether any write to a deleted row brings it back.
    pub update_revives: bool,
    /// Whether an edge keeps its ends alive.
    pub revive: bool,
    /// How many edges a node may have.
    pub multiplicity: Multiplicity,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnShape {
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: Type,
    /// What a row shows that was never given a value.
    pub default: Option<Value>,
    /// What it is for, in somebody's words; [`RECORDED`].
    pub comment: Option<String>,
    /// Who wins in it.
    pub policy: Policy,
    /// Whether no two rows may show the same value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
    /// The number that no row may fall below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
}

/// An index; [`RECORDED`] unless a store has built it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexShape {
    /// What it is for.
    pub kind: IndexKind,
    /// What it covers, in order.
    pub columns: Vec<String>,
}

impl TableShape {
    /// What stands in the catalogue of the replicas and not in the databases, a line each: indexes and comments. `built` are the
    /// full-text indexes of each store there is to ask.
    #[must_use]
    pub fn recorded(&self, table: &str, built: &BTreeMap<String, TextIndexes>) -> Vec<String> {
        let indexes = self.indexes.iter().filter_map(|(name, index)| {
            let kind = match index.kind {
                IndexKind::Value => "INDEX",
                IndexKind::FullText => "FULL-TEXT INDEX",
            };
            let text_index = TextIndex::new(table, name);
            let is_built = |(_, indexes): &(_, &TextIndexes)| indexes.contains_key(&text_index);
            let (has, lacks): (Vec<_>, Vec<_>) = built.iter().partition(is_built);
            let named = |stores: &[(&String, _)]| {
                let names: Vec<&str> = stores.iter().map(|(store, _)| store.as_str()).collect();
                names.join(", ")
            };
            if index.kind == IndexKind::FullText && built.is_empty() {
                return Some(format!("{kind} {name} ON {table}({}): {BUILT_OR_RECORDED}", index.columns.join(", ")));
            }
            let state = match (has.is_empty(), lacks.is_empty()) {
                (true, _) => RECORDED.to_owned(),
                (false, true) => return None,
                (false, false) => format!("built in {}; {RECORDED} in {}", named(&has), named(&lacks)),
            };
            Some(format!("{kind} {name} ON {table}({}): {state}", index.columns.join(", ")))
        });
        let comment = |of: String, comment: &Option<String>| {
            comment.as_ref().map(|comment| format!("COMMENT ON {of} {comment:?}: {RECORDED}"))
        };
        let columns =
            self.columns.iter().filter_map(|(name, column)| comment(format!("{table}.{name}"), &column.comment));
        indexes.chain(comment(table.to_owned(), &self.comment)).chain(columns).collect()
    }
}

impl Schema {
    /// Every table as it is shown, by name.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shown_names.iter().map(|(id, name)| (name.clone(), self.table_shape(*id, &self.tables[id]))).collect()
    }

    /// The full-text indexes that a store is asked to build: those of node tables whose columns are all `STRING`.
    #[must_use]
    pub fn text_indexes(&self) -> TextIndexes {
        let of_table = |(id, name): (&TableId, &String)| {
            let table = &self.tables[id];
            let is_of_nodes = matches!(table.kind, Kind::Node { .. });
            let indexes = table.indexes().filter(move |(_, index)| is_of_nodes && index.kind() == IndexKind::FullText);
            let wanted = indexes.filter_map(|(_, index)| {
                let column = |id: &ColumnId| {
                    let column = table.column(*id)?;
                    (*column.column_type() == Type::String).then(|| column.name().to_owned())
                };
                let columns = index.columns().iter().map(column).collect::<Option<Vec<String>>>()?;
                Some((TextIndex::new(name, index.name()), columns))
            });
            wanted.collect::<Vec<_>>()
        };
        self.shown_names.iter().flat_map(of_table).collect()
    }

    /// What a replica reports of its schema.
    #[must_use]
    pub fn state(&self) -> SchemaState {
        let version = self.version();
        SchemaState { version: version.operations, digest: version.digest, tables: self.shape() }
    }

    fn table_shape(&self, id: TableId, table: &TableState) -> TableShape {
        let columns = table.columns().map(|(id, column)| {
            let shape = ColumnShape {
                column_type: column.column_type().clone(),
                default: column.default().cloned(),
                comment: column.comment().map(str::to_owned),
                policy: table.column_policy(id),
                unique: column.is_unique(),
                at_least: column.at_least(),
            };
            (column.name().to_owned(), shape)
        });
        let indexes = table.indexes().map(|(_, index)| {
            let name = |column| table.column(column).map_or_else(String::new, |column| column.name().to_owned());
            let columns = index.columns().iter().map(|column| name(*column)).collect();
            (index.name().to_owned(), IndexShape { kind: index.kind(), columns })
        });
        TableShape {
            kind: self.shown_table(id).table.kind,
            columns: columns.collect(),
            indexes: indexes.collect(),
            comment: table.comment().map(str::to_owned),
            policy: table.policy(),
            update_revives: table.update_revives(),
            revive: table.revive(),
            multiplicity: table.multiplicity(),
        }
    }
}
