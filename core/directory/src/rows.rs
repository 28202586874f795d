//! What the engine wants made durable, as rows that people read.

use std::collections::BTreeMap;

use kuzusync_core::change::{ChangeId, Element};
use kuzusync_core::conflict::Written;
use kuzusync_core::export::Columns;
use kuzusync_core::id::{ReplicaId, TxId};
use kuzusync_core::message::{Entry, LogRecord, Record};
use kuzusync_core::planted::{Bug, is_planted};
use kuzusync_core::replica::Replica;
use kuzusync_core::ruling::Ruling;
use kuzusync_core::schema::Schema;
use kuzusync_core::view::TableKind;
use kuzusync_sqlite::{AuditRow, Batch, Outcome, SchemaRow, StoredRow};

/// What a file says of a change that the engine does not keep.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note {
    /// The transaction as its source calls it.
    pub(crate) tx_id: String,
    /// Its source.
    pub(crate) source_node: String,
    /// Of each operation the instant as its source wrote it; the last stands for those that follow.
    pub(crate) created_at: Vec<String>,
}

/// What is known besides the records when they are written.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) by_change: BTreeMap<ChangeId, Note>,
    pub(crate) by_tx: BTreeMap<TxId, Note>,
}

/// Adds the rows of records to a batch. `failed` are the changes whose rows say so.
pub(crate) fn add(
    batch: &mut Batch,
    replica: &Replica,
    names: &BTreeMap<ReplicaId, String>,
    failed: &[ChangeId],
    notes: &Notes,
) {
    let records: Vec<LogRecord> = batch.records.iter().flat_map(log_records).cloned().collect();
    for record in records {
        match record {
            LogRecord::Append(entry) if failed.contains(&entry.change.id) => {
                batch.outcomes.push((entry.change.id, Outcome::Applied));
            }
            LogRecord::Append(entry) => batch.rows.extend(rows(replica, names, notes, &entry, Outcome::Applied)),
            LogRecord::Fail { entry, .. } => batch.rows.extend(rows(replica, names, notes, &entry, Outcome::Failed)),
            LogRecord::Number { id, lsn } => batch.numbers.push((id, lsn)),
            LogRecord::Ruling { ruling, lsn } => {
                if let Ruling::Rejection(rejection) = &ruling {
                    batch.outcomes.push((rejection.change, Outcome::Rejected));
                }
                batch.rows.push(ruling_row(replica, names, &ruling, lsn));
            }
            LogRecord::Dismiss(_)
            | LogRecord::Acknowledged { .. }
            | LogRecord::Prepared(_)
            | LogRecord::RolledBack { .. } => {}
        }
    }
}

fn log_records(record: &Record) -> &[LogRecord] {
    match record {
        Record::Batch { log, .. } => log,
        // No file brings a base.
        Record::Created { .. } | Record::Main(_) | Record::Base { .. } => &[],
    }
}

fn rows(
    replica: &Replica,
    names: &BTreeMap<ReplicaId, String>,
    notes: &Notes,
    entry: &Entry,
    outcome: Outcome,
) -> Vec<StoredRow> {
    let Entry { change, lsn } = entry;
    let note = notes.by_change.get(&change.id).or_else(|| notes.by_tx.get(&change.tx));
    let written = change.timestamp.wall().to_string();
    let told_source = note.map_or_else(|| name(names, change.id.replica), |note| note.source_node.clone());
    let source_node = if is_planted(Bug::SourceRewritten) { name(names, replica.id()) } else { told_source };
    let row = |(op_index, op): (u32, _)| {
        let columns = Columns::of_op(replica.schema(), op);
        let told = note.and_then(|note| note.created_at.get(op_index as usize).or(note.created_at.last()));
        StoredRow {
            tx_id: note.map_or_else(|| change.tx.to_string(), |note| note.tx_id.clone()),
            created_at: told.cloned().unwrap_or_else(|| written.clone()),
            source_node: source_node.clone(),
            change: Some(change.id),
            op_index,
            number: *lsn,
            outcome,
            ..documented(columns)
        }
    };
    (0..).zip(&change.ops).map(row).collect()
}

