//! What a run reached: the interesting situations that guard a sweep against passing vacuously.

use std::collections::BTreeSet;

use kuzusync_core::conflict::ConflictType;
use kuzusync_core::replica::Notice;
use kuzusync_core::view::SchemaStep;

use crate::fault::Fault;
use crate::history::{Event, EventKind};
use crate::outcome::Outcome;

/// Every situation that a sweep should reach, faults included.
#[must_use]
pub fn all() -> Vec<&'static str> {
    const SITUATIONS: [&str; 16] = [
        "change_held_for_its_cause",
        "change_repeated",
        "batch_resent",
        "message_refused",
        "change_numbered",
        "change_acknowledged",
        "concurrent_update_lost",
        "concurrent_delete_lost",
        "edge_hidden_with_its_end",
        "table_lost_its_name",
        "column_retyped",
        "column_spelled_anew",
        "edge_table_gained_a_pair",
        "replica_restored_from_its_log",
        "client_abandoned",
        "transaction_submitted_again",
    ];
    SITUATIONS.into_iter().chain(Fault::ALL.map(Fault::name)).collect()
}

/// The situations a run reached.
#[must_use]
pub fn reached(outcome: &Outcome) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    for event in &outcome.events {
        reached.extend(Fault::in_event(&event.kind).into_iter().map(Fault::name));
        match &event.kind {
            EventKind::Notified(notice) => reached.extend(in_notice(notice)),
            EventKind::Viewed(delta) => reached.extend(delta.schema.iter().filter_map(in_schema_step)),
            EventKind::Opened { seen, .. } if seen.heads().next().is_some() => {
                reached.insert("replica_restored_from_its_log");
            }
            EventKind::Abandoned { .. } => {
                reached.insert("client_abandoned");
            }
            _ => {}
        }
    }
    if outcome.events.windows(2).any(|pair| matches!(pair, [before, after] if refuses(before, after))) {
        reached.insert("message_refused");
    }
    let hides = |replica: &crate::outcome::ReplicaState| replica.hidden_edges > 0;
    if outcome.replicas.iter().any(hides) {
        reached.insert("edge_hidden_with_its_end");
    }
    reached
}

/// Whether the second event says that a message was refused whose arrival is the first.
fn refuses(before: &Event, after: &Event) -> bool {
    let is_arrival = matches!(before.kind, EventKind::Received { .. } | EventKind::Injected { .. });
    is_arrival && matches!(after.kind, EventKind::Refused { .. }) && before.host == after.host
}

fn in_notice(notice: &Notice) -> Option<&'static str> {
    match notice {
        Notice::Held { .. } => Some("change_held_for_its_cause"),
        Notice::Repeated { .. } => Some("change_repeated"),
        Notice::Resent { .. } => Some("batch_resent"),
        Notice::Numbered { .. } => Some("change_numbered"),
        Notice::Acknowledged { .. } => Some("change_acknowledged"),
        Notice::AlreadySubmitted { .. } => Some("transaction_submitted_again"),
        Notice::Lost(loss) if loss.conflict == ConflictType::ConcurrentUpdate => Some("concurrent_update_lost"),
        Notice::Lost(_) => Some("concurrent_delete_lost"),
        _ => None,
    }
}

fn in_schema_step(step: &SchemaStep) -> Option<&'static str> {
    match step {
        SchemaStep::RenameTable { .. } => Some("table_lost_its_name"),
        SchemaStep::RetypeColumn { .. } => Some("column_retyped"),
        SchemaStep::RenameColumn { .. } => Some("column_spelled_anew"),
        SchemaStep::AddPair { .. } => Some("edge_table_gained_a_pair"),
        SchemaStep::CreateTable { .. } | SchemaStep::AddColumn { .. } => None,
    }
}
