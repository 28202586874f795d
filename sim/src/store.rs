//! Which graph stores the replicas of a run feed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::store::{GraphStore, StoreError};
use kuzusync_core::view::View;
#[cfg(feature = "kuzu")]
use kuzusync_kuzu::fidelity;
use serde::{Deserialize, Serialize};

/// Which graph stores the replicas of a run feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreChoice {
    /// The reference store.
    Memory,
    /// A real Kùzu database each.
    Kuzu,
    /// Each replica feeds both.
    Both,
}

impl StoreChoice {
    /// Every choice.
    pub const ALL: [StoreChoice; 3] = [StoreChoice::Memory, StoreChoice::Kuzu, StoreChoice::Both];

    /// Whether this build can open such stores.
    #[must_use]
    pub fn is_built(self) -> bool {
        self == StoreChoice::Memory || cfg!(feature = "kuzu")
    }

    /// The stores' names.
    #[must_use]
    pub fn store_names(self) -> &'static [&'static str] {
        match self {
            StoreChoice::Memory => &["memory"],
            StoreChoice::Kuzu => &["kuzu"],
            StoreChoice::Both => &["memory", "kuzu"],
        }
    }

    /// Opens empty stores.
    ///
    /// # Errors
    /// If Kùzu cannot make a database, or is not part of this build.
    pub fn open(self) -> Result<Vec<Box<dyn GraphStore>>, StoreError> {
        let mut stores: Vec<Box<dyn GraphStore>> = Vec::new();
        if self != StoreChoice::Kuzu {
            stores.push(Box::new(MemoryStore::default()));
        }
        if self != StoreChoice::Memory {
            stores.push(open_kuzu()?);
        }
        Ok(stores)
    }
}

/// Without Kùzu no store holds anything otherwise.
#[cfg(not(feature = "kuzu"))]
mod fidelity {
    use super::{Cow, View};

    pub fn held(view: &View) -> Cow<'_, View> {
        Cow::Borrowed(view)
    }

    pub fn held_otherwise(_: &View) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(feature = "kuzu")]
fn open_kuzu() -> Result<Box<dyn GraphStore>, StoreError> {
    Ok(Box::new(kuzusync_kuzu::KuzuStore::in_memory()?))
}

#[cfg(not(feature = "kuzu"))]
fn open_kuzu() -> Result<Box<dyn GraphStore>, StoreError> {
    let message = "this build has no Kùzu; build with the feature `kuzu`".to_owned();
    Err(StoreError { store: "kuzu", statement: "open".to_owned(), message })
}

/// What the store of that name can hold of a view; [`held_otherwise`] names what that is not.
#[must_use]
pub fn held<'v>(store: &str, view: &'v View) -> Cow<'v, View> {
    match store {
        "kuzu" => fidelity::held(view),
        _ => Cow::Borrowed(view),
    }
}

/// Every column of a view that the store of that name holds otherwise, and how.
#[must_use]
pub fn held_otherwise(store: &str, view: &View) -> Vec<String> {
    match store {
        "kuzu" => fidelity::held_otherwise(view),
        _ => Vec::new(),
    }
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreChoice::Memory => "memory",
            StoreChoice::Kuzu => "kuzu",
            StoreChoice::Both => "both",
        })
    }
}

impl FromStr for StoreChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = StoreChoice::ALL.into_iter().find(|choice| choice.to_string() == text);
        known.ok_or_else(|| format!("`{text}` is no store; choose memory, kuzu or both"))
    }
}
