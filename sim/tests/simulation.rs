//! Whole runs: every fault fires, one seed gives one history, and each way to fail is reported as what it is.

use std::collections::BTreeSet;

use kuzusync_core::ddl::Column;
use kuzusync_core::replica::Notice;
use kuzusync_core::statement::Statement;
use kuzusync_core::store::refusing::Refusal;
use kuzusync_core::value::Type;
use kuzusync_sim::disk::DiskFault;
use kuzusync_sim::engine::StoreFault;
use kuzusync_sim::fault::Fault;
use kuzusync_sim::history::{Event, EventKind};
use kuzusync_sim::options::{LinkOptions, Options};
use kuzusync_sim::outcome::{Failure, Outcome, Property};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::simulation::{Body, Run, Script, simulate};
use kuzusync_sim::sometimes;
use kuzusync_sim::step::Step;
use kuzusync_sim::store::StoreChoice;

fn run(seed: u64, options: &Options, script: Script<'_>) -> Outcome {
    simulate(&Run { seed: Seed(seed), options, store: StoreChoice::Memory, script, bug: None })
}

fn steps(replica: u32) -> Vec<Step> {
    let node = |key| Step::CreateNode { replica, table: 0, key, value: key };
    [Step::CreateTable { replica, table: 0 }].into_iter().chain((0..4).map(node)).collect()
}

fn faults(outcome: &Outcome) -> BTreeSet<Fault> {
    outcome.events.iter().flat_map(|event| Fault::in_event(&event.kind)).collect()
}

#[test]
fn every_fault_fires_and_the_cluster_converges_all_the_same() {
    let links = LinkOptions {
        loss_permille: 200,
        repeat_permille: 200,
        reorder_permille: 200,
        corrupt_permille: 200,
        jitter_ms_max: 20,
        bytes_per_second_max: 100_000,
        ..LinkOptions::default()
    };
    let (skew_ms, drift_ppm) = (vec![5_000, -5_000], vec![0, 50_000]);
    let older_hosts = BTreeSet::from([3]);
    let options = Options { replicas: 4, links, skew_ms, drift_ppm, older_hosts, ..Options::default() };
    let column = Column::new("extra", Type::Int64);
    let statements = vec![Statement::AddColumn { table: "Person".into(), column }];
    let trouble = [
        Step::RefuseSchema { replica: 2, refusal: Refusal::Column("extra".into()) },
        Step::Submit { replica: 0, statements, participants: Vec::new() },
        Step::Wait { ms: 3_000 },
        Step::AcceptSchema { replica: 2 },
        Step::Upgrade { replica: 3 },
        Step::Partition { group: 0b001 },
        Step::CreateNode { replica: 2, table: 0, key: 6, value: 6 },
        Step::Wait { ms: 1_000 },
        Step::PartitionOneWay { group: 0b001 },
        Step::UpdateNode { replica: 0, row: 1, column: 1, value: 3 },
        Step::Wait { ms: 1_000 },
        Step::Isolate { replica: 3 },
        Step::UpdateNode { replica: 3, row: 1, column: 1, value: 4 },
        Step::Wait { ms: 1_000 },
        Step::PartitionRing,
        Step::UpdateNode { replica: 2, row: 1, column: 1, value: 5 },
        Step::Wait { ms: 1_000 },
        Step::Heal,
        Step::CutLink { replica: 0, other: 1, after_messages: 3 },
        Step::UpdateNode { replica: 1, row: 2, column: 1, value: 6 },
        Step::Wait { ms: 3_000 },
        Step::Heal,
        Step::Inject { replica: 0, from: 1, bytes: vec![0x4B, 1, 2, 3] },
        Step::GoOffline { replica: 1 },
        Step::UpdateNode { replica: 1, row: 0, column: 1, value: 9 },
        Step::GoOnline { replica: 1 },
        Step::JumpClock { replica: 0, ms: -60_000 },
        Step::Crash { replica: 0, after_outputs: 0, kept_bytes: 0 },
        Step::Restart { replica: 0 },
        // Dies between writing the record of this change and syncing it.
        Step::Crash { replica: 2, after_outputs: 2, kept_bytes: 0 },
        Step::UpdateNode { replica: 2, row: 0, column: 1, value: 8 },
        Step::Wait { ms: 2_000 },
        Step::Restart { replica: 2 },
        Step::Crash { replica: 2, after_outputs: 2, kept_bytes: 30 },
        update(2, 9),
        Step::Restart { replica: 2 },
        Step::Clog { replica: 0, other: 2, ms: 500 },
        Step::Pause { replica: 2 },
        update(2, 10),
        Step::Resume { replica: 2 },
        Step::SlowDisk { replica: 2, sync_ms: 300 },
        update(2, 11),
        Step::MendDisk { replica: 2 },
        Step::SubmitAgain,
        Step::FailStore { replica: 2, fault: StoreFault::Error, after_statements: 0 },
        update(2, 12),
        Step::FailStore { replica: 2, fault: StoreFault::Abandonment, after_statements: 0 },
        update(2, 13),
        Step::FailDisk { replica: 2, fault: DiskFault::Write, after: 0 },
        update(2, 14),
        Step::FailDisk { replica: 2, fault: DiskFault::Read, after: 0 },
        Step::Restart { replica: 2 },
        Step::Restart { replica: 2 },
        Step::FailDisk { replica: 2, fault: DiskFault::Full, after: 0 },
        update(2, 15),
        Step::Wipe { replica: 1 },
        Step::Clone { replica: 3, other: 2 },
        Step::Wait { ms: 1_000 },
    ];
    let plan = [steps(0), vec![Step::Settle], trouble.to_vec()].concat();
    let outcome = run(3, &options, Script::Plan(&plan));
    assert_eq!(outcome.failure, None);
    assert_eq!(faults(&outcome), Fault::ALL.into_iter().collect());
}

