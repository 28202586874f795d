//! A replica in a directory: one more host of the same engine, with a change log in SQLite for its disk and a Kùzu database
//! for its view. What it exchanges with others are files.
//!
//! | in the directory | holds |
//! |---|---|
//! | `log.sqlite` | the change log: the truth. See [`kuzusync_sqlite`] |
//! | `graph/` | the Kùzu database that shows it; may be deleted at any time |
//! | `settings.toml` | see [`Settings`] |
//! | `lock` | held by the process that uses the directory |
//!
//! # Invariants
//!
//! * **Nothing is acknowledged that is not in the log**, and a batch is in it whole or not at all. The graph follows.
//! * **The graph is believed when it holds what the log makes, and only then.** It is read and compared whenever the
//!   directory is opened, and built anew when it is missing, behind, damaged or in doubt; also when opening it killed the
//!   process, of which a marker tells.
//! * **A file is believed when it is whole**: nothing of a bad one is applied.
//! * The real clock and real randomness are read here alone.
//!
//! Without the feature `kuzu` there is no graph on disk: the view is kept in memory, and a graph that another build left
//! falls behind until that build opens the directory again.

mod adoption;
mod backup;
mod directory;
mod error;
mod export;
mod graph;
mod import;
mod preview;
mod rows;
mod settings;
mod status;

pub use directory::{Applied, Directory, Init, parse_transactions};
pub use error::Error;
pub use graph::GraphState;
pub use import::{ImportOptions, ImportReport, LeftOut, Progress, RetryReport};
pub use preview::{Impact, Preview, RowCounts};
pub use settings::{BATCH_SIZE, Settings};
pub use status::{Status, UnbuiltIndex};
