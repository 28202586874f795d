//! Changes on the wire: what a batch has in common is said once, what is alike lies together, and zstd takes the rest.
//!
//! A row-wise encoding repeats table, columns, author and cause in every change. A *block* is columnar instead:
//!
//! * Every identity is written once and named by its number after that. So is every *shape* — an operation's kind, its
//!   table and its columns.
//! * Each field of a change is a stream of its own: numbers as differences from what was to be expected, the author's
//!   previous digest only where the block does not hold the change that it is of, and of what an author had seen only what
//!   is new since its last change.
//! * Each column is a *lane*: the kinds of its values, then its integers, texts and other values, each by themselves.
//!   Texts share what they begin with.
//!
//! Then zstd, where it pays. The round trip is exact, and a block says one thing in one way wherever that is cheap to
//! check, so that nothing hides in it.
//!
//! **A block costs its reader in proportion to its length.** Whatever it claims, it expands to at most [`EXPANSION_MAX`]
//! bytes for each of its own, which is counted while it is read; a writer that has more to say in fewer bytes adds zeros.
//! (Distributed Sync Engine, cases D6.1 and D.P4.)

mod lane;
mod stream;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use crate::change::{Cells, Change, Edge, Element, Node, Op, RowVersion};
use crate::clock::{Lsn, Seen, Timestamp};
use crate::flat_map::grow;
use crate::id::{ChangeId, ColumnId, Digest, ReplicaId, TableId, TxId, canonical_bytes};
use crate::message::{Delivery, Entry};
use crate::value::Value;
use lane::{LaneReader, LaneWriter};
use stream::{Reader, push_section, push_signed, push_varint};
use zstd::zstd_safe::CParameter;

/// Bytes that one byte of a block expands to at most.
pub const EXPANSION_MAX: usize = 256;

/// Bytes that any block expands to at most: more than the greatest message of a sender that counts.
pub const EXPANDED_BYTES_MAX: usize = 128 << 20;

/// Fewer raw bytes are sent as they are.
const COMPRESSED_FROM_BYTES: usize = 192;

/// A section of so many bytes is worth a code of its own.
const SECTION_BLOCK_BYTES_MIN: usize = 1_024;

/// A shorter repetition is not pointed to at zstd's default level, where five bytes would do. In a column of numbers any few
/// digits are found again, and pointing there takes more than the digits: ten of random digits take 8 % less so, words and
/// code 1 to 3 % more.
const MATCHED_BYTES_MIN: u32 = 6;

/// How hard the sender tries to send less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// Columns, and no zstd.
    None,
    /// For links that are faster than a hard try.
    Fast,
    /// The default.
    #[default]
    Normal,
    /// For links on which every byte is dear.
    Best,
}

impl Compression {
    /// zstd's level.
    #[must_use]
    pub fn level(self) -> Option<i32> {
        match self {
            Compression::None => None,
            Compression::Fast => Some(1),
            Compression::Normal => Some(3),
            Compression::Best => Some(15),
        }
    }
}

/// What is wrong with a block.
pub type Problem = &'static str;

/// The streams of a block, in their order.
#[derive(Clone, Copy)]
enum Stream {
    /// What a delivery is, and which of its fields are said at length.
    Head,
    /// The main's numbers.
    Lsn,
    Author,
    Seq,
    Tx,
    /// Digests of previous changes that the block does not hold.
    Previous,
    Time,
    LinkEpoch,
    Seen,
    OpCount,
    Shape,
    /// What the shapes are.
    Definition,
    /// What the identities are.
    Identity,
    /// What is rare, in its canonical bytes.
    Rest,
}

const STREAMS: usize = Stream::Rest as usize + 1;

const IS_RULING: u8 = 1;
const HAS_FOREIGN_PREVIOUS: u8 = 1 << 1;
const HAS_EXTRAS: u8 = 1 << 2;
const HAS_WHOLE_SEEN: u8 = 1 << 3;
const HEAD_MAX: u8 = (1 << 4) - 1;

