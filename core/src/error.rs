//! Bad input from outside: what a client or a peer got wrong. A bug of our own panics instead.
//!
//! Every message names the offender and, where there is one, the remedy.

use crate::id::{ChangeId, DatabaseId, Digest, ReplicaId, Role, TxId};
use crate::value::{Type, TypeError};

/// Why an input was refused. Nothing was logged and nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name cannot be an identifier.
    #[error("`{name}` cannot name a {what}: {problem}")]
    InvalidName {
        /// Table or column.
        what: &'static str,
        /// As it was given.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A table of that name is there already.
    #[error("table `{0}` exists already; choose another name")]
    TableExists(String),
    /// A column of that name is there already.
    #[error("table `{table}` has a column `{column}` already; choose another name")]
    ColumnExists {
        /// The table.
        table: String,
        /// As it was given.
        column: String,
    },
    /// An index of that name or definition is there already.
    #[error("table `{table}` has an index `{index}` already; drop it first or choose another name")]
    IndexExists {
        /// The table.
        table: String,
        /// The index that is there.
        index: String,
    },
    /// No index of that name.
    #[error("table `{table}` has no index `{index}`")]
    UnknownIndex {
        /// The table.
        table: String,
        /// As it was given.
        index: String,
    },
    /// An index of nothing.
    #[error("index `{index}` covers no column; name one")]
    EmptyIndex {
        /// As it was given.
        index: String,
    },
    /// A full-text index of something other than text.
    #[error("column `{column}` of table `{table}` is {found}; a full-text index covers STRING columns")]
    NotText {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        found: Type,
    },
    /// Nothing of that name was dropped, or it is there again.
    #[error("no {what} `{name}` was dropped; there is nothing to bring back")]
    NotDropped {
        /// Table or column.
        what: &'static str,
        /// As it was given.
        name: String,
    },
    /// It was dropped so long ago that nothing of it is left.
    #[error(
        "nothing of {what} `{name}` is left to bring back: the log was compacted since it was dropped; create it anew"
    )]
    Purged {
        /// Table or column.
        what: &'static str,
        /// What it was called.
        name: String,
    },
    /// Something else uses what was to be dropped.
    #[error("{what} cannot be dropped while {by} uses it; drop that first, or drop with cascade")]
    InUse {
        /// What was to be dropped, as text.
        what: String,
        /// What uses it, as text.
        by: String,
    },
    /// The key makes the table.
    #[error(
        "`{key}` is the primary key of table `{table}` and cannot be {what}; create another table and copy the rows"
    )]
    KeyIsFixed {
        /// The table.
        table: String,
        /// The key column.
        key: String,
        /// Dropped or retyped.
        what: &'static str,
    },
    /// Every row has its own key.
    #[error("`{key}` is the primary key of table `{table}` and can have no default")]
    KeyDefault {
        /// The table.
        table: String,
        /// The key column.
        key: String,
    },
    /// Edges of a table are between the same tables already.
    #[error("edge table `{table}` has the pair FROM {from} TO {to} already")]
    PairExists {
        /// The edge table.
        table: String,
        /// Where its edges start.
        from: String,
        /// Where they end.
        to: String,
    },
    /// A pair that an edge table does not have, or has as its last.
    #[error("edge table `{table}` cannot lose the pair FROM {from} TO {to}: {problem}")]
    NoSuchPair {
        /// The edge table.
        table: String,
        /// Where its edges start.
        from: String,
        /// Where they end.
        to: String,
        /// Why not.
        problem: &'static str,
    },
    /// A comment beyond the bound.
    #[error("a comment takes {bytes} bytes, {max} at most; shorten it")]
    CommentTooLong {
        /// Its bytes.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// No table of that name, or it is of the other kind.
    #[error("there is no {kind} table `{name}`; create it first")]
    UnknownTable {
        /// Node or edge.
        kind: &'static str,
        /// As it was given.
        name: String,
    },
    /// No column of that name.
    #[error("table `{table}` has no column `{column}`")]
    UnknownColumn {
        /// The table.
        table: String,
        /// As it was given.
        column: String,
    },
    /// One name twice among the columns of a table.
    #[error("table `{table}` has column `{column}` twice")]
    DuplicateColumn {
        /// The table.
        table: String,
        /// The name, as given the second time.
        column: String,
    },
    /// A column of a type that cannot be.
    #[error("column `{column}` of table `{table}`: {problem}")]
    InvalidType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with its type.
        problem: TypeError,
    },
    /// The primary key names no column.
    #[error("primary key `{key}` of table `{table}` is none of its columns")]
    UnknownKeyColumn {
        /// The table.
        table: String,
        /// As it was given.
        key: String,
    },
    /// A primary key's type cannot be indexed.
    #[error(
        "primary key `{key}` of table `{table}` is {found}; a key is an integer, DECIMAL, STRING, BLOB, UUID, DATE or a \
             TIMESTAMP"
    )]
    KeyType {
        /// The table.
        table: String,
        /// The key column.
        key: String,
        /// Its type.
        found: Type,
    },
    /// A row without its key.
    #[error("a row of table `{table}` needs a value for its primary key `{key}`")]
    MissingKey {
        /// The table.
        table: String,
        /// The key column.
        key: String,
    },
    /// Keys never change.
    #[error("`{key}` is the primary key of table `{table}` and cannot be updated; delete the row and create another")]
    ImmutableKey {
        /// The table.
        table: String,
        /// The key column.
        key: String,
    },
    /// A value of another type than its column's.
    #[error("column `{column}` of table `{table}` is {expected}; {found} is no such value")]
    TypeMismatch {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The column's type.
        expected: Type,
        /// The value, as text.
        found: String,
    },
    /// A row of that key is there already.
    #[error("{element} exists already; update it instead")]
    Exists {
        /// The row, as text.
        element: String,
    },
    /// No such row.
    #[error("there is no {element}")]
    NotFound {
        /// The row, as text.
        element: String,
    },
    /// Something other than a number was to be added, or to something other than a number.
    #[error("column `{column}` of table `{table}` is {found}; only integers and decimals can be incremented")]
    NotSummable {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type, or what was to be added.
        found: String,
    },
    /// An edge more than a node may have.
    #[error("{element} would be one edge too many: table `{table}` is {multiplicity}, and there is {existing}")]
    Multiplicity {
        /// The edge, as text.
        element: String,
        /// The edge in its way, as text.
        existing: String,
        /// The edge table.
        table: String,
        /// Its multiplicity.
        multiplicity: &'static str,
    },
    /// A merge rule that its table cannot have.
    #[error("table `{table}` cannot have {rule}: {problem}")]
    RuleNotApplicable {
        /// The table.
        table: String,
        /// The rule, as text.
        rule: &'static str,
        /// Why.
        problem: &'static str,
    },
    /// What only a main can decide.
    #[error("{what} needs a main, and this database has none")]
    NeedsMain {
        /// Policy or mode.
        what: &'static str,
    },
    /// What the main alone may be asked to do.
    #[error("{what} is for the main to do; ask it there")]
    NotMain {
        /// What.
        what: &'static str,
    },
    /// A return to a version that never was.
    #[error("there is no version {asked} of the schema; the last is {known}")]
    UnknownSchemaVersion {
        /// The version.
        asked: u64,
        /// The last.
        known: u64,
    },
    /// Changes that wait for each other, so that none can ever be applied.
    #[error("the changes {} depend on each other in a circle", list(.0))]
    DependencyCycle(Vec<ChangeId>),
    /// A failed change was meant that is not listed.
    #[error("change {0} is not among the failed ones")]
    NotFailed(ChangeId),
    /// A column with a constraint, written to by an ordinary change.
    #[error(
        "column `{column}` of table `{table}` has a constraint, which needs a vote; submit the transaction with \
         participants"
    )]
    Protected {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A value that another row shows, in a column where it may not.
    #[error("{element} cannot have {value} in the unique column `{column}`: {holder} has it; choose another value")]
    NotUnique {
        /// The row, as text.
        element: String,
        /// The column.
        column: String,
        /// The value, as text.
        value: String,
        /// The other row, as text.
        holder: String,
    },
    /// A number below the least that its column may show.
    #[error("{element} cannot have {value} in column `{column}`: it is {bound} at least; take less")]
    BelowBound {
        /// The row, as text.
        element: String,
        /// The column.
        column: String,
        /// The number, as text.
        value: String,
        /// The least it may be.
        bound: i64,
    },
    /// A write over what its author had not seen, in a column with a constraint.
    #[error("change {by} wrote to column `{column}` of {element} meanwhile; read it again and submit anew")]
    Unseen {
        /// The row, as text.
        element: String,
        /// The column.
        column: String,
        /// What wrote to it.
        by: ChangeId,
    },
    /// A write with a constraint to a row of whose delete its author had not heard. An update may revive the row, with
    /// values that it had before.
    #[error("change {by} deleted {element} meanwhile; read it again and submit anew")]
    UnseenDelete {
        /// The row, as text.
        element: String,
        /// What deleted it.
        by: ChangeId,
    },
    /// A participant that a coordinator cannot reach.
    #[error("participant {participant} is not connected; wait until it is, or name others")]
    ParticipantOffline {
        /// Who.
        participant: ReplicaId,
    },
    /// Rows that another transaction is being voted on.
    #[error(
        "transaction {with} is being voted on and touches the same rows or values; submit again when it is decided"
    )]
    Overlap {
        /// The other transaction.
        with: TxId,
    },
    /// A transaction that is being voted on already.
    #[error("transaction {tx} is being voted on; wait for the decision")]
    Undecided {
        /// The transaction.
        tx: TxId,
    },
    /// Participants for what needs none, or cannot have any.
    #[error("{what} cannot have participants: {problem}")]
    NoVote {
        /// What kind of transaction.
        what: &'static str,
        /// Why not, with the remedy.
        problem: &'static str,
    },
    /// A proposal that no correct replica makes.
    #[error("the proposal of transaction {tx} is malformed: {problem}")]
    MalformedProposal {
        /// The transaction.
        tx: TxId,
        /// What is wrong with it.
        problem: String,
    },
    /// A transaction without statements.
    #[error("a transaction needs at least one statement")]
    EmptyTransaction,
    /// IF EXISTS or IF NOT EXISTS where it means nothing.
    #[error("{clause} belongs to {to} and to nothing else")]
    MisplacedClause {
        /// The clause.
        clause: &'static str,
        /// The statements that can have it.
        to: &'static str,
    },
    /// A transaction of nothing but IF EXISTS of what never was.
    #[error("the transaction changes nothing: all that it would drop is not there")]
    NothingToDo,
    /// A transaction longer than a change may be.
    #[error("a transaction has {found} operations, {max} at most; split it")]
    TransactionTooLong {
        /// Its operations.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// A transaction whose change would not fit a frame.
    #[error("a transaction takes {bytes} bytes, {max} at most; split it")]
    TransactionTooLarge {
        /// Its encoded bytes.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// An explicit dependency that this replica has never applied.
    #[error("dependency {0} is not applied here; synchronise first")]
    UnknownDependency(ChangeId),
    /// The queue of unacknowledged operations is full; what is queued stays.
    #[error("the offline queue holds {queued} operations, {max} at most; connect and synchronise first")]
    QueueFull {
        /// Operations queued.
        queued: usize,
        /// The bound.
        max: usize,
    },
    /// Bytes that are no message or record of ours.
    #[error("{what} of {length} bytes cannot be read: {problem}")]
    Malformed {
        /// Message or record.
        what: &'static str,
        /// Its length.
        length: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A change that no correct replica writes.
    #[error("change {change} is malformed: {problem}")]
    MalformedChange {
        /// The change.
        change: ChangeId,
        /// What is wrong with it.
        problem: String,
    },
    /// A number that the database's main did not give.
    #[error("{what} came as number {lsn}, which this database's main did not give it")]
    ForeignNumber {
        /// The change or ruling.
        what: String,
        /// The number it came with.
        lsn: u64,
    },
    /// A snapshot whose chunks, together with what was here before, are not the history that it was offered as.
    #[error(
        "a snapshot up to number {lsn} leads to checksum {found} here and to {expected} at the main; give this replica an \
         empty disk"
    )]
    OtherHistory {
        /// Where the snapshot ends.
        lsn: u64,
        /// The chain's end here.
        found: Digest,
        /// As it was offered.
        expected: Digest,
    },
    /// Another protocol version.
    #[error("the peer speaks protocol {found}, this replica {expected}; upgrade the older")]
    ProtocolVersion {
        /// The peer's.
        found: String,
        /// Ours.
        expected: String,
    },
    /// A replica of another graph.
    #[error("the peer holds database {found}, this replica {expected}")]
    ForeignDatabase {
        /// The peer's.
        found: DatabaseId,
        /// Ours.
        expected: DatabaseId,
    },
    /// A second main for one database.
    #[error("{found} claims to be the main of this database; its main is {expected}")]
    ForeignMain {
        /// The claimant.
        found: ReplicaId,
        /// The main this replica knows.
        expected: ReplicaId,
    },
    /// With a main every session is between it and an edge, without one between peers.
    #[error(
        "a replica in the role {found:?} has no session with one in the role {expected:?}: edges meet their main, peers \
         each other"
    )]
    MixedRoles {
        /// The other's part.
        found: Role,
        /// This replica's.
        expected: Role,
    },
    /// Two replicas write under one identity.
    #[error("two replicas write as {replica}: wipe one of the copies and let it join anew")]
    ClonedReplica {
        /// The shared identity.
        replica: ReplicaId,
    },
    /// The disk refused a record, so nothing this replica says could be relied on.
    #[error("this replica has stopped because its disk refused a record; open it again from its records")]
    Stopped,
    /// Durable records that do not make a replica.
    #[error("the replica's records cannot be opened: {0}")]
    Records(String),
}

fn list(changes: &[ChangeId]) -> String {
    let names: Vec<String> = changes.iter().map(ToString::to_string).collect();
    names.join(", ")
}
