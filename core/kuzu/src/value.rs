//! Values and types, to Kùzu's and back.
//!
//! The binding makes a parameter's type out of its value, and for some values that goes wrong: a negative decimal gets
//! one digit, an interval is cut into months of thirty days, a union loses its tag, an empty list knows no fields. But a
//! list says itself what its elements are, and of these Kùzu then takes nothing but their plain content: numbers of the
//! element's physical type, or children. So a value that the binding would spoil travels as the one element of a list
//! that says its type, and the rows of a statement travel in a list that says theirs. A NULL anywhere is NULL.

use kuzu::LogicalType;
use kuzusync_core::value::{Blob, Date, Decimal, Double, Field, Float, Json, Moment, Type, Value};
use time::{Duration, OffsetDateTime};

use crate::fidelity::{held_type, held_value};

/// Whether a single value of the type travels as the one element of a list.
pub(crate) fn travels_in_list(column_type: &Type) -> bool {
    matches!(column_type, Type::Decimal { .. } | Type::Interval) || !column_type.parts().is_empty()
}

/// The parameter of a single value.
pub(crate) fn single(content: kuzu::Value, column_type: &Type) -> kuzu::Value {
    if travels_in_list(column_type) { kuzu::Value::List(logical_type(column_type), vec![content]) } else { content }
}

/// A value for a column of `column_type`, to travel in a list that says its type; no value is NULL.
pub(crate) fn content(value: Option<&Value>, column_type: &Type) -> kuzu::Value {
    let null = || kuzu::Value::Null(logical_type(column_type));
    value.map_or_else(null, |value| content_of(&held_value(value, column_type), &held_type(column_type)))
}

fn content_of(value: &Value, held_as: &Type) -> kuzu::Value {
    match (value, held_as) {
        (Value::Bool(value), _) => kuzu::Value::Bool(*value),
        (Value::Int8(value), _) => kuzu::Value::Int8(*value),
        (Value::Int16(value), _) => kuzu::Value::Int16(*value),
        (Value::Int32(value), _) => kuzu::Value::Int32(*value),
        (Value::Int64(value), _) => kuzu::Value::Int64(*value),
        (Value::Int128(value), _) => kuzu::Value::Int128(*value),
        (Value::UInt8(value), _) => kuzu::Value::UInt8(*value),
        (Value::UInt16(value), _) => kuzu::Value::UInt16(*value),
        (Value::UInt32(value), _) => kuzu::Value::UInt32(*value),
        (Value::UInt64(value), _) => kuzu::Value::UInt64(*value),
        (Value::Float(value), _) => kuzu::Value::Float(value.get()),
        (Value::Double(value), _) => kuzu::Value::Double(value.get()),
        (Value::Decimal(value), Type::Decimal { precision, .. }) => decimal(value.unscaled(), *precision),
        (Value::String(text), _) => kuzu::Value::String(text.clone()),
        (Value::Json(json), _) => kuzu::Value::String(json.text().to_owned()),
        (Value::Blob(bytes), _) => kuzu::Value::Blob(bytes.0.clone()),
        (Value::Date(date), _) => kuzu::Value::Date((EPOCH + Duration::days(date.days().into())).date()),
        (Value::Timestamp(moment), _) => kuzu::Value::Timestamp(time_of(moment.nanos())),
        (Value::TimestampSec(moment), _) => kuzu::Value::TimestampSec(time_of(moment.nanos())),
        (Value::TimestampMs(moment), _) => kuzu::Value::TimestampMs(time_of(moment.nanos())),
        (Value::TimestampNs(moment), _) => kuzu::Value::TimestampNs(time_of(moment.nanos())),
        (Value::TimestampTz(moment), _) => kuzu::Value::TimestampTz(time_of(moment.nanos())),
        (Value::Interval(interval), _) => {
            // Kùzu's two 32-bit numbers lie where the lower half of a 128-bit one does.
            let [a, b, c, d] = interval.months().to_ne_bytes();
            let [e, f, g, h] = interval.days().to_ne_bytes();
            let lower = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
            kuzu::Value::Int128(i128::from(interval.micros()) << 64 | i128::from(lower))
        }
        (Value::Uuid(uuid), _) => kuzu::Value::UUID(*uuid),
        (Value::List(elements), Type::List(element)) | (Value::Array(elements), Type::Array(element, _)) => {
            children(elements.iter().map(|value| content_of(value, element)))
        }
        (Value::Struct(values), Type::Struct(fields)) => {
            children(fields.iter().map(|field| content_of(&values[&field.name], &field.field_type)))
        }
        (Value::Map(entries), Type::Map(key_type, value_type)) => children(
            entries.iter().map(|(key, value)| children([content_of(key, key_type), content_of(value, value_type)])),
        ),
        (Value::Union(tag, value), Type::Union(members)) => {
            let place = members.iter().position(|member| member.name == *tag).expect("it is a value of the type");
            let member = |(at, member): (usize, &Field)| {
                content_of(if at == place { value } else { &Value::Null }, &member.field_type)
            };
            let place_of_member = u16::try_from(place).expect("a type's text is shorter");
            let tag = std::iter::once(kuzu::Value::UInt16(place_of_member));
            children(tag.chain(members.iter().enumerate().map(member)))
        }
        (Value::Null, held_as) => kuzu::Value::Null(logical(held_as)),
        (other, held_as) => unreachable!("the catalogue checks that {other} is of its column's type {held_as}"),
    }
}

