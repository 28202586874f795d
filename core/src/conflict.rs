//! Which writes lost to a concurrent one, and to which: the audit.
//!
//! A write is a recorded loss exactly when some concurrent write of a different value to the same register outranks it
//! under the register's policy, deletes included; the record names the greatest such write. Increments add up, so they
//! lose to deletes alone. The audit is a function of the set of numbered changes (without a main: of all), so two replicas
//! that hold the same ones hold the same audit. Overwriting what one had seen is no conflict. (Sync Policy, case E10;
//! Distributed Sync Engine, case D2.1.)
//!
//! Two more losses depend on how things stand now, and end when the reason does: a write that is hidden because somebody
//! who had not seen it dropped its table or its column, and a value that is none of the type its column has been given.
//! Both are kept and come back, by UNDROP or with a type that holds them. What schema changes lose is in [`schema`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::change::{Cells, Change, Element, Op};
use crate::clock::{Lsn, Rank};
use crate::flat_map::{FlatMap, grow};
use crate::id::{ChangeId, ColumnId, ReplicaId, TableId};
use crate::policy::{Place, Policy};
use crate::schema::{Schema, TableState};
use crate::state::{Made, Miscast, Ousted, State};
use crate::value::{Type, Value};

pub mod schema;

use schema::{SchemaAudit, SchemaLoss, Subject};

/// What one write competes for: an element's existence, or one of its cells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Register {
    /// The row or edge.
    pub element: Element,
    /// `None` for its existence.
    pub column: Option<ColumnId>,
}

/// What a write leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Written {
    /// The element exists.
    Inserted,
    /// The element exists because it was written to: see [`crate::ddl::Rule::UpdateRevives`].
    Updated,
    /// The element is gone, with all its cells.
    Deleted,
    /// The cell holds this.
    Value(Value),
    /// The cell holds so much more.
    Incremented(Value),
    /// The element's table, or the cell's column, is dropped.
    Dropped,
    /// The cell's column is of this type.
    Typed(Type),
}

/// One of the two writes of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// When, by whom, which operation.
    pub rank: Rank,
    /// What it wrote.
    pub written: Written,
}

/// How two writes collided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictType {
    /// Two values for one cell.
    ConcurrentUpdate,
    /// One deletes what the other writes.
    ConcurrentDelete,
    /// Two edges of a node that may have only one.
    Multiplicity,
    /// One drops the table or the column that the other writes to.
    ConcurrentDrop,
    /// A value that cannot be cast to the type of its column.
    FailedCast,
}

impl ConflictType {
    /// The type's name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ConflictType::ConcurrentUpdate => "concurrent_update",
            ConflictType::ConcurrentDelete => "concurrent_delete",
            ConflictType::Multiplicity => "multiplicity",
            ConflictType::ConcurrentDrop => "concurrent_drop",
            ConflictType::FailedCast => "failed_cast",
        }
    }
}

/// The rule that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The greater timestamp, then author and position.
    LastWriteWins,
    /// What was written while connected.
    OnlineWins,
    /// The main's, which the other had not seen.
    PreferMain,
    /// The main's order.
    ServerOrder,
    /// Of a pair of tables, the addition that the drop had not seen.
    AddWins,
    /// The schema: what does not fit into it is kept and not shown.
    SchemaWins,
}

impl Resolution {
    /// How increments of one counter are resolved: nothing is lost.
    pub const CUMULATIVE: &'static str = "cumulative";

    /// The rule's name in documents and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Resolution::LastWriteWins => "last_write_wins",
            Resolution::OnlineWins => "online_wins",
            Resolution::PreferMain => "prefer_main",
            Resolution::ServerOrder => "server_order",
            Resolution::AddWins => "add_wins",
            Resolution::SchemaWins => "schema_wins",
        }
    }

    /// The first component by which a policy tells two writes apart.
    fn of(policy: Policy, one: &Rank, other: &Rank) -> Resolution {
        match policy {
            Policy::ServerOrder => Resolution::ServerOrder,
            Policy::PreferMain if one.authority_epoch != other.authority_epoch => Resolution::PreferMain,
            Policy::Auto | Policy::PreferMain if one.link_epoch != other.link_epoch => Resolution::OnlineWins,
            _ => Resolution::LastWriteWins,
        }
    }
}

