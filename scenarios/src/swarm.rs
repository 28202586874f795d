//! The generator of random plans: one proptest strategy, sampled by a seed.
//!
//! Plans are swarms: each switches some faults off altogether and gives the rest wildly different rates, because a
//! cluster in which everything always goes wrong a little seldom gets anywhere interesting.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use kuzusync_core::replica::DRIFT_MS_MAX;
use kuzusync_sim::client;
use kuzusync_sim::disk::DiskFault;
use kuzusync_sim::engine::StoreFault;
use kuzusync_sim::options::{LinkOptions, Options};
use kuzusync_sim::seed::Seed;
use kuzusync_sim::step::{Plan, Step};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What kind of trouble generated plans make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Every fault, at rates that leave room for progress.
    Default,
    /// No fault at all: a good network, true clocks, nobody dies.
    Quiet,
    /// Links that do everything but deliver, while hosts and disks are well.
    Flaky,
    /// Every fault, often, and the rare ones too: hosts wiped and cloned, bytes that nobody sent, clocks set.
    Hostile,
    /// Tables and columns made, changed and dropped everywhere at once.
    Schema,
    /// Edges that are away for hours and write all the same.
    Offline,
    /// A main with many edges that keeps dying, on disks and stores that fail.
    Server,
    /// Most of what clients want is voted on, under constraints, while hosts die and links fail.
    Transactions,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 8] = [
        Profile::Default,
        Profile::Quiet,
        Profile::Flaky,
        Profile::Hostile,
        Profile::Schema,
        Profile::Offline,
        Profile::Server,
        Profile::Transactions,
    ];

    /// The profile's name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Profile::Default => "default",
            Profile::Quiet => "quiet",
            Profile::Flaky => "flaky",
            Profile::Hostile => "hostile",
            Profile::Schema => "schema",
            Profile::Offline => "offline",
            Profile::Server => "server",
            Profile::Transactions => "transactions",
        }
    }

    fn mix(self) -> Mix {
        // A network of the common kind, and no fault of a host.
        let calm = Mix {
            replicas: (3, 4),
            is_main_required: false,
            wait_ms_max: 3_000,
            loss: 0,
            repeat: 0,
            reorder: 0,
            corrupt: 0,
            jitter: 0,
            has_far_links: false,
            has_narrow_links: false,
            has_false_clocks: false,
            crash: 0,
            pause: 0,
            wipe: 0,
            clone: 0,
            disk: 0,
            store: 0,
            refusal: 0,
            offline: 0,
            partition: 0,
            link_cut: 0,
            clog: 0,
            injection: 0,
            clock: 0,
            retry: 0,
            majority: 0,
            upgrade: 0,
            tables: 8,
            ddl: 30,
            is_voting: false,
        };
        let links = Mix {
            loss: 250,
            repeat: 250,
            reorder: 250,
            corrupt: 250,
            jitter: 200,
            has_far_links: true,
            has_narrow_links: true,
            ..calm
        };
        match self {
            Profile::Quiet => calm,
            Profile::Default => Mix {
                has_false_clocks: true,
                crash: 12,
                pause: 5,
                wipe: 3,
                clone: 3,
                disk: 5,
                store: 5,
                refusal: 5,
                offline: 12,
                partition: 12,
                link_cut: 6,
                clog: 5,
                injection: 6,
                clock: 4,
                retry: 6,
                majority: 4,
                upgrade: 4,
                ..links
            },
            Profile::Flaky => Mix {
                loss: 600,
                repeat: 500,
                reorder: 500,
                corrupt: 400,
                jitter: 1_000,
                pause: 6,
                offline: 8,
                partition: 20,
                link_cut: 20,
                clog: 20,
                retry: 6,
                majority: 4,
                ..links
            },
            Profile::Hostile => Mix {
                replicas: (3, 5),
                loss: 400,
                repeat: 400,
                reorder: 400,
                corrupt: 400,
                has_false_clocks: true,
                crash: 30,
                pause: 12,
                wipe: 12,
                clone: 12,
                disk: 15,
                store: 15,
                refusal: 10,
                offline: 15,
                partition: 15,
                link_cut: 15,
                clog: 10,
                injection: 30,
                clock: 15,
                retry: 15,
                majority: 6,
                upgrade: 8,
                ..links
            },
            Profile::Schema => Mix {
                crash: 8,
                refusal: 10,
                offline: 15,
                partition: 15,
                link_cut: 6,
                majority: 4,
                tables: 25,
                ddl: 120,
                ..links
            },
            Profile::Offline => Mix {
                wait_ms_max: 600_000,
                loss: 50,
                repeat: 50,
                reorder: 50,
                corrupt: 0,
                has_false_clocks: true,
                crash: 5,
                pause: 3,
                offline: 60,
                partition: 5,
                clock: 4,
                retry: 6,
                majority: 4,
                ..links
            },
            Profile::Server => Mix {
                replicas: (5, 8),
                is_main_required: true,
                loss: 50,
                repeat: 50,
                reorder: 50,
                corrupt: 20,
                has_narrow_links: true,
                crash: 30,
                pause: 10,
                disk: 20,
                store: 20,
                refusal: 10,
                offline: 12,
                link_cut: 6,
                clog: 6,
                retry: 20,
                majority: 6,
                upgrade: 8,
                ..links
            },
            Profile::Transactions => Mix {
                replicas: (3, 5),
                loss: 100,
                repeat: 100,
                reorder: 100,
                corrupt: 50,
                crash: 20,
                pause: 6,
                wipe: 3,
                clone: 3,
                disk: 15,
                store: 3,
                offline: 12,
                partition: 12,
                link_cut: 12,
                clog: 6,
                clock: 3,
                retry: 10,
                majority: 4,
                is_voting: true,
                ..links
            },
        }
    }
}

