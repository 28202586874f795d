//! The JSON Schema of plan and case files and the program that reads them agree about what is right.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use boon::{Compiler, SchemaIndex, Schemas};
use kuzusync_core::value::sample::samples;
use kuzusync_scenarios::format;
use kuzusync_scenarios::stored::StoredCase;
use kuzusync_scenarios::swarm::{Profile, plan};
use kuzusync_sim::outcome::{Failure, Property, Violation};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::step::Plan;
use kuzusync_sim::store::StoreChoice;
use serde_json::{Value, json};

/// A schema that a validator has accepted as one.
struct Format {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Format {
    fn new(schema: Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", schema).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Format { schemas, index }
    }

    fn accepts(&self, file: &Value) -> bool {
        self.schemas.validate(file, self.index).is_ok()
    }

    fn complaint(&self, file: &Value) -> String {
        self.schemas.validate(file, self.index).err().map_or(String::new(), |error| error.to_string())
    }
}

fn steps(steps: &str) -> Value {
    serde_json::from_str(&format!(r#"{{"version": 1, "steps": [{steps}]}}"#)).unwrap()
}

fn options(options: &str) -> Value {
    serde_json::from_str(&format!(r#"{{"version": 1, "options": {options}, "steps": []}}"#)).unwrap()
}

#[test]
fn every_generated_plan_and_its_case_are_of_the_format() {
    let (plans, cases, both) = [format::plan_schema(), format::case_schema(), format::schema()].map(Format::new).into();
    for profile in Profile::ALL {
        for seed in (0..20).map(Seed) {
            let (case, _) = StoredCase::run(seed, StoreChoice::Memory, None, plan(profile, seed));
            let (plan, case) = (serde_json::to_value(&case.plan).unwrap(), serde_json::to_value(&case).unwrap());
            assert_eq!(plans.complaint(&plan), "", "profile {profile}, seed {}", seed.0);
            assert_eq!(cases.complaint(&case), "", "profile {profile}, seed {}", seed.0);
            assert!(both.accepts(&plan) && both.accepts(&case));
            assert!(!plans.accepts(&case) && !cases.accepts(&plan), "each is of one kind only");
        }
    }
}

#[test]
fn a_value_of_every_type_may_be_written() {
    let plans = Format::new(format::plan_schema());
    for sample in samples() {
        let column = json!({"name": "p", "type": sample.column_type});
        let table = json!({"create_node_table": {"table": "T", "columns": [column], "primary_key": "p"}});
        let rows = sample.values.iter().map(|value| json!({"create_node": {"table": "T", "properties": {"p": value}}}));
        let statements: Vec<Value> = [table].into_iter().chain(rows).collect();
        let plan = json!({"version": 1, "steps": [{"submit": {"replica": 0, "statements": statements}}]});
        assert_eq!(plans.complaint(&plan), "", "{}", sample.column_type);
        assert!(Plan::from_json(&plan.to_string()).is_ok(), "{}", sample.column_type);
    }
}

#[test]
fn a_case_may_state_every_kind_of_failure() {
    let cases = Format::new(format::case_schema());
    let message = || "it is so".to_owned();
    let violation =
        |property| Violation { property, at_us: 1, message: message(), hosts: vec![1], details: vec![message()] };
    let violations = Property::ALL.map(|property| Failure::Safety(violation(property)));
    let others = [
        Failure::Liveness(violation(Property::Liveness)),
        Failure::Harness { message: message() },
        Failure::Crash { message: message() },
        Failure::Nondeterminism { message: message() },
        Failure::TimeLimit { message: message() },
    ];
    let (case, _) = StoredCase::run(Seed(1), StoreChoice::Memory, None, plan(Profile::Quiet, Seed(1)));
    for failure in violations.into_iter().chain(others) {
        let case = StoredCase { failure: Some(failure), digest: None, ..case.clone() };
        assert_eq!(cases.complaint(&serde_json::to_value(&case).unwrap()), "");
    }
}

/// What people get right and wrong, and whether it is right.
fn files() -> Vec<(Value, bool)> {
    let create = |row: &str| steps(&format!(r#"{{"submit": {{"replica": 0, "statements": [{row}]}}}}"#));
    let value =
        |value: &str| create(&format!(r#"{{"create_node": {{"table": "T", "properties": {{"p": {value}}}}}}}"#));
    let column = |name: &str| {
        let columns = format!(r#"[{{"name": "id", "type": "{name}"}}]"#);
        create(&format!(r#"{{"create_node_table": {{"table": "T", "columns": {columns}, "primary_key": "id"}}}}"#))
    };
    vec![
        (steps(""), true),
        (steps(r#""heal", "settle", {"wait": {"ms": 31536000000}}"#), true),
        (json!({"version": 1}), false),
        (json!({"steps": []}), false),
        (json!({"version": 0, "steps": []}), false),
        (json!({"version": 2, "steps": []}), false),
        (json!({"version": 1, "steps": [], "seed": 1}), false),
        (json!({"version": 1, "steps": "heal"}), false),
        (json!([]), false),
        (steps(r#""heel""#), false),
        (steps(r#"{"heal": {}}"#), false),
        (steps(r#"{"wait": {"ms": -1}}"#), false),
        (steps(r#"{"wait": {"ms": 1.5}}"#), false),
        (steps(r#"{"wait": {"ms": 31536000001}}"#), false),
        (steps(r#"{"wait": {}}"#), false),
        (steps(r#"{"wait": {"ms": 1}, "heal": {}}"#), false),
        (steps(r#"{"wait": {"ms": 1, "s": 1}}"#), false),
        (steps(r#"{"restart": {"replica": 4294967295}}"#), true),
        (steps(r#"{"restart": {"replica": 4294967296}}"#), false),
        (steps(r#"{"partition": {"group": 18446744073709551615}}"#), true),
        (steps(r#"{"jump_clock": {"replica": 0, "ms": -31536000000}}"#), true),
        (steps(r#"{"jump_clock": {"replica": 0, "ms": -31536000001}}"#), false),
        (options("{}"), true),
        (options(r#"{"replicas": 64, "links": {"loss_permille": 1000, "latency_ms_max": 3600000}}"#), true),
        (options(r#"{"replicas": 0}"#), false),
        (options(r#"{"replicas": 65}"#), false),
        (options(r#"{"replica": 3}"#), false),
        (options(r#"{"links": {"loss_permille": 1001}}"#), false),
        (options(r#"{"links": {"repeat_permille": 1001}}"#), false),
        (options(r#"{"links": {"reorder_permille": 1001}}"#), false),
        (options(r#"{"links": {"latency_ms_max": 3600001}}"#), false),
        (options(r#"{"links": {"jitter_ms_max": 3600001}}"#), false),
        (options(r#"{"skew_ms": [0, 31536000000]}"#), true),
        (options(r#"{"skew_ms": [0, 31536000001]}"#), false),
        (options(r#"{"skew_ms": [-31536000001]}"#), false),
        (options(r#"{"settle_ms_max": 86400000}"#), true),
        (options(r#"{"settle_ms_max": 86400001}"#), false),
        (options(r#"{"settle_ms_max": 0}"#), false),
        (options(r#"{"turns_max": 0}"#), false),
        (value(r#"{"int64": -9223372036854775808}"#), true),
        (value(r#"{"int64": "9223372036854775807"}"#), true),
        (value(r#"{"int64": 1.5}"#), false),
        (value(r#"{"int64": "five"}"#), false),
        (value(r#"{"int8": 128}"#), false),
        (value(r#"{"uint32": -1}"#), false),
        (value(r#"{"decimal": "12.50"}"#), true),
        (value(r#"{"decimal": 12.5}"#), false),
        (value(r#"{"blob": "0"}"#), false),
        (value(r#"{"list": [{"int64": 5}, "null"]}"#), true),
        (value(r#"{"list": [5]}"#), false),
        (value(r#"{"struct": {"a": {"int64": 5}}}"#), true),
        (value(r#"{"map": [[{"string": "k"}, {"int64": 5}]]}"#), true),
        (value(r#"{"map": {"k": {"int64": 5}}}"#), false),
        (value(r#"{"union": ["a", {"int64": 5}]}"#), true),
        (value(r#"{"double": "NaN"}"#), true),
        (value(r#"{"double": "many"}"#), false),
        (value(r#"{"string": "s"}"#), true),
        (value(r#""null""#), true),
        (value("5"), false),
        (value(r#"{"int64": 5, "string": "s"}"#), false),
        (column("INT64"), true),
        (column(""), false),
        (create(r#"{"delete_node": {"table": "T", "key": {"int64": 1}}}"#), true),
        (create(r#"{"delete_node": {"table": "T", "key": {"int64": 1}, "cascade": true}}"#), false),
        (create(r#"{"drop_everything": {}}"#), false),
    ]
}

#[test]
fn the_schema_and_the_program_accept_and_refuse_the_same_plans() {
    let plans = Format::new(format::plan_schema());
    for (file, is_right) in files() {
        let read = Plan::from_json(&serde_json::to_string_pretty(&file).unwrap());
        assert_eq!(read.is_ok(), is_right, "{file}: {read:?}");
        assert_eq!(plans.accepts(&file), is_right, "{file}: {}", plans.complaint(&file));
    }
}