/// A write that lost, and to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What both wrote to.
    pub register: Register,
    /// How they collided.
    pub conflict: ConflictType,
    /// The rule that decided.
    pub resolution: Resolution,
    /// The write that lost.
    pub loser: Write,
    /// The greatest concurrent write that outranks it.
    pub winner: Write,
    /// The columns in which what the two wrote differs.
    pub fields: Vec<ColumnId>,
    /// The edge that is shown instead, where a node may have only one.
    pub taken_by: Option<Element>,
}

/// What a change brought to light.
#[derive(Debug, Default)]
pub struct Found {
    /// The losses it added or altered.
    pub losses: Vec<Loss>,
    /// The counters to which it and concurrent ones add.
    pub merged: Vec<Register>,
    /// The losses of schema claims it added or altered.
    pub schema_losses: Vec<SchemaLoss>,
}

/// An operation on an element that the audit has entered. What it wrote stands in its change, which also tells what its author
/// had seen.
#[derive(Clone, Debug)]
struct Entered {
    change: Arc<Change>,
    index: u32,
    lsn: Lsn,
}

impl Entered {
    fn op(&self) -> &Op {
        &self.change.ops[self.index as usize]
    }

    fn place(&self) -> Place {
        Place { rank: self.change.rank(self.index, self.op()), lsn: self.lsn }
    }

    /// What it wrote to a column, `None` for the element's existence.
    fn write(&self, column: Option<ColumnId>) -> Write {
        let written = match (self.op(), column) {
            (Op::Delete { .. }, _) => Written::Deleted,
            (Op::Insert { .. }, None) => Written::Inserted,
            (_, None) => Written::Updated,
            (Op::Increment { by, .. }, Some(_)) => Written::Incremented(by.clone()),
            (_, Some(column)) => Written::Value(self.value(column).cloned().unwrap_or(Value::Null)),
        };
        Write { rank: self.place().rank, written }
    }

    /// What it gave a column, if that was a value.
    fn value(&self, column: ColumnId) -> Option<&Value> {
        match self.op() {
            Op::Insert { cells, .. } | Op::Update { cells, .. } => cells.get(&column),
            Op::Increment { .. } | Op::Delete { .. } | Op::Schema(_) => None,
        }
    }

    /// The columns it wrote to, in order.
    fn columns(&self) -> impl Iterator<Item = ColumnId> {
        let (cells, added) = match self.op() {
            Op::Insert { cells, .. } | Op::Update { cells, .. } => (Some(cells), None),
            Op::Increment { column, .. } => (None, Some(*column)),
            Op::Delete { .. } | Op::Schema(_) => (None, None),
        };
        cells.into_iter().flat_map(Cells::keys).copied().chain(added)
    }

    fn has_written_to(&self, column: ColumnId) -> bool {
        match self.op() {
            Op::Insert { cells, .. } | Op::Update { cells, .. } => cells.contains_key(&column),
            Op::Increment { column: added, .. } => *added == column,
            Op::Delete { .. } | Op::Schema(_) => false,
        }
    }

    fn is_insert(&self) -> bool {
        matches!(self.op(), Op::Insert { .. })
    }

    fn is_increment(&self) -> bool {
        matches!(self.op(), Op::Increment { .. })
    }

    fn is_delete(&self) -> bool {
        matches!(self.op(), Op::Delete { .. })
    }
}

/// What was entered for one element: by author, in the author's order.
#[derive(Clone, Debug, Default)]
struct Entries(FlatMap<ReplicaId, Vec<Entered>>);

impl Entries {
    fn iter(&self) -> impl Iterator<Item = &Entered> {
        self.0.values().flatten()
    }

    fn insert(&mut self, new: Entered) {
        let place = |entered: &Entered| (entered.change.id.seq, entered.index);
        let of_author = self.0.or_default(new.change.id.replica);
        let at = of_author.partition_point(|entered| place(entered) < place(&new));
        grow(of_author);
        of_author.insert(at, new);
    }

    /// What neither saw of the other. What the change's author had seen is passed over at once, however much it is.
    fn concurrent_with<'a>(&'a self, change: &'a Change) -> impl Iterator<Item = &'a Entered> {
        let unseen = move |(author, entered): (&ReplicaId, &'a Vec<Entered>)| {
            let head = change.seen.head(*author);
            let has_gaps = change.seen.gaps().any(|gap| gap.replica == *author);
            let from = if has_gaps { 0 } else { entered.partition_point(|entered| entered.change.id.seq <= head) };
            &entered[from..]
        };
        self.0.iter().flat_map(unseen).filter(|entered| entered.change.is_concurrent_with(change))
    }
}

