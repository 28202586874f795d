//! The rules file: how a database's tables are merged, as a person writes it down.
//!
//! ```toml
//! [tables.User]
//! policy = "prefer_main"            # auto, last_write_wins, prefer_main, server_order
//! update_revives = true             # any write to a deleted row brings it back
//! columns.email = "last_write_wins" # a column's own policy
//! unique.email = true               # no two rows may show the same: written only with a vote
//! at_least.stock = 0                # no row may show less: written only with a vote
//!
//! [tables.LIVES_IN]
//! revive = true                     # an edge keeps its ends alive against deletes that had not seen it
//! multiplicity = "many_one"         # many_many, many_one, one_many, one_one
//! ```
//!
//! Rules are part of the replicated schema, so a file is issued once, as schema changes, and from then on says what the
//! schema says: a file that says something else is an error that names both, since no replica may follow rules of its own.
//! (Sync Policy, case E11.)

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::ddl::{Multiplicity, Rule};
use crate::id::ColumnId;
use crate::policy::Policy;
use crate::schema::{ColumnState, Schema, TableState};
use crate::statement::Statement;

/// What is wrong with a rules file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RulesError {
    /// From 1.
    pub line: usize,
    /// What is wrong, with the remedy.
    pub problem: RulesProblem,
}

/// See [`RulesError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesProblem {
    /// No TOML, a key that is none, or a value that its key cannot have.
    #[error("{0}")]
    Malformed(String),
    /// A table that the schema does not have.
    #[error("there is no table `{0}`; create it first, or mend the name")]
    UnknownTable(String),
    /// A column that its table does not have.
    #[error("table `{table}` has no column `{column}`; add it first, or mend the name")]
    UnknownColumn {
        /// The table.
        table: String,
        /// As it stands in the file.
        column: String,
    },
    /// The schema says something else.
    #[error(
        "{rule} of {of} is {file} in the file and {schema} in the schema; mend the file, or change the schema with a SetRule \
         statement"
    )]
    Differs {
        /// The table, or the column of the table.
        of: String,
        /// The rule.
        rule: &'static str,
        /// By the file.
        file: String,
        /// By the schema.
        schema: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tables: BTreeMap<String, Spanned<Table>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    policy: Option<Spanned<Policy>>,
    update_revives: Option<Spanned<bool>>,
    revive: Option<Spanned<bool>>,
    multiplicity: Option<Spanned<Multiplicity>>,
    #[serde(default)]
    columns: BTreeMap<String, Spanned<Policy>>,
    #[serde(default)]
    unique: BTreeMap<String, Spanned<bool>>,
    #[serde(default)]
    at_least: BTreeMap<String, Spanned<i64>>,
}

/// One rule of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    line: usize,
    table: String,
    rule: Rule<String>,
}

/// A rules file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesFile {
    lines: Vec<Line>,
}

impl RulesFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`RulesProblem::Malformed`], with the line.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let file: File = parse_toml(text)?;
        let mut lines = Vec::new();
        for (table, rules) in &file.tables {
            let mut add = |span: Range<usize>, rule| {
                lines.push(Line { line: line_of(text, span.start), table: table.clone(), rule });
            };
            let Table { policy, update_revives, revive, multiplicity, columns, unique, at_least } = rules.get_ref();
            if let Some(policy) = policy {
                add(policy.span(), Rule::Policy { column: None, policy: *policy.get_ref() });
            }
            for (column, policy) in columns {
                add(policy.span(), Rule::Policy { column: Some(column.clone()), policy: *policy.get_ref() });
            }
            if let Some(is_on) = update_revives {
                add(is_on.span(), Rule::UpdateRevives(*is_on.get_ref()));
            }
            if let Some(is_on) = revive {
                add(is_on.span(), Rule::Revive(*is_on.get_ref()));
            }
            if let Some(multiplicity) = multiplicity {
                add(multiplicity.span(), Rule::Multiplicity(*multiplicity.get_ref()));
            }
            for (column, is_on) in unique {
                add(is_on.span(), Rule::Unique { column: column.clone(), is_on: *is_on.get_ref() });
            }
            for (column, bound) in at_least {
                add(bound.span(), Rule::AtLeast { column: column.clone(), bound: Some(*bound.get_ref()) });
            }
        }
        Ok(RulesFile { lines })
    }

    /// The statements that issue the file: a client submits them, once, in one transaction.
    pub fn statements(&self) -> impl Iterator<Item = Statement> {
        self.lines.iter().map(|line| Statement::SetRule { table: line.table.clone(), rule: line.rule.clone() })
    }

    /// Compares the file with a schema.
    ///
    /// # Errors
    /// The first rule, by line, about which the two differ.
    pub fn check(&self, schema: &Schema) -> Result<(), RulesError> {
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        lines.sort_by_key(|line| line.line);
        lines
            .into_iter()
            .try_for_each(|line| line.check(schema).map_err(|problem| RulesError { line: line.line, problem }))
    }
}

