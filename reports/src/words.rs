//! What the things of a run are called: replicas, changes, rows and statements in the reader's words.
//!
//! Histories and logs name replicas, tables and columns by identity, because names change. People read pages with the
//! names that the run itself gave: a replica is `main`, `edge 1` or `peer 0`, the third change of edge 1 is `edge 1:3`, a
//! node is `User("alice")`.

use std::collections::BTreeMap;

use kuzusync_core::change::{Cells, Change, ChangeId, Edge, Element, Node, Op};
use kuzusync_core::clock::Timestamp;
use kuzusync_core::conflict::schema::{Attribute, Claim, SchemaClaim, SchemaLoss, SchemaRegister, Subject};
use kuzusync_core::conflict::{Loss, Register, Write, Written};
use kuzusync_core::ddl::{Column, Ddl, Rule, column_born, column_id, fold};
use kuzusync_core::id::{ColumnId, ReplicaId, TableId};
use kuzusync_core::message::{Delivery, Entry, Hello, Message};
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::{Reason, RolledBack, Ruling};
use kuzusync_core::statement::{EdgeName, Properties, Statement};
use kuzusync_core::summary::Told;
use kuzusync_core::two_phase::{Abort, Decision, Letter, Says, Vote};
use kuzusync_core::value::Value;
use kuzusync_sim::clock::START_MS;
use kuzusync_sim::history::EventKind;
use kuzusync_sim::outcome::Outcome;

use crate::text::plural;

/// What the things of one run are called.
#[derive(Clone, Debug, Default)]
pub struct Names {
    has_main: bool,
    host_count: u32,
    hosts: BTreeMap<ReplicaId, u32>,
    tables: BTreeMap<TableId, String>,
    columns: BTreeMap<ColumnId, String>,
    /// The key column by folded table name: a statement does not tell which property is the key.
    keys: BTreeMap<String, String>,
}