/// The hosts that apply a change of `writer` while the network is split like that, before it is healed.
fn reached_by(writer: u32, split: Step, replicas: u32, has_main: bool) -> Vec<u32> {
    let options = Options { replicas, has_main, ..Options::default() };
    let update = Step::UpdateNode { replica: writer, row: 0, column: 1, value: 9 };
    let plan = [steps(0), vec![Step::Settle, split, update, Step::Wait { ms: 20_000 }]].concat();
    let outcome = run(4, &options, Script::Plan(&plan));
    assert_eq!(outcome.failure, None, "what was cut off hears of it after healing");
    let since = outcome.events.iter().skip_while(|event| !matches!(event.kind, EventKind::Settled { .. }));
    let until = since.take_while(|event| !matches!(event.kind, EventKind::Settling { .. }));
    let applied = until.filter(|event| matches!(event.kind, EventKind::Notified(Notice::Applied { .. })));
    applied.filter_map(|event| event.host).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn what_a_one_way_partition_lets_through_arrives_and_the_rest_does_not() {
    let one_way = || Step::PartitionOneWay { group: 0b001 };
    assert_eq!(reached_by(1, one_way(), 3, true), [0, 1], "the main hears its edge and is not heard");
    assert_eq!(reached_by(0, one_way(), 3, true), [0]);
    assert_eq!(reached_by(1, one_way(), 3, false), [0, 1, 2]);
}

#[test]
fn an_isolated_host_hears_of_nothing_and_the_others_go_on() {
    let isolate = || Step::Isolate { replica: 2 };
    assert_eq!(reached_by(1, isolate(), 4, true), [0, 1, 3]);
    assert_eq!(reached_by(2, isolate(), 4, false), [2]);
}

#[test]
fn in_a_ring_changes_travel_from_neighbour_to_neighbour_and_a_main_keeps_two_edges() {
    assert_eq!(reached_by(2, Step::PartitionRing, 5, false), [0, 1, 2, 3, 4], "over the others");
    assert_eq!(reached_by(1, Step::PartitionRing, 5, true), [0, 1, 4]);
    assert_eq!(reached_by(2, Step::PartitionRing, 5, true), [2]);
}

#[test]
fn a_cut_link_carries_as_many_messages_as_asked_and_spares_the_others() {
    let cut = |after_messages| Step::CutLink { replica: 0, other: 1, after_messages };
    assert_eq!(reached_by(1, cut(0), 3, true), [1]);
    assert_eq!(reached_by(1, cut(1), 3, true), [0, 1, 2]);
}

#[test]
fn a_message_that_arrives_wrong_is_refused_and_comes_again() {
    let links = LinkOptions { corrupt_permille: 500, ..LinkOptions::default() };
    let options = Options { links, ..Options::default() };
    let plan = [steps(1), vec![Step::Wait { ms: 10_000 }]].concat();
    let outcome = run(8, &options, Script::Plan(&plan));
    assert_eq!(outcome.failure, None);
    let refused =
        |event: &Event| matches!(&event.kind, EventKind::Refused { error } if error.contains("cannot be read"));
    assert!(outcome.events.iter().any(refused));
    assert!(sometimes::reached(&outcome).contains("message_refused"));
    let arrived = outcome.events.iter().take_while(|event| !matches!(event.kind, EventKind::Settling { .. }));
    let arrived = arrived.filter(|event| matches!(event.kind, EventKind::Notified(Notice::Applied { .. }))).count();
    assert_eq!(arrived, 15, "five changes at three replicas, before anything was healed");
}

#[test]
fn injected_bytes_are_refused_and_nothing_comes_of_them() {
    let inject = |bytes: &[u8]| Step::Inject { replica: 0, from: 1, bytes: bytes.to_vec() };
    let plan = [steps(1), vec![Step::Settle, inject(b""), inject(b"garbage"), inject(&[0x4B; 100])]].concat();
    let outcome = run(2, &Options::default(), Script::Plan(&plan));
    assert_eq!(outcome.failure, None);
    let since = outcome.events.iter().skip_while(|event| !matches!(event.kind, EventKind::Injected { .. }));
    let kinds: Vec<_> =
        since.take_while(|event| !matches!(event.kind, EventKind::Settling { .. })).map(|event| &event.kind).collect();
    let pairs: Vec<_> = kinds.chunks(2).collect();
    assert_eq!(pairs.len(), 3, "{kinds:?}");
    for pair in pairs {
        assert!(matches!(pair, [EventKind::Injected { .. }, EventKind::Refused { .. }]), "{pair:?}");
    }
}

#[test]
fn a_change_lost_with_its_crash_was_never_promised_and_its_client_asks_again() {
    let plan = [
        steps(1),
        vec![Step::Settle, Step::Crash { replica: 1, after_outputs: 1, kept_bytes: 0 }],
        vec![Step::UpdateNode { replica: 1, row: 0, column: 0, value: 7 }],
    ]
    .concat();
    let outcome = run(1, &Options::default(), Script::Plan(&plan));
    assert_eq!(outcome.failure, None);
    assert!(outcome.events.iter().any(|event| event.kind == EventKind::Crashed { lost_records: 1 }));
    assert!(outcome.events.iter().any(|event| matches!(event.kind, EventKind::Abandoned { .. })));
    let answers = outcome.events.iter().filter(|event| matches!(event.kind, EventKind::Returned { .. })).count();
    assert_eq!(answers, 6, "its client asked again and got an answer");
    assert!(outcome.replicas.iter().all(|replica| replica.log.len() == 6), "once");
}

/// The event kinds at a host, from the first that `from` picks to the first after it that `to` picks.
fn between(
    outcome: &Outcome,
    host: u32,
    from: impl Fn(&EventKind) -> bool,
    to: impl Fn(&EventKind) -> bool,
) -> Vec<EventKind> {
    let own = outcome.events.iter().filter(|event| event.host == Some(host)).map(|event| event.kind.clone());
    let since = own.skip_while(|kind| !from(kind));
    since.take_while(|kind| !to(kind)).collect()
}

fn update(replica: u32, value: u32) -> Step {
    Step::UpdateNode { replica, row: 0, column: 1, value }
}

fn passes(steps: &[Step], options: &Options) -> Outcome {
    let outcome = run(1, options, Script::Plan(steps));
    assert_eq!(outcome.failure, None);
    outcome
}

#[test]
fn a_host_that_stands_still_hears_nothing_and_its_client_asks_again_when_it_goes_on() {
    let plan = [
        steps(1),
        vec![Step::Settle, Step::Pause { replica: 1 }, Step::Pause { replica: 1 }, update(1, 5), update(0, 6)],
        vec![Step::Wait { ms: 1_000 }, Step::Resume { replica: 1 }, Step::Resume { replica: 1 }],
    ];
    let outcome = passes(&plan.concat(), &Options::default());
    let paused = between(&outcome, 1, |kind| *kind == EventKind::Paused, |kind| *kind == EventKind::Resumed);
    let is_client = |kind: &EventKind| {
        matches!(kind, EventKind::Invoked { .. } | EventKind::TimedOut { .. } | EventKind::Skipped { .. })
    };
    assert!(paused.iter().skip(1).all(is_client), "{paused:?}");
    assert!(paused.iter().any(|kind| matches!(kind, EventKind::TimedOut { .. })));
    let answers = outcome.events.iter().filter(|event| matches!(event.kind, EventKind::Returned { .. })).count();
    assert_eq!(answers, 7, "the client that lost patience got its answer in the end");
    assert_eq!(outcome.replicas[0].log.len(), 7, "what it asked twice was done once");
}

#[test]
fn a_majority_comes_to_rest_while_the_rest_stays_broken() {
    for has_main in [true, false] {
        let options = Options { replicas: 5, has_main, ..Options::default() };
        let trouble = vec![
            Step::Settle,
            Step::Pause { replica: 1 },
            Step::Crash { replica: 2, after_outputs: 0, kept_bytes: 0 },
            Step::GoOffline { replica: 3 },
            update(3, 5),
            update(0, 6),
            Step::SettleMajority { out: 0b110 },
            update(4, 7),
        ];
        let outcome = passes(&[steps(0), trouble].concat(), &options);
        let is_majority = |kind: &EventKind| *kind == EventKind::Settled { out: vec![1, 2] };
        let is_whole = |kind: &EventKind| *kind == EventKind::Settling { out: Vec::new() };
        let since = outcome.events.iter().skip_while(|event| event.kind != EventKind::Settling { out: vec![1, 2] });
        let until_whole: Vec<&Event> = since.take_while(|event| !is_whole(&event.kind)).collect();
        assert!(until_whole.iter().any(|event| is_majority(&event.kind)));
        let is_alive =
            |event: &Event| matches!(event.host, Some(1 | 2)) && !matches!(event.kind, EventKind::Missed { .. });
        let alive: Vec<_> = until_whole.iter().filter(|event| is_alive(event)).collect();
        assert!(alive.is_empty(), "they are broken all the while: {alive:?}");
        assert!(until_whole.iter().any(|event| event.kind == EventKind::WentOnline), "host 3 heals with the majority");
        assert!(sometimes::reached(&outcome).contains("majority_at_rest"));
        assert!(outcome.replicas.iter().all(|replica| replica.log.len() == 8), "in the end all have everything");
    }
}

#[test]
fn a_majority_that_does_not_come_to_rest_in_time_is_told_with_what_it_waits_for() {
    let links = LinkOptions { latency_ms_min: 100, latency_ms_max: 100, ..LinkOptions::default() };
    let options = Options { settle_ms_max: 1, links, ..Options::default() };
    let outcome = run(1, &options, Script::Plan(&[steps(0), vec![Step::SettleMajority { out: 0b100 }]].concat()));
    let Some(Failure::Liveness(violation)) = &outcome.failure else { panic!("{:?}", outcome.failure) };
    assert!(violation.message.starts_with("not at rest 1 ms after a majority healed: "), "{violation:?}");
    assert!(!violation.hosts.contains(&2), "host 2 stays out: {violation:?}");
}

#[test]
fn who_is_to_stay_out_leaves_a_majority_with_the_main() {
    let out_of = |replicas, has_main, out| {
        let options = Options { replicas, has_main, ..Options::default() };
        let outcome = passes(&[Step::SettleMajority { out }], &options);
        outcome.events.iter().find_map(|event| match &event.kind {
            EventKind::Settled { out } if !out.is_empty() => Some(out.clone()),
            _ => None,
        })
    };
    assert_eq!(out_of(5, true, u64::MAX), Some(vec![1, 2]));
    assert_eq!(out_of(5, false, u64::MAX), Some(vec![0, 1]));
    assert_eq!(out_of(4, false, 0b1000), Some(vec![3]));
    assert_eq!(out_of(4, true, 0b0001), None, "the main stays");
    assert_eq!(out_of(2, false, 0b11), None, "one of two is no majority");
}

#[test]
fn a_vote_in_doubt_whose_coordinator_stays_out_hinders_nobody() {
    let links = LinkOptions { latency_ms_min: 10, latency_ms_max: 10, ..LinkOptions::default() };
    let options = Options { has_main: false, links, ..Options::default() };
    let transact = Step::Transact { replica: 2, participants: 0b011, what: 0, row: 0, column: 1, value: 9 };
    let trouble = vec![
        Step::Settle,
        transact,
        Step::Wait { ms: 15 },
        Step::Crash { replica: 2, after_outputs: 0, kept_bytes: 0 },
        Step::SettleMajority { out: 0b100 },
    ];
    let outcome = passes(&[steps(0), trouble].concat(), &options);
    let of_votes = outcome.events.iter().filter_map(|event| match &event.kind {
        EventKind::Notified(Notice::Voted { .. }) if event.host != Some(2) => Some("voted"),
        EventKind::Notified(Notice::Decided { .. }) if event.host != Some(2) => Some("decided"),
        EventKind::Settled { out } if *out == [2] => Some("majority at rest"),
        _ => None,
    });
    let of_votes: Vec<_> = of_votes.collect();
    assert_eq!(of_votes, ["voted", "voted", "majority at rest", "decided", "decided"]);
}

#[test]
fn a_wiped_host_comes_back_as_another_replica_and_gets_everything_again() {
    let wipe = |replica| Step::Wipe { replica };
    let plan = [steps(1), vec![Step::Settle, wipe(0), Step::Isolate { replica: 1 }, update(1, 5), wipe(1)]].concat();
    let outcome = passes(&plan, &Options::default());
    let ids: BTreeSet<_> = outcome
        .events
        .iter()
        .filter_map(|event| match (&event.kind, event.host) {
            (EventKind::Opened { replica, .. }, Some(1)) => Some(*replica),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 2);
    assert!(outcome.replicas.iter().all(|replica| replica.log.len() == 5), "what nobody else held is gone");
    assert!(
        outcome
            .events
            .iter()
            .any(|event| matches!(&event.kind, EventKind::Skipped { reason } if reason.contains("another main")))
    );
}

#[test]
fn two_hosts_that_write_under_one_identity_are_refused_and_the_others_lose_nothing() {
    let options = Options { replicas: 4, ..Options::default() };
    let plan = [
        steps(1),
        vec![Step::Settle, Step::Clone { replica: 2, other: 1 }, update(2, 5), update(1, 6), update(3, 7)],
        vec![Step::Wait { ms: 2_000 }, update(0, 8)],
    ]
    .concat();
    let outcome = passes(&plan, &options);
    assert!(sometimes::reached(&outcome).contains("clone_refused"));
    let last = outcome.replicas[0].view.digest();
    assert!(outcome.replicas.iter().all(|replica| replica.view.digest() == last));
    assert!(outcome.replicas[0].log.len() >= 7, "what the main and edge 3 wrote is everywhere");
    let peers = Options { has_main: false, ..options };
    let skipped = run(1, &peers, Script::Plan(&[Step::Clone { replica: 2, other: 1 }]));
    assert!(skipped.events.iter().any(|event| matches!(event.kind, EventKind::Skipped { .. })));
}

#[test]
fn a_replica_whose_disk_refuses_a_record_stops_and_nothing_of_it_is_told() {
    for fault in [DiskFault::Write, DiskFault::Full] {
        let plan =
            [steps(1), vec![Step::Settle, Step::FailDisk { replica: 1, fault, after: 0 }, update(1, 5)]].concat();
        let outcome = passes(&plan, &Options::default());
        let is_failure = |kind: &EventKind| *kind == EventKind::DiskFailed(fault);
        let after = between(&outcome, 1, is_failure, |kind| matches!(kind, EventKind::Opened { .. }));
        let told: Vec<_> = after.iter().skip(1).collect();
        assert!(matches!(told.first(), Some(EventKind::Crashed { .. })), "{fault:?}: {told:?}");
        assert!(!told.iter().any(|kind| matches!(kind, EventKind::Sent { .. } | EventKind::Notified(_))), "{told:?}");
        assert_eq!(outcome.replicas[0].log.len(), 6, "its client asked again and it was done once");
    }
}

#[test]
fn a_disk_that_cannot_be_read_keeps_its_host_down_until_the_next_attempt() {
    let fault = Step::FailDisk { replica: 1, fault: DiskFault::Read, after: 0 };
    let crash = Step::Crash { replica: 1, after_outputs: 0, kept_bytes: 0 };
    let restart = || Step::Restart { replica: 1 };
    let plan = [steps(1), vec![fault, crash, restart(), update(1, 5), restart(), update(1, 6)]].concat();
    let outcome = passes(&plan, &Options::default());
    assert_eq!(outcome.replicas[0].log.len(), 6, "one update found nobody");
    assert!(faults(&outcome).contains(&Fault::ReadError));
}

#[test]
fn a_slow_disk_holds_up_answers_and_messages_alike() {
    let plan = [steps(1), vec![Step::Settle, Step::SlowDisk { replica: 1, sync_ms: 700 }, update(1, 5)]].concat();
    let outcome = passes(&plan, &Options::default());
    let since = outcome.events.iter().skip_while(|event| !matches!(event.kind, EventKind::Settled { .. }));
    let at = |pick: fn(&EventKind) -> bool, host| {
        let mut found = since.clone().filter(|event| event.host == Some(host) && pick(&event.kind));
        found.next().map(|event| event.at_us)
    };
    let asked = at(|kind| matches!(kind, EventKind::Invoked { .. }), 1).unwrap();
    let answered = at(|kind| matches!(kind, EventKind::Returned { .. }), 1).unwrap();
    let arrived = at(|kind| matches!(kind, EventKind::Notified(Notice::Applied { .. })), 0).unwrap();
    assert_eq!(answered - asked, 700_000);
    assert!(arrived - asked > 700_000);
}

#[test]
fn a_store_that_fails_within_a_delta_is_filled_anew() {
    for fault in [StoreFault::Error, StoreFault::Abandonment] {
        for after_statements in [0, 1] {
            let fail = Step::FailStore { replica: 1, fault, after_statements };
            let node = |key| Step::CreateNode { replica: 1, table: 0, key, value: key };
            let outcome = passes(&[steps(1), vec![Step::Settle, fail, node(6), node(7)]].concat(), &Options::default());
            let broken = EventKind::StoreBroken { fault, statements: 0 };
            assert!(outcome.events.iter().any(|event| event.kind == broken), "{after_statements}");
            assert!(sometimes::reached(&outcome).contains("store_filled_anew"));
        }
    }
}

#[test]
fn a_torn_record_is_cut_off_and_a_whole_one_that_survived_counts() {
    let died = |kept_bytes| {
        let crash = Step::Crash { replica: 1, after_outputs: 2, kept_bytes };
        passes(&[steps(1), vec![Step::Settle, crash, update(1, 5)]].concat(), &Options::default())
    };
    let reopened = |outcome: &Outcome| {
        let heads = outcome.events.iter().filter_map(|event| match (&event.kind, event.host) {
            (EventKind::Opened { cursor, .. }, Some(1)) => Some(cursor.seen.heads().map(|head| head.seq).sum::<u64>()),
            _ => None,
        });
        heads.fold(None, |_, count| Some(count))
    };
    let (torn, whole) = (died(20), died(100_000));
    assert!(faults(&torn).contains(&Fault::TornWrite) && !faults(&whole).contains(&Fault::TornWrite));
    assert_eq!([reopened(&torn), reopened(&whole)], [Some(5), Some(6)]);
    for outcome in [torn, whole] {
        assert_eq!(outcome.replicas[0].log.len(), 6, "its client asked again, and it was done once");
    }
}

#[test]
fn a_client_that_submits_twice_gets_the_same_answer_twice() {
    let plan = [steps(1), vec![Step::SubmitAgain, Step::SubmitAgain]].concat();
    let outcome = passes(&plan, &Options::default());
    assert!(sometimes::reached(&outcome).contains("transaction_submitted_again"));
    assert_eq!(outcome.replicas[0].log.len(), 5);
    let answers: Vec<_> = outcome
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Returned { result, .. } => Some(result.clone()),
            _ => None,
        })
        .collect();
    assert!(answers.ends_with(&[answers[4].clone(), answers[4].clone()]), "{answers:?}");
}

