//! What stands in the tables that people read.

use kuzusync_core::change::ChangeId;
use kuzusync_core::clock::Lsn;
use kuzusync_core::id::ReplicaId;
use kuzusync_core::message::Record;

/// What became of the change that a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is part of the graph.
    Applied,
    /// It could not be applied here, and may be retried.
    Failed,
    /// The main does not apply it.
    Rejected,
}

impl Outcome {
    /// Its name in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Failed => "failed",
            Outcome::Rejected => "rejected",
        }
    }
}

/// A row of `change_log`. Its `lsn` is given when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// The documented column.
    pub tx_id: String,
    /// The documented column.
    pub table_name: Option<String>,
    /// The documented column, as text.
    pub pk_json: Option<String>,
    /// The documented column.
    pub op: String,
    /// The documented column, as text.
    pub payload: Option<String>,
    /// The documented column.
    pub tombstone: u8,
    /// The documented column.
    pub created_at: String,
    /// The documented column.
    pub source_node: String,
    /// The change it is of; none for a ruling.
    pub change: Option<ChangeId>,
    /// Its place in the change.
    pub op_index: u32,
    /// The main's number, once there is one.
    pub number: Option<Lsn>,
    /// What became of it.
    pub outcome: Outcome,
}

/// A row of `sync_state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncState {
    /// Whose files: a replica's identity, or what another system calls itself.
    pub client_id: String,
    /// What it is called.
    pub source_node: String,
    /// All its rows up to here are applied. What is exported after it is what lacks here.
    pub last_lsn: u64,
    /// The last of its rows that was looked at.
    pub read_lsn: u64,
}

/// A row of `dead_letter`: a transaction of a file that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Whose file.
    pub client_id: String,
    /// Its first row there.
    pub first_lsn: u64,
    /// The transaction.
    pub tx_id: String,
    /// Why it was left out.
    pub problem: String,
    /// What is needed to retry it: JSON.
    pub letter: String,
}

/// A row of `audit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// `loss`, `schema_loss` or `schema_alter`.
    pub kind: &'static str,
    /// The table.
    pub table_name: String,
    /// The row, or what of the schema.
    pub subject: String,
    /// The columns in which the two writes differ, by name.
    pub fields: String,
    /// The rule that decided.
    pub resolution: String,
    /// What lost.
    pub loser: String,
    /// Who wrote it.
    pub loser_source: String,
    /// What won.
    pub winner: String,
    /// Who wrote that.
    pub winner_source: String,
}

/// A row of `schema`: a column, or a table without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaRow {
    /// The table.
    pub table_name: String,
    /// `node` or `edge`.
    pub kind: &'static str,
    /// The column.
    pub column_name: Option<String>,
    /// Its type.
    pub column_type: Option<String>,
    /// Whether it is the primary key.
    pub is_primary_key: bool,
    /// The policy that decides in it.
    pub policy: &'static str,
}

/// What is written together, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In their order.
    pub records: Vec<Record>,
    /// In their order.
    pub rows: Vec<StoredRow>,
    /// Changes that have a number now.
    pub numbers: Vec<(ChangeId, Lsn)>,
    /// Changes of which something else became.
    pub outcomes: Vec<(ChangeId, Outcome)>,
    /// The losses, if they are others than before.
    pub losses: Option<Vec<AuditRow>>,
    /// What an import did to the schema.
    pub schema_alters: Vec<AuditRow>,
    /// The schema and its version, if it is another than before.
    pub schema: Option<(u64, Vec<SchemaRow>)>,
    /// What authors are called.
    pub sources: Vec<(ReplicaId, String)>,
    /// How far files were imported.
    pub sync_states: Vec<SyncState>,
    /// What was left out.
    pub dead_letters: Vec<DeadLetter>,
    /// What no longer is left out.
    pub revived: Vec<DeadLetter>,
}
