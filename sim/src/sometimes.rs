//! What a run reached: the interesting situations that guard a sweep against passing vacuously.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::{Change, Op};
use kuzusync_core::conflict::schema::{SchemaConflict, SchemaLoss};
use kuzusync_core::conflict::{ConflictType, Loss, Resolution, Written};
use kuzusync_core::ddl::{Ddl, column_born, same_name};
use kuzusync_core::id::ColumnId;
use kuzusync_core::message::PROTOCOL_VERSION;
use kuzusync_core::replica::{EPOCH_WINDOW, Notice};
use kuzusync_core::ruling::{Reason, Ruling};
use kuzusync_core::statement::Statement;
use kuzusync_core::strategy::Strategy;
use kuzusync_core::two_phase::{AbortReason, Decision, Vote};
use kuzusync_core::value::Type;
use kuzusync_core::view::SchemaStep;

use crate::fault::Fault;
use crate::history::{Event, EventKind};
use crate::model::Model;
use crate::outcome::{Outcome, ReplicaState};

/// Every situation that a sweep should reach, faults included.
#[must_use]
pub fn all() -> Vec<&'static str> {
    const SITUATIONS: [&str; 76] = [
        "change_held_for_its_cause",
        "change_held_for_its_number",
        "change_repeated",
        "batch_resent",
        "summary_understood",
        "message_refused",
        "snapshot_taken",
        "chunk_damaged",
        "log_compacted",
        "replica_resynced",
        "change_rejected_as_compacted",
        "link_found_slow",
        "link_found_far",
        "link_found_good_again",
        "changes_waited_for_a_faster_link",
        "change_numbered",
        "change_acknowledged",
        "concurrent_update_lost",
        "concurrent_delete_lost",
        "edge_lost_its_place",
        "increment_lost",
        "increments_added_up",
        "later_write_won",
        "earlier_write_won_online",
        "earlier_write_won_by_authority",
        "earlier_write_won_by_its_number",
        "row_revived_by_an_update",
        "node_revived_by_its_edge",
        "edge_hidden_with_its_end",
        "rule_set_while_rows_were_written",
        "epoch_began",
        "disconnections_shared_an_epoch",
        "change_rejected_for_its_clock",
        "rejected_change_written_anew",
        "change_rejected_for_a_version",
        "strict_change_applied",
        "change_rejected_as_a_duplicate",
        "clock_far_ahead_without_a_main",
        "change_made_earlier",
        "write_hidden_by_a_drop",
        "value_did_not_fit_its_column",
        "schema_change_lost",
        "name_contested",
        "types_united",
        "default_met_an_insert",
        "old_name_understood",
        "table_came_back",
        "column_came_back",
        "table_lost_its_name",
        "table_vanished",
        "column_vanished",
        "column_retyped",
        "column_spelled_anew",
        "edge_table_gained_a_pair",
        "replica_restored_from_its_log",
        "client_abandoned",
        "clone_refused",
        "store_filled_anew",
        "refused_schema_came_later",
        "transaction_submitted_again",
        "transaction_refused",
        "transaction_committed",
        "transaction_rolled_back",
        "vote_to_abort",
        "disk_too_full_to_vote",
        "vote_missing",
        "prepared_overlap",
        "coordinator_restarted",
        "lease_expired",
        "participant_offline",
        "transaction_rejected_by_the_main",
        "protected_column_not_written",
        "change_rejected_for_a_constraint",
        "replica_restarted_prepared",
        "majority_at_rest",
        "session_in_an_older_version",
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
            EventKind::Notified(Notice::Held { .. }) => {
                // To an edge only the main sends, and by number.
                let is_edge = outcome.options.has_main && event.host != Some(0);
                reached.insert(if is_edge { "change_held_for_its_number" } else { "change_held_for_its_cause" });
            }
            EventKind::Notified(notice) => reached.extend(in_notice(notice)),
            EventKind::Viewed(delta) => reached.extend(delta.schema.iter().filter_map(in_schema_step)),
            EventKind::Opened { cursor, prepared, .. } if cursor.seen.heads().next().is_some() => {
                reached.insert("replica_restored_from_its_log");
                reached.extend((!prepared.is_empty()).then_some("replica_restarted_prepared"));
            }
            EventKind::Abandoned { .. } => {
                reached.insert("client_abandoned");
            }
            EventKind::Refused { error } if error.contains("two replicas write as") => {
                reached.insert("clone_refused");
            }
            EventKind::Rebuilt { is_opening: false, .. } => {
                reached.insert("store_filled_anew");
            }
            EventKind::Accepting { parts: 1.. } => {
                reached.insert("refused_schema_came_later");
            }
            EventKind::Settled { out } if !out.is_empty() => {
                reached.insert("majority_at_rest");
            }
            EventKind::Returned { result: Err(error), .. } => {
                let is_protected = error.contains("submit the transaction with participants");
                reached.insert(if is_protected { "protected_column_not_written" } else { "transaction_refused" });
            }
            _ => {}
        }
    }
    if outcome.events.windows(2).any(|pair| matches!(pair, [before, after] if refuses(before, after))) {
        reached.insert("message_refused");
    }
    if writes_by_an_old_name(&outcome.events) {
        reached.insert("old_name_understood");
    }
    if shares_an_epoch(&outcome.events) {
        reached.insert("disconnections_shared_an_epoch");
    }
    if let Some(replica) = outcome.replicas.first() {
        reached.extend(in_state(replica));
    }
    reached
}

