//! Days, times and intervals: whole numbers inside, ISO 8601 outside.
//!
//! The years are −9999 to 9999, which is what Kùzu's binding passes on of the years that Kùzu itself can hold.

use std::fmt;
use std::str::FromStr;

use jiff::civil;
use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::{SignedDuration, Span};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;

const EPOCH: civil::Date = civil::Date::constant(1970, 1, 1);
const DAYS_MIN: i32 = -4_371_587;
const DAYS_MAX: i32 = 2_932_896;
const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
const MICROS_PER_SECOND: u64 = 1_000_000;

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    days: i32,
}

impl Date {
    /// The first and the last day.
    pub const RANGE: [Date; 2] = [Date { days: DAYS_MIN }, Date { days: DAYS_MAX }];

    /// The day so many days after 1970-01-01; `None` outside the years −9999 to 9999.
    #[must_use]
    pub fn new(days: i32) -> Option<Self> {
        (DAYS_MIN..=DAYS_MAX).contains(&days).then_some(Date { days })
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub fn days(self) -> i32 {
        self.days
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = EPOCH.checked_add(Span::new().days(self.days)).expect("a date is in the calendar's range");
        write!(f, "{date}")
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pieces = Pieces::parse(text).ok().filter(|pieces| pieces.time().is_none() && is_plain(pieces));
        let date = pieces.ok_or_else(|| format!("`{text}` is not a date such as 2024-02-29"))?.date();
        let days = date.duration_since(EPOCH).as_secs() / SECONDS_PER_DAY;
        Ok(Date { days: i32::try_from(days).expect("the calendar has fewer days") })
    }
}

/// Whether it names no time zone; an offset is none.
fn is_plain(pieces: &Pieces<'_>) -> bool {
    pieces.time_zone_annotation().is_none()
}

/// A time in UTC, as a number of units of which a second has `PER_SECOND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment<const PER_SECOND: i64> {
    units: i64,
}

impl<const PER_SECOND: i64> Moment<PER_SECOND> {
    /// The first and the last: of the years −9999 to 9999, or of what fits 64 bits.
    pub const RANGE: [Self; 2] = [Self::within(DAYS_MIN as i128, 0), Self::within(DAYS_MAX as i128 + 1, -1)];

    const fn within(days: i128, more: i128) -> Self {
        let units = days * SECONDS_PER_DAY as i128 * PER_SECOND as i128 + more;
        let (least, most) = (i64::MIN as i128, i64::MAX as i128);
        Moment {
            units: if units < least {
                i64::MIN
            } else if units > most {
                i64::MAX
            } else {
                units as i64
            },
        }
    }

    /// So many units after 1970-01-01T00:00:00Z; `None` outside [`Moment::RANGE`].
    #[must_use]
    pub fn new(units: i64) -> Option<Self> {
        let moment = Moment { units };
        (Self::RANGE[0]..=Self::RANGE[1]).contains(&moment).then_some(moment)
    }

    /// Units since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn units(self) -> i64 {
        self.units
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn nanos(self) -> i128 {
        i128::from(self.units) * i128::from(NANOS_PER_SECOND / PER_SECOND)
    }

    /// The moment of that many nanoseconds, if it is a whole number of units and in the range.
    #[must_use]
    pub fn from_nanos(nanos: i128) -> Option<Self> {
        let nanos_per_unit = i128::from(NANOS_PER_SECOND / PER_SECOND);
        let units = (nanos % nanos_per_unit == 0).then_some(nanos / nanos_per_unit)?;
        Moment::new(i64::try_from(units).ok()?)
    }
}

impl<const PER_SECOND: i64> fmt::Display for Moment<PER_SECOND> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i32::try_from(self.units.rem_euclid(PER_SECOND) * (NANOS_PER_SECOND / PER_SECOND));
        let since = SignedDuration::new(self.units.div_euclid(PER_SECOND), nanos.expect("below a second"));
        let time = EPOCH.at(0, 0, 0, 0).checked_add(since).expect("a moment is in the calendar's range");
        write!(f, "{time}Z")
    }
}