/// What a delivery costs besides what is counted: more than its canonical bytes and its memory.
const DELIVERY_COST: usize = 256;
const OP_COST: usize = 96;
const HEAD_COST: usize = 32;
const CELL_COST: usize = 48;

/// Authority epochs, dependencies, what is replaced, expected versions, who voted: most changes have none of them.
type Extras = (BTreeMap<TableId, u64>, Vec<ChangeId>, Option<ChangeId>, Vec<RowVersion>, Vec<ReplicaId>);

const OP_OTHER: u8 = 4;
const IS_EDGE: u8 = 1 << 3;
const HAS_DISCRIMINATOR: u8 = 1 << 4;

/// What operations have in common that write the same columns of the same table.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    /// Insert, update, increment, delete, or another; an edge or not; with or without a discriminator.
    kind: u8,
    table: TableId,
    /// An edge's ends' tables.
    ends: Option<[TableId; 2]>,
    columns: Vec<ColumnId>,
}

/// Where a shape's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LaneKey {
    Key(TableId),
    From(TableId, TableId),
    To(TableId, TableId),
    Discriminator(TableId),
    Cell(ColumnId),
    Addend(ColumnId),
}

impl Shape {
    const INSERT: u8 = 0;
    const UPDATE: u8 = 1;
    const INCREMENT: u8 = 2;
    const DELETE: u8 = 3;

    fn of(op: &Op) -> Shape {
        let (kind, element, columns) = match op {
            Op::Insert { element, cells } => (Shape::INSERT, element, cells.keys().copied().collect()),
            Op::Update { element, cells } => (Shape::UPDATE, element, cells.keys().copied().collect()),
            Op::Increment { element, column, .. } => (Shape::INCREMENT, element, vec![*column]),
            Op::Delete { element } => (Shape::DELETE, element, Vec::new()),
            Op::Schema(_) => return Shape { kind: OP_OTHER, ..Shape::default() },
        };
        match element {
            Element::Node(node) => Shape { kind, table: node.table, ends: None, columns },
            Element::Edge(edge) => {
                let discriminator = if edge.discriminator.is_empty() { 0 } else { HAS_DISCRIMINATOR };
                let ends = Some([edge.from.table, edge.to.table]);
                Shape { kind: kind | IS_EDGE | discriminator, table: edge.table, ends, columns }
            }
        }
    }

    fn op_kind(&self) -> u8 {
        self.kind & (IS_EDGE - 1)
    }

    /// Its lanes: the element's, then one for each column.
    fn lanes(&self) -> Vec<LaneKey> {
        let mut lanes = match self.ends {
            _ if self.op_kind() == OP_OTHER => return Vec::new(),
            None => vec![LaneKey::Key(self.table)],
            Some([from, to]) => vec![LaneKey::From(self.table, from), LaneKey::To(self.table, to)],
        };
        if self.kind & HAS_DISCRIMINATOR != 0 {
            lanes.push(LaneKey::Discriminator(self.table));
        }
        let is_increment = self.op_kind() == Shape::INCREMENT;
        let cell = |column: &ColumnId| if is_increment { LaneKey::Addend(*column) } else { LaneKey::Cell(*column) };
        lanes.extend(self.columns.iter().map(cell));
        lanes
    }

    /// Whether it is the shape of some operation, said in the one way there is.
    fn check(&self) -> Result<(), Problem> {
        let is_edge = self.kind & IS_EDGE != 0;
        let is_sorted = self.columns.windows(2).all(|pair| pair[0] < pair[1]);
        let columns_fit = match self.op_kind() {
            Shape::INSERT | Shape::UPDATE => is_sorted,
            Shape::INCREMENT => self.columns.len() == 1,
            Shape::DELETE => self.columns.is_empty(),
            _ => *self == Shape { kind: OP_OTHER, ..Shape::default() },
        };
        if !columns_fit || self.kind >= HAS_DISCRIMINATOR << 1 || (!is_edge && self.kind & HAS_DISCRIMINATOR != 0) {
            return Err("a shape is that of no operation");
        }
        Ok(())
    }
}