/// Every concurrent loss among the numbered changes.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    writes: BTreeMap<Element, Entries>,
    losses: BTreeMap<LossId, Lost>,
    schema: SchemaAudit,
}

impl Audit {
    /// Enters a change. The schema is that after the change.
    pub fn record(&mut self, change: &Arc<Change>, lsn: Lsn, schema: &Schema) -> Found {
        let (mut found, mut changed) = (Found::default(), Changed::default());
        for (rank, op) in change.ranked_ops() {
            match op {
                Op::Insert { element, .. }
                | Op::Update { element, .. }
                | Op::Increment { element, .. }
                | Op::Delete { element } => {
                    let entered = Entered { change: Arc::clone(change), index: rank.index, lsn };
                    self.enter(element, entered, schema, &mut changed);
                }
                Op::Schema(ddl) => {
                    found.schema_losses.extend(self.schema.record(change, rank, ddl));
                    if matches!(ddl, crate::ddl::Ddl::SetRule { .. }) {
                        self.judge_anew(ddl.table_id(), schema, &mut changed.losses);
                    }
                }
            }
        }
        found.losses = changed.losses.iter().filter_map(|place| self.losses.get(place)?.tell(place.2)).collect();
        found.merged = changed.merged.into_iter().collect();
        found
    }

    /// Enters a change that is kept of a log that was compacted. Everything else has seen it or is forgotten, so nothing loses to
    /// it but what schema operations claim, and these are all kept.
    pub fn record_kept(&mut self, change: &Arc<Change>) {
        for (rank, ddl) in change.ddls() {
            self.schema.record(change, rank, ddl);
        }
    }

    /// Every loss, in the order of registers, as things stand in the numbered state.
    #[must_use]
    pub fn losses(&self, state: &State) -> Vec<Loss> {
        let schema = state.numbered_schema();
        let place = |loss: &Loss| (loss.register.clone(), loss.loser.rank);
        let ousted = state.ousted().into_iter().map(|ousted| Audit::ousted(ousted, schema));
        let told = self.losses.iter().filter_map(|((.., column), lost)| lost.tell(*column));
        let mut losses: BTreeMap<(Register, Rank), Loss> =
            told.chain(ousted).map(|loss| (place(&loss), loss)).collect();
        for loss in self.hidden().chain(state.miscasts().into_iter().map(miscast)) {
            losses.entry(place(&loss)).or_insert(loss);
        }
        losses.into_values().collect()
    }

    /// Every loss of a schema claim, in the order of registers, as things stand in the numbered state.
    #[must_use]
    pub fn schema_losses(&self, state: &State) -> Vec<SchemaLoss> {
        self.schema.losses(state.numbered_schema())
    }

    fn ousted(ousted: Ousted, schema: &Schema) -> Loss {
        let Ousted { edge: (edge, made), by: (by, by_made) } = ousted;
        let policy = schema.table(edge.table).map_or(Policy::Auto, TableState::policy);
        let register = Register { element: Element::from(edge), column: None };
        let write = |made: Made| Write {
            rank: made.place.rank,
            written: if made.is_insert { Written::Inserted } else { Written::Updated },
        };
        Loss {
            conflict: ConflictType::Multiplicity,
            resolution: Resolution::of(policy, &made.place.rank, &by_made.place.rank),
            loser: write(made),
            winner: write(by_made),
            fields: Vec::new(),
            taken_by: Some(Element::from(by)),
            register,
        }
    }

