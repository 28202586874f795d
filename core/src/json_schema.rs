//! The JSON Schema of vocabulary types that write their JSON by hand; that of all others is derived.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::clock::WallTime;
use crate::id::Digest;
use crate::value::{Type, Value};

/// A type by its text. Whether the text names one is told when the file is read.
impl JsonSchema for Type {
    fn schema_name() -> Cow<'static, str> {
        "Type".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Kùzu's name of a type.",
            "type": "string",
            "examples": ["INT64", "DECIMAL(18, 3)", "STRING[]", "STRUCT(a INT64, b STRING)", "MAP(STRING, INT64)"],
        })
    }
}

/// A value, tagged with the name of its type in lower case.
impl JsonSchema for Value {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<Value>();
        let integer = |bits: u32, is_signed: bool| {
            let (least, most) = match (bits, is_signed) {
                (64.., true) => return json_schema!({ "anyOf": [{ "type": "integer" }, digits("^-?[0-9]+$")] }),
                (64.., false) => {
                    return json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, digits("^[0-9]+$")] });
                }
                (_, true) => (-(1_i64 << (bits - 1)), (1_i64 << (bits - 1)) - 1),
                (_, false) => (0, (1_i64 << bits) - 1),
            };
            let text = digits(if is_signed { "^-?[0-9]+$" } else { "^[0-9]+$" });
            json_schema!({ "anyOf": [{ "type": "integer", "minimum": least, "maximum": most }, text] })
        };
        let float = || json_schema!({ "anyOf": [{ "type": "number" }, { "enum": ["NaN", "inf", "-inf"] }] });
        let text = || json_schema!({ "type": "string" });
        let list = || json_schema!({ "type": "array", "items": value.clone() });
        let pair = json_schema!({ "type": "array", "items": value.clone(), "minItems": 2, "maxItems": 2 });
        let union = json_schema!({
            "type": "array",
            "prefixItems": [{ "type": "string" }, value.clone()],
            "minItems": 2,
            "maxItems": 2,
        });
        let variants = [
            ("bool", json_schema!({ "type": "boolean" })),
            ("int8", integer(8, true)),
            ("int16", integer(16, true)),
            ("int32", integer(32, true)),
            ("int64", integer(64, true)),
            ("int128", integer(128, true)),
            ("uint8", integer(8, false)),
            ("uint16", integer(16, false)),
            ("uint32", integer(32, false)),
            ("uint64", integer(64, false)),
            ("float", float()),
            ("double", float()),
            ("decimal", digits("^-?[0-9]+(\\.[0-9]+)?$")),
            ("string", text()),
            ("blob", text()),
            ("date", text()),
            ("timestamp", text()),
            ("timestamp_sec", text()),
            ("timestamp_ms", text()),
            ("timestamp_ns", text()),
            ("timestamp_tz", text()),
            ("interval", text()),
            ("uuid", text()),
            ("json", text()),
            ("list", list()),
            ("array", list()),
            ("struct", json_schema!({ "type": "object", "additionalProperties": value.clone() })),
            ("map", json_schema!({ "type": "array", "items": pair })),
            ("union", union),
        ];
        let variant = |(tag, content): (&str, Schema)| {
            json_schema!({
                "type": "object",
                "properties": { tag: content },
                "required": [tag],
                "additionalProperties": false,
            })
        };
        let all: Vec<Schema> =
            [json_schema!({ "const": "null" })].into_iter().chain(variants.into_iter().map(variant)).collect();
        json_schema!({ "description": "A property value.", "anyOf": all })
    }
}

fn digits(pattern: &str) -> Schema {
    json_schema!({ "type": "string", "pattern": pattern })
}

impl JsonSchema for WallTime {
    fn schema_name() -> Cow<'static, str> {
        "WallTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "An instant with its offset, as in RFC 3339.", "type": "string" })
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