impl Names {
    /// The names that a run's history and logs tell.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Names {
        let (has_main, host_count) = (outcome.options.has_main, outcome.options.replicas);
        let mut names = Names { has_main, host_count, ..Names::default() };
        for event in &outcome.events {
            match &event.kind {
                EventKind::Opened { replica, .. } => drop(names.hosts.insert(*replica, event.host.unwrap_or(0))),
                EventKind::Notified(Notice::Applied { entry }) => names.learn(&entry.change),
                EventKind::Invoked { statements, .. } => statements.iter().for_each(|asked| names.learn_key(asked)),
                _ => {}
            }
        }
        for replica in &outcome.replicas {
            names.hosts.insert(replica.id, replica.host);
            replica.log.iter().for_each(|entry| names.learn(&entry.change));
        }
        names
    }

    fn learn(&mut self, change: &Change) {
        for op in &change.ops {
            let Op::Schema(ddl) = op else { continue };
            let table = ddl.table_id();
            if let Ddl::CreateNodeTable { name, .. } | Ddl::CreateEdgeTable { name, .. } = ddl {
                self.tables.insert(table, name.clone());
            }
            match ddl {
                Ddl::CreateNodeTable { columns, .. } | Ddl::CreateEdgeTable { columns, .. } => {
                    let named = |column: &Column| (column_id(table, &column.name), column.name.clone());
                    self.columns.extend(columns.iter().map(named));
                }
                Ddl::AddColumn { column, birth, .. } => {
                    self.columns.insert(column_born(table, &column.name, *birth), column.name.clone());
                }
                _ => {}
            }
        }
    }

    /// Learns which property of a table's nodes is their key.
    pub(crate) fn learn_key(&mut self, asked: &Statement) {
        if let Statement::CreateNodeTable { table, primary_key, .. } = asked {
            self.keys.insert(fold(table), primary_key.clone());
        }
    }

    // ---- replicas and changes ----

    /// How many hosts there are.
    #[must_use]
    pub fn host_count(&self) -> u32 {
        self.host_count
    }

    /// A host's name: `main`, `edge 1`, `peer 0`.
    #[must_use]
    pub fn host(&self, host: u32) -> String {
        match (self.has_main, host) {
            (true, 0) => "main".to_owned(),
            (true, _) => format!("edge {host}"),
            (false, _) => format!("peer {host}"),
        }
    }

    /// Several hosts with commas, three or more that follow each other as a range: `main, edge 1…5`.
    #[must_use]
    pub fn hosts(&self, hosts: impl IntoIterator<Item = u32>) -> String {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for host in hosts {
            let is_alone = self.has_main && host <= 1;
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == host && !is_alone => *last = host,
                _ => ranges.push((host, host)),
            }
        }
        let shown = |&(first, last): &(u32, u32)| match last - first {
            0 | 1 => (first..=last).map(|host| self.host(host)).collect::<Vec<_>>().join(", "),
            _ => format!("{}…{last}", self.host(first)),
        };
        ranges.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// The host of a replica, if the run had one.
    #[must_use]
    pub fn host_of(&self, replica: ReplicaId) -> Option<u32> {
        self.hosts.get(&replica).copied()
    }

    /// A change by author and number: `edge 1:3`.
    #[must_use]
    pub fn change(&self, id: ChangeId) -> String {
        match self.host_of(id.replica) {
            Some(host) => format!("{}:{}", self.host(host), id.seq),
            None => id.to_string(),
        }
    }

    /// Several changes, those that follow each other as a range: `main:1, edge 1:2…9`.
    #[must_use]
    pub fn changes(&self, ids: &[ChangeId]) -> String {
        let mut ranges: Vec<(ChangeId, u64)> = Vec::new();
        for id in ids {
            match ranges.last_mut() {
                Some((first, last)) if first.replica == id.replica && *last + 1 == id.seq => *last = id.seq,
                _ => ranges.push((*id, id.seq)),
            }
        }
        let shown = |&(first, last): &(ChangeId, u64)| {
            let name = self.change(first);
            if last == first.seq { name } else { format!("{name}…{last}") }
        };
        ranges.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// What a message is, in a few words: `hello`, `main:1…7`, `word that it has 7 changes`.
    #[must_use]
    pub fn message(&self, frame: &[u8]) -> String {
        match Message::decode(frame).map(Message::untagged) {
            Ok(Message::Hello(Hello { is_reply, heads, .. })) => {
                let heads = match heads {
                    Told::Whole => "",
                    Told::Summary(_) => " with a summary",
                    Told::Difference(_) => " with the difference",
                };
                format!("hello{}{heads}", if is_reply { " back" } else { "" })
            }
            Ok(Message::Changes { deliveries, .. }) => {
                let changes: Vec<&Entry> = deliveries.iter().filter_map(Delivery::change).collect();
                let ids: Vec<ChangeId> = changes.iter().map(|entry| entry.change.id).collect();
                let rulings = match deliveries.len() - ids.len() {
                    0 => None,
                    count => Some(plural(count, "ruling")),
                };
                let changes = (!ids.is_empty()).then(|| self.changes(&ids));
                let parts: Vec<String> = changes.into_iter().chain(rulings).collect();
                if parts.is_empty() { "no changes".to_owned() } else { parts.join(" and ") }
            }
            Ok(Message::Ack(cursor)) => {
                let changes: u64 = cursor.seen.heads().map(|head| head.seq).sum();
                format!("word that it has {}", plural(usize::try_from(changes).unwrap_or(usize::MAX), "change"))
            }
            Ok(Message::Refused(reason)) => format!("a refusal ({})", self.in_sentence(&reason)),
            Ok(Message::Unclear { .. }) => "word that the summary was too short".to_owned(),
            Ok(Message::TwoPhase(letter)) => self.letter(&letter),
            Ok(Message::Offer { manifest, .. }) => {
                format!("the offer of a snapshot up to number {}", manifest.sync_point.lsn)
            }
            Ok(Message::Want { chunks }) => {
                let lasts: Vec<String> = chunks.iter().map(u64::to_string).collect();
                format!("a wish for the chunks up to {}", lasts.join(", "))
            }
            Ok(Message::Chunk { last, .. }) => format!("the chunk up to number {last}"),
            Ok(Message::Tagged { .. }) => "a message".to_owned(),
            Err(_) => "what is no message".to_owned(),
        }
    }

    /// What a letter about a transaction says, and to whom where that is not who gets it: `prepare for edge 2`.
    fn letter(&self, letter: &Letter) -> String {
        let (tx, to) = (letter.tx.short(), self.replica(letter.to));
        match &letter.says {
            Says::Prepare(_) => format!("prepare {tx} for {to}"),
            Says::Vote(vote) => format!("{} on {tx} for {to}", self.vote(vote)),
            Says::RollBack(abort) => format!("a wish to roll {tx} back: {}", self.abort(abort)),
            Says::RolledBack(abort) => format!("word that {tx} is rolled_back: {}", self.abort(abort)),
            Says::Inquiry { .. } => format!("a question what became of {tx}"),
            Says::Unknown => format!("unknown, about {tx}"),
        }
    }

    fn replica(&self, replica: ReplicaId) -> String {
        self.host_of(replica).map_or_else(|| format!("replica {}", replica.short()), |host| self.host(host))
    }

    /// A vote: `vote: commit`.
    #[must_use]
    pub fn vote(&self, vote: &Vote) -> String {
        match vote {
            Vote::Commit => "vote: commit".to_owned(),
            Vote::Abort(reason) => format!("vote: abort, reason: {reason}"),
        }
    }

    fn abort(&self, abort: &Abort) -> String {
        format!("{} ({})", abort.reason, self.replica(abort.by))
    }

    /// What became of a transaction.
    #[must_use]
    pub fn decision(&self, decision: &Decision) -> String {
        match decision {
            Decision::Committed(id) => format!("committed as {}", self.change(*id)),
            Decision::RolledBack(abort) => format!("rolled_back, reason: {}", self.abort(abort)),
        }
    }

    /// A finding's sentence with the names of this page: `replica 1` becomes `edge 1`, `3f2a90bc:2` becomes `edge 1:2`.
    #[must_use]
    pub fn in_sentence(&self, sentence: &str) -> String {
        let mut text = sentence.to_owned();
        for (replica, host) in &self.hosts {
            text = text.replace(&format!("{}:", replica.short()), &format!("{}:", self.host(*host)));
            text = text.replace(&format!("ReplicaId({})", replica.short()), &self.host(*host));
        }
        let mut words: Vec<String> = Vec::new();
        let (mut is_listing, mut is_after_name) = (false, false);
        for word in text.split(' ') {
            let number = word.trim_end_matches([',', ':', '.', ';']);
            match number.parse() {
                Ok(host) if is_listing => {
                    if words.last().is_some_and(|last| matches!(last.as_str(), "replica" | "replicas")) {
                        words.pop();
                    }
                    words.push(format!("{}{}", self.host(host), &word[number.len()..]));
                    (is_listing, is_after_name) = (word.ends_with(','), true);
                }
                _ => {
                    is_listing = matches!(word, "replica" | "replicas") || is_after_name && word == "and";
                    is_after_name = false;
                    words.push(word.to_owned());
                }
            }
        }
        words.join(" ")
    }

    /// The changes that a sentence names by the beginning of their author's identity.
    #[must_use]
    pub fn changes_in(&self, sentence: &str) -> Vec<ChangeId> {
        let named = |word: &str| {
            let (author, seq) = word.trim_end_matches([',', ':', '.', ';']).split_once(':')?;
            let replica = self.hosts.keys().find(|replica| replica.short() == author)?;
            Some(ChangeId { replica: *replica, seq: seq.parse().ok()? })
        };
        sentence.split_whitespace().filter_map(named).collect()
    }

    // ---- rows ----

    /// The name a table was made under.
    #[must_use]
    pub fn table(&self, id: TableId) -> String {
        self.tables.get(&id).cloned().unwrap_or_else(|| format!("table {}", id.short()))
    }

    /// The name a column was made under.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> String {
        self.columns.get(&id).cloned().unwrap_or_else(|| format!("column {}", id.short()))
    }

    fn node(&self, node: &Node) -> String {
        format!("{}({})", self.table(node.table), node.key)
    }

    /// A row: `User("alice")`, `KNOWS Person(1)→Person(2)`.
    #[must_use]
    pub fn element(&self, element: &Element) -> String {
        match element {
            Element::Node(node) => self.node(node),
            Element::Edge(named) => {
                let Edge { table, from, to, discriminator } = &**named;
                edge(&self.table(*table), &self.node(from), &self.node(to), discriminator)
            }
        }
    }

    /// What writes compete for: a row, or one of its properties.
    #[must_use]
    pub fn register(&self, register: &Register) -> String {
        let element = self.element(&register.element);
        register.column.map_or(element.clone(), |column| format!("{element}.{}", self.column(column)))
    }

    // ---- what is asked and done ----

    /// What a client asks, shortened.
    #[must_use]
    pub fn statement(&self, statement: &Statement) -> String {
        match statement {
            Statement::CreateNodeTable { table, columns, .. } => {
                let columns: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                format!("CREATE NODE TABLE {table}({})", columns.join(", "))
            }
            Statement::CreateEdgeTable { table, from, to, .. } => format!("CREATE EDGE TABLE {table}({from}→{to})"),
            Statement::CreateNode { table, properties } => self.create_node(table, properties),
            Statement::UpdateNode { table, key, properties } => set(&format!("{table}({key})"), &cells(properties)),
            Statement::IncrementNode { table, key, column, by } => add(&format!("{table}({key})"), column, by),
            Statement::DeleteNode { table, key } => format!("DELETE {table}({key})"),
            Statement::CreateEdge { edge, properties } => create(&edge_name(edge), &cells(properties)),
            Statement::UpdateEdge { edge, properties } => set(&edge_name(edge), &cells(properties)),
            Statement::IncrementEdge { edge, column, by } => add(&edge_name(edge), column, by),
            Statement::DeleteEdge { edge } => format!("DELETE {}", edge_name(edge)),
            Statement::SetRule { table, rule } => set_rule(table, rule, String::clone),
            Statement::ByIdentity(ddl) => self.ddl(ddl),
            Statement::IfNotExists(statement) => format!("{} IF NOT EXISTS", self.statement(statement)),
            Statement::IfExists(statement) => format!("{} IF EXISTS", self.statement(statement)),
            Statement::DropNodeTable { table, cascade } => format!("DROP NODE TABLE {table}{}", cascading(*cascade)),
            Statement::DropEdgeTable { table } => format!("DROP EDGE TABLE {table}"),
            Statement::UndropTable { table } => format!("UNDROP TABLE {table}"),
            Statement::RenameTable { table, to } => format!("RENAME TABLE {table} TO {to}"),
            Statement::AddColumn { table, column } => format!("ADD COLUMN {table}.{}", defined(column)),
            Statement::DropColumn { table, column, cascade } => {
                format!("DROP COLUMN {table}.{column}{}", cascading(*cascade))
            }
            Statement::UndropColumn { table, column } => format!("UNDROP COLUMN {table}.{column}"),
            Statement::RenameColumn { table, column, to } => format!("RENAME COLUMN {table}.{column} TO {to}"),
            Statement::AlterColumnType { table, column, column_type } => {
                format!("ALTER COLUMN {table}.{column} TYPE {column_type}")
            }
            Statement::AddPair { table, from, to } => format!("ADD PAIR {table}({from}→{to})"),
            Statement::DropPair { table, from, to } => format!("DROP PAIR {table}({from}→{to})"),
            Statement::CreateIndex { table, index, columns, .. } => {
                format!("CREATE INDEX {index} ON {table}({})", columns.join(", "))
            }
            Statement::DropIndex { table, index } => format!("DROP INDEX {index} ON {table}"),
            Statement::CommentOnTable { table, comment } => format!("COMMENT ON TABLE {table} IS {comment:?}"),
            Statement::CommentOnColumn { table, column, comment } => {
                format!("COMMENT ON COLUMN {table}.{column} IS {comment:?}")
            }
        }
    }

    fn create_node(&self, table: &str, properties: &Properties) -> String {
        let key_name = self.keys.get(&fold(table));
        let is_key = |name: &str| key_name.is_some_and(|key| fold(key) == fold(name));
        let key = properties.iter().find(|(name, _)| is_key(name)).map(|(_, value)| value.to_string());
        let others: Properties = properties.clone().into_iter().filter(|(name, _)| !is_key(name)).collect();
        create(&format!("{table}({})", key.unwrap_or_default()), &cells(&others))
    }

    /// What an operation does, in the words of the statement it came from.
    #[must_use]
    pub fn op(&self, op: &Op) -> String {
        let named = |cells: &Cells| -> Vec<(String, String)> {
            cells.iter().map(|(column, value)| (self.column(*column), value.to_string())).collect()
        };
        match op {
            Op::Insert { element, cells } => create(&self.element(element), &named(cells)),
            Op::Update { element, cells } => set(&self.element(element), &named(cells)),
            Op::Increment { element, column, by } => add(&self.element(element), &self.column(*column), by),
            Op::Delete { element } => format!("DELETE {}", self.element(element)),
            Op::Schema(ddl) => self.ddl(ddl),
        }
    }

    fn ddl(&self, ddl: &Ddl) -> String {
        let (what, table) = (ddl.name(), self.table(ddl.table_id()));
        let of = |column: ColumnId| format!("{what} {table}.{}", self.column(column));
        match ddl {
            Ddl::CreateNodeTable { name, .. } | Ddl::CreateEdgeTable { name, .. } => format!("{what} {name}"),
            Ddl::SetRule { rule, .. } => set_rule(&table, rule, |column| self.column(*column)),
            Ddl::DropTable { .. } | Ddl::UndropTable { .. } => format!("{what} {table}"),
            Ddl::RenameTable { name, .. } => format!("{what} {table} TO {name}"),
            Ddl::AddColumn { column, .. } => format!("{what} {table}.{}", defined(column)),
            Ddl::DropColumn { column, .. } | Ddl::UndropColumn { column, .. } => of(*column),
            Ddl::RenameColumn { column, name, .. } => format!("{} TO {name}", of(*column)),
            Ddl::AlterColumnType { column, column_type, .. } => format!("{} {column_type}", of(*column)),
            Ddl::AddPair { from, to, .. } | Ddl::DropPair { from, to, .. } => {
                format!("{what} {table}({}→{})", self.table(*from), self.table(*to))
            }
            Ddl::CreateIndex { name, columns, .. } => {
                let columns: Vec<String> = columns.iter().map(|column| self.column(*column)).collect();
                format!("{what} {name} ON {table}({})", columns.join(", "))
            }
            Ddl::DropIndex { index, .. } => format!("{what} {} ON {table}", index.short()),
            Ddl::CommentOnTable { comment, .. } => format!("{what} {table} IS {comment:?}"),
            Ddl::CommentOnColumn { column, comment, .. } => format!("{} IS {comment:?}", of(*column)),
        }
    }

    /// What a change does.
    #[must_use]
    pub fn ops(&self, change: &Change) -> String {
        change.ops.iter().map(|op| self.op(op)).collect::<Vec<_>>().join("; ")
    }

    /// A concurrent loss as a sentence.
    #[must_use]
    pub fn loss(&self, loss: &Loss) -> String {
        let side = |write: &Write| format!("{} of {}", written(&write.written), self.change(write.rank.change));
        let winner = self.winner(loss, side(&loss.winner));
        format!("conflict: {} {} loses to {winner}", self.register(&loss.register), side(&loss.loser))
    }

    /// A concurrent loss as the audit records it, with type, rule and both stamps.
    #[must_use]
    pub fn audited(&self, loss: &Loss) -> String {
        let side = |write: &Write| {
            let (change, stamp) = (self.change(write.rank.change), stamp(write.rank.timestamp));
            format!("{} of {change} (stamped {stamp})", written(&write.written))
        };
        let (conflict, rule) = (loss.conflict.name(), loss.resolution.name());
        let (loser, winner) = (side(&loss.loser), self.winner(loss, side(&loss.winner)));
        format!("{conflict} of {}, {rule}: {loser} loses to {winner}", self.register(&loss.register))
    }
}