/// Whether the second event says that a message was refused whose arrival is the first.
fn refuses(before: &Event, after: &Event) -> bool {
    let is_arrival = matches!(before.kind, EventKind::Received { .. } | EventKind::Injected { .. });
    is_arrival && matches!(after.kind, EventKind::Refused { .. }) && before.host == after.host
}

fn in_notice(notice: &Notice) -> Option<&'static str> {
    Some(match notice {
        Notice::Applied { entry } if entry.change.timestamp.submilli_ns > 0 => "change_made_earlier",
        Notice::Applied { entry } if !entry.change.expects.is_empty() => "strict_change_applied",
        Notice::Applied { entry } if has_ddl(&entry.change, |ddl| matches!(ddl, Ddl::UndropTable { .. })) => {
            "table_came_back"
        }
        Notice::Applied { entry } if has_ddl(&entry.change, |ddl| matches!(ddl, Ddl::UndropColumn { .. })) => {
            "column_came_back"
        }
        Notice::Established { protocol_version, .. } if protocol_version != PROTOCOL_VERSION => {
            "session_in_an_older_version"
        }
        Notice::Repeated { .. } => "change_repeated",
        Notice::Resent { .. } => "batch_resent",
        Notice::LinkMeasured { strategy: Strategy::PriorityBased, .. } => "link_found_slow",
        Notice::LinkMeasured { strategy: Strategy::BatchOptimized, .. } => "link_found_far",
        Notice::LinkMeasured { strategy: Strategy::Streaming, .. } => "link_found_good_again",
        Notice::SnapshotTaken { .. } => "snapshot_taken",
        Notice::ChunkDamaged { .. } => "chunk_damaged",
        Notice::HeldBack { .. } => "changes_waited_for_a_faster_link",
        Notice::Compared { .. } => "summary_understood",
        Notice::Numbered { .. } => "change_numbered",
        Notice::Acknowledged { .. } => "change_acknowledged",
        Notice::AlreadySubmitted { .. } => "transaction_submitted_again",
        Notice::Merged { .. } => "increments_added_up",
        Notice::Drifted { .. } => "clock_far_ahead_without_a_main",
        Notice::WrittenAnew { .. } => "rejected_change_written_anew",
        Notice::Voted { vote: Vote::Abort(AbortReason::Overlap { .. }), .. } => "prepared_overlap",
        Notice::Voted { vote: Vote::Abort(AbortReason::DiskFull), .. } => "disk_too_full_to_vote",
        Notice::Voted { vote: Vote::Abort(_), .. } => "vote_to_abort",
        Notice::Decided { decision: Decision::Committed(_), .. } => "transaction_committed",
        Notice::Decided { decision: Decision::RolledBack(abort), .. } => match abort.reason {
            AbortReason::NoVote => "vote_missing",
            AbortReason::CoordinatorRestarted => "coordinator_restarted",
            AbortReason::LeaseExpired => "lease_expired",
            AbortReason::ParticipantOffline => "participant_offline",
            AbortReason::Rejected { .. } => "transaction_rejected_by_the_main",
            _ => "transaction_rolled_back",
        },
        Notice::Ruled { ruling: Ruling::Epoch(_), .. } => "epoch_began",
        Notice::Ruled { ruling: Ruling::Compaction(_), .. } => "log_compacted",
        Notice::Resynced { .. } => "replica_resynced",
        Notice::Ruled { ruling: Ruling::Rejection(rejection), .. } => match rejection.reason {
            Reason::Drift { .. } => "change_rejected_for_its_clock",
            Reason::VersionMismatch { .. } => "change_rejected_for_a_version",
            Reason::Duplicate { .. } => "change_rejected_as_a_duplicate",
            // Too seldom for a sweep: two changes must arrive on either side of the bound within one round trip.
            Reason::Follows { .. } => return None,
            Reason::Constraint { .. } => "change_rejected_for_a_constraint",
            Reason::Compacted { .. } => "change_rejected_as_compacted",
            Reason::Invalid { .. } | Reason::RolledBack | Reason::Purged { .. } => return None,
        },
        _ => return None,
    })
}

