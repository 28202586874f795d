//! Full-text indexes: what is asked for, what stands, and with what Kùzu 0.11.3 cannot be trusted.
//!
//! The extension is linked into the bundled build and needs neither network nor loading. `CREATE_FTS_INDEX` fills three
//! tables of its own, which it hides, and every change of a row changes them too. That was tried, and read in its source,
//! where it keeps an index by looking up the words of a row and does not ask whether it found them. So whatever makes
//! it keep other words than it looks up ends the process at a later change:
//!
//! * **several rows in one statement**: it takes the words of the first alone, and stops at the first row without words. Rows
//!   of a table with an index are sent one by one, and where they are many its indexes are dropped first and made anew;
//! * **a NUL character in a text** cuts the word in two of its three ways of taking words, and not in the third;
//! * **a database on disk**: replaying its log brings the tables up to date and the index not, and a checkpoint instead, which
//!   making an index writes, is what this store never does (`store` says why).
//!
//! Besides, dropping a column or a table is refused while an index covers it, and an index takes 4 MiB of the pool and some
//! twenty times the size of its texts, which only a new database gives back. So an index goes before any step on what it
//! covers, and is made again after it; there are at most [`INDEXES_MAX`], over texts of [`TEXTS_BYTES_MAX`]; and a text
//! of more than [`TEXT_BYTES_MAX`] is not indexed, because its change touches each of its words. Tried this way, with
//! 27,800 changes of random words in many scripts in 139 databases, nothing failed.
//!
//! What is not built is recorded, not materialised, with the reason.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::ddl::same_name;
use kuzusync_core::store::text_index::{TextIndex, TextIndexes, Unbuilt};
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{RowChange, SchemaStep};

use crate::catalogue::Catalogue;

/// So many stand at once.
const INDEXES_MAX: usize = 16;

/// The longest text that is indexed.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// The texts of one index together: one of 9.6 MB of words that are all different fills the whole pool.
const TEXTS_BYTES_MAX: usize = 1 << 20;

const ON_DISK: &str = "Kùzu 0.11.3 does not bring an index on disk up to date when it replays its log, and the next change of \
                       what it missed ends the process";

/// What is asked for and what stands.
#[derive(Debug, Default)]
pub(crate) struct TextIndexing {
    wanted: TextIndexes,
    standing: TextIndexes,
    unbuilt: Unbuilt,
    /// What Kùzu refused, as it was asked for.
    refused: BTreeMap<TextIndex, (Vec<String>, String)>,
    is_due: bool,
}

impl TextIndexing {
    /// Takes up what should stand. Returns what has to go.
    pub(crate) fn ask(&mut self, wanted: &TextIndexes) -> Vec<TextIndex> {
        self.refused.retain(|index, (columns, _)| wanted.get(index) == Some(columns));
        wanted.clone_into(&mut self.wanted);
        let is_wanted = |(index, columns): &(&TextIndex, &Vec<String>)| wanted.get(*index) == Some(*columns);
        let unwanted: Vec<_> =
            self.standing.iter().filter(|entry| !is_wanted(entry)).map(|(index, _)| index.clone()).collect();
        unwanted.iter().for_each(|index| drop(self.standing.remove(index)));
        self.is_due = true;
        unwanted
    }

    /// What stands.
    pub(crate) fn standing(&self) -> &TextIndexes {
        &self.standing
    }

    /// Whether one stands on a table.
    pub(crate) fn stands_on(&self, table: &str) -> bool {
        self.standing.keys().any(|index| index.table == table)
    }

    /// What is asked for and does not stand, and why.
    pub(crate) fn unbuilt(&self) -> &Unbuilt {
        &self.unbuilt
    }

    /// The same in another database, in which none stands.
    pub(crate) fn in_new_database(self) -> TextIndexing {
        TextIndexing { standing: TextIndexes::new(), ..self }
    }

    /// What is to be built now, if anything is.
    pub(crate) fn due(&mut self) -> TextIndexes {
        if !std::mem::take(&mut self.is_due) {
            return TextIndexes::new();
        }
        self.unbuilt.clear();
        let missing = self.wanted.iter().filter(|(index, _)| !self.standing.contains_key(index));
        missing.map(|(index, columns)| (index.clone(), columns.clone())).collect()
    }