impl Names {
    /// What schema operations compete for: `the name of column User.email`.
    #[must_use]
    pub fn schema_register(&self, register: &SchemaRegister) -> String {
        let subject = self.subject(register.table, register.subject);
        let attribute = match register.attribute {
            Attribute::Existence => return subject,
            Attribute::Name => "name",
            Attribute::Type => "type",
            Attribute::Default => "default",
            Attribute::Comment => "comment",
            Attribute::Policy => "policy",
            Attribute::UpdateRevives => "rule `update_revives`",
            Attribute::Revive => "rule `revive`",
            Attribute::Multiplicity => "multiplicity",
            Attribute::Unique => "uniqueness",
            Attribute::AtLeast => "lower bound",
        };
        format!("the {attribute} of {subject}")
    }

    /// A table or a part of one.
    #[must_use]
    pub fn subject(&self, table: TableId, subject: Subject) -> String {
        let name = self.table(table);
        match subject {
            Subject::Table => format!("table {name}"),
            Subject::Column(column) => format!("column {name}.{}", self.column(column)),
            Subject::Index(index) => format!("index {} on {name}", index.short()),
            Subject::Pair(from, to) => format!("pair {name}({}→{})", self.table(from), self.table(to)),
        }
    }

    /// The loss of a schema claim as a sentence.
    #[must_use]
    pub fn schema_loss(&self, loss: &SchemaLoss) -> String {
        let side = |claim: &SchemaClaim| format!("{} of {}", claimed(&claim.claim), self.change(claim.rank.change));
        let winner = self.schema_winner(loss, side(&loss.winner));
        format!("conflict: {} {} loses to {winner}", self.schema_register(&loss.register), side(&loss.loser))
    }

