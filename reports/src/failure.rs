//! One page for one failing run, meant to be read on one screen and to be enough.
//!
//! It says what should hold and what does not, who disagrees and since when, which change wrote each side's value, what
//! happened to it last, under which plan and faults, and how to see it again. A replica's own words (`replica 1`, the
//! beginning of an identity) are told in the names of the page (`edge 1`, `edge 1:3`).

use std::collections::BTreeMap;

use kuzusync_core::replica::Notice;
use kuzusync_core::statement::Statement;
use kuzusync_sim::fault::Fault;
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::options::{LinkOptions, MessageName, Options};
use kuzusync_sim::outcome::{Failure, Outcome, Violation};
use kuzusync_sim::step::{Plan, Step};
use serde_json::Value as Json;

use crate::disagreement::{Difference, Side, Subject, differences, named_in, place, touches};
use crate::provenance::Provenance;
use crate::text::{labelled, ms, plural, rule, width as width_of};
use crate::timeline::{self, Line};
use crate::words::Names;

/// Columns of the labels at the left.
const INDENT: usize = 10;

/// Differing places shown.
const DIFFERENCES_MAX: usize = 3;

/// Events shown.
const EVENTS_MAX: usize = 14;

/// Lines that events and differences fill at most, so that the page stays a screen.
const EVENT_LINES: usize = 22;
const DIFFERENCE_LINES: usize = 8;

/// Particulars shown of a finding that is not about views.
const DETAILS_MAX: usize = 6;

/// Steps of a plan that are listed; a longer one is counted by kind.
const STEPS_MAX: usize = 8;

/// The page of a failed run. `replay` is the command that makes the run again.
#[must_use]
pub fn page(outcome: &Outcome, plan: Option<&Plan>, provenance: &Provenance, replay: &str, width: usize) -> String {
    let mut names = Names::of(outcome);
    plan.into_iter().for_each(|plan| learn_keys(plan, &mut names));
    let mut page = heading(outcome, width);
    if let Some(failure) = &outcome.failure {
        page.push_str(&finding(outcome, failure, &names, width));
    }
    page.push('\n');
    page.push_str(&circumstances(outcome, plan, &names, width));
    page.push_str(&labelled("Replay", replay, INDENT, width.max(INDENT + width_of(replay))));
    let build = format!("commit {}, lock file {}, history {}", provenance.commit, provenance.lock, outcome.digest);
    page.push_str(&labelled("Build", &build, INDENT, width));
    page
}

fn heading(outcome: &Outcome, width: usize) -> String {
    let what = match &outcome.failure {
        None => "NO FAILURE".to_owned(),
        Some(failure) => match failure.property() {
            Some(property) if property.name() != failure.class() => {
                format!("{}: {}", failure.class().to_uppercase(), property.name())
            }
            _ => failure.class().to_uppercase().replace('_', " "),
        },
    };
    format!("{}\n", rule(&format!("{what}, seed {}", outcome.seed.0), width).replace('─', "━"))
}

// ---- what is wrong ----