/// What something nested consists of. The list's own type is not looked at.
pub(crate) fn children(children: impl IntoIterator<Item = kuzu::Value>) -> kuzu::Value {
    kuzu::Value::List(LogicalType::Bool, children.into_iter().collect())
}

/// A decimal as the integer that Kùzu keeps it in.
fn decimal(unscaled: i128, precision: u8) -> kuzu::Value {
    const FITS: &str = "a decimal fits its precision";
    match precision {
        0..=4 => kuzu::Value::Int16(unscaled.try_into().expect(FITS)),
        5..=9 => kuzu::Value::Int32(unscaled.try_into().expect(FITS)),
        10..=18 => kuzu::Value::Int64(unscaled.try_into().expect(FITS)),
        _ => kuzu::Value::Int128(unscaled),
    }
}

const EPOCH: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn time_of(nanos: i128) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("a moment is in the years of the calendar")
}

/// Kùzu's type for the column that stands for one of `column_type`.
pub(crate) fn logical_type(column_type: &Type) -> LogicalType {
    logical(&held_type(column_type))
}

fn logical(held_as: &Type) -> LogicalType {
    let fields =
        |fields: &[Field]| fields.iter().map(|field| (field.name.clone(), logical(&field.field_type))).collect();
    let boxed = |part: &Type| Box::new(logical(part));
    match held_as {
        Type::Bool => LogicalType::Bool,
        Type::Int8 => LogicalType::Int8,
        Type::Int16 => LogicalType::Int16,
        Type::Int32 => LogicalType::Int32,
        Type::Int64 => LogicalType::Int64,
        Type::Int128 => LogicalType::Int128,
        Type::UInt8 => LogicalType::UInt8,
        Type::UInt16 => LogicalType::UInt16,
        Type::UInt32 => LogicalType::UInt32,
        Type::UInt64 => LogicalType::UInt64,
        Type::Float => LogicalType::Float,
        Type::Double => LogicalType::Double,
        Type::Decimal { precision, scale } => {
            LogicalType::Decimal { precision: (*precision).into(), scale: (*scale).into() }
        }
        // Kùzu casts a text to JSON by itself.
        Type::String | Type::Json => LogicalType::String,
        Type::Blob => LogicalType::Blob,
        Type::Date => LogicalType::Date,
        Type::Timestamp => LogicalType::Timestamp,
        Type::TimestampSec => LogicalType::TimestampSec,
        Type::TimestampMs => LogicalType::TimestampMs,
        Type::TimestampNs => LogicalType::TimestampNs,
        Type::TimestampTz => LogicalType::TimestampTz,
        Type::Interval => LogicalType::Interval,
        Type::Uuid => LogicalType::UUID,
        Type::List(element) => LogicalType::List { child_type: boxed(element) },
        Type::Array(element, length) => {
            LogicalType::Array { child_type: boxed(element), num_elements: (*length).into() }
        }
        Type::Struct(of) => LogicalType::Struct { fields: fields(of) },
        Type::Map(key, value) => LogicalType::Map { key_type: boxed(key), value_type: boxed(value) },
        Type::Union(of) => LogicalType::Union { types: fields(of) },
    }
}

