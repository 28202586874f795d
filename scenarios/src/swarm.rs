//! The generator of random plans: one proptest strategy, sampled by a seed.
//!
//! Plans are swarms: each switches some faults off altogether and gives the rest wildly different rates, because a
//! cluster in which everything always goes wrong a little seldom gets anywhere interesting.

use std::fmt;
use std::str::FromStr;

use kuzusync_core::replica::DRIFT_MS_MAX;
use kuzusync_sim::options::{LinkOptions, Options};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::step::{Plan, Step};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What kind of trouble generated plans make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Every fault, at rates that leave room for progress.
    Default,
    /// No fault at all: a good network, true clocks, nobody dies.
    Quiet,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 2] = [Profile::Default, Profile::Quiet];
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Profile::Default => "default",
            Profile::Quiet => "quiet",
        })
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Profile::ALL.into_iter().find(|profile| profile.to_string() == text);
        known.ok_or_else(|| format!("`{text}` is no profile; choose default or quiet"))
    }
}

/// The plan that belongs to a seed. Nothing but the profile and the seed decides it.
///
/// # Panics
/// If the strategy rejects, which it never does.
#[must_use]
pub fn plan(profile: Profile, seed: Seed) -> Plan {
    let config = Config { max_local_rejects: 1_000, max_global_rejects: 1_000, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.bytes("plan", &[]));
    let mut runner = TestRunner::new_with_rng(config, rng);
    strategy(profile).new_tree(&mut runner).expect("the strategy rejects nothing").current()
}

/// Random plans.
pub fn strategy(profile: Profile) -> BoxedStrategy<Plan> {
    let steps = weights(profile).prop_flat_map(|weights| vec((step(&weights), pause()), 28..46));
    let all = (options(profile), opening(), steps);
    all.prop_map(|(options, mut all, steps)| {
        all.extend(steps.into_iter().flat_map(|(step, pause)| [Some(step), pause]).flatten());
        Plan::new(options, all)
    })
    .boxed()
}

/// Half of the steps follow each other at once; after the others time passes.
fn pause() -> impl Strategy<Value = Option<Step>> {
    prop_oneof![Just(None), (1..120_u64).prop_map(|ms| Some(Step::Wait { ms }))]
}

/// In most plans replica 0 starts with a node table, an edge table, some rows and perhaps some rules of its own, that all
/// others hear of; else all start empty and make their tables on their own.
fn opening() -> impl Strategy<Value = Vec<Step>> {
    let create = |table| Step::CreateTable { replica: 0, table };
    let node = |key| Step::CreateNode { replica: 0, table: 0, key, value: key };
    let rows = [create(0), create(1)].into_iter().chain((0..3).map(node));
    let rows: Vec<Step> = rows.chain([Step::CreateEdge { replica: 0, table: 0, from: 0, to: 1, value: 1 }]).collect();
    let rule = (0..2_u32, 0..1_000_u32).prop_map(|(table, rule)| Step::SetRule { replica: 0, table, rule });
    let shared = vec(rule, 0..4).prop_map(move |rules| [rows.clone(), rules, vec![Step::Settle]].concat());
    prop_oneof![3 => shared, 1 => Just(Vec::new())]
}

/// Off in half of all plans, else within the range.
fn sometimes(range: std::ops::Range<u32>) -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), range]
}

fn options(profile: Profile) -> BoxedStrategy<Options> {
    let links = match profile {
        Profile::Quiet => Just(LinkOptions::default()).boxed(),
        Profile::Default => links().boxed(),
    };
    let skew = match profile {
        Profile::Quiet => Just(Vec::new()).boxed(),
        Profile::Default => {
            let (day, at_the_bound) = (86_400_000_i64, DRIFT_MS_MAX - 100..DRIFT_MS_MAX + 500);
            let one = prop_oneof![2 => Just(0), 2 => -2_000..2_000_i64, 1 => at_the_bound, 1 => -day..day];
            prop_oneof![Just(Vec::new()), vec(one, 5)].boxed()
        }
    };
    // A run has few authors; so that summaries are met at all, every other run sends nothing else.
    let whole_heads_max = prop_oneof![Just(0), Just(Options::default().whole_heads_max)];
    (3..=4_u32, any::<bool>(), links, whole_heads_max, skew)
        .prop_map(|(replicas, has_main, links, whole_heads_max, skew_ms)| Options {
            replicas,
            has_main,
            links,
            whole_heads_max,
            skew_ms,
            ..Options::default()
        })
        .boxed()
}

