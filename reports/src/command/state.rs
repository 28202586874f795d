//! A run and what its replicas ended with, as JSON and as text; its events, a JSON document a line.
//!
//! Values are plain JSON where that is exact: integers are integers however large, text is text, a missing value is
//! `null`. A double that JSON has no number for is the text `"NaN"`, `"inf"` or `"-inf"`. An edge's ends are
//! `{"table", "key"}`; a property that is itself called `from` or `to` stands behind them as `from_` or `to_`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kuzusync_core::change::{ChangeId, Element};
use kuzusync_core::conflict::schema::{SchemaClaim, SchemaLoss};
use kuzusync_core::conflict::{Loss, Write, Written};
use kuzusync_core::message::{Delivery, Message};
use kuzusync_core::store::Unmaterialised;
use kuzusync_core::summary::Told;
use kuzusync_core::value::Value;
use kuzusync_core::view::{Describe, EdgeRef, NodeRef, Row, RowChange, Table, TableKind, View, ViewDelta};
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::outcome::{Outcome, ReplicaState};
use serde_json::{Map, Value as Json, json};

use crate::text::{plural, rule};
use crate::words::{Names, claimed};

/// Rows of a table on the page.
const ROWS_MAX: usize = 12;

/// A run as JSON: its keys are part of the interface and stay as they are.
pub fn json(outcome: &Outcome) -> Json {
    let names = Names::of(outcome);
    let replicas: Vec<Json> = outcome.replicas.iter().map(|state| replica(state, &names)).collect();
    json!({
        "verdict": if outcome.failure.is_some() { "fail" } else { "pass" },
        "class": outcome.failure.as_ref().map(kuzusync_sim::outcome::Failure::class),
        "digest": outcome.digest,
        "replicas": replicas,
    })
}

fn replica(state: &ReplicaState, names: &Names) -> Json {
    let view = &state.view;
    let rows_lost = state.audit.iter().map(|loss| loss_json(loss, names));
    let claims_lost = state.schema_audit.iter().map(|loss| schema_loss_json(loss, names));
    let tables: Vec<Json> = view
        .tables
        .iter()
        .map(|(name, table)| {
            let mut json = table_json(name, table);
            let recorded =
                state.shape.get(name).map(|shape| shape.recorded(name, &state.text_indexes)).unwrap_or_default();
            if !recorded.is_empty() {
                json["recorded"] = recorded.into();
            }
            json
        })
        .collect();
    let lacks = |(store, parts): (&String, &Vec<Unmaterialised>)| {
        (store.clone(), parts.iter().map(|part| Json::from(part.to_string())).collect::<Json>())
    };
    let refused: Map<String, Json> = state.held_back.iter().map(lacks).collect();
    json!({
        "id": state.id,
        "role": state.role,
        "schema": { "version": state.schema_operations, "tables": tables },
        "nodes": rows(view, &view.nodes, node_json),
        "edges": rows(view, &view.edges, edge_json),
        "queue": state.queue_operations,
        "refused": refused,
        "audit": rows_lost.chain(claims_lost).collect::<Vec<_>>(),
    })
}

fn table_json(name: &str, table: &Table) -> Json {
    let columns: Vec<Json> =
        table.columns.iter().map(|(name, column_type)| json!({"name": name, "type": column_type})).collect();
    let (kind, primary_key) = match &table.kind {
        TableKind::Node { primary_key } => ("node", Some(primary_key)),
        TableKind::Edge { .. } => ("edge", None),
    };
    json!({"name": name, "kind": kind, "columns": columns, "primary_key": primary_key})
}

/// The rows of every table of one kind, those of a table without rows as an empty list.
fn rows<K: Ord>(
    view: &View,
    rows: &BTreeMap<String, BTreeMap<K, Row>>,
    row_json: impl Fn(&Table, &K, &Row) -> Json,
) -> Json {
    let table_json = |(name, rows): (&String, &BTreeMap<K, Row>)| {
        let table = view.tables.get(name)?;
        Some((name.clone(), rows.iter().map(|(key, row)| row_json(table, key, row)).collect::<Json>()))
    };
    rows.iter().filter_map(table_json).collect::<Map<_, _>>().into()
}

