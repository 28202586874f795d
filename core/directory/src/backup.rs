//! Backup and restore. (Sync Policy, case E12.)
//!
//! A backup is one SQLite file: the log as it was at one moment, written while the replica goes on. The graph is not in it; it
//! is built from the log.
//!
//! What is restored is a new incarnation: it has another identity, so that what the old one wrote after the backup is never
//! taken for something the new one wrote. Changes that nobody had acknowledged are in the restored log and travel with the
//! next export.
//!
//! A restored main gives numbers that the old one has given too, so its database is a new one. Files of the old database are
//! refused there, and its files by the edges of the old one. An edge joins it anew, in a new directory and with a file of the
//! restored main's; the old directory stays as it is. What only that edge had written after the backup is in its log and not
//! in the new database: whoever wants it there hands it in again.

use std::fs;
use std::path::Path;

use kuzusync_core::id::{DatabaseId, Digest, ReplicaId};
use kuzusync_core::message::{LogRecord, Record, Role};
use kuzusync_core::replica::Replica;
use kuzusync_sqlite::SqliteLog;

use crate::directory::{Directory, config, entropy, lock, log_file, require_empty, settings_file};
use crate::error::Error;
use crate::settings::Settings;

impl Directory {
    /// Writes all that the replica in a directory holds into a new file. The replica may be in use meanwhile.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn backup(path: &Path, to: &Path) -> Result<(), Error> {
        if !log_file(path).exists() {
            return Err(Error::NoReplica(path.to_owned()));
        }
        Ok(SqliteLog::open(&log_file(path))?.backup(to)?)
    }

    /// Makes a new replica of a backup, in a directory that is empty or not there yet.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn restore(path: &Path, from: &Path, name: Option<&str>) -> Result<Self, Error> {
        require_empty(path)?;
        let backup = SqliteLog::open_read_only(from)?;
        let records = backup.records()?;
        let entropy = entropy()?;
        let id = ReplicaId(Digest::of(&[b"replica", &entropy]).0);
        let restored = reincarnate(&records, id);
        // Before anything is made, it is seen that the log can be opened.
        Replica::open(config(&restored)?, entropy, &restored)?;
        fs::create_dir_all(path).map_err(Error::io(path))?;
        let held = lock(path)?;
        let old = records.first().and_then(|record| match record {
            Record::Created { replica, .. } => Some(*replica),
            _ => None,
        });
        let old_name = old.and_then(|old| backup.sources().ok()?.remove(&old));
        let name = name.map(str::to_owned).or(old_name).unwrap_or_else(|| "restored".to_owned());
        backup.backup(&log_file(path))?;
        SqliteLog::open(&log_file(path))?.become_another(&restored, (id, name.clone()))?;
        Settings::named(&name).write(&settings_file(path))?;
        drop(held);
        Directory::open(path)
    }
}

/// The records of a new replica that knows what an old one knew.
fn reincarnate(records: &[Record], id: ReplicaId) -> Vec<Record> {
    let reborn = |record: &Record| match record {
        Record::Created { database, role: Role::Main, .. } => {
            let database = DatabaseId(Digest::of(&[b"restored", &database.0, &id.0]).0);
            Record::Created { replica: id, database, role: Role::Main }
        }
        Record::Created { database, role, .. } => Record::Created { replica: id, database: *database, role: *role },
        // A vote binds the incarnation that gave it.
        Record::Batch { log, clock } => {
            let is_vote = |record: &&LogRecord| matches!(record, LogRecord::Prepared(_));
            let log = log.iter().filter(|record| !is_vote(record)).cloned().collect();
            Record::Batch { log, clock: clock.clone() }
        }
        Record::Main(_) | Record::Base { .. } => record.clone(),
    };
    records.iter().map(reborn).collect()
}
