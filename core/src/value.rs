//! Property values: a total order, canonical bytes, and the Kùzu types they live in.
//!
//! A value is compared, hashed and sent by its canonical form, so two replicas that hold equal values hold equal bytes.
//! The order is total (also over floating point numbers) because values are primary keys and ordered maps iterate by
//! them. In JSON a value is tagged with Kùzu's name of its type in lower case, `{"int64": 5}`, and can be written by
//! hand; what loses digits as a JSON number is text there.
//!
//! | file | holds |
//! |---|---|
//! | `types` | [`Type`] and its text |
//! | `float`, `decimal`, `temporal`, `bytes`, `json` | scalars that have rules of their own |
//! | `decode` | reading values, however deep they claim to be |
//! | `cast` | one type's value as another's, or not at all |
//! | [`sample`] | the samples of every type that every layer is tested with |

mod bytes;
mod cast;
mod decimal;
mod decode;
mod float;
mod integer;
mod json;
pub mod sample;
mod temporal;
mod text;
mod types;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
pub use uuid::Uuid;

pub use bytes::Blob;
pub use decimal::Decimal;
pub use float::{Double, Float};
pub use json::Json;
pub use temporal::{Date, Interval, Moment};
pub use types::{Field, Type, TypeError};

/// One property value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// No value; writing it is a write like any other.
    Null,
    /// A `BOOL`.
    Bool(bool),
    /// An `INT8`.
    Int8(i8),
    /// An `INT16`.
    Int16(i16),
    /// An `INT32`.
    Int32(i32),
    /// An `INT64`.
    Int64(
        #[serde(serialize_with = "integer::serialize")]
        #[cfg_attr(feature = "json-schema", schemars(with = "crate::json_schema::Integer"))]
        i64,
    ),
    /// An `INT128`.
    Int128(
        #[serde(serialize_with = "integer::serialize")]
        #[cfg_attr(feature = "json-schema", schemars(with = "crate::json_schema::Integer"))]
        i128,
    ),
    /// A `UINT8`.
    UInt8(u8),
    /// A `UINT16`.
    UInt16(u16),
    /// A `UINT32`.
    UInt32(u32),
    /// A `UINT64`.
    UInt64(
        #[serde(serialize_with = "integer::serialize")]
        #[cfg_attr(feature = "json-schema", schemars(with = "crate::json_schema::Integer"))]
        u64,
    ),
    /// A `FLOAT`.
    Float(Float),
    /// A `DOUBLE`.
    Double(Double),
    /// A `DECIMAL`.
    Decimal(Decimal),
    /// A `STRING`.
    String(String),
    /// A `BLOB`.
    Blob(Blob),
    /// A `DATE`.
    Date(Date),
    /// A `TIMESTAMP`.
    Timestamp(Moment<1_000_000>),
    /// A `TIMESTAMP_SEC`.
    #[serde(rename = "timestamp_sec")]
    TimestampSec(Moment<1>),
    /// A `TIMESTAMP_MS`.
    #[serde(rename = "timestamp_ms")]
    TimestampMs(Moment<1_000>),
    /// A `TIMESTAMP_NS`.
    #[serde(rename = "timestamp_ns")]
    TimestampNs(Moment<1_000_000_000>),
    /// A `TIMESTAMP_TZ`.
    #[serde(rename = "timestamp_tz")]
    TimestampTz(Moment<1_000_000>),
    /// An `INTERVAL`.
    Interval(Interval),
    /// A `UUID`.
    Uuid(#[cfg_attr(feature = "json-schema", schemars(with = "crate::json_schema::Uuid"))] Uuid),
    /// A `JSON`.
    Json(Json),
    /// A list; an element may be NULL.
    List(Vec<Value>),
    /// An array; an element may be NULL.
    Array(Vec<Value>),
    /// A value for each field of a `STRUCT`, NULL or not.
    Struct(BTreeMap<String, Value>),
    /// A `MAP`. Its order is that of the keys, whatever order they were written in; a key is never NULL.
    Map(
        #[serde(serialize_with = "pairs")]
        #[cfg_attr(feature = "json-schema", schemars(with = "Vec<(Value, Value)>"))]
        BTreeMap<Value, Value>,
    ),
    /// The name of a `UNION`'s member, and its value.
    Union(String, Box<Value>),
}

/// JSON objects have text for keys, so a map is a list of pairs.
fn pairs<S: Serializer>(map: &BTreeMap<Value, Value>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map)
}

