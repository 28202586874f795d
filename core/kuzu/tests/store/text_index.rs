//! Full-text indexes: they stand where they are asked for, follow the rows, give way to every change of the schema, and where
//! Kùzu cannot be trusted with one it says so and no row waits.

use std::collections::BTreeSet;

use kuzusync_core::store::plan::Way;
use kuzusync_core::store::text_index::{TextIndex, TextIndexes, Unbuilt};
use kuzusync_core::store::tolerant::Tolerant;

use super::*;

fn wanted(indexes: &[(&str, &str, &[&str])]) -> TextIndexes {
    let index = |(table, name, columns): &(&str, &str, &[&str])| {
        (TextIndex::new(*table, *name), columns.iter().map(|column| (*column).to_owned()).collect())
    };
    indexes.iter().map(index).collect()
}

/// Users and the index `words` of their names.
fn indexed() -> Both {
    let mut both = Both::new();
    both.apply(users());
    both.stands(&wanted(&[("User", "words", &["name"])]));
    both
}

impl Both {
    #[track_caller]
    fn stands(&mut self, wanted: &TextIndexes) {
        assert_eq!(self.kuzu.index_texts(wanted).unwrap(), Unbuilt::new());
        assert_eq!(self.kuzu.text_indexes().unwrap(), *wanted);
        self.check();
    }

    /// The index has exactly the words of the rows, by the reference store.
    #[track_caller]
    fn finds(&mut self, table: &str, index: &str, column: &str, words: &[&str]) {
        for word in words {
            let has_word = |row: &Row| match row.get(column) {
                Some(Value::String(text)) => text.to_lowercase().split(' ').any(|other| other == *word),
                _ => false,
            };
            let rows = &self.memory.view().nodes[table];
            let keys: BTreeSet<Value> =
                rows.iter().filter(|(_, row)| has_word(row)).map(|(key, _)| key.clone()).collect();
            let found = self.kuzu.find_words(&TextIndex::new(table, index), word).unwrap();
            assert_eq!(found, keys, "{word}");
        }
    }
}

fn name(text: &str) -> Row {
    row(&[("name", text.into())])
}

fn rename_column(table: &str, from: &str, to: &str) -> SchemaStep {
    SchemaStep::RenameColumn { table: table.to_owned(), from: from.to_owned(), to: to.to_owned() }
}

fn drop_column(table: &str, column: &str) -> SchemaStep {
    SchemaStep::DropColumn { table: table.to_owned(), column: column.to_owned() }
}

fn rename_table(from: &str, to: &str) -> SchemaStep {
    SchemaStep::RenameTable { from: from.to_owned(), to: to.to_owned() }
}

#[test]
fn an_index_follows_rows_that_come_change_and_go() {
    let mut both = indexed();
    let words = ["ada", "bo", "fox", "cat", "dog"];
    both.finds("User", "words", "name", &words);
    both.apply(nodes("User", [(4.into(), RowChange::Create(name("quick fox")))]));
    both.apply(nodes("User", [(1.into(), RowChange::Update(name("cat fox")))]));
    both.apply(nodes("User", [(2.into(), RowChange::Update(Row::new())), (3.into(), RowChange::Update(name("fox")))]));
    both.finds("User", "words", "name", &words);
    both.apply(nodes("User", [(4.into(), RowChange::Delete)]));
    both.finds("User", "words", "name", &words);
    assert_eq!(both.kuzu.counts().new_databases, 0);
}

#[test]
fn an_index_follows_many_rows_at_once_some_of_them_without_words() {
    let mut both = indexed();
    let words = ["goat", "horse", "bo"];
    let some = |id: i64, text: &str| if id % 3 == 0 { Row::new() } else { name(text) };
    both.apply(nodes("User", (10..60).map(|id| (id.into(), RowChange::Create(some(id, "goat"))))));
    both.finds("User", "words", "name", &words);
    both.apply(nodes("User", (10..50).map(|id| (id.into(), RowChange::Update(some(id + 1, "horse"))))));
    both.finds("User", "words", "name", &words);
    for id in 10..20 {
        both.apply(nodes("User", [(id.into(), RowChange::Update(some(id, "goat horse")))]));
    }
    both.apply(nodes("User", (10..60).map(|id| (id.into(), RowChange::Delete))));
    both.finds("User", "words", "name", &words);
    assert_eq!(both.kuzu.text_indexes().unwrap(), wanted(&[("User", "words", &["name"])]));
}

