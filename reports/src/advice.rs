//! Which filters of queries no index serves (DDL Synchronisation, case B11).
//!
//! Kùzu 0.11.3 keeps one hash index for each node table, over its primary key, which finds equal keys; every other filter reads
//! all rows of its table. Indexes that replicas agree on (`CREATE INDEX`) are part of the schema and may be served by another
//! engine or a later Kùzu, so a filter that one of them covers is not advised again.
//!
//! Queries are read as far as filters go, and no further: patterns `(n:User {email: $e})` and `[r:KNOWS]` bind names to
//! tables, and comparisons of `n.column` after `WHERE` are filters.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::Op;
use kuzusync_core::ddl::{Ddl, fold, index_id};
use kuzusync_core::view::{TableKind, View};
use kuzusync_sim::outcome::Outcome;
use serde::Serialize;

use crate::words::Names;

/// A filter, and whether something serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The table that is filtered.
    pub table: String,
    /// By which column.
    pub column: String,
    /// With which comparison.
    pub comparison: String,
    /// How often it stands in the queries.
    pub times: u64,
    /// Rows of the table.
    pub rows: usize,
    /// What finds the rows without reading all of them.
    pub served_by: Option<String>,
    /// What to do, if something can be done.
    pub advice: Option<String>,
}

/// A table as far as filters go.
#[derive(Clone, Debug, Default)]
struct Filtered {
    primary_key: Option<String>,
    columns: BTreeSet<String>,
    /// The first columns of its indexes, with the indexes' names.
    indexes: BTreeMap<String, String>,
    rows: usize,
}

/// The filters of queries against the graph that a run ended with, the ones without an index first, the largest table first.
#[must_use]
pub fn advise(outcome: &Outcome, names: &Names, queries: &str) -> Vec<Advice> {
    let Some(replica) = outcome.replicas.iter().max_by_key(|replica| (replica.log.len(), replica.host)) else {
        return Vec::new();
    };
    let mut tables = tables(&replica.view);
    let mut indexes = BTreeMap::new();
    for op in replica.log.iter().flat_map(|entry| &entry.change.ops) {
        match op {
            Op::Schema(Ddl::CreateIndex { table, name, kind, columns }) => {
                let column = columns.first().map(|column| names.column(*column));
                indexes.insert(index_id(*table, *kind, columns), (names.table(*table), name.clone(), column));
            }
            Op::Schema(Ddl::DropIndex { index, .. }) => drop(indexes.remove(index)),
            _ => {}
        }
    }
    for (table, name, column) in indexes.into_values() {
        if let (Some(table), Some(column)) = (tables.get_mut(&fold(&table)), column) {
            table.indexes.insert(fold(&column), name);
        }
    }
    judge(&tables, &replica.view, queries)
}

fn tables(view: &View) -> BTreeMap<String, Filtered> {
    let table = |(name, table): (&String, &kuzusync_core::view::Table)| {
        let primary_key = match &table.kind {
            TableKind::Node { primary_key } => Some(fold(primary_key)),
            TableKind::Edge { .. } => None,
        };
        let columns = table.columns.keys().map(|column| fold(column)).chain(primary_key.clone()).collect();
        let rows = view.nodes.get(name).map_or(0, BTreeMap::len) + view.edges.get(name).map_or(0, BTreeMap::len);
        (fold(name), Filtered { primary_key, columns, indexes: BTreeMap::new(), rows })
    };
    view.tables.iter().map(table).collect()
}

fn judge(tables: &BTreeMap<String, Filtered>, view: &View, queries: &str) -> Vec<Advice> {
    let mut times: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    for filter in words(queries).split(|word| word == ";").flat_map(filters) {
        *times.entry(filter).or_insert(0) += 1;
    }
    let advice = |((table, column, comparison), times): ((String, String, String), u64)| {
        let known = tables.get(&fold(&table));
        let name = view.tables.keys().find(|name| fold(name) == fold(&table)).cloned().unwrap_or(table.clone());
        let rows = known.map_or(0, |table| table.rows);
        let (served_by, advice) = match known {
            None => (None, Some(format!("there is no table {table}"))),
            Some(table) => verdict(table, &name, &column, &comparison),
        };
        Advice { table: name, column, comparison, times, rows, served_by, advice }
    };
    let mut found: Vec<Advice> = times.into_iter().map(advice).collect();
    found.sort_by_key(|advice| (advice.served_by.is_some(), std::cmp::Reverse(advice.rows)));
    found
}

fn verdict(table: &Filtered, name: &str, column: &str, comparison: &str) -> (Option<String>, Option<String>) {
    let is_equality = matches!(comparison, "=" | "IN");
    let column_id = fold(column);
    if !table.columns.contains(&column_id) {
        return (None, Some(format!("{name} has no column {column}")));
    }
    if table.primary_key.as_deref() == Some(column_id.as_str()) {
        if is_equality {
            return (Some("the primary key".to_owned()), None);
        }
        let advice = format!("the primary key finds equal keys only: {comparison} reads every row of {name}");
        return (None, Some(advice));
    }
    if let Some(index) = table.indexes.get(&column_id) {
        return (Some(format!("index {index}")), None);
    }
    (
        None,
        Some(format!(
            "CREATE INDEX on {name}({column}), or make {column} part of the primary key: it reads every row of {name}"
        )),
    )
}