fn links() -> impl Strategy<Value = LinkOptions> {
    let latency = prop_oneof![(Just(1), 2..20_u64), (5..50_u64, 50..400_u64)];
    let rates = (sometimes(1..250), sometimes(1..250), sometimes(1..250), sometimes(1..250));
    (rates, latency, sometimes(1..200)).prop_map(|(rates, (latency_ms_min, latency_ms_max), jitter)| {
        let (loss_permille, repeat_permille, reorder_permille, corrupt_permille) = rates;
        LinkOptions {
            loss_permille,
            repeat_permille,
            reorder_permille,
            corrupt_permille,
            latency_ms_min,
            latency_ms_max,
            jitter_ms_max: u64::from(jitter),
            faulty_messages: None,
        }
    })
}

/// How often each kind of step comes, relative to the others.
#[derive(Clone, Debug)]
struct Weights {
    crash: u32,
    offline: u32,
    partition: u32,
    link_cut: u32,
    injection: u32,
    clock: u32,
    schema: u32,
    rule: u32,
    ddl: u32,
    increment: u32,
    strict: u32,
    again: u32,
    delete: u32,
    transaction: u32,
    constraint: u32,
}

fn weights(profile: Profile) -> BoxedStrategy<Weights> {
    let fault = |range| match profile {
        Profile::Quiet => Just(0).boxed(),
        Profile::Default => sometimes(range).boxed(),
    };
    let faults = (fault(1..12), fault(1..12), fault(1..12), fault(1..6), fault(1..6), fault(1..4));
    let writes =
        (1..8_u32, sometimes(1..6), sometimes(2..30), sometimes(1..40), sometimes(1..12), sometimes(1..6), 1..12_u32);
    let votes = (sometimes(8..60), prop_oneof![3 => Just(0_u32), 1 => Just(2)]);
    (faults, writes, votes)
        .prop_map(|(faults, (schema, rule, ddl, increment, strict, again, delete), (transaction, constraint))| {
            let (crash, offline, partition, link_cut, injection, clock) = faults;
            Weights {
                crash,
                offline,
                partition,
                link_cut,
                injection,
                clock,
                schema,
                rule,
                ddl,
                increment,
                strict,
                again,
                delete,
                transaction,
                constraint,
            }
        })
        .boxed()
}

