//! One column of a block: the kinds of its values, and by kind what they are.
//!
//! Integers, dates and moments are 64-bit words, written as they are or as differences, whichever is shorter. Texts say how
//! much they share with the one before. What is rare lies in its canonical bytes.

use super::Problem;
use super::stream::{Reader, push_section, push_signed, push_varint, zigzag};
use crate::id::canonical_bytes;
use crate::value::{Date, Double, Moment, Uuid, Value};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const TEXT: u8 = 3;
const DOUBLE: u8 = 4;
const UUID: u8 = 5;
const OTHER: u8 = 6;
const WORDS_FROM: u8 = 7;

const PLAIN: u8 = 0;
const DELTA: u8 = 1;

/// A value that is a word, and which kind it is of.
fn word(value: &Value) -> Option<(u8, i64)> {
    let (kind, word) = match value {
        Value::Int64(value) => (0, *value),
        Value::Int32(value) => (1, i64::from(*value)),
        Value::Int16(value) => (2, i64::from(*value)),
        Value::Int8(value) => (3, i64::from(*value)),
        Value::UInt64(value) => (4, *value as i64),
        Value::UInt32(value) => (5, i64::from(*value)),
        Value::UInt16(value) => (6, i64::from(*value)),
        Value::UInt8(value) => (7, i64::from(*value)),
        Value::Date(value) => (8, i64::from(value.days())),
        Value::Timestamp(value) => (9, value.units()),
        Value::TimestampSec(value) => (10, value.units()),
        Value::TimestampMs(value) => (11, value.units()),
        Value::TimestampNs(value) => (12, value.units()),
        Value::TimestampTz(value) => (13, value.units()),
        _ => return None,
    };
    Some((WORDS_FROM + kind, word))
}

fn from_word(kind: u8, word: i64) -> Option<Value> {
    Some(match kind - WORDS_FROM {
        0 => Value::Int64(word),
        1 => Value::Int32(word.try_into().ok()?),
        2 => Value::Int16(word.try_into().ok()?),
        3 => Value::Int8(word.try_into().ok()?),
        4 => Value::UInt64(word as u64),
        5 => Value::UInt32(word.try_into().ok()?),
        6 => Value::UInt16(word.try_into().ok()?),
        7 => Value::UInt8(word.try_into().ok()?),
        8 => Value::Date(Date::new(word.try_into().ok()?)?),
        9 => Value::Timestamp(Moment::new(word)?),
        10 => Value::TimestampSec(Moment::new(word)?),
        11 => Value::TimestampMs(Moment::new(word)?),
        12 => Value::TimestampNs(Moment::new(word)?),
        13 => Value::TimestampTz(Moment::new(word)?),
        _ => return None,
    })
}

#[derive(Default)]
pub(super) struct LaneWriter<'a> {
    kinds: Vec<u8>,
    words: Vec<i64>,
    text_lengths: Vec<u8>,
    text: Vec<u8>,
    other: Vec<u8>,
    last_text: &'a str,
}

impl<'a> LaneWriter<'a> {
    /// Adds a value. Says what reading it will cost.
    pub(super) fn push(&mut self, value: &'a Value) -> usize {
        if let Some((kind, word)) = word(value) {
            self.kinds.push(kind);
            self.words.push(word);
            return 0;
        }
        let kind = match value {
            Value::Null => NULL,
            Value::Bool(false) => FALSE,
            Value::Bool(true) => TRUE,
            Value::String(text) => return self.push_text(text),
            Value::Double(double) => {
                self.other.extend_from_slice(&double.get().to_le_bytes());
                DOUBLE
            }
            Value::Uuid(uuid) => {
                self.other.extend_from_slice(uuid.as_bytes());
                UUID
            }
            other => {
                let before = self.other.len();
                self.other = canonical_bytes(other, std::mem::take(&mut self.other));
                self.kinds.push(OTHER);
                return self.other.len() - before;
            }
        };
        self.kinds.push(kind);
        0
    }

    pub(super) fn push_text(&mut self, text: &'a str) -> usize {
        self.kinds.push(TEXT);
        let (one, other) = (self.last_text.as_bytes(), text.as_bytes());
        let shared = one.iter().zip(other).take_while(|(one, other)| one == other).count();
        push_varint(&mut self.text_lengths, shared as u64);
        push_varint(&mut self.text_lengths, (other.len() - shared) as u64);
        self.text.extend_from_slice(&other[shared..]);
        self.last_text = text;
        other.len()
    }

