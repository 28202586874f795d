//! Schema operations as data, and what can be judged of one without looking at any schema.
//!
//! An operation carries what its table's identity is derived from, never the identity itself, so no replica can claim
//! another's table. Names compare as Kùzu compares them: ASCII letters without case.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id::{ColumnId, Digest, TableId};
use crate::value::Type;

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
}

/// One schema operation (DDL Synchronisation, cases B1.1 and B1.2).
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
}

impl Ddl {
    /// The name of the table it makes.
    #[must_use]
    pub fn table_name(&self) -> &str {
        match self {
            Ddl::CreateNodeTable { name, .. } | Ddl::CreateEdgeTable { name, .. } => name,
        }
    }

    /// The columns it makes.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        match self {
            Ddl::CreateNodeTable { columns, .. } | Ddl::CreateEdgeTable { columns, .. } => columns,
        }
    }

    /// The identity of the table it makes: equal on every replica that runs the same migration.
    #[must_use]
    pub fn table_id(&self) -> TableId {
        let (kind, name, signature, birth) = match self {
            Ddl::CreateNodeTable { name, birth, columns, primary_key } => {
                let key = columns.iter().find(|column| same_name(&column.name, primary_key));
                let key_type = key.map_or("", |column| column.column_type.name());
                ("node", name, format!("{} {key_type}", fold(primary_key)), birth)
            }
            Ddl::CreateEdgeTable { name, birth, .. } => ("edge", name, String::new(), birth),
        };
        let parts =
            [kind.as_bytes(), fold(name).as_bytes(), signature.as_bytes(), &birth.to_le_bytes()].map(<[u8]>::to_vec);
        TableId(Digest::of(&parts.each_ref().map(Vec::as_slice)).0)
    }

    /// Refuses what no schema could accept.
    ///
    /// # Errors
    /// The variants of [`Error`] about names, columns and keys, each naming the offender.
    pub fn check(&self) -> Result<(), Error> {
        let table = self.table_name();
        check_name("table", table)?;
        let mut names = BTreeSet::new();
        for column in self.columns() {
            check_name("column", &column.name)?;
            if !names.insert(fold(&column.name)) {
                return Err(Error::DuplicateColumn { table: table.to_owned(), column: column.name.clone() });
            }
        }
        let Ddl::CreateNodeTable { columns, primary_key, .. } = self else {
            return Ok(());
        };
        let Some(key) = columns.iter().find(|column| same_name(&column.name, primary_key)) else {
            return Err(Error::UnknownKeyColumn { table: table.to_owned(), key: primary_key.clone() });
        };
        if !key.column_type.can_be_key() {
            return Err(Error::KeyType { table: table.to_owned(), key: key.name.clone(), found: key.column_type });
        }
        Ok(())
    }
}

/// The identity of a table's column.
#[must_use]
pub fn column_id(table: TableId, name: &str) -> ColumnId {
    ColumnId(Digest::of(&[&table.0, fold(name).as_bytes(), &0_u32.to_le_bytes()]).0)
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
        let column = |&(name, column_type): &(&str, Type)| Column { name: name.into(), column_type };
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
        let id = ("id", Type::Int64);
        let long = "n".repeat(129);
        for bad in ["", "  ", "a~b", "a`b", "a\nb", "_ID", "_src_offset", "*", long.as_str()] {
            let refused = node_table(bad, &[id], "id").check();
            assert!(matches!(refused, Err(Error::InvalidName { what: "table", .. })), "{bad:?}: {refused:?}");
            let refused = node_table("T", &[id, (bad, Type::Bool)], "id").check();
            assert!(matches!(refused, Err(Error::InvalidName { what: "column", .. })), "{bad:?}: {refused:?}");
        }
        let twice = node_table("T", &[id, ("ID", Type::Bool)], "id").check();
        assert!(matches!(twice, Err(Error::DuplicateColumn { .. })), "{twice:?}");
        let no_key = node_table("T", &[id], "key").check();
        assert!(matches!(no_key, Err(Error::UnknownKeyColumn { .. })), "{no_key:?}");
        let bool_key = node_table("T", &[("id", Type::Bool)], "id").check();
        assert!(matches!(bool_key, Err(Error::KeyType { found: Type::Bool, .. })), "{bool_key:?}");
        assert_eq!(node_table("Name with spaces", &[id], "id").check(), Ok(()));
    }
}
