//! Values and types, to Kùzu's and back.
//!
//! A NULL carries its type: in a list of structs Kùzu takes the types of the first struct for all of them, and a NULL
//! without a type there would turn a column of numbers into one of text.

use kuzu::LogicalType;
use kuzusync_core::value::{Double, Type, Value};

/// The parameter for a column of `column_type`; no value is NULL.
pub(crate) fn parameter(value: Option<&Value>, column_type: &Type) -> kuzu::Value {
    match value {
        None | Some(Value::Null) => kuzu::Value::Null(logical_type(column_type)),
        Some(Value::Bool(value)) => kuzu::Value::Bool(*value),
        Some(Value::Int64(value)) => kuzu::Value::Int64(*value),
        Some(Value::Double(value)) => kuzu::Value::Double(value.get()),
        Some(Value::String(value)) => kuzu::Value::String(value.clone()),
    }
}

/// The value that Kùzu returned.
///
/// # Errors
/// A value of a type that no column of ours has, for people to read.
pub(crate) fn from_kuzu(value: kuzu::Value) -> Result<Value, String> {
    match value {
        kuzu::Value::Null(_) => Ok(Value::Null),
        kuzu::Value::Bool(value) => Ok(Value::Bool(value)),
        kuzu::Value::Int64(value) => Ok(Value::Int64(value)),
        kuzu::Value::Double(value) => Ok(Value::Double(Double::new(value))),
        kuzu::Value::String(value) => Ok(Value::String(value)),
        other => Err(format!("a value of a type that no column has: {other}")),
    }
}

/// Kùzu's type.
pub(crate) fn logical_type(own: &Type) -> LogicalType {
    match own {
        Type::Bool => LogicalType::Bool,
        Type::Int64 => LogicalType::Int64,
        Type::Double => LogicalType::Double,
        Type::String => LogicalType::String,
    }
}

/// Our type, if it is one.
pub(crate) fn from_logical_type(kuzu: &LogicalType) -> Option<Type> {
    Type::ALL.into_iter().find(|own| logical_type(own) == *kuzu)
}