/// What an author is to be expected to have seen: what it had seen last, and that change; of an author that is new to the
/// block, what the change before it had seen.
fn expected_seen(last: Option<&Change>, before: Option<&Change>) -> Seen {
    match (last, before) {
        (Some(last), _) => {
            let mut seen = last.seen.clone();
            seen.set_head(last.id.replica, last.id.seq);
            seen
        }
        (None, Some(before)) => before.seen.clone(),
        (None, None) => Seen::default(),
    }
}

fn expected_counter(last: Timestamp, ms: i64) -> u32 {
    if ms == last.ms { last.counter.wrapping_add(1) } else { 0 }
}

// ---- writing ----

#[derive(Default)]
struct Writer<'a> {
    streams: [Vec<u8>; STREAMS],
    identities: BTreeMap<[u8; 16], u64>,
    shapes: BTreeMap<Shape, (u64, Vec<usize>)>,
    lane_of: BTreeMap<LaneKey, usize>,
    lanes: Vec<LaneWriter<'a>>,
    last_by: BTreeMap<ReplicaId, &'a Change>,
    before: Option<&'a Change>,
    /// The last operation's shape, which the next one mostly has too.
    shape: Option<(Shape, u64, Vec<usize>)>,
    lsn: Lsn,
    cost: usize,
}

/// The deliveries as a block.
#[must_use]
pub fn encode(deliveries: &[Delivery], compression: Compression) -> Vec<u8> {
    let mut writer = Writer::default();
    for delivery in deliveries {
        writer.cost += DELIVERY_COST;
        match delivery {
            Delivery::Change(Entry { change, lsn }) => writer.change(change, *lsn),
            Delivery::Ruling { ruling, lsn } => {
                writer.stream(Stream::Head).push(IS_RULING);
                writer.lsn(Some(*lsn));
                writer.rest(ruling);
            }
        }
    }
    writer.finish(compression)
}

impl<'a> Writer<'a> {
    fn stream(&mut self, stream: Stream) -> &mut Vec<u8> {
        &mut self.streams[stream as usize]
    }

    fn rest<T: serde::Serialize>(&mut self, value: &T) {
        let rest = std::mem::take(self.stream(Stream::Rest));
        let before = rest.len();
        *self.stream(Stream::Rest) = canonical_bytes(value, rest);
        self.cost += self.stream(Stream::Rest).len() - before;
    }

    /// The number of an identity, which is the next one if it is new.
    fn identity(&mut self, id: [u8; 16]) -> u64 {
        let next = self.identities.len() as u64;
        let number = *self.identities.entry(id).or_insert(next);
        if number == next {
            self.stream(Stream::Identity).extend_from_slice(&id);
        }
        number
    }

    fn lsn(&mut self, lsn: Option<Lsn>) {
        let expected = self.lsn.wrapping_add(1);
        let stream = self.stream(Stream::Lsn);
        match lsn {
            None => stream.push(0),
            Some(lsn) if lsn == expected => stream.push(1),
            Some(lsn) => {
                stream.push(2);
                push_varint(stream, lsn);
            }
        }
        self.lsn = lsn.unwrap_or(self.lsn);
    }