    /// The writes that a drop hides whose author had not seen them.
    fn hidden(&self) -> impl Iterator<Item = Loss> {
        let entered = self.writes.iter().flat_map(|(element, entries)| entries.iter().map(move |one| (element, one)));
        let writes = entered.flat_map(|(element, one)| {
            let existence = one.is_insert().then_some(None);
            existence.into_iter().chain(one.columns().map(Some)).map(move |column| (element, one, column))
        });
        writes.filter_map(|(element, one, column)| {
            let table = element.table();
            let of_column = || self.schema.standing_drop(table, Subject::Column(column?));
            let drop = self.schema.standing_drop(table, Subject::Table).or_else(of_column);
            let (_, rank) = drop.filter(|(change, _)| change.is_concurrent_with(&one.change))?;
            let winner = Write { rank, written: Written::Dropped };
            let fields = column.map_or_else(|| one.columns().collect(), |column| vec![column]);
            let (conflict, resolution) = (ConflictType::ConcurrentDrop, Resolution::SchemaWins);
            let (register, loser) = (Register { element: element.clone(), column }, one.write(column));
            Some(Loss { register, conflict, resolution, loser, winner, fields, taken_by: None })
        })
    }

    fn enter(&mut self, element: &Element, new: Entered, schema: &Schema, changed: &mut Changed) {
        let entries = match self.writes.get_mut(element) {
            Some(entries) => entries,
            None => self.writes.entry(element.clone()).or_default(),
        };
        if let Some(table) = schema.table(element.table()) {
            let mut court = Court { element, table, losses: &mut self.losses, changed };
            entries.concurrent_with(&new.change).for_each(|old| court.judge(old, &new));
        }
        entries.insert(new);
    }

    /// Judges every pair in a table again, after its rules have changed.
    fn judge_anew(&mut self, id: TableId, schema: &Schema, changed: &mut BTreeSet<LossId>) {
        self.losses.retain(|_, lost| lost.loser.op().element().is_none_or(|element| element.table() != id));
        changed.retain(|place| self.losses.contains_key(place));
        let Some(table) = schema.table(id) else { return };
        let mut again = Changed::default();
        for (element, entries) in self.writes.iter().filter(|(element, _)| element.table() == id) {
            let mut court = Court { element, table, losses: &mut self.losses, changed: &mut again };
            for one in entries.iter() {
                let others = entries.concurrent_with(&one.change).filter(|other| other.change.id < one.change.id);
                others.for_each(|other| court.judge(other, one));
            }
        }
        changed.extend(again.losses);
    }
}

/// A write that lost, and to what. It is told as a [`Loss`] when somebody asks.
#[derive(Clone, Debug)]
struct Lost {
    loser: Entered,
    winner: Entered,
    resolution: Resolution,
}

/// The operation that lost, and the column in which it did, `None` for the element's existence.
type LossId = (ChangeId, u32, Option<ColumnId>);

impl Lost {
    fn tell(&self, column: Option<ColumnId>) -> Option<Loss> {
        let Lost { loser, winner, resolution } = self;
        let register = Register { element: loser.op().element()?.clone(), column };
        let involves_delete = loser.is_delete() || winner.is_delete();
        let conflict = if involves_delete { ConflictType::ConcurrentDelete } else { ConflictType::ConcurrentUpdate };
        let (fields, loser, winner) = (fields(loser, winner), loser.write(column), winner.write(column));
        Some(Loss { register, conflict, resolution: *resolution, loser, winner, fields, taken_by: None })
    }
}

/// What a change did to the audit.
#[derive(Debug, Default)]
struct Changed {
    /// The losses it added or altered.
    losses: BTreeSet<LossId>,
    /// The counters to which it and concurrent ones add.
    merged: BTreeSet<Register>,
}

/// Where the operations on one element are judged.
struct Court<'a> {
    element: &'a Element,
    table: &'a TableState,
    losses: &'a mut BTreeMap<LossId, Lost>,
    changed: &'a mut Changed,
}

