//! The difference of two schemas as schema operations, and the union of two that went different ways.
//!
//! [`difference`] tells what to do to one schema so that it shows what another shows: tables and columns keep their
//! identities, so a dropped one is brought back with its values and a renamed one is renamed, not made anew. From the
//! schema of today to that of an earlier version it is the way back, which is applied as a new change like any other
//! (DDL Synchronisation, case B8). What was made since is dropped, and can be brought back in turn.
//!
//! [`Schema::merge`] joins what two replicas know; it gives what either has when it has heard of everything the other did,
//! because every register keeps the greatest claim and every set the union (case B9).

use std::collections::{BTreeMap, BTreeSet};

use super::{ColumnState, IndexState, Kind, Life, Names, Pair, Rules, Schema, TableState, raise};
use crate::change::ChangeId;
use crate::clock::{Rank, Seen, Timestamp};
use crate::ddl::{Column, Ddl, IndexKind, Rule, fold};
use crate::id::{ColumnId, IndexId, ReplicaId, TableId};
use crate::value::{Type, Value};

/// The operations after which `from` shows what `to` shows, in an order in which each can be carried out; none if it does.
///
/// Not told are tables that `to` knows and does not show, as long as `from` does not know them.
#[must_use]
pub fn difference(from: &Schema, to: &Schema) -> Vec<Ddl> {
    let mut way = Way { seen: from.all_seen(), schema: from.clone(), to, ops: Vec::new() };
    way.drop_tables();
    way.make_tables();
    let is_here = |id: &&TableId| to.tables[*id].is_live() && way.schema.tables.contains_key(*id);
    let ids: Vec<TableId> = to.tables.keys().filter(is_here).copied().collect();
    for id in ids {
        way.set_pairs(id);
        way.set_columns(id);
        way.set_rules(id);
        way.set_indexes(id);
        way.name_columns(id);
    }
    way.name_tables();
    way.ops
}

/// From one schema to another, half way there.
struct Way<'t> {
    schema: Schema,
    to: &'t Schema,
    /// Everything that is in the schema.
    seen: Seen,
    ops: Vec<Ddl>,
}