/// The filters of one query in words: table, column and comparison.
fn filters(words: &[String]) -> Vec<(String, String, String)> {
    let mut bound: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = |by: usize| words.get(at + by).map_or("", String::as_str);
        // `(n:User` and `[r:KNOWS`, also without a name.
        if matches!(word.as_str(), "(" | "[") {
            let (name, colon) = if next(1) == ":" { ("", 1) } else { (next(1), 2) };
            if next(colon) == ":" {
                let table = next(colon + 1);
                bound.insert(name, table);
                if next(colon + 2) == "{" {
                    let end = words[at..].iter().position(|word| word == "}").map_or(words.len(), |end| at + end);
                    let is_column = |place: &usize| {
                        words.get(place + 1).is_some_and(|word| word == ":")
                            && matches!(words[place - 1].as_str(), "{" | ",")
                    };
                    let columns = (at + colon + 3..end).filter(is_column).map(|place| words[place].clone());
                    found.extend(columns.map(|column| (table.to_owned(), column, "=".to_owned())));
                }
            }
        }
    }
    let from = words.iter().position(|word| word.eq_ignore_ascii_case("WHERE")).unwrap_or(words.len());
    let to = words[from..]
        .iter()
        .position(|word| word.eq_ignore_ascii_case("RETURN") || word.eq_ignore_ascii_case("SET"))
        .map_or(words.len(), |end| from + end);
    for at in from..to {
        let next = |by: usize| words.get(at + by).map_or("", String::as_str);
        if let (Some(table), ".") = (bound.get(words[at].as_str()), next(1))
            && let Some(comparison) = comparison(next(3), next(4))
        {
            found.push(((*table).to_owned(), next(2).to_owned(), comparison));
        }
    }
    found
}

fn comparison(word: &str, after: &str) -> Option<String> {
    let word = word.to_ascii_uppercase();
    match word.as_str() {
        "=" | "<>" | "<" | ">" | "<=" | ">=" | "IN" | "CONTAINS" | "=~" => Some(word),
        "STARTS" | "ENDS" if after.eq_ignore_ascii_case("WITH") => Some(format!("{word} WITH")),
        _ => None,
    }
}

/// A query in words and signs; what stands in quotes is one word, and comments are left out.
fn words(query: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut letters = query.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut word = String::from(letter);
        match letter {
            _ if letter.is_whitespace() => continue,
            '/' if letters.peek() == Some(&'/') => {
                letters.by_ref().take_while(|letter| *letter != '\n').for_each(drop);
                continue;
            }
            '`' => word = letters.by_ref().take_while(|letter| *letter != '`').collect(),
            '\'' | '"' => word.extend(letters.by_ref().take_while(|other| *other != letter)),
            '<' | '>' | '=' => {
                while let Some(sign) = letters.next_if(|sign| matches!(sign, '=' | '>' | '~')) {
                    word.push(sign);
                }
            }
            _ if letter.is_alphanumeric() || letter == '_' || letter == '$' => {
                while let Some(more) = letters.next_if(|more| more.is_alphanumeric() || *more == '_') {
                    word.push(more);
                }
            }
            _ => {}
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(table: &str, column: &str, comparison: &str) -> (String, String, String) {
        (table.to_owned(), column.to_owned(), comparison.to_owned())
    }

    #[test]
    fn filters_are_found_in_patterns_and_after_where() {
        let query = "MATCH (n:User {email: $e, name: 'a; b'})-[r:KNOWS]->(:City {zip: 1}) // n.x = 1\n \
                     WHERE n.age >= 30 AND r.since IN [1, 2] AND n.`full name` STARTS WITH 'A' RETURN n.id = 3";
        let expected = [
            filter("User", "email", "="),
            filter("User", "name", "="),
            filter("City", "zip", "="),
            filter("User", "age", ">="),
            filter("KNOWS", "since", "IN"),
            filter("User", "full name", "STARTS WITH"),
        ];
        assert_eq!(filters(&words(query)), expected);
        assert_eq!(filters(&words("MATCH (n) WHERE n.id = 1 RETURN n")), [], "a name without a table");
    }

    #[test]
    fn only_equal_keys_and_indexed_columns_are_served() {
        let table = Filtered {
            primary_key: Some("id".into()),
            columns: ["id", "email", "age"].map(str::to_owned).into(),
            indexes: [("email".to_owned(), "by_email".to_owned())].into(),
            rows: 10,
        };
        let advice = |column: &str, comparison: &str| verdict(&table, "User", column, comparison);
        assert_eq!(advice("id", "="), (Some("the primary key".into()), None));
        assert_eq!(advice("email", "<").0, Some("index by_email".into()));
        assert!(advice("id", "<").1.is_some_and(|advice| advice.contains("equal keys only")));
        assert!(advice("age", "=").1.is_some_and(|advice| advice.starts_with("CREATE INDEX on User(age)")));
        assert!(advice("agee", "=").1.is_some_and(|advice| advice.contains("no column agee")));
    }
}