    /// Writes kinds (one if all are equal), words, texts and others.
    pub(super) fn finish(&self, bytes: &mut Vec<u8>) {
        let is_uniform = self.kinds.windows(2).all(|pair| pair[0] == pair[1]);
        push_section(bytes, if is_uniform { &self.kinds[..self.kinds.len().min(1)] } else { &self.kinds });
        let length = |number: u64| (64 - (number | 1).leading_zeros()).div_ceil(7);
        let deltas =
            || self.words.iter().scan(0_i64, |last, word| Some(word.wrapping_sub(std::mem::replace(last, *word))));
        let plain: u32 = self.words.iter().map(|word| length(zigzag(*word))).sum();
        let delta: u32 = deltas().map(|delta| length(zigzag(delta))).sum();
        let mut words = Vec::new();
        if !self.words.is_empty() {
            words.push(if delta < plain { DELTA } else { PLAIN });
        }
        if delta < plain {
            deltas().for_each(|delta| push_signed(&mut words, delta));
        } else {
            self.words.iter().for_each(|word| push_signed(&mut words, *word));
        }
        push_section(bytes, &words);
        push_section(bytes, &self.text_lengths);
        push_section(bytes, &self.text);
        push_section(bytes, &self.other);
    }
}

pub(super) struct LaneReader<'a> {
    kinds: Reader<'a>,
    /// The kind of all values, if they are of one.
    uniform: Option<u8>,
    is_delta: bool,
    words: Reader<'a>,
    last_word: i64,
    text_lengths: Reader<'a>,
    text: Reader<'a>,
    last_text: Vec<u8>,
    other: Reader<'a>,
}

impl<'a> LaneReader<'a> {
    pub(super) fn open(bytes: &mut Reader<'a>) -> Result<Self, Problem> {
        let mut sections = [Reader::default(); 5];
        for section in &mut sections {
            *section = Reader::new(bytes.section()?);
        }
        let [mut kinds, mut words, text_lengths, text, other] = sections;
        let uniform = if kinds.rest().len() == 1 { Some(kinds.byte()?) } else { None };
        let is_delta = match words.byte() {
            Err(_) | Ok(PLAIN) => false,
            Ok(DELTA) => true,
            Ok(_) => return Err("words are written in an unknown way"),
        };
        let last_text = Vec::new();
        Ok(LaneReader { kinds, uniform, is_delta, words, last_word: 0, text_lengths, text, last_text, other })
    }

    /// The next value, and what it costs.
    pub(super) fn next(&mut self) -> Result<(Value, usize), Problem> {
        let kind = match self.uniform {
            Some(kind) => kind,
            None => self.kinds.byte()?,
        };
        let value = match kind {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            TEXT => return self.next_text(),
            DOUBLE => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(self.other.take(8)?);
                let number = f64::from_le_bytes(bytes);
                let double = Double::new(number);
                if double.get().to_bits() != number.to_bits() {
                    return Err("a number is not written in its one way");
                }
                Value::Double(double)
            }
            UUID => Value::Uuid(Uuid::from_bytes(self.other.sixteen()?)),
            OTHER => {
                let before = self.other.rest();
                let (value, rest) = postcard::take_from_bytes(before).map_err(|_| "a value cannot be read")?;
                self.other = Reader::new(rest);
                let is_plain = word(&value).is_some();
                let has_kind = matches!(
                    value,
                    Value::Null | Value::Bool(_) | Value::String(_) | Value::Double(_) | Value::Uuid(_)
                );
                if is_plain || has_kind {
                    return Err("a value is said at length");
                }
                return Ok((value, before.len() - rest.len()));
            }
            kind => {
                let mut word = self.words.signed()?;
                if self.is_delta {
                    word = self.last_word.wrapping_add(word);
                    self.last_word = word;
                }
                from_word(kind, word).ok_or("a value is out of its type's range")?
            }
        };
        Ok((value, 0))
    }

    fn next_text(&mut self) -> Result<(Value, usize), Problem> {
        let (shared, more) = (self.text_lengths.length()?, self.text_lengths.length()?);
        let more = self.text.take(more)?;
        if shared > self.last_text.len() {
            return Err("a text shares more than there is");
        }
        self.last_text.truncate(shared);
        self.last_text.extend_from_slice(more);
        let text = std::str::from_utf8(&self.last_text).map_err(|_| "a text is no text")?;
        Ok((Value::from(text), text.len()))
    }

    pub(super) fn is_read(&self) -> bool {
        let parts = [self.kinds, self.words, self.text_lengths, self.text, self.other];
        parts.iter().all(|part| part.rest().is_empty())
    }
}