impl Way<'_> {
    /// Goes a step, with a rank above everything that is there.
    fn step(&mut self, ddl: Ddl) {
        let change = ChangeId { replica: ReplicaId([u8::MAX; 16]), seq: u64::MAX };
        let index = u32::try_from(self.ops.len()).unwrap_or(u32::MAX);
        let timestamp = Timestamp::at_ms(i64::MAX);
        let rank = Rank { authority_epoch: u64::MAX, link_epoch: u64::MAX, timestamp, change, index };
        self.schema.join(rank, &self.seen, &ddl);
        self.ops.push(ddl);
    }

    fn all(&mut self, ops: Vec<Ddl>) {
        ops.into_iter().for_each(|ddl| self.step(ddl));
    }

    /// Edge tables before the node tables they touch.
    fn drop_tables(&mut self) {
        let is_gone = |id: &TableId| !self.to.tables.get(id).is_some_and(TableState::is_live);
        let gone = self.schema.tables.iter().filter(|(id, table)| table.is_live() && is_gone(id));
        let mut gone: Vec<(bool, TableId)> =
            gone.map(|(id, table)| (matches!(table.kind, Kind::Node { .. }), *id)).collect();
        gone.sort();
        self.all(gone.into_iter().map(|(_, table)| Ddl::DropTable { table }).collect());
    }

    /// Node tables before the edge tables that touch them.
    fn make_tables(&mut self) {
        let mut live: Vec<(bool, TableId)> = Vec::new();
        for (id, table) in self.to.tables.iter().filter(|(_, table)| table.is_live()) {
            live.push((matches!(table.kind, Kind::Edge { .. }), *id));
        }
        live.sort();
        for (_, id) in live {
            match self.schema.tables.get(&id) {
                Some(table) if table.is_live() => {}
                Some(_) => self.step(Ddl::UndropTable { table: id }),
                None => {
                    let made = self.create(id);
                    self.all(made.into_iter().collect());
                }
            }
        }
    }

    fn create(&self, id: TableId) -> Option<Ddl> {
        let table = &self.to.tables[&id];
        let (name, birth) = (table.born.spelled(&table.names), table.born.birth);
        match &table.kind {
            Kind::Node { key } => {
                let key = &table.columns[key];
                let primary_key = key.born.spelled(&key.names);
                let columns = vec![Column::new(primary_key.clone(), key.column_type.clone())];
                Some(Ddl::CreateNodeTable { name, birth, columns, primary_key })
            }
            Kind::Edge { pairs } => {
                let live = pairs.iter().filter(|(_, pair)| pair.is_live()).map(|(ends, _)| *ends);
                let (from, to) = live.into_iter().find(|ends| self.knows(*ends))?;
                Some(Ddl::CreateEdgeTable { name, birth, from, to, columns: Vec::new() })
            }
        }
    }

    fn knows(&self, (from, to): (TableId, TableId)) -> bool {
        [from, to].iter().all(|end| self.schema.tables.contains_key(end))
    }

    fn set_pairs(&mut self, table: TableId) {
        let live = |schema: &Schema| -> BTreeSet<(TableId, TableId)> {
            let Some(TableState { kind: Kind::Edge { pairs }, .. }) = schema.tables.get(&table) else {
                return BTreeSet::new();
            };
            pairs.iter().filter(|(_, pair)| pair.is_live()).map(|(ends, _)| *ends).collect()
        };
        let (here, there) = (live(&self.schema), live(self.to));
        let missing = there.difference(&here).filter(|ends| self.knows(**ends));
        let add = missing.map(|&(from, to)| Ddl::AddPair { table, from, to });
        let surplus = here.difference(&there).map(|&(from, to)| Ddl::DropPair { table, from, to });
        self.all(add.chain(surplus).collect());
    }

    fn set_columns(&mut self, table: TableId) {
        let (here, there) = (self.schema.tables[&table].clone(), &self.to.tables[&table]);
        let is_live = |id: &ColumnId| there.columns.get(id).is_some_and(ColumnState::is_live);
        let gone = here.columns.iter().filter(|(id, column)| column.is_live() && !is_live(id));
        self.all(gone.map(|(column, _)| Ddl::DropColumn { table, column: *column }).collect());
        for (&column, wanted) in there.columns.iter().filter(|(_, column)| column.is_live()) {
            let known = here.columns.get(&column);
            let is_same_default = known.map_or(wanted.default().is_none(), |known| known.default() == wanted.default());
            if known.is_some_and(|known| !known.is_live()) {
                self.step(Ddl::UndropColumn { table, column });
            }
            if known.is_none() || !is_same_default {
                let (name, birth) = (wanted.born.spelled(&wanted.names), wanted.born.birth);
                // DEFAULT NULL is no default.
                let default =
                    if is_same_default { None } else { Some(wanted.default().cloned().unwrap_or(Value::Null)) };
                // A default may be of a type that the column had when it was given.
                let claimed = wanted.claims.values().map(|claim| &claim.claimed);
                let is_of = |of: &&Type| default.as_ref().is_none_or(|default| default.is_of(of));
                let column_type = std::iter::once(&wanted.column_type).chain(claimed).find(is_of);
                let column_type = column_type.unwrap_or(&wanted.column_type).clone();
                let definition = Column { name, column_type, default };
                self.step(Ddl::AddColumn { table, column: definition, birth });
            }
            let now = &self.schema.tables[&table].columns[&column];
            let is_same_type = now.column_type == wanted.column_type;
            let is_same_comment = now.comment() == wanted.comment();
            if !is_same_type {
                let column_type = wanted.column_type.clone();
                self.step(Ddl::AlterColumnType { table, column, column_type });
            }
            if !is_same_comment {
                let comment = wanted.comment().unwrap_or_default().to_owned();
                self.step(Ddl::CommentOnColumn { table, column, comment });
            }
        }
    }

    fn set_rules(&mut self, table: TableId) {
        let there = &self.to.tables[&table];
        let here = self.schema.tables[&table].clone();
        let mut rules = Vec::new();
        if here.policy() != there.policy() {
            rules.push(Rule::Policy { column: None, policy: there.policy() });
        }
        if here.update_revives() != there.update_revives() {
            rules.push(Rule::UpdateRevives(there.update_revives()));
        }
        if here.revive() != there.revive() {
            rules.push(Rule::Revive(there.revive()));
        }
        if here.multiplicity() != there.multiplicity() {
            rules.push(Rule::Multiplicity(there.multiplicity()));
        }
        self.all(rules.into_iter().map(|rule| Ddl::SetRule { table, rule }).collect());
        let here = self.schema.tables[&table].clone();
        for (column, _) in there.columns() {
            let policy = there.column_policy(column);
            let is_key = matches!(there.kind, Kind::Node { key } if key == column);
            if here.column_policy(column) != policy && !is_key {
                self.step(Ddl::SetRule { table, rule: Rule::Policy { column: Some(column), policy } });
            }
            let constraints = |table: &TableState| {
                let state = table.column(column);
                (state.is_some_and(ColumnState::is_unique), state.and_then(ColumnState::at_least))
            };
            let (is_on, bound) = constraints(there);
            if constraints(&here).0 != is_on {
                self.step(Ddl::SetRule { table, rule: Rule::Unique { column, is_on } });
            }
            if constraints(&here).1 != bound {
                self.step(Ddl::SetRule { table, rule: Rule::AtLeast { column, bound } });
            }
        }
        if here.comment() != there.comment() {
            let comment = there.comment().unwrap_or_default().to_owned();
            self.step(Ddl::CommentOnTable { table, comment });
        }
    }

    fn set_indexes(&mut self, table: TableId) {
        let there = &self.to.tables[&table];
        let here = self.schema.tables[&table].clone();
        let is_live = |of: &TableState, id: &IndexId| of.indexes.get(id).is_some_and(|index| index.life.is_live());
        let gone = here.indexes.keys().filter(|id| is_live(&here, id) && !is_live(there, id));
        self.all(gone.map(|index| Ddl::DropIndex { table, index: *index }).collect());
        let named = |name: &str, (kind, columns): (IndexKind, &Vec<ColumnId>)| {
            let (name, columns) = (name.to_owned(), columns.clone());
            Ddl::CreateIndex { table, name, kind, columns }
        };
        let knows = |index: &IndexState| index.columns.iter().all(|id| here.columns.contains_key(id));
        let wanted = there.indexes.iter().filter(|(id, index)| is_live(there, id) && knows(index));
        let wanted: Vec<(IndexId, &IndexState)> = wanted.map(|(id, index)| (*id, index)).collect();
        for (id, index) in &wanted {
            let is_same = is_live(&here, id) && here.indexes[id].names.current == index.names.current;
            if !is_same {
                self.step(named(&index.names.current, (index.kind, &index.columns)));
            }
        }
        for (id, index) in wanted {
            let is_owner = index.shown_name == index.names.current;
            if is_owner && self.schema.tables[&table].indexes[&id].shown_name != index.shown_name {
                self.step(named(&index.names.current, (index.kind, &index.columns)));
            }
        }
    }

    /// First what everything is called, then whose names those are that several claim.
    fn name_columns(&mut self, table: TableId) {
        let there = &self.to.tables[&table];
        let rename = |column: ColumnId, name: &str| Ddl::RenameColumn { table, column, name: name.to_owned() };
        for (column, wanted) in there.columns() {
            if self.schema.tables[&table].columns[&column].names.current != wanted.names.current {
                self.step(rename(column, &wanted.names.current));
            }
        }
        for (column, wanted) in there.columns() {
            let is_owner = wanted.shown_name == wanted.names.current;
            if is_owner && self.schema.tables[&table].columns[&column].shown_name != wanted.shown_name {
                self.step(rename(column, &wanted.names.current));
            }
        }
    }

    fn name_tables(&mut self) {
        let rename = |table: TableId, name: &str| Ddl::RenameTable { table, name: name.to_owned() };
        for (&id, wanted) in self.to.tables.iter().filter(|(_, table)| table.is_live()) {
            if self.schema.tables.get(&id).is_some_and(|table| table.names.current != wanted.names.current) {
                self.step(rename(id, &wanted.names.current));
            }
        }
        for (&id, name) in &self.to.shown_names {
            let is_owner = *name == self.to.tables[&id].names.current;
            if is_owner && self.schema.tables.contains_key(&id) && self.schema.shown_name(id) != name {
                self.step(rename(id, name));
            }
        }
    }
}

