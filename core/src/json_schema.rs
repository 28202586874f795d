//! The JSON Schema of vocabulary types that write their JSON by hand; that of all others is derived.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::id::Digest;
use crate::value::Double;

impl JsonSchema for Double {
    fn schema_name() -> Cow<'static, str> {
        "Double".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number; what JSON has no number for is text.",
            "anyOf": [{ "type": "number" }, { "enum": ["NaN", "inf", "-inf"] }],
        })
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "32 hexadecimal digits.", "type": "string", "pattern": "^[0-9a-fA-F]{32}$" })
    }
}