impl Value {
    /// Whether a column of that type holds the value. NULL is a value of every type.
    #[must_use]
    pub fn is_of(&self, expected: &Type) -> bool {
        match (self, expected) {
            (Value::Null, _) => true,
            (Value::Decimal(decimal), Type::Decimal { precision, scale }) => decimal.fits(*precision, *scale),
            (Value::List(elements), Type::List(element)) => elements.iter().all(|value| value.is_of(element)),
            (Value::Array(elements), Type::Array(element, length)) => {
                u32::try_from(elements.len()) == Ok(*length) && elements.iter().all(|value| value.is_of(element))
            }
            (Value::Struct(values), Type::Struct(fields)) => {
                let has = |field: &Field| values.get(&field.name).is_some_and(|value| value.is_of(&field.field_type));
                values.len() == fields.len() && fields.iter().all(has)
            }
            (Value::Map(entries), Type::Map(key_type, value_type)) => {
                let fits = |(key, value): (&Value, &Value)| {
                    *key != Value::Null && key.is_of(key_type) && value.is_of(value_type)
                };
                entries.iter().all(fits)
            }
            (Value::Union(tag, value), Type::Union(members)) => {
                members.iter().any(|member| member.name == *tag && value.is_of(&member.field_type))
            }
            (plain, expected) => plain.plain_type().is_some_and(|own| own == *expected),
        }
    }

    /// The type of a value that has one by itself: no NULL, no decimal and nothing nested.
    fn plain_type(&self) -> Option<Type> {
        Some(match self {
            Value::Bool(_) => Type::Bool,
            Value::Int8(_) => Type::Int8,
            Value::Int16(_) => Type::Int16,
            Value::Int32(_) => Type::Int32,
            Value::Int64(_) => Type::Int64,
            Value::Int128(_) => Type::Int128,
            Value::UInt8(_) => Type::UInt8,
            Value::UInt16(_) => Type::UInt16,
            Value::UInt32(_) => Type::UInt32,
            Value::UInt64(_) => Type::UInt64,
            Value::Float(_) => Type::Float,
            Value::Double(_) => Type::Double,
            Value::String(_) => Type::String,
            Value::Blob(_) => Type::Blob,
            Value::Date(_) => Type::Date,
            Value::Timestamp(_) => Type::Timestamp,
            Value::TimestampSec(_) => Type::TimestampSec,
            Value::TimestampMs(_) => Type::TimestampMs,
            Value::TimestampNs(_) => Type::TimestampNs,
            Value::TimestampTz(_) => Type::TimestampTz,
            Value::Interval(_) => Type::Interval,
            Value::Uuid(_) => Type::Uuid,
            Value::Json(_) => Type::Json,
            Value::Null | Value::Decimal(_) | Value::List(_) | Value::Array(_) => return None,
            Value::Struct(_) | Value::Map(_) | Value::Union(..) => return None,
        })
    }

    /// The whole number, whatever the width of its type.
    #[must_use]
    pub fn as_integer(&self) -> Option<i128> {
        Some(match self {
            Value::Int8(value) => (*value).into(),
            Value::Int16(value) => (*value).into(),
            Value::Int32(value) => (*value).into(),
            Value::Int64(value) => (*value).into(),
            Value::Int128(value) => *value,
            Value::UInt8(value) => (*value).into(),
            Value::UInt16(value) => (*value).into(),
            Value::UInt32(value) => (*value).into(),
            Value::UInt64(value) => (*value).into(),
            _ => return None,
        })
    }

    /// `number` as an integer type's value; `None` for another type and for a number out of its range.
    #[must_use]
    pub fn from_integer(number: i128, target: &Type) -> Option<Value> {
        match target {
            Type::Int8 => number.try_into().ok().map(Value::Int8),
            Type::Int16 => number.try_into().ok().map(Value::Int16),
            Type::Int32 => number.try_into().ok().map(Value::Int32),
            Type::Int64 => number.try_into().ok().map(Value::Int64),
            Type::Int128 => Some(Value::Int128(number)),
            Type::UInt8 => number.try_into().ok().map(Value::UInt8),
            Type::UInt16 => number.try_into().ok().map(Value::UInt16),
            Type::UInt32 => number.try_into().ok().map(Value::UInt32),
            Type::UInt64 => number.try_into().ok().map(Value::UInt64),
            _ => None,
        }
    }

    /// What is added up when values of a [summable](Type::is_summable) type are: an integer itself, a decimal without
    /// its point.
    #[must_use]
    pub fn addend(&self) -> Option<i128> {
        match self {
            Value::Decimal(decimal) => Some(decimal.unscaled()),
            other => other.as_integer(),
        }
    }

    /// The type in which values like this one are added up where their column says none; `None` for what is no addend.
    #[must_use]
    pub fn sum_type(&self) -> Option<Type> {
        match self {
            Value::Decimal(decimal) => Some(Type::Decimal { precision: Type::PRECISION_MAX, scale: decimal.scale() }),
            other => other.plain_type().filter(Type::is_summable),
        }
    }

