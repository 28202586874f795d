//! Schema operations as data, and what can be judged of one without looking at any schema.
//!
//! An operation carries what its table's identity is derived from, never the identity itself, so no replica can claim
//! another's table. Names compare as Kùzu compares them: ASCII letters without case.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id::{ColumnId, Digest, IndexId, TableId};
use crate::policy::Policy;
use crate::value::{Type, Value};

/// A column as it is created.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: Type,
    /// What a row shows that was never given a value: a constant, so every replica shows the same.
    #[serde(default)]
    pub default: Option<Value>,
}

impl Column {
    /// A column without a default.
    #[must_use]
    pub fn new(name: impl Into<String>, column_type: Type) -> Self {
        Column { name: name.into(), column_type, default: None }
    }

    /// Refuses what no table could have.
    fn check(&self, table: &str) -> Result<(), Error> {
        check_name("column", &self.name)?;
        check_type(table, &self.name, &self.column_type)?;
        match &self.default {
            Some(default) if !default.is_of(&self.column_type) => Err(Error::TypeMismatch {
                table: table.to_owned(),
                column: self.name.clone(),
                expected: self.column_type.clone(),
                found: default.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

/// What an index is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IndexKind {
    /// Equality and ranges of values.
    #[default]
    Value,
    /// Words in texts.
    FullText,
}

/// One rule by which a table's concurrent writes are merged; columns by `C`: identity or name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Rule<C> {
    /// Who wins, in the whole table or in one column.
    Policy {
        /// The column, `None` for the table and those of its columns that have no policy of their own.
        column: Option<C>,
        /// The policy.
        policy: Policy,
    },
    /// Whether any write to a deleted row brings it back, as an insert does.
    UpdateRevives(bool),
    /// Whether an edge keeps its ends alive against deletes that had not seen it.
    Revive(bool),
    /// How many edges a node may have on either side.
    Multiplicity(Multiplicity),
    /// Whether no two rows may show the same value: see [`crate::constraint`].
    Unique {
        /// The column.
        column: C,
        /// Whether it is promised.
        is_on: bool,
    },
    /// The number that no row may fall below: see [`crate::constraint`].
    AtLeast {
        /// The column.
        column: C,
        /// The bound; `None` for none.
        bound: Option<i64>,
    },
}

/// How many edges of a table a node may have on either side, in Kùzu's words: of `many_one` edges each node starts at most
/// one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Multiplicity {
    /// As many as there are.
    #[default]
    ManyMany,
    /// A node starts at most one.
    ManyOne,
    /// At most one ends in a node.
    OneMany,
    /// Both.
    OneOne,
}

impl Multiplicity {
    /// Kùzu's name, in small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Multiplicity::ManyMany => "many_many",
            Multiplicity::ManyOne => "many_one",
            Multiplicity::OneMany => "one_many",
            Multiplicity::OneOne => "one_one",
        }
    }

    /// Whether a node starts at most one edge.
    #[must_use]
    pub fn limits_starts(self) -> bool {
        matches!(self, Multiplicity::ManyOne | Multiplicity::OneOne)
    }

    /// Whether at most one edge ends in a node.
    #[must_use]
    pub fn limits_ends(self) -> bool {
        matches!(self, Multiplicity::OneMany | Multiplicity::OneOne)
    }
}

