//! Every schema step, on tables that hold rows.

use kuzusync_core::value::sample::Sample;

use super::*;

fn rename(from: &str, to: &str) -> SchemaStep {
    SchemaStep::RenameTable { from: from.to_owned(), to: to.to_owned() }
}

fn add_column(table: &str, column: &str, column_type: Type) -> SchemaStep {
    SchemaStep::AddColumn { table: table.to_owned(), column: column.to_owned(), column_type }
}

fn retype(table: &str, column: &str, column_type: Type) -> SchemaStep {
    SchemaStep::RetypeColumn { table: table.to_owned(), column: column.to_owned(), column_type }
}

fn add_pair(table: &str, from: &str, to: &str) -> SchemaStep {
    SchemaStep::AddPair { table: table.to_owned(), from: from.to_owned(), to: to.to_owned() }
}

#[test]
fn an_edge_table_between_several_pairs_keeps_their_edges_apart() {
    let mut both = Both::new();
    both.apply(users());
    let works = edge_table(&[("User", "Firm"), ("Firm", "Firm"), ("Firm", "User")], &[("n", Type::Int64)]);
    let firm = node_table(("name", Type::String), &[]);
    both.apply(schema([create_table("Firm", firm), create_table("Works", works)]));
    both.apply(nodes("Firm", [("Kù".into(), RowChange::Create(Row::new()))]));
    let (user, firm) = (("User", Value::from(1)), ("Firm", Value::from("Kù")));
    let all = [edge(user.clone(), firm.clone(), ""), edge(firm.clone(), firm.clone(), ""), edge(firm, user, "")];
    let changes = |n: i64| all.clone().into_iter().map(move |edge| (edge, row(&[("n", n.into())])));
    both.apply(edges("Works", changes(1).map(|(edge, row)| (edge, RowChange::Create(row)))));
    both.apply(edges("Works", changes(2).map(|(edge, row)| (edge, RowChange::Update(row)))));
    both.apply(edges("Works", all.clone().map(|edge| (edge, RowChange::Delete))));
}

#[test]
fn a_table_with_edges_is_renamed_and_renamed_back() {
    let mut both = Both::new();
    both.apply(users());
    both.apply(schema([rename("User", "Person"), rename("Follows", "Knows")]));
    both.apply(nodes("Person", [(1.into(), RowChange::Update(row(&[("age", 37.into())])))]));
    let own = edge(("Person", 3.into()), ("Person", 3.into()), "");
    both.apply(edges("Knows", [(own, RowChange::Create(row(&[("since", 1.into())])))]));
    both.apply(schema([rename("Person", "User"), rename("Knows", "Follows")]));
    both.apply(nodes("User", [(1.into(), RowChange::Update(Row::new()))]));
}

#[test]
fn a_table_takes_the_name_that_another_gives_up() {
    let mut both = Both::new();
    both.apply(users());
    let other = node_table(("key", Type::String), &[("name", Type::Double)]);
    both.apply(schema([rename("User", "User~ab12"), create_table("User", other)]));
    both.apply(nodes("User", [("x".into(), RowChange::Create(row(&[("name", 1.5.into())])))]));
    both.apply(schema([rename("User", "Spare"), rename("User~ab12", "User"), rename("Spare", "User~ab12")]));
    both.apply(nodes("User", [(9.into(), RowChange::Create(row(&[("name", "text".into())])))]));
    both.apply(nodes("User~ab12", [("y".into(), RowChange::Create(row(&[("name", 2.5.into())])))]));
}

#[test]
fn a_name_changes_its_case() {
    let mut both = Both::new();
    both.apply(users());
    both.apply(schema([rename("User", "USER"), rename("Follows", "follows")]));
    let own = edge(("USER", 3.into()), ("USER", 3.into()), "");
    both.apply(edges("follows", [(own, RowChange::Create(Row::new()))]));
}