impl Line {
    fn check(&self, schema: &Schema) -> Result<(), RulesProblem> {
        let unknown = || RulesProblem::UnknownTable(self.table.clone());
        let (_, table) = schema.table_named(&self.table).ok_or_else(unknown)?;
        let (file_bound, schema_bound);
        let (rule, file, schema) = match &self.rule {
            Rule::Policy { column: None, policy } => ("policy", policy.name(), table.policy().name()),
            Rule::Policy { column: Some(column), policy } => {
                ("policy", policy.name(), self.column_policy(table, column)?.name())
            }
            Rule::UpdateRevives(is_on) => ("update_revives", word(*is_on), word(table.update_revives())),
            Rule::Revive(is_on) => ("revive", word(*is_on), word(table.revive())),
            Rule::Multiplicity(multiplicity) => ("multiplicity", multiplicity.name(), table.multiplicity().name()),
            Rule::Unique { column, is_on } => {
                let (_, column) = self.column(table, column)?;
                ("unique", word(*is_on), word(column.is_unique()))
            }
            Rule::AtLeast { column, bound } => {
                let (_, column) = self.column(table, column)?;
                (file_bound, schema_bound) = (bound_text(*bound), bound_text(column.at_least()));
                ("at_least", file_bound.as_str(), schema_bound.as_str())
            }
        };
        if file == schema {
            return Ok(());
        }
        let of = match &self.rule {
            Rule::Unique { column, .. } | Rule::AtLeast { column, .. } | Rule::Policy { column: Some(column), .. } => {
                format!("column `{column}` of table `{}`", self.table)
            }
            _ => format!("table `{}`", self.table),
        };
        Err(RulesProblem::Differs { of, rule, file: file.to_owned(), schema: schema.to_owned() })
    }

    fn column_policy(&self, table: &TableState, column: &str) -> Result<Policy, RulesProblem> {
        Ok(table.column_policy(self.column(table, column)?.0))
    }

    fn column<'t>(&self, table: &'t TableState, column: &str) -> Result<(ColumnId, &'t ColumnState), RulesProblem> {
        let unknown = || RulesProblem::UnknownColumn { table: self.table.clone(), column: column.to_owned() };
        table.column_named(column).ok_or_else(unknown)
    }
}

fn bound_text(bound: Option<i64>) -> String {
    bound.map_or_else(|| "none".to_owned(), |bound| bound.to_string())
}

fn word(is_on: bool) -> &'static str {
    if is_on { "true" } else { "false" }
}

fn parse_toml<T: DeserializeOwned>(text: &str) -> Result<T, RulesError> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        RulesError { line, problem: RulesProblem::Malformed(error.message().trim().to_owned()) }
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Rank, Timestamp};
    use crate::ddl::{Column, Ddl};
    use crate::id::{ChangeId, ReplicaId};
    use crate::value::Type;

    const FILE: &str = r#"
[tables.User]
policy = "prefer_main"
update_revives = true
columns.email = "last_write_wins"