/// Small numbers, and now and then one that no sum can hold twice.
fn addend() -> impl Strategy<Value = i64> {
    prop_oneof![60 => -5..=5_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn step(weights: &Weights) -> Union<BoxedStrategy<Step>> {
    let replica = || 0..64_u32;
    let number = || 0..1_000_u32;
    let choices: Vec<(u32, BoxedStrategy<Step>)> = vec![
        (2, (300..3_000_u64).prop_map(|ms| Step::Wait { ms }).boxed()),
        (
            weights.schema,
            (replica(), number()).prop_map(|(replica, table)| Step::CreateTable { replica, table }).boxed(),
        ),
        (
            16,
            (replica(), number(), number(), number())
                .prop_map(|(replica, table, key, value)| Step::CreateNode { replica, table, key, value })
                .boxed(),
        ),
        (
            70,
            (replica(), 0..3_u32, 0..3_u32, number())
                .prop_map(|(replica, row, column, value)| Step::UpdateNode { replica, row, column, value })
                .boxed(),
        ),
        (
            weights.strict,
            (replica(), 0..3_u32, 0..3_u32, number())
                .prop_map(|(replica, row, column, value)| Step::UpdateNodeStrictly { replica, row, column, value })
                .boxed(),
        ),
        (
            4,
            (replica(), 0..3_u32, 0..3_u32, number(), 0..2_000_u32, 0..1_000_000_u32)
                .prop_map(|(replica, row, column, value, ago_ms, submilli_ns)| Step::UpdateNodeEarlier {
                    replica,
                    row,
                    column,
                    value,
                    ago_ms,
                    submilli_ns,
                })
                .boxed(),
        ),
        (
            weights.increment,
            (replica(), 0..3_u32, 0..2_u32, addend())
                .prop_map(|(replica, row, column, by)| Step::IncrementNode { replica, row, column, by })
                .boxed(),
        ),
        (
            weights.increment.div_ceil(4),
            (replica(), 0..3_u32, 0..2_u32, addend())
                .prop_map(|(replica, row, column, by)| Step::IncrementEdge { replica, row, column, by })
                .boxed(),
        ),
        (
            weights.rule,
            (replica(), number(), number())
                .prop_map(|(replica, table, rule)| Step::SetRule { replica, table, rule })
                .boxed(),
        ),
        (
            weights.ddl,
            (replica(), number(), number(), number())
                .prop_map(|(replica, table, column, change)| Step::ChangeSchema { replica, table, column, change })
                .boxed(),
        ),
        (
            weights.transaction,
            (replica(), 0..32_u64, number(), 0..3_u32, 0..3_u32, number())
                .prop_map(|(replica, participants, what, row, column, value)| Step::Transact {
                    replica,
                    participants,
                    what,
                    row,
                    column,
                    value,
                })
                .boxed(),
        ),
        (
            weights.constraint,
            (replica(), number(), 0..3_u32, number())
                .prop_map(|(replica, table, column, constraint)| Step::Constrain { replica, table, column, constraint })
                .boxed(),
        ),
        (weights.again, replica().prop_map(|replica| Step::SubmitAgainElsewhere { replica }).boxed()),
        (weights.delete, (replica(), number()).prop_map(|(replica, row)| Step::DeleteNode { replica, row }).boxed()),
        (
            12,
            (replica(), number(), 0..4_u32, 0..4_u32, number())
                .prop_map(|(replica, table, from, to, value)| Step::CreateEdge { replica, table, from, to, value })
                .boxed(),
        ),
        (
            6,
            (replica(), number(), number(), number())
                .prop_map(|(replica, row, column, value)| Step::UpdateEdge { replica, row, column, value })
                .boxed(),
        ),
        (
            weights.delete / 2,
            (replica(), number()).prop_map(|(replica, row)| Step::DeleteEdge { replica, row }).boxed(),
        ),
        (
            weights.crash,
            (replica(), prop_oneof![Just(0), 1..12_u32])
                .prop_map(|(replica, after_outputs)| Step::Crash { replica, after_outputs })
                .boxed(),
        ),
        (3 * weights.crash, replica().prop_map(|replica| Step::Restart { replica }).boxed()),
        (weights.offline, replica().prop_map(|replica| Step::GoOffline { replica }).boxed()),
        (weights.offline, replica().prop_map(|replica| Step::GoOnline { replica }).boxed()),
        (weights.partition, partition()),
        (
            weights.link_cut,
            (replica(), replica(), 0..6_u64)
                .prop_map(|(replica, other, after_messages)| Step::CutLink { replica, other, after_messages })
                .boxed(),
        ),
        (weights.partition + weights.link_cut, Just(Step::Heal).boxed()),
        (
            weights.injection,
            (replica(), replica(), garbage())
                .prop_map(|(replica, from, bytes)| Step::Inject { replica, from, bytes })
                .boxed(),
        ),
        (
            weights.clock,
            (replica(), -100_000..100_000_i64).prop_map(|(replica, ms)| Step::JumpClock { replica, ms }).boxed(),
        ),
    ];
    Union::new_weighted(choices.into_iter().filter(|(weight, _)| *weight > 0).collect())
}

fn partition() -> BoxedStrategy<Step> {
    let group = || 1..31_u64;
    prop_oneof![
        2 => group().prop_map(|group| Step::Partition { group }),
        2 => group().prop_map(|group| Step::PartitionOneWay { group }),
        1 => (0..64_u32).prop_map(|replica| Step::Isolate { replica }),
        1 => Just(Step::PartitionRing),
    ]
    .boxed()
}

/// Bytes that no replica sends: a frame's checksum is not hit by chance. Some look like a frame up to there.
fn garbage() -> BoxedStrategy<Vec<u8>> {
    let any_bytes = || vec(any::<u8>(), 0..48);
    prop_oneof![any_bytes(), any_bytes().prop_map(|bytes| [vec![0x4B, 1], bytes].concat())].boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_plan_and_another_seed_another() {
        assert_eq!(plan(Profile::Default, Seed(5)), plan(Profile::Default, Seed(5)));
        assert_ne!(plan(Profile::Default, Seed(5)), plan(Profile::Default, Seed(6)));
    }

    #[test]
    fn every_generated_plan_is_valid_and_survives_its_file() {
        for seed in 0..50 {
            let plan = plan(Profile::Default, Seed(seed));
            let json = serde_json::to_string(&plan).unwrap();
            assert_eq!(Plan::from_json(&json), Ok(plan));
        }
    }
}