#[test]
fn a_new_column_is_null_and_takes_values() {
    let mut both = Both::new();
    both.apply(users());
    for (index, sample) in samples().iter().enumerate() {
        let column = format!("new {index}");
        let add = |table| add_column(table, &column, sample.column_type.clone());
        both.apply(schema([add("User"), add("Follows")]));
    }
    let value = |(index, sample): (usize, &Sample)| (format!("new {index}"), sample.values[0].clone());
    let cells: Row = samples().iter().enumerate().map(value).collect();
    both.apply(nodes("User", [(1.into(), RowChange::Update(cells.clone()))]));
    let first = edge(("User", 1.into()), ("User", 2.into()), "");
    both.apply(edges("Follows", [(first, RowChange::Update(cells.clone()))]));
    both.apply(nodes("User", (10..20).map(|id| (Value::from(id), RowChange::Create(cells.clone())))));
}

#[test]
fn a_column_changes_its_type_and_its_values_come_back() {
    let mut both = Both::new();
    both.apply(users());
    for sample in samples() {
        let value = &sample.values[0];
        let retype = |table, column| retype(table, column, sample.column_type.clone());
        let mut delta = schema([retype("User", "age"), retype("Follows", "since")]);
        delta.nodes = nodes("User", [(1.into(), RowChange::Update(row(&[("age", value.clone())])))]).nodes;
        let first = edge(("User", 1.into()), ("User", 2.into()), "");
        delta.edges = edges("Follows", [(first, RowChange::Update(row(&[("since", value.clone())])))]).edges;
        both.apply(delta);
    }
}

#[test]
fn an_edge_table_with_edges_takes_another_pair() {
    let mut both = Both::new();
    both.apply(users());
    let firm = node_table(("name", Type::String), &[]);
    both.apply(schema([create_table("Firm", firm), add_pair("Follows", "User", "Firm")]));
    both.apply(nodes("Firm", [("Kù".into(), RowChange::Create(Row::new()))]));
    let to_firm = edge(("User", 1.into()), ("Firm", "Kù".into()), "");
    both.apply(edges("Follows", [(to_firm.clone(), RowChange::Create(row(&[("note", "fan".into())])))]));
    both.apply(schema([add_pair("Follows", "Firm", "User"), add_column("Follows", "later", Type::Bool)]));
    let back = edge(("Firm", "Kù".into()), ("User", 2.into()), "");
    both.apply(edges("Follows", [(back, RowChange::Create(row(&[("later", true.into())])))]));
    both.apply(edges("Follows", [(to_firm, RowChange::Update(row(&[("later", false.into())])))]));
    both.apply(schema([rename("Firm", "Company"), retype("Follows", "note", Type::Int64)]));
    let old = edge(("User", 2.into()), ("User", 2.into()), "");
    both.apply(edges("Follows", [(old, RowChange::Delete)]));
}

#[test]
fn an_edge_table_that_retyped_a_column_takes_another_pair() {
    // Kùzu 0.11.3 crashes when a pair is added to a table that ever dropped a column.
    let mut both = Both::new();
    both.apply(users());
    both.apply(schema([create_table("Firm", node_table(("name", Type::String), &[]))]));
    both.apply(schema([retype("Follows", "since", Type::String)]));
    both.apply(schema([add_pair("Follows", "User", "Firm"), add_pair("Follows", "Firm", "User")]));
    both.apply(schema([retype("Follows", "note", Type::Bool), add_pair("Follows", "Firm", "Firm")]));
    both.apply(nodes("Firm", [("Kù".into(), RowChange::Create(Row::new()))]));
    let own = edge(("Firm", "Kù".into()), ("Firm", "Kù".into()), "");
    both.apply(edges("Follows", [(own, RowChange::Create(row(&[("note", true.into())])))]));
}