/// One schema operation: the whole of what a schema can go through (DDL Synchronisation, cases B1.1 to B1.13).
///
/// | operation | what it claims | a concurrent operation |
/// |---|---|---|
/// | create a table, add a column | existence, name, type, default | of the same identity is united with it |
/// | drop, undrop | existence | the greater rank decides |
/// | rename | the name | the greatest names it; of two that claim one name the greatest owns it |
/// | alter a type | the type, instead of the claims it had seen | claims it had not seen stay beside it |
/// | add a pair, drop a pair | that edges may connect two tables | an add that the drop had not seen stays |
/// | create an index, drop it | existence | of the same definition is the same index |
/// | comment, set a rule | one text, one rule | the greatest |
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ddl {
    /// Makes a node table.
    CreateNodeTable {
        /// Its name.
        name: String,
        /// The smallest number for which the author knew no table of this identity.
        birth: u32,
        /// Its columns, the primary key among them.
        columns: Vec<Column>,
        /// The name of the key column.
        primary_key: String,
    },
    /// Makes an edge table, or adds a FROM-TO pair to the table that another replica made under the same identity.
    CreateEdgeTable {
        /// Its name.
        name: String,
        /// The smallest number for which the author knew no table of this identity.
        birth: u32,
        /// The node table its edges start in.
        from: TableId,
        /// The node table its edges end in.
        to: TableId,
        /// Its property columns.
        columns: Vec<Column>,
    },
    /// Sets a merge rule of a table.
    SetRule {
        /// The table.
        table: TableId,
        /// The rule.
        rule: Rule<ColumnId>,
    },
    /// Hides a table. Its rows and whatever is done to it meanwhile stay for [`Ddl::UndropTable`].
    DropTable {
        /// The table.
        table: TableId,
    },
    /// Shows a dropped table again; of one that is there, claims that it is.
    UndropTable {
        /// The table.
        table: TableId,
    },
    /// Gives a table another name.
    RenameTable {
        /// The table.
        table: TableId,
        /// Its new name.
        name: String,
    },
    /// Makes a column.
    AddColumn {
        /// Its table.
        table: TableId,
        /// What it is.
        column: Column,
        /// The smallest number for which the author knew no column of this identity.
        birth: u32,
    },
    /// Hides a column. Its values stay for [`Ddl::UndropColumn`].
    DropColumn {
        /// Its table.
        table: TableId,
        /// The column.
        column: ColumnId,
    },
    /// Shows a dropped column again; of one that is there, claims that it is.
    UndropColumn {
        /// Its table.
        table: TableId,
        /// The column.
        column: ColumnId,
    },
    /// Gives a column another name.
    RenameColumn {
        /// Its table.
        table: TableId,
        /// The column.
        column: ColumnId,
        /// Its new name.
        name: String,
    },
    /// Gives a column another type, instead of those its author had seen claimed.
    AlterColumnType {
        /// Its table.
        table: TableId,
        /// The column.
        column: ColumnId,
        /// Its new type.
        column_type: Type,
    },
    /// Lets edges of a table connect two more node tables.
    AddPair {
        /// The edge table.
        table: TableId,
        /// Where they start.
        from: TableId,
        /// Where they end.
        to: TableId,
    },
    /// Hides the edges of a table that connect two node tables.
    DropPair {
        /// The edge table.
        table: TableId,
        /// Where they start.
        from: TableId,
        /// Where they end.
        to: TableId,
    },
    /// Makes an index. Two of one definition are one index.
    CreateIndex {
        /// Its table.
        table: TableId,
        /// Its name.
        name: String,
        /// What it is for.
        kind: IndexKind,
        /// The columns it covers, in order.
        columns: Vec<ColumnId>,
    },
    /// Ends an index.
    DropIndex {
        /// Its table.
        table: TableId,
        /// The index.
        index: IndexId,
    },
    /// Says what a table is for.
    CommentOnTable {
        /// The table.
        table: TableId,
        /// In words; none if empty.
        comment: String,
    },
    /// Says what a column is for.
    CommentOnColumn {
        /// Its table.
        table: TableId,
        /// The column.
        column: ColumnId,
        /// In words; none if empty.
        comment: String,
    },
}

impl Ddl {
    /// Bytes of a comment at most.
    pub const COMMENT_BYTES_MAX: usize = 4_096;