    /// What stands in the way of an index, as far as it can be told without its texts.
    pub(crate) fn obstacle(
        &self,
        index: &TextIndex,
        columns: &[String],
        catalogue: &Catalogue,
        is_on_disk: bool,
    ) -> Option<String> {
        if is_on_disk {
            return Some(ON_DISK.to_owned());
        }
        if let Some((_, reason)) = self.refused.get(index) {
            return Some(reason.clone());
        }
        if let Some(name) = [&index.table, &index.name].into_iter().chain(columns).find(|name| !is_plain(name)) {
            return Some(format!("Kùzu 0.11.3 writes `{name}` into statements of its own without quoting it"));
        }
        if let Some(column) =
            columns.iter().find(|column| catalogue.node_column(&index.table, column) != Some(&Type::String))
        {
            return Some(format!("{}.{column} is no STRING of a node table", index.table));
        }
        let of_table = self.standing.keys().filter(|other| other.table == index.table);
        if let Some(other) = of_table.into_iter().find(|other| same_name(&other.name, &index.name)) {
            return Some(format!("Kùzu takes its name for that of {}", other.name));
        }
        (self.standing.len() >= INDEXES_MAX)
            .then(|| format!("{INDEXES_MAX} stand already, and each takes 4 MiB of the pool"))
    }

    /// It stands.
    pub(crate) fn built(&mut self, index: TextIndex, columns: Vec<String>) {
        self.standing.insert(index, columns);
    }

    /// It does not, for this reason.
    pub(crate) fn lacks(&mut self, index: TextIndex, reason: String) {
        self.unbuilt.insert(index, reason);
    }

    /// Kùzu refused it, and is not asked again while it is asked for like this.
    pub(crate) fn refused(&mut self, index: TextIndex, columns: Vec<String>, reason: String) {
        self.refused.insert(index, (columns, reason));
    }

    /// Takes down what cannot stand while rows of a table change in this way. They are to be built again.
    pub(crate) fn take_down_for_rows<'c>(
        &mut self,
        table: &str,
        changes: impl Iterator<Item = (&'c Value, &'c RowChange)>,
        rows_max: usize,
    ) -> Vec<TextIndex> {
        if !self.stands_on(table) {
            return Vec::new();
        }
        let of_table = self.standing.iter().filter(|(index, _)| index.table == table);
        let covered: BTreeSet<&String> = of_table.flat_map(|(_, columns)| columns).collect();
        let mut rows = [0_usize; 3];
        let mut is_each_safe = true;
        for (key, change) in changes {
            let (verb, row) = match change {
                RowChange::Create(row) => (0, Some(row)),
                RowChange::Update(row) => (1, Some(row)),
                RowChange::Delete => (2, None),
            };
            rows[verb] += 1;
            let cells = row.into_iter().flatten().filter(|(column, _)| covered.contains(column));
            is_each_safe &= cells.map(|(_, value)| value).chain([key]).all(|value| match value {
                Value::String(text) => obstacle_in_text(text).is_none(),
                _ => true,
            });
        }
        if is_each_safe && rows.iter().all(|rows| *rows <= rows_max) {
            return Vec::new();
        }
        self.is_due = true;
        take_down(&mut self.standing, |index, _| index.table == table)
    }

    /// Takes down what cannot stand while a step is carried out.
    pub(crate) fn take_down_for_step(&mut self, step: &SchemaStep) {
        take_down_for_step(&mut self.standing, step);
    }
}

/// Takes those down that cannot stand while a step is carried out.
pub(crate) fn take_down_for_step(standing: &mut TextIndexes, step: &SchemaStep) -> Vec<TextIndex> {
    take_down(standing, |index, columns| match step {
        SchemaStep::DropTable { name: table } | SchemaStep::RenameTable { from: table, .. } => index.table == *table,
        SchemaStep::DropColumn { table, column }
        | SchemaStep::RetypeColumn { table, column, .. }
        | SchemaStep::RenameColumn { table, from: column, .. } => index.table == *table && columns.contains(column),
        SchemaStep::CreateTable { .. } | SchemaStep::AddColumn { .. } | SchemaStep::AddPair { .. } => false,
    })
}

fn take_down(standing: &mut TextIndexes, is_concerned: impl Fn(&TextIndex, &[String]) -> bool) -> Vec<TextIndex> {
    let concerned = standing.iter().filter(|(index, columns)| is_concerned(index, columns));
    let concerned: Vec<TextIndex> = concerned.map(|(index, _)| index.clone()).collect();
    concerned.iter().for_each(|index| drop(standing.remove(index)));
    concerned
}

/// What keeps a text out of an index.
pub(crate) fn obstacle_in_text(text: &str) -> Option<String> {
    if text.contains('\0') {
        return Some("a text of it holds a NUL character, at which Kùzu 0.11.3 takes words in two ways".to_owned());
    }
    (text.len() > TEXT_BYTES_MAX).then(|| format!("a text of it is longer than {} KiB", TEXT_BYTES_MAX >> 10))
}

/// What keeps texts out of an index together.
pub(crate) fn obstacle_in_texts<'t>(texts: impl Iterator<Item = &'t str>) -> Option<String> {
    let mut bytes = 0;
    for text in texts {
        bytes += text.len();
        let obstacle = obstacle_in_text(text);
        if obstacle.is_some() {
            return obstacle;
        }
    }
    (bytes > TEXTS_BYTES_MAX).then(|| format!("its texts are longer than {} KiB together", TEXTS_BYTES_MAX >> 10))
}