    /// The loss of a schema claim as the audit records it, with type, rule and both stamps.
    #[must_use]
    pub fn schema_audited(&self, loss: &SchemaLoss) -> String {
        let side = |claim: &SchemaClaim| {
            let (change, stamp) = (self.change(claim.rank.change), stamp(claim.rank.timestamp));
            format!("{} of {change} (stamped {stamp})", claimed(&claim.claim))
        };
        let (conflict, rule) = (loss.conflict.name(), loss.resolution.name());
        let (loser, winner) = (side(&loss.loser), self.schema_winner(loss, side(&loss.winner)));
        format!("{conflict} of {}, {rule}: {loser} loses to {winner}", self.schema_register(&loss.register))
    }

    /// The claim that won, with what it is about where that is another.
    fn schema_winner(&self, loss: &SchemaLoss, claim: String) -> String {
        match loss.taken_by {
            Some((table, subject)) => format!("{claim}: {}", self.subject(table, subject)),
            None => claim,
        }
    }

    /// The write that won, with the edge it made where that is another.
    fn winner(&self, loss: &Loss, write: String) -> String {
        match &loss.taken_by {
            Some(element) => format!("{write}: {}", self.element(element)),
            None => write,
        }
    }

    /// What the main decided.
    #[must_use]
    pub fn ruling(&self, ruling: &Ruling) -> String {
        match ruling {
            Ruling::Epoch(epoch) => format!("epoch {epoch} begins"),
            Ruling::Compaction(cut) => format!("the numbers up to {cut} are forgotten"),
            Ruling::Rejection(rejection) => {
                format!("{} is rejected: {}", self.change(rejection.change), self.reason(&rejection.reason))
            }
            Ruling::RolledBack(rolled_back) => {
                let RolledBack { tx, abort } = rolled_back.as_ref();
                format!("transaction {} is rolled_back: {}", tx.short(), self.abort(abort))
            }
        }
    }