#[test]
fn one_seed_gives_one_history_and_another_seed_another() {
    let plan = [steps(0), steps(1), vec![Step::Crash { replica: 2, after_outputs: 3, kept_bytes: 0 }]].concat();
    let options = Options { links: LinkOptions { loss_permille: 100, ..LinkOptions::default() }, ..Options::default() };
    let first = run(5, &options, Script::Plan(&plan));
    let other = run(6, &options, Script::Plan(&plan));
    let again = run(5, &options, Script::Plan(&plan));
    assert_eq!(first.events, again.events);
    assert_eq!(first.digest, again.digest);
    assert_ne!(first.digest, other.digest);
}

#[test]
fn a_cluster_that_has_no_time_to_come_to_rest_fails_liveness_with_the_reason() {
    let links = LinkOptions { latency_ms_min: 100, latency_ms_max: 200, ..LinkOptions::default() };
    let options = Options { settle_ms_max: 1, links, ..Options::default() };
    let outcome = run(1, &options, Script::Plan(&steps(1)));
    let Some(Failure::Liveness(violation)) = outcome.failure else { panic!("{:?}", outcome.failure) };
    assert_eq!(violation.property, Property::Liveness);
    assert!(violation.message.contains("not at rest 1 ms after healing"), "{violation:?}");
}