    fn change(&mut self, change: &'a Change, lsn: Option<Lsn>) {
        let Change { id, tx, previous, timestamp, link_epoch, authority_epochs, seen, depends_on, .. } = change;
        let Change { replaces, expects, participants, ops, .. } = change;
        let last = self.last_by.get(&id.replica).copied();
        let mut head = 0;
        if *previous != last.map(Change::digest).unwrap_or_default() {
            head |= HAS_FOREIGN_PREVIOUS;
            self.stream(Stream::Previous).extend_from_slice(&previous.0);
        }
        let has_extras = !authority_epochs.is_empty()
            || !depends_on.is_empty()
            || replaces.is_some()
            || !expects.is_empty()
            || !participants.is_empty();
        if has_extras {
            head |= HAS_EXTRAS;
            let extras: (_, _, _, _, _) = (authority_epochs, depends_on, replaces, expects, participants);
            self.rest(&extras);
        }
        let author = self.identity(id.replica.0);
        push_varint(self.stream(Stream::Author), author);
        let expected_seq = last.map_or(seen.head(id.replica), |last| last.id.seq).wrapping_add(1);
        push_signed(self.stream(Stream::Seq), id.seq.wrapping_sub(expected_seq) as i64);
        let tx_before = self.before.map_or([0; 16], |before| before.tx.0);
        self.stream(Stream::Tx).extend(tx.0.iter().zip(tx_before).map(|(byte, before)| byte ^ before));
        let time_before = self.before.map(|before| before.timestamp).unwrap_or_default();
        let counter = timestamp.counter.wrapping_sub(expected_counter(time_before, timestamp.ms)) as i32;
        let times = self.stream(Stream::Time);
        push_signed(times, timestamp.ms.wrapping_sub(time_before.ms));
        push_varint(times, timestamp.submilli_ns.into());
        push_signed(times, counter.into());
        let epoch_before = self.before.map_or(0, |before| before.link_epoch);
        push_signed(self.stream(Stream::LinkEpoch), link_epoch.wrapping_sub(epoch_before) as i64);
        let expected = expected_seen(last, self.before);
        if !self.seen(seen, &expected) {
            head |= HAS_WHOLE_SEEN;
            self.rest(seen);
        }
        self.cost += (seen.heads().count() + seen.gaps().count()) * HEAD_COST;
        self.lsn(lsn);
        push_varint(self.stream(Stream::OpCount), ops.len() as u64);
        ops.iter().for_each(|op| self.op(op));
        self.stream(Stream::Head).push(head);
        self.last_by.insert(id.replica, change);
        self.before = Some(change);
    }

    /// Writes what `seen` has that `expected` has not. Says whether that can be told in differences.
    fn seen(&mut self, seen: &Seen, expected: &Seen) -> bool {
        if !seen.gaps().eq(expected.gaps()) || seen.heads().any(|head| head.seq == 0) {
            return false;
        }
        let mut news: Vec<ChangeId> = seen.heads().filter(|head| expected.head(head.replica) != head.seq).collect();
        let gone = expected.heads().filter(|head| seen.head(head.replica) == 0);
        news.extend(gone.map(|head| ChangeId { seq: 0, ..head }));
        push_varint(self.stream(Stream::Seen), news.len() as u64);
        for head in news {
            let author = self.identity(head.replica.0);
            let stream = self.stream(Stream::Seen);
            push_varint(stream, author);
            push_signed(stream, head.seq.wrapping_sub(expected.head(head.replica)) as i64);
        }
        true
    }

    fn op(&mut self, op: &'a Op) {
        let shape = Shape::of(op);
        if self.shape.as_ref().is_none_or(|(last, ..)| *last != shape) {
            let (number, lanes) = match self.shapes.get(&shape) {
                Some((number, lanes)) => (*number, lanes.clone()),
                None => self.define(&shape),
            };
            self.shape = Some((shape, number, lanes));
        }
        let (shape, number, lanes) = self.shape.take().expect("it was just set");
        push_varint(self.stream(Stream::Shape), number);
        self.cost += OP_COST;
        self.values(op, &lanes);
        self.shape = Some((shape, number, lanes));
    }