[tables.LIVES_IN]
revive = true
multiplicity = "many_one"
"#;

    /// A schema with both tables, in which the file was issued or not.
    fn schema(is_issued: bool) -> Schema {
        let mut schema = Schema::default();
        let mut index = 0;
        let mut join = |schema: &mut Schema, ddl: &Ddl| {
            index += 1;
            let change = ChangeId { replica: ReplicaId([1; 16]), seq: 1 };
            let (authority_epoch, link_epoch, timestamp) = (0, 0, Timestamp::at_ms(1));
            schema.join(
                Rank { authority_epoch, link_epoch, timestamp, change, index },
                &crate::clock::Seen::default(),
                ddl,
            );
        };
        let column = |name: &str| Column::new(name, Type::String);
        let columns = vec![column("id"), column("email")];
        let user = Ddl::CreateNodeTable { name: "User".into(), birth: 0, columns, primary_key: "id".into() };
        let (from, to) = (user.table_id(), user.table_id());
        let lives_in = Ddl::CreateEdgeTable { name: "LIVES_IN".into(), birth: 0, from, to, columns: Vec::new() };
        join(&mut schema, &user);
        join(&mut schema, &lives_in);
        for statement in RulesFile::parse(FILE).unwrap().statements().filter(|_| is_issued) {
            let Statement::SetRule { table, rule } = statement else { panic!("a file sets rules only") };
            let (table, state) = schema.table_named(&table).unwrap();
            let rule = match rule {
                Rule::Policy { column, policy } => {
                    let column = column.map(|name| state.column_named(&name).unwrap().0);
                    Rule::Policy { column, policy }
                }
                Rule::UpdateRevives(is_on) => Rule::UpdateRevives(is_on),
                Rule::Revive(is_on) => Rule::Revive(is_on),
                Rule::Multiplicity(multiplicity) => Rule::Multiplicity(multiplicity),
                Rule::Unique { column, is_on } => {
                    Rule::Unique { column: state.column_named(&column).unwrap().0, is_on }
                }
                Rule::AtLeast { column, bound } => {
                    Rule::AtLeast { column: state.column_named(&column).unwrap().0, bound }
                }
            };
            join(&mut schema, &Ddl::SetRule { table, rule });
        }
        schema
    }

    #[test]
    fn an_issued_file_is_what_the_schema_says() {
        let file = RulesFile::parse(FILE).unwrap();
        assert_eq!(file.statements().count(), 5);
        assert_eq!(file.check(&schema(true)), Ok(()));
    }

    #[test]
    fn a_file_that_differs_is_refused_with_both_sides_and_the_line() {
        let refused = RulesFile::parse(FILE).unwrap().check(&schema(false)).unwrap_err();
        assert_eq!(refused.line, 3);
        let text = refused.to_string();
        assert!(text.starts_with("line 3: policy of table `User` is prefer_main in the file and auto in the schema"));
        let other = FILE.replace("columns.email = \"last_write_wins\"", "columns.email = \"auto\"");
        let refused = RulesFile::parse(&other).unwrap().check(&schema(true)).unwrap_err().to_string();
        assert!(refused.starts_with("line 5: policy of column `email` of table `User` is auto in the file and last_"));
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let problem = |text: &str| RulesFile::parse(text).unwrap_err();
        let cases = [
            ("[tables.User]\npolicy = \"newest\"", 2, "unknown variant `newest`"),
            ("[tables.User]\n\npolicies = \"auto\"", 3, "unknown field `policies`"),
            ("[table.User]", 1, "unknown field `table`"),
            ("[tables.User]\nrevive = 1", 2, "invalid type"),
            ("[tables.User]\npolicy = \"auto\"\npolicy = \"auto\"", 3, "duplicate key"),
            ("[tables.User\n", 1, "unclosed table"),
        ];
        for (text, line, message) in cases {
            let found = problem(text);
            assert!(found.line == line && found.to_string().contains(message), "{text:?}: {found}");
        }
        let check = |text: &str| RulesFile::parse(text).unwrap().check(&schema(true)).unwrap_err().to_string();
        assert!(check("[tables.Usr]\nrevive = true").starts_with("line 2: there is no table `Usr`"));
        assert!(
            check("\n[tables.User.columns]\nmail = \"auto\"").starts_with("line 3: table `User` has no column `mail`")
        );
    }
}