#[test]
fn a_panic_is_a_crash_with_its_message_and_its_history() {
    let body: Body = |_| Box::pin(async { panic!("a bug at line 7") });
    let outcome = run(1, &Options::default(), Script::Body(body));
    assert_eq!(outcome.failure, Some(Failure::Crash { message: "a bug at line 7".into() }));
    assert!(outcome.events.iter().any(|event| matches!(event.kind, EventKind::Opened { .. })), "its history is kept");
}

#[test]
fn a_run_that_never_ends_is_stopped_after_the_same_turn_every_time() {
    // Time passes and nothing comes of it.
    let idle: Body = |cluster| {
        Box::pin(async move {
            loop {
                cluster.wait(1).await;
            }
        })
    };
    // Every turn is given back at once, so hardly any time passes.
    let busy: Body = |_| {
        Box::pin(async {
            loop {
                tokio::task::yield_now().await;
            }
        })
    };
    let options = Options { turns_max: 5_000, ..Options::default() };
    for body in [idle, busy] {
        let outcome = run(1, &options, Script::Body(body));
        let Some(failure @ Failure::TimeLimit { message }) = &outcome.failure else { panic!("{:?}", outcome.failure) };
        assert!(message.contains("after 5000 turns"), "{message}");
        assert_eq!((failure.class(), failure.exit_code()), ("time_limit", 7));
        let again = run(1, &options, Script::Body(body));
        assert_eq!((outcome.digest, outcome.simulated_us), (again.digest, again.simulated_us));
        assert_eq!(outcome.replicas.len(), 3, "what the replicas hold is told");
    }
}

