//! Types by Kùzu's names for them, there and back.
//!
//! A type is its text: in JSON, on the wire and in a CREATE statement. So there is one reader for types from outside,
//! and it bounds their length and depth before anything recurses into them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ddl::same_name;

/// A column's type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A signed 8-bit integer.
    Int8,
    /// A signed 16-bit integer.
    Int16,
    /// A signed 32-bit integer.
    Int32,
    /// A signed 64-bit integer.
    Int64,
    /// A signed 128-bit integer.
    Int128,
    /// An unsigned 8-bit integer.
    UInt8,
    /// An unsigned 16-bit integer.
    UInt16,
    /// An unsigned 32-bit integer.
    UInt32,
    /// An unsigned 64-bit integer.
    UInt64,
    /// An IEEE 754 single; all NaNs are one value.
    Float,
    /// An IEEE 754 double; all NaNs are one value.
    Double,
    /// A number of `precision` decimal digits, `scale` of them behind the point.
    Decimal {
        /// Digits, 1 to 38.
        precision: u8,
        /// Digits behind the point, at most all of them.
        scale: u8,
    },
    /// UTF-8 text.
    String,
    /// Bytes.
    Blob,
    /// A day of the proleptic Gregorian calendar, in the years −9999 to 9999.
    Date,
    /// A time in UTC, in microseconds.
    Timestamp,
    /// A time in UTC, in seconds.
    TimestampSec,
    /// A time in UTC, in milliseconds.
    TimestampMs,
    /// A time in UTC, in nanoseconds: the years 1677 to 2262.
    TimestampNs,
    /// A moment, in microseconds, which Kùzu shows with its zone.
    TimestampTz,
    /// Months, days and microseconds, none of which is a number of the others.
    Interval,
    /// A universally unique identifier.
    Uuid,
    /// JSON text. Kùzu keeps its spelling, and so does a value.
    Json,
    /// Any number of elements.
    List(Box<Type>),
    /// A fixed number of elements.
    Array(Box<Type>, u32),
    /// A value for each field.
    Struct(Vec<Field>),
    /// Values by key.
    Map(Box<Type>, Box<Type>),
    /// A value of one of the members.
    Union(Vec<Field>),
}

/// A field of a STRUCT or a member of a UNION.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub field_type: Type,
}

/// What is wrong with a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// No type of that name.
    #[error("`{0}` is no type; write Kùzu's name of one, such as INT64, DECIMAL(18, 3) or STRING[]")]
    Unknown(String),
    /// Something else should stand there.
    #[error("at byte {at} of `{text}` there should be {expected}")]
    Syntax {
        /// The text.
        text: String,
        /// Bytes before the place.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// The text is too long.
    #[error("a type of {bytes} bytes is too long; its text has {} at most", Type::TEXT_BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Types within types within types.
    #[error("the type is nested too deep; {} levels are the most", Type::DEPTH_MAX)]
    TooDeep,
    /// A decimal that Kùzu has not.
    #[error("DECIMAL({precision}, {scale}) cannot be: it has 1 to 38 digits, and at most all of them behind the point")]
    Decimal {
        /// Its digits.
        precision: u8,
        /// Those behind the point.
        scale: u8,
    },
    /// An array of no or of very many elements.
    #[error("an array of {found} elements cannot be; it has 1 to {}", Type::ARRAY_LENGTH_MAX)]
    ArrayLength {
        /// Its elements.
        found: u32,
    },
    /// A STRUCT or UNION of nothing.
    #[error("a {0} needs at least one field")]
    NoFields(&'static str),
    /// A name that Kùzu cannot read inside a type.
    #[error(
        "`{0}` cannot name a field: begin with an ASCII letter or _, go on with those and digits, and take no word of \
         Kùzu's language"
    )]
    FieldName(String),
    /// One name twice.
    #[error("field `{0}` comes twice")]
    DuplicateField(String),
}