fn node_json(table: &Table, key: &Value, row: &Row) -> Json {
    let mut object = properties(table, row, &[]);
    if let TableKind::Node { primary_key } = &table.kind {
        object.insert(primary_key.clone(), plain(key));
    }
    object.into()
}

fn edge_json(table: &Table, edge: &EdgeRef, row: &Row) -> Json {
    let end = |end: &NodeRef| json!({"table": end.table, "key": plain(&end.key)});
    let mut object = Map::from_iter([("from".to_owned(), end(&edge.from)), ("to".to_owned(), end(&edge.to))]);
    if !edge.discriminator.is_empty() {
        object.insert("discriminator".to_owned(), edge.discriminator.clone().into());
    }
    object.extend(properties(table, row, &["from", "to", "discriminator"]));
    object.into()
}

/// Every column of the table, those without a value as `null`.
fn properties(table: &Table, row: &Row, taken: &[&str]) -> Map<String, Json> {
    let property = |column: &String| {
        let name = if taken.contains(&column.as_str()) { format!("{column}_") } else { column.clone() };
        (name, row.get(column).map_or(Json::Null, plain))
    };
    table.columns.keys().map(property).collect()
}

/// The value alone: its column says of which type it is.
fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::List(elements) | Value::Array(elements) => elements.iter().map(plain).collect(),
        Value::Struct(fields) => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| json!([plain(key), plain(value)])).collect(),
        Value::Union(tag, value) => Json::from_iter([(tag.clone(), plain(value))]),
        Value::Int64(number) => Json::from(*number),
        Value::UInt64(number) => Json::from(*number),
        plain => {
            let tagged = serde_json::to_string(plain).ok().and_then(|text| serde_json::from_str(&text).ok());
            let content = tagged.and_then(|tagged: Map<_, _>| tagged.into_iter().next());
            content.expect("a value is tagged with the name of its type").1
        }
    }
}

fn loss_json(loss: &Loss, names: &Names) -> Json {
    let write = |write: &Write| {
        let (written, value) = match &write.written {
            Written::Inserted => ("inserted", Json::Null),
            Written::Updated => ("updated", Json::Null),
            Written::Deleted => ("deleted", Json::Null),
            Written::Value(value) => ("value", plain(value)),
            Written::Incremented(by) => ("incremented", plain(by)),
            Written::Dropped => ("dropped", Json::Null),
            Written::Typed(column_type) => ("type", json!(column_type)),
        };
        json!({"written": written, "value": value, "change": write.rank.change, "timestamp": write.rank.timestamp})
    };
    let element = |element: &Element| match element {
        Element::Node(node) => json!({"key": plain(&node.key)}),
        Element::Edge(edge) => {
            json!({"from": plain(&edge.from.key), "to": plain(&edge.to.key), "discriminator": edge.discriminator})
        }
    };
    let fields: Vec<String> = loss.fields.iter().map(|column| names.column(*column)).collect();
    json!({
        "conflict": loss.conflict,
        "resolution": loss.resolution,
        "table": names.table(loss.register.element.table()),
        "element": element(&loss.register.element),
        "column": loss.register.column.map(|column| names.column(column)),
        "loser": write(&loss.loser),
        "winner": write(&loss.winner),
        "fields": fields,
        "taken_by": loss.taken_by.as_ref().map(element),
    })
}

fn schema_loss_json(loss: &SchemaLoss, names: &Names) -> Json {
    let claim = |claim: &SchemaClaim| json!({"claim": claimed(&claim.claim), "change": claim.rank.change, "timestamp": claim.rank.timestamp});
    json!({
        "conflict": loss.conflict,
        "resolution": loss.resolution,
        "register": names.schema_register(&loss.register),
        "loser": claim(&loss.loser),
        "winner": claim(&loss.winner),
        "taken_by": loss.taken_by.map(|(table, subject)| names.subject(table, subject)),
    })
}

