//! Decimal numbers as Kùzu holds them: a whole number and how many of its digits stand behind the point.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Type, text};

/// A decimal number of at most 38 digits. `1.5` and `1.50` are two values: a column has one scale.
///
/// The order is by scale and then by number, so within a column it is the numeric one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal {
    scale: u8,
    unscaled: i128,
}

impl Decimal {
    /// The number `unscaled` · 10^−`scale`; `None` if it has more than 38 digits.
    #[must_use]
    pub fn new(unscaled: i128, scale: u8) -> Option<Self> {
        let fits = scale <= Type::PRECISION_MAX && digits(unscaled) <= Type::PRECISION_MAX;
        fits.then_some(Decimal { scale, unscaled })
    }

    /// The number without its point.
    #[must_use]
    pub fn unscaled(self) -> i128 {
        self.unscaled
    }

    /// Digits behind the point.
    #[must_use]
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Whether a column of that precision and scale holds it.
    #[must_use]
    pub fn fits(self, precision: u8, scale: u8) -> bool {
        self.scale == scale && digits(self.unscaled) <= precision
    }

    /// The same number with another scale, if that loses nothing.
    #[must_use]
    pub fn rescale(self, scale: u8) -> Option<Self> {
        let power = |exponent: u8| 10_i128.checked_pow(exponent.into());
        let unscaled = match scale.checked_sub(self.scale) {
            Some(more) => self.unscaled.checked_mul(power(more)?)?,
            None => {
                let divisor = power(self.scale - scale)?;
                (self.unscaled % divisor == 0).then_some(self.unscaled / divisor)?
            }
        };
        Decimal::new(unscaled, scale)
    }
}

fn digits(unscaled: i128) -> u8 {
    unscaled.unsigned_abs().checked_ilog10().map_or(0, |log| u8::try_from(log + 1).unwrap_or(u8::MAX))
}

impl fmt::Display for Decimal {
    /// All digits behind the point, and one before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.unscaled.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let point = if scale == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

impl FromStr for Decimal {
    type Err = String;

    /// The scale is the number of digits behind the point.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || format!("`{text}` is not a decimal number of at most 38 digits, such as -12.50");
        let magnitude = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let has_point = magnitude.len() > whole.len();
        if whole.is_empty() || has_point == fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(refuse());
        }
        let unscaled = (whole.to_owned() + fraction).parse::<i128>().map_err(|_| refuse())?;
        let signed = if text.len() > magnitude.len() { -unscaled } else { unscaled };
        let scale = u8::try_from(fraction.len()).map_err(|_| refuse())?;
        Decimal::new(signed, scale).ok_or_else(refuse)
    }
}

impl Serialize for Decimal {
    /// In JSON it is its text: a JSON number loses digits and scale in many hands.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::serialize(self, &(self.scale, self.unscaled), serializer)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer, |(scale, unscaled)| Decimal::new(unscaled, scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_read_as_it_is_written() {
        for text in ["0", "-1", "0.001", "-0.001", "12.50", "99999999999999999999999999999999999999"] {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), text);
        }
        let small = format!("0.{}", "9".repeat(38));
        assert_eq!(small.parse::<Decimal>().unwrap(), Decimal::new(10_i128.pow(38) - 1, 38).unwrap());
        let too_long = "1".repeat(39);
        for bad in ["", "-", ".5", "5.", "1e3", "+1", "1.2.3", "0x1", too_long.as_str()] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
    }

    #[test]
    fn another_scale_loses_no_digit() {
        let decimal = |text: &str| text.parse::<Decimal>().unwrap();
        assert_eq!(decimal("1.50").rescale(1), Some(decimal("1.5")));
        assert_eq!(decimal("1.5").rescale(3), Some(decimal("1.500")));
        assert_eq!(decimal("1.55").rescale(1), None);
        assert_eq!(decimal("99999999999999999999999999999999999999").rescale(1), None);
        assert_eq!(decimal("0").rescale(38), Decimal::new(0, 38));
    }
}