/// The greatest rate of each kind of trouble. In half of all plans a kind does not come at all, in the others at any rate up
/// to this one. Messages by the thousand, jitter in milliseconds, and steps relative to each other, where the clients'
/// writes make about a hundred and fifty.
#[derive(Clone, Copy, Debug)]
struct Mix {
    /// From and to.
    replicas: (u32, u32),
    is_main_required: bool,
    wait_ms_max: u64,
    loss: u32,
    repeat: u32,
    reorder: u32,
    corrupt: u32,
    jitter: u32,
    /// Some clusters lie far apart.
    has_far_links: bool,
    has_narrow_links: bool,
    /// Clocks are wrong from the beginning, and gain or lose.
    has_false_clocks: bool,
    crash: u32,
    pause: u32,
    wipe: u32,
    clone: u32,
    disk: u32,
    store: u32,
    /// Databases that refuse a part of the schema.
    refusal: u32,
    offline: u32,
    partition: u32,
    link_cut: u32,
    clog: u32,
    injection: u32,
    clock: u32,
    /// Clients that submit what they have an answer to.
    retry: u32,
    /// A majority that heals and comes to rest while the others stay broken.
    majority: u32,
    /// Hosts that start with an older version and are upgraded.
    upgrade: u32,
    tables: u32,
    ddl: u32,
    /// Most writes are voted on, in most plans under constraints, with values that meet.
    is_voting: bool,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Profile::ALL.into_iter().find(|profile| profile.name() == text);
        known.ok_or_else(|| format!("`{text}` is no profile; choose {}", Profile::ALL.map(Profile::name).join(", ")))
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
    let plan = strategy(profile).new_tree(&mut runner).expect("the strategy rejects nothing").current();
    with_compaction(plan, seed)
}

/// In a third of all plans with a main the main is asked now and then to forget what nobody needs any more, and waits for
/// nobody for long. Nobody hands a transaction to another replica then: what it became may be forgotten.
fn with_compaction(mut plan: Plan, seed: Seed) -> Plan {
    let mut stream = seed.stream("compaction", &[]);
    let is_possible = plan.options.has_main && plan.options.older_hosts.is_empty();
    if !is_possible || !stream.chance_permille(333) {
        return plan;
    }
    plan.options.retention_ms = [0, 300, 1_000, 5_000][stream.up_to(3) as usize];
    plan.steps.retain(|step| !matches!(step, Step::SubmitAgainElsewhere { .. }));
    for _ in 0..2 + stream.up_to(8) {
        let place = stream.up_to(plan.steps.len() as u64) as usize;
        plan.steps.insert(place, Step::Compact);
    }
    plan
}

