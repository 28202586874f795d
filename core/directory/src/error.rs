//! What can be wrong, with the remedy.

use std::io;
use std::path::{Path, PathBuf};

use kuzusync_core::export::FileError;
use kuzusync_sqlite::LogError;

/// Why something was not done. Nothing of it was, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a replica's.
    #[error("`{}` holds no replica; make one with `kuzusync init --dir {}`", .0.display(), .0.display())]
    NoReplica(PathBuf),
    /// Somebody's already.
    #[error("`{}` is not empty; choose another directory", .0.display())]
    NotEmpty(PathBuf),
    /// In use.
    #[error("another process uses `{}`; wait until it has finished", .0.display())]
    Locked(PathBuf),
    /// The system's.
    #[error("`{}`: {error}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The settings file.
    #[error("`{}`: {problem}", path.display())]
    Settings {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The log's.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The engine's.
    #[error(transparent)]
    Engine(#[from] kuzusync_core::Error),
    /// A bad line of input.
    #[error("line {line}: {problem}; nothing was applied")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A bad change-log file.
    #[error("{0}; nothing was imported")]
    File(#[from] FileError),
    /// A file of this very replica.
    #[error("the file was exported by this replica itself; there is nothing in it to import")]
    OwnFile,
    /// A file that does not continue what was read.
    #[error(
        "the file begins after row {from} of `{source_node}`, and only {read} were imported of it; export it again with \
         `--from-lsn {read}`"
    )]
    Gap {
        /// Whose rows.
        source_node: String,
        /// Before its first row.
        from: u64,
        /// What was imported.
        read: u64,
    },
    /// A change log that does not reach so far.
    #[error("the change log ends at row {last}; `--from-lsn {asked}` is beyond it")]
    BeyondEnd {
        /// What was asked for.
        asked: u64,
        /// Its last row.
        last: u64,
    },
    /// No such dead letter.
    #[error("no transaction `{0}` is left out; `kuzusync status` lists those that are")]
    NoDeadLetter(String),
    /// A database that cannot be adopted.
    #[error("`{}` cannot be adopted: {problem}", path.display())]
    Adoption {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A replica that has rows already.
    #[error("the replica holds changes already; adopt into a new one, made with `kuzusync init`")]
    NotNew,
    /// No randomness.
    #[error("the system gives no randomness: {0}")]
    Entropy(getrandom::Error),
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |error| Error::Io { path, error }
    }
}