/// The types that are nothing but a name.
const NAMES: [(&str, Type); 23] = [
    ("BOOL", Type::Bool),
    ("INT8", Type::Int8),
    ("INT16", Type::Int16),
    ("INT32", Type::Int32),
    ("INT64", Type::Int64),
    ("INT128", Type::Int128),
    ("UINT8", Type::UInt8),
    ("UINT16", Type::UInt16),
    ("UINT32", Type::UInt32),
    ("UINT64", Type::UInt64),
    ("FLOAT", Type::Float),
    ("DOUBLE", Type::Double),
    ("STRING", Type::String),
    ("BLOB", Type::Blob),
    ("DATE", Type::Date),
    ("TIMESTAMP", Type::Timestamp),
    ("TIMESTAMP_SEC", Type::TimestampSec),
    ("TIMESTAMP_MS", Type::TimestampMs),
    ("TIMESTAMP_NS", Type::TimestampNs),
    ("TIMESTAMP_TZ", Type::TimestampTz),
    ("INTERVAL", Type::Interval),
    ("UUID", Type::Uuid),
    ("JSON", Type::Json),
];

/// Kùzu's own field of a UNION is called `tag`.
const UNION: &str = "UNION";

/// The words that Kùzu 0.11.3 does not read as a name; inside a type it takes backticks for a part of the name.
const RESERVED_FIELDS: &str = "ACYCLIC ALL AND ANY ASC ASCENDING CASE CAST COLUMN COMMIT_SKIP_CHECKPOINT CREATE DBTYPE DEFAULT DESC \
    DESCENDING DISTINCT ELSE END ENDS EXISTS FALSE GLOB GROUP HEADERS HINT IN INSTALL JOIN MACRO \
    MULTI_JOIN NONE NOT NULL ON ONLY OPTIONAL OR ORDER PRIMARY PROFILE ROLLBACK_SKIP_CHECKPOINT SHORTEST \
    SINGLE STARTS TABLE THEN TRAIL TRUE UNION UNWIND WHEN WHERE WITH WSHORTEST XOR";

/// Bytes of a field's name at most.
const FIELD_NAME_BYTES_MAX: usize = 128;

impl Type {
    /// Bytes of a type's text at most. Twice as many can be read, for the types that a store puts in another's place.
    pub const TEXT_BYTES_MAX: usize = 2_048;

    /// Levels of a type at most: 1 for a plain one, 2 for a list of those.
    pub const DEPTH_MAX: usize = 16;

    /// Elements of an array at most.
    pub const ARRAY_LENGTH_MAX: u32 = 65_536;

    /// The most digits a decimal can have.
    pub const PRECISION_MAX: u8 = 38;