#[test]
fn a_run_that_ends_in_time_does_not_notice_its_limit() {
    let plan = [steps(0), steps(1)].concat();
    let free = run(1, &Options::default(), Script::Plan(&plan));
    let limited = run(1, &Options { turns_max: 5_000, ..Options::default() }, Script::Plan(&plan));
    assert_eq!((free.failure, free.digest), (None, limited.digest));
}

#[test]
fn steps_that_can_do_nothing_are_passed_over_and_noted() {
    let plan = [
        Step::DeleteNode { replica: 0, row: 3 },
        Step::Restart { replica: 1 },
        Step::PartitionRing,
        Step::Crash { replica: 2, after_outputs: 0, kept_bytes: 0 },
        Step::Crash { replica: 2, after_outputs: 0, kept_bytes: 0 },
        Step::CreateNode { replica: 2, table: 0, key: 0, value: 0 },
        Step::Inject { replica: 2, from: 0, bytes: Vec::new() },
    ];
    let outcome = run(1, &Options::default(), Script::Plan(&plan));
    let reasons: Vec<_> = outcome
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Skipped { reason } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    let expected = [
        "there is no node",
        "the host is up",
        "in a ring of fewer than four hosts all are neighbours",
        "the host is down already",
        "the host is down",
        "the host is down",
    ];
    assert_eq!(reasons, expected);
    assert_eq!(outcome.failure, None);
}

