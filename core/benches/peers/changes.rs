//! Two writers are apart while each sets 10,000 names among the same 3,000 rows, a hundred in a transaction. Then one gets
//! what the other wrote: bytes for each operation, and the time from those bytes to the merged graph.
//!
//! The engine also keeps what the peers do not: who had seen what, every transaction's identity, and an audit of every
//! concurrent loss.

use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjType, ROOT};
use criterion::{BatchSize, Criterion, Throughput};
use kuzusync_core::block::Compression;
use kuzusync_core::clock::{Instant, Now};
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, TxId};
use kuzusync_core::message::{Cursor, Delivery, Message, Record, Role};
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{Properties, Statement, Transaction};
use kuzusync_core::value::Type;
use kuzusync_peers::{OPERATIONS, ROWS, TRANSACTION, compressed, writes};
use loro::{ExportMode, LoroDoc, LoroMap};
use yrs::updates::decoder::Decode;
use yrs::{Doc, Map, MapPrelim, MapRef, ReadTxn, StateVector, Transact, Update};

fn now() -> Now {
    Now { monotonic: Instant(0), wall_ms: 1_700_000_000_000 }
}

// ---- the engine ----

struct Engine {
    replica: Replica,
    records: Vec<Record>,
    transmitted: Vec<Vec<u8>>,
}

impl Engine {
    fn open(name: u8, records: Vec<Record>) -> Engine {
        let config = Config { queue_operations_max: usize::MAX, ..Config::new(Role::Peer, DatabaseId([1; 16])) };
        let replica = Replica::open(config, [name; 32], &records).unwrap();
        let mut engine = Engine { replica, records, transmitted: Vec::new() };
        engine.carry_out();
        engine
    }

