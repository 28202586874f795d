//! The format of plan and case files as JSON Schema (draft 2020-12), made from the types that read them.

use kuzusync_sim::step::Plan;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::stored::StoredCase;

/// The schema of plan files.
#[must_use]
pub fn plan_schema() -> Value {
    schema_of::<Plan>("kuzusync plan")
}

/// The schema of files that hold a stored case.
#[must_use]
pub fn case_schema() -> Value {
    schema_of::<StoredCase>("kuzusync case")
}

/// The schema of every file that `kuzusync run` takes: a case says so by its `case_version`, all else is a plan.
#[must_use]
pub fn schema() -> Value {
    let mut generator = generator();
    let (plan, case) = (generator.subschema_for::<Plan>(), generator.subschema_for::<StoredCase>());
    json!({
        "$schema": DRAFT,
        "title": "kuzusync plan or case",
        "if": { "type": "object", "required": ["case_version"] },
        "then": case,
        "else": plan,
        "$defs": generator.take_definitions(true),
    })
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let mut schema = generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.into()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with_transform(ExactIntegers).into_generator()
}

/// Integers with their least and greatest value instead of a `format`, which validators pass over.
#[derive(Clone)]
struct ExactIntegers;

impl Transform for ExactIntegers {
    fn transform(&mut self, schema: &mut Schema) {
        let bounds = match schema.get("format").and_then(Value::as_str) {
            Some("int8") => Some((json!(i8::MIN), json!(i8::MAX))),
            Some("int16") => Some((json!(i16::MIN), json!(i16::MAX))),
            Some("int32") => Some((json!(i32::MIN), json!(i32::MAX))),
            Some("int64") => Some((json!(i64::MIN), json!(i64::MAX))),
            Some("uint8") => Some((json!(u8::MIN), json!(u8::MAX))),
            Some("uint16") => Some((json!(u16::MIN), json!(u16::MAX))),
            Some("uint32") => Some((json!(u32::MIN), json!(u32::MAX))),
            Some("uint64") => Some((json!(u64::MIN), json!(u64::MAX))),
            _ => None,
        };
        if let (Some((least, greatest)), Some(object)) = (bounds, schema.as_object_mut()) {
            object.remove("format");
            object.entry("minimum").or_insert(least);
            object.entry("maximum").or_insert(greatest);
        }
        transform_subschemas(self, schema);
    }
}