/// What an identity is made of, beside its table or kind: the name it was made under, in the form in which names are
/// compared, and how many of that name its author had known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Born {
    pub(super) name: String,
    pub(super) birth: u32,
}

impl Born {
    pub(super) fn new(name: &str, birth: u32) -> Self {
        Born { name: fold(name), birth }
    }

    /// The name, spelled as it is now if it is still the same.
    fn spelled(&self, names: &Names) -> String {
        if fold(&names.current) == self.name { names.current.clone() } else { self.name.clone() }
    }
}

impl Schema {
    /// The author of a change that has seen all that is here.
    fn all_seen(&self) -> Seen {
        let changes = self.joined.iter().map(|rank| rank.change);
        changes.collect()
    }

    /// Joins all that another schema knows.
    pub fn merge(&mut self, other: &Schema) {
        for (id, theirs) in &other.tables {
            match self.tables.get_mut(id) {
                Some(own) => own.merge(theirs),
                None => drop(self.tables.insert(*id, theirs.clone())),
            }
        }
        self.joined.extend(other.joined.iter().copied());
        self.miscounted = self.miscounted.max(other.miscounted);
        self.name_tables();
    }
}

impl TableState {
    fn merge(&mut self, theirs: &TableState) {
        let TableState { names, born: _, life, kind, columns, indexes, comment, rules } = theirs;
        self.names.merge(names);
        self.life.merge(*life);
        if let (Kind::Edge { pairs: own }, Kind::Edge { pairs }) = (&mut self.kind, kind) {
            for (ends, theirs) in pairs {
                let Pair { adds, drops } = own.entry(*ends).or_default();
                adds.extend(theirs.adds.iter().copied());
                drops.extend(theirs.drops.iter().map(|(rank, seen)| (*rank, seen.clone())));
            }
        }
        merge_all(&mut self.columns, columns, ColumnState::merge);
        merge_all(&mut self.indexes, indexes, IndexState::merge);
        merge_register(&mut self.comment, comment);
        let Rules { policy, update_revives, revive, multiplicity } = rules;
        merge_register(&mut self.rules.policy, policy);
        merge_register(&mut self.rules.update_revives, update_revives);
        merge_register(&mut self.rules.revive, revive);
        merge_register(&mut self.rules.multiplicity, multiplicity);
        self.settle();
    }
}

