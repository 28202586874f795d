//! The JSON Schema of vocabulary types that write their JSON by hand; that of all others is derived.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::clock::WallTime;
use crate::id::Digest;
use crate::value::{Blob, Date, Decimal, Double, Float, Interval, Json, Moment, Type};

macro_rules! by_hand {
    ($({ $($parameters:tt)* })? $name:ty, $title:literal, $schema:tt) => {
        impl $(<$($parameters)*>)? JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// An integer of up to 128 bits: a number, or its digits where a number loses some.
pub(crate) struct Integer;

/// A universally unique identifier.
pub(crate) struct Uuid;

by_hand!(Digest, "Digest", {
    "description": "32 hexadecimal digits.", "type": "string", "pattern": "^[0-9a-fA-F]{32}$"
});
by_hand!(Type, "Type", {
    "description": "A column's type, by Kùzu's name for it.", "type": "string", "minLength": 1,
    "examples": ["BOOL", "INT64", "STRING", "DECIMAL(18, 3)", "STRING[]", "INT64[3]", "STRUCT(a INT64, b STRING)", "MAP(STRING, INT64)"]
});
by_hand!(Integer, "Integer", {
    "description": "A number, or its digits as text.",
    "anyOf": [{ "type": "integer" }, { "type": "string", "pattern": "^-?[0-9]{1,39}$" }]
});
by_hand!(Float, "Float", {
    "description": "A number; what JSON has no number for is text.",
    "anyOf": [{ "type": "number" }, { "enum": ["NaN", "inf", "-inf"] }]
});
by_hand!(Double, "Double", {
    "description": "A number; what JSON has no number for is text.",
    "anyOf": [{ "type": "number" }, { "enum": ["NaN", "inf", "-inf"] }]
});
by_hand!(Decimal, "Decimal", {
    "description": "A decimal number of at most 38 digits, with all digits behind the point that its column has.",
    "type": "string", "pattern": "^-?[0-9]+([.][0-9]+)?$", "examples": ["12.50"]
});
by_hand!(Blob, "Blob", {
    "description": "Two hexadecimal digits for each byte.", "type": "string", "pattern": "^([0-9a-fA-F]{2})*$"
});
by_hand!(Date, "Date", { "description": "A day.", "type": "string", "examples": ["2024-02-29"] });
by_hand!({ const PER_SECOND: i64 } Moment<PER_SECOND>, "Moment", {
    "description": "A time; in UTC if it has no offset.", "type": "string", "examples": ["2024-02-29T12:00:00Z"]
});
by_hand!(Interval, "Interval", {
    "description": "Years, months, days and a time.", "type": "string", "examples": ["1 year 2 months 3 days 04:05:06"]
});
by_hand!(Uuid, "Uuid", { "description": "A UUID.", "type": "string", "format": "uuid" });
by_hand!(Json, "Json", { "description": "JSON, as text.", "type": "string", "examples": ["{\"a\": [1, 2]}"] });

by_hand!(WallTime, "WallTime", {
    "description": "An instant with its offset, as in RFC 3339.", "type": "string",
    "examples": ["2025-01-31T09:30:00.25+01:00"]
});