impl<const PER_SECOND: i64> FromStr for Moment<PER_SECOND> {
    type Err = String;

    /// Without an offset it is a time in UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || format!("`{text}` is not a time of this precision and range, such as 2024-02-29T12:00:00Z");
        let pieces = Pieces::parse(text).ok().filter(is_plain).ok_or_else(refuse)?;
        let offset = match pieces.offset() {
            Some(PiecesOffset::Numeric(numeric)) => i128::from(numeric.offset().seconds()),
            _ => 0,
        };
        let local = pieces.date().to_datetime(pieces.time().ok_or_else(refuse)?);
        let nanos = local.duration_since(EPOCH.at(0, 0, 0, 0)).as_nanos() - offset * i128::from(NANOS_PER_SECOND);
        Moment::from_nanos(nanos).ok_or_else(refuse)
    }
}

/// A span of time. A month has no fixed number of days, nor a day one of hours, so the parts stay apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    months: i32,
    days: i32,
    micros: i64,
}

impl Interval {
    /// Months, days and microseconds, of either sign; `None` for the one number of microseconds that has no negative.
    #[must_use]
    pub fn new(months: i32, days: i32, micros: i64) -> Option<Self> {
        (micros != i64::MIN).then_some(Interval { months, days, micros })
    }

    /// Months, years among them.
    #[must_use]
    pub fn months(self) -> i32 {
        self.months
    }

    /// Days.
    #[must_use]
    pub fn days(self) -> i32 {
        self.days
    }

    /// Microseconds.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.micros
    }
}

impl fmt::Display for Interval {
    /// As Kùzu shows it: `1 year 2 months -3 days 25:01:01.000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [(self.months / 12, "year"), (self.months % 12, "month"), (self.days, "day")];
        let mut parts: Vec<String> = Vec::new();
        for (count, unit) in counts.into_iter().filter(|(count, _)| *count != 0) {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
        if self.micros != 0 || parts.is_empty() {
            let sign = if self.micros < 0 { "-" } else { "" };
            let micros = self.micros.unsigned_abs();
            let (seconds, fraction) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
            let time = format!("{sign}{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
            let fraction = format!(".{fraction:06}");
            parts.push(time + fraction.trim_end_matches('0').trim_end_matches('.'));
        }
        f.write_str(&parts.join(" "))
    }
}

impl FromStr for Interval {
    type Err = String;

    /// Reads what [`Display`](fmt::Display) writes, and parts in any order.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read_interval(text)
            .ok_or_else(|| format!("`{text}` is not an interval such as `1 year 2 months 3 days 04:05:06`"))
    }
}

fn read_interval(text: &str) -> Option<Interval> {
    let (mut months, mut days, mut micros) = (0_i32, 0_i32, 0_i64);
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        if word.contains(':') {
            micros = micros.checked_add(read_time(word)?)?;
            continue;
        }
        let count: i32 = word.parse().ok()?;
        match words.next()? {
            "year" | "years" => months = months.checked_add(count.checked_mul(12)?)?,
            "month" | "months" => months = months.checked_add(count)?,
            "day" | "days" => days = days.checked_add(count)?,
            _ => return None,
        }
    }
    Interval::new(months, days, micros)
}

/// Microseconds of `[-]hours:minutes:seconds[.fraction]`.
fn read_time(text: &str) -> Option<i64> {
    let (sign, magnitude) = text.strip_prefix('-').map_or((1, text), |magnitude| (-1, magnitude));
    let (time, fraction) = magnitude.split_once('.').unwrap_or((magnitude, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
    let [hours, minutes, seconds] = time.split(':').map(digits).collect::<Option<Vec<_>>>()?.try_into().ok()?;
    let fraction = (1..=6).contains(&fraction.len()).then(|| digits(&format!("{fraction:0<6}")))??;
    let minutes = (0..60).contains(&minutes).then(|| hours.checked_mul(60)?.checked_add(minutes))??;
    let seconds = (0..60).contains(&seconds).then(|| minutes.checked_mul(60)?.checked_add(seconds))??;
    seconds.checked_mul(MICROS_PER_SECOND as i64)?.checked_add(fraction)?.checked_mul(sign)
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::serialize(self, &self.days, serializer)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer, Date::new)
    }
}