/// What the replicas ended with, as text: once if they agree.
pub fn text(outcome: &Outcome, columns: usize) -> String {
    let Some(first) = outcome.replicas.first() else {
        return String::new();
    };
    let names = Names::of(outcome);
    let agree = outcome.replicas.iter().all(|replica| replica.view == first.view);
    let mut page = String::new();
    if agree {
        let _ =
            writeln!(page, "{}", rule(&format!("final graph, the same on {}", names.hosts(hosts(outcome))), columns));
        page.push_str(&graph(&first.view));
    } else {
        for replica in &outcome.replicas {
            let _ = writeln!(page, "{}", rule(&format!("final graph on {}", names.host(replica.host)), columns));
            page.push_str(&graph(&replica.view));
        }
    }
    let losses = outcome.replicas.iter().map(ReplicaState::losses).max().unwrap_or(0);
    let _ = writeln!(page, "{} in the audit", plural(losses, "concurrent loss").replace("losss", "losses"));
    page
}

fn hosts(outcome: &Outcome) -> impl Iterator<Item = u32> + '_ {
    outcome.replicas.iter().map(|replica| replica.host)
}

fn graph(view: &View) -> String {
    let mut page = String::new();
    for (name, table) in &view.tables {
        let _ = writeln!(page, "{name}{}", table.describe());
        let nodes = view.nodes.get(name).into_iter().flatten().map(|(key, row)| (key.describe(), row));
        let edges = view.edges.get(name).into_iter().flatten().map(|(edge, row)| (edge.describe(), row));
        let rows: Vec<_> = nodes.chain(edges).collect();
        for (key, row) in rows.iter().take(ROWS_MAX) {
            let _ = writeln!(page, "  {key} {}", row.describe());
        }
        if rows.len() > ROWS_MAX {
            let _ = writeln!(page, "  and {} more", rows.len() - ROWS_MAX);
        }
    }
    if page.is_empty() { "no tables\n".to_owned() } else { page }
}

/// The events, a JSON document a line.
pub fn trace(outcome: &Outcome) -> String {
    outcome.events.iter().map(|event| event_json(event).to_string() + "\n").collect()
}

/// An event as it is serialised, except that rows, whose keys are no text, become lists.
fn event_json(event: &Event) -> Json {
    let mut kind = match &event.kind {
        EventKind::Viewed(delta) => json!({"viewed": delta_json(delta)}),
        EventKind::Rebuilt { is_opening, view } => {
            json!({"rebuilt": {"is_opening": is_opening, "view": delta_json(&view.to_delta())}})
        }
        kind => serde_json::to_value(kind).expect("every other event has text as keys"),
    };
    if let EventKind::Sent { frame, .. } = &event.kind {
        kind["sent"]["message"] = message_json(frame);
    }
    json!({"at_us": event.at_us, "host": event.host, "kind": kind})
}

/// The kind of a message and the changes it carries.
fn message_json(frame: &[u8]) -> Json {
    match Message::decode(frame).map(Message::untagged) {
        Ok(Message::Hello(hello)) => {
            let heads = match hello.heads {
                Told::Whole => "whole",
                Told::Summary(_) => "summary",
                Told::Difference(_) => "difference",
            };
            json!({"kind": "hello", "is_reply": hello.is_reply, "heads": heads})
        }
        Ok(Message::Changes { deliveries, .. }) => {
            let changes: Vec<ChangeId> =
                deliveries.iter().filter_map(Delivery::change).map(|entry| entry.change.id).collect();
            let rulings: Vec<u64> =
                deliveries.iter().filter(|delivery| delivery.change().is_none()).filter_map(Delivery::lsn).collect();
            json!({"kind": "changes", "changes": changes, "rulings": rulings})
        }
        Ok(Message::Ack(cursor)) => json!({"kind": "ack", "cursor": cursor}),
        Ok(Message::Refused(reason)) => json!({"kind": "refused", "reason": reason}),
        Ok(Message::Unclear { differences_min, .. }) => {
            json!({"kind": "unclear", "differences_min": differences_min})
        }
        Ok(Message::Offer { manifest, .. }) => json!({"kind": "offer", "lsn": manifest.sync_point.lsn}),
        Ok(Message::Want { chunks }) => json!({"kind": "want", "chunks": chunks}),
        Ok(Message::Chunk { last, bytes, .. }) => json!({"kind": "chunk", "last": last, "bytes": bytes.len()}),
        Ok(Message::TwoPhase(letter)) => json!({"kind": "two_phase", "letter": letter}),
        Ok(Message::Tagged { .. }) => json!({"kind": "tagged"}),
        Err(error) => json!({"kind": "none", "error": error.to_string()}),
    }
}