fn finding(outcome: &Outcome, failure: &Failure, names: &Names, width: usize) -> String {
    let line = |label: &str, text: &str| labelled(label, text, INDENT, width);
    let Some(violation) = failure.violation() else {
        let expected = expected(failure);
        let lines = timeline::lines(outcome.events.iter(), names);
        let last = if lines.is_empty() { String::new() } else { format!("\n{}", tail(&lines, "", names, width)) };
        return line("Expected", expected) + &line("Found", failure.message()) + &last;
    };
    let mut page = line("Expected", violation.property.sentence());
    page.push_str(&line("Found", &capitalised(&names.in_sentence(&violation.message))));
    let differences = differences(outcome, violation, names);
    let mut subjects: Vec<Subject> = differences.iter().map(|difference| difference.subject.clone()).collect();
    subjects.truncate(1);
    if differences.is_empty() {
        subjects = named_in(outcome, violation, names);
        page.push_str(&particulars(outcome, violation, names, width));
    }
    match since(outcome, &differences, names) {
        Some((_, since)) => page.push_str(&line("Since", &format!("{since}; noticed at {} ms", ms(violation.at_us)))),
        None => page.push_str(&line("Noticed", &format!("at {} ms", ms(violation.at_us)))),
    }
    if !differences.is_empty() {
        page.push('\n');
        page.push_str(&sides(&differences, width));
    }
    page.push('\n');
    page.push_str(&last_events(outcome, violation, &subjects, names, width));
    page
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// The particulars of a finding that is not about views; for a scenario, its clauses that do not hold.
fn particulars(outcome: &Outcome, violation: &Violation, names: &Names, width: usize) -> String {
    let failed = outcome.checks.iter().filter(|check| !check.holds);
    let clauses = failed.map(|check| format!("✗ {}: {}", check.clause, check.found));
    let details = violation.details.iter().map(|detail| names.in_sentence(detail));
    let lines: Vec<String> = details.chain(clauses).collect();
    let mut page = String::new();
    for (number, detail) in lines.iter().take(DETAILS_MAX).enumerate() {
        page.push_str(&labelled(if number == 0 { "Details" } else { "" }, detail, INDENT, width));
    }
    if lines.len() > DETAILS_MAX {
        page.push_str(&labelled("", &format!("and {} more", lines.len() - DETAILS_MAX), INDENT, width));
    }
    page
}

/// Who disagrees about what, a value a line, with who wrote it.
fn sides(differences: &[Difference], width: usize) -> String {
    let mut page = String::new();
    let mut shown = 0;
    for difference in differences.iter().take(DIFFERENCES_MAX) {
        if page.lines().count() > DIFFERENCE_LINES {
            break;
        }
        page.push_str(&format!("{}\n", difference.place));
        let widest = difference.sides.iter().map(|side| width_of(&side.holders)).max().unwrap_or(0);
        let indent = widest.min(width / 3) + 4;
        difference.sides.iter().for_each(|side| page.push_str(&self::side(side, indent, width)));
        shown += 1;
    }
    match differences.len() - shown {
        0 => {}
        more => page.push_str(&format!("and {more} more\n")),
    }
    page
}

fn side(side: &Side, indent: usize, width: usize) -> String {
    let mut holders = format!("  {}", side.holders);
    let mut page = String::new();
    if width_of(&holders) + 2 > indent {
        page.push_str(&labelled("", &holders, 0, width));
        holders.clear();
    }
    let together = format!("{}  {}", side.value, side.written);
    if indent + width_of(&together) <= width {
        page.push_str(&labelled(&holders, together.trim_end(), indent, width));
    } else {
        page.push_str(&labelled(&holders, &side.value, indent, width));
        page.push_str(&labelled("", &side.written, indent + 2, width));
    }
    page
}

/// What is wrong with a run, for a page that draws it.
pub(crate) struct Told {
    /// What should hold; nothing if all is well.
    pub expected: Option<String>,
    /// What was found instead.
    pub found: Option<String>,
    /// The event from which on the sides differ for good, by its place in the history, and in words.
    pub since: Option<(usize, String)>,
    /// Who disagrees about what.
    pub differences: Vec<Difference>,
    /// Particulars, a line each.
    pub details: Vec<String>,
}

/// What is wrong with a run.
pub(crate) fn told(outcome: &Outcome, names: &Names) -> Told {
    let Some(failure) = &outcome.failure else {
        return Told { expected: None, found: None, since: None, differences: Vec::new(), details: Vec::new() };
    };
    let Some(violation) = failure.violation() else {
        let (expected, found) = (expected(failure).to_owned(), failure.message().to_owned());
        let (expected, found) = (Some(expected), Some(found));
        return Told { expected, found, since: None, differences: Vec::new(), details: Vec::new() };
    };
    let differences = differences(outcome, violation, names);
    Told {
        expected: Some(violation.property.sentence().to_owned()),
        found: Some(capitalised(&names.in_sentence(&violation.message))),
        since: since(outcome, &differences, names),
        details: violation.details.iter().map(|detail| names.in_sentence(detail)).collect(),
        differences,
    }
}

fn expected(failure: &Failure) -> &'static str {
    match failure {
        Failure::Harness { .. } => {
            "The harness makes the run and tells of it. It did not: this says nothing about the engine."
        }
        Failure::Nondeterminism { .. } => "Commit, seed and plan decide every byte of a run's history.",
        Failure::TimeLimit { .. } => "A run comes to its end: a plan is finite, and a healed cluster comes to rest.",
        _ => "A replica refuses bad input with an error; a panic is a bug.",
    }
}

