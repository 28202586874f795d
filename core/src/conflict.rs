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

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::change::{Change, Element, Op};
use crate::clock::{Lsn, Rank};
use crate::flat_map::{FlatMap, grow};
use crate::id::{ColumnId, TableId};
use crate::policy::{Place, Policy};
use crate::schema::{Schema, TableState};
use crate::state::{Miscast, Ousted, State};
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

/// A write the audit has entered, with the change that tells what its author had seen.
#[derive(Clone, Debug)]
struct Entered {
    change: Arc<Change>,
    place: Place,
    written: Written,
}

impl Entered {
    fn op(&self) -> &Op {
        &self.change.ops[self.place.rank.index as usize]
    }

    fn write(&self) -> Write {
        Write { rank: self.place.rank, written: self.written.clone() }
    }

    /// The columns it wrote to, with the value each was given, if it was one.
    fn columns(&self) -> BTreeMap<ColumnId, Option<&Value>> {
        match self.op() {
            Op::Insert { cells, .. } | Op::Update { cells, .. } => {
                cells.iter().map(|(column, value)| (*column, Some(value))).collect()
            }
            Op::Increment { column, .. } => BTreeMap::from([(*column, None)]),
            Op::Delete { .. } | Op::Schema(_) => BTreeMap::new(),
        }
    }

    /// The same operation as a write to the element's existence.
    fn as_existence(&self) -> Option<Entered> {
        let is_update = matches!(self.op(), Op::Update { .. } | Op::Increment { .. });
        is_update.then(|| Entered { written: Written::Updated, ..self.clone() })
    }
}

/// The writes to one element.
#[derive(Clone, Debug, Default)]
struct Writes {
    /// Its inserts and deletes.
    existence: Vec<Entered>,
    cells: FlatMap<ColumnId, Vec<Entered>>,
}

impl Writes {
    fn of(&self, column: Option<ColumnId>) -> &[Entered] {
        match column {
            None => &self.existence,
            Some(column) => self.cells.get(&column).map_or(&[], Vec::as_slice),
        }
    }

    fn deletes(&self) -> impl Iterator<Item = &Entered> {
        self.existence.iter().filter(|entered| entered.written == Written::Deleted)
    }

    /// Each column that was written to, and first the element itself.
    fn registers(&self) -> impl Iterator<Item = (Option<ColumnId>, &[Entered])> {
        let cells = self.cells.iter().map(|(column, writes)| (Some(*column), writes.as_slice()));
        [(None, self.existence.as_slice())].into_iter().chain(cells)
    }

    fn push(&mut self, column: Option<ColumnId>, new: Entered) {
        let writes = match column {
            None => &mut self.existence,
            Some(column) => self.cells.or_default(column),
        };
        grow(writes);
        writes.push(new);
    }
}

/// Every concurrent loss among the numbered changes.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    writes: BTreeMap<Element, Writes>,
    losses: BTreeMap<(Register, Rank), (Loss, Place)>,
    schema: SchemaAudit,
}

impl Audit {
    /// Enters a change. The schema is that after the change.
    pub fn record(&mut self, change: &Arc<Change>, lsn: Lsn, schema: &Schema) -> Found {
        let mut found = Found::default();
        for (rank, op) in change.ranked_ops() {
            let entered = |written| Entered { change: Arc::clone(change), place: Place { rank, lsn }, written };
            match op {
                Op::Insert { element, cells } | Op::Update { element, cells } => {
                    if matches!(op, Op::Insert { .. }) {
                        self.enter(element, None, entered(Written::Inserted), schema, &mut found);
                    }
                    for (column, value) in cells {
                        let write = entered(Written::Value(value.clone()));
                        self.enter(element, Some(*column), write, schema, &mut found);
                    }
                }
                Op::Increment { element, column, by } => {
                    let write = entered(Written::Incremented(by.clone()));
                    self.enter(element, Some(*column), write, schema, &mut found);
                }
                Op::Delete { element } => self.enter(element, None, entered(Written::Deleted), schema, &mut found),
                Op::Schema(ddl) => {
                    found.schema_losses.extend(self.schema.record(change, rank, ddl));
                    if matches!(ddl, crate::ddl::Ddl::SetRule { .. }) {
                        self.judge_anew(ddl.table_id(), schema, &mut found);
                    }
                }
            }
        }
        found
    }