#[test]
fn a_column_is_spelled_anew_and_keeps_its_values_also_the_key() {
    let mut both = Both::new();
    both.apply(users());
    let spell = |table: &str, from: &str, to: &str| {
        let (table, from, to) = (table.to_owned(), from.to_owned(), to.to_owned());
        SchemaStep::RenameColumn { table, from, to }
    };
    both.apply(schema([spell("User", "id", "Id"), spell("User", "name", "NAME"), spell("Follows", "since", "Since")]));
    both.apply(nodes("User", [(7.into(), RowChange::Create(row(&[("NAME", "Grete".into())])))]));
    both.apply(schema([spell("User", "Id", "id"), retype("User", "NAME", Type::Int64)]));
    both.apply(nodes("User", [(7.into(), RowChange::Update(row(&[("NAME", 7.into())])))]));
}

#[test]
fn a_pair_that_is_there_already_is_no_error() {
    let mut both = Both::new();
    both.apply(users());
    both.apply(schema([add_pair("Follows", "User", "User")]));
}

#[test]
fn many_steps_in_one_delta_come_before_its_rows() {
    let mut both = Both::new();
    both.apply(users());
    let mut delta = schema([
        rename("User", "Person"),
        add_column("Person", "height", Type::Double),
        create_table("Firm", node_table(("name", Type::String), &[])),
        create_table("Works", edge_table(&[("Person", "Firm")], &[])),
        add_pair("Works", "Firm", "Firm"),
        retype("Person", "age", Type::String),
    ]);
    delta.nodes = nodes("Person", [(1.into(), RowChange::Update(row(&[("age", "36".into())])))]).nodes;
    delta.nodes.extend(nodes("Firm", [("Kù".into(), RowChange::Create(Row::new()))]).nodes);
    let works = edge(("Person", 1.into()), ("Firm", "Kù".into()), "");
    delta.edges = edges("Works", [(works, RowChange::Create(Row::new()))]).edges;
    both.apply(delta);
}

#[test]
fn a_plan_is_shown_before_it_is_run_and_is_what_is_run() {
    let mut both = Both::new();
    both.apply(users());
    let rename = rename("User", "Person");
    let retype = retype("Person", "age", Type::String);
    let delta =
        schema([rename, retype, add_pair("Follows", "Person", "Person"), add_column("Follows", "n", Type::Int8)]);
    let (before, counts) = (both.kuzu.statement_texts(), both.kuzu.counts());
    let plan = both.kuzu.plan(&delta).unwrap();
    let shown = "1. RENAME TABLE User TO Person [tables: Follows, User; rows: 3]\n   \
                 ALTER TABLE `User` RENAME TO `Person`\n\
                 2. ALTER TABLE Person ALTER age TYPE STRING [tables: Person; rows: 3; columns: age]\n   \
                 ALTER TABLE `Person` ADD `~between names` STRING\n   \
                 ALTER TABLE `Person` DROP `age`\n   \
                 ALTER TABLE `Person` RENAME `~between names` TO `age`\n\
                 3. ALTER TABLE Follows ADD FROM Person TO Person [tables: Follows, Person; rows: 3]\n\
                 4. ALTER TABLE Follows ADD n INT8 [tables: Follows; rows: 3; columns: n]\n   \
                 ALTER TABLE `Follows` ADD `n` INT8\n";
    assert_eq!(plan.to_string(), shown);
    assert_eq!(both.kuzu.statement_texts(), before, "a plan sends nothing");
    let ways: Vec<_> = plan.steps.iter().map(|step| (&step.step, &step.touched)).collect();
    let memory = both.memory.plan(&delta).unwrap();
    assert_eq!(ways, memory.steps.iter().map(|step| (&step.step, &step.touched)).collect::<Vec<_>>());
    both.kuzu.apply(&delta).unwrap();
    let after = both.kuzu.counts();
    assert_eq!((after.plans, after.schema_steps), (counts.plans + 1, counts.schema_steps + 4), "one run is one plan");
    assert_eq!(after.statements, counts.statements + 5);
    for line in shown.lines().filter_map(|line| line.strip_prefix("   ")) {
        assert!(both.kuzu.statement_texts().iter().any(|text| text == line), "{line}");
    }
}

