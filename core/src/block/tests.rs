use proptest::prelude::*;

use super::*;
use crate::ddl::{Column, Ddl};
use crate::ruling::{Reason, Rejection, Ruling};
use crate::value::sample::samples;
use crate::value::{Blob, Type};

fn node(table: u8, key: i64) -> Element {
    Element::Node(Node { table: TableId([table; 16]), key: key.into() })
}

fn edge(from: i64, to: i64, discriminator: &str) -> Element {
    let end = |key: i64| Node { table: TableId([1; 16]), key: key.into() };
    let discriminator = discriminator.to_owned();
    Element::from(Edge { table: TableId([2; 16]), from: end(from), to: end(to), discriminator })
}

fn change(replica: u8, seq: u64, ops: Vec<Op>) -> Change {
    let id = ChangeId { replica: ReplicaId([replica; 16]), seq };
    let own = (seq > 1).then(|| ChangeId { seq: seq - 1, ..id });
    Change {
        id,
        tx: TxId([seq as u8; 16]),
        previous: Digest::default(),
        timestamp: Timestamp::at_ms(1_700_000_000_000 + seq as i64),
        link_epoch: 3,
        authority_epochs: BTreeMap::new(),
        seen: own.into_iter().collect(),
        depends_on: Vec::new(),
        replaces: None,
        expects: Vec::new(),
        participants: Vec::new(),
        ops,
    }
}

fn deliver(changes: Vec<Change>) -> Vec<Delivery> {
    (5..)
        .zip(changes)
        .map(|(lsn, change)| Delivery::Change(Entry { change: Arc::new(change), lsn: Some(lsn) }))
        .collect()
}

fn survives(deliveries: &[Delivery]) {
    for compression in [Compression::None, Compression::Fast, Compression::Normal, Compression::Best] {
        let block = encode(deliveries, compression);
        let (decoded, cost) = decode(&block).unwrap();
        assert_eq!(decoded, deliveries);
        let canonical: usize = deliveries.iter().map(|delivery| canonical_bytes(delivery, Vec::new()).len()).sum();
        assert!(cost >= canonical, "it says {cost} bytes of {canonical}");
    }
}

/// Changes of one author, each with the digest of the one before.
fn chain(mut changes: Vec<Change>) -> Vec<Change> {
    for place in 1..changes.len() {
        changes[place].previous = changes[place - 1].digest();
    }
    changes
}

#[test]
fn every_sample_of_every_type_survives() {
    let column = ColumnId([9; 16]);
    let mut changes = Vec::new();
    for value in samples().iter().flat_map(|sample| &sample.values).chain([&Value::Null]) {
        let key = Element::Node(Node { table: TableId([1; 16]), key: value.clone() });
        let cells = Cells::from([(column, value.clone())]);
        let ops = vec![
            Op::Insert { element: key.clone(), cells: cells.clone() },
            Op::Update { element: node(1, 1), cells },
            Op::Increment { element: edge(1, 2, ""), column, by: value.clone() },
            Op::Delete { element: key },
        ];
        changes.push(change(1, changes.len() as u64 + 1, ops));
    }
    survives(&deliver(changes));
}

#[test]
fn what_is_rare_survives() {
    let columns = vec![Column::new("id", Type::Int64)];
    let table = Ddl::CreateNodeTable { name: "User".into(), birth: 0, columns, primary_key: "id".into() };
    let mut rare = change(2, 7, vec![Op::Schema(table), Op::Delete { element: edge(1, 1, "again") }]);
    rare.previous = Digest([7; 16]);
    rare.authority_epochs.insert(TableId([1; 16]), 9);
    rare.depends_on = vec![ChangeId { replica: ReplicaId([1; 16]), seq: 1 }];
    rare.replaces = Some(ChangeId { seq: 3, ..rare.id });
    rare.expects = vec![RowVersion { element: node(1, 1), lsn: 4 }];
    rare.seen.insert(ChangeId { replica: ReplicaId([8; 16]), seq: 1 });
    rare.seen.pass(ChangeId { replica: ReplicaId([8; 16]), seq: 2 });
    rare.timestamp = Timestamp { ms: i64::MIN, submilli_ns: 999, counter: u32::MAX };
    let mut odd = change(3, 0, Vec::new());
    odd.seen = [ChangeId { replica: ReplicaId([5; 16]), seq: 0 }].into_iter().collect();
    let rejection = Rejection {
        change: rare.id,
        tx: rare.tx,
        digest: rare.digest(),
        reason: Reason::Invalid { problem: "no".into() },
    };
    let mut deliveries = deliver(vec![change(1, 1, Vec::new()), rare, odd, change(1, u64::MAX, Vec::new())]);
    deliveries.insert(1, Delivery::Ruling { ruling: Ruling::Rejection(Box::new(rejection)), lsn: u64::MAX });
    deliveries.push(Delivery::Ruling { ruling: Ruling::Epoch(4), lsn: 0 });
    survives(&deliveries);
    survives(&[]);
}

