//! Values that are text where people read and numbers where only programs do.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Its text in JSON, `compact` on the wire.
pub(super) fn serialize<S: Serializer>(
    value: &impl Display,
    compact: &impl Serialize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() { serializer.collect_str(value) } else { compact.serialize(serializer) }
}

/// The other way; `from_compact` refuses what is out of range.
pub(super) fn deserialize<'de, D, T, C>(
    deserializer: D,
    from_compact: impl FnOnce(C) -> Option<T>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
    C: Deserialize<'de>,
{
    if deserializer.is_human_readable() {
        return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
    }
    from_compact(C::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("a value out of its type's range"))
}