    fn carry_out(&mut self) {
        loop {
            match self.replica.poll_output() {
                Output::Timeout(_) => return,
                Output::Persist(record) => self.records.push(record),
                Output::Transmit { bytes, .. } => self.transmitted.push(bytes),
                _ => {}
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.replica.handle_input(now(), input).unwrap();
        self.carry_out();
    }

    fn submit(&mut self, tx: u64, statements: Vec<Statement>) {
        let mut id = TxId::default();
        id.0[..8].copy_from_slice(&tx.to_le_bytes());
        // Identities of transactions are random to whoever compresses them.
        id.0[8..].copy_from_slice(&tx.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
        self.input(Input::Local(Transaction { tx: id, statements, ..Transaction::default() }));
    }

    fn write(&mut self, tx: u64, writes: &[(usize, String)]) {
        for (number, batch) in (0..).zip(writes.chunks(TRANSACTION)) {
            let update = |(row, name): &(usize, String)| {
                let properties = Properties::from([("name".into(), name.as_str().into())]);
                Statement::UpdateNode { table: "User".into(), key: (*row as i64).into(), properties }
            };
            self.submit(tx + number, batch.iter().map(update).collect());
        }
    }

    /// Everything that whoever holds `cursor` lacks.
    fn lacking(&self, cursor: &Cursor) -> Vec<Delivery> {
        let entries = self.replica.log().entries().filter(|entry| !cursor.seen.contains(entry.change.id));
        entries.map(Delivery::Change).collect()
    }

    /// Takes the bytes in, as from a peer that it has a session with.
    fn take_in(&mut self, frame: &[u8]) {
        self.input(Input::Receive { from: Peer(0), bytes: frame.to_vec() });
    }
}

fn base() -> Engine {
    let mut base = Engine::open(9, Vec::new());
    let column = |name: &str, column_type| Column::new(name, column_type);
    let columns = vec![column("id", Type::Int64), column("name", Type::String)];
    let table = Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() };
    base.submit(1, vec![table]);
    let create = |row: usize| {
        let properties = [("id".into(), (row as i64).into()), ("name".into(), "nobody".into())];
        Statement::CreateNode { table: "User".into(), properties: Properties::from(properties) }
    };
    base.submit(2, (0..ROWS).map(create).collect());
    base
}

/// A replica that holds the base, wrote its own part of the work, and has a session with the other.
fn writer(name: u8, base: &Engine, other: &Replica) -> Engine {
    let mut writer = Engine::open(name, Vec::new());
    let mut records = writer.records.clone();
    records.extend(base.records[1..].iter().cloned());
    writer = Engine::open(name, records);
    writer.write(u64::from(name) * 1_000, &writes(u64::from(name)));
    greet(&mut writer, other);
    writer
}

fn greet(engine: &mut Engine, other: &Replica) {
    use kuzusync_core::message::{Hello, PROTOCOL_VERSION, SyncMode};
    let hello = Hello {
        protocol_version: PROTOCOL_VERSION.to_owned(),
        mode: SyncMode::Incremental,
        database: DatabaseId([1; 16]),
        replica: other.id(),
        role: Role::Peer,
        cursor: engine.replica.log().cursor().of_authors(&other.log().cursor().seen),
        tip: Default::default(),
        schema_version: 0,
        heads: kuzusync_core::summary::Told::Whole,
        is_reply: true,
    };
    engine.input(Input::Receive { from: Peer(0), bytes: Message::Hello(hello).encode() });
}

fn canonical_json(deliveries: &[Delivery]) -> usize {
    deliveries.iter().map(|delivery| serde_json_canonicalizer::to_vec(delivery).unwrap().len()).sum()
}

fn clone_of(engine: &Engine, name: u8, other: &Replica) -> Engine {
    let mut clone = Engine::open(name, engine.records.clone());
    greet(&mut clone, other);
    clone
}

// ---- the peers ----

fn automerge_base() -> (AutoCommit, Vec<automerge::ObjId>) {
    let mut doc = AutoCommit::new();
    let users = doc.put_object(ROOT, "User", ObjType::Map).unwrap();
    let rows: Vec<_> = (0..ROWS)
        .map(|row| {
            let row = doc.put_object(&users, row.to_string(), ObjType::Map).unwrap();
            doc.put(&row, "name", "nobody").unwrap();
            row
        })
        .collect();
    doc.commit();
    (doc, rows)
}

fn automerge_write(doc: &mut AutoCommit, rows: &[automerge::ObjId], seed: u64) -> Vec<u8> {
    let heads = doc.get_heads();
    for batch in writes(seed).chunks(TRANSACTION) {
        for (row, name) in batch {
            doc.put(&rows[*row], "name", name.as_str()).unwrap();
        }
        doc.commit();
    }
    doc.save_after(&heads)
}

fn loro_rows(doc: &LoroDoc) -> Vec<LoroMap> {
    let users = doc.get_map("User");
    let row = |row: usize| users.get(&row.to_string()).unwrap().into_container().unwrap().into_map().unwrap();
    (0..ROWS).map(row).collect()
}

fn loro_base() -> LoroDoc {
    let doc = LoroDoc::new();
    doc.set_peer_id(9).unwrap();
    let users = doc.get_map("User");
    for row in 0..ROWS {
        let row = users.insert_container(&row.to_string(), LoroMap::new()).unwrap();
        row.insert("name", "nobody").unwrap();
    }
    doc.commit();
    doc
}

fn loro_write(doc: &LoroDoc, seed: u64) -> Vec<u8> {
    doc.set_peer_id(seed).unwrap();
    let before = doc.oplog_vv();
    let rows = loro_rows(doc);
    for batch in writes(seed).chunks(TRANSACTION) {
        for (row, name) in batch {
            rows[*row].insert("name", name.as_str()).unwrap();
        }
        doc.commit();
    }
    doc.export(ExportMode::updates(&before)).unwrap()
}

fn yrs_with(client: u64, base: Option<&[u8]>) -> Doc {
    let doc = Doc::with_client_id(client);
    let users = doc.get_or_insert_map("User");
    let mut transaction = doc.transact_mut();
    match base {
        Some(base) => transaction.apply_update(Update::decode_v1(base).unwrap()).unwrap(),
        None => {
            for row in 0..ROWS {
                let row: MapRef = users.insert(&mut transaction, row.to_string(), MapPrelim::default());
                row.insert(&mut transaction, "name", "nobody");
            }
        }
    }
    drop(transaction);
    doc
}

fn yrs_state(doc: &Doc) -> Vec<u8> {
    doc.transact().encode_diff_v1(&StateVector::default())
}

fn yrs_write(doc: &Doc, seed: u64) -> [Vec<u8>; 2] {
    let users = doc.get_or_insert_map("User");
    let before = doc.transact().state_vector();
    let rows: Vec<MapRef> = {
        let transaction = doc.transact();
        (0..ROWS).map(|row| users.get(&transaction, &row.to_string()).unwrap().cast().unwrap()).collect()
    };
    for batch in writes(seed).chunks(TRANSACTION) {
        let mut transaction = doc.transact_mut();
        for (row, name) in batch {
            rows[*row].insert(&mut transaction, "name", name.as_str());
        }
    }
    let transaction = doc.transact();
    [transaction.encode_diff_v1(&before), transaction.encode_diff_v2(&before)]
}

fn yrs_shown(doc: &Doc) -> String {
    use yrs::types::ToJson;
    let users = doc.get_or_insert_map("User");
    let any = users.to_json(&doc.transact());
    let mut json = String::new();
    any.to_json(&mut json);
    serde_json::from_str::<serde_json::Value>(&json).unwrap().to_string()
}

// ---- the measurements ----

fn told(name: &str, raw: usize, small: usize) {
    let each = |bytes: usize| bytes as f64 / OPERATIONS as f64;
    println!("{name:<28} {:>7.2} bytes per operation, {:>6.2} after zstd 3", each(raw), each(small));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let mut group = criterion.benchmark_group("merge of 10,000 remote operations");
    group.throughput(Throughput::Elements(OPERATIONS as u64));

    // The engine.
    let base = base();
    let stranger = Engine::open(2, Vec::new());
    let here = writer(1, &base, &stranger.replica);
    let there = writer(2, &base, &here.replica);
    let lacking = there.lacking(&here.replica.log().cursor());
    let message = Message::Changes { clock: Default::default(), deliveries: lacking.clone() };
    let [raw, frame] = [Compression::None, Compression::Normal].map(|level| message.encode_with(level));
    {
        let back =
            Message::Changes { clock: Default::default(), deliveries: here.lacking(&there.replica.log().cursor()) };
        let mut one = clone_of(&here, 1, &there.replica);
        let mut other = clone_of(&there, 2, &here.replica);
        one.take_in(&frame);
        other.take_in(&back.encode());
        assert_eq!(one.replica.view(), other.replica.view(), "the engine's two sides disagree");
        assert_eq!(one.replica.audit(), other.replica.audit(), "their audits disagree");
        assert!(one.replica.audit().len() > 1_000, "there are conflicts");
    }
    told("kuzusync", raw.len(), frame.len());
    let json = canonical_json(&lacking);
    let saved = 100.0 * (1.0 - frame.len() as f64 / json as f64);
    println!("{:<28} {:>7.2} bytes per operation as canonical JSON: {saved:.1} % saved", "", json as f64 / 1e4);
    group.bench_function("kuzusync", |bencher| {
        let fresh = || clone_of(&here, 1, &there.replica);
        bencher.iter_batched(fresh, |mut engine| (engine.take_in(&frame), engine), BatchSize::LargeInput);
    });

    // Automerge.
    let (mut doc, rows) = automerge_base();
    let (mut one, mut other) = (doc.fork(), doc.fork());
    let [from_one, from_other] = [automerge_write(&mut one, &rows, 1), automerge_write(&mut other, &rows, 2)];
    {
        let (mut left, mut right) = (one.clone(), other.clone());
        left.load_incremental(&from_other).unwrap();
        right.load_incremental(&from_one).unwrap();
        let shown = |doc: &AutoCommit| serde_json::to_string(&automerge::AutoSerde::from(doc)).unwrap();
        assert_eq!(shown(&left), shown(&right), "automerge's two sides disagree");
    }
    told("automerge", from_other.len(), compressed(&from_other));
    group.bench_function("automerge", |bencher| {
        let merge = |mut doc: AutoCommit| (doc.load_incremental(&from_other).unwrap(), doc);
        bencher.iter_batched(|| one.clone(), merge, BatchSize::LargeInput);
    });

    // Loro.
    let doc = loro_base();
    let (one, other) = (doc.fork(), doc.fork());
    let [from_one, from_other] = [loro_write(&one, 1), loro_write(&other, 2)];
    {
        let (left, right) = (one.fork(), other.fork());
        left.import(&from_other).unwrap();
        right.import(&from_one).unwrap();
        assert_eq!(left.get_deep_value(), right.get_deep_value(), "loro's two sides disagree");
    }
    told("loro", from_other.len(), compressed(&from_other));
    group.bench_function("loro", |bencher| {
        let merge = |doc: LoroDoc| (doc.import(&from_other).unwrap(), doc);
        bencher.iter_batched(|| one.fork(), merge, BatchSize::LargeInput);
    });

    // Yrs.
    let base = yrs_state(&yrs_with(9, None));
    let (one, other) = (yrs_with(1, Some(&base)), yrs_with(2, Some(&base)));
    let [[from_one, _], [from_other, v2]] = [yrs_write(&one, 1), yrs_write(&other, 2)];
    let state = yrs_state(&one);
    {
        let (left, right) = (yrs_with(3, Some(&state)), yrs_with(4, Some(&yrs_state(&other))));
        left.transact_mut().apply_update(Update::decode_v1(&from_other).unwrap()).unwrap();
        right.transact_mut().apply_update(Update::decode_v1(&from_one).unwrap()).unwrap();
        assert_eq!(yrs_shown(&left), yrs_shown(&right), "yrs' two sides disagree");
    }
    told("yrs, version 1", from_other.len(), compressed(&from_other));
    told("yrs, version 2", v2.len(), compressed(&v2));
    group.bench_function("yrs", |bencher| {
        let merge = |doc: Doc| {
            doc.transact_mut().apply_update(Update::decode_v1(&from_other).unwrap()).unwrap();
            doc
        };
        bencher.iter_batched(|| yrs_with(3, Some(&state)), merge, BatchSize::LargeInput);
    });
    group.finish();
    criterion.final_summary();
}
