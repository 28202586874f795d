//! Schema operations as data, and what can be judged of one without looking at any schema.
//!
//! An operation carries what its table's identity is derived from, never the identity itself, so no replica can claim
//! another's table. Names compare as Kùzu compares them: ASCII letters without case.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id::{ColumnId, Digest, TableId};
use crate::policy::Policy;
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
    /// Sets a merge rule of a table.
    SetRule {
        /// The table.
        table: TableId,
        /// The rule.
        rule: Rule<ColumnId>,
    },
}

impl Ddl {
    /// The columns it makes.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        match self {
            Ddl::CreateNodeTable { columns, .. } | Ddl::CreateEdgeTable { columns, .. } => columns,
            Ddl::SetRule { .. } => &[],
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
            Ddl::SetRule { table, .. } => return *table,
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
        let (Ddl::CreateNodeTable { name: table, .. } | Ddl::CreateEdgeTable { name: table, .. }) = self else {
            return Ok(());
        };
        check_name("table", table)?;
        let mut names = BTreeSet::new();
        for column in self.columns() {
            check_name("column", &column.name)?;
            column.column_type.check().map_err(|problem| Error::InvalidType {
                table: table.to_owned(),
                column: column.name.clone(),
                problem,
            })?;
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
            return Err(Error::KeyType {
                table: table.to_owned(),
                key: key.name.clone(),
                found: key.column_type.clone(),
            });
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
        let column =
            |(name, column_type): &(&str, Type)| Column { name: (*name).into(), column_type: column_type.clone() };
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
