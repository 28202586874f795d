//! The durable change log in SQLite: a replica's records, and beside them what people read with the `sqlite3` shell.
//!
//! The records of [`Output::Persist`] are the truth and lie as they are in the table `record`; [`SqliteLog::records`] gives
//! them back to [`Replica::open`]. Everything else is written in the same transaction and could be computed from them:
//!
//! | table | holds |
//! |---|---|
//! | `change_log` | the documented columns, a row for each operation and ruling in the order in which this replica came to know them; `author`, `seq` and `op_index` say which operation it is, `number` the main's number, `outcome` whether it is applied, failed or rejected |
//! | `sync_state` | of each client whose files were imported, how far: `last_lsn` never passes a transaction that was left out, `read_lsn` is the last row that was looked at |
//! | `dead_letter` | what was left out, and why, until it is retried with success or dismissed |
//! | `audit` | every concurrent loss, and every column that an import added |
//! | `schema` | the tables and columns, with the version they are of |
//! | `source` | what the authors of changes are called |
//! | `setting` | what this file is: its format, and how far the graph was brought |
//!
//! A batch is one transaction, and a transaction that returned is on the disk: the journal is a write-ahead log with
//! `synchronous = FULL`. A process or a system that dies leaves whole batches. (Sync Policy, cases E1, E2 and E10;
//! Distributed Sync Engine, case D.A2.)
//!
//! [`Output::Persist`]: kuzusync_core::replica::Output::Persist
//! [`Replica::open`]: kuzusync_core::replica::Replica::open

mod log;
mod tables;

pub use log::{LogError, SqliteLog};
pub use tables::{AuditRow, Batch, DeadLetter, Outcome, SchemaRow, StoredRow, SyncState};
