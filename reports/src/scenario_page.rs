//! The page of one run of a scripted scenario: what was asked for, whether it holds, what happened, what came of it.
//!
//! It is written for a reviewer who knows the documents and not the code: the requirement as the case list states it,
//! each clause with what was found, the whole run as a diagram, and the graph every replica ended with.

use std::collections::BTreeSet;

use kuzusync_core::view::{Describe, TableKind, View};
use kuzusync_scenarios::case::Case;
use kuzusync_scenarios::scenario::Scenario;
use kuzusync_sim::outcome::{Check, Outcome, ReplicaState};
use kuzusync_sim::store;

use crate::failure::options;
use crate::text::{labelled, plural, rule};
use crate::timeline;
use crate::words::{Names, edge};

/// Columns of the labels at the left.
const INDENT: usize = 10;

/// What the marks of the diagram mean.
const LEGEND: &str = "● here · ◆ the client beside it · ●─→ a message leaves · ──→● it arrives · ─✗ it never does · ✱ a \
                      concurrent write loses";

/// Rows of one table shown.
const ROWS_MAX: usize = 20;

/// The page of one run of a scenario.
#[must_use]
pub fn page(scenario: &Scenario, outcome: &Outcome, width: usize) -> String {
    let names = Names::of(outcome);
    let verdict = if outcome.failure.is_none() { "passes" } else { "FAILS" };
    let title = format!("scenario {} {verdict}, seed {}", scenario.name, outcome.seed.0);
    let mut page = format!("{}\n", rule(&title, width).replace('─', "━"));
    page.push_str(&labelled("Story", scenario.story, INDENT, width));
    page.push_str(&labelled("Run", &setting(outcome), INDENT, width));
    page.push_str(&labelled("Names", &cast(scenario, outcome, &names), INDENT, width));
    if let Some(failure) = &outcome.failure {
        page.push_str(&labelled("Failure", &names.in_sentence(failure.message()), INDENT, width));
    }
    for case in scenario.cases {
        page.push_str(&requirement(*case, &outcome.checks, width));
    }
    if !scenario.claims.is_empty() {
        page.push_str(&format!("\n{}\n", rule("claims", width)));
        page.push_str(&clauses(scenario.claims, &outcome.checks, width));
    }
    page.push_str(&format!("\n{}\n", rule("what happened", width)));
    page.push_str(&labelled("", LEGEND, 0, width));
    page.push('\n');
    page.push_str(&timeline::text(outcome, width));
    page.push_str(&format!("\n{}\n", rule("what the replicas ended with", width)));
    page.push_str(&ends(outcome, &names, width));
    page
}

fn setting(outcome: &Outcome) -> String {
    let stores: BTreeSet<&str> = outcome.replicas.iter().flat_map(|r| r.stores.keys().map(String::as_str)).collect();
    let on = stores.into_iter().collect::<Vec<_>>().join(" and ");
    let on = if on.is_empty() { String::new() } else { format!("; store: {on}") };
    format!("{}{on}", options(&outcome.options))
}

/// Who is who: stories and documents call the replicas a, b, c.
fn cast(scenario: &Scenario, outcome: &Outcome, names: &Names) -> String {
    let texts = [scenario.story].into_iter().chain(scenario.cases.iter().map(|case| case.requirement()));
    let mut words = texts.flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let ids = "the third change that edge 1 wrote is called edge 1:3";
    if outcome.options.has_main || !words.any(|word| word == "b") {
        return ids.replace("edge 1", &names.host(1));
    }
    let letters = ('a'..='z').zip(0..outcome.options.replicas);
    let cast: Vec<String> = letters.map(|(letter, host)| format!("{letter} is {}", names.host(host))).collect();
    format!("{}; {}", cast.join(", "), ids.replace("edge 1", &names.host(1)))
}

fn requirement(case: Case, checks: &[Check], width: usize) -> String {
    let title = format!("case {}, {}", case.id(), case.document().title());
    let mut page = format!("\n{}\n", rule(&title, width));
    page.push_str(&labelled("", case.requirement(), 0, width));
    page.push('\n');
    page.push_str(&clauses(case.clauses(), checks, width));
    page
}

fn clauses(clauses: &[&str], checks: &[Check], width: usize) -> String {
    let mut page = String::new();
    for clause in clauses {
        let check = checks.iter().find(|check| check.clause == *clause);
        let (mark, found) = match check {
            None => ('✗', "never checked"),
            Some(check) => (if check.holds { '✓' } else { '✗' }, check.found.as_str()),
        };
        page.push_str(&labelled(&format!("  {mark}"), clause, 4, width));
        page.push_str(&labelled("", &format!("found: {found}"), 6, width));
    }
    page
}

