//! What a replica tells of itself.

use std::collections::BTreeMap;

use kuzusync_core::id::{DatabaseId, Digest, ReplicaId, Role};
use kuzusync_core::store::text_index::TextIndex;
use serde::Serialize;

use crate::directory::Directory;
use crate::error::Error;
use crate::graph::GraphState;

/// How a replica stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its identity.
    pub replica: ReplicaId,
    /// What it is called.
    pub name: String,
    /// Its part.
    pub role: Role,
    /// Its graph.
    pub database: DatabaseId,
    /// The main, once it is known.
    pub main: Option<ReplicaId>,
    /// The last row of the change log.
    pub last_lsn: u64,
    /// The main's last number that is known.
    pub last_number: u64,
    /// Schema operations.
    pub schema_version: u64,
    /// Rows of each table.
    pub tables: BTreeMap<String, usize>,
    /// Of the graph as it is shown; equal on two replicas that hold the same.
    pub digest: Digest,
    /// Own operations that nobody has acknowledged.
    pub queued_operations: usize,
    /// Rows of the audit.
    pub audit: u64,
    /// How far each client's files were imported.
    pub sync_state: Vec<SyncedTo>,
    /// What was left out of imports.
    pub dead_letters: Vec<DeadLetterStatus>,
    /// The database that shows the graph.
    pub store: &'static str,
    /// What it was found to be when the directory was opened.
    pub graph: GraphState,
    /// The full-text indexes that it was asked for and has not built, and why: they are recorded, not materialised.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unbuilt_indexes: Vec<UnbuiltIndex>,
}

/// A full-text index that is recorded, not materialised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnbuiltIndex {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// How far a client's files were imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncedTo {
    /// Whose.
    pub client_id: String,
    /// What it is called.
    pub source_node: String,
    /// All its rows up to here are applied.
    pub last_lsn: u64,
    /// The last of its rows that was looked at: what is exported next begins after it.
    pub read_lsn: u64,
}

/// A transaction that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetterStatus {
    /// Whose file.
    pub client_id: String,
    /// The transaction.
    pub tx_id: String,
    /// Its first row there.
    pub lsn: u64,
    /// Why.
    pub problem: String,
}

impl Directory {
    /// How the replica stands.
    ///
    /// # Errors
    /// The log's.
    pub fn status(&self) -> Result<Status, Error> {
        let view = self.replica.view();
        let nodes = view.nodes.iter().map(|(table, rows)| (table.clone(), rows.len()));
        let edges = view.edges.iter().map(|(table, rows)| (table.clone(), rows.len()));
        let synced = |state: kuzusync_sqlite::SyncState| SyncedTo {
            client_id: state.client_id,
            source_node: state.source_node,
            last_lsn: state.last_lsn,
            read_lsn: state.read_lsn,
        };
        let dead = |letter: kuzusync_sqlite::DeadLetter| DeadLetterStatus {
            client_id: letter.client_id,
            tx_id: letter.tx_id,
            lsn: letter.first_lsn,
            problem: letter.problem,
        };
        let unbuilt = |(index, reason): (&TextIndex, &String)| {
            let (TextIndex { table, name }, reason) = (index.clone(), reason.clone());
            UnbuiltIndex { table, name, reason }
        };
        Ok(Status {
            replica: self.replica.id(),
            name: self.settings.name.clone(),
            role: self.replica.role(),
            database: self.replica.database(),
            main: self.replica.main(),
            last_lsn: self.log.last_lsn()?,
            last_number: self.replica.log().lsn_known(),
            schema_version: self.replica.schema_state().version,
            tables: nodes.chain(edges).collect(),
            digest: view.digest(),
            queued_operations: self.replica.queue().operations(),
            audit: self.log.audit_count()?,
            sync_state: self.log.sync_states()?.into_iter().map(synced).collect(),
            dead_letters: self.log.dead_letters()?.into_iter().map(dead).collect(),
            store: self.graph.name(),
            graph: self.graph.state.clone(),
            unbuilt_indexes: self.graph.unbuilt.iter().map(unbuilt).collect(),
        })
    }
}
