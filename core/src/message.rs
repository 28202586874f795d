//! All that crosses the wire or lies on a disk, and its bytes.
//!
//! A frame is a magic byte, a format version, eight bytes of checksum and a body. Reading survives any input: a frame is
//! refused by its length before anything is allocated, by its checksum before anything is parsed, and a parsed sequence
//! never reserves more than the bytes that are left could fill.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::block::{self, Compression};
use crate::change::{Change, ChangeId};
use crate::clock::{Lsn, Seen, VectorClock};
use crate::error::Error;
pub use crate::id::Role;
use crate::id::{DatabaseId, Digest, ReplicaId, TxId, canonical_bytes};
use crate::ruling::Ruling;
use crate::sketch::Key;
use crate::snapshot::{Base, Manifest, Tip};
use crate::summary::Told;
use crate::two_phase::{Abort, Letter, Proposal};

/// The newest version of the protocol, as document D names it.
pub const PROTOCOL_VERSION: &str = Protocol::NEWEST.name();

/// A version of the protocol, the oldest first.
///
/// Replicas of different versions talk in the older one. A hello names the sender's; who does not speak it refuses in words
/// that name both versions, and the newer says hello again in the older one's. So a cluster is upgraded host by host, and what the older
/// version cannot say is not said to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// Messages do not say whose they are, so none may outlive the replica that sent it: see [`crate::session::Peer`].
    V0_9,
    /// Changes, acknowledgements and refusals bear [tags](Message::Tagged).
    V1_0,
}

impl Protocol {
    /// Every version.
    pub const ALL: [Protocol; 2] = [Protocol::V0_9, Protocol::V1_0];

    /// The newest.
    pub const NEWEST: Protocol = Protocol::V1_0;

    /// What a hello calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::V0_9 => "0.9",
            Protocol::V1_0 => "1.0",
        }
    }

    /// The version of that name, if this build knows it.
    #[must_use]
    pub fn named(name: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// Enough of a replica's identity to tell it from those before and after it at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag([u8; 8]);

impl Tag {
    /// The tag of a replica.
    #[must_use]
    pub fn of(replica: ReplicaId) -> Tag {
        let [first @ .., _, _, _, _, _, _, _, _] = replica.0;
        Tag(first)
    }
}

/// Bytes of one change at most, so that every change fits a message.
pub const CHANGE_BYTES_MAX: usize = 4 << 20;

/// Bytes of a message at most. Records have no bound: they are this replica's own.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// How two replicas bring each other up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// Each sends what the other's cursor lacks.
    Incremental,
}

impl SyncMode {
    /// The mode's name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SyncMode::Incremental => "incremental",
        }
    }
}

/// What a replica holds durably: all its author sequences, and the main's numbers up to one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Applied changes.
    pub seen: Seen,
    /// The last number of the main's gapless sequence that is known here, 0 for none.
    pub lsn: Lsn,
}

impl Cursor {
    /// Whether all that `other` holds is held here.
    #[must_use]
    pub fn includes(&self, other: &Cursor) -> bool {
        self.lsn >= other.lsn && self.seen.includes(&other.seen)
    }

    /// What it says of some authors alone: enough for one who already knows the rest.
    #[must_use]
    pub fn of_authors(&self, authors: &Seen) -> Cursor {
        Cursor { seen: self.seen.of_authors(authors), lsn: self.lsn }
    }

    /// Raises this cursor to `other`. What a replica once held durably it holds for good.
    pub fn merge(&mut self, other: &Cursor) {
        self.seen.merge(&other.seen);
        self.lsn = self.lsn.max(other.lsn);
    }
}

/// A change on its way, with the main's number once it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The change.
    #[serde(with = "shared")]
    pub change: Arc<Change>,
    /// Its place in the main's log.
    pub lsn: Option<Lsn>,
}

/// What one replica sends another of its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// A change.
    Change(Entry),
    /// A decision of the main's.
    Ruling {
        /// Which.
        ruling: Ruling,
        /// Its place in the main's log.
        lsn: Lsn,
    },
}

impl Delivery {
    /// The change, if it is one.
    #[must_use]
    pub fn change(&self) -> Option<&Entry> {
        match self {
            Delivery::Change(entry) => Some(entry),
            Delivery::Ruling { .. } => None,
        }
    }

    /// Its place in the main's log, if it has one.
    #[must_use]
    pub fn lsn(&self) -> Option<Lsn> {
        match self {
            Delivery::Change(entry) => entry.lsn,
            Delivery::Ruling { lsn, .. } => Some(*lsn),
        }
    }
}