/// Random plans.
pub fn strategy(profile: Profile) -> BoxedStrategy<Plan> {
    let mix = profile.mix();
    let steps = weights(mix).prop_flat_map(move |weights| vec((step(&weights, mix), pause()), 32..50));
    let all = (options(mix), opening(), steps);
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

/// Off in half of all plans, else any rate up to the greatest.
fn up_to(greatest: u32) -> BoxedStrategy<u32> {
    if greatest == 0 { Just(0).boxed() } else { sometimes(1..greatest + 1).boxed() }
}

fn options(mix: Mix) -> BoxedStrategy<Options> {
    let has_main = if mix.is_main_required { Just(true).boxed() } else { any::<bool>().boxed() };
    // A run has few authors; so that summaries are met at all, every other run sends nothing else.
    let whole_heads_max = prop_oneof![Just(0), Just(Options::default().whole_heads_max)];
    let (fewest, most) = mix.replicas;
    // So short a history is never sealed; in half of all plans one of a few changes is.
    let chunk_numbers = prop_oneof![Just(Options::default().chunk_numbers), 1..4_u32];
    let critical_tables = prop_oneof![3 => Just(Vec::new()), 1 => Just(vec!["City".to_owned()])];
    let transfer = (whole_heads_max, critical_tables, chunk_numbers);
    let others = u32::from(mix.upgrade > 0);
    let older_hosts = prop_oneof![3 => Just(BTreeSet::new()), others => btree_set(0..most, 1..4)];
    (fewest..=most, has_main, links(mix), transfer, clocks(mix), older_hosts)
        .prop_map(
            |(
                replicas,
                has_main,
                links,
                (whole_heads_max, critical_tables, chunk_numbers),
                (skew_ms, drift_ppm),
                older_hosts,
            )| {
                Options {
                    replicas,
                    has_main,
                    links,
                    whole_heads_max,
                    critical_tables,
                    chunk_numbers,
                    skew_ms,
                    drift_ppm,
                    older_hosts,
                    ..Options::default()
                }
            },
        )
        .boxed()
}

/// What clocks are wrong by, and what they gain in a million.
fn clocks(mix: Mix) -> BoxedStrategy<(Vec<i64>, Vec<i32>)> {
    if !mix.has_false_clocks {
        return Just((Vec::new(), Vec::new())).boxed();
    }
    let (day, at_the_bound) = (86_400_000_i64, DRIFT_MS_MAX - 100..DRIFT_MS_MAX + 500);
    let skew = prop_oneof![2 => Just(0), 2 => -2_000..2_000_i64, 1 => at_the_bound, 1 => -day..day];
    let skew = prop_oneof![Just(Vec::new()), vec(skew, 5)];
    let drift = prop_oneof![2 => Just(0), 2 => -200..200_i32, 1 => -100_000..100_000_i32];
    (skew, prop_oneof![3 => Just(Vec::new()), 1 => vec(drift, 5)]).boxed()
}

fn links(mix: Mix) -> impl Strategy<Value = LinkOptions> {
    let far = u32::from(mix.has_far_links);
    let latency = prop_oneof![1 => (Just(1), 2..20_u64), far => (5..50_u64, 50..400_u64)];
    let narrow = u32::from(mix.has_narrow_links);
    let bandwidth = prop_oneof![3 => Just(0), narrow => 10_000..300_000_u64];
    let rates = (up_to(mix.loss), up_to(mix.repeat), up_to(mix.reorder), up_to(mix.corrupt));
    (rates, latency, up_to(mix.jitter), bandwidth).prop_map(
        |(rates, (latency_ms_min, latency_ms_max), jitter, bytes_per_second_max)| {
            let (loss_permille, repeat_permille, reorder_permille, corrupt_permille) = rates;
            LinkOptions {
                loss_permille,
                repeat_permille,
                reorder_permille,
                corrupt_permille,
                latency_ms_min,
                latency_ms_max,
                jitter_ms_max: u64::from(jitter),
                bytes_per_second_max,
                faulty_messages: None,
            }
        },
    )
}

/// How often each kind of step comes, relative to the others.
#[derive(Clone, Debug)]
struct Weights {
    crash: u32,
    pause: u32,
    wipe: u32,
    clone: u32,
    disk: u32,
    store: u32,
    refusal: u32,
    offline: u32,
    partition: u32,
    link_cut: u32,
    clog: u32,
    injection: u32,
    clock: u32,
    retry: u32,
    majority: u32,
    upgrade: u32,
    tables: u32,
    rule: u32,
    ddl: u32,
    increment: u32,
    strict: u32,
    again: u32,
    delete: u32,
    transaction: u32,
    constraint: u32,
}

fn weights(mix: Mix) -> BoxedStrategy<Weights> {
    let hosts = (up_to(mix.crash), up_to(mix.pause), up_to(mix.wipe), up_to(mix.clone));
    let keeps = (up_to(mix.disk), up_to(mix.store), up_to(mix.refusal));
    let network =
        (up_to(mix.offline), up_to(mix.partition), up_to(mix.link_cut), up_to(mix.clog), up_to(mix.injection));
    let clients = (up_to(mix.clock), up_to(mix.retry), up_to(mix.majority), up_to(mix.upgrade));
    let ddl = sometimes(2..mix.ddl);
    let writes = (1..mix.tables, sometimes(1..6), ddl, sometimes(1..40), sometimes(1..12), sometimes(1..6), 1..12_u32);
    let votes = if mix.is_voting {
        (80..250_u32, prop_oneof![1 => Just(0_u32), 4 => 2..16_u32]).boxed()
    } else {
        (sometimes(8..60), prop_oneof![3 => Just(0_u32), 1 => Just(2)]).boxed()
    };
    (hosts, keeps, network, clients, writes, votes)
        .prop_map(|(hosts, keeps, network, clients, writes, (transaction, constraint))| {
            let (tables, rule, ddl, increment, strict, again, delete) = writes;
            let (crash, pause, wipe, clone) = hosts;
            let (disk, store, refusal) = keeps;
            let (offline, partition, link_cut, clog, injection) = network;
            let (clock, retry, majority, upgrade) = clients;
            Weights {
                crash,
                pause,
                wipe,
                clone,
                disk,
                store,
                refusal,
                offline,
                partition,
                link_cut,
                clog,
                injection,
                clock,
                retry,
                majority,
                upgrade,
                tables,
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

fn step(weights: &Weights, mix: Mix) -> Union<BoxedStrategy<Step>> {
    let replica = || 0..64_u32;
    let number = || 0..1_000_u32;
    // Numbers a little above and below 0, and few of them.
    let voted = if mix.is_voting { 492..512_u32 } else { number() };
    let choices: Vec<(u32, BoxedStrategy<Step>)> = vec![
        (2, (300..mix.wait_ms_max).prop_map(|ms| Step::Wait { ms }).boxed()),
        (
            weights.tables,
            (replica(), number()).prop_map(|(replica, table)| Step::CreateTable { replica, table }).boxed(),
        ),
        (
            16,
            (replica(), number(), number(), number())
                .prop_map(|(replica, table, key, value)| Step::CreateNode { replica, table, key, value })
                .boxed(),
        ),
        (
            110,
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
            (replica(), 0..32_u64, number(), 0..3_u32, 0..3_u32, voted)
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
            (replica(), prop_oneof![Just(0), 1..12_u32], prop_oneof![2 => Just(0), 1 => 1..600_u64])
                .prop_map(|(replica, after_outputs, kept_bytes)| Step::Crash { replica, after_outputs, kept_bytes })
                .boxed(),
        ),
        (3 * weights.crash + weights.disk, replica().prop_map(|replica| Step::Restart { replica }).boxed()),
        (weights.pause, replica().prop_map(|replica| Step::Pause { replica }).boxed()),
        (2 * weights.pause, replica().prop_map(|replica| Step::Resume { replica }).boxed()),
        (weights.wipe, replica().prop_map(|replica| Step::Wipe { replica }).boxed()),
        (weights.clone, (replica(), replica()).prop_map(|(replica, other)| Step::Clone { replica, other }).boxed()),
        (
            2 * weights.disk,
            (replica(), disk_fault())
                .prop_map(|(replica, (fault, after))| Step::FailDisk { replica, fault, after })
                .boxed(),
        ),
        (
            weights.disk,
            (replica(), 1..4_000_u64).prop_map(|(replica, sync_ms)| Step::SlowDisk { replica, sync_ms }).boxed(),
        ),
        (2 * weights.disk, replica().prop_map(|replica| Step::MendDisk { replica }).boxed()),
        (
            weights.store,
            (replica(), prop_oneof![Just(StoreFault::Error), Just(StoreFault::Abandonment)], 0..6_u32)
                .prop_map(|(replica, fault, after_statements)| Step::FailStore { replica, fault, after_statements })
                .boxed(),
        ),
        (
            weights.refusal,
            (replica(), select(client::refusals()))
                .prop_map(|(replica, refusal)| Step::RefuseSchema { replica, refusal })
                .boxed(),
        ),
        (2 * weights.refusal, replica().prop_map(|replica| Step::AcceptSchema { replica }).boxed()),
        (weights.retry, Just(Step::SubmitAgain).boxed()),
        (weights.majority, (1..256_u64).prop_map(|out| Step::SettleMajority { out }).boxed()),
        (weights.upgrade, replica().prop_map(|replica| Step::Upgrade { replica }).boxed()),
        (
            weights.clog,
            (replica(), replica(), 1..6_000_u64)
                .prop_map(|(replica, other, ms)| Step::Clog { replica, other, ms })
                .boxed(),
        ),
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

/// A disk is written to often and read seldom.
fn disk_fault() -> BoxedStrategy<(DiskFault, u32)> {
    let write = prop_oneof![Just(DiskFault::Write), Just(DiskFault::Full)];
    prop_oneof![2 => (write, 0..6_u32), 1 => (Just(DiskFault::Read), Just(0))].boxed()
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