    fn values(&mut self, op: &'a Op, lanes: &[usize]) {
        let (element, cells) = match op {
            Op::Insert { element, cells } | Op::Update { element, cells } => (element, Some(cells)),
            Op::Increment { element, .. } | Op::Delete { element } => (element, None),
            Op::Schema(_) => return self.rest(op),
        };
        let mut lanes = lanes.iter();
        let mut next = || *lanes.next().expect("a shape has a lane for every value");
        match element {
            Element::Node(node) => self.value(next(), &node.key),
            Element::Edge(edge) => {
                self.value(next(), &edge.from.key);
                self.value(next(), &edge.to.key);
                if !edge.discriminator.is_empty() {
                    self.cost += CELL_COST + self.lanes[next()].push_text(&edge.discriminator);
                }
            }
        }
        cells.into_iter().flat_map(Cells::values).for_each(|value| self.value(next(), value));
        if let Op::Increment { by, .. } = op {
            self.value(next(), by);
        }
    }

    fn value(&mut self, lane: usize, value: &'a Value) {
        self.cost += CELL_COST + self.lanes[lane].push(value);
    }

    fn define(&mut self, shape: &Shape) -> (u64, Vec<usize>) {
        let mut definition = vec![shape.kind];
        if shape.op_kind() != OP_OTHER {
            let tables = [shape.table].into_iter().chain(shape.ends.into_iter().flatten());
            for table in tables {
                push_varint(&mut definition, self.identity(table.0));
            }
            push_varint(&mut definition, shape.columns.len() as u64);
            for column in &shape.columns {
                push_varint(&mut definition, self.identity(column.0));
            }
        }
        self.stream(Stream::Definition).append(&mut definition);
        let mut lane = |key| {
            let next = self.lane_of.len();
            let lane = *self.lane_of.entry(key).or_insert(next);
            if lane == next {
                self.lanes.push(LaneWriter::default());
            }
            lane
        };
        let lanes: Vec<usize> = shape.lanes().into_iter().map(&mut lane).collect();
        let number = self.shapes.len() as u64;
        self.shapes.insert(shape.clone(), (number, lanes.clone()));
        (number, lanes)
    }

    fn finish(self, compression: Compression) -> Vec<u8> {
        let mut raw = Vec::new();
        self.streams.iter().for_each(|stream| push_section(&mut raw, stream));
        self.lanes.iter().for_each(|lane| lane.finish(&mut raw));
        let cost = self.cost + raw.len();
        let mut block = vec![0];
        let level = compression.level().filter(|_| raw.len() >= COMPRESSED_FROM_BYTES);
        let compressed = level.map(|level| compress(&raw, level).expect("memory can be compressed"));
        match compressed.filter(|compressed| compressed.len() < raw.len()) {
            Some(compressed) => {
                block[0] = 1;
                push_varint(&mut block, raw.len() as u64);
                push_section(&mut block, &compressed);
            }
            None => push_section(&mut block, &raw),
        }
        let padded = cost.div_ceil(EXPANSION_MAX).max(block.len());
        block.resize(padded, 0);
        block
    }
}

/// The raw block as one frame of zstd, in which a long section begins a block of its own: digits and keys, say, are then not
/// written in one code.
fn compress(raw: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.set_pledged_src_size(Some(raw.len() as u64))?;
    if Some(level) == Compression::Normal.level() {
        encoder.set_parameter(CParameter::MinMatch(MATCHED_BYTES_MIN))?;
    }
    let (mut sections, mut begun) = (Reader::new(raw), 0);
    while let Ok(section) = sections.section() {
        let end = raw.len() - sections.rest().len();
        let is_long = section.len() >= SECTION_BLOCK_BYTES_MIN;
        let is_border = |border: &usize| is_long && *border < raw.len();
        for border in [end - section.len(), end].into_iter().filter(is_border) {
            encoder.write_all(&raw[begun..border])?;
            encoder.flush()?;
            begun = border;
        }
    }
    encoder.write_all(&raw[begun..])?;
    encoder.finish()
}