/// The value that Kùzu returned from a column of `of`, where intervals and some decimals come as text.
///
/// # Errors
/// A value that is not of the type, for people to read.
pub(crate) fn from_kuzu(value: kuzu::Value, of: &Type) -> Result<Value, String> {
    let nanos = |time: OffsetDateTime| time.unix_timestamp_nanos();
    let all = |values: Vec<kuzu::Value>, element: &Type| {
        values.into_iter().map(|value| from_kuzu(value, element)).collect::<Result<Vec<_>, _>>()
    };
    let read = match (value, of) {
        (kuzu::Value::Null(_), _) => Some(Value::Null),
        (kuzu::Value::Bool(value), Type::Bool) => Some(Value::Bool(value)),
        (kuzu::Value::Int8(value), Type::Int8) => Some(Value::Int8(value)),
        (kuzu::Value::Int16(value), Type::Int16) => Some(Value::Int16(value)),
        (kuzu::Value::Int32(value), Type::Int32) => Some(Value::Int32(value)),
        (kuzu::Value::Int64(value), Type::Int64) => Some(Value::Int64(value)),
        (kuzu::Value::Int128(value), Type::Int128) => Some(Value::Int128(value)),
        (kuzu::Value::UInt8(value), Type::UInt8) => Some(Value::UInt8(value)),
        (kuzu::Value::UInt16(value), Type::UInt16) => Some(Value::UInt16(value)),
        (kuzu::Value::UInt32(value), Type::UInt32) => Some(Value::UInt32(value)),
        (kuzu::Value::UInt64(value), Type::UInt64) => Some(Value::UInt64(value)),
        (kuzu::Value::Float(value), Type::Float) => Some(Value::Float(Float::new(value))),
        (kuzu::Value::Double(value), Type::Double) => Some(Value::Double(Double::new(value))),
        (kuzu::Value::Decimal(value), Type::Decimal { scale, .. }) => {
            Decimal::new(value.mantissa(), *scale).map(Value::Decimal)
        }
        (kuzu::Value::String(text), Type::Decimal { scale, .. }) => {
            let unscaled = without_point(&text).parse().ok();
            unscaled.and_then(|unscaled| Decimal::new(unscaled, *scale)).map(Value::Decimal)
        }
        (kuzu::Value::String(text), Type::Interval) => text.parse().ok().map(Value::Interval),
        (kuzu::Value::String(text), Type::Json) => text.parse::<Json>().ok().map(Value::Json),
        (kuzu::Value::String(text), Type::String) => Some(Value::String(text)),
        (kuzu::Value::Blob(bytes), Type::Blob) => Some(Value::Blob(Blob(bytes))),
        (kuzu::Value::Date(date), Type::Date) => {
            let days = (date - EPOCH.date()).whole_days();
            days.try_into().ok().and_then(Date::new).map(Value::Date)
        }
        (kuzu::Value::Timestamp(time), Type::Timestamp) => Moment::from_nanos(nanos(time)).map(Value::Timestamp),
        (kuzu::Value::TimestampSec(time), Type::TimestampSec) => {
            Moment::from_nanos(nanos(time)).map(Value::TimestampSec)
        }
        (kuzu::Value::TimestampMs(time), Type::TimestampMs) => Moment::from_nanos(nanos(time)).map(Value::TimestampMs),
        (kuzu::Value::TimestampNs(time), Type::TimestampNs) => Moment::from_nanos(nanos(time)).map(Value::TimestampNs),
        (kuzu::Value::TimestampTz(time), Type::TimestampTz) => Moment::from_nanos(nanos(time)).map(Value::TimestampTz),
        (kuzu::Value::UUID(uuid), Type::Uuid) => Some(Value::Uuid(uuid)),
        (kuzu::Value::List(_, values), Type::List(element)) => Some(Value::List(all(values, element)?)),
        (kuzu::Value::Array(_, values), Type::Array(element, _)) => Some(Value::Array(all(values, element)?)),
        (kuzu::Value::Struct(values), Type::Struct(fields)) => {
            let field =
                |((name, value), field): ((String, _), &Field)| Ok((name, from_kuzu(value, &field.field_type)?));
            Some(Value::Struct(values.into_iter().zip(fields).map(field).collect::<Result<_, String>>()?))
        }
        (kuzu::Value::Map(_, entries), Type::Map(key_type, value_type)) => {
            let entry = |(key, value)| Ok((from_kuzu(key, key_type)?, from_kuzu(value, value_type)?));
            Some(Value::Map(entries.into_iter().map(entry).collect::<Result<_, String>>()?))
        }
        (other, of) => return Err(format!("{other} is no {of}")),
    };
    read.filter(|value| value.is_of(of)).ok_or_else(|| format!("a value that is no {of}"))
}

/// The digits of a decimal that Kùzu shows. Where one below zero has fewer of them than stand behind the point, Kùzu
/// 0.11.3 puts zeros before its sign: `0.0-1` for -0.001.
fn without_point(text: &str) -> String {
    let sign = text.rfind('-').unwrap_or(0);
    text[sign..].replace('.', "")
}