    /// Every loss, in the order of registers, as things stand in the numbered state.
    #[must_use]
    pub fn losses(&self, state: &State) -> Vec<Loss> {
        let schema = state.numbered_schema();
        let mut losses: BTreeMap<(Register, Rank), Loss> =
            self.losses.iter().map(|(place, (loss, _))| (place.clone(), loss.clone())).collect();
        let ousted = state.ousted().into_iter().map(|ousted| self.ousted(ousted, schema));
        losses.extend(ousted.map(|loss| ((loss.register.clone(), loss.loser.rank), loss)));
        for loss in self.hidden().chain(state.miscasts().into_iter().map(miscast)) {
            losses.entry((loss.register.clone(), loss.loser.rank)).or_insert(loss);
        }
        losses.into_values().collect()
    }

    /// Every loss of a schema claim, in the order of registers, as things stand in the numbered state.
    #[must_use]
    pub fn schema_losses(&self, state: &State) -> Vec<SchemaLoss> {
        self.schema.losses(state.numbered_schema())
    }

    fn ousted(&self, ousted: Ousted, schema: &Schema) -> Loss {
        let Ousted { edge: (edge, place), by: (by, by_place) } = ousted;
        let policy = schema.table(edge.table).map_or(Policy::Auto, TableState::policy);
        let register = Register { element: Element::Edge(edge), column: None };
        let write = |(place, written): (Place, Written)| Write { rank: place.rank, written };
        Loss {
            conflict: ConflictType::Multiplicity,
            resolution: Resolution::of(policy, &place.rank, &by_place.rank),
            loser: write((place, self.made_by(&register.element, &place))),
            winner: write((by_place, self.made_by(&Element::Edge(by.clone()), &by_place))),
            fields: Vec::new(),
            taken_by: Some(Element::Edge(by)),
            register,
        }
    }