// ---- reading ----

/// Reads a block, and says how much it expanded to: no less than the canonical bytes of what it holds.
///
/// # Errors
/// What is wrong with it. Nothing is allocated that its length does not pay for.
pub fn decode(block: &[u8]) -> Result<(Vec<Delivery>, usize), Problem> {
    let budget = block.len().saturating_mul(EXPANSION_MAX).min(EXPANDED_BYTES_MAX);
    let mut outer = Reader::new(block);
    let decompressed;
    let raw = match outer.byte()? {
        0 => outer.section()?,
        1 => {
            let length = outer.length()?;
            let compressed = outer.section()?;
            if length > budget {
                return Err("it expands to more than its length allows");
            }
            decompressed = zstd::bulk::decompress(compressed, length).map_err(|_| "zstd cannot read it")?;
            if decompressed.len() != length {
                return Err("it expands to another length than it says");
            }
            decompressed.as_slice()
        }
        _ => return Err("it is compressed in an unknown way"),
    };
    if outer.rest().iter().any(|byte| *byte != 0) {
        return Err("its padding holds something");
    }
    let (mut raw, length) = (Reader::new(raw), raw.len());
    let mut streams: [Reader<'_>; STREAMS] = Default::default();
    for stream in &mut streams {
        *stream = Reader::new(raw.section()?);
    }
    let mut reader = BlockReader { streams, lane_bytes: raw, budget, ..BlockReader::default() };
    reader.pay(length)?;
    let mut deliveries = Vec::new();
    while !reader.stream(Stream::Head).rest().is_empty() {
        deliveries.push(reader.delivery()?);
    }
    reader.end()?;
    Ok((deliveries, reader.cost))
}

#[derive(Default)]
struct BlockReader<'a> {
    streams: [Reader<'a>; STREAMS],
    /// Lanes are opened when a shape first names them.
    lane_bytes: Reader<'a>,
    identities: Vec<[u8; 16]>,
    shapes: Vec<Arc<(Shape, Vec<usize>)>>,
    lane_of: BTreeMap<LaneKey, usize>,
    lanes: Vec<LaneReader<'a>>,
    last_by: BTreeMap<ReplicaId, Arc<Change>>,
    before: Option<Arc<Change>>,
    lsn: Lsn,
    cost: usize,
    budget: usize,
}

impl<'a> BlockReader<'a> {
    fn stream(&mut self, stream: Stream) -> &mut Reader<'a> {
        &mut self.streams[stream as usize]
    }

    /// Pays for what is about to be made.
    fn pay(&mut self, bytes: usize) -> Result<(), Problem> {
        self.cost = self.cost.saturating_add(bytes);
        if self.cost > self.budget { Err("it expands to more than its length allows") } else { Ok(()) }
    }

    fn rest<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let rest = self.stream(Stream::Rest);
        let before = rest.rest().len();
        let (value, rest_after) = postcard::take_from_bytes(rest.rest()).map_err(|_| "a rare field cannot be read")?;
        *rest = Reader::new(rest_after);
        let bytes = before - rest_after.len();
        self.pay(bytes)?;
        Ok(value)
    }

    fn identity(&mut self, number: u64) -> Result<[u8; 16], Problem> {
        let number = usize::try_from(number).map_err(|_| "an identity is unknown")?;
        if number == self.identities.len() {
            let id = self.stream(Stream::Identity).sixteen()?;
            self.identities.push(id);
        }
        self.identities.get(number).copied().ok_or("an identity is unknown")
    }

    fn lsn(&mut self) -> Result<Option<Lsn>, Problem> {
        let expected = self.lsn.wrapping_add(1);
        let stream = self.stream(Stream::Lsn);
        let lsn = match stream.byte()? {
            0 => return Ok(None),
            1 => expected,
            2 => stream.varint()?,
            _ => return Err("a number is of an unknown kind"),
        };
        self.lsn = lsn;
        Ok(Some(lsn))
    }

    fn delivery(&mut self) -> Result<Delivery, Problem> {
        self.pay(DELIVERY_COST)?;
        let head = self.stream(Stream::Head).byte()?;
        if head == IS_RULING {
            let lsn = self.lsn()?.ok_or("a ruling has no number")?;
            return Ok(Delivery::Ruling { ruling: self.rest()?, lsn });
        }
        if head > HEAD_MAX || head & IS_RULING != 0 {
            return Err("a delivery is of an unknown kind");
        }
        self.change(head).map(Delivery::Change)
    }

    fn change(&mut self, head: u8) -> Result<Entry, Problem> {
        let extras = if head & HAS_EXTRAS == 0 { Extras::default() } else { self.rest()? };
        let (authority_epochs, depends_on, replaces, expects, participants) = extras;
        let author = self.stream(Stream::Author).varint()?;
        let replica = ReplicaId(self.identity(author)?);
        let before = self.before.clone();
        let last = self.last_by.get(&replica).cloned();
        let previous = if head & HAS_FOREIGN_PREVIOUS == 0 {
            last.as_ref().map(|last| last.digest()).unwrap_or_default()
        } else {
            Digest(self.stream(Stream::Previous).sixteen()?)
        };
        let seq_more = self.stream(Stream::Seq).signed()?;
        let tx_before = before.as_ref().map_or([0; 16], |before| before.tx.0);
        let mut tx = self.stream(Stream::Tx).sixteen()?;
        tx.iter_mut().zip(tx_before).for_each(|(byte, before)| *byte ^= before);
        let time_before = before.as_ref().map(|before| before.timestamp).unwrap_or_default();
        let times = self.stream(Stream::Time);
        let ms = time_before.ms.wrapping_add(times.signed()?);
        let submilli_ns = u32::try_from(times.varint()?).map_err(|_| "a time is out of range")?;
        let counter = i32::try_from(times.signed()?).map_err(|_| "a time is out of range")?;
        let counter = expected_counter(time_before, ms).wrapping_add(counter as u32);
        let epoch_before = before.as_ref().map_or(0, |before| before.link_epoch);
        let link_epoch = epoch_before.wrapping_add(self.stream(Stream::LinkEpoch).signed()? as u64);
        let seen = if head & HAS_WHOLE_SEEN == 0 {
            self.seen(expected_seen(last.as_deref(), before.as_deref()))?
        } else {
            self.rest()?
        };
        self.pay((seen.heads().count() + seen.gaps().count()) * HEAD_COST)?;
        let expected_seq = last.map_or(seen.head(replica), |last| last.id.seq).wrapping_add(1);
        let id = ChangeId { replica, seq: expected_seq.wrapping_add(seq_more as u64) };
        let lsn = self.lsn()?;
        let count = self.stream(Stream::OpCount).length()?;
        let mut ops = Vec::new();
        for _ in 0..count {
            grow(&mut ops);
            ops.push(self.op()?);
        }
        let (tx, timestamp) = (TxId(tx), Timestamp { ms, submilli_ns, counter });
        let change = Change {
            id,
            tx,
            previous,
            timestamp,
            link_epoch,
            authority_epochs,
            seen,
            depends_on,
            replaces,
            expects,
            participants,
            ops,
        };
        let change = Arc::new(change);
        self.last_by.insert(replica, Arc::clone(&change));
        self.before = Some(Arc::clone(&change));
        Ok(Entry { change, lsn })
    }

    fn seen(&mut self, mut seen: Seen) -> Result<Seen, Problem> {
        // A clone is made before it is paid for, but only of what was paid for once.
        let news = self.stream(Stream::Seen).length()?;
        for _ in 0..news {
            let author = self.stream(Stream::Seen).varint()?;
            let replica = ReplicaId(self.identity(author)?);
            let more = self.stream(Stream::Seen).signed()?;
            seen.set_head(replica, seen.head(replica).wrapping_add(more as u64));
        }
        Ok(seen)
    }

    fn op(&mut self) -> Result<Op, Problem> {
        self.pay(OP_COST)?;
        let number = self.stream(Stream::Shape).length()?;
        if number == self.shapes.len() {
            self.define()?;
        }
        let known = Arc::clone(self.shapes.get(number).ok_or("a shape is unknown")?);
        let (shape, lanes) = known.as_ref();
        if shape.op_kind() == OP_OTHER {
            return match self.rest()? {
                op @ Op::Schema(_) => Ok(op),
                _ => Err("an operation is said at length"),
            };
        }
        let mut lanes = lanes.iter().copied();
        let table = shape.table;
        let element = match shape.ends {
            None => Element::Node(Node { table, key: self.value(lanes.next())? }),
            Some([from, to]) => {
                let from = Node { table: from, key: self.value(lanes.next())? };
                let to = Node { table: to, key: self.value(lanes.next())? };
                let has_discriminator = shape.kind & HAS_DISCRIMINATOR != 0;
                let discriminator = if has_discriminator { self.value(lanes.next())? } else { Value::from("") };
                match discriminator {
                    Value::String(text) if text.is_empty() != has_discriminator => {
                        Element::from(Edge { table, from, to, discriminator: text })
                    }
                    _ => return Err("a discriminator is no text"),
                }
            }
        };
        Ok(match shape.op_kind() {
            Shape::DELETE => Op::Delete { element },
            Shape::INCREMENT => Op::Increment { element, column: shape.columns[0], by: self.value(lanes.next())? },
            kind => {
                let mut cells = Cells::new();
                for column in &shape.columns {
                    cells.insert(*column, self.value(lanes.next())?);
                }
                if kind == Shape::INSERT { Op::Insert { element, cells } } else { Op::Update { element, cells } }
            }
        })
    }

    /// The next value of a lane, paid for.
    fn value(&mut self, lane: Option<usize>) -> Result<Value, Problem> {
        let lane = lane.expect("a shape has a lane for every value");
        let (value, bytes) = self.lanes[lane].next()?;
        self.pay(CELL_COST + bytes)?;
        Ok(value)
    }

    fn define(&mut self) -> Result<(), Problem> {
        let mut shape = Shape { kind: self.stream(Stream::Definition).byte()?, ..Shape::default() };
        if shape.op_kind() != OP_OTHER {
            shape.table = TableId(self.defined_identity()?);
            if shape.kind & IS_EDGE != 0 {
                shape.ends = Some([TableId(self.defined_identity()?), TableId(self.defined_identity()?)]);
            }
            for _ in 0..self.stream(Stream::Definition).length()? {
                shape.columns.push(ColumnId(self.defined_identity()?));
            }
        }
        shape.check()?;
        let mut lanes = Vec::new();
        for key in shape.lanes() {
            let next = self.lanes.len();
            let lane = *self.lane_of.entry(key).or_insert(next);
            if lane == next {
                self.lanes.push(LaneReader::open(&mut self.lane_bytes)?);
            }
            lanes.push(lane);
        }
        self.shapes.push(Arc::new((shape, lanes)));
        Ok(())
    }

    fn defined_identity(&mut self) -> Result<[u8; 16], Problem> {
        let number = self.stream(Stream::Definition).varint()?;
        self.identity(number)
    }

    /// Everything was read.
    fn end(&self) -> Result<(), Problem> {
        let is_read = |reader: &Reader<'_>| reader.rest().is_empty();
        let all_read = self.streams.iter().all(is_read) && is_read(&self.lane_bytes);
        if all_read && self.lanes.iter().all(LaneReader::is_read) { Ok(()) } else { Err("it holds more than it says") }
    }
}

#[cfg(test)]
mod tests;