/// Serde for shared changes without serde's `rc` feature, which would change flags of every crate in the build.
mod shared {
    use super::{Arc, Change};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(change: &Arc<Change>, serializer: S) -> Result<S::Ok, S::Error> {
        change.as_ref().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Change>, D::Error> {
        Change::deserialize(deserializer).map(Arc::new)
    }
}

/// How a replica introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub protocol_version: String,
    /// How it wants to synchronise.
    pub mode: SyncMode,
    /// The graph it holds.
    pub database: DatabaseId,
    /// Who it is.
    pub replica: ReplicaId,
    /// Its part.
    pub role: Role,
    /// What it holds.
    pub cursor: Cursor,
    /// Where the numbers end that an edge knows.
    pub tip: Option<Tip>,
    /// Schema operations it knows.
    pub schema_version: u64,
    /// Whether its cursor names all it holds, or what is told instead.
    #[serde(default)]
    pub heads: Told,
    /// Whether this answers a hello and wants no answer.
    pub is_reply: bool,
}

/// What one replica says to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The handshake.
    Hello(Hello),
    /// Changes and rulings the receiver lacks, causes before effects.
    Changes {
        /// The sender's clock.
        clock: VectorClock,
        /// What it lacks.
        deliveries: Vec<Delivery>,
    },
    /// What the sender holds durably: acknowledges changes and asks for what is missing.
    Ack(Cursor),
    /// The sender ends the session, for this reason.
    Refused(String),
    /// A summary of what the receiver holds was too short.
    Unclear {
        /// Its key.
        key: Key,
        /// There are at least so many differences.
        differences_min: u64,
    },
    /// About a transaction that replicas vote on.
    TwoPhase(Box<Letter>),
    /// The receiver lacks much, or what is forgotten: this is a snapshot that the sender has.
    Offer {
        /// What it is.
        manifest: Manifest,
        /// Who knows numbers that end there has those of another history, and is to take the snapshot in their place.
        in_place_of: Option<Tip>,
    },
    /// The receiver is to send these chunks of what it offered, by their last numbers.
    Want {
        /// Their last numbers.
        chunks: Vec<Lsn>,
    },
    /// A chunk that was asked for.
    Chunk {
        /// Its last number.
        last: Lsn,
        /// The sender's clock.
        clock: VectorClock,
        /// What it was offered as.
        bytes: Vec<u8>,
    },
    /// Changes, an acknowledgement or a refusal, with who says it and to whom: a host that lost its disk comes back as another
    /// replica at the same address, and what the one before sent or was sent may still be on its way.
    Tagged {
        /// Who says it.
        by: Tag,
        /// To whom.
        to: Tag,
        /// What.
        message: Box<Message>,
    },
}

/// What a log remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRecord {
    /// A change enters the log.
    Append(Entry),
    /// A change of the log has its place in the main's.
    Number {
        /// Which change.
        id: ChangeId,
        /// Its place.
        lsn: Lsn,
    },
    /// The main has decided something.
    Ruling {
        /// What.
        ruling: Ruling,
        /// Its place in the main's log.
        lsn: Lsn,
    },
    /// A change cannot be applied here; it is passed and listed.
    Fail {
        /// The change.
        entry: Entry,
        /// What is wrong with it.
        problem: String,
    },
    /// A person no longer wants to see a failed change listed.
    Dismiss(ChangeId),
    /// Without a main: another replica holds this replica's changes up to this one.
    Acknowledged {
        /// The number of the last of them.
        through: u64,
    },
    /// This replica has voted to commit, and remembers it until it hears of the decision.
    Prepared(Box<Proposal>),
    /// Without a main: a transaction is rolled back.
    RolledBack {
        /// Which.
        tx: TxId,
        /// Why, and who is the reason.
        abort: Abort,
    },
}

/// One durable record. A replica is its records: see [`crate::replica::Replica::open`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The first: who the replica is.
    Created {
        /// Its identity.
        replica: ReplicaId,
        /// Its graph.
        database: DatabaseId,
        /// Its part.
        role: Role,
    },
    /// The database's main, once known, for good.
    Main(ReplicaId),
    /// The main's log begins here, whatever numbers came before: see [`crate::compaction`].
    Base {
        /// What stands in for the numbers before.
        base: Box<Base>,
        /// What is kept of them.
        kept: Vec<Delivery>,
        /// The vector clock that came with it.
        clock: VectorClock,
    },
    /// What one input brought, all or nothing.
    Batch {
        /// In order of application.
        log: Vec<LogRecord>,
        /// The vector clock after it.
        clock: VectorClock,
    },
}