fn merge_all<I: Ord + Copy, T: Clone>(own: &mut BTreeMap<I, T>, theirs: &BTreeMap<I, T>, merge: impl Fn(&mut T, &T)) {
    for (id, theirs) in theirs {
        match own.get_mut(id) {
            Some(own) => merge(own, theirs),
            None => drop(own.insert(*id, theirs.clone())),
        }
    }
}

fn merge_register<T: Clone>(own: &mut Option<(Rank, T)>, theirs: &Option<(Rank, T)>) {
    if let Some((rank, value)) = theirs {
        raise(own, *rank, value.clone());
    }
}

impl Names {
    fn merge(&mut self, theirs: &Names) {
        if theirs.rank > self.rank {
            (self.rank, self.current) = (theirs.rank, theirs.current.clone());
        }
        for (name, rank) in &theirs.had {
            let last = self.had.entry(name.clone()).or_insert(*rank);
            *last = (*last).max(*rank);
        }
    }
}

impl Life {
    fn merge(&mut self, theirs: Life) {
        self.made = self.made.max(theirs.made);
        self.dropped = self.dropped.max(theirs.dropped);
    }
}

impl ColumnState {
    fn merge(&mut self, theirs: &ColumnState) {
        self.names.merge(&theirs.names);
        self.life.merge(theirs.life);
        self.claims.extend(theirs.claims.iter().map(|(rank, claim)| (*rank, claim.clone())));
        merge_register(&mut self.default, &theirs.default);
        merge_register(&mut self.comment, &theirs.comment);
        merge_register(&mut self.policy, &theirs.policy);
        merge_register(&mut self.unique, &theirs.unique);
        merge_register(&mut self.at_least, &theirs.at_least);
    }
}