#[test]
fn a_plan_tells_of_the_new_database_that_a_pair_takes() {
    let mut both = Both::new();
    both.apply(users());
    both.apply(schema([create_table("Firm", node_table(("name", Type::String), &[]))]));
    let drop = SchemaStep::DropColumn { table: "Follows".into(), column: "since".into() };
    let delta = schema([drop, add_pair("Follows", "User", "Firm")]);
    let before = both.kuzu.counts().new_databases;
    let plan = both.kuzu.plan(&delta).unwrap();
    assert!(plan.to_string().contains("a new database: to add a pair to a table that ever dropped"), "{plan}");
    both.apply(delta);
    assert_eq!(both.kuzu.counts().new_databases, before + 1);
    both.apply(schema([add_pair("Follows", "Firm", "Firm")]));
    assert_eq!(both.kuzu.counts().new_databases, before + 1, "the new database has no hole");
}

#[test]
fn a_statement_is_prepared_once_however_often_it_is_sent() {
    let mut both = Both::new();
    both.apply(users());
    let update = |n: i64| nodes("User", [(1.into(), RowChange::Update(row(&[("age", n.into())])))]);
    both.apply(update(0));
    let before = both.kuzu.counts();
    (1..50).for_each(|n| both.kuzu.apply(&update(n)).unwrap());
    let after = both.kuzu.counts();
    assert_eq!(after.prepared, before.prepared);
    assert!(after.statements >= before.statements + 49);
}

#[test]
fn a_column_of_ten_thousand_rows_changes_its_type() {
    let mut both = Both::new();
    both.apply(users());
    let cells = |n: i64| row(&[("name", "x".into()), ("age", n.into())]);
    both.apply(nodes("User", (10..10_010).map(|id| (id.into(), RowChange::Create(cells(id))))));
    let mut delta = schema([retype("User", "age", Type::String)]);
    let text = |id: i64| row(&[("name", "x".into()), ("age", Value::String(id.to_string()))]);
    delta.nodes = nodes("User", (10..10_010).map(|id| (id.into(), RowChange::Update(text(id))))).nodes;
    both.apply(delta);
}

#[test]
fn columns_that_are_new_and_empty_are_not_set_and_those_that_were_there_are() {
    let mut both = Both::new();
    both.apply(users());
    let mut delta = schema([retype("User", "age", Type::String), add_column("User", "a", Type::Int64)]);
    delta.schema.extend([add_column("User", "b", Type::Int64), add_column("Follows", "c", Type::Int64)]);
    let update = row(&[("age", "36".into()), ("b", 1.into())]);
    delta.nodes = nodes("User", [(1.into(), RowChange::Update(update))]).nodes;
    let first = edge(("User", 1.into()), ("User", 2.into()), "");
    delta.edges = edges("Follows", [(first, RowChange::Update(row(&[("note", "n".into())])))]).edges;
    both.apply(delta);
    let texts = both.kuzu.statement_texts();
    assert!(texts.iter().any(|text| text.contains("SET n.`age` = $p0, n.`b` = $p1, n.`name` = $p2")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("SET e.`note` = $p0, e.`since` = $p1 ")), "{texts:?}");
    // A table that takes the name of another has its own columns.
    let other = node_table(("id", Type::Int64), &[("x", Type::Int64)]);
    both.apply(schema([create_table("Other", other)]));
    both.apply(nodes("Other", [(1.into(), RowChange::Create(row(&[("x", 1.into())])))]));
    let mut delta = schema([add_column("User", "x", Type::Int64), rename("User", "Gone"), rename("Other", "User")]);
    delta.nodes = nodes("User", [(1.into(), RowChange::Update(Row::new()))]).nodes;
    both.apply(delta);
}
