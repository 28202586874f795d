//! Integers in JSON: a number while every reader keeps it exactly, else its digits as text. Both are read.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Beyond it, readers that take every number for a double lose digits.
pub(super) const EXACT_MAX: i128 = 1 << 53;

pub(super) fn serialize<T, S>(number: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + Into<i128> + Serialize,
    S: Serializer,
{
    let is_exact = (-EXACT_MAX..=EXACT_MAX).contains(&(*number).into());
    if is_exact || !serializer.is_human_readable() {
        return number.serialize(serializer);
    }
    serializer.collect_str(&(*number).into())
}

/// An integer of either spelling.
pub(super) struct Integer<T>(pub(super) T);

impl<'de, T> Deserialize<'de> for Integer<T>
where
    T: Deserialize<'de> + FromStr + TryFrom<i64> + TryFrom<u64>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(Readable(PhantomData)).map(Integer);
        }
        T::deserialize(deserializer).map(Integer)
    }
}

struct Readable<T>(PhantomData<T>);

impl<T: FromStr + TryFrom<i64> + TryFrom<u64>> de::Visitor<'_> for Readable<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer of the type's range, or its digits as text")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}