    /// The operation's name in the field's words.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Ddl::CreateNodeTable { .. } => "CREATE NODE TABLE",
            Ddl::CreateEdgeTable { .. } => "CREATE EDGE TABLE",
            Ddl::SetRule { .. } => "SET RULE",
            Ddl::DropTable { .. } => "DROP TABLE",
            Ddl::UndropTable { .. } => "UNDROP TABLE",
            Ddl::RenameTable { .. } => "RENAME TABLE",
            Ddl::AddColumn { .. } => "ADD COLUMN",
            Ddl::DropColumn { .. } => "DROP COLUMN",
            Ddl::UndropColumn { .. } => "UNDROP COLUMN",
            Ddl::RenameColumn { .. } => "RENAME COLUMN",
            Ddl::AlterColumnType { .. } => "ALTER COLUMN TYPE",
            Ddl::AddPair { .. } => "ADD PAIR",
            Ddl::DropPair { .. } => "DROP PAIR",
            Ddl::CreateIndex { .. } => "CREATE INDEX",
            Ddl::DropIndex { .. } => "DROP INDEX",
            Ddl::CommentOnTable { .. } => "COMMENT ON TABLE",
            Ddl::CommentOnColumn { .. } => "COMMENT ON COLUMN",
        }
    }

    /// The columns it makes.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        match self {
            Ddl::CreateNodeTable { columns, .. } | Ddl::CreateEdgeTable { columns, .. } => columns,
            Ddl::AddColumn { column, .. } => std::slice::from_ref(column),
            _ => &[],
        }
    }

    /// The identity of its table. That of a table it makes is equal on every replica that runs the same migration.
    #[must_use]
    pub fn table_id(&self) -> TableId {
        let (kind, name, signature, birth) = match self {
            Ddl::CreateNodeTable { name, birth, columns, primary_key } => {
                let key = columns.iter().find(|column| same_name(&column.name, primary_key));
                let key_type = key.map_or(String::new(), |column| column.column_type.to_string());
                ("node", name, format!("{} {key_type}", fold(primary_key)), birth)
            }
            Ddl::CreateEdgeTable { name, birth, .. } => ("edge", name, String::new(), birth),
            Ddl::SetRule { table, .. }
            | Ddl::DropTable { table }
            | Ddl::UndropTable { table }
            | Ddl::RenameTable { table, .. }
            | Ddl::AddColumn { table, .. }
            | Ddl::DropColumn { table, .. }
            | Ddl::UndropColumn { table, .. }
            | Ddl::RenameColumn { table, .. }
            | Ddl::AlterColumnType { table, .. }
            | Ddl::AddPair { table, .. }
            | Ddl::DropPair { table, .. }
            | Ddl::CreateIndex { table, .. }
            | Ddl::DropIndex { table, .. }
            | Ddl::CommentOnTable { table, .. }
            | Ddl::CommentOnColumn { table, .. } => return *table,
        };
        let parts =
            [kind.as_bytes(), fold(name).as_bytes(), signature.as_bytes(), &birth.to_le_bytes()].map(<[u8]>::to_vec);
        TableId(Digest::of(&parts.each_ref().map(Vec::as_slice)).0)
    }

    /// Refuses what no schema could accept.
    ///
    /// # Errors
    /// The variants of [`Error`] about names, columns, types, keys and comments, each naming the offender.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Ddl::CreateNodeTable { name, columns, primary_key, .. } => {
                check_name("table", name)?;
                check_columns(name, columns)?;
                check_key(name, columns, primary_key)
            }
            Ddl::CreateEdgeTable { name, columns, .. } => {
                check_name("table", name)?;
                check_columns(name, columns)
            }
            Ddl::RenameTable { name, .. } => check_name("table", name),
            Ddl::AddColumn { table, column, .. } => column.check(&table.short()),
            Ddl::RenameColumn { name, .. } => check_name("column", name),
            Ddl::AlterColumnType { table, column, column_type } => {
                check_type(&table.short(), &column.short(), column_type)
            }
            Ddl::CreateIndex { table, name, columns, .. } => {
                check_name("index", name)?;
                let mut covered = BTreeSet::new();
                match columns.iter().find(|column| !covered.insert(**column)) {
                    _ if columns.is_empty() => Err(Error::EmptyIndex { index: name.clone() }),
                    Some(twice) => Err(Error::DuplicateColumn { table: table.short(), column: twice.short() }),
                    None => Ok(()),
                }
            }
            Ddl::CommentOnTable { comment, .. } | Ddl::CommentOnColumn { comment, .. }
                if comment.len() > Self::COMMENT_BYTES_MAX =>
            {
                Err(Error::CommentTooLong { bytes: comment.len(), max: Self::COMMENT_BYTES_MAX })
            }
            _ => Ok(()),
        }
    }
}

fn check_columns(table: &str, columns: &[Column]) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for column in columns {
        column.check(table)?;
        if !names.insert(fold(&column.name)) {
            return Err(Error::DuplicateColumn { table: table.to_owned(), column: column.name.clone() });
        }
    }
    Ok(())
}

fn check_key(table: &str, columns: &[Column], primary_key: &str) -> Result<(), Error> {
    let Some(key) = columns.iter().find(|column| same_name(&column.name, primary_key)) else {
        return Err(Error::UnknownKeyColumn { table: table.to_owned(), key: primary_key.to_owned() });
    };
    if !key.column_type.can_be_key() {
        let (key, found) = (key.name.clone(), key.column_type.clone());
        return Err(Error::KeyType { table: table.to_owned(), key, found });
    }
    match &key.default {
        Some(_) => Err(Error::KeyDefault { table: table.to_owned(), key: key.name.clone() }),
        None => Ok(()),
    }
}