    /// Why a change was rejected.
    #[must_use]
    pub fn reason(&self, reason: &Reason) -> String {
        match reason {
            Reason::VersionMismatch { element, expected, found } => {
                let element = self.element(element);
                format!("VersionMismatch, {element} is version {found} and its author saw {expected}")
            }
            Reason::Follows { rejected, .. } => format!("it needs {}", self.change(*rejected)),
            Reason::Duplicate { of } => format!("{} carries out its transaction", self.change(*of)),
            Reason::Drift { main_ms } => {
                format!("stamped too far ahead, the main's time is {}", stamp(Timestamp::at_ms(*main_ms)))
            }
            Reason::Compacted { cut } => {
                format!("its author had not seen the numbers up to {cut}, which are forgotten")
            }
            Reason::Invalid { problem } | Reason::Constraint { problem } | Reason::Purged { problem } => {
                problem.clone()
            }
            Reason::RolledBack => "its transaction was rolled back before it came".to_owned(),
        }
    }
}

/// An edge by the names of its table and ends.
#[must_use]
pub fn edge(table: &str, from: &str, to: &str, discriminator: &str) -> String {
    let name = if discriminator.is_empty() { String::new() } else { format!(" {discriminator:?}") };
    format!("{table} {from}→{to}{name}")
}