#[test]
fn peers_converge_without_a_main_and_without_numbers() {
    let options = Options { replicas: 5, has_main: false, ..Options::default() };
    let plan: Vec<Step> = (0..5).flat_map(steps).collect();
    let outcome = run(9, &options, Script::Plan(&plan));
    assert_eq!(outcome.failure, None);
    assert!(outcome.replicas.iter().all(|replica| replica.cursor.lsn == 0 && replica.queue_operations == 0));
    let first = outcome.replicas.first().unwrap();
    assert!(first.view.nodes.values().any(|rows| !rows.is_empty()));
}

#[cfg(feature = "kuzu")]
mod on_disk {
    use super::*;

    /// The stores that replica 1 finds to hold its graph when it is opened again after dying so many outputs into an
    /// update.
    fn kept(after_outputs: u32) -> Vec<String> {
        let plan = [
            steps(1),
            vec![Step::Settle, Step::Crash { replica: 1, after_outputs, kept_bytes: 0 }],
            vec![Step::UpdateNode { replica: 1, row: 0, column: 0, value: 7 }],
        ]
        .concat();
        let (options, script) = (Options::default(), Script::Plan(&plan));
        let run = Run { seed: Seed(1), options: &options, store: StoreChoice::KuzuDisk, script, bug: None };
        let outcome = simulate(&run);
        assert_eq!(outcome.failure, None);
        assert!(outcome.events.iter().any(|event| matches!(event.kind, EventKind::Crashed { .. })), "it dies");
        let again = simulate(&run);
        assert_eq!(outcome.digest, again.digest, "no path is in the history");
        let stores = outcome.events.iter().filter_map(|event| match &event.kind {
            EventKind::Kept { store } => Some(store.clone()),
            _ => None,
        });
        stores.collect()
    }

    #[test]
    fn a_database_that_holds_what_the_records_make_is_kept_over_a_crash() {
        assert_eq!(kept(0), ["kuzu-disk"]);
    }

    #[test]
    fn a_database_ahead_of_the_records_that_survived_is_rebuilt() {
        // The record was written and not synced; the update was already carried out on the database.
        assert_eq!(kept(2), [] as [&str; 0]);
    }

    #[test]
    fn the_folder_of_a_run_goes_with_it() {
        let folder = StoreChoice::KuzuDisk.folder().unwrap().unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