fn check_type(table: &str, column: &str, column_type: &Type) -> Result<(), Error> {
    let invalid = |problem| Error::InvalidType { table: table.to_owned(), column: column.to_owned(), problem };
    column_type.check().map_err(invalid)
}

/// The identity of the first column of that name in a table, such as those it is created with.
#[must_use]
pub fn column_id(table: TableId, name: &str) -> ColumnId {
    column_born(table, name, 0)
}

/// The identity of a column of that name: the one whose author knew `birth` others.
#[must_use]
pub fn column_born(table: TableId, name: &str, birth: u32) -> ColumnId {
    ColumnId(Digest::of(&[&table.0, fold(name).as_bytes(), &birth.to_le_bytes()]).0)
}

/// The identity of an index: its definition, whatever it is called.
#[must_use]
pub fn index_id(table: TableId, kind: IndexKind, columns: &[ColumnId]) -> IndexId {
    IndexId(Digest::of_value(&(table, kind, columns)).0)
}

/// The form in which names are compared.
#[must_use]
pub fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Whether two names are the same to Kùzu.
#[must_use]
pub fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Kùzu's own columns, in its lower case, which no table may define. It refuses them in CREATE TABLE and, worse, takes
/// them in ALTER TABLE.
pub const RESERVED: [&str; 12] = [
    "_id",
    "_label",
    "_src",
    "_dst",
    "_direction",
    "_length",
    "_nodes",
    "_rels",
    "_place_holder",
    "_row_offset",
    "_src_offset",
    "_dst_offset",
];

/// Bytes of a name at most.
const NAME_BYTES_MAX: usize = 128;

/// Refuses names that cannot be quoted, are Kùzu's own, or contain the `~` that marks the loser of a name.
fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    let problem = if name.trim().is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 128 bytes"
    } else if name.contains('~') {
        "`~` marks the loser of a contested name"
    } else if name == "*" {
        "`*` means every column, even quoted"
    } else if name.contains('`') {
        "a backtick cannot be quoted"
    } else if name.chars().any(char::is_control) {
        "it contains a control character"
    } else if RESERVED.iter().any(|reserved| same_name(reserved, name)) {
        "the name is Kùzu's own"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { what, name: name.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node_table(name: &str, columns: &[(&str, Type)], primary_key: &str) -> Ddl {
        let column = |(name, column_type): &(&str, Type)| Column::new(*name, column_type.clone());
        let columns = columns.iter().map(column).collect();
        Ddl::CreateNodeTable { name: name.into(), birth: 0, columns, primary_key: primary_key.into() }
    }

    #[test]
    fn one_migration_gives_one_identity_and_another_key_another() {
        let here = node_table("User", &[("id", Type::Int64)], "id");
        let there = node_table("USER", &[("ID", Type::Int64), ("name", Type::String)], "Id");
        let other_key = node_table("User", &[("id", Type::String)], "id");
        assert_eq!(here.table_id(), there.table_id());
        assert_ne!(here.table_id(), other_key.table_id());
    }

    #[test]
    fn every_bad_definition_is_refused_by_name() {
        let id = || ("id", Type::Int64);
        let long = "n".repeat(129);
        for bad in ["", "  ", "a~b", "a`b", "a\nb", "_ID", "_src_offset", "*", long.as_str()] {
            let refused = node_table(bad, &[id()], "id").check();
            assert!(matches!(refused, Err(Error::InvalidName { what: "table", .. })), "{bad:?}: {refused:?}");
            let refused = node_table("T", &[id(), (bad, Type::Bool)], "id").check();
            assert!(matches!(refused, Err(Error::InvalidName { what: "column", .. })), "{bad:?}: {refused:?}");
        }
        let twice = node_table("T", &[id(), ("ID", Type::Bool)], "id").check();
        assert!(matches!(twice, Err(Error::DuplicateColumn { .. })), "{twice:?}");
        let no_key = node_table("T", &[id()], "key").check();
        assert!(matches!(no_key, Err(Error::UnknownKeyColumn { .. })), "{no_key:?}");
        let bool_key = node_table("T", &[("id", Type::Bool)], "id").check();
        assert!(matches!(bool_key, Err(Error::KeyType { found: Type::Bool, .. })), "{bool_key:?}");
        assert_eq!(node_table("Name with spaces", &[id()], "id").check(), Ok(()));
    }
}