impl IndexState {
    fn merge(&mut self, theirs: &IndexState) {
        self.names.merge(&theirs.names);
        self.life.merge(theirs.life);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ddl::{Multiplicity, column_born};
    use crate::policy::Policy;

    /// Somebody who writes schema operations.
    #[derive(Clone)]
    struct Author {
        replica: u8,
        seq: u64,
        ms: i64,
        seen: Vec<ChangeId>,
        schema: Schema,
        written: Vec<(Rank, Seen, Ddl)>,
    }

    impl Author {
        fn new(replica: u8, of: &Author) -> Author {
            Author { replica, seq: 0, written: Vec::new(), ..of.clone() }
        }

        fn first() -> Author {
            let schema = Schema::default();
            Author { replica: 1, seq: 0, ms: 0, seen: Vec::new(), schema, written: Vec::new() }
        }

        fn write(&mut self, ddl: Ddl) {
            self.schema.check(&ddl).unwrap();
            (self.seq, self.ms) = (self.seq + 1, self.ms + 1);
            let change = ChangeId { replica: ReplicaId([self.replica; 16]), seq: self.seq };
            let timestamp = Timestamp::at_ms(self.ms);
            let rank = Rank { authority_epoch: 0, link_epoch: 0, timestamp, change, index: 0 };
            let seen: Seen = self.seen.iter().copied().collect();
            self.schema.join(rank, &seen, &ddl);
            self.seen.push(change);
            self.written.push((rank, seen, ddl));
        }

        /// Writes what a tape says, as far as it makes sense.
        fn play(&mut self, tape: &[u8]) {
            for numbers in tape.chunks_exact(4) {
                if let Some(ddl) = draw(&self.schema, [numbers[0], numbers[1], numbers[2], numbers[3]]) {
                    let ddl = self.schema.with_birth(ddl);
                    if self.schema.check(&ddl).is_ok() {
                        self.write(ddl);
                    }
                }
            }
        }

        /// Goes from here to `to`, and says how.
        fn go(&mut self, to: &Schema) -> Vec<Ddl> {
            let ops = difference(&self.schema, to);
            ops.iter().cloned().for_each(|ddl| self.write(ddl));
            ops
        }
    }

    fn draw(schema: &Schema, [what, which, other, name]: [u8; 4]) -> Option<Ddl> {
        const NAMES: [&str; 6] = ["A", "a", "B", "C", "Long name", "d"];
        const TYPES: [Type; 5] = [Type::Int64, Type::Int32, Type::String, Type::Double, Type::Bool];
        let pick = |number: u8, of: usize| (of > 0).then(|| usize::from(number) % of.max(1));
        let name = NAMES[usize::from(name) % NAMES.len()].to_owned();
        let column_type = TYPES[usize::from(other) % TYPES.len()].clone();
        let tables: Vec<TableId> = schema.tables.keys().copied().collect();
        let nodes: Vec<TableId> =
            tables.iter().copied().filter(|id| matches!(schema.tables[id].kind, Kind::Node { .. })).collect();
        let node = |number: u8| Some(nodes[pick(number, nodes.len())?]);
        if what % 16 == 0 || tables.is_empty() {
            let columns = vec![Column::new("id", Type::Int64), Column::new("Text", Type::String)];
            return Some(Ddl::CreateNodeTable { name, birth: 0, columns, primary_key: "id".into() });
        }
        let table = tables[pick(which, tables.len())?];
        let columns: Vec<ColumnId> = schema.tables[&table].columns.keys().copied().collect();
        let column = || Some(columns[pick(other, columns.len())?]);
        Some(match what % 16 {
            1 | 2 => {
                let columns = vec![Column::new("since", column_type)];
                Ddl::CreateEdgeTable { name, birth: 0, from: node(which)?, to: node(other)?, columns }
            }
            3 => Ddl::DropTable { table },
            4 => Ddl::UndropTable { table },
            5 => Ddl::RenameTable { table, name },
            6 | 7 => {
                let default = (other % 3 == 0 && column_type == Type::Int64).then_some(Value::Int64(7));
                Ddl::AddColumn { table, column: Column { name, column_type, default }, birth: 0 }
            }
            8 => Ddl::DropColumn { table, column: column()? },
            9 => Ddl::UndropColumn { table, column: column()? },
            10 => Ddl::RenameColumn { table, column: column()?, name },
            11 => Ddl::AlterColumnType { table, column: column()?, column_type: TYPES[usize::from(which) % 5].clone() },
            12 => Ddl::AddPair { table, from: node(which)?, to: node(other)? },
            13 => Ddl::DropPair { table, from: node(which)?, to: node(other)? },
            14 if which % 2 == 0 => Ddl::CreateIndex { table, name, kind: IndexKind::Value, columns: vec![column()?] },
            14 => Ddl::DropIndex { table, index: *schema.tables[&table].indexes.keys().next()? },
            _ => match other % 5 {
                0 => Ddl::CommentOnTable { table, comment: name },
                1 => Ddl::CommentOnColumn { table, column: column()?, comment: name },
                2 => Ddl::SetRule { table, rule: Rule::Policy { column: column(), policy: Policy::LastWriteWins } },
                3 => Ddl::SetRule { table, rule: Rule::Multiplicity(Multiplicity::OneMany) },
                _ => Ddl::SetRule { table, rule: Rule::UpdateRevives(which % 2 == 0) },
            },
        })
    }

    fn tape() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..160)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_difference_applied_to_one_gives_the_other(base in tape(), ours in tape(), theirs in tape()) {
            let mut base_author = Author::first();
            base_author.play(&base);
            let (mut one, mut other) = (Author::new(2, &base_author), Author::new(3, &base_author));
            one.play(&ours);
            other.play(&theirs);
            prop_assert_eq!(difference(&one.schema, &one.schema), vec![]);
            let (here, there) = (one.schema.clone(), other.schema.clone());
            one.go(&there);
            prop_assert_eq!(one.schema.shape(), there.shape());
            prop_assert_eq!(difference(&one.schema, &there), vec![]);
            // And back, with what is dropped brought back.
            one.go(&here);
            prop_assert_eq!(one.schema.shape(), here.shape());
        }

