//! What the main decides, what fails, and what becomes of it: epochs, rejections, stamps, strict changes, circles, compaction.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;
use std::sync::Arc;

use kuzusync_core::Error;
use kuzusync_core::change::{Change, Op};
use kuzusync_core::clock::{Instant, Now};
use kuzusync_core::compaction::RETENTION;
use kuzusync_core::ddl::{Column, Rule};
use kuzusync_core::id::{ChangeId, DatabaseId, Digest, ReplicaId, TxId};
use kuzusync_core::message::{Delivery, Entry, Message, Protocol, Record, Role};
use kuzusync_core::policy::Policy;
use kuzusync_core::replica::{Config, EPOCH_WINDOW, Input, Notice, Output, Replica};
use kuzusync_core::ruling::{Reason, Ruling};
use kuzusync_core::session::Peer;
use kuzusync_core::snapshot::ResyncReason;
use kuzusync_core::statement::{Properties, Statement, Transaction};
use kuzusync_core::value::{Type, Value};

const MAIN: usize = 0;
const HOUR_MS: i64 = 3_600_000;

struct Node {
    replica: Replica,
    records: Vec<Record>,
    notices: Vec<Notice>,
    wall_ms: i64,
    now_us: u64,
    is_online: bool,
}

/// A main and its edges; frames to and from a node that is not online are lost.
struct Star(Vec<Node>);

impl Star {
    fn open(edges: usize) -> Star {
        let role = |name| if name == MAIN { Role::Main } else { Role::Edge };
        let mut star = Star((0..=edges).map(|name| Node::open(role(name), name, Vec::new())).collect());
        (1..=edges).for_each(|edge| star.connect(edge));
        star
    }

    fn input(&mut self, at: usize, input: Input) -> Result<(), Error> {
        let mut on_their_way = VecDeque::new();
        let result = self.step(at, input, &mut on_their_way);
        while let Some((from, to, bytes)) = on_their_way.pop_front() {
            if self.0[from].is_online && self.0[to].is_online {
                self.step(to, Input::Receive { from: Peer(from as u32), bytes }, &mut on_their_way).unwrap();
            }
        }
        result
    }

    fn step(
        &mut self,
        at: usize,
        input: Input,
        on_their_way: &mut VecDeque<(usize, usize, Vec<u8>)>,
    ) -> Result<(), Error> {
        let node = &mut self.0[at];
        let now = Now { monotonic: Instant(node.now_us), wall_ms: node.wall_ms };
        let result = node.replica.handle_input(now, input);
        on_their_way.extend(node.carry_out().into_iter().map(|(to, bytes)| (at, to, bytes)));
        result
    }

    fn connect(&mut self, edge: usize) {
        self.0[edge].is_online = true;
        self.input(edge, Input::Connected(Peer(MAIN as u32))).unwrap();
    }

    fn disconnect(&mut self, edge: usize) {
        self.0[edge].is_online = false;
        self.input(edge, Input::Disconnected(Peer(MAIN as u32))).unwrap();
        self.input(MAIN, Input::Disconnected(Peer(edge as u32))).unwrap();
    }

    fn pass_epoch_window(&mut self) {
        self.0[MAIN].now_us += u64::try_from(EPOCH_WINDOW.as_micros()).unwrap();
        self.input(MAIN, Input::Timeout).unwrap();
    }

    fn submit(&mut self, at: usize, tx: u8, statement: Statement) -> Result<(), Error> {
        let transaction = Transaction { tx: TxId([tx; 16]), statements: vec![statement], ..Transaction::default() };
        self.input(at, Input::Local(transaction))
    }

    fn submit_strictly(&mut self, at: usize, tx: u8, statement: Statement) {
        let (tx, statements) = (TxId([tx; 16]), vec![statement]);
        self.input(at, Input::Local(Transaction { tx, statements, is_strict: true, ..Transaction::default() }))
            .unwrap();
    }

