//! A schema change that Kùzu refuses half-way: the rest goes on, and nothing is lost (DDL Integration Plan, case A9).

use kuzusync_core::store::refusing::{Refusal, Refusing};
use kuzusync_core::store::tolerant::Tolerant;

use super::*;

#[test]
fn what_kuzu_refuses_is_held_back_and_the_rest_goes_on() {
    let mut memory = MemoryStore::default();
    let mut store = Tolerant::new(Refusing::new(KuzuStore::in_memory().unwrap()));
    memory.apply(&users()).unwrap();
    store.apply(&users()).unwrap();
    let before = store.read().unwrap();
    store.inner_mut().refuse(Refusal::Type(Type::Double));

    // Half of it is done when the second step is refused, and a column is gone already.
    let drop = SchemaStep::DropColumn { table: "Follows".into(), column: "note".into() };
    let retype = SchemaStep::RetypeColumn { table: "User".into(), column: "age".into(), column_type: Type::Double };
    let mut delta = schema([drop, retype]);
    delta.nodes =
        nodes("User", [(1.into(), RowChange::Update(row(&[("name", "Ada".into()), ("age", 36.0.into())])))]).nodes;
    delta.edges =
        edges("Follows", [(edge(("User", 1.into()), ("User", 2.into()), "again"), RowChange::Update(Row::new()))])
            .edges;
    memory.apply(&delta).unwrap();
    store.apply(&delta).unwrap_err();
    store.rebuild(memory.view()).unwrap();

    let [refused] = store.unmaterialised().try_into().unwrap();
    assert_eq!(refused.to_string(), "User.age, held as INT64: refused on purpose");
    let read = store.read().unwrap();
    assert_eq!(read, *store.materialised(memory.view()));
    assert_eq!((&read.tables["User"], &read.nodes), (&before.tables["User"], &before.nodes), "as before");
    assert!(!read.tables["Follows"].columns.contains_key("note"), "what was not refused is done");

    // Rows go on being written, also to what is held back.
    let more = nodes("User", [(9.into(), RowChange::Create(row(&[("age", 41.0.into()), ("name", "Kai".into())])))]);
    memory.apply(&more).unwrap();
    store.apply(&more).unwrap();
    assert_eq!(store.read().unwrap().node("User", &9.into()).unwrap()["age"], 41.into());

    // A rebuild tries anew; nothing was lost.
    store.inner_mut().relent();
    store.rebuild(memory.view()).unwrap();
    assert_eq!(store.unmaterialised(), []);
    assert_eq!(store.read().unwrap(), *memory.view());
}

#[test]
fn a_table_that_kuzu_refuses_takes_the_edges_to_it_along() {
    let mut memory = MemoryStore::default();
    let mut store = Tolerant::new(Refusing::new(KuzuStore::in_memory().unwrap()));
    memory.apply(&users()).unwrap();
    store.apply(&users()).unwrap();
    let before = store.read().unwrap();
    store.inner_mut().refuse(Refusal::Table("Firm".into()));
    let works = edge_table(&[("User", "Firm")], &[]);
    let mut delta =
        schema([create_table("Firm", node_table(("name", Type::String), &[])), create_table("Works", works)]);
    delta.nodes = nodes("Firm", [("Kù".into(), RowChange::Create(Row::new()))]).nodes;
    let own = edge(("User", 1.into()), ("Firm", "Kù".into()), "");
    delta.edges = edges("Works", [(own.clone(), RowChange::Create(Row::new()))]).edges;
    memory.apply(&delta).unwrap();
    store.apply(&delta).unwrap_err();
    store.rebuild(memory.view()).unwrap();
    assert_eq!(store.read().unwrap(), before);
    assert_eq!(store.unmaterialised()[0].to_string(), "table Firm: refused on purpose");
    let delete = edges("Works", [(own, RowChange::Delete)]);
    memory.apply(&delete).unwrap();
    store.apply(&delete).unwrap();
    store.inner_mut().relent();
    store.rebuild(memory.view()).unwrap();
    assert_eq!(store.read().unwrap(), *memory.view());
}

#[test]
fn what_our_own_catalogue_refuses_is_refused_before_anything_is_sent() {
    let mut both = Both::new();
    both.apply(users());
    let delta = schema([
        SchemaStep::DropColumn { table: "User".into(), column: "name".into() },
        SchemaStep::AddColumn { table: "User".into(), column: "born".into(), column_type: Type::Int64 },
    ]);
    let mut bad = delta.clone();
    bad.schema.push(SchemaStep::AddColumn { table: "User".into(), column: "age".into(), column_type: Type::Int64 });
    assert!(both.kuzu.plan(&bad).is_err());
    let error = both.kuzu.apply(&bad).unwrap_err();
    assert!(error.message.contains("exists already"), "{error}");
    assert!(!both.kuzu.statement_texts().iter().any(|text| text.contains("DROP")));
    both.memory.apply(&delta).unwrap();
    both.kuzu.rebuild(both.memory.view()).unwrap();
    both.check();
}
