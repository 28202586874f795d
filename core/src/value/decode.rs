//! Reading values, however deep they claim to be.
//!
//! A frame of a few bytes for each level could nest values until the stack overflows, so every level that is read takes
//! one from those that are left. Nothing is reserved for a length that only claims to be.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::integer::Integer;
use super::{Type, Value};

/// The variants of [`Value`], in their order.
#[derive(Deserialize)]
#[serde(variant_identifier, rename_all = "lowercase")]
enum Tag {
    Null,
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Int128,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float,
    Double,
    Decimal,
    String,
    Blob,
    Date,
    Timestamp,
    #[serde(rename = "timestamp_sec")]
    TimestampSec,
    #[serde(rename = "timestamp_ms")]
    TimestampMs,
    #[serde(rename = "timestamp_ns")]
    TimestampNs,
    #[serde(rename = "timestamp_tz")]
    TimestampTz,
    Interval,
    Uuid,
    Json,
    List,
    Array,
    Struct,
    Map,
    Union,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Levels(Type::DEPTH_MAX).deserialize(deserializer)
    }
}

/// A value of so many levels at most.
#[derive(Clone, Copy)]
struct Levels(usize);

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_enum("Value", &[], self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value tagged with the name of its type, such as {\"int64\": 5}")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let Some(below) = self.0.checked_sub(1).map(Levels) else {
            return Err(A::Error::custom(format!("a value of more than {} levels", Type::DEPTH_MAX)));
        };
        let (tag, content) = access.variant()?;
        Ok(match tag {
            Tag::Null => {
                content.unit_variant()?;
                Value::Null
            }
            Tag::Bool => Value::Bool(content.newtype_variant()?),
            Tag::Int8 => Value::Int8(content.newtype_variant()?),
            Tag::Int16 => Value::Int16(content.newtype_variant()?),
            Tag::Int32 => Value::Int32(content.newtype_variant()?),
            Tag::Int64 => Value::Int64(content.newtype_variant::<Integer<_>>()?.0),
            Tag::Int128 => Value::Int128(content.newtype_variant::<Integer<_>>()?.0),
            Tag::UInt8 => Value::UInt8(content.newtype_variant()?),
            Tag::UInt16 => Value::UInt16(content.newtype_variant()?),
            Tag::UInt32 => Value::UInt32(content.newtype_variant()?),
            Tag::UInt64 => Value::UInt64(content.newtype_variant::<Integer<_>>()?.0),
            Tag::Float => Value::Float(content.newtype_variant()?),
            Tag::Double => Value::Double(content.newtype_variant()?),
            Tag::Decimal => Value::Decimal(content.newtype_variant()?),
            Tag::String => Value::String(content.newtype_variant()?),
            Tag::Blob => Value::Blob(content.newtype_variant()?),
            Tag::Date => Value::Date(content.newtype_variant()?),
            Tag::Timestamp => Value::Timestamp(content.newtype_variant()?),
            Tag::TimestampSec => Value::TimestampSec(content.newtype_variant()?),
            Tag::TimestampMs => Value::TimestampMs(content.newtype_variant()?),
            Tag::TimestampNs => Value::TimestampNs(content.newtype_variant()?),
            Tag::TimestampTz => Value::TimestampTz(content.newtype_variant()?),
            Tag::Interval => Value::Interval(content.newtype_variant()?),
            Tag::Uuid => Value::Uuid(content.newtype_variant()?),
            Tag::Json => Value::Json(content.newtype_variant()?),
            Tag::List => Value::List(content.newtype_variant_seed(Elements(below))?),
            Tag::Array => Value::Array(content.newtype_variant_seed(Elements(below))?),
            Tag::Struct => Value::Struct(content.newtype_variant_seed(Fields(below))?),
            Tag::Map => Value::Map(content.newtype_variant_seed(Entries(below))?),
            Tag::Union => {
                let (member, value) = content.tuple_variant(2, Pair(PhantomData::<String>, below))?;
                Value::Union(member, Box::new(value))
            }
        })
    }
}

struct Elements(Levels);

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(self.0)? {
            elements.push(element);
        }
        Ok(elements)
    }
}

struct Fields(Levels);

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = BTreeMap<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values by the names of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(self.0)?;
            if let Some(_twice) = fields.insert(name, value) {
                return Err(A::Error::custom("a field comes twice"));
            }
        }
        Ok(fields)
    }
}

struct Entries(Levels);

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = BTreeMap<Value, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = BTreeMap<Value, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of pairs of a key and its value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = access.next_element_seed(Pair(self.0, self.0))? {
            if let Some(_twice) = entries.insert(key, value) {
                return Err(A::Error::custom("a key comes twice"));
            }
        }
        Ok(entries)
    }
}

/// Two things, one after the other.
struct Pair<A, B>(A, B);

impl<'de, A: DeserializeSeed<'de>, B: DeserializeSeed<'de>> DeserializeSeed<'de> for Pair<A, B> {
    type Value = (A::Value, B::Value);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_tuple(2, self)
    }
}

impl<'de, A: DeserializeSeed<'de>, B: DeserializeSeed<'de>> Visitor<'de> for Pair<A, B> {
    type Value = (A::Value, B::Value);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pair")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut access: S) -> Result<Self::Value, S::Error> {
        let first = access.next_element_seed(self.0)?.ok_or_else(|| S::Error::custom("a pair of nothing"))?;
        let second = access.next_element_seed(self.1)?.ok_or_else(|| S::Error::custom("a pair of one"))?;
        Ok((first, second))
    }
}
