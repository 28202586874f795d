//! The settings of a replica: what a person may change in its directory.
//!
//! ```toml
//! name = "store-12"            # what it is called in change logs
//! import_batch_size = 100      # transactions of an import that are committed together
//! allow_schema_alter = false   # whether an import may add columns that it needs
//! ```

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Transactions of a batch unless configured otherwise.
pub const BATCH_SIZE: usize = 100;

/// What stands in `settings.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the replica is called in change logs.
    pub name: String,
    /// Transactions of an import that are committed together, with a checkpoint after them (Sync Policy, case E7).
    #[serde(default = "batch_size")]
    pub import_batch_size: usize,
    /// Whether an import may add columns (Sync Policy, case E6).
    #[serde(default)]
    pub allow_schema_alter: bool,
}

fn batch_size() -> usize {
    BATCH_SIZE
}

impl Settings {
    /// The defaults of a replica of that name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Settings { name: name.to_owned(), import_batch_size: BATCH_SIZE, allow_schema_alter: false }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let bad = |problem: String| Error::Settings { path: path.to_owned(), problem };
        let settings: Settings = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if settings.import_batch_size == 0 {
            return Err(bad("`import_batch_size` is 0; it is 1 at least".to_owned()));
        }
        Ok(settings)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let Settings { name, import_batch_size, allow_schema_alter } = self;
        // Text in JSON is text in TOML.
        let name = serde_json::Value::from(name.as_str());
        let text = format!(
            "# What the replica is called in change logs.\nname = {name}\n\n# Transactions of an import that are committed \
             together.\nimport_batch_size = {import_batch_size}\n\n# Whether an import may add columns that it \
             needs.\nallow_schema_alter = {allow_schema_alter}\n"
        );
        fs::write(path, text).map_err(Error::io(path))
    }
}