    /// Every replica shows this name of user 1, and everybody agrees about everything.
    fn assert_name(&self, name: &str) {
        let main = &self.0[MAIN].replica;
        for node in &self.0 {
            assert_eq!(node.name(), Some(Value::from(name)));
            assert_eq!(node.replica.view(), main.view());
            assert_eq!(node.replica.audit(), main.audit());
            assert_eq!(node.replica.log().cursor(), main.log().cursor());
            assert_eq!(node.replica.pending(), []);
        }
    }

    /// Each replica opened again from its records is the same.
    fn assert_restored(&self) {
        for (name, node) in self.0.iter().enumerate() {
            let again = Node::open(node.replica.role(), name, node.records.clone());
            assert_eq!(again.replica.view(), node.replica.view());
            assert_eq!(again.replica.audit(), node.replica.audit());
            assert_eq!(again.replica.log().cursor(), node.replica.log().cursor());
            assert_eq!(again.replica.queue().operations(), node.replica.queue().operations());
            assert_eq!(again.replica.log().failed().count(), node.replica.log().failed().count());
        }
    }
}

impl Node {
    fn open(role: Role, name: usize, records: Vec<Record>) -> Node {
        let config = Config::new(role, DatabaseId([7; 16]));
        let replica = Replica::open(config, [name as u8; 32], &records).unwrap();
        let (notices, wall_ms, now_us, is_online) = (Vec::new(), 24 * HOUR_MS, 0, true);
        let mut node = Node { replica, records, notices, wall_ms, now_us, is_online };
        node.carry_out();
        node
    }

