//! Bytes that no replica sends: nothing of them makes a replica panic, forget, or say one thing and hold another.
//!
//! What is no frame is refused by its checksum and must leave no trace. What passes the checksum is a frame that was
//! really sent, changed and sealed anew: byte by byte, so that the parser is reached, or as a tree of values, so that
//! the rules behind it are. A replica cannot know a forged change from a real one, so some of these are taken. Then it
//! must still be its records, its store must still hold its view, and what it held before must still be there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod meeting;

use kuzusync_core::Error;
use kuzusync_core::block::Compression;
use kuzusync_core::ddl::Column;
use kuzusync_core::message::{Delivery, Entry, Message, Role};
use kuzusync_core::statement::Statement;
use kuzusync_core::value::Type;
use meeting::{HEADER_BYTES, Host, Meeting, PAIRS, sealed};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use serde_json::Value as Json;

// ---- what an enemy does to a frame ----

/// One change to the bytes of a body.
#[derive(Clone, Debug)]
enum Edit {
    Overwrite(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    Repeat(Index, Index),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Edit::Overwrite(at, byte) => bytes[at.index(length)] = *byte,
            Edit::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Edit::Remove(at) => drop(bytes.remove(at.index(length))),
            Edit::Truncate(at) => bytes.truncate(at.index(length)),
            Edit::Repeat(from, count) => {
                let from = from.index(length);
                let part = bytes[from..].iter().take(1 + count.index(40)).copied().collect::<Vec<_>>();
                bytes.splice(from..from, part);
            }
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Overwrite(at, byte)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        2 => any::<Index>().prop_map(Edit::Remove),
        1 => any::<Index>().prop_map(Edit::Truncate),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, count)| Edit::Repeat(from, count)),
    ]
}

/// Every value inside a tree, itself included.
fn values(json: &Json) -> Vec<&Json> {
    let children: Vec<&Json> = match json {
        Json::Array(items) => items.iter().collect(),
        Json::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    std::iter::once(json).chain(children.into_iter().flat_map(values)).collect()
}

/// The value at a place in the order of [`values`].
fn value_at<'a>(json: &'a mut Json, place: &mut usize) -> Option<&'a mut Json> {
    if *place == 0 {
        return Some(json);
    }
    *place -= 1;
    match json {
        Json::Array(items) => items.iter_mut().find_map(|item| value_at(item, place)),
        Json::Object(fields) => fields.values_mut().find_map(|field| value_at(field, place)),
        _ => None,
    }
}

/// Puts something else of the same kind at one place of a message. Some of it is no message any more.
fn forge(json: &mut Json, place: &Index, choice: &Index, other: &Json) {
    const NUMBERS: [i64; 8] = [0, 1, 2, -1, i64::MAX, i64::MIN, u32::MAX as i64, 253_402_300_799_998];
    const TEXTS: [&str; 6] = ["", "`", "user", "ID", "a\0b", "00000000000000000000000000000000"];
    let all = values(json);
    let count = all.len();
    let place = place.index(count);
    let kind = std::mem::discriminant(all[place]);
    let seen = all.into_iter().chain(values(other)).filter(|value| std::mem::discriminant(*value) == kind);
    let mut alike: Vec<Json> = seen.cloned().collect();
    let target = value_at(json, &mut { place }).unwrap();
    match target {
        Json::Number(number) => {
            let next = number.as_i64().map_or(0, |number| number.saturating_add(1));
            alike.extend(NUMBERS.into_iter().chain([next]).map(Json::from));
            alike.push(u64::MAX.into());
        }
        Json::String(_) => alike.extend(TEXTS.map(Json::from).into_iter().chain([Json::from("x".repeat(70_000))])),
        Json::Bool(bool) => alike = vec![(!*bool).into()],
        Json::Null => alike = vec![1.into(), u64::MAX.into()],
        Json::Array(items) => {
            let twice: Vec<Json> = items.iter().chain(items.iter()).cloned().collect();
            let reversed: Vec<Json> = items.iter().rev().cloned().collect();
            let shorter: Vec<Json> = items.iter().skip(1).cloned().collect();
            alike.extend([twice, reversed, shorter, Vec::new()].map(Json::from));
        }
        Json::Object(_) => {}
    }
    *target = choice.get(&alike).clone();
}

/// What is done to one of the frames that were sent.
#[derive(Clone, Debug)]
enum Attack {
    /// These bytes, and no frame at all.
    Garbage(Vec<u8>),
    /// The frame, damaged and not sealed again.
    Damage(Index, Vec<Edit>),
    /// The frame's bytes edited under a checksum that passes.
    Edit(Index, Vec<Edit>),
    /// The frame's message with other values in it, some of them from another frame.
    Forge(Index, Index, Vec<(Index, Index)>),
}