/// Lets the names know the keys that a plan's statements tell.
pub(crate) fn learn_keys(plan: &Plan, names: &mut Names) {
    submitted(plan).for_each(|statement| names.learn_key(statement));
}

/// Every step of a plan in words.
pub(crate) fn steps(plan: &Plan, names: &Names) -> Vec<String> {
    plan.steps.iter().map(|step| self::step(step, plan.options.replicas, names)).collect()
}

/// The last event that touched the first differing place: from then on the sides differed for good.
fn since(outcome: &Outcome, differences: &[Difference], names: &Names) -> Option<(usize, String)> {
    let Difference { subject, place, sides } = differences.first()?;
    let is_there = |event: &Event| sides.iter().any(|side| event.host.is_some_and(|host| side.hosts.contains(&host)));
    let is_done = |event: &Event| !matches!(event.kind, EventKind::Invoked { .. });
    let subjects = std::slice::from_ref(subject);
    let touching = |event: &Event| is_there(event) && is_done(event) && touches(event, subjects, names);
    let number = outcome.events.iter().rposition(touching)?;
    let event = &outcome.events[number];
    let line = timeline::lines(std::iter::once(event), names).pop()?;
    let told = line.words.split(": ").next().unwrap_or(&line.words);
    let host = names.host(event.host.unwrap_or(0));
    Some((number, format!("{} ms: {host} {told}, and nothing touches {place} after that", ms(event.at_us))))
}

/// The last events about what is wrong, with what happened to the network and the hosts meanwhile.
fn last_events(outcome: &Outcome, violation: &Violation, subjects: &[Subject], names: &Names, width: usize) -> String {
    let is_told = |event: &&Event| {
        let is_about = match subjects {
            [] => event.host.is_none_or(|host| concerns(violation, host)),
            _ => touches(event, subjects, names),
        };
        is_about || is_context(event, violation)
    };
    let lines = timeline::lines(outcome.events.iter().filter(is_told), names);
    if lines.is_empty() {
        return String::new();
    }
    let about = subjects.iter().map(|subject| place(subject, names)).collect::<Vec<_>>().join(", ");
    let about = if about.is_empty() { String::new() } else { format!(" about {about}") };
    tail(&lines, &about, names, width)
}

/// As many of the last lines as fit.
fn tail(lines: &[Line], about: &str, names: &Names, width: usize) -> String {
    let drawn_from = |first: usize| timeline::draw(&lines[first..], names, names.host_count(), width, EVENTS_MAX);
    let mut left_out = lines.len().saturating_sub(EVENTS_MAX);
    let mut drawn = drawn_from(left_out);
    while drawn.lines().count() > EVENT_LINES && left_out + 1 < lines.len() {
        left_out += 1;
        drawn = drawn_from(left_out);
    }
    let title = if left_out > 0 {
        format!("the last events{about}; {left_out} before them are not shown")
    } else {
        format!("the events{about}")
    };
    format!("{}{drawn}", labelled("", &capitalised(&title), 0, width))
}

fn concerns(violation: &Violation, host: u32) -> bool {
    violation.hosts.is_empty() || violation.hosts.contains(&host)
}

/// What happens to the network, and to the hosts that a violation concerns.
fn is_context(event: &Event, violation: &Violation) -> bool {
    match &event.kind {
        EventKind::Partitioned(_) | EventKind::LinkCut { .. } | EventKind::Healed | EventKind::Settling { .. } => true,
        EventKind::Crashed { .. } | EventKind::WentOffline | EventKind::WentOnline | EventKind::ClockJumped { .. } => {
            event.host.is_some_and(|host| concerns(violation, host))
        }
        EventKind::Notified(Notice::Resynced { .. }) => event.host.is_some_and(|host| concerns(violation, host)),
        EventKind::Opened { cursor, .. } => {
            cursor.seen.heads().next().is_some() && event.host.is_some_and(|host| concerns(violation, host))
        }
        _ => false,
    }
}

// ---- under which circumstances ----