fn ruling_row(replica: &Replica, names: &BTreeMap<ReplicaId, String>, ruling: &Ruling, lsn: u64) -> StoredRow {
    let tx = match ruling {
        Ruling::Rejection(rejection) => rejection.tx,
        Ruling::RolledBack(rolled_back) => rolled_back.tx,
        Ruling::Epoch(_) | Ruling::Compaction(_) => TxId::default(),
    };
    // A ruling has no instant of its own; it comes after what its log knows.
    let last = replica.log().changes().last().map(|change| change.timestamp.wall()).unwrap_or_default();
    StoredRow {
        tx_id: tx.to_string(),
        created_at: last.to_string(),
        source_node: replica.main().map_or_else(String::new, |main| name(names, main)),
        number: Some(lsn),
        ..documented(Columns::of_ruling(ruling))
    }
}

fn documented(columns: Columns) -> StoredRow {
    StoredRow {
        tx_id: String::new(),
        tombstone: columns.tombstone(),
        table_name: columns.table_name,
        pk_json: columns.pk_json.map(|key| key.to_string()),
        op: columns.op.to_owned(),
        payload: columns.payload.map(|payload| payload.to_string()),
        created_at: String::new(),
        source_node: String::new(),
        change: None,
        op_index: 0,
        number: None,
        outcome: Outcome::Applied,
    }
}

/// What an author is called: its name if it was told, else its identity.
pub(crate) fn name(names: &BTreeMap<ReplicaId, String>, replica: ReplicaId) -> String {
    names.get(&replica).cloned().unwrap_or_else(|| replica.to_string())
}

/// The schema as rows.
pub(crate) fn schema(replica: &Replica) -> (u64, Vec<SchemaRow>) {
    let state = replica.schema_state();
    let mut rows = Vec::new();
    for (table_name, table) in state.tables {
        let (kind, key) = match &table.kind {
            TableKind::Node { primary_key } => ("node", primary_key.as_str()),
            TableKind::Edge { .. } => ("edge", ""),
        };
        if table.columns.is_empty() {
            let (column_name, column_type, is_primary_key) = (None, None, false);
            let (table_name, policy) = (table_name.clone(), table.policy.name());
            rows.push(SchemaRow { table_name, kind, column_name, column_type, is_primary_key, policy });
        }
        rows.extend(table.columns.iter().map(|(name, column)| SchemaRow {
            table_name: table_name.clone(),
            kind,
            column_name: Some(name.clone()),
            column_type: Some(column.column_type.to_string()),
            is_primary_key: name == key,
            policy: column.policy.name(),
        }));
    }
    (state.version, rows)
}

/// Every concurrent loss as rows.
pub(crate) fn losses(replica: &Replica, names: &BTreeMap<ReplicaId, String>) -> Vec<AuditRow> {
    let schema = replica.schema();
    let rows = replica.audit().into_iter().map(|loss| {
        let column = |id| column(schema, &loss.register.element, id);
        let subject = replica.state().describe(&loss.register.element);
        let told = loss.register.column.map(column);
        AuditRow {
            kind: "loss",
            table_name: schema.shown_name(loss.register.element.table()).to_owned(),
            subject: told.map_or_else(|| subject.clone(), |column| format!("{subject}.{column}")),
            fields: loss.fields.iter().copied().map(column).collect::<Vec<_>>().join(", "),
            resolution: loss.resolution.name().to_owned(),
            loser: written(&loss.loser.written),
            loser_source: name(names, loss.loser.rank.change.replica),
            winner: written(&loss.winner.written),
            winner_source: name(names, loss.winner.rank.change.replica),
        }
    });
    let schema_rows = replica.schema_audit().into_iter().map(|loss| AuditRow {
        kind: "schema_loss",
        table_name: schema.shown_name(loss.register.table).to_owned(),
        subject: format!("{:?}", loss.register.attribute),
        fields: String::new(),
        resolution: loss.resolution.name().to_owned(),
        loser: format!("{:?}", loss.loser.claim),
        loser_source: name(names, loss.loser.rank.change.replica),
        winner: format!("{:?}", loss.winner.claim),
        winner_source: name(names, loss.winner.rank.change.replica),
    });
    rows.chain(schema_rows).collect()
}

fn column(schema: &Schema, element: &Element, id: kuzusync_core::id::ColumnId) -> String {
    let column = schema.table(element.table()).and_then(|table| table.column(id));
    column.map_or("?", |column| column.name()).to_owned()
}

fn written(written: &Written) -> String {
    match written {
        Written::Inserted => "inserted".to_owned(),
        Written::Updated => "updated".to_owned(),
        Written::Deleted => "deleted".to_owned(),
        Written::Value(value) => value.to_string(),
        Written::Incremented(by) => format!("+{by}"),
        Written::Dropped => "dropped".to_owned(),
        Written::Typed(column_type) => column_type.to_string(),
    }
}