    /// The value of which `sum` is the [`addend`](Value::addend); `None` where the type has no such value.
    #[must_use]
    pub fn from_sum(sum: i128, target: &Type) -> Option<Value> {
        match target {
            Type::Decimal { precision, scale } => {
                let decimal = Decimal::new(sum, *scale).filter(|decimal| decimal.fits(*precision, *scale));
                decimal.map(Value::Decimal)
            }
            other => Value::from_integer(sum, other),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Float(value) => write!(f, "{:?}", value.get()),
            Value::Double(value) => write!(f, "{:?}", value.get()),
            Value::String(value) => write!(f, "{value:?}"),
            Value::List(elements) | Value::Array(elements) => {
                f.write_str("[")?;
                separated(f, elements, |f, element| write!(f, "{element}"))?;
                f.write_str("]")
            }
            Value::Struct(fields) => {
                f.write_str("{")?;
                separated(f, fields, |f, (name, value)| write!(f, "{name}: {value}"))?;
                f.write_str("}")
            }
            Value::Map(entries) => {
                f.write_str("{")?;
                separated(f, entries, |f, (key, value)| write!(f, "{key}={value}"))?;
                f.write_str("}")
            }
            Value::Union(tag, value) => write!(f, "{tag}:={value}"),
            plain => f.write_str(&plain.plain_text().expect("every other value has a text")),
        }
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (place, item) in items.into_iter().enumerate() {
        f.write_str(if place == 0 { "" } else { ", " })?;
        write(f, item)?;
    }
    Ok(())
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int64(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Double(Double::new(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::String(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::sample::samples;
    use super::*;

    fn read(json: &str) -> Result<Value, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn every_value() -> impl Iterator<Item = &'static Value> {
        samples().iter().flat_map(|sample| &sample.values)
    }

    #[test]
    fn every_sample_is_of_its_type_alone() {
        for sample in samples() {
            assert_eq!(sample.column_type.check(), Ok(()), "{}", sample.column_type);
            for value in &sample.values {
                assert!(value.is_of(&sample.column_type), "{value} of {}", sample.column_type);
                let plain = value.plain_text().is_some();
                let types = samples().iter().filter(|other| value.is_of(&other.column_type));
                assert!(!plain || types.count() == 1, "{value}");
            }
        }
    }

    #[test]
    fn every_value_survives_json_and_bytes() {
        for value in every_value().chain([&Value::Null]) {
            let json = serde_json::to_string(value).unwrap();
            assert_eq!(read(&json).as_ref(), Ok(value), "{json}");
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::from_value::<Value>(parsed).unwrap(), *value, "{json}");
            let bytes = postcard::to_stdvec(value).unwrap();
            assert_eq!(postcard::from_bytes::<Value>(&bytes).unwrap(), *value, "{value}");
        }
    }

    #[test]
    fn different_values_have_different_bytes_and_one_order() {
        // An empty list is a sample of several types.
        let mut values: Vec<&Value> = every_value().collect();
        values.sort();
        values.dedup();
        for pair in values.windows(2) {
            assert!(pair[0] < pair[1], "{} {}", pair[0], pair[1]);
            assert_ne!(postcard::to_stdvec(pair[0]), postcard::to_stdvec(pair[1]));
        }
    }

    #[test]
    fn the_samples_stand_in_their_order_and_their_json_is_what_is_written() {
        let written: serde_json::Value = serde_json::from_str(include_str!("value/samples.json")).unwrap();
        for (written, sample) in written.as_array().unwrap().iter().zip(samples()) {
            assert_eq!(written["type"], serde_json::to_value(&sample.column_type).unwrap());
            let json = |value: &Value| serde_json::to_string(value).unwrap();
            let values =
                sample.values.iter().map(|value| serde_json::from_str::<serde_json::Value>(&json(value)).unwrap());
            assert!(values.eq(written["values"].as_array().unwrap().iter().cloned()), "{}", sample.column_type);
            assert!(sample.values.is_sorted(), "{}", sample.column_type);
        }
    }

    #[test]
    fn integers_beyond_two_to_the_53_are_text_in_json_and_either_spelling_is_read() {
        assert_eq!(serde_json::to_string(&Value::from(1 << 53)).unwrap(), r#"{"int64":9007199254740992}"#);
        assert_eq!(serde_json::to_string(&Value::from((1 << 53) + 1)).unwrap(), r#"{"int64":"9007199254740993"}"#);
        assert_eq!(read(r#"{"int64":9223372036854775807}"#), Ok(Value::from(i64::MAX)));
        assert_eq!(read(r#"{"int64":"-5"}"#), Ok(Value::from(-5)));
        for bad in [r#"{"uint64":-1}"#, r#"{"int64":1.5}"#, r#"{"int64":"9223372036854775808"}"#, r#"{"int8":128}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let bad = [
            r#"{"float":1e39}"#,
            r#"{"double":"one"}"#,
            r#"{"decimal":"1e3"}"#,
            r#"{"decimal":1.5}"#,
            r#"{"blob":"0"}"#,
            r#"{"blob":"0g"}"#,
            r#"{"blob":"é"}"#,
            r#"{"date":"2023-02-29"}"#,
            r#"{"timestamp_ns":"9999-12-31T00:00:00Z"}"#,
            r#"{"uuid":"0"}"#,
            r#"{"json":"{"}"#,
            r#"{"struct":{"a":"null","a":"null"}}"#,
            r#"{"map":[["null","null"],["null","null"]]}"#,
            r#"{"map":[["null"]]}"#,
            r#"{"union":["a"]}"#,
            r#"{"number":1}"#,
        ];
        for bad in bad {
            assert!(read(bad).is_err(), "{bad}");
        }
        let out_of_range = [Value::Date(Date::RANGE[1]), Value::TimestampSec(Moment::RANGE[1])].map(|value| {
            let mut bytes = postcard::to_stdvec(&value).unwrap();
            *bytes.last_mut().unwrap() = 0x7F;
            bytes
        });
        for bytes in out_of_range {
            assert!(postcard::from_bytes::<Value>(&bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_value_that_claims_to_be_deep_is_refused_without_reading_on() {
        let nested = |levels: usize| (1..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
        let deepest = postcard::to_stdvec(&nested(Type::DEPTH_MAX)).unwrap();
        assert_eq!(postcard::from_bytes::<Value>(&deepest), Ok(nested(Type::DEPTH_MAX)));
        let list = &deepest[..2];
        for levels in [Type::DEPTH_MAX, 1 << 20] {
            assert!(postcard::from_bytes::<Value>(&list.repeat(levels)).is_err());
        }
        let union = postcard::to_stdvec(&Value::Union(String::new(), Box::new(Value::Null))).unwrap();
        assert!(postcard::from_bytes::<Value>(&union[..2].repeat(1 << 20)).is_err());
        let json = r#"{"list":["#.repeat(1 << 16);
        assert!(read(&json).is_err());
    }

    #[test]
    fn a_nested_value_of_another_shape_is_of_no_type_it_resembles() {
        let is_of = |json: &str, text: &str| read(json).unwrap().is_of(&text.parse().unwrap());
        assert!(is_of(r#"{"list":[]}"#, "MAP(INT8, INT8)[]"));
        assert!(!is_of(r#"{"list":[]}"#, "INT8[1]"));
        assert!(!is_of(r#"{"list":[{"int8":1}]}"#, "INT16[]"));
        assert!(!is_of(r#"{"array":[{"int8":1}]}"#, "INT8[2]"));
        assert!(!is_of(r#"{"struct":{"a":"null"}}"#, "STRUCT(a INT8, b INT8)"));
        assert!(!is_of(r#"{"struct":{"A":"null"}}"#, "STRUCT(a INT8)"));
        assert!(!is_of(r#"{"map":[["null","null"]]}"#, "MAP(INT8, INT8)"));
        assert!(!is_of(r#"{"union":["c","null"]}"#, "UNION(a INT8, b INT8)"));
        assert!(!is_of(r#"{"decimal":"1.5"}"#, "DECIMAL(18, 3)"));
        assert!(!is_of(r#"{"decimal":"1234.500"}"#, "DECIMAL(6, 3)"));
    }

    #[test]
    fn a_sum_is_a_value_again_when_its_type_has_it() {
        for sample in samples() {
            for value in &sample.values {
                assert_eq!(value.addend().is_some(), sample.column_type.is_summable(), "{value}");
                let again = value.addend().map(|sum| Value::from_sum(sum, &sample.column_type));
                assert!(again.is_none_or(|again| again.as_ref() == Some(value)), "{value}");
            }
        }
        assert_eq!(Value::from_sum(256, &Type::UInt8), None);
        assert_eq!(Value::from_sum(-1, &Type::UInt64), None);
        assert_eq!(Value::from_sum(10_000, &Type::Decimal { precision: 4, scale: 2 }), None);
        assert_eq!(Value::from_sum(1, &Type::Double), None);
    }

    #[test]
    fn people_read_a_value_on_one_line() {
        let shown = |json: &str| read(json).unwrap().to_string();
        assert_eq!(shown(r#"{"double":7.0}"#), "7.0");
        assert_eq!(shown(r#"{"list":[{"string":"a\u0000"},"null"]}"#), r#"["a\0", NULL]"#);
        assert_eq!(shown(r#"{"struct":{"a":{"map":[[{"int8":1},{"blob":"ff"}]]}}}"#), "{a: {1=ff}}");
        assert_eq!(shown(r#"{"union":["num",{"decimal":"-0.50"}]}"#), "num:=-0.50");
    }
}