fn circumstances(outcome: &Outcome, plan: Option<&Plan>, names: &Names, width: usize) -> String {
    let lines = plan.map_or(Vec::new(), |plan| plan_in_words(plan, names));
    let mut page = String::new();
    for (number, line) in lines.iter().enumerate() {
        page.push_str(&labelled(if number == 0 { "Plan" } else { "" }, line, INDENT, width));
    }
    page.push_str(&labelled("Faults", &faults(outcome), INDENT, width));
    page.push_str(&labelled("Options", &options(&outcome.options), INDENT, width));
    page
}

/// The statements that a plan spells out.
fn submitted(plan: &Plan) -> impl Iterator<Item = &Statement> {
    plan.steps.iter().flat_map(|step| match step {
        Step::Submit { statements, .. } => statements.as_slice(),
        _ => &[],
    })
}

/// A short plan step by step, a long one counted.
fn plan_in_words(plan: &Plan, names: &Names) -> Vec<String> {
    if plan.steps.len() <= STEPS_MAX {
        return steps(plan, names);
    }
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    plan.steps.iter().for_each(|step| *kinds.entry(kind(step).0).or_default() += 1);
    let mut kinds: Vec<(String, usize)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    vec![format!("{}: {}", plural(plan.steps.len(), "step"), kinds.join(", "))]
}

/// A step's name in plan files, and its fields.
fn kind(step: &Step) -> (String, Json) {
    match serde_json::to_value(step) {
        Ok(Json::String(name)) => (name, Json::Null),
        Ok(Json::Object(step)) => step.into_iter().next().unwrap_or_default(),
        _ => (String::new(), Json::Null),
    }
}

/// A step with where it happens.
fn step(step: &Step, replicas: u32, names: &Names) -> String {
    let (kind, fields) = kind(step);
    let host = |replica: u32| names.host(replica % replicas.max(1));
    let replica = fields.get("replica").and_then(Json::as_u64).and_then(|replica| u32::try_from(replica).ok());
    let at = match replica {
        Some(replica) => format!("{kind} at {}", host(replica)),
        None => kind.clone(),
    };
    match step {
        Step::Wait { ms } => format!("{at} {ms} ms"),
        Step::Partition { group } => format!("{at} {}", timeline::split(*group, names)),
        Step::PartitionOneWay { group } => format!("{at} {}", timeline::one_way(*group, names)),
        Step::CutLink { replica, other, after_messages } => {
            let after = plural(usize::try_from(*after_messages).unwrap_or(usize::MAX), "message");
            format!("{kind} between {} and {} after {after}", host(*replica), host(*other))
        }
        Step::JumpClock { ms, .. } => format!("{at} by {ms:+} ms"),
        Step::Inject { from, bytes, .. } => {
            format!("{at} as if from {}: {}", host(*from), plural(bytes.len(), "byte"))
        }
        Step::Submit { statements, participants, .. } => {
            let statements: Vec<String> = statements.iter().map(|asked| names.statement(asked)).collect();
            let voters: Vec<String> = participants.iter().map(|other| host(*other)).collect();
            let voters = if voters.is_empty() { String::new() } else { format!(" with {}", voters.join(", ")) };
            format!("{at}{voters}: {}", statements.join("; "))
        }
        Step::Crash { after_outputs, kept_bytes, .. } => {
            let after = match after_outputs {
                0 => String::new(),
                outputs => format!(" after {}", plural(*outputs as usize, "output")),
            };
            let kept = match kept_bytes {
                0 => String::new(),
                bytes => format!(", {} unsynced kept", plural(usize::try_from(*bytes).unwrap_or(usize::MAX), "byte")),
            };
            format!("{at}{after}{kept}")
        }
        Step::Clone { other, .. } => format!("{at} of {}", host(*other)),
        Step::FailDisk { fault, after, .. } => format!("{at}: {fault:?} after {after}"),
        Step::SlowDisk { sync_ms, .. } => format!("{at}: {sync_ms} ms a sync"),
        Step::FailStore { fault, after_statements, .. } => {
            format!("{at}: {fault:?} after {}", plural(*after_statements as usize, "statement"))
        }
        Step::RefuseSchema { refusal, .. } => format!("{at}: {refusal}"),
        Step::Clog { replica, other, ms } => {
            format!("{kind} between {} and {} for {ms} ms", host(*replica), host(*other))
        }
        _ => at,
    }
}