// ---- the end ----

/// Replicas that ended with the same stand together.
fn ends(outcome: &Outcome, names: &Names, width: usize) -> String {
    let mut groups: Vec<(Vec<u32>, String)> = Vec::new();
    for replica in &outcome.replicas {
        let end = end(replica, names, width);
        match groups.iter_mut().find(|(_, known)| *known == end) {
            Some((hosts, _)) => hosts.push(replica.host),
            None => groups.push((vec![replica.host], end)),
        }
    }
    let block = |(hosts, end): &(Vec<u32>, String)| {
        let equally = if hosts.len() > 1 { ", equally" } else { "" };
        format!("{}{equally}\n{end}", names.hosts(hosts.iter().copied()))
    };
    let blocks: Vec<String> = groups.iter().map(block).collect();
    if blocks.is_empty() { "nothing: the run did not get there\n".to_owned() } else { blocks.join("\n") }
}

fn end(replica: &ReplicaState, names: &Names, width: usize) -> String {
    let line = |label: &str, text: &str| labelled(&format!("  {label}"), text, INDENT, width);
    let mut page = lines("schema", &schema(replica), width);
    page.push_str(&lines("nodes", &nodes(&replica.view), width));
    page.push_str(&lines("edges", &edges(&replica.view), width));
    let queue = match replica.queue_operations {
        0 => "empty: every own change is acknowledged".to_owned(),
        operations => format!("{} not acknowledged", plural(operations, "operation")),
    };
    page.push_str(&line("queue", &queue));
    let rows = replica.audit.iter().map(|loss| names.audited(loss));
    let losses: Vec<String> = rows.chain(replica.schema_audit.iter().map(|loss| names.schema_audited(loss))).collect();
    page.push_str(&lines("audit", &or(losses, "empty: no concurrent write was lost"), width));
    for name in replica.stores.keys() {
        let refused = replica.held_back.get(name).into_iter().flatten().map(|part| format!("lacks {part}"));
        let texts: Vec<String> = refused.chain(store::held_otherwise(name, &replica.view)).collect();
        page.push_str(&lines(name, &texts, width));
    }
    page
}

fn lines(label: &str, texts: &[String], width: usize) -> String {
    let mut page = String::new();
    for (number, text) in texts.iter().enumerate() {
        let label = if number == 0 { format!("  {label}") } else { String::new() };
        page.push_str(&labelled(&label, text, INDENT, width));
    }
    page
}

fn or(lines: Vec<String>, otherwise: &str) -> Vec<String> {
    if lines.is_empty() { vec![otherwise.to_owned()] } else { lines }
}

fn schema(replica: &ReplicaState) -> Vec<String> {
    let table = |(name, table): (&String, &kuzusync_core::view::Table)| {
        let kind = if matches!(table.kind, TableKind::Node { .. }) { "NODE" } else { "EDGE" };
        format!("{kind} TABLE {name}{}", table.describe())
    };
    let tables: Vec<String> = replica.view.tables.iter().map(table).collect();
    let version = usize::try_from(replica.schema_operations).unwrap_or(usize::MAX);
    let version = format!("version {}, after {}", replica.schema_operations, plural(version, "schema operation"));
    let recorded = replica.shape.iter().flat_map(|(name, table)| table.recorded(name, &replica.text_indexes));
    std::iter::once(version).chain(tables).chain(recorded).collect()
}

fn nodes(view: &View) -> Vec<String> {
    let mut lines = Vec::new();
    for (table, rows) in &view.nodes {
        let shown = rows.iter().take(ROWS_MAX).map(|(key, row)| format!("{table}({key}) {}", row.describe()));
        lines.extend(shown);
        lines.extend(more(rows.len(), table));
    }
    or(lines, "none")
}

fn edges(view: &View) -> Vec<String> {
    let mut lines = Vec::new();
    for (table, rows) in &view.edges {
        let shown = rows.iter().take(ROWS_MAX).map(|(name, row)| {
            let name = edge(table, &name.from.describe(), &name.to.describe(), &name.discriminator);
            format!("{name} {}", row.describe())
        });
        lines.extend(shown);
        lines.extend(more(rows.len(), table));
    }
    or(lines, "none")
}

fn more(rows: usize, table: &str) -> Option<String> {
    let left = rows.checked_sub(ROWS_MAX).filter(|left| *left > 0)?;
    Some(format!("and {} more of {table}", plural(left, "row")))
}