fn edge_name(name: &EdgeName) -> String {
    let end = |(table, key): &(String, Value)| format!("{table}({key})");
    edge(&name.table, &end(&name.from), &end(&name.to), &name.discriminator)
}

fn cells(properties: &Properties) -> Vec<(String, String)> {
    properties.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn list(cells: &[(String, String)]) -> String {
    let cells: Vec<String> = cells.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{{{}}}", cells.join(", "))
}

fn create(element: &str, cells: &[(String, String)]) -> String {
    if cells.is_empty() { format!("CREATE {element}") } else { format!("CREATE {element} {}", list(cells)) }
}

fn set(element: &str, cells: &[(String, String)]) -> String {
    match cells {
        [(name, value)] => format!("SET {element}.{name} = {value}"),
        _ => format!("SET {element} {}", list(cells)),
    }
}

fn add(element: &str, column: &str, by: &Value) -> String {
    format!("ADD {by} TO {element}.{column}")
}

fn cascading(cascade: bool) -> &'static str {
    if cascade { " CASCADE" } else { "" }
}

fn defined(Column { name, column_type, default }: &Column) -> String {
    let default = default.as_ref().map_or(String::new(), |value| format!(" DEFAULT {value}"));
    format!("{name} {column_type}{default}")
}

fn set_rule<C>(table: &str, rule: &Rule<C>, name: impl Fn(&C) -> String) -> String {
    let switch = |is_on: bool| if is_on { "ON" } else { "OFF" };
    match rule {
        Rule::Policy { column: None, policy } => format!("SET POLICY OF {table} TO {}", policy.name()),
        Rule::Policy { column: Some(column), policy } => {
            format!("SET POLICY OF {table}.{} TO {}", name(column), policy.name())
        }
        Rule::UpdateRevives(is_on) => format!("SET update_revives OF {table} {}", switch(*is_on)),
        Rule::Revive(is_on) => format!("SET revive OF {table} {}", switch(*is_on)),
        Rule::Multiplicity(multiplicity) => format!("SET MULTIPLICITY OF {table} TO {}", multiplicity.name()),
        Rule::Unique { column, is_on } => format!("SET UNIQUE OF {table}.{} {}", name(column), switch(*is_on)),
        Rule::AtLeast { column, bound: Some(bound) } => format!("SET {table}.{} AT LEAST {bound}", name(column)),
        Rule::AtLeast { column, bound: None } => format!("SET {table}.{} WITHOUT A BOUND", name(column)),
    }
}

