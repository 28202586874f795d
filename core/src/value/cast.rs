//! One type's value as another's: the same value, or none.

use std::str::FromStr;

use super::{Date, Decimal, Double, Float, Moment, Type, Value, integer};
use crate::ddl::same_name;

/// Integers beyond it have no exact single.
const SINGLE_EXACT_MAX: i128 = 1 << 24;

const NANOS_PER_DAY: i128 = 86_400_000_000_000;

impl Value {
    /// The value as `target` shows it, `None` where the cast fails; a cast that loses anything is one that fails.
    ///
    /// The text of a number is its shortest exact one. Nested values are cast element by element, fields and members
    /// by name.
    #[must_use]
    pub fn cast(&self, target: &Type) -> Option<Value> {
        if self.is_of(target) {
            return Some(self.clone());
        }
        match (self, target) {
            (_, Type::String) => self.plain_text().map(Value::String),
            (Value::String(text), _) => parse(text, target),
            (Value::List(elements) | Value::Array(elements), Type::List(element)) => {
                elements.iter().map(|value| value.cast(element)).collect::<Option<_>>().map(Value::List)
            }
            (Value::List(elements) | Value::Array(elements), Type::Array(element, length)) => {
                let has_length = u32::try_from(elements.len()) == Ok(*length);
                let cast = elements.iter().map(|value| value.cast(element)).collect::<Option<_>>();
                cast.filter(|_| has_length).map(Value::Array)
            }
            (Value::Struct(values), Type::Struct(fields)) if values.len() == fields.len() => {
                let cast = fields.iter().map(|field| {
                    let (_, value) = values.iter().find(|(name, _)| same_name(name, &field.name))?;
                    Some((field.name.clone(), value.cast(&field.field_type)?))
                });
                cast.collect::<Option<_>>().map(Value::Struct)
            }
            (Value::Map(entries), Type::Map(key_type, value_type)) => {
                let cast = entries.iter().map(|(key, value)| Some((key.cast(key_type)?, value.cast(value_type)?)));
                let cast = cast.collect::<Option<std::collections::BTreeMap<_, _>>>()?;
                (cast.len() == entries.len()).then_some(Value::Map(cast))
            }
            (Value::Union(tag, value), Type::Union(members)) => {
                let member = members.iter().find(|member| same_name(&member.name, tag))?;
                Some(Value::Union(member.name.clone(), Box::new(value.cast(&member.field_type)?)))
            }
            (Value::Bool(value), _) => Value::from_integer((*value).into(), target),
            (Value::Float(value), Type::Double) => Some(Value::from(f64::from(value.get()))),
            (Value::Float(value), _) => Value::from_integer(exact_integer(value.get().into())?, target),
            (Value::Double(value), Type::Float) => {
                let single = Float::new(value.get() as f32);
                (Double::new(single.get().into()) == *value).then_some(Value::Float(single))
            }
            (Value::Double(value), _) => Value::from_integer(exact_integer(value.get())?, target),
            (Value::Decimal(decimal), Type::Decimal { precision, scale }) => {
                let rescaled = decimal.rescale(*scale).filter(|decimal| decimal.fits(*precision, *scale));
                rescaled.map(Value::Decimal)
            }
            (Value::Decimal(decimal), _) => Value::from_integer(decimal.rescale(0)?.unscaled(), target),
            _ => match self.as_integer() {
                Some(number) => integer_as(number, target),
                None => time_as(self.nanos()?, target),
            },
        }
    }