    fn carry_out(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            match self.replica.poll_output() {
                Output::Timeout(_) => return frames,
                Output::Persist(record) => self.records.push(record),
                Output::Transmit { to: Peer(to), bytes } => frames.push((to as usize, bytes)),
                Output::Notify(notice) => self.notices.push(notice),
                Output::View(_) | Output::Rebuild(_) => {}
            }
        }
    }

    fn name(&self) -> Option<Value> {
        self.replica.view().node("User", &Value::from(1))?.get("name").cloned()
    }

    fn rejected(&self) -> Vec<Reason> {
        let reason = |notice: &Notice| match notice {
            Notice::Rejected { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.notices.iter().filter_map(reason).collect()
    }
}

fn table(name: &str) -> Statement {
    let column = |name: &str, column_type| Column::new(name, column_type);
    let columns = vec![column("id", Type::Int64), column("name", Type::String), column("visits", Type::Int64)];
    Statement::CreateNodeTable { table: name.into(), columns, primary_key: "id".into() }
}

fn create(table: &str, name: &str) -> Statement {
    let properties = Properties::from([("id".into(), 1.into()), ("name".into(), name.into())]);
    Statement::CreateNode { table: table.into(), properties }
}

fn rename(name: &str) -> Statement {
    let properties = Properties::from([("name".into(), name.into())]);
    Statement::UpdateNode { table: "User".into(), key: 1.into(), properties }
}

/// A main and its edges that know one user.
fn star_with_user(edges: usize) -> Star {
    let mut star = Star::open(edges);
    star.submit(MAIN, 1, table("User")).unwrap();
    star.submit(MAIN, 2, create("User", "Alice")).unwrap();
    star
}

#[test]
fn what_was_written_while_connected_beats_what_was_written_later_while_disconnected() {
    let mut star = star_with_user(2);
    star.disconnect(1);
    star.pass_epoch_window();
    star.0[1].wall_ms += HOUR_MS / 100;
    star.submit(1, 3, rename("inactive")).unwrap();
    star.submit(2, 4, rename("banned")).unwrap();
    star.connect(1);
    star.assert_name("banned");
    assert_eq!(star.0[1].replica.audit()[0].resolution.name(), "online_wins");
    star.assert_restored();
}

#[test]
fn replicas_that_disconnect_within_a_window_begin_one_epoch_at_its_end_and_a_main_that_starts_owes_one() {
    let epochs = |node: &Node| {
        node.notices.iter().filter(|notice| matches!(notice, Notice::Ruled { ruling: Ruling::Epoch(_), .. })).count()
    };
    let mut star = star_with_user(3);
    star.disconnect(1);
    star.disconnect(2);
    assert_eq!(epochs(&star.0[MAIN]), 0);
    star.pass_epoch_window();
    assert_eq!((epochs(&star.0[MAIN]), epochs(&star.0[3])), (1, 1));
    let mut main = Node::open(Role::Main, MAIN, star.0[MAIN].records.clone());
    assert_eq!(epochs(&main), 0);
    let at = |us| Now { monotonic: Instant(us), wall_ms: 0 };
    main.replica.handle_input(at(0), Input::Connected(Peer(1))).unwrap();
    let wake = u64::try_from(EPOCH_WINDOW.as_micros()).unwrap();
    main.replica.handle_input(at(wake), Input::Timeout).unwrap();
    main.carry_out();
    assert_eq!(epochs(&main), 1);
}

#[test]
fn a_change_stamped_too_far_ahead_is_rejected_and_written_anew_under_the_mains_time() {
    let mut star = star_with_user(2);
    star.0[1].wall_ms += 24 * HOUR_MS;
    star.submit(1, 3, rename("from tomorrow")).unwrap();
    assert!(matches!(star.0[1].rejected().as_slice(), [Reason::Drift { main_ms }] if *main_ms == 24 * HOUR_MS));
    star.assert_name("from tomorrow");
    star.0[2].wall_ms += 1_000;
    star.submit(2, 4, rename("a second later")).unwrap();
    star.assert_name("a second later");
    star.submit(1, 5, rename("with a clock that was set")).unwrap();
    assert_eq!(star.0[1].rejected().len(), 1, "what it writes from now on is stamped with the main's time");
    star.assert_restored();
}

#[test]
fn what_was_written_offline_with_a_wrong_clock_keeps_its_order_and_its_tables() {
    let mut star = Star::open(2);
    star.disconnect(1);
    star.0[1].wall_ms += 24 * HOUR_MS;
    star.submit(1, 3, table("User")).unwrap();
    star.submit(1, 4, create("User", "first")).unwrap();
    star.submit(1, 5, rename("second")).unwrap();
    star.connect(1);
    star.pass_epoch_window();
    star.assert_name("second");
    assert_eq!(star.0[1].rejected().len(), 3);
    star.assert_restored();
}

#[test]
fn of_three_strict_changes_to_one_version_exactly_one_wins() {
    let mut star = star_with_user(3);
    (1..=3).for_each(|edge| star.disconnect(edge));
    star.pass_epoch_window();
    for edge in 1..=3 {
        star.submit_strictly(edge, 10 + edge as u8, rename(&format!("edge {edge}")));
        assert_eq!(star.0[edge].name(), Some(Value::from(format!("edge {edge}").as_str())), "shown at once");
    }
    (1..=3).for_each(|edge| star.connect(edge));
    star.assert_name("edge 1");
    assert_eq!(star.0[1].rejected(), []);
    for edge in 2..=3 {
        assert!(matches!(star.0[edge].rejected().as_slice(), [Reason::VersionMismatch { expected: 2, .. }]));
    }
    assert_eq!(star.0[MAIN].replica.audit(), [], "what was rejected lost to nothing");
    star.submit_strictly(2, 20, rename("edge 2, having seen"));
    star.assert_name("edge 2, having seen");
    star.assert_restored();
}

#[test]
fn a_strict_change_after_an_own_one_is_not_stale() {
    let mut star = star_with_user(1);
    star.disconnect(1);
    star.submit(1, 3, rename("first")).unwrap();
    star.submit_strictly(1, 4, rename("second"));
    star.connect(1);
    star.pass_epoch_window();
    star.assert_name("second");
}

#[test]
fn one_transaction_handed_to_two_replicas_is_carried_out_once() {
    let mut star = star_with_user(2);
    star.disconnect(1);
    let visit =
        || Statement::IncrementNode { table: "User".into(), key: 1.into(), column: "visits".into(), by: 1.into() };
    star.submit(1, 9, visit()).unwrap();
    star.submit(2, 9, visit()).unwrap();
    star.connect(1);
    star.pass_epoch_window();
    assert!(matches!(star.0[1].rejected().as_slice(), [Reason::Duplicate { .. }]));
    star.assert_name("Alice");
    let view = star.0[1].replica.view();
    assert_eq!(view.node("User", &1.into()).unwrap()["visits"], Value::from(1));
}

#[test]
fn what_only_a_main_can_do_is_refused_without_one() {
    let config = Config::new(Role::Peer, DatabaseId([7; 16]));
    let mut peer = Replica::open(config, [1; 32], &[]).unwrap();
    let now = Now { monotonic: Instant(0), wall_ms: 0 };
    let mut submit = |tx, statement, is_strict| {
        let transaction =
            Transaction { tx: TxId([tx; 16]), statements: vec![statement], is_strict, ..Default::default() };
        peer.handle_input(now, Input::Local(transaction))
    };
    submit(1, table("User"), false).unwrap();
    let policy = |policy| Statement::SetRule { table: "User".into(), rule: Rule::Policy { column: None, policy } };
    assert_eq!(submit(2, policy(Policy::ServerOrder), false), Err(Error::NeedsMain { what: "server_order" }));
    assert_eq!(submit(3, policy(Policy::PreferMain), false), Err(Error::NeedsMain { what: "prefer_main" }));
    assert_eq!(submit(4, policy(Policy::LastWriteWins), false), Ok(()));
    assert_eq!(submit(5, create("User", "Alice"), true), Err(Error::NeedsMain { what: "strict mode" }));
}

/// What some author nobody here has met wrote, one change per statement, each altered before it is sent.
fn foreign(statements: Vec<Statement>, alter: impl Fn(u64, &mut Change)) -> Vec<Entry> {
    let mut author = Node::open(Role::Peer, 77, Vec::new());
    let mut star = Vec::new();
    for (number, statement) in (0_u8..).zip(statements) {
        let now = Now { monotonic: Instant(0), wall_ms: author.wall_ms };
        let tx = TxId([100 + number; 16]);
        let transaction = Transaction { tx, statements: vec![statement], ..Transaction::default() };
        author.replica.handle_input(now, Input::Local(transaction)).unwrap();
        author.carry_out();
    }
    let mut previous = Digest::default();
    for change in author.replica.log().changes() {
        let mut change = change.as_ref().clone();
        alter(change.id.seq, &mut change);
        change.previous = previous;
        previous = change.digest();
        star.push(Entry { change: Arc::new(change), lsn: None });
    }
    star
}

fn deliver(star: &mut Star, from: usize, to: usize, entries: Vec<Entry>) {
    let deliveries = entries.into_iter().map(Delivery::Change).collect();
    let bytes = Message::Changes { clock: Default::default(), deliveries }.encode();
    star.input(to, Input::Receive { from: Peer(from as u32), bytes }).unwrap();
}

/// The second change makes a table with a name that no table can have.
fn with_bad_second(statements: Vec<Statement>) -> Vec<Entry> {
    foreign(statements, |seq, change| {
        if seq == 2
            && let [Op::Schema(kuzusync_core::ddl::Ddl::CreateNodeTable { columns, .. })] = change.ops.as_mut_slice()
        {
            let again = columns[1].clone();
            columns.push(again);
        }
    })
}

#[test]
fn a_change_that_fails_at_the_main_is_rejected_for_all_and_what_names_its_results_with_it() {
    let mut star = Star::open(2);
    let statements = vec![table("User"), table("Bad"), create("Bad", "waits"), create("User", "Alice"), rename("Bob")];
    deliver(&mut star, 1, MAIN, with_bad_second(statements));
    star.assert_name("Bob");
    let log = star.0[2].replica.log();
    let seqs: Vec<u64> = log.rejections().map(|rejection| rejection.change.seq).collect();
    assert_eq!(seqs, [2, 3], "the bad one and the one that names what it would have made");
    assert!(log.rejections().all(|rejection| rejection.reason.name() == "invalid"));
    star.assert_restored();
}

fn peers() -> Star {
    let mut star = Star((0..3).map(|name| Node::open(Role::Peer, name, Vec::new())).collect());
    star.connect(1);
    star.connect(2);
    star
}

#[test]
fn without_a_main_a_failed_change_is_passed_alone_and_listed_and_what_names_its_results_waits_with_it() {
    let mut star = peers();
    let statements = vec![table("User"), table("Bad"), create("Bad", "waits"), create("User", "Alice"), rename("Bob")];
    let entries = with_bad_second(statements);
    let failed = |node: &Node| node.replica.log().failed().map(|(id, _)| id.seq).collect::<Vec<_>>();
    deliver(&mut star, 1, 0, entries.clone());
    // Replica 1 is taken to hold what came from it.
    for node in [&star.0[0], &star.0[2]] {
        assert_eq!(node.name(), Some("Bob".into()), "the rest goes on, at the next replica too");
        assert_eq!(failed(node), [2, 3]);
        assert!(!node.replica.log().seen().contains(entries[1].change.id), "a failed change was not seen");
    }
    star.assert_restored();
    let (bad, waits) = (entries[1].change.id, entries[2].change.id);
    assert!(matches!(star.input(0, Input::Retry(bad)), Err(Error::DuplicateColumn { .. })));
    assert_eq!(star.input(0, Input::Retry(entries[0].change.id)), Err(Error::NotFailed(entries[0].change.id)));
    star.input(0, Input::Dismiss(bad)).unwrap();
    assert_eq!(failed(&star.0[0]), [3]);
    assert!(matches!(star.input(0, Input::Retry(waits)), Err(Error::UnknownTable { .. })));
    star.assert_restored();
}

#[test]
fn a_failed_change_that_can_be_applied_now_is_retried_with_what_waited_for_it() {
    let mut star = peers();
    let table_later = foreign(vec![table("User"), create("User", "Alice"), rename("Bob")], |seq, change| {
        if seq == 1 {
            // What makes the table comes from elsewhere, later.
            change.ops = vec![Op::Delete { element: node_of("Nowhere") }];
        }
    });
    deliver(&mut star, 1, 0, table_later.clone());
    let failed = |node: &Node| node.replica.log().failed().map(|(id, _)| id.seq).collect::<Vec<_>>();
    assert_eq!((failed(&star.0[0]), star.0[0].name()), (vec![1, 2, 3], None));
    star.submit(0, 5, table("User")).unwrap();
    star.input(0, Input::Retry(table_later[1].change.id)).unwrap();
    assert_eq!(star.0[0].name(), Some("Bob".into()));
    assert_eq!(failed(&star.0[0]), [1]);
    star.assert_restored();
}

fn node_of(table: &str) -> kuzusync_core::change::Element {
    let table = kuzusync_core::id::TableId(Digest::of(&[table.as_bytes()]).0);
    kuzusync_core::change::Element::Node(kuzusync_core::change::Node { table, key: 1.into() })
}

#[test]
fn changes_that_depend_on_each_other_in_a_circle_are_refused_by_name_and_nothing_of_them_is_applied() {
    for has_main in [true, false] {
        let mut star = if has_main { Star::open(1) } else { peers() };
        let author = |name: u8, depends_on: ChangeId, statement| {
            let mut entry = foreign(vec![statement], |_, _| {}).remove(0);
            let change = Arc::make_mut(&mut entry.change);
            change.id.replica = ReplicaId([name; 16]);
            change.tx = TxId([name; 16]);
            change.depends_on = vec![depends_on];
            entry
        };
        let id = |name: u8| ChangeId { replica: ReplicaId([name; 16]), seq: 1 };
        let circle = vec![author(201, id(202), table("One")), author(202, id(201), table("Two"))];
        deliver(&mut star, 1, 0, circle);
        let node = &star.0[0];
        assert!(node.replica.view().tables.is_empty());
        let problems: Vec<String> = if has_main {
            node.replica.log().rejections().map(|rejection| rejection.reason.to_string()).collect()
        } else {
            node.replica.log().failed().map(|(_, problem)| problem.to_owned()).collect()
        };
        assert_eq!(problems.len(), 2);
        let names_both = |problem: &String| [201, 202].iter().all(|name| problem.contains(&id(*name).to_string()));
        assert!(problems.iter().all(names_both), "{problems:?}");
        star.submit(1, 9, table("User")).unwrap();
        assert!(star.0[0].replica.view().tables.contains_key("User"), "the session goes on");
        star.assert_restored();
    }
}

#[test]
fn no_ruling_from_outside_makes_an_edge_panic_or_lose_what_is_numbered() {
    use kuzusync_core::ruling::Rejection;
    let mut star = star_with_user(1);
    let numbered = star.0[1].replica.log().entries().next().unwrap().change;
    let reason = Reason::Duplicate { of: numbered.id };
    let rejection = |change| {
        let (tx, digest) = (numbered.tx, numbered.digest());
        Ruling::Rejection(Box::new(Rejection { change, tx, digest, reason: reason.clone() }))
    };
    let stranger = |seq| ChangeId { replica: ReplicaId([5; 16]), seq };
    let next = star.0[1].replica.log().next_lsn();
    let before = star.0[1].replica.view();
    let hostile = [
        (rejection(numbered.id), next),
        (rejection(numbered.id), 1),
        (rejection(stranger(7)), next),
        (rejection(stranger(0)), next),
        (rejection(stranger(u64::MAX)), next),
        (Ruling::Epoch(5), 0),
        (Ruling::Epoch(5), 1),
    ];
    for (ruling, lsn) in hostile {
        let bytes =
            Message::Changes { clock: Default::default(), deliveries: vec![Delivery::Ruling { ruling, lsn }] }.encode();
        let result = star.input(1, Input::Receive { from: Peer(0), bytes });
        assert!(matches!(result, Err(Error::ForeignNumber { .. })), "{result:?}");
        assert_eq!(star.0[1].replica.view(), before);
        star.connect(1);
    }
    star.submit(1, 9, rename("Bob")).unwrap();
    star.pass_epoch_window();
    star.assert_name("Bob");
}

// ---- compaction ----

/// The main has numbers that are a retention old, and is asked to forget.
fn compact(star: &mut Star) {
    star.input(MAIN, Input::Compact).unwrap();
    star.0[MAIN].now_us += u64::try_from(RETENTION.as_micros()).unwrap();
    // Everybody who is there is heard of again.
    let online: Vec<usize> = (1..star.0.len()).filter(|edge| star.0[*edge].is_online).collect();
    online.into_iter().for_each(|edge| star.connect(edge));
    star.pass_epoch_window();
    star.input(MAIN, Input::Compact).unwrap();
}

fn user(key: i64, name: &str) -> Statement {
    let properties = Properties::from([("id".into(), key.into()), ("name".into(), name.into())]);
    Statement::CreateNode { table: "User".into(), properties }
}

fn delete(key: i64) -> Statement {
    Statement::DeleteNode { table: "User".into(), key: key.into() }
}

fn kept(star: &Star, at: usize) -> Vec<u64> {
    star.0[at].replica.log().kept().filter_map(|delivery| delivery.lsn()).collect()
}

#[test]
fn what_nobody_needs_is_forgotten_everywhere_and_nobody_sees_a_difference() {
    let mut star = star_with_user(2);
    star.submit(1, 3, rename("Bob")).unwrap();
    star.submit(2, 4, rename("Cy")).unwrap();
    star.submit(1, 5, user(2, "Di")).unwrap();
    star.submit(2, 6, delete(2)).unwrap();
    let (before, counted) = (star.0[1].replica.view(), star.0[1].replica.sync_point().count);
    compact(&mut star);
    let cut = star.0[MAIN].replica.cut();
    assert!(cut >= 6, "{cut}");
    for at in 0..3 {
        let replica = &star.0[at].replica;
        assert_eq!((replica.cut(), replica.view()), (cut, before.clone()));
        assert_eq!(replica.snapshot(), star.0[MAIN].replica.snapshot());
        assert_eq!(kept(&star, at), [1, 2, 4], "the table, the user, and her last name");
        assert_eq!((replica.sync_point().count, replica.log().rejections().count()), (counted, 0));
    }
    star.submit(1, 7, rename("Ed")).unwrap();
    star.assert_name("Ed");
    star.assert_restored();
}

#[test]
fn a_delete_is_kept_while_what_it_deletes_is_part_of_a_change_that_is() {
    let mut star = star_with_user(1);
    let both = vec![user(2, "stays"), user(3, "goes")];
    star.input(1, Input::Local(Transaction { tx: TxId([3; 16]), statements: both, ..Transaction::default() })).unwrap();
    star.submit(1, 4, delete(3)).unwrap();
    let before = star.0[1].replica.view();
    compact(&mut star);
    assert_eq!(kept(&star, MAIN), [1, 2, 3, 4]);
    assert_eq!(star.0[1].replica.view(), before);
    star.submit(MAIN, 5, delete(2)).unwrap();
    compact(&mut star);
    assert_eq!(kept(&star, MAIN), [1, 2], "neither row is left");
    star.assert_restored();
}

#[test]
fn a_dropped_column_comes_back_after_a_compaction_only_where_a_write_brings_rows_back() {
    for revives in [true, false] {
        let mut star = star_with_user(1);
        let (table, column) = ("User".to_owned(), "name".to_owned());
        let rule = Statement::SetRule { table: table.clone(), rule: Rule::UpdateRevives(revives) };
        star.submit(1, 3, rule).unwrap();
        let drop = Statement::DropColumn { table: table.clone(), column: column.clone(), cascade: true };
        star.submit(1, 4, drop).unwrap();
        compact(&mut star);
        let undrop = star.submit(1, 5, Statement::UndropColumn { table, column });
        if revives {
            assert_eq!(undrop, Ok(()));
            star.assert_name("Alice");
        } else {
            assert_eq!(undrop, Err(Error::Purged { what: "column", name: "name".into() }));
        }
        star.assert_restored();
    }
}

#[test]
fn who_was_away_for_longer_takes_the_base_and_writes_anew_what_it_had_not_sent() {
    let mut star = star_with_user(2);
    star.disconnect(2);
    star.submit(2, 3, user(2, "of edge 2")).unwrap();
    star.submit(1, 4, delete(1)).unwrap();
    star.submit(1, 5, user(3, "of edge 1")).unwrap();
    star.input(MAIN, Input::Compact).unwrap();
    star.input(MAIN, Input::Compact).unwrap();
    assert_eq!(star.0[MAIN].replica.cut(), 0, "nothing is old enough");
    compact(&mut star);
    let (cut, known) = (star.0[MAIN].replica.cut(), star.0[2].replica.log().lsn_known());
    assert!(cut > known, "{cut} and {known}");
    star.connect(2);
    let is_told =
        |notice: &Notice| matches!(notice, Notice::ResyncRequired { peer: Peer(2), reason: ResyncReason::Compacted });
    assert!(star.0[MAIN].notices.iter().any(is_told));
    assert_eq!(star.0[2].rejected(), [Reason::Compacted { cut }]);
    let is_anew = |notice: &Notice| matches!(notice, Notice::WrittenAnew { .. });
    assert_eq!(star.0[2].notices.iter().filter(|notice| is_anew(notice)).count(), 1);
    for node in &star.0 {
        let view = node.replica.view();
        let users: Vec<_> = view.nodes["User"].keys().cloned().collect();
        assert_eq!(users, [Value::from(2), Value::from(3)]);
        assert_eq!((node.replica.cut(), node.replica.pending()), (cut, vec![]));
    }
    star.assert_restored();
}

#[test]
fn a_strict_change_of_who_was_away_is_not_written_anew_over_what_it_had_not_seen() {
    let mut star = star_with_user(2);
    star.disconnect(2);
    star.submit_strictly(2, 3, rename("strictly"));
    star.submit(1, 4, rename("meanwhile")).unwrap();
    compact(&mut star);
    star.connect(2);
    assert!(matches!(star.0[2].rejected()[..], [Reason::VersionMismatch { .. }]), "{:?}", star.0[2].rejected());
    star.assert_name("meanwhile");
}

#[test]
fn a_main_does_not_forget_what_a_replica_lacks_of_which_it_hears() {
    let mut star = star_with_user(2);
    star.disconnect(2);
    let known = star.0[2].replica.log().lsn_known();
    star.submit(1, 3, rename("Bob")).unwrap();
    star.input(MAIN, Input::Compact).unwrap();
    star.0[MAIN].now_us += u64::try_from(RETENTION.as_micros() / 2).unwrap();
    // It comes by for a moment.
    star.connect(2);
    star.disconnect(2);
    assert!(star.0[2].replica.log().lsn_known() > known);
    let known = star.0[2].replica.log().lsn_known();
    star.submit(1, 4, rename("Cy")).unwrap();
    star.input(MAIN, Input::Compact).unwrap();
    star.0[MAIN].now_us += u64::try_from(RETENTION.as_micros() / 2).unwrap();
    star.connect(1);
    star.pass_epoch_window();
    star.input(MAIN, Input::Compact).unwrap();
    let cut = star.0[MAIN].replica.cut();
    assert!(cut > 0 && cut <= known, "{cut}, and edge 2 knows {known}");
}

#[test]
fn a_replica_that_heard_what_its_main_has_lost_keeps_it_and_sends_it_again() {
    let mut star = star_with_user(2);
    let backup = star.0[MAIN].records.clone();
    star.submit(1, 3, rename("Bob")).unwrap();
    star.submit(2, 4, user(2, "Di")).unwrap();
    star.submit(1, 5, user(3, "Ed")).unwrap();
    let before = star.0[1].replica.view();
    star.disconnect(1);
    star.disconnect(2);
    star.0[MAIN] = Node::open(Role::Main, MAIN, backup);
    star.connect(1);
    let other = |reason| Notice::ResyncRequired { peer: Peer(1), reason };
    assert!(star.0[MAIN].notices.contains(&other(ResyncReason::OtherHistory)));
    star.connect(2);
    star.pass_epoch_window();
    for at in 0..3 {
        assert_eq!((star.0[at].replica.view(), star.0[at].replica.pending()), (before.clone(), vec![]));
    }
    star.assert_restored();
}

#[test]
fn records_are_written_anew_without_what_is_forgotten() {
    let mut star = star_with_user(2);
    (3..60).for_each(|tx| star.submit(1, tx, rename(&format!("name {tx}"))).unwrap());
    star.disconnect(2);
    star.submit(2, 60, user(2, "pending")).unwrap();
    star.connect(2);
    compact(&mut star);
    star.submit(1, 61, user(3, "after")).unwrap();
    star.disconnect(2);
    star.submit(2, 62, user(4, "queued")).unwrap();
    for (at, node) in star.0.iter_mut().enumerate() {
        let bytes = |records: &[Record]| records.iter().map(|record| record.encode().len()).sum::<usize>();
        let anew = node.replica.records().unwrap();
        assert!(bytes(&anew) * 4 < bytes(&node.records), "{at}: {} of {}", bytes(&anew), bytes(&node.records));
        node.records = anew;
    }
    star.assert_restored();
    let records = star.0[2].records.clone();
    star.0[2] = Node::open(Role::Edge, 2, records);
    star.0[2].is_online = false;
    star.connect(2);
    assert!(star.0[MAIN].replica.view().node("User", &4.into()).is_some(), "what was queued is sent");
}

#[test]
fn only_the_main_compacts_and_then_speaks_no_version_without_snapshots() {
    let mut star = star_with_user(1);
    assert_eq!(star.input(1, Input::Compact), Err(Error::NotMain { what: "compaction" }));
    compact(&mut star);
    assert!(star.0[MAIN].replica.cut() > 0);
    let config = Config { protocol: Protocol::V0_9, ..Config::new(Role::Edge, DatabaseId([7; 16])) };
    let mut older = Replica::open(config, [9; 32], &[]).unwrap();
    older.handle_input(Now { monotonic: Instant(0), wall_ms: 0 }, Input::Connected(Peer(MAIN as u32))).unwrap();
    let hello = std::iter::from_fn(|| match older.poll_output() {
        Output::Timeout(_) => None,
        output => Some(output),
    });
    let hello = hello.filter_map(|output| match output {
        Output::Transmit { bytes, .. } => Some(bytes),
        _ => None,
    });
    let bytes = hello.last().unwrap();
    let refused = star.input(MAIN, Input::Receive { from: Peer(1), bytes });
    assert_eq!(refused, Err(Error::ProtocolVersion { found: "0.9".into(), expected: "1.0".into() }));
}