impl<const PER_SECOND: i64> Serialize for Moment<PER_SECOND> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::serialize(self, &self.units, serializer)
    }
}

impl<'de, const PER_SECOND: i64> Deserialize<'de> for Moment<PER_SECOND> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer, Moment::new)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::serialize(self, &(self.months, self.days, self.micros), serializer)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer, |(months, days, micros)| Interval::new(months, days, micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_the_calendars() {
        assert_eq!(Date::RANGE.map(|date| date.to_string()), ["-009999-01-01", "9999-12-31"]);
        let ends = Moment::<1_000_000>::RANGE.map(|moment| moment.to_string());
        assert_eq!(ends, ["-009999-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]);
        let ends = Moment::<1_000_000_000>::RANGE.map(|moment| moment.to_string());
        assert_eq!(ends, ["1677-09-21T00:12:43.145224192Z", "2262-04-11T23:47:16.854775807Z"]);
        let [first, last] = Moment::<1>::RANGE.map(Moment::units);
        for outside in [Moment::<1>::new(first - 1), Moment::new(last + 1), Moment::new(i64::MIN)] {
            assert_eq!(outside, None);
        }
        assert_eq!([DAYS_MIN - 1, DAYS_MAX + 1].map(Date::new), [None; 2]);
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for date in [Date::RANGE[0], Date { days: -1 }, Date { days: 0 }, Date { days: 19_782 }, Date::RANGE[1]] {
            assert_eq!(date.to_string().parse(), Ok(date));
        }
        for units in [Moment::<1_000>::RANGE[0].units(), -1, 0, 1_709_208_000_001, Moment::<1_000>::RANGE[1].units()] {
            let moment = Moment::<1_000>::new(units).unwrap();
            assert_eq!(moment.to_string().parse(), Ok(moment));
        }
    }

    #[test]
    fn an_offset_is_counted_and_a_zone_is_refused() {
        let moment = |text: &str| text.parse::<Moment<1>>();
        assert_eq!(moment("2024-02-29T12:00:00+09:00"), moment("2024-02-29T03:00:00Z"));
        assert_eq!(moment("2024-02-29 03:00:00"), moment("2024-02-29T03:00:00Z"));
        for bad in ["2024-02-29", "2024-02-30T00:00:00", "2024-02-29T00:00:00.5", "2024-02-29T00:00:00[Asia/Tokyo]"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
        for bad in ["2024-02-30", "2024-02-29T00:00:00", "2024-02-29Z", "10000-01-01", "today"] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_interval_keeps_its_parts() {
        let texts = [
            ((0, 0, 0), "00:00:00"),
            ((1, 1, 1), "1 month 1 day 00:00:00.000001"),
            ((-14, 3, -500_000), "-1 years -2 months 3 days -00:00:00.5"),
            ((24, 0, 90_061_000_000), "2 years 25:01:01"),
            ((i32::MIN, i32::MAX, -i64::MAX), "-178956970 years -8 months 2147483647 days -2562047788:00:54.775807"),
        ];
        for ((months, days, micros), text) in texts {
            let interval = Interval::new(months, days, micros).unwrap();
            assert_eq!(interval.to_string(), text);
            assert_eq!(text.parse(), Ok(interval));
        }
        assert_eq!("14 months".parse(), Ok(Interval::new(14, 0, 0).unwrap()));
        assert_eq!(Interval::new(0, 0, i64::MIN), None);
        let bad =
            ["", "1", "1 week", "x days", "00:00", "00:60:00", "00:00:00.", "00:00:00.1234567", "0:-1:0", "+1:00:00"];
        for bad in bad.into_iter().chain(["2562047788:00:54.775808", "178956971 years", "2147483648 days"]) {
            assert!(bad.parse::<Interval>().is_err(), "{bad}");
        }
    }
}
