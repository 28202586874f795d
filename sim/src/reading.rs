//! Reading plan and case files: what is wrong with one, where, and what it should be.
//!
//! People write these files by hand, so whatever is refused is told with line, column and field, as in
//! ``line 4, column 31, `steps[2].create_node`: unknown field `tabel`, expected one of `replica`, `table`, `key`, `value` ``.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Where in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1; the key or value that is meant ends here.
    pub column: usize,
    /// The way to the value from the top of the file, such as `steps[2].wait.ms`; empty for the file itself.
    pub field: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if self.field.is_empty() { Ok(()) } else { write!(f, ", `{}`", self.field) }
    }
}

/// What is wrong with what stands there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not JSON, or not of the form it should have.
    #[error("{0}")]
    Malformed(String),
    /// Written by a newer program.
    #[error("its format is version {found}, this build reads {known}; use a newer kuzusync")]
    Newer {
        /// The file's version.
        found: u64,
        /// The newest version that is known here.
        known: u32,
    },
    /// A value out of range.
    #[error("it is {found}, but must be {range}")]
    OutOfRange {
        /// As it stands in the file.
        found: i128,
        /// What it may be.
        range: &'static str,
    },
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct BadFile {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub problem: Problem,
}

/// A value that is well formed and out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The way to the value from the top of the plan, such as `options.replicas`.
    pub field: String,
    /// As it is.
    pub found: i128,
    /// What it may be.
    pub range: &'static str,
}

/// Reads JSON. The versions are looked at first, so a newer file is called newer and not malformed: each is a field and the
/// newest version that is known.
///
/// # Errors
/// What is wrong, and where.
pub fn read<T: DeserializeOwned>(text: &str, versions: &[(&str, u32)]) -> Result<T, BadFile> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| malformed(&error, String::new()))?;
    for &(field, known) in versions {
        let found = json.pointer(&format!("/{}", field.replace('.', "/"))).and_then(serde_json::Value::as_u64);
        match found {
            Some(found) if found > u64::from(known) => {
                return Err(BadFile { place: locate(text, field), problem: Problem::Newer { found, known } });
            }
            Some(1..) => {}
            _ => {
                let problem =
                    format!("it has no `{field}`, which says by what rules to read it; the newest is {known}");
                return Err(BadFile { place: locate(text, field), problem: Problem::Malformed(problem) });
            }
        }
    }
    // Parsed again from the text, which knows lines and columns.
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        malformed(error.inner(), if path == "." { String::new() } else { path })
    })
}

impl OutOfRange {
    /// The same with its place in the file that the plan stands in: at the top, or under `within`.
    #[must_use]
    pub fn in_file(self, text: &str, within: &str) -> BadFile {
        let OutOfRange { field, found, range } = self;
        let place = locate(text, &format!("{within}{field}"));
        BadFile { place, problem: Problem::OutOfRange { found, range } }
    }
}

fn malformed(error: &serde_json::Error, field: String) -> BadFile {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    // The place is told by itself.
    let problem = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
    BadFile { place: Place { line, column, field }, problem: Problem::Malformed(problem) }
}

/// Where a number or text ends, or about where the last thing is on the way to it that is there.
fn locate(text: &str, field: &str) -> Place {
    let way: Vec<Segment> = field.split('.').flat_map(segments).collect();
    let mut place = Place { line: 1, column: 1, field: field.to_owned() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    if let Err(error) = Seek(&way).deserialize(&mut deserializer) {
        (place.line, place.column) = (error.line(), error.column());
    }
    place
}

/// One step on the way to a value.
enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

/// `steps[2]` is a key and an index.
fn segments(part: &str) -> impl Iterator<Item = Segment<'_>> {
    part.split(['[', ']']).filter(|piece| !piece.is_empty()).map(|piece| match piece.parse() {
        Ok(index) => Segment::Index(index),
        Err(_) => Segment::Key(piece),
    })
}

/// Goes to a value and fails there on purpose: the parser tells where an error happened, and nothing else.
struct Seek<'a>(&'a [Segment<'a>]);

/// Where the way ends: it takes no value whatever.
struct Stop;

impl Visitor<'_> for Stop {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.0.is_empty() { deserializer.deserialize_any(Stop) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.0 {
                [Segment::Key(wanted), rest @ ..] if key == *wanted => map.next_value_seed(Seek(rest))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Err(A::Error::custom("the last thing on the way"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut position = 0;
        loop {
            let found = match self.0 {
                [Segment::Index(wanted), rest @ ..] if position == *wanted => seq.next_element_seed(Seek(rest))?,
                _ => seq.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if found.is_none() {
                return Err(A::Error::custom("the last thing on the way"));
            }
            position += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"a\": [1,\n    {\"b\": {\"c\": 22}}\n  ]\n}";

    #[test]
    fn a_field_is_found_where_its_value_ends() {
        let at = |field: &str| {
            let Place { line, column, .. } = locate(TEXT, field);
            (line, column)
        };
        assert_eq!(at("a[0]"), (2, 9));
        assert_eq!(at("a[1].b.c"), (3, 18));
        assert_eq!(at("a[1].b.absent").0, 3, "the object that lacks it");
        assert_eq!(at("absent").0, 5);
    }
}