fn is_plain(name: &str) -> bool {
    let is_start = |first: char| first.is_ascii_alphabetic() || first == '_';
    name.starts_with(is_start) && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    use kuzusync_core::view::{Row, Table, TableKind};

    use super::*;

    fn catalogue() -> Catalogue {
        let columns = [("id", Type::Int64), ("name", Type::String), ("a b", Type::String)];
        let table = Table {
            kind: TableKind::Node { primary_key: "id".to_owned() },
            columns: columns.into_iter().map(|(name, of)| (name.to_owned(), of)).collect(),
        };
        let mut catalogue = Catalogue::default();
        catalogue.take_up(&SchemaStep::CreateTable { name: "N".to_owned(), table }).unwrap();
        catalogue
    }

    fn index(table: &str, name: &str, columns: &[&str]) -> (TextIndex, Vec<String>) {
        (TextIndex::new(table, name), columns.iter().map(|column| (*column).to_owned()).collect())
    }

    #[test]
    fn each_obstacle_is_told() {
        let mut texts = TextIndexing::default();
        let obstacle = |texts: &TextIndexing, (index, columns): (TextIndex, Vec<String>)| {
            texts.obstacle(&index, &columns, &catalogue(), false).unwrap_or_default()
        };
        assert_eq!(obstacle(&texts, index("N", "words", &["name"])), "");
        for (name, (index, columns)) in [
            ("by name", index("N", "by name", &["name"])),
            ("1", index("N", "1", &["name"])),
            ("", index("N", "", &["name"])),
            ("O'Neil", index("O'Neil", "words", &["name"])),
            ("a b", index("N", "words", &["name", "a b"])),
        ] {
            assert!(obstacle(&texts, (index, columns)).contains(&format!("`{name}` into statements")), "{name}");
        }
        for (table, column) in [("N", "id"), ("N", "gone"), ("Gone", "name")] {
            let found = obstacle(&texts, index(table, "words", &[column]));
            assert!(found.contains(&format!("{table}.{column} is no STRING")), "{found}");
        }
        let (words, columns) = index("N", "words", &["name"]);
        assert!(texts.obstacle(&words, &columns, &catalogue(), true).unwrap().contains("on disk"));
        texts.built(words, columns);
        assert!(obstacle(&texts, index("N", "WORDS", &["name"])).contains("that of words"));
        for number in 1..INDEXES_MAX {
            let (index, columns) = index("Other", &format!("words{number}"), &["name"]);
            texts.built(index, columns);
        }
        assert!(obstacle(&texts, index("N", "one_more", &["name"])).contains("stand already"));
    }

    #[test]
    fn what_was_refused_is_asked_again_only_when_it_is_asked_for_otherwise() {
        let mut texts = TextIndexing::default();
        let (words, columns) = index("N", "words", &["name"]);
        let wanted = TextIndexes::from([(words.clone(), columns.clone())]);
        texts.ask(&wanted);
        texts.refused(words.clone(), columns.clone(), "no".to_owned());
        let mut texts = texts.in_new_database();
        texts.ask(&wanted);
        assert_eq!(texts.obstacle(&words, &columns, &catalogue(), false), Some("no".to_owned()));
        texts.ask(&TextIndexes::new());
        texts.ask(&wanted);
        assert_eq!(texts.obstacle(&words, &columns, &catalogue(), false), None);
    }

    #[test]
    fn rows_take_an_index_down_where_they_are_many_or_hold_what_is_not_indexed() {
        let (words, columns) = index("N", "words", &["name"]);
        let row = |text: &str| Row::from([("name".to_owned(), Value::from(text))]);
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let cases = [
            (false, vec![RowChange::Create(row("a")), RowChange::Update(row("b")), RowChange::Delete]),
            (true, vec![RowChange::Delete, RowChange::Delete]),
            (true, vec![RowChange::Create(row("a\0b"))]),
            (true, vec![RowChange::Update(row(&long))]),
            (false, vec![RowChange::Update(row(&long[1..]))]),
        ];
        for (goes, changes) in cases {
            let mut texts = TextIndexing::default();
            texts.ask(&TextIndexes::from([(words.clone(), columns.clone())]));
            texts.due();
            texts.built(words.clone(), columns.clone());
            let keys: Vec<Value> = (0..changes.len() as i64).map(Value::from).collect();
            let gone = texts.take_down_for_rows("N", keys.iter().zip(&changes), 1);
            assert_eq!((gone.len(), texts.due().len()), (usize::from(goes), usize::from(goes)), "{changes:?}");
        }
    }
}