    /// Refuses what Kùzu could not make a column of.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), TypeError> {
        self.check_levels(Self::DEPTH_MAX)?;
        let bytes = self.to_string().len();
        if bytes > Self::TEXT_BYTES_MAX { Err(TypeError::TooLong { bytes }) } else { Ok(()) }
    }

    fn check_levels(&self, levels: usize) -> Result<(), TypeError> {
        let levels = levels.checked_sub(1).ok_or(TypeError::TooDeep)?;
        match self {
            Type::Decimal { precision, scale } => {
                let (precision, scale) = (*precision, *scale);
                let fits = (1..=Self::PRECISION_MAX).contains(&precision) && scale <= precision;
                if fits { Ok(()) } else { Err(TypeError::Decimal { precision, scale }) }
            }
            Type::List(element) => element.check_levels(levels),
            Type::Array(_, found) if !(1..=Self::ARRAY_LENGTH_MAX).contains(found) => {
                Err(TypeError::ArrayLength { found: *found })
            }
            Type::Array(element, _) => element.check_levels(levels),
            Type::Struct(fields) => check_fields("STRUCT", fields, levels),
            Type::Union(members) => check_fields(UNION, members, levels),
            Type::Map(key, value) => key.check_levels(levels).and_then(|()| value.check_levels(levels)),
            _ => Ok(()),
        }
    }

    /// The types it is made of, one level down.
    #[must_use]
    pub fn parts(&self) -> Vec<&Type> {
        match self {
            Type::List(element) | Type::Array(element, _) => vec![element],
            Type::Map(key, value) => vec![key, value],
            Type::Struct(fields) | Type::Union(fields) => fields.iter().map(|field| &field.field_type).collect(),
            _ => Vec::new(),
        }
    }

    /// The types among which this one can grow without losing a value, the narrowest first; nothing if it cannot.
    #[must_use]
    pub fn widening(&self) -> &'static [Type] {
        const FAMILIES: [&[Type]; 3] = [
            &[Type::Int8, Type::Int16, Type::Int32, Type::Int64, Type::Int128],
            &[Type::UInt8, Type::UInt16, Type::UInt32, Type::UInt64],
            &[Type::Float, Type::Double],
        ];
        FAMILIES.into_iter().find(|family| family.contains(self)).unwrap_or(&[])
    }

    /// Whether a primary key may have this type: those whose values Kùzu finds again by their key, each by its own.
    #[must_use]
    pub fn can_be_key(&self) -> bool {
        let is_time = matches!(
            self,
            Type::Date
                | Type::Timestamp
                | Type::TimestampSec
                | Type::TimestampMs
                | Type::TimestampNs
                | Type::TimestampTz
        );
        self.is_summable() || is_time || matches!(self, Type::String | Type::Blob | Type::Uuid)
    }

    /// Whether the values of the type can be added up exactly: see [`Value::addend`](super::Value::addend).
    #[must_use]
    pub fn is_summable(&self) -> bool {
        self.integer_range().is_some() || matches!(self, Type::Decimal { .. })
    }

    /// The least and the greatest value of an integer type.
    pub(super) fn integer_range(&self) -> Option<(i128, i128)> {
        Some(match self {
            Type::Int8 => (i8::MIN.into(), i8::MAX.into()),
            Type::Int16 => (i16::MIN.into(), i16::MAX.into()),
            Type::Int32 => (i32::MIN.into(), i32::MAX.into()),
            Type::Int64 => (i64::MIN.into(), i64::MAX.into()),
            Type::Int128 => (i128::MIN, i128::MAX),
            Type::UInt8 => (0, u8::MAX.into()),
            Type::UInt16 => (0, u16::MAX.into()),
            Type::UInt32 => (0, u32::MAX.into()),
            Type::UInt64 => (0, u64::MAX.into()),
            _ => return None,
        })
    }
}

fn check_fields(what: &'static str, fields: &[Field], levels: usize) -> Result<(), TypeError> {
    if fields.is_empty() {
        return Err(TypeError::NoFields(what));
    }
    for (place, field) in fields.iter().enumerate() {
        let name = &field.name;
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_name = name.chars().all(is_word) && name.starts_with(|c: char| !c.is_ascii_digit());
        let is_taken = what == UNION && same_name(name, "tag");
        if !is_name || is_taken || name.len() > FIELD_NAME_BYTES_MAX || is_reserved(name) {
            return Err(TypeError::FieldName(name.clone()));
        }
        if fields[..place].iter().any(|before| same_name(&before.name, name)) {
            return Err(TypeError::DuplicateField(name.clone()));
        }
        field.field_type.check_levels(levels)?;
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    static WORDS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| RESERVED_FIELDS.split(' ').collect());
    WORDS.contains(name.to_ascii_uppercase().as_str())
}

impl fmt::Display for Type {
    /// Kùzu's name of the type, as it stands in a CREATE statement.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            Type::List(element) => write!(f, "{element}[]"),
            Type::Array(element, length) => write!(f, "{element}[{length}]"),
            Type::Struct(fields) => write_fields(f, "STRUCT", fields),
            Type::Union(members) => write_fields(f, UNION, members),
            Type::Map(key, value) => write!(f, "MAP({key}, {value})"),
            plain => {
                let named = NAMES.iter().find(|(_, named)| named == plain);
                f.write_str(named.expect("every other type is its name").0)
            }
        }
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, what: &str, fields: &[Field]) -> fmt::Result {
    write!(f, "{what}(")?;
    for (place, Field { name, field_type }) in fields.iter().enumerate() {
        let separator = if place == 0 { "" } else { ", " };
        write!(f, "{separator}{name} {field_type}")?;
    }
    f.write_str(")")
}

