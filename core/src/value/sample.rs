//! Samples of every type, the awkward ones among them: what every layer is tested with and what generated loads write.
//!
//! They stand in `samples.json`, as everybody would write them by hand.

use std::sync::LazyLock;

use serde::Deserialize;

use super::{Type, Value};

/// A type and some of its values.
#[derive(Clone, Debug, Deserialize)]
pub struct Sample {
    /// The type.
    #[serde(rename = "type")]
    pub column_type: Type,
    /// Values of it, each different, none of them NULL.
    pub values: Vec<Value>,
}

/// Every type that is its name alone, and those made of others.
///
/// # Panics
/// If `samples.json` cannot be read, which the tests rule out.
#[must_use]
pub fn samples() -> &'static [Sample] {
    static SAMPLES: LazyLock<Vec<Sample>> =
        LazyLock::new(|| serde_json::from_str(include_str!("samples.json")).expect("the samples are well-formed"));
    &SAMPLES
}
