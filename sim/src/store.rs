//! Which graph stores the replicas of a run feed.
//!
//! Each is what a careful host would use: a database that may refuse a part of the schema, in a store that then holds that
//! part back and goes on.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use kuzusync_core::store::memory::MemoryStore;
use kuzusync_core::store::refusing::{Refusal, Refusing};
use kuzusync_core::store::tolerant::{self, Tolerant};
use kuzusync_core::store::{GraphStore, StoreError};
use kuzusync_core::view::View;
#[cfg(feature = "kuzu")]
use kuzusync_kuzu::fidelity;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::outcome::ReplicaState;

/// Which graph stores the replicas of a run feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreChoice {
    /// The reference store.
    Memory,
    /// A real Kùzu database in memory each.
    Kuzu,
    /// A real Kùzu database on disk each.
    #[serde(rename = "kuzu-disk")]
    KuzuDisk,
    /// Each replica feeds the reference store and a Kùzu database in memory.
    Both,
}

impl StoreChoice {
    /// Every choice.
    pub const ALL: [StoreChoice; 4] =
        [StoreChoice::Memory, StoreChoice::Kuzu, StoreChoice::KuzuDisk, StoreChoice::Both];

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
            StoreChoice::KuzuDisk => &["kuzu-disk"],
            StoreChoice::Both => &["memory", "kuzu"],
        }
    }

    /// The folder that a run on these stores needs.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn folder(self) -> std::io::Result<Option<TempDir>> {
        match self {
            StoreChoice::KuzuDisk => tempfile::Builder::new().prefix("kuzusync-").tempdir().map(Some),
            StoreChoice::Memory | StoreChoice::Kuzu | StoreChoice::Both => Ok(None),
        }
    }
}

/// A store of a replica.
pub type Store = Tolerant<Refusing<Box<dyn GraphStore>>>;

/// The stores of one run.
#[derive(Clone, Debug)]
pub struct Stores {
    choice: StoreChoice,
    /// Where those lie that are on disk. Whoever makes a run removes it afterwards.
    folder: Option<PathBuf>,
}

impl Stores {
    /// Stores of a run, in its [`StoreChoice::folder`].
    #[must_use]
    pub fn new(choice: StoreChoice, folder: Option<&TempDir>) -> Self {
        Stores { choice, folder: folder.map(|folder| folder.path().to_owned()) }
    }

    /// Opens a host's stores, which refuse this: those in memory empty, one on disk as it was left.
    ///
    /// # Errors
    /// If Kùzu cannot make a database, or is not part of this build.
    pub fn open(&self, host: u32, refusals: &[Refusal]) -> Result<Vec<Store>, StoreError> {
        let memory = || -> Box<dyn GraphStore> { Box::new(MemoryStore::default()) };
        let place = self.folder.as_ref().map(|folder| folder.join(format!("replica-{host}")));
        let databases = match self.choice {
            StoreChoice::Memory => vec![memory()],
            StoreChoice::Kuzu | StoreChoice::KuzuDisk => vec![open_kuzu(place.as_deref())?],
            StoreChoice::Both => vec![memory(), open_kuzu(None)?],
        };
        let store = |database| {
            let mut refusing = Refusing::new(database);
            refusals.iter().for_each(|refusal| refusing.refuse(refusal.clone()));
            Tolerant::new(refusing)
        };
        Ok(databases.into_iter().map(store).collect())
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
fn open_kuzu(place: Option<&Path>) -> Result<Box<dyn GraphStore>, StoreError> {
    use kuzusync_kuzu::KuzuStore;
    Ok(Box::new(place.map_or_else(KuzuStore::in_memory, KuzuStore::on_disk)?))
}

#[cfg(not(feature = "kuzu"))]
fn open_kuzu(_place: Option<&Path>) -> Result<Box<dyn GraphStore>, StoreError> {
    let message = "this build has no Kùzu; build with the feature `kuzu`".to_owned();
    Err(StoreError { store: "kuzu", statement: "open".to_owned(), message })
}

/// What the store of that name should hold at a replica: its view, without what the database refused.
#[must_use]
pub fn expected<'r>(store: &str, replica: &'r ReplicaState) -> Cow<'r, View> {
    match replica.held_back.get(store) {
        None => held(store, &replica.view),
        Some(parts) => Cow::Owned(held(store, &tolerant::without(&replica.view, parts)).into_owned()),
    }
}

/// What the store of that name can hold of a view; [`held_otherwise`] names what that is not.
#[must_use]
pub fn held<'v>(store: &str, view: &'v View) -> Cow<'v, View> {
    match store {
        "kuzu" | "kuzu-disk" => fidelity::held(view),
        _ => Cow::Borrowed(view),
    }
}

/// Every column of a view that the store of that name holds otherwise, and how.
#[must_use]
pub fn held_otherwise(store: &str, view: &View) -> Vec<String> {
    match store {
        "kuzu" | "kuzu-disk" => fidelity::held_otherwise(view),
        _ => Vec::new(),
    }
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreChoice::Memory => "memory",
            StoreChoice::Kuzu => "kuzu",
            StoreChoice::KuzuDisk => "kuzu-disk",
            StoreChoice::Both => "both",
        })
    }
}

impl FromStr for StoreChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = StoreChoice::ALL.into_iter().find(|choice| choice.to_string() == text);
        known.ok_or_else(|| format!("`{text}` is no store; choose memory, kuzu, kuzu-disk or both"))
    }
}