impl Court<'_> {
    /// Judges two operations of which neither author had seen the other.
    fn judge(&mut self, one: &Entered, other: &Entered) {
        let placed = [(one, one.place()), (other, other.place())];
        let (delete, write) = if one.is_delete() { (one, other) } else { (other, one) };
        if !delete.is_delete() {
            for column in one.columns().filter(|column| other.has_written_to(*column)) {
                if one.is_increment() && other.is_increment() {
                    let register = Register { element: self.element.clone(), column: Some(column) };
                    self.changed.merged.insert(register);
                } else {
                    self.judge_register(Some(column), placed, self.table.column_policy(column));
                }
            }
        } else if !write.is_delete() {
            for column in write.columns() {
                self.judge_register(Some(column), placed, self.table.column_policy(column));
            }
            // A write to a cell may also bring its row back from a delete.
            if write.is_insert() || self.table.update_revives() && write.columns().next().is_some() {
                self.judge_register(None, placed, self.table.policy());
            }
        }
    }

    /// Judges what two operations wrote to one register.
    fn judge_register(&mut self, column: Option<ColumnId>, placed: [(&Entered, Place); 2], policy: Policy) {
        let [one, other] = placed;
        let ((loser, losing), (winner, winning)) =
            if policy.compare(&one.1, &other.1).is_lt() { (one, other) } else { (other, one) };
        let differ =
            |column| matches!((loser.value(column), winner.value(column)), (Some(lost), Some(kept)) if lost != kept);
        let is_loss = match column {
            None => true,
            Some(_) if loser.is_delete() => false,
            Some(column) => winner.is_delete() || differ(column),
        };
        if !is_loss {
            return;
        }
        let place = (loser.change.id, loser.index, column);
        let known = self.losses.get(&place);
        if known.is_some_and(|known| !policy.compare(&winning, &known.winner.place()).is_gt()) {
            return;
        }
        let resolution = Resolution::of(policy, &losing.rank, &winning.rank);
        self.losses.insert(place, Lost { loser: loser.clone(), winner: winner.clone(), resolution });
        self.changed.losses.insert(place);
    }
}

/// A value that its column's type cannot hold.
fn miscast(miscast: Miscast) -> Loss {
    let Miscast { element, column, value, rank, column_type, typed_by } = miscast;
    Loss {
        register: Register { element, column: Some(column) },
        conflict: ConflictType::FailedCast,
        resolution: Resolution::SchemaWins,
        loser: Write { rank, written: Written::Value(value) },
        winner: Write { rank: typed_by, written: Written::Typed(column_type) },
        fields: vec![column],
        taken_by: None,
    }
}

