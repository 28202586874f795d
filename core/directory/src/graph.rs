//! The graph: the database that shows what the log makes, and whether it does.

use std::fs;
use std::path::{Path, PathBuf};

use kuzusync_core::store::plan::Plan;
use kuzusync_core::store::text_index::{TextIndexes, Unbuilt};
use kuzusync_core::store::{GraphStore, StoreError};
use kuzusync_core::view::{View, ViewDelta};
use serde::Serialize;

use crate::error::Error;

/// Lies beside the graph while it is opened. Where it is found, opening it has killed a process.
const MARKER: &str = "graph.opening";

/// What the graph was found to be when the directory was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum GraphState {
    /// It held what the log makes.
    Kept,
    /// It was built anew, for this reason.
    Rebuilt(String),
    /// It cannot be built; the log is not concerned.
    Broken(String),
    /// This build has no Kùzu: the view is in memory.
    InMemory,
}

/// The graph of one replica.
pub(crate) struct Graph {
    store: Box<dyn GraphStore>,
    pub(crate) state: GraphState,
    /// The full-text indexes that the store was asked for and has not built.
    pub(crate) unbuilt: Unbuilt,
}

impl Graph {
    /// Opens the graph in a directory and makes it hold `view`. `shown` of `records` records had been carried out when it
    /// was last closed.
    pub(crate) fn open(directory: &Path, view: &View, shown: u64, records: u64) -> Result<Graph, Error> {
        let marker = directory.join(MARKER);
        let folder = folder(directory);
        let is_doubtful = marker.exists() && folder.exists();
        let mut reason = if !folder.exists() {
            "it was missing"
        } else if is_doubtful {
            "opening it had ended the process before"
        } else if shown < records {
            "it was behind the log"
        } else {
            "it did not hold what the log makes"
        };
        if is_doubtful {
            fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
        }
        let is_on_disk = cfg!(feature = "kuzu");
        if is_on_disk {
            fs::write(&marker, b"").map_err(Error::io(&marker))?;
        }
        let opened = open_store(&folder);
        let mut graph = match opened {
            Ok(store) => Graph { store, state: GraphState::Kept, unbuilt: Unbuilt::new() },
            Err(error) => {
                let state = GraphState::Broken(error.to_string());
                let store = Box::new(kuzusync_core::store::memory::MemoryStore::default());
                Graph { store, state, unbuilt: Unbuilt::new() }
            }
        };
        if !is_on_disk {
            drop(graph.store.rebuild(view));
            graph.state = GraphState::InMemory;
            return Ok(graph);
        }
        if graph.state == GraphState::Kept {
            let held = graph.store.read();
            if held.is_err() {
                reason = "it could not be read";
            }
            if !held.is_ok_and(|held| is_shown(&held, view)) {
                graph.state = GraphState::Rebuilt(reason.to_owned());
                if let Err(error) = graph.store.rebuild(view) {
                    graph.state = GraphState::Broken(error.to_string());
                }
            }
        }
        fs::remove_file(&marker).map_err(Error::io(&marker))?;
        Ok(graph)
    }

    /// Carries a delta out. If the store fails it is told, and is to be built anew.
    pub(crate) fn apply(&mut self, delta: &ViewDelta) -> Result<(), StoreError> {
        if let GraphState::Broken(_) = self.state {
            return Ok(());
        }
        self.store.apply(delta)
    }

    /// How the store would carry schema steps out.
    pub(crate) fn plan(&self, delta: &ViewDelta) -> Result<Plan, StoreError> {
        self.store.plan(delta)
    }

    /// Makes the store hold a view.
    pub(crate) fn rebuild(&mut self, view: &View) {
        if let GraphState::Broken(_) = self.state {
            return;
        }
        if let Err(error) = self.store.rebuild(view) {
            self.state = GraphState::Broken(error.to_string());
        }
    }

    /// Tells the store which full-text indexes should stand beside `view`.
    pub(crate) fn index_texts(&mut self, wanted: &TextIndexes, view: impl Fn() -> View) {
        if let GraphState::Broken(_) = self.state {
            return;
        }
        // A store that fails at an index is built anew, and does not try that one again.
        for _ in 0..=wanted.len() {
            match self.store.index_texts(wanted) {
                Ok(unbuilt) => {
                    self.unbuilt = unbuilt;
                    return;
                }
                Err(error) => {
                    self.rebuild(&view());
                    self.unbuilt = wanted.keys().map(|index| (index.clone(), error.message.clone())).collect();
                }
            }
        }
    }

    /// What the store holds, read from itself.
    pub(crate) fn read(&mut self) -> Result<View, StoreError> {
        self.store.read()
    }

    /// The store's name.
    pub(crate) fn name(&self) -> &'static str {
        self.store.name()
    }
}

/// Where the graph of a directory lies.
pub(crate) fn folder(directory: &Path) -> PathBuf {
    directory.join("graph")
}

#[cfg(feature = "kuzu")]
fn is_shown(held: &View, view: &View) -> bool {
    *held == *kuzusync_kuzu::fidelity::held(view)
}

#[cfg(not(feature = "kuzu"))]
fn is_shown(held: &View, view: &View) -> bool {
    held == view
}

#[cfg(feature = "kuzu")]
fn open_store(folder: &Path) -> Result<Box<dyn GraphStore>, StoreError> {
    Ok(Box::new(kuzusync_kuzu::KuzuStore::on_disk(folder)?))
}

#[cfg(not(feature = "kuzu"))]
fn open_store(_folder: &Path) -> Result<Box<dyn GraphStore>, StoreError> {
    Ok(Box::new(kuzusync_core::store::memory::MemoryStore::default()))
}