impl FromStr for Type {
    type Err = TypeError;

    /// Reads what [`Display`](fmt::Display) writes, and the same in lower case or with other spaces.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 2 * Type::TEXT_BYTES_MAX {
            return Err(TypeError::TooLong { bytes: text.len() });
        }
        let mut reader = Reader { text, at: 0 };
        let read = reader.type_within(Type::DEPTH_MAX)?;
        if !reader.rest().is_empty() {
            return Err(reader.error("the end"));
        }
        read.check_levels(Type::DEPTH_MAX)?;
        Ok(read)
    }
}

/// A place in the text of a type.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// What is left, from the next character that is no space.
    fn rest(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_ascii_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    fn error(&self, expected: &'static str) -> TypeError {
        TypeError::Syntax { text: self.text.to_owned(), at: self.at, expected }
    }

    fn takes(&mut self, symbol: &str) -> bool {
        let is_next = self.rest().starts_with(symbol);
        self.at += if is_next { symbol.len() } else { 0 };
        is_next
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), TypeError> {
        if self.takes(symbol) { Ok(()) } else { Err(self.error(symbol)) }
    }

    fn word(&mut self) -> Result<&'a str, TypeError> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("a name"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn number<T: FromStr>(&mut self) -> Result<T, TypeError> {
        let start = self.at;
        self.word().ok().and_then(|word| word.parse().ok()).ok_or_else(|| {
            self.at = start;
            self.error("a number")
        })
    }

    fn type_within(&mut self, levels: usize) -> Result<Type, TypeError> {
        let levels = levels.checked_sub(1).ok_or(TypeError::TooDeep)?;
        let name = self.word()?;
        let mut read = match name.to_ascii_uppercase().as_str() {
            "DECIMAL" => {
                self.expect("(")?;
                let precision = self.number()?;
                self.expect(",")?;
                let scale = self.number()?;
                self.expect(")")?;
                Type::Decimal { precision, scale }
            }
            "STRUCT" => Type::Struct(self.fields(levels)?),
            UNION => Type::Union(self.fields(levels)?),
            "MAP" => {
                self.expect("(")?;
                let key = self.type_within(levels)?;
                self.expect(",")?;
                let value = self.type_within(levels)?;
                self.expect(")")?;
                Type::Map(Box::new(key), Box::new(value))
            }
            plain => {
                let named = NAMES.into_iter().find(|(known, _)| *known == plain);
                named.ok_or_else(|| TypeError::Unknown(name.to_owned()))?.1
            }
        };
        let mut brackets = 0;
        while self.takes("[") {
            brackets += 1;
            if brackets > levels {
                return Err(TypeError::TooDeep);
            }
            let element = Box::new(read);
            read =
                if self.rest().starts_with(']') { Type::List(element) } else { Type::Array(element, self.number()?) };
            self.expect("]")?;
        }
        Ok(read)
    }

    fn fields(&mut self, levels: usize) -> Result<Vec<Field>, TypeError> {
        self.expect("(")?;
        let mut fields = Vec::new();
        loop {
            let name = self.word()?.to_owned();
            fields.push(Field { name, field_type: self.type_within(levels)? });
            if !self.takes(",") {
                self.expect(")")?;
                return Ok(fields);
            }
        }
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Type;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("Kùzu's name of a type")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Type, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::samples;
    use super::*;

    fn error(text: &str) -> TypeError {
        text.parse::<Type>().expect_err(text)
    }

    #[test]
    fn a_type_is_its_text() {
        for sample in samples() {
            let text = sample.column_type.to_string();
            assert_eq!(text.parse().as_ref(), Ok(&sample.column_type));
            let bytes = postcard::to_stdvec(&sample.column_type).unwrap();
            assert_eq!(postcard::from_bytes(&bytes).as_ref(), Ok(&sample.column_type));
            let json = serde_json::to_string(&sample.column_type).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Type>(&json).unwrap(), sample.column_type);
        }
        let spaced = "struct ( a  decimal( 18 ,3 ) [ 2 ] , b MAP(INT8,JSON) [ ] )".parse::<Type>().unwrap();
        assert_eq!(spaced.to_string(), "STRUCT(a DECIMAL(18, 3)[2], b MAP(INT8, JSON)[])");
    }

    #[test]
    fn every_plain_name_is_sampled() {
        for (name, plain) in NAMES {
            assert!(samples().iter().any(|sample| sample.column_type == plain), "{name}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused_by_what_is_wrong_with_it() {
        let syntax = |text: &str, at, expected| TypeError::Syntax { text: text.to_owned(), at, expected };
        assert_eq!(error("INTEGER"), TypeError::Unknown("INTEGER".into()));
        assert_eq!(error(""), syntax("", 0, "a name"));
        assert_eq!(error("INT64 x"), syntax("INT64 x", 6, "the end"));
        assert_eq!(error("DECIMAL"), syntax("DECIMAL", 7, "("));
        assert_eq!(error("DECIMAL(18)"), syntax("DECIMAL(18)", 10, ","));
        assert_eq!(error("INT8[-1]"), syntax("INT8[-1]", 5, "a number"));
        assert_eq!(error("MAP(INT8, INT8"), syntax("MAP(INT8, INT8", 14, ")"));
        assert_eq!(error("DECIMAL(39, 0)"), TypeError::Decimal { precision: 39, scale: 0 });
        assert_eq!(error("DECIMAL(4, 5)"), TypeError::Decimal { precision: 4, scale: 5 });
        assert_eq!(error("INT8[0]"), TypeError::ArrayLength { found: 0 });
        assert_eq!(error("INT8[70000][]"), TypeError::ArrayLength { found: 70_000 });
        assert_eq!(Type::Struct(Vec::new()).check(), Err(TypeError::NoFields("STRUCT")));
        assert_eq!(error("STRUCT(a INT8, A INT8)"), TypeError::DuplicateField("A".into()));
        assert_eq!(error("UNION(order INT8)"), TypeError::FieldName("order".into()));
        assert_eq!(error("UNION(a INT8, Tag INT8)"), TypeError::FieldName("Tag".into()));
        assert!("STRUCT(tag INT8)".parse::<Type>().is_ok());
        assert_eq!(error("STRUCT(1a INT8)"), TypeError::FieldName("1a".into()));
        let long = "a".repeat(129);
        assert_eq!(error(&format!("STRUCT({long} INT8)")), TypeError::FieldName(long));
        for bad in ["STRUCT(`a` INT8)", "STRUCT(a INT8,)", "STRUCT(ä INT8)", "INT8[]]", "INT8]", "🦀"] {
            assert!(matches!(error(bad), TypeError::Syntax { .. }), "{bad}");
        }
    }

    #[test]
    fn a_type_is_bounded_however_deep_it_claims_to_be() {
        let nested = |levels: usize| (1..levels).fold(Type::Bool, |inner, _| Type::List(Box::new(inner)));
        let deepest = nested(Type::DEPTH_MAX);
        assert_eq!(deepest.to_string().parse(), Ok(deepest));
        let too_deep = nested(Type::DEPTH_MAX + 1);
        assert_eq!(too_deep.check(), Err(TypeError::TooDeep));
        assert_eq!(error(&too_deep.to_string()), TypeError::TooDeep);
        assert_eq!(error(&"MAP(".repeat(1_000)), TypeError::TooDeep);
        assert_eq!(error(&"STRUCT(a ".repeat(400)), TypeError::TooDeep);
        assert_eq!(error(&" ".repeat(5_000)), TypeError::TooLong { bytes: 5_000 });
        let wide = (0..300).map(|n| Field { name: format!("field_number_{n}"), field_type: Type::Bool });
        assert!(matches!(Type::Struct(wide.collect()).check(), Err(TypeError::TooLong { .. })));
    }
}