#[test]
fn an_index_gives_way_to_each_step_on_what_it_covers_and_is_made_anew() {
    let mut both = indexed();
    let step = |both: &mut Both, step: SchemaStep, is_dropped: bool, then: &[(&str, &str, &[&str])]| {
        let delta = schema([step]);
        let Way::Statements(texts) = both.kuzu.plan(&delta).unwrap().steps.remove(0).way else { panic!() };
        let drops = texts.iter().filter(|text| text.starts_with("CALL DROP_FTS_INDEX(")).count();
        assert_eq!(drops, usize::from(is_dropped), "{texts:?}");
        both.apply(delta);
        both.stands(&wanted(then));
        let (table, index, columns) = then[0];
        both.finds(table, index, columns.last().unwrap(), &["ada", "bo"]);
    };
    let add = |column: &str| SchemaStep::AddColumn {
        table: "User".to_owned(),
        column: column.to_owned(),
        column_type: Type::String,
    };
    let words: (&str, &str, &[&str]) = ("User", "words", &["name"]);
    step(&mut both, add("note"), false, &[words]);
    step(&mut both, add("other"), false, &[("User", "both_of_them", &["note", "name"]), words]);
    step(&mut both, drop_column("User", "note"), true, &[words]);
    step(&mut both, drop_column("User", "age"), false, &[words]);
    step(&mut both, rename_column("User", "name", "Name"), true, &[("User", "words", &["Name"])]);
    step(&mut both, rename_table("User", "Person"), true, &[("Person", "words", &["Name"])]);
    let retype = |to| SchemaStep::RetypeColumn { table: "Person".into(), column: "other".into(), column_type: to };
    step(&mut both, retype(Type::Int64), false, &[("Person", "words", &["Name"])]);
    both.apply(nodes("Person", [(1.into(), RowChange::Update(row(&[("Name", "fox".into())])))]));
    both.finds("Person", "words", "Name", &["fox", "ada"]);
    both.apply(schema([
        SchemaStep::DropTable { name: "Follows".into() },
        SchemaStep::DropTable { name: "Person".into() },
    ]));
    both.stands(&TextIndexes::new());
}

#[test]
fn an_index_that_is_no_longer_asked_for_goes() {
    let mut both = indexed();
    both.stands(&wanted(&[("User", "other", &["name"])]));
    both.finds("User", "other", "name", &["ada"]);
    both.stands(&TextIndexes::new());
    both.apply(schema([drop_column("User", "name")]));
}

#[test]
fn a_new_database_has_the_indexes_of_the_old_one_and_a_rebuilt_one_has_none() {
    let mut both = indexed();
    let asked = wanted(&[("User", "words", &["name"])]);
    for round in 0..1_500 {
        let text = format!("fox {}", "abcdefghij".repeat(round % 7));
        let delta = nodes("User", [(1.into(), RowChange::Update(name(&text)))]);
        both.memory.apply(&delta).unwrap();
        both.kuzu.apply(&delta).unwrap();
    }
    both.check();
    assert_ne!(both.kuzu.counts().new_databases, 0, "the pool never grew enough");
    assert_eq!(both.kuzu.text_indexes().unwrap(), asked);
    both.finds("User", "words", "name", &["fox", "abcdefghij", "ada"]);
    both.kuzu.rebuild(both.memory.view()).unwrap();
    assert_eq!(both.kuzu.text_indexes().unwrap(), TextIndexes::new());
    both.stands(&asked);
    both.finds("User", "words", "name", &["fox", "bo"]);
}

#[test]
fn a_pair_that_needs_a_new_database_leaves_the_indexes() {
    let mut both = indexed();
    let firm = node_table(("name", Type::String), &[]);
    both.apply(schema([create_table("Firm", firm), drop_column("Follows", "since")]));
    let asked = wanted(&[("Firm", "words", &["name"]), ("User", "words", &["name"])]);
    both.stands(&asked);
    let (table, from, to) = ("Follows".to_owned(), "User".to_owned(), "Firm".to_owned());
    both.apply(schema([SchemaStep::AddPair { table, from, to }]));
    assert_eq!(both.kuzu.counts().new_databases, 1);
    assert_eq!(both.kuzu.text_indexes().unwrap(), asked);
    both.apply(nodes("Firm", [("red fox".into(), RowChange::Create(Row::new()))]));
    let found = both.kuzu.find_words(&TextIndex::new("Firm", "words"), "fox").unwrap();
    assert_eq!(found, BTreeSet::from(["red fox".into()]));
}

#[test]
fn what_kuzu_cannot_be_trusted_with_is_told_and_no_row_waits() {
    let mut both = indexed();
    let text = |both: &mut Both, text: &str| both.apply(nodes("User", [(1.into(), RowChange::Update(name(text)))]));
    for (bad, why) in [("a\0b".to_owned(), "NUL"), ("long ".repeat(20_000), "longer than")] {
        text(&mut both, &bad);
        assert_eq!(both.kuzu.text_indexes().unwrap(), TextIndexes::new());
        let asked = wanted(&[("User", "words", &["name"]), ("User", "by name", &["name"])]);
        let unbuilt: Vec<_> = both.kuzu.index_texts(&asked).unwrap().into_values().collect();
        assert!(unbuilt[0].contains("`by name`") && unbuilt[1].contains(why), "{unbuilt:?}");
        text(&mut both, "good fox");
        both.stands(&wanted(&[("User", "words", &["name"])]));
        both.finds("User", "words", "name", &["fox", "long"]);
    }
    let lots = "many different words ".repeat(2_000);
    both.apply(nodes("User", (100..130).map(|id| (id.into(), RowChange::Create(name(&lots))))));
    let unbuilt = both.kuzu.index_texts(&wanted(&[("User", "words", &["name"])])).unwrap();
    assert!(unbuilt.values().all(|why| why.contains("together")) && unbuilt.len() == 1, "{unbuilt:?}");
}