fn has_ddl(change: &Change, is_it: impl Fn(&Ddl) -> bool) -> bool {
    change.ops.iter().any(|op| matches!(op, Op::Schema(ddl) if is_it(ddl)))
}

fn in_schema_step(step: &SchemaStep) -> Option<&'static str> {
    match step {
        SchemaStep::RenameTable { .. } => Some("table_lost_its_name"),
        SchemaStep::RetypeColumn { .. } => Some("column_retyped"),
        SchemaStep::RenameColumn { .. } => Some("column_spelled_anew"),
        SchemaStep::AddPair { .. } => Some("edge_table_gained_a_pair"),
        SchemaStep::DropTable { .. } => Some("table_vanished"),
        SchemaStep::DropColumn { .. } => Some("column_vanished"),
        SchemaStep::CreateTable { .. } | SchemaStep::AddColumn { .. } => None,
    }
}

/// Whether several replicas were disconnected within the window at whose end the main began one epoch for all.
fn shares_an_epoch(events: &[Event]) -> bool {
    let mut disconnected: Vec<(u64, u32)> = Vec::new();
    for Event { at_us, host, kind } in events {
        match (kind, host) {
            (EventKind::WentOffline, Some(host)) => disconnected.push((*at_us, *host)),
            (EventKind::Notified(Notice::Ruled { ruling: Ruling::Epoch(_), .. }), Some(0)) => {
                let window_us = EPOCH_WINDOW.as_micros() as u64;
                let within = disconnected.iter().filter(|(since_us, _)| at_us - since_us <= window_us);
                if within.map(|(_, host)| host).collect::<BTreeSet<_>>().len() > 1 {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

fn in_state(replica: &ReplicaState) -> BTreeSet<&'static str> {
    let model = Model::of(&replica.log);
    let found = [
        (replica.hidden_edges > 0, "edge_hidden_with_its_end"),
        (model.revived_nodes().next().is_some(), "node_revived_by_its_edge"),
        (model.rows_revived_by_updates().next().is_some(), "row_revived_by_an_update"),
        (sets_rule_concurrently(replica), "rule_set_while_rows_were_written"),
        (unites_types(replica), "types_united"),
        (adds_default_concurrently(replica), "default_met_an_insert"),
    ];
    let in_audit = replica.audit.iter().flat_map(in_loss).chain(replica.schema_audit.iter().map(in_schema_loss));
    found.into_iter().filter(|(is_so, _)| *is_so).map(|(_, name)| name).chain(in_audit).collect()
}

fn in_loss(loss: &Loss) -> [&'static str; 2] {
    let is_against_the_clock = loss.winner.rank.timestamp < loss.loser.rank.timestamp;
    let decided_by = match loss.resolution {
        Resolution::OnlineWins if is_against_the_clock => "earlier_write_won_online",
        Resolution::PreferMain if is_against_the_clock => "earlier_write_won_by_authority",
        Resolution::ServerOrder if is_against_the_clock => "earlier_write_won_by_its_number",
        _ => "later_write_won",
    };
    let what = match loss.conflict {
        ConflictType::Multiplicity => "edge_lost_its_place",
        _ if matches!(loss.loser.written, Written::Incremented(_)) => "increment_lost",
        ConflictType::ConcurrentUpdate => "concurrent_update_lost",
        ConflictType::ConcurrentDelete => "concurrent_delete_lost",
        ConflictType::ConcurrentDrop => "write_hidden_by_a_drop",
        ConflictType::FailedCast => "value_did_not_fit_its_column",
    };
    [decided_by, what]
}

fn in_schema_loss(loss: &SchemaLoss) -> &'static str {
    match loss.conflict {
        SchemaConflict::ContestedName => "name_contested",
        SchemaConflict::ConcurrentSchemaChange => "schema_change_lost",
    }
}

/// Whether somebody set a rule of a table that somebody else was writing rows to.
fn sets_rule_concurrently(replica: &ReplicaState) -> bool {
    let changes = || replica.log.iter().map(|entry| entry.change.as_ref());
    let rules = changes().flat_map(|change| {
        change.ops.iter().filter_map(move |op| match op {
            Op::Schema(Ddl::SetRule { table, .. }) => Some((change, *table)),
            _ => None,
        })
    });
    let writes = |change: &Change, table| change.ops.iter().filter_map(Op::element).any(|row| row.table() == table);
    rules
        .into_iter()
        .any(|(setter, table)| changes().any(|other| writes(other, table) && other.is_concurrent_with(setter)))
}

/// Every schema operation with its change.
fn schema_operations(replica: &ReplicaState) -> impl Iterator<Item = (&Change, &Ddl)> {
    let changes = replica.log.iter().map(|entry| entry.change.as_ref());
    changes.flat_map(|change| {
        change.ops.iter().filter_map(move |op| match op {
            Op::Schema(ddl) => Some((change, ddl)),
            _ => None,
        })
    })
}

/// Whether two who did not know of each other gave a column types of which one holds all values of the other.
fn unites_types(replica: &ReplicaState) -> bool {
    let mut claims: BTreeMap<ColumnId, Vec<(&Change, &Type)>> = BTreeMap::new();
    for (change, ddl) in schema_operations(replica) {
        let birth = if let Ddl::AddColumn { birth, .. } = ddl { *birth } else { 0 };
        for column in ddl.columns() {
            let id = column_born(ddl.table_id(), &column.name, birth);
            claims.entry(id).or_default().push((change, &column.column_type));
        }
        if let Ddl::AlterColumnType { column, column_type, .. } = ddl {
            claims.entry(*column).or_default().push((change, column_type));
        }
    }
    let unite = |(change, of): &(&Change, &Type), (other, other_of): &(&Change, &Type)| {
        of != other_of && of.widening().contains(other_of) && change.is_concurrent_with(other)
    };
    claims.values().any(|claims| claims.iter().any(|one| claims.iter().any(|other| unite(one, other))))
}

/// Whether somebody made a row of a table to which somebody else was adding a column with a default.
fn adds_default_concurrently(replica: &ReplicaState) -> bool {
    let inserts = |change: &Change, table| {
        change.ops.iter().any(|op| matches!(op, Op::Insert { element, .. } if element.table() == table))
    };
    schema_operations(replica).any(|(adder, ddl)| match ddl {
        Ddl::AddColumn { table, column, .. } if column.default.is_some() => {
            let mut changes = replica.log.iter().map(|entry| entry.change.as_ref());
            changes.any(|other| inserts(other, *table) && other.is_concurrent_with(adder))
        }
        _ => false,
    })
}

/// Whether a replica carried out an update of a table by a name under which it showed none.
fn writes_by_an_old_name(events: &[Event]) -> bool {
    let mut shown: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    let mut asked: BTreeSet<(u32, u64)> = BTreeSet::new();
    for Event { host, kind, .. } in events {
        let Some(host) = host else { continue };
        let shown = shown.entry(*host).or_default();
        match kind {
            EventKind::Rebuilt { view, .. } => *shown = view.tables.keys().map(String::as_str).collect(),
            EventKind::Viewed(delta) => {
                for step in &delta.schema {
                    match step {
                        SchemaStep::CreateTable { name, .. } => drop(shown.insert(name)),
                        SchemaStep::DropTable { name } => drop(shown.remove(name.as_str())),
                        SchemaStep::RenameTable { from, to } => {
                            shown.remove(from.as_str());
                            shown.insert(to);
                        }
                        _ => {}
                    }
                }
            }
            EventKind::Invoked { invocation, statements } => {
                let is_old = |statement: &Statement| match statement {
                    Statement::UpdateNode { table, .. } => !shown.iter().any(|name| same_name(name, table)),
                    _ => false,
                };
                if statements.iter().any(is_old) {
                    asked.insert((*host, *invocation));
                }
            }
            EventKind::Returned { invocation, result: Ok(_) } if asked.contains(&(*host, *invocation)) => return true,
            _ => {}
        }
    }
    false
}