const MAGIC: u8 = 0x4B;
const FORMAT_VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;
const HEADER_BYTES: usize = 2 + CHECKSUM_BYTES;

/// The first byte of a [`Wire::TwoPhase`].
const LETTER: u8 = 5;

/// The first byte of a [`Wire::Chunk`].
const CHUNK: u8 = 8;

/// The first byte of a [`Wire::Tagged`].
const TAGGED: u8 = 9;

/// A message as its bytes are laid out: the changes in a block.
#[derive(Serialize, Deserialize)]
enum Wire<'a> {
    Hello(Cow<'a, Hello>),
    Changes { clock: Cow<'a, VectorClock>, block: &'a [u8] },
    Ack(Cow<'a, Cursor>),
    Refused(Cow<'a, str>),
    Unclear { key: Key, differences_min: u64 },
    TwoPhase(Cow<'a, Letter>),
    Offer { manifest: Cow<'a, Manifest>, in_place_of: Option<Tip> },
    Want { chunks: Cow<'a, [Lsn]> },
    Chunk { last: Lsn, clock: Cow<'a, VectorClock>, bytes: &'a [u8] },
    Tagged { by: Tag, to: Tag, message: &'a [u8] },
}

impl Message {
    /// The message as a frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(Compression::default())
    }

    /// The message as a frame, its changes made smaller as hard as asked.
    #[must_use]
    pub fn encode_with(&self, compression: Compression) -> Vec<u8> {
        let (block, inner);
        frame(&match self {
            Message::Tagged { by, to, message } => {
                inner = message.encode_with(compression).split_off(HEADER_BYTES);
                Wire::Tagged { by: *by, to: *to, message: &inner }
            }
            Message::Hello(hello) => Wire::Hello(Cow::Borrowed(hello)),
            Message::Changes { clock, deliveries } => {
                block = block::encode(deliveries, compression);
                Wire::Changes { clock: Cow::Borrowed(clock), block: &block }
            }
            Message::Ack(cursor) => Wire::Ack(Cow::Borrowed(cursor)),
            Message::Refused(reason) => Wire::Refused(Cow::Borrowed(reason)),
            Message::Unclear { key, differences_min } => Wire::Unclear { key: *key, differences_min: *differences_min },
            Message::TwoPhase(letter) => Wire::TwoPhase(Cow::Borrowed(letter)),
            Message::Offer { manifest, in_place_of } => {
                Wire::Offer { manifest: Cow::Borrowed(manifest), in_place_of: *in_place_of }
            }
            Message::Want { chunks } => Wire::Want { chunks: Cow::Borrowed(chunks) },
            Message::Chunk { last, clock, bytes } => Wire::Chunk { last: *last, clock: Cow::Borrowed(clock), bytes },
        })
    }

    /// Whether a frame says that it is a letter about a transaction, without reading more of it.
    #[must_use]
    pub fn is_letter(bytes: &[u8]) -> bool {
        bytes.get(HEADER_BYTES) == Some(&LETTER)
    }

    /// Whether a frame says that it is a chunk of a snapshot, without reading more of it.
    #[must_use]
    pub fn is_chunk(bytes: &[u8]) -> bool {
        bytes.get(HEADER_BYTES) == Some(&CHUNK)
    }

    /// What it says, whoever says it to whom.
    #[must_use]
    pub fn untagged(self) -> Message {
        match self {
            Message::Tagged { message, .. } => *message,
            message => message,
        }
    }

    /// Whether a frame says whose it is and for whom, without reading more of it.
    #[must_use]
    pub fn is_tagged(bytes: &[u8]) -> bool {
        bytes.get(HEADER_BYTES) == Some(&TAGGED)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that are no message, [`Error::MalformedChange`] for a change no replica writes,
    /// [`Error::MalformedProposal`] for a proposal none makes.
    pub fn decode(bytes: &[u8]) -> Result<Message, Error> {
        let malformed =
            |problem: &str| Error::Malformed { what: "message", length: bytes.len(), problem: problem.to_owned() };
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(malformed("it is longer than 16 MiB"));
        }
        match unframe("message", bytes)? {
            Wire::Tagged { by, to, message } => {
                let message = match parse("message", message)? {
                    inner @ (Wire::Changes { .. } | Wire::Ack(_) | Wire::Refused(_)) => inner.into_message(bytes)?,
                    _ => return Err(malformed("only changes, acknowledgements and refusals bear tags")),
                };
                Ok(Message::Tagged { by, to, message: Box::new(message) })
            }
            wire => wire.into_message(bytes),
        }
    }
}

impl Wire<'_> {
    /// What it says; `bytes` is the frame it came in.
    fn into_message(self, bytes: &[u8]) -> Result<Message, Error> {
        let malformed =
            |problem: &str| Error::Malformed { what: "message", length: bytes.len(), problem: problem.to_owned() };
        let (clock, block) = match self {
            Wire::Hello(hello) => return Ok(Message::Hello(hello.into_owned())),
            Wire::Ack(cursor) => return Ok(Message::Ack(cursor.into_owned())),
            Wire::Refused(reason) => return Ok(Message::Refused(reason.into_owned())),
            Wire::Unclear { key, differences_min } => return Ok(Message::Unclear { key, differences_min }),
            Wire::TwoPhase(letter) => {
                letter.check()?;
                return Ok(Message::TwoPhase(Box::new(letter.into_owned())));
            }
            Wire::Offer { manifest, in_place_of } => {
                manifest.check().map_err(malformed)?;
                return Ok(Message::Offer { manifest: manifest.into_owned(), in_place_of });
            }
            Wire::Want { chunks } => return Ok(Message::Want { chunks: chunks.into_owned() }),
            Wire::Chunk { last, clock, bytes } => {
                return Ok(Message::Chunk { last, clock: clock.into_owned(), bytes: bytes.to_vec() });
            }
            Wire::Changes { clock, block } => (clock.into_owned(), block),
            Wire::Tagged { .. } => return Err(malformed("a tag stands within another")),
        };
        Ok(Message::Changes { clock, deliveries: read_block("message", block)? })
    }
}

/// Reads a block of what a replica may send, as part of a `what`.
///
/// # Errors
/// [`Error::Malformed`] for bytes that are no block, [`Error::MalformedChange`] for a change no replica writes.
pub(crate) fn read_block(what: &'static str, block: &[u8]) -> Result<Vec<Delivery>, Error> {
    let malformed = |problem: &str| Error::Malformed { what, length: block.len(), problem: problem.to_owned() };
    let (deliveries, expanded_bytes) = block::decode(block).map_err(malformed)?;
    for delivery in &deliveries {
        let Delivery::Change(Entry { change, .. }) = delivery else { continue };
        change.check()?;
        // A change takes no more bytes than its block expands to, so most need not be measured.
        if expanded_bytes > CHANGE_BYTES_MAX && canonical_bytes(change.as_ref(), Vec::new()).len() > CHANGE_BYTES_MAX {
            let problem = "it is longer than 4 MiB".to_owned();
            return Err(Error::MalformedChange { change: change.id, problem });
        }
    }
    Ok(deliveries)
}

impl Record {
    /// The record as a frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        frame(self)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that are no record.
    pub fn decode(bytes: &[u8]) -> Result<Record, Error> {
        unframe("record", bytes)
    }
}

fn frame<T: Serialize>(content: &T) -> Vec<u8> {
    let mut bytes = canonical_bytes(content, vec![0; HEADER_BYTES]);
    let checksum = Digest::of(&[&bytes[HEADER_BYTES..]]);
    bytes[0] = MAGIC;
    bytes[1] = FORMAT_VERSION;
    bytes[2..HEADER_BYTES].copy_from_slice(&checksum.0[..CHECKSUM_BYTES]);
    bytes
}

fn unframe<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, Error> {
    let malformed = |problem: &str| Error::Malformed { what, length: bytes.len(), problem: problem.to_owned() };
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(malformed("it is shorter than a header"));
    };
    if header[0] != MAGIC {
        return Err(malformed("it does not start like one of ours"));
    }
    if header[1] != FORMAT_VERSION {
        return Err(malformed(&format!("its format is {}, this build reads {FORMAT_VERSION}", header[1])));
    }
    if header[2..] != Digest::of(&[body]).0[..CHECKSUM_BYTES] {
        return Err(malformed("its checksum does not match"));
    }
    parse(what, body)
}

/// Reads all of a body.
fn parse<'a, T: Deserialize<'a>>(what: &'static str, body: &'a [u8]) -> Result<T, Error> {
    let malformed =
        |problem: &str| Error::Malformed { what, length: HEADER_BYTES + body.len(), problem: problem.to_owned() };
    match postcard::take_from_bytes(body) {
        Ok((content, [])) => Ok(content),
        Ok((_, rest)) => Err(malformed(&format!("{} bytes follow its end", rest.len()))),
        Err(error) => Err(malformed(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Op;
    use crate::clock::Timestamp;
    use crate::ddl::{Column, Ddl};
    use crate::two_phase::Says;
    use crate::value::Type;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sample() -> Message {
        let columns = vec![Column::new("id", Type::Int64)];
        let ddl = Ddl::CreateNodeTable { name: "User".into(), birth: 0, columns, primary_key: "id".into() };
        let change = Change {
            id: ChangeId { replica: ReplicaId([1; 16]), seq: 1 },
            tx: TxId([2; 16]),
            previous: Digest::default(),
            timestamp: Timestamp::at_ms(5),
            link_epoch: 0,
            authority_epochs: BTreeMap::new(),
            seen: Seen::default(),
            depends_on: Vec::new(),
            replaces: None,
            expects: Vec::new(),
            participants: Vec::new(),
            ops: vec![Op::Schema(ddl)],
        };
        let entry = Entry { change: Arc::new(change), lsn: Some(1) };
        Message::Changes { clock: VectorClock::default(), deliveries: vec![Delivery::Change(entry)] }
    }

    /// `body` with the header that makes the checksum pass, so that the parser itself is reached.
    fn framed(body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![MAGIC, FORMAT_VERSION];
        bytes.extend_from_slice(&Digest::of(&[body]).0[..CHECKSUM_BYTES]);
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn a_message_survives_its_encoding() {
        assert_eq!(Message::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn a_letter_is_known_by_its_first_byte() {
        let (one, other) = (ReplicaId([1; 16]), ReplicaId([2; 16]));
        let letter = Letter { from: one, to: other, tx: TxId([3; 16]), says: Says::Unknown };
        assert!(Message::is_letter(&Message::TwoPhase(Box::new(letter)).encode()));
        assert!(!Message::is_letter(&sample().encode()) && !Message::is_letter(&[]));
    }

    #[test]
    fn a_chunk_is_known_by_its_first_byte() {
        let chunk = Message::Chunk { last: 7, clock: VectorClock::default(), bytes: vec![1, 2] };
        assert!(Message::is_chunk(&chunk.encode()) && !Message::is_chunk(&sample().encode()));
        assert_eq!(Message::decode(&chunk.encode()), Ok(chunk));
    }

    #[test]
    fn a_tag_says_whose_a_message_is_and_only_changes_acknowledgements_and_refusals_bear_one() {
        let (by, to) = (Tag::of(ReplicaId([1; 16])), Tag::of(ReplicaId([2; 16])));
        let tagged = |message| Message::Tagged { by, to, message: Box::new(message) };
        for message in [sample(), Message::Ack(Cursor::default()), Message::Refused("no".into())] {
            let tagged = tagged(message);
            assert_eq!(Message::decode(&tagged.encode()), Ok(tagged.clone()));
            assert!(Message::is_tagged(&tagged.encode()));
        }
        assert!(!Message::is_tagged(&sample().encode()) && !Message::is_tagged(&[]));
        for message in [tagged(sample()), Message::Unclear { key: Key::default(), differences_min: 1 }] {
            let refused = Message::decode(&tagged(message).encode()).unwrap_err();
            assert!(refused.to_string().contains("bear tags"), "{refused}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let bytes = sample().encode();
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << (position % 8);
            assert!(matches!(Message::decode(&flipped), Err(Error::Malformed { .. })), "byte {position}");
            assert!(matches!(Message::decode(&bytes[..position]), Err(Error::Malformed { .. })), "cut at {position}");
        }
        let mut longer = bytes[HEADER_BYTES..].to_vec();
        longer.push(0);
        let refused = Message::decode(&framed(&longer)).unwrap_err();
        assert!(refused.to_string().contains("1 bytes follow"), "{refused}");
    }

    #[test]
    fn a_message_is_refused_by_its_length_before_anything_else() {
        let refused = Message::decode(&vec![0; MESSAGE_BYTES_MAX + 1]).unwrap_err();
        assert!(refused.to_string().contains("longer than 16 MiB"), "{refused}");
    }

    #[test]
    fn a_change_no_replica_writes_is_refused() {
        let Message::Changes { clock, deliveries } = sample() else { unreachable!("the sample is changes") };
        let [Delivery::Change(entry)] = deliveries.as_slice() else { unreachable!("the sample is one change") };
        let mut change = entry.change.as_ref().clone();
        change.id.seq = 2;
        let deliveries = vec![Delivery::Change(Entry { change: Arc::new(change), lsn: None })];
        let refused = Message::decode(&Message::Changes { clock, deliveries }.encode());
        assert!(matches!(refused, Err(Error::MalformedChange { .. })), "{refused:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Message::decode(&body);
            let _ = Record::decode(&framed(&body));
            if let Ok(message) = Message::decode(&framed(&body)) {
                prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
            }
        }
    }
}
