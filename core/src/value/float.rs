//! Binary floating point numbers with a total order.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! float {
    ($(#[$doc:meta])* $name:ident, $number:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name($number);

        impl $name {
            /// The canonical form of `value`.
            #[must_use]
            pub fn new(value: $number) -> Self {
                $name(if value.is_nan() { $number::NAN } else { value })
            }

            /// The number itself.
            #[must_use]
            pub fn get(self) -> $number {
                self.0
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.total_cmp(&other.0)
            }
        }

        impl fmt::Display for $name {
            /// The shortest text that reads back as the number.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            /// JSON has no NaN and no infinity: there they are the strings `"NaN"`, `"inf"` and `"-inf"`.
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() && !self.0.is_finite() {
                    return serializer.collect_str(&self.0);
                }
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum Readable {
                    Number(f64),
                    Text(String),
                }
                if !deserializer.is_human_readable() {
                    return Ok($name::new($number::deserialize(deserializer)?));
                }
                match Readable::deserialize(deserializer)? {
                    Readable::Number(number) if (number as $number).is_finite() => Ok($name::new(number as $number)),
                    Readable::Number(number) => Err(de::Error::custom(format!("{number} is beyond the type's range"))),
                    Readable::Text(text) => text.parse().map($name::new).map_err(|_| {
                        de::Error::custom(format!("`{text}` is not a number; write \"NaN\", \"inf\" or \"-inf\""))
                    }),
                }
            }
        }
    };
}

float! {
    /// A single with a total order: all NaNs are one value, greater than every other; −0 is below 0.
    Float, f32
}

float! {
    /// A double with a total order: all NaNs are one value, greater than every other; −0 is below 0.
    Double, f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_a_total_order_and_one_nan() {
        let nan = Double::new(f64::NAN);
        assert_eq!(nan, Double::new(-f64::NAN));
        assert!(Double::new(f64::INFINITY) < nan);
        assert!(Double::new(-0.0) < Double::new(0.0));
        assert_eq!(Float::new(f32::NAN), Float::new(-f32::NAN));
        assert!(Float::new(-0.0) < Float::new(0.0));
    }
}