impl Attack {
    fn frame(&self, frames: &[Vec<u8>]) -> Vec<u8> {
        match self {
            Attack::Garbage(bytes) => bytes.clone(),
            Attack::Damage(which, edits) => {
                let mut bytes = which.get(frames).clone();
                edits.iter().for_each(|edit| edit.apply(&mut bytes));
                bytes
            }
            Attack::Edit(which, edits) => {
                // Not compressed, or little of it would be more than damage to zstd.
                let frame: &Vec<u8> = which.get(frames);
                let frame = Message::decode(frame).unwrap().encode_with(Compression::None);
                let mut body = frame[HEADER_BYTES..].to_vec();
                edits.iter().for_each(|edit| edit.apply(&mut body));
                sealed(&frame, &body)
            }
            Attack::Forge(which, other, forgeries) => {
                // Half of them without the tags, behind which few forgeries would be looked at.
                let has_tags = other.index(2) == 0;
                let sent = |which: &Index| {
                    let message = Message::decode(&frames[which.index(frames.len())]).unwrap();
                    if has_tags { message } else { message.untagged() }
                };
                let [mut json, other] = [which, other].map(|which| tree(&sent(which)));
                for (place, choice) in forgeries {
                    let before = json.clone();
                    forge(&mut json, place, choice, &other);
                    if message(&json).is_none() {
                        json = before;
                    }
                }
                message(&json).unwrap().encode()
            }
        }
    }
}

fn tree(message: &Message) -> Json {
    serde_json::to_value(message).unwrap()
}

fn message(json: &Json) -> Option<Message> {
    serde_json::from_value(json.clone()).ok()
}

fn attack() -> impl Strategy<Value = Attack> {
    let edits = || prop::collection::vec(edit(), 1..4);
    let forgeries = prop::collection::vec((any::<Index>(), any::<Index>()), 1..4);
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Attack::Garbage),
        1 => (any::<Index>(), edits()).prop_map(|(which, edits)| Attack::Damage(which, edits)),
        2 => (any::<Index>(), edits()).prop_map(|(which, edits)| Attack::Edit(which, edits)),
        6 => (any::<Index>(), any::<Index>(), forgeries)
            .prop_map(|(which, other, forgeries)| Attack::Forge(which, other, forgeries)),
    ]
}

// ---- what must hold ----

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_message_makes_a_replica_panic_forget_or_contradict_itself(
        roles in prop::sample::select(PAIRS.to_vec()),
        attacks in prop::collection::vec(attack(), 1..6),
    ) {
        let mut meeting = Meeting::new(roles);
        for attack in attacks {
            let bytes = attack.frame(&meeting.frames);
            let host = &mut meeting.hosts[0];
            let held: Vec<_> = host.replica.log().changes().cloned().collect();
            host.receive(bytes).0.iter().for_each(|answer| drop(Message::decode(answer).unwrap()));
            let holds: Vec<_> = host.replica.log().changes().take(held.len()).cloned().collect();
            prop_assert_eq!(held, holds, "what it held before");
            host.check();
        }
        meeting.hosts[0].submit(9, vec![Statement::CreateNodeTable {
            table: "Own".into(),
            columns: vec![Column::new("id", Type::Int64)],
            primary_key: "id".into(),
        }]);
        meeting.connect();
        meeting.hosts.iter().for_each(Host::check);
    }

    #[test]
    fn what_is_no_message_leaves_no_trace_and_the_session_goes_on(
        roles in prop::sample::select(PAIRS.to_vec()),
        attacks in prop::collection::vec(attack(), 1..6),
    ) {
        let mut meeting = Meeting::new(roles);
        let frames: Vec<_> = attacks.iter().map(|attack| attack.frame(&meeting.frames)).collect();
        for bytes in frames {
            let Err(expected) = Message::decode(&bytes) else { continue };
            let host = &mut meeting.hosts[0];
            let before = format!("{:?}", host.replica);
            let records = host.records.len();
            let (answers, result) = host.receive(bytes);
            prop_assert_eq!(result, Err(expected));
            prop_assert!(answers.is_empty() && host.records.len() == records);
            prop_assert_eq!(format!("{:?}", host.replica), before);
        }
        let on_their_way = std::mem::take(&mut meeting.on_their_way);
        meeting.exchange(on_their_way.into_iter().map(|bytes| (0, bytes)));
        let [one, other] = &meeting.hosts;
        prop_assert_eq!(one.replica.view(), other.replica.view());
        prop_assert!(one.replica.pending().is_empty() && other.replica.pending().is_empty());
    }
}

#[test]
fn a_change_that_has_its_number_gets_no_other() {
    let mut meeting = Meeting::new([Role::Edge, Role::Main]);
    let host = &mut meeting.hosts[0];
    let next = host.replica.log().next_lsn();
    let again = host.replica.log().changes().next().cloned().unwrap();
    let deliveries = vec![Delivery::Change(Entry { change: again, lsn: Some(next) })];
    let (_, result) = host.receive(Message::Changes { clock: Default::default(), deliveries }.encode());
    assert!(matches!(result, Err(Error::ForeignNumber { .. })), "{result:?}");
    host.check();
}

#[test]
fn attacks_reach_the_rules_behind_the_parser() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut refused, mut taken, mut changed) = (0, 0, 0);
    for _ in 0..1_000 {
        let attack = attack().new_tree(&mut runner).unwrap().current();
        let mut meeting = Meeting::new(PAIRS[taken % 3]);
        let before = meeting.hosts[0].replica.log().len();
        let bytes = attack.frame(&meeting.frames);
        let is_message = Message::decode(&bytes).is_ok();
        let (_, result) = meeting.hosts[0].receive(bytes);
        refused += usize::from(is_message && result.is_err());
        taken += usize::from(result.is_ok());
        changed += usize::from(meeting.hosts[0].replica.log().len() > before);
    }
    assert!(refused > 30 && taken > 300 && changed > 10, "{refused} refused, {taken} taken, {changed} changed");
}