pub(crate) fn faults(outcome: &Outcome) -> String {
    if outcome.events.is_empty() {
        return "unknown: the history died with the run".to_owned();
    }
    let mut fired: BTreeMap<Fault, usize> = BTreeMap::new();
    outcome.events.iter().flat_map(|event| Fault::in_event(&event.kind)).for_each(|fault| {
        *fired.entry(fault).or_default() += 1;
    });
    let fired: Vec<String> = fired.iter().map(|(fault, count)| format!("{count} {}", fault.name())).collect();
    if fired.is_empty() { "none fired".to_owned() } else { fired.join(", ") }
}

fn message(MessageName { from, to, number }: &MessageName) -> String {
    format!("{from}→{to} #{number}")
}

fn listed(words: &[String]) -> String {
    if words.is_empty() { "no message".to_owned() } else { words.join(", ") }
}

/// The cluster, its links, and every other knob that is not at its default.
pub(crate) fn options(options: &Options) -> String {
    let Options {
        replicas,
        has_main,
        links,
        whole_heads_max,
        critical_tables,
        chunk_numbers,
        retention_ms,
        skew_ms,
        drift_ppm,
        older_hosts,
        settle_ms_max,
        turns_max,
    } = options;
    let LinkOptions {
        loss_permille,
        repeat_permille,
        reorder_permille,
        corrupt_permille,
        latency_ms_min,
        latency_ms_max,
        jitter_ms_max,
        bytes_per_second_max,
        faulty_messages,
    } = links;
    let mut words = vec![if *has_main {
        format!("a main and {}", plural(*replicas as usize - 1, "edge"))
    } else {
        plural(*replicas as usize, "peer")
    }];
    words.push(format!("latency {latency_ms_min} to {latency_ms_max} ms"));
    let permille = [
        ("lost", loss_permille),
        ("repeated", repeat_permille),
        ("overtaken", reorder_permille),
        ("damaged", corrupt_permille),
    ];
    let rates: Vec<String> =
        permille.iter().filter(|(_, rate)| **rate > 0).map(|(what, rate)| format!("{rate} ‰ {what}")).collect();
    let none = || "no message lost, repeated, overtaken or damaged".to_owned();
    words.push(match faulty_messages {
        _ if rates.is_empty() => none(),
        None => rates.join("; "),
        Some(messages) => {
            let messages: Vec<String> = messages.iter().map(message).collect();
            format!("{}, but only of {}", rates.join("; "), listed(&messages))
        }
    });
    if *whole_heads_max != Options::default().whole_heads_max {
        words.push(format!("more than {} summarised", plural(*whole_heads_max as usize, "author")));
    }
    if *chunk_numbers != Options::default().chunk_numbers {
        words.push(format!("snapshots in chunks of {}", plural(*chunk_numbers as usize, "number")));
    }
    if *retention_ms != Options::default().retention_ms {
        words.push(format!("what nobody has needed for {retention_ms} ms may be forgotten"));
    }
    if !critical_tables.is_empty() {
        words.push(format!("{} first", critical_tables.join(" and ")));
    }
    if *jitter_ms_max > 0 {
        words.push(format!("jitter up to {jitter_ms_max} ms"));
    }
    if *bytes_per_second_max > 0 {
        words.push(format!("{bytes_per_second_max} bytes a second"));
    }
    if drift_ppm.iter().any(|ppm| *ppm != 0) {
        let drifts: Vec<String> = drift_ppm.iter().take(*replicas as usize).map(|ppm| format!("{ppm:+}")).collect();
        words.push(format!("clocks that gain {} ppm", drifts.join(", ")));
    }
    if skew_ms.iter().any(|skew| *skew != 0) {
        let skews: Vec<String> = skew_ms.iter().take(*replicas as usize).map(|skew| format!("{skew:+}")).collect();
        words.push(format!("clocks off by {} ms", skews.join(", ")));
    }
    let older: Vec<String> = older_hosts.iter().filter(|host| *host < replicas).map(u32::to_string).collect();
    if !older.is_empty() {
        words.push(format!("an older protocol at {} until they are upgraded", older.join(", ")));
    }
    if *settle_ms_max != Options::default().settle_ms_max {
        words.push(format!("{settle_ms_max} ms to come to rest"));
    }
    if *turns_max != Options::default().turns_max {
        words.push(format!("{turns_max} turns at most"));
    }
    words.join("; ")
}