    /// The text of a value that is neither NULL nor nested.
    pub(super) fn plain_text(&self) -> Option<String> {
        Some(match self {
            Value::Bool(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Double(value) => value.to_string(),
            Value::Decimal(value) => value.to_string(),
            Value::String(text) => text.clone(),
            Value::Blob(value) => value.to_string(),
            Value::Date(value) => value.to_string(),
            Value::Timestamp(value) | Value::TimestampTz(value) => value.to_string(),
            Value::TimestampSec(value) => value.to_string(),
            Value::TimestampMs(value) => value.to_string(),
            Value::TimestampNs(value) => value.to_string(),
            Value::Interval(value) => value.to_string(),
            Value::Uuid(value) => value.to_string(),
            Value::Json(value) => value.to_string(),
            other => other.as_integer()?.to_string(),
        })
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z; a date is its midnight.
    fn nanos(&self) -> Option<i128> {
        Some(match self {
            Value::Date(value) => i128::from(value.days()) * NANOS_PER_DAY,
            Value::Timestamp(value) | Value::TimestampTz(value) => value.nanos(),
            Value::TimestampSec(value) => value.nanos(),
            Value::TimestampMs(value) => value.nanos(),
            Value::TimestampNs(value) => value.nanos(),
            _ => return None,
        })
    }
}

fn parse(text: &str, target: &Type) -> Option<Value> {
    fn as_is<T: FromStr>(text: &str, value: fn(T) -> Value) -> Option<Value> {
        text.parse().ok().map(value)
    }
    match target {
        Type::Bool => as_is(text, Value::Bool),
        Type::Float => as_is(text, |number| Value::Float(Float::new(number))),
        Type::Double => as_is(text, |number| Value::Double(Double::new(number))),
        Type::Decimal { .. } => as_is(text, Value::Decimal)?.cast(target),
        Type::Blob => as_is(text, Value::Blob),
        Type::Date => as_is(text, Value::Date),
        Type::Timestamp => as_is(text, Value::Timestamp),
        Type::TimestampSec => as_is(text, Value::TimestampSec),
        Type::TimestampMs => as_is(text, Value::TimestampMs),
        Type::TimestampNs => as_is(text, Value::TimestampNs),
        Type::TimestampTz => as_is(text, Value::TimestampTz),
        Type::Interval => as_is(text, Value::Interval),
        Type::Uuid => as_is(text, Value::Uuid),
        Type::Json => as_is(text, Value::Json),
        _ => Value::from_integer(text.parse().ok()?, target),
    }
}

fn exact_integer(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() <= integer::EXACT_MAX as f64).then_some(value as i128)
}

fn integer_as(number: i128, target: &Type) -> Option<Value> {
    let is_within = |bound: i128| (-bound..=bound).contains(&number);
    match target {
        Type::Float if is_within(SINGLE_EXACT_MAX) => Some(Value::Float(Float::new(number as f32))),
        Type::Double if is_within(integer::EXACT_MAX) => Some(Value::from(number as f64)),
        Type::Decimal { .. } => Value::Decimal(Decimal::new(number, 0)?).cast(target),
        _ => Value::from_integer(number, target),
    }
}

fn time_as(nanos: i128, target: &Type) -> Option<Value> {
    match target {
        Type::Date => {
            let days = (nanos % NANOS_PER_DAY == 0).then_some(nanos / NANOS_PER_DAY)?;
            Date::new(days.try_into().ok()?).map(Value::Date)
        }
        Type::Timestamp => Moment::from_nanos(nanos).map(Value::Timestamp),
        Type::TimestampSec => Moment::from_nanos(nanos).map(Value::TimestampSec),
        Type::TimestampMs => Moment::from_nanos(nanos).map(Value::TimestampMs),
        Type::TimestampNs => Moment::from_nanos(nanos).map(Value::TimestampNs),
        Type::TimestampTz => Moment::from_nanos(nanos).map(Value::TimestampTz),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::samples;
    use super::*;

    fn cast(value: &str, target: &str) -> Option<String> {
        let value: Value = serde_json::from_str(value).unwrap();
        value.cast(&target.parse().unwrap()).map(|cast| serde_json::to_string(&cast).unwrap())
    }

    #[track_caller]
    fn becomes(value: &str, target: &str, expected: &str) {
        assert_eq!(cast(value, target).as_deref(), Some(expected), "{value} as {target}");
    }

    #[track_caller]
    fn fails(value: &str, target: &str) {
        assert_eq!(cast(value, target), None, "{value} as {target}");
    }

    #[test]
    fn a_cast_keeps_the_number_or_fails() {
        becomes(r#"{"int64":7}"#, "STRING", r#"{"string":"7"}"#);
        becomes(r#"{"string":"7"}"#, "INT64", r#"{"int64":7}"#);
        fails(r#"{"string":"seven"}"#, "INT64");
        becomes(r#"{"int64":7}"#, "DOUBLE", r#"{"double":7.0}"#);
        fails(r#"{"int64":"9223372036854775807"}"#, "DOUBLE");
        fails(r#"{"int32":16777217}"#, "FLOAT");
        becomes(r#"{"int32":16777217}"#, "DOUBLE", r#"{"double":16777217.0}"#);
        becomes(r#"{"uint8":255}"#, "INT16", r#"{"int16":255}"#);
        fails(r#"{"uint8":255}"#, "INT8");
        fails(r#"{"int8":-1}"#, "UINT64");
        fails(r#"{"double":7.5}"#, "INT64");
        becomes(r#"{"float":0.5}"#, "DOUBLE", r#"{"double":0.5}"#);
        becomes(r#"{"double":"NaN"}"#, "FLOAT", r#"{"float":"NaN"}"#);
        fails(r#"{"double":0.1}"#, "FLOAT");
        becomes(r#"{"bool":true}"#, "UINT8", r#"{"uint8":1}"#);
        becomes(r#""null""#, "BOOL", r#""null""#);
    }

    #[test]
    fn a_decimal_casts_by_its_scale() {
        becomes(r#"{"int64":7}"#, "DECIMAL(4, 2)", r#"{"decimal":"7.00"}"#);
        fails(r#"{"int64":700}"#, "DECIMAL(4, 2)");
        becomes(r#"{"decimal":"7.00"}"#, "INT8", r#"{"int8":7}"#);
        fails(r#"{"decimal":"7.01"}"#, "INT8");
        becomes(r#"{"decimal":"7.50"}"#, "DECIMAL(18, 1)", r#"{"decimal":"7.5"}"#);
        becomes(r#"{"string":"-7.5"}"#, "DECIMAL(18, 3)", r#"{"decimal":"-7.500"}"#);
        fails(r#"{"string":"7.5000"}"#, "DECIMAL(4, 4)");
    }

    #[test]
    fn a_time_casts_to_a_precision_that_has_it() {
        becomes(r#"{"date":"2024-02-29"}"#, "TIMESTAMP_NS", r#"{"timestamp_ns":"2024-02-29T00:00:00Z"}"#);
        becomes(r#"{"timestamp_tz":"2024-02-29T00:00:00Z"}"#, "DATE", r#"{"date":"2024-02-29"}"#);
        fails(r#"{"timestamp":"2024-02-29T00:00:00.000001Z"}"#, "TIMESTAMP_MS");
        fails(r#"{"date":"9999-12-31"}"#, "TIMESTAMP_NS");
        fails(r#"{"interval":"1 month"}"#, "DATE");
    }

    #[test]
    fn nested_values_cast_element_by_element_or_not_at_all() {
        becomes(r#"{"list":[{"int8":1},"null"]}"#, "STRING[2]", r#"{"array":[{"string":"1"},"null"]}"#);
        fails(r#"{"list":[{"int8":1}]}"#, "INT8[2]");
        fails(r#"{"list":[{"string":"1"},{"string":"x"}]}"#, "INT8[]");
        becomes(r#"{"struct":{"a":{"int8":1}}}"#, "STRUCT(A INT64)", r#"{"struct":{"A":{"int64":1}}}"#);
        fails(r#"{"struct":{"a":{"int8":1}}}"#, "STRUCT(b INT8)");
        fails(r#"{"struct":{"a":{"int8":1}}}"#, "STRUCT(a INT8, b INT8)");
        let map = r#"{"map":[[{"string":"1"},"null"],[{"string":"01"},"null"]]}"#;
        fails(map, "MAP(INT64, BOOL)");
        becomes(r#"{"map":[[{"string":"1"},"null"]]}"#, "MAP(INT8, BOOL)", r#"{"map":[[{"int8":1},"null"]]}"#);
        becomes(r#"{"union":["n",{"int8":1}]}"#, "UNION(s STRING, N INT64)", r#"{"union":["N",{"int64":1}]}"#);
        fails(r#"{"union":["n",{"int8":1}]}"#, "UNION(s STRING)");
        fails(r#"{"list":[]}"#, "STRING");
    }

    #[test]
    fn the_text_of_every_plain_sample_casts_back() {
        for sample in samples() {
            for value in &sample.values {
                let Some(text) = value.cast(&Type::String) else { continue };
                assert_eq!(text.cast(&sample.column_type).as_ref(), Some(value), "{text}");
            }
        }
    }

    #[test]
    fn what_one_type_shows_of_anothers_sample_is_of_that_type() {
        for target in samples().iter().map(|sample| &sample.column_type) {
            for value in samples().iter().flat_map(|sample| &sample.values) {
                let cast = value.cast(target);
                assert!(cast.is_none_or(|cast| cast.is_of(target)), "{value} as {target}");
            }
        }
    }
}