/// What a schema operation claims.
#[must_use]
pub fn claimed(claim: &Claim) -> String {
    match claim {
        Claim::Made => "a creation".to_owned(),
        Claim::Dropped => "a drop".to_owned(),
        Claim::Name(name) => format!("`{name}`"),
        Claim::Type(claimed) => claimed.to_string(),
        Claim::Default(value) => value.to_string(),
        Claim::Comment(comment) => format!("{comment:?}"),
        Claim::Policy(policy) => policy.name().to_owned(),
        Claim::Flag(is_on) => is_on.to_string(),
        Claim::Multiplicity(multiplicity) => multiplicity.name().to_owned(),
        Claim::Bound(bound) => bound.map_or("no bound".to_owned(), |bound| bound.to_string()),
    }
}

/// What a write leaves behind.
#[must_use]
pub fn written(written: &Written) -> String {
    match written {
        Written::Inserted => "its creation".to_owned(),
        Written::Updated => "its update".to_owned(),
        Written::Dropped => "a drop of its table or column".to_owned(),
        Written::Typed(column_type) => format!("the type {column_type}"),
        Written::Deleted => "its deletion".to_owned(),
        Written::Value(value) => value.to_string(),
        Written::Incremented(by) => format!("the addition of {by}"),
    }
}

/// When a change was written by its author's clock, in milliseconds since the start of the run, and the counter that
/// tells it from others of that millisecond.
#[must_use]
pub fn stamp(timestamp: Timestamp) -> String {
    let ms = timestamp.ms - START_MS;
    if timestamp.counter == 0 { format!("{ms} ms") } else { format!("{ms} ms + {}", timestamp.counter) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kuzusync_core::clock::VectorClock;
    use kuzusync_core::message::Cursor;

    fn names() -> Names {
        let hosts = BTreeMap::from([(ReplicaId([0xAB; 16]), 0), (ReplicaId([0xCD; 16]), 1)]);
        Names { has_main: true, hosts, ..Names::default() }
    }

    fn id(byte: u8, seq: u64) -> ChangeId {
        ChangeId { replica: ReplicaId([byte; 16]), seq }
    }

    #[test]
    fn changes_are_named_by_their_author_and_joined_to_ranges() {
        let names = names();
        assert_eq!(names.change(id(0xCD, 3)), "edge 1:3");
        assert_eq!(names.change(id(0xEF, 3)), "efefefef:3");
        assert_eq!(names.changes(&[id(0xAB, 1), id(0xCD, 2), id(0xCD, 3)]), "main:1, edge 1:2…3");
    }

    #[test]
    fn hosts_that_follow_each_other_are_a_range_and_the_main_is_not_of_it() {
        let names = names();
        assert_eq!(names.hosts([0, 1, 2]), "main, edge 1, edge 2");
        assert_eq!(names.hosts([0, 1, 2, 3, 5]), "main, edge 1…3, edge 5");
        assert_eq!(Names::default().hosts(0..4), "peer 0…3");
    }

    #[test]
    fn a_message_is_told_by_what_it_holds() {
        let names = names();
        let heads = |ids: &[ChangeId]| Cursor { seen: ids.iter().copied().collect(), lsn: 0 };
        let ack = Message::Ack(heads(&[id(0xAB, 2), id(0xCD, 1)]));
        assert_eq!(names.message(&ack.encode()), "word that it has 3 changes");
        let refusal = Message::Refused("replica 1 is of another database".into());
        assert_eq!(names.message(&refusal.encode()), "a refusal (edge 1 is of another database)");
        let empty = Message::Changes { clock: VectorClock::default(), deliveries: Vec::new() };
        assert_eq!(names.message(&empty.encode()), "no changes");
        assert_eq!(names.message(b"noise"), "what is no message");
    }

    #[test]
    fn a_finding_is_told_in_the_names_of_the_page() {
        let names = names();
        let told = names.in_sentence("replica 1 applied change cdcdcdcd:4 before its cause abababab:2");
        assert_eq!(told, "edge 1 applied change edge 1:4 before its cause main:2");
        assert_eq!(names.in_sentence("replicas 0 and 1 hold 2 graphs"), "main and edge 1 hold 2 graphs");
        assert_eq!(names.in_sentence("replica 1: 3 queued"), "edge 1: 3 queued");
        assert_eq!(names.changes_in("applied abababab:2 twice"), [id(0xAB, 2)]);
    }
}