        #[test]
        fn every_earlier_version_can_be_returned_to(tape in tape()) {
            let mut author = Author::first();
            let mut versions = vec![author.schema.clone()];
            for operation in tape.chunks_exact(4) {
                author.play(operation);
                versions.push(author.schema.clone());
            }
            for version in versions {
                let mut back = author.clone();
                back.go(&version);
                prop_assert_eq!(back.schema.shape(), version.shape());
            }
        }

        #[test]
        fn a_merge_gives_what_concurrent_history_gives(base in tape(), ours in tape(), theirs in tape()) {
            let mut base_author = Author::first();
            base_author.play(&base);
            let (mut one, mut other) = (Author::new(2, &base_author), Author::new(3, &base_author));
            one.play(&ours);
            other.play(&theirs);
            let mut history = one.schema.clone();
            other.written.iter().for_each(|(rank, seen, ddl)| history.join(*rank, seen, ddl));
            let (mut here, mut there) = (one.schema.clone(), other.schema.clone());
            here.merge(&other.schema);
            there.merge(&one.schema);
            prop_assert_eq!(here.version(), history.version());
            prop_assert_eq!(there.version(), history.version());
            prop_assert_eq!(here.shape(), history.shape());
            here.merge(&other.schema);
            prop_assert_eq!(here.version(), history.version());
        }
    }

    #[test]
    fn the_way_back_brings_back_what_was_dropped_under_the_name_it_had() {
        let mut author = Author::first();
        let columns = vec![Column::new("id", Type::Int64), Column::new("note", Type::String)];
        let create = Ddl::CreateNodeTable { name: "User".into(), birth: 0, columns, primary_key: "id".into() };
        let table = create.table_id();
        author.write(create);
        let then = author.schema.clone();
        let column = column_born(table, "note", 0);
        author.write(Ddl::RenameTable { table, name: "Person".into() });
        author.write(Ddl::DropColumn { table, column });
        author.write(Ddl::AddColumn { table, column: Column::new("note", Type::Int64), birth: 1 });
        author.write(Ddl::DropTable { table });
        let words: Vec<String> =
            difference(&author.schema, &then).iter().map(|ddl| author.schema.describe(ddl)).collect();
        let way = [
            "UNDROP TABLE Person",
            "DROP COLUMN Person.note",
            "UNDROP COLUMN Person.note",
            "RENAME TABLE Person TO User",
        ];
        assert_eq!(words, way);
        author.go(&then);
        assert_eq!(author.schema.shape(), then.shape());
    }
}