#[test]
fn what_is_alike_takes_a_few_bytes() {
    let name = ColumnId([9; 16]);
    let insert = |key: u64| Op::Insert {
        element: node(1, key as i64),
        cells: Cells::from([(name, format!("user {key}").as_str().into())]),
    };
    let changes = chain((1..=1_000).map(|seq| change(1, seq, vec![insert(seq)])).collect());
    let deliveries = deliver(changes);
    survives(&deliveries);
    let bytes = encode(&deliveries, Compression::Normal).len();
    assert!(bytes < 4_000, "{bytes} bytes for 1,000 changes");
}

#[test]
fn numbers_written_as_text_take_little_more_than_their_digits_tell() {
    let (name, mut random) = (ColumnId([9; 16]), 1_u64);
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 32
    };
    let mut update = |_| {
        let cells = Cells::from([(name, format!("{:09}", next() % 1_000_000_000).as_str().into())]);
        Op::Update { element: node(1, (next() % 128) as i64), cells }
    };
    let deliveries = deliver(vec![change(1, 1, (0..4_000).map(&mut update).collect())]);
    survives(&deliveries);
    let bytes = encode(&deliveries, Compression::Normal).len();
    // Nine digits are 3.74 bytes, and one of 128 keys is 0.88.
    let told = 4_000 * (374 + 88) / 100;
    let whole = zstd::bulk::compress(&encode(&deliveries, Compression::None), 3).unwrap().len();
    assert!(bytes * 100 < told * 112 && bytes * 100 < whole * 92, "{bytes} bytes; {told} are told, {whole} as a whole");
}

#[test]
fn the_most_alike_is_padded_and_read_all_the_same() {
    let blob = Value::Blob(Blob(vec![0; 1 << 20]));
    let cells = Cells::from([(ColumnId([9; 16]), blob)]);
    let deliveries = deliver(vec![change(1, 1, vec![Op::Update { element: node(1, 1), cells }])]);
    let block = encode(&deliveries, Compression::Best);
    assert!((4_096..9_000).contains(&block.len()), "{} bytes", block.len());
    survives(&deliveries);
    let mut padded = block.clone();
    *padded.last_mut().unwrap() = 1;
    assert_eq!(decode(&padded), Err("its padding holds something"));
    assert_eq!(decode(&block[..3_000]).map(drop), Err("it expands to more than its length allows"));
}

/// The counters of every kind of claim that costs more than its bytes: lengths, shared texts, shapes, what was seen.
#[test]
fn a_block_that_claims_much_is_refused_before_it_is_made() {
    let text: Value = "x".repeat(1 << 20).as_str().into();
    let update = |key| Op::Update { element: node(1, key), cells: Cells::from([(ColumnId([9; 16]), text.clone())]) };
    let shared = deliver(vec![change(1, 1, (0..100).map(update).collect())]);
    let heads: Seen = (0..=255).map(|replica| ChangeId { replica: ReplicaId([replica; 16]), seq: 9 }).collect();
    let seers = (2..600)
        .map(|seq| Change { seen: heads.clone(), ..change(200, seq, vec![Op::Delete { element: node(1, 1) }]) });
    let deletes = vec![Op::Delete { element: node(1, 1) }; 50_000];
    for deliveries in [shared, deliver(seers.collect()), deliver(vec![change(1, 1, deletes)])] {
        let block = encode(&deliveries, Compression::Normal);
        assert!(decode(&block).is_ok());
        let zeros = block.iter().rev().take_while(|byte| **byte == 0).count();
        assert!(zeros > 0, "it is padded");
        assert_eq!(
            decode(&block[..block.len() - zeros / 2]).map(drop),
            Err("it expands to more than its length allows")
        );
    }
}

#[test]
fn every_truncation_is_refused() {
    let deliveries = deliver(vec![change(1, 1, vec![Op::Delete { element: node(1, 1) }])]);
    let block = encode(&deliveries, Compression::None);
    for length in 0..block.len() {
        assert!(decode(&block[..length]).is_err(), "cut at {length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_the_reader_panic_and_what_is_read_survives(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        size in 1_u64..20,
    ) {
        let name = ColumnId([9; 16]);
        let ops = |seq: u64| vec![
            Op::Insert { element: node(1, seq as i64), cells: Cells::from([(name, "text".into())]) },
            Op::Update { element: edge(1, seq as i64, "d"), cells: Cells::from([(name, (seq as i64).into())]) },
        ];
        let mut block = encode(&deliver(chain((1..=size).map(|seq| change(1, seq, ops(seq))).collect())), Compression::None);
        for (at, byte) in edits {
            let at = at.index(block.len());
            block[at] = byte;
        }
        if let Ok((deliveries, _)) = decode(&block) {
            survives(&deliveries);
        }
    }
}
