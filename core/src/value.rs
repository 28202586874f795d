//! Property values: a total order, canonical bytes, and the Kùzu types they live in.
//!
//! A value is compared, hashed and sent by its canonical form, so two replicas that hold equal values hold equal bytes.
//! The order is total (also over doubles) because values are primary keys and ordered maps iterate by them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A column's type, by Kùzu's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub enum Type {
    /// `true` or `false`.
    #[serde(rename = "BOOL")]
    Bool,
    /// A signed 64-bit integer.
    #[serde(rename = "INT64")]
    Int64,
    /// An IEEE 754 double; all NaNs are one value.
    #[serde(rename = "DOUBLE")]
    Double,
    /// UTF-8 text.
    #[serde(rename = "STRING")]
    String,
}

impl Type {
    /// Every type, in the order of the enum.
    pub const ALL: [Type; 4] = [Type::Bool, Type::Int64, Type::Double, Type::String];

    /// Kùzu's name of the type, as it stands in a CREATE statement.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Type::Bool => "BOOL",
            Type::Int64 => "INT64",
            Type::Double => "DOUBLE",
            Type::String => "STRING",
        }
    }

    /// Whether a primary key may have this type.
    #[must_use]
    pub fn can_be_key(self) -> bool {
        matches!(self, Type::Int64 | Type::String)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A double with a total order: all NaNs are one value, greater than every other; −0 is below 0.
#[derive(Clone, Copy, Debug)]
pub struct Double(f64);

impl Double {
    /// The canonical form of `value`.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Double(if value.is_nan() { f64::NAN } else { value })
    }

    /// The number itself.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Double {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Double {}

impl PartialOrd for Double {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Double {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Serialize for Double {
    /// JSON has no NaN and no infinity: there they are the strings `"NaN"`, `"inf"` and `"-inf"`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() && !self.0.is_finite() {
            return serializer.collect_str(&self.0);
        }
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Readable {
            Number(f64),
            Text(String),
        }
        if !deserializer.is_human_readable() {
            return Ok(Double::new(f64::deserialize(deserializer)?));
        }
        match Readable::deserialize(deserializer)? {
            Readable::Number(number) => Ok(Double::new(number)),
            Readable::Text(text) => text.parse().map(Double::new).map_err(|_| {
                de::Error::custom(format!("`{text}` is not a number; write \"NaN\", \"inf\" or \"-inf\""))
            }),
        }
    }
}

/// One property value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// No value; writing it is a write like any other.
    Null,
    /// A `BOOL`.
    Bool(bool),
    /// An `INT64`.
    Int64(i64),
    /// A `DOUBLE`.
    Double(Double),
    /// A `STRING`.
    String(String),
}

impl Value {
    /// The type of the value; `NULL` has none.
    #[must_use]
    pub fn type_of(&self) -> Option<Type> {
        match self {
            Value::Null => None,
            Value::Bool(_) => Some(Type::Bool),
            Value::Int64(_) => Some(Type::Int64),
            Value::Double(_) => Some(Type::Double),
            Value::String(_) => Some(Type::String),
        }
    }

    /// The value as `target` shows it, `None` where the cast fails. The text of a number is its shortest exact one.
    #[must_use]
    pub fn cast(&self, target: Type) -> Option<Value> {
        if self.type_of().is_none_or(|own| own == target) {
            return Some(self.clone());
        }
        match (self, target) {
            (Value::Null, _) => Some(Value::Null),
            (Value::Bool(value), Type::String) => Some(Value::String(value.to_string())),
            (Value::Bool(value), Type::Int64) => Some(Value::Int64(i64::from(*value))),
            (Value::Int64(value), Type::String) => Some(Value::String(value.to_string())),
            (Value::Int64(value), Type::Double) => exact_double(*value),
            (Value::Double(value), Type::String) => Some(Value::String(value.get().to_string())),
            (Value::Double(value), Type::Int64) => exact_integer(value.get()),
            (Value::String(text), Type::Bool) => text.parse().ok().map(Value::Bool),
            (Value::String(text), Type::Int64) => text.parse().ok().map(Value::Int64),
            (Value::String(text), Type::Double) => text.parse().ok().map(|d| Value::Double(Double::new(d))),
            _ => None,
        }
    }
}

/// Integers beyond 2⁵³ have no exact double, and a cast that loses digits is a failed cast.
fn exact_double(value: i64) -> Option<Value> {
    const EXACT_MAX: i64 = 1 << 53;
    (-EXACT_MAX..=EXACT_MAX).contains(&value).then(|| Value::Double(Double::new(value as f64)))
}

fn exact_integer(value: f64) -> Option<Value> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() <= EXACT_MAX).then_some(Value::Int64(value as i64))
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int64(value) => write!(f, "{value}"),
            Value::Double(value) => write!(f, "{:?}", value.get()),
            Value::String(value) => write!(f, "{value:?}"),
        }
    }
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
    use super::*;

    #[test]
    fn doubles_have_a_total_order_and_one_nan() {
        let nan = Double::new(f64::NAN);
        assert_eq!(nan, Double::new(-f64::NAN));
        assert!(Double::new(f64::INFINITY) < nan);
        assert!(Double::new(-0.0) < Double::new(0.0));
    }

    #[test]
    fn every_value_survives_json_and_bytes() {
        let doubles = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1.5].map(Value::from);
        let others = [Value::Null, true.into(), i64::MIN.into(), "".into(), "a\0`'\u{1F980}".into()];
        for value in doubles.into_iter().chain(others) {
            let json = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value, "{json}");
            let bytes = postcard::to_stdvec(&value).unwrap();
            assert_eq!(postcard::from_bytes::<Value>(&bytes).unwrap(), value, "{value}");
        }
    }

    #[test]
    fn a_cast_keeps_the_number_or_fails() {
        assert_eq!(Value::from(7).cast(Type::String), Some("7".into()));
        assert_eq!(Value::from("7").cast(Type::Int64), Some(7.into()));
        assert_eq!(Value::from("seven").cast(Type::Int64), None);
        assert_eq!(Value::from(7).cast(Type::Double), Some(7.0.into()));
        assert_eq!(Value::from(i64::MAX).cast(Type::Double), None);
        assert_eq!(Value::from(7.5).cast(Type::Int64), None);
        assert_eq!(Value::Null.cast(Type::Bool), Some(Value::Null));
    }
}