/// The columns in which what two operations on one element wrote differs; a delete differs in everything the other wrote.
fn fields(one: &Entered, other: &Entered) -> Vec<ColumnId> {
    match (one.is_delete(), other.is_delete()) {
        (true, _) => other.columns().collect(),
        (false, true) => one.columns().collect(),
        (false, false) => {
            let differs = |column| one.value(column).is_none() || one.value(column) != other.value(column);
            one.columns().filter(|column| other.has_written_to(*column) && differs(*column)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::schema::{Claim, SchemaConflict};
    use super::*;
    use crate::change::{ChangeId, Node};
    use crate::clock::{Seen, Timestamp};
    use crate::ddl::{Column, Ddl, Rule, column_id};
    use crate::id::{Digest, TxId};
    use crate::value::Type;

    fn table() -> Ddl {
        let column = |name: &str, column_type| Column::new(name, column_type);
        let columns = vec![column("id", Type::Int64), column("v", Type::String), column("n", Type::Int64)];
        Ddl::CreateNodeTable { name: "T".into(), birth: 0, columns, primary_key: "id".into() }
    }

    fn column(name: &str) -> ColumnId {
        column_id(table().table_id(), name)
    }

    fn element() -> Element {
        Element::Node(Node { table: table().table_id(), key: Value::from(1) })
    }

    fn id(replica: u8, seq: u64) -> ChangeId {
        ChangeId { replica: ReplicaId([replica; 16]), seq }
    }

    /// A change at `ms`, written in a link epoch.
    fn change_in(link_epoch: u64, change: ChangeId, ms: i64, seen: &[ChangeId], op: Op) -> Arc<Change> {
        Arc::new(Change {
            id: change,
            tx: TxId::default(),
            previous: Digest::default(),
            timestamp: Timestamp::at_ms(ms),
            link_epoch,
            authority_epochs: BTreeMap::new(),
            seen: seen.iter().copied().collect(),
            depends_on: Vec::new(),
            replaces: None,
            expects: Vec::new(),
            participants: Vec::new(),
            ops: vec![op],
        })
    }

    fn change(change: ChangeId, ms: i64, seen: &[ChangeId], op: Op) -> Arc<Change> {
        change_in(0, change, ms, seen, op)
    }

    fn update(value: &str) -> Op {
        Op::Update { element: element(), cells: Cells::from([(column("v"), Value::from(value))]) }
    }

    fn increment(by: i64) -> Op {
        Op::Increment { element: element(), column: column("n"), by: by.into() }
    }

    fn delete() -> Op {
        Op::Delete { element: element() }
    }

    fn rule(rule: Rule<ColumnId>) -> Op {
        Op::Schema(Ddl::SetRule { table: table().table_id(), rule })
    }

    /// Both audits of the changes in this order, numbered as they come, which are the same in the reverse order of entry.
    fn audits(changes: &[Arc<Change>]) -> (Vec<Loss>, Vec<SchemaLoss>) {
        let in_order = |changes: &mut dyn Iterator<Item = (Lsn, &Arc<Change>)>| {
            let (mut audit, mut state) = (Audit::default(), State::default());
            state.join(&change(id(99, 1), 0, &[], Op::Schema(table())), 0);
            for (lsn, change) in changes {
                state.join(change, lsn);
                audit.record(change, lsn, state.numbered_schema());
            }
            (audit.losses(&state), audit.schema_losses(&state))
        };
        let forwards = in_order(&mut (1..).zip(changes));
        assert_eq!(forwards, in_order(&mut (1..).zip(changes).collect::<Vec<_>>().into_iter().rev()));
        forwards
    }

    fn audit(changes: &[Arc<Change>]) -> Vec<Loss> {
        audits(changes).0
    }

    fn drop_table() -> Op {
        Op::Schema(Ddl::DropTable { table: table().table_id() })
    }

    fn schema(ddl: Ddl) -> Op {
        Op::Schema(ddl)
    }

    fn retype(name: &str, column_type: Type) -> Op {
        schema(Ddl::AlterColumnType { table: table().table_id(), column: column(name), column_type })
    }

    #[test]
    fn a_write_that_a_concurrent_drop_hides_is_lost_until_the_table_or_column_is_back() {
        let write = change(id(1, 1), 30, &[], update("a"));
        let aware = change(id(1, 1), 10, &[], update("a"));
        let gone = change(id(2, 1), 20, &[], drop_table());
        let losses = audit(&[Arc::clone(&write), Arc::clone(&gone)]);
        assert_eq!(losses.len(), 1);
        assert_eq!((losses[0].conflict, losses[0].resolution), (ConflictType::ConcurrentDrop, Resolution::SchemaWins));
        assert_eq!(losses[0].winner.written, Written::Dropped);
        assert_eq!(losses[0].fields, [column("v")]);
        let knowing = change(id(2, 1), 20, &[id(1, 1)], drop_table());
        assert_eq!(audit(&[aware, knowing]), [], "who drops what it knows loses nothing");
        let back = change(id(3, 1), 40, &[id(2, 1)], schema(Ddl::UndropTable { table: table().table_id() }));
        assert_eq!(audit(&[Arc::clone(&write), gone, back]), [], "it is shown again");
        let of_column = |name| {
            change(id(2, 1), 20, &[], schema(Ddl::DropColumn { table: table().table_id(), column: column(name) }))
        };
        assert_eq!(audit(&[Arc::clone(&write), of_column("v")]).len(), 1);
        assert_eq!(audit(&[write, of_column("n")]), []);
    }

    #[test]
    fn a_value_that_is_none_of_its_columns_type_is_lost_until_the_type_holds_it() {
        let row = change(id(4, 1), 5, &[], Op::Insert { element: element(), cells: Cells::new() });
        let number = change(id(1, 1), 10, &[id(4, 1)], update("7"));
        let word = change(id(1, 1), 10, &[id(4, 1)], update("seven"));
        let to_number = change(id(2, 1), 20, &[id(4, 1)], retype("v", Type::Int64));
        assert_eq!(audit(&[Arc::clone(&row), number, Arc::clone(&to_number)]), []);
        let losses = audit(&[Arc::clone(&row), Arc::clone(&word), Arc::clone(&to_number)]);
        assert_eq!(losses.len(), 1);
        assert_eq!(
            (losses[0].conflict, &losses[0].loser.written),
            (ConflictType::FailedCast, &Written::Value("seven".into()))
        );
        assert_eq!(losses[0].winner.written, Written::Typed(Type::Int64));
        let back = change(id(2, 2), 30, &[id(4, 1), id(2, 1)], retype("v", Type::String));
        assert_eq!(audit(&[row, word, to_number, back]), []);
    }

    #[test]
    fn schema_claims_lose_to_the_greatest_concurrent_one_that_says_otherwise() {
        let rename = |replica, name: &str| {
            let ddl = Ddl::RenameTable { table: table().table_id(), name: name.into() };
            change(id(replica, 1), i64::from(replica), &[], schema(ddl))
        };
        let claims = |changes: &[Arc<Change>]| {
            let losses = audits(changes).1;
            losses.into_iter().map(|loss| (loss.loser.claim, loss.winner.claim)).collect::<Vec<_>>()
        };
        let name = |name: &str| Claim::Name(name.into());
        let found = claims(&[rename(1, "A"), rename(2, "B"), rename(3, "C")]);
        assert_eq!(found, [(name("A"), name("C")), (name("B"), name("C"))]);
        assert_eq!(claims(&[rename(1, "A"), rename(2, "A")]), [], "both say the same");
        let aware = Arc::new(Change { seen: [id(1, 1)].into_iter().collect(), ..(*rename(2, "B")).clone() });
        assert_eq!(claims(&[rename(1, "A"), aware]), [], "it knew the other");
        let typed = |replica, of: Type| change(id(replica, 1), i64::from(replica), &[], retype("n", of));
        assert_eq!(claims(&[typed(1, Type::Int128), typed(2, Type::Int32)]), [], "the wider holds both");
        let types = (Claim::Type(Type::Int32), Claim::Type(Type::String));
        assert_eq!(claims(&[typed(1, Type::Int32), typed(2, Type::String)]), [types]);
        let gone = change(id(2, 1), 2, &[], drop_table());
        let again = change(id(3, 1), 3, &[], schema(Ddl::UndropTable { table: table().table_id() }));
        assert_eq!(claims(&[gone, again]), [(Claim::Dropped, Claim::Made)]);
    }

    #[test]
    fn the_drop_of_a_pair_loses_to_an_addition_it_had_not_seen_and_a_name_to_its_owner() {
        let of = table().table_id();
        let edges = Ddl::CreateEdgeTable { name: "E".into(), birth: 0, from: of, to: of, columns: Vec::new() };
        let id_of_edges = edges.table_id();
        let made = change(id(1, 1), 1, &[], schema(edges));
        let dropped = change(id(2, 1), 9, &[id(1, 1)], schema(Ddl::DropPair { table: id_of_edges, from: of, to: of }));
        let added = change(id(3, 1), 5, &[id(1, 1)], schema(Ddl::AddPair { table: id_of_edges, from: of, to: of }));
        let losses = audits(&[Arc::clone(&made), dropped, added]).1;
        assert_eq!(losses.len(), 1);
        assert_eq!((losses[0].resolution, &losses[0].loser.claim), (Resolution::AddWins, &Claim::Dropped));
        let taken = change(id(2, 1), 9, &[], schema(Ddl::RenameTable { table: of, name: "e".into() }));
        let losses = audits(&[made, taken]).1;
        assert_eq!(losses.len(), 1);
        assert_eq!((losses[0].conflict, losses[0].register.table), (SchemaConflict::ContestedName, id_of_edges));
        assert_eq!(losses[0].taken_by, Some((of, Subject::Table)));
    }

    #[test]
    fn a_concurrent_write_with_the_earlier_timestamp_is_a_recorded_loss() {
        let losses = audit(&[change(id(1, 1), 10, &[], update("a")), change(id(2, 1), 20, &[], update("b"))]);
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].conflict.name(), "concurrent_update");
        assert_eq!(losses[0].resolution.name(), "last_write_wins");
        assert_eq!(losses[0].loser.written, Written::Value("a".into()));
        assert_eq!(losses[0].winner.written, Written::Value("b".into()));
        assert_eq!(losses[0].fields, [column("v")]);
    }

    #[test]
    fn overwriting_what_one_had_seen_and_writing_the_same_value_are_no_conflicts() {
        assert_eq!(
            audit(&[change(id(1, 1), 10, &[], update("a")), change(id(2, 1), 20, &[id(1, 1)], update("b"))]),
            []
        );
        assert_eq!(audit(&[change(id(1, 1), 10, &[], update("a")), change(id(2, 1), 20, &[], update("a"))]), []);
    }

    #[test]
    fn what_its_author_had_passed_and_could_not_apply_is_concurrent() {
        let failed = change(id(1, 1), 10, &[], update("a"));
        let later = change(id(1, 2), 15, &[id(1, 1)], increment(1));
        let mut seen = Seen::default();
        seen.pass(id(1, 1));
        seen.insert(id(1, 2));
        let knowing = Arc::new(Change { seen, ..(*change(id(2, 1), 20, &[], update("b"))).clone() });
        let losses = audit(&[failed, later, knowing]);
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].loser.written, Written::Value("a".into()));
    }

    #[test]
    fn the_record_names_the_greatest_of_several_winners() {
        let changes = [10, 20, 30].map(|ms| change(id(ms as u8, 1), ms, &[], update(&ms.to_string())));
        let losses = audit(&changes);
        assert_eq!(losses.len(), 2);
        assert!(losses.iter().all(|loss| loss.winner.written == Written::Value("30".into())));
    }

    #[test]
    fn a_delete_wins_over_a_concurrent_update_and_loses_once_to_a_concurrent_insert() {
        let losses = audit(&[change(id(1, 1), 20, &[], delete()), change(id(2, 1), 10, &[], update("b"))]);
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].conflict, ConflictType::ConcurrentDelete);
        assert_eq!(losses[0].winner.written, Written::Deleted);
        assert_eq!(losses[0].fields, [column("v")]);

        let insert = Op::Insert { element: element(), cells: Cells::from([(column("v"), Value::from("b"))]) };
        let losses = audit(&[change(id(1, 1), 10, &[], delete()), change(id(2, 1), 20, &[], insert)]);
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].loser.written, Written::Deleted);
        assert_eq!(losses[0].register.column, None);
    }

    #[test]
    fn increments_lose_to_nothing_but_a_delete() {
        let changes = [change(id(1, 1), 10, &[], increment(-5)), change(id(2, 1), 20, &[], increment(-3))];
        assert_eq!(audit(&changes), []);
        let (mut audit_, mut schema) = (Audit::default(), Schema::default());
        schema.join_change(&change(id(9, 1), 0, &[], Op::Schema(table())));
        assert_eq!(audit_.record(&changes[0], 1, &schema).merged, []);
        assert_eq!(audit_.record(&changes[1], 2, &schema).merged.len(), 1, "they are reported as merged");
        let set = Op::Update { element: element(), cells: Cells::from([(column("n"), Value::from(7))]) };
        assert_eq!(audit(&[change(id(1, 1), 10, &[], increment(1)), change(id(2, 1), 20, &[], set)]), []);
        let losses = audit(&[change(id(1, 1), 10, &[], increment(1)), change(id(2, 1), 20, &[], delete())]);
        assert_eq!(losses.len(), 1);
        assert_eq!(losses[0].loser.written, Written::Incremented(1.into()));
    }

    #[test]
    fn each_policy_names_its_own_winner_and_rule_whenever_it_is_set() {
        let policy = |policy| change(id(9, 1), 99, &[], rule(Rule::Policy { column: None, policy }));
        let early_but_connected = change_in(2, id(1, 1), 10, &[], update("early"));
        let late_but_cut_off = change_in(1, id(2, 1), 20, &[], update("late"));
        let judged = |policy_change: Option<Arc<Change>>| {
            let mut changes = vec![Arc::clone(&early_but_connected), Arc::clone(&late_but_cut_off)];
            changes.extend(policy_change);
            let losses = audit(&changes);
            assert_eq!(losses.len(), 1);
            (losses[0].winner.written.clone(), losses[0].resolution.name())
        };
        let (early, late) = (Written::Value("early".into()), Written::Value("late".into()));
        assert_eq!(judged(None), (early.clone(), "online_wins"));
        assert_eq!(judged(Some(policy(Policy::LastWriteWins))), (late.clone(), "last_write_wins"));
        assert_eq!(judged(Some(policy(Policy::PreferMain))), (early, "online_wins"));
        assert_eq!(judged(Some(policy(Policy::ServerOrder))), (late, "server_order"));
    }

    #[test]
    fn where_updates_revive_a_delete_loses_to_the_update_that_brought_the_row_back() {
        let revives = change(id(9, 1), 99, &[], rule(Rule::UpdateRevives(true)));
        let changes =
            [change(id(1, 1), 10, &[], delete()), change(id(2, 1), 20, &[], update("b")), Arc::clone(&revives)];
        let losses = audit(&changes);
        assert_eq!(losses.len(), 1);
        assert_eq!((&losses[0].loser.written, &losses[0].winner.written), (&Written::Deleted, &Written::Updated));
    }
}