fn delta_json(delta: &ViewDelta) -> Json {
    fn rows<K>(
        tables: &BTreeMap<String, BTreeMap<K, RowChange>>,
        name: impl Fn(&str, &K) -> Map<String, Json>,
    ) -> Vec<Json> {
        let rows = tables.iter().flat_map(|(table, rows)| rows.iter().map(move |(key, change)| (table, key, change)));
        let row = |(table, key, change): (&String, &K, &RowChange)| {
            let mut object = name(table, key);
            let (what, row) = match change {
                RowChange::Create(row) => ("create", Some(row)),
                RowChange::Update(row) => ("update", Some(row)),
                RowChange::Delete => ("delete", None),
            };
            object.insert("change".into(), what.into());
            let values =
                row.map(|row| row.iter().map(|(name, value)| (name.clone(), plain(value))).collect::<Map<_, _>>());
            object.insert("row".into(), values.map_or(Json::Null, Json::from));
            object.into()
        };
        rows.map(row).collect()
    }
    let node = |table: &str, key: &Value| Map::from_iter([("table".into(), table.into()), ("key".into(), plain(key))]);
    let edge = |table: &str, edge: &EdgeRef| {
        let end = |end: &NodeRef| json!({"table": end.table, "key": plain(&end.key)});
        let ends = [("from".into(), end(&edge.from)), ("to".into(), end(&edge.to))];
        let rest = [("table".into(), table.into()), ("discriminator".into(), edge.discriminator.clone().into())];
        Map::from_iter(ends.into_iter().chain(rest))
    };
    json!({"schema": delta.schema, "nodes": rows(&delta.nodes, node), "edges": rows(&delta.edges, edge)})
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuzusync_scenarios::swarm::{self, Profile};
    use kuzusync_sim::seed::Seed;
    use kuzusync_sim::simulation::{Run, Script, simulate};
    use kuzusync_sim::store::StoreChoice;

    fn outcome() -> Outcome {
        let plan = swarm::plan(Profile::Default, Seed(3));
        let script = Script::Plan(&plan.steps);
        simulate(&Run { seed: Seed(3), options: &plan.options, store: StoreChoice::Memory, script, bug: None })
    }

    #[test]
    fn values_are_exact() {
        assert_eq!(plain(&Value::from(i64::MAX)).to_string(), "9223372036854775807");
        assert_eq!(plain(&Value::from(f64::NAN)), json!("NaN"));
        assert_eq!(plain(&Value::from(0.1)).to_string(), "0.1");
        assert_eq!(plain(&Value::Null), Json::Null);
        let nested =
            r#"{"list":[{"struct":{"a":{"int128":1},"b":{"float":0.1}}},{"map":[[{"int8":1},"null"]]},"null"]}"#;
        let nested: Value = serde_json::from_str(nested).unwrap();
        assert_eq!(plain(&nested).to_string(), r#"[{"a":1,"b":0.1},[[1,null]],null]"#);
        let union = Value::Union("day".into(), Box::new(Value::Date("2024-02-29".parse().unwrap())));
        assert_eq!(plain(&union), json!({"day": "2024-02-29"}));
    }

    #[test]
    fn every_event_of_a_run_is_a_line_of_json() {
        let outcome = outcome();
        let trace = trace(&outcome);
        assert_eq!(trace.lines().count(), outcome.events.len());
        assert!(trace.lines().all(|line| serde_json::from_str::<Json>(line).is_ok()));
    }

    #[test]
    fn a_run_as_json_shows_every_replica_and_every_column() {
        let outcome = outcome();
        let run = json(&outcome);
        assert_eq!(run["replicas"].as_array().unwrap().len(), outcome.replicas.len());
        let replica = &run["replicas"][0];
        for table in replica["schema"]["tables"].as_array().unwrap() {
            let kind = if table["kind"] == "node" { "nodes" } else { "edges" };
            for row in replica[kind][table["name"].as_str().unwrap()].as_array().into_iter().flatten() {
                for column in table["columns"].as_array().unwrap() {
                    assert!(row.get(column["name"].as_str().unwrap()).is_some(), "{row}");
                }
            }
        }
    }
}