    /// The writes that a drop hides whose author had not seen them.
    fn hidden<'a>(&'a self) -> impl Iterator<Item = Loss> + 'a {
        let registers = |(element, writes): (&'a Element, &'a Writes)| {
            writes.registers().map(move |(column, writes)| (element, column, writes))
        };
        self.writes.iter().flat_map(registers).flat_map(|(element, column, writes)| {
            let table = element.table();
            let of_column = || self.schema.standing_drop(table, Subject::Column(column?));
            let drop = self.schema.standing_drop(table, Subject::Table).or_else(of_column);
            let is_hidden = move |write: &&Entered| {
                write.written != Written::Deleted
                    && drop.is_some_and(|(change, _)| change.is_concurrent_with(&write.change))
            };
            writes.iter().filter(is_hidden).filter_map(move |write| {
                let winner = Write { rank: drop?.1, written: Written::Dropped };
                let fields = column.map_or_else(|| write.columns().into_keys().collect(), |column| vec![column]);
                let (conflict, resolution) = (ConflictType::ConcurrentDrop, Resolution::SchemaWins);
                let (register, loser) = (Register { element: element.clone(), column }, write.write());
                Some(Loss { register, conflict, resolution, loser, winner, fields, taken_by: None })
            })
        })
    }

    /// Whether the write that made an element was an insert.
    fn made_by(&self, element: &Element, place: &Place) -> Written {
        let is_insert =
            self.writes.get(element).is_some_and(|writes| writes.existence.iter().any(|write| write.place == *place));
        if is_insert { Written::Inserted } else { Written::Updated }
    }

    fn enter(&mut self, element: &Element, column: Option<ColumnId>, new: Entered, schema: &Schema, found: &mut Found) {
        let mut pairs = Vec::new();
        let mut meet = |column: Option<ColumnId>, old: &Entered| {
            if old.change.is_concurrent_with(&new.change) {
                pairs.push((column, old.clone()));
            }
        };
        if let Some(writes) = self.writes.get(element) {
            writes.of(column).iter().for_each(|old| meet(column, old));
            if column.is_some() {
                writes.deletes().for_each(|old| meet(column, old));
            } else if new.written == Written::Deleted {
                for (cell, writes) in &writes.cells {
                    writes.iter().for_each(|old| meet(Some(*cell), old));
                }
            }
        }
        for (column, old) in pairs {
            self.collide(&Register { element: element.clone(), column }, &old, &new, schema, found);
        }
        match self.writes.get_mut(element) {
            Some(writes) => writes.push(column, new),
            None => self.writes.entry(element.clone()).or_default().push(column, new),
        }
    }

    /// Judges two writes that compete for a register.
    fn collide(&mut self, register: &Register, one: &Entered, other: &Entered, schema: &Schema, found: &mut Found) {
        if !one.change.is_concurrent_with(&other.change) {
            return;
        }
        let Some(table) = schema.table(register.element.table()) else { return };
        let increments = |entered: &Entered| matches!(entered.written, Written::Incremented(_));
        if increments(one) && increments(other) {
            found.merged.push(register.clone());
            return;
        }
        let policy = register.column.map_or_else(|| table.policy(), |column| table.column_policy(column));
        self.judge(register, one, other, policy, found);
        // A write to a cell may also bring its row back from a delete.
        let is_delete = |entered: &Entered| entered.written == Written::Deleted;
        if register.column.is_some() && table.update_revives() {
            let existence = Register { element: register.element.clone(), column: None };
            let (delete, write) = if is_delete(one) { (one, other) } else { (other, one) };
            if let Some(update) = write.as_existence().filter(|_| is_delete(delete)) {
                self.judge(&existence, delete, &update, table.policy(), found);
            }
        }
    }

    fn judge(&mut self, register: &Register, one: &Entered, other: &Entered, policy: Policy, found: &mut Found) {
        let (loser, winner) =
            if policy.compare(&one.place, &other.place).is_lt() { (one, other) } else { (other, one) };
        let is_loss = match (&loser.written, &winner.written) {
            (Written::Value(lost), Written::Value(kept)) => lost != kept,
            (Written::Value(_) | Written::Incremented(_), Written::Deleted) => true,
            (Written::Inserted | Written::Updated, Written::Deleted)
            | (Written::Deleted, Written::Inserted | Written::Updated) => register.column.is_none(),
            _ => false,
        };
        let place = (register.clone(), loser.place.rank);
        let is_greatest = |(_, known): &(Loss, Place)| policy.compare(&winner.place, known).is_gt();
        if !is_loss || !self.losses.get(&place).is_none_or(is_greatest) {
            return;
        }
        let involves_delete = [loser, winner].iter().any(|entered| entered.written == Written::Deleted);
        let conflict = if involves_delete { ConflictType::ConcurrentDelete } else { ConflictType::ConcurrentUpdate };
        let resolution = Resolution::of(policy, &loser.place.rank, &winner.place.rank);
        let register = register.clone();
        let (fields, taken_by) = (fields(loser, winner), None);
        let loss =
            Loss { register, conflict, resolution, loser: loser.write(), winner: winner.write(), fields, taken_by };
        found.losses.push(loss.clone());
        self.losses.insert(place, (loss, winner.place));
    }

    /// Judges every pair in a table again, after its rules have changed.
    fn judge_anew(&mut self, table: TableId, schema: &Schema, found: &mut Found) {
        self.losses.retain(|(register, _), _| register.element.table() != table);
        let is_here = |(element, _): &(&Element, &Writes)| element.table() == table;
        let elements: BTreeMap<Element, Writes> =
            self.writes.iter().filter(is_here).map(|(element, writes)| (element.clone(), writes.clone())).collect();
        let mut again = Found::default();
        for (element, writes) in &elements {
            for (column, entered) in writes.registers() {
                let register = Register { element: element.clone(), column };
                let deletes: Vec<&Entered> = writes.deletes().filter(|_| column.is_some()).collect();
                for (index, one) in entered.iter().enumerate() {
                    let others = entered[..index].iter().chain(deletes.iter().copied());
                    others.for_each(|other| self.collide(&register, other, one, schema, &mut again));
                }
            }
        }
        found.losses.extend(again.losses);
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
    let (one_columns, other_columns) = (one.columns(), other.columns());
    if one.written == Written::Deleted {
        return other_columns.into_keys().collect();
    }
    if other.written == Written::Deleted {
        return one_columns.into_keys().collect();
    }
    let differs = |(column, value): (ColumnId, Option<&Value>)| {
        other_columns.get(&column).is_some_and(|other| *other != value || value.is_none()).then_some(column)
    };
    one_columns.into_iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::schema::{Claim, SchemaConflict};
    use super::*;
    use crate::change::{Cells, ChangeId, Node};
    use crate::clock::Timestamp;
    use crate::ddl::{Column, Ddl, Rule, column_id};
    use crate::id::{Digest, ReplicaId, TxId};
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