#[test]
fn an_index_that_kuzu_refuses_is_told_after_a_rebuild_and_holds_up_nothing() {
    // Kùzu writes the names of columns into statements of its own without quotes.
    let table = node_table(("id", Type::Int64), &[("order", Type::String), ("name", Type::String)]);
    let mut memory = MemoryStore::default();
    let mut store = Tolerant::new(KuzuStore::in_memory().unwrap());
    let mut delta = schema([create_table("N", table)]);
    delta.nodes = nodes("N", [(1.into(), RowChange::Create(row(&[("order", "fox".into())])))]).nodes;
    memory.apply(&delta).unwrap();
    store.apply(&delta).unwrap();
    let asked = wanted(&[("N", "bad", &["order"]), ("N", "good", &["name"])]);
    let error = store.index_texts(&asked).unwrap_err();
    assert!(store.read().unwrap_err().message.contains("in doubt"));
    store.rebuild(memory.view()).unwrap();
    let unbuilt = store.index_texts(&asked).unwrap();
    assert_eq!(unbuilt, Unbuilt::from([(TextIndex::new("N", "bad"), error.message)]));
    assert_eq!(store.text_indexes().unwrap(), wanted(&[("N", "good", &["name"])]));
    assert_eq!(store.read().unwrap(), *memory.view());
    let delta = nodes("N", [(2.into(), RowChange::Create(row(&[("name", "fox".into())])))]);
    store.apply(&delta).unwrap();
    let found = store.inner_mut().find_words(&TextIndex::new("N", "good"), "fox").unwrap();
    assert_eq!(found, BTreeSet::from([2.into()]));
}

#[test]
fn on_disk_no_index_is_built_and_it_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut both = Both::on_disk(folder.path());
    both.apply(users());
    let asked = wanted(&[("User", "words", &["name"])]);
    for _ in 0..2 {
        let unbuilt = both.kuzu.index_texts(&asked).unwrap();
        assert!(unbuilt[&TextIndex::new("User", "words")].contains("on disk"), "{unbuilt:?}");
        assert_eq!(both.kuzu.text_indexes().unwrap(), TextIndexes::new());
        both.apply(nodes("User", [(1.into(), RowChange::Update(name("fox")))]));
        both = both.reopened(folder.path());
        both.check();
    }
}

/// Whatever happens to rows and columns, the index holds the words of the rows and the store the view.
#[test]
fn an_index_agrees_with_the_rows_whatever_their_history() {
    let mut state = 7_u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let words = ["fox", "älg", "日本", "cat", "running"];
    let mut both = indexed();
    let (mut next, mut named) = (10_i64, "name");
    for round in 0..150 {
        let text = |draw: &mut dyn FnMut(u64) -> u64| -> Row {
            let chosen: Vec<&str> = (0..draw(4)).map(|_| words[draw(4) as usize]).collect();
            if chosen.is_empty() { Row::new() } else { row(&[(named, chosen.join(" ").as_str().into())]) }
        };
        let keys: Vec<Value> =
            both.memory.view().nodes["User"].keys().filter(|key| **key > 9.into()).cloned().collect();
        match draw(12) {
            0..=4 => {
                let count = [1, 2, 3, 8][draw(4) as usize];
                let rows: Vec<_> =
                    (0..count).map(|id| ((next + id).into(), RowChange::Create(text(&mut draw)))).collect();
                both.apply(nodes("User", rows));
                next += count;
            }
            5..=8 => {
                let few = keys.iter().take([1, 3, 9][draw(3) as usize]);
                let rows: Vec<_> = few.map(|key| (key.clone(), RowChange::Update(text(&mut draw)))).collect();
                both.apply(nodes("User", rows));
            }
            9 => {
                let few = keys.iter().take([1, 5][draw(2) as usize]);
                both.apply(nodes("User", few.map(|key| (key.clone(), RowChange::Delete))));
            }
            10 => {
                let to = if named == "name" { "title" } else { "name" };
                both.apply(schema([rename_column("User", named, to)]));
                named = to;
            }
            _ => {
                let (table, column) = ("User".to_owned(), format!("c{round}"));
                both.apply(schema([
                    SchemaStep::AddColumn { table, column: column.clone(), column_type: Type::String },
                    drop_column("User", &column),
                ]));
            }
        }
        both.stands(&wanted(&[("User", "words", &[named])]));
        both.finds("User", "words", named, &words[..4]);
    }
}
