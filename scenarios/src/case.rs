//! The documented requirements: one case per row, by id, with its document and what must hold.
//!
//! Five documents describe the system, and one the harness. A case passes when a scenario runs it on the real engine
//! and on every store, each of its clauses is checked by name, and every property holds meanwhile. What is about reports is judged by reading
//! them. A case that nothing shows is reported as missing; what belongs to a later product is reported as later.

use std::fmt;
use std::str::FromStr;

/// Where a requirement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    /// The plan to integrate schema changes.
    A,
    /// Schema changes as operations.
    B,
    /// The minimal, server-ordered synchronisation.
    C,
    /// The specification of the distributed engine, as tests.
    D,
    /// The policy of change logs and their operation.
    E,
    /// The design of this harness.
    H,
}

impl Document {
    /// The document's title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Document::A => "DDL Integration Plan",
            Document::B => "DDL Synchronisation",
            Document::C => "Minimal Sync Guide",
            Document::D => "Distributed Sync Engine",
            Document::E => "Sync Policy",
            Document::H => "Harness Design",
        }
    }
}

/// What one row says.
struct Row {
    id: &'static str,
    document: Document,
    is_later: bool,
    requirement: &'static str,
    clauses: &'static [&'static str],
}

macro_rules! cases {
    ($($variant:ident = $id:literal, $document:ident, $is_later:literal, $requirement:literal, [$($clause:literal),*];)*) => {
        /// A documented requirement.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Case {
            $(#[doc = $requirement] $variant,)*
        }

        impl Case {
            /// Every case, in the order of the documents.
            pub const ALL: &'static [Case] = &[$(Case::$variant,)*];

            fn row(self) -> Row {
                match self {
                    $(Case::$variant => Row {
                        id: $id,
                        document: Document::$document,
                        is_later: $is_later,
                        requirement: $requirement,
                        clauses: &[$($clause),*],
                    },)*
                }
            }
        }
    };
}

cases! {
    D1_1 = "D1.1", D, false, "A handshake establishes a session with protocol version 1.0 in mode incremental.", ["session established", "protocol version is 1.0", "mode is incremental"];
    D1_2 = "D1.2", D, false, "A change under the clock {a: 1, b: 0} is applied once at b, whose clock then reads a = 1 and b = 1: a receipt is a tick.", ["applied once at b", "clock of b reads a = 1", "clock of b reads b = 1"];
    D2_1 = "D2.1", D, false, "Concurrent updates of one property are reported as concurrent_update and resolved last_write_wins: the later timestamp wins.", ["reported as concurrent_update", "resolved last_write_wins", "the value is alice@b.com everywhere"];
    D2_2 = "D2.2", D, false, "Concurrent increments of −5 and −3 give −8 on every replica, each counted exactly once.", ["−5 and −3 give −8 on every replica", "each is counted exactly once", "every replica reports them as cumulative", "neither is recorded as lost"];
    D3_1 = "D3.1", D, false, "Three participants prepare an edge, vote commit and commit; the edge exists once on each.", ["three participants prepare and vote commit", "all are committed", "the edge exists once on each", "its operations are one change"];
    D3_2 = "D3.2", D, false, "One participant votes abort with reason disk_full: the decision is abort, every participant ends rolled_back, nothing shows anywhere.", ["one participant votes abort with reason disk_full", "the decision is abort", "every participant ends rolled_back", "nothing of the transaction is visible anywhere"];
    D4_1 = "D4.1", D, false, "Three changes made offline are queued under 1 MiB; back online all three are synced without conflict and the queue is empty.", ["three changes are queued", "their estimated size is under 1 MiB", "back online all three are synced", "no conflict is resolved", "the queue is empty"];
    D4_2 = "D4.2", D, false, "An offline update against an online update of the same period is resolved online_wins.", ["the connected replicas know of a new epoch and the other does not", "resolved online_wins", "the value is banned everywhere"];
    D5_1 = "D5.1", D, false, "Of 10,000 nodes against 9,990 the ten missing are found in under 100 comparisons and only they are sent, in under 10 KiB, at the tail and scattered.", ["ten missing nodes are found in under 100 comparisons", "only those ten are sent", "it takes less than 10 KiB", "both hold 10,000 nodes"];
    D5_2 = "D5.2", D, false, "From a sync point of 1,000 changes 100 newer ones sync as 100; a wrong checksum or a compacted sync point requires a full resync, and nothing pending is lost.", ["100 newer changes sync as 100", "they require no full resync", "a wrong checksum requires a full resync", "a compacted sync point requires a full resync", "nothing pending is lost", "nothing is done twice"];
    D6_1 = "D6.1", D, false, "zstd saves more than half of 1,000 nodes and 5,000 edges against canonical JSON, and the round trip is equal.", ["more than half is saved against canonical JSON", "zstd makes the columns smaller", "the round trip is equal"];
    D6_2 = "D6.2", D, false, "The strategy follows the measured link: below 1 Mbit/s critical tables only, else above 500 ms batches over 100, else streaming.", ["over a good link every change streams", "above 500 ms batches grow over 100", "below 1 Mbit/s only what critical tables need is sent", "where both limits are crossed bandwidth decides", "what had to wait arrives over a better link"];
    DP1 = "D.P1", D, false, "The difference of 1,000 nodes is synchronised in under 100 ms.", [];
    DP2 = "D.P2", D, false, "The engine needs less than 32 MB for the workload of D5.1.", [];
    DP3 = "D.P3", D, false, "The queue takes 10,000 operations; the next is refused as QueueFull and nothing queued is lost.", ["10,000 operations are queued", "the next one is refused as QueueFull", "nothing queued is lost", "once synchronised it takes more"];
    DP4 = "D.P4", D, false, "Compression saves more than half.", ["more than half is saved when every change travels alone"];
    DP5 = "D.P5", D, false, "A conflict is detected, resolved and recorded in under 10 ms.", [];
    DA1 = "D.A1", D, false, "Replicas without a main converge by pairwise exchange.", ["no replica numbers changes", "a change travels over third replicas while its author is away", "all end with one graph"];
    DA2 = "D.A2", D, false, "The event log survives a restart on SQLite, and a replica is rebuilt from it.", ["a replica is rebuilt from its log on disk", "a copy made in mid-life opens and holds the same", "a lost graph is built anew from the log"];
    B1_1 = "B1.1", B, false, "CREATE_NODE_TABLE replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_2 = "B1.2", B, false, "CREATE_EDGE_TABLE replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_3 = "B1.3", B, false, "DROP_NODE_TABLE replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_4 = "B1.4", B, false, "DROP_EDGE_TABLE replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_5 = "B1.5", B, false, "RENAME_TABLE replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_6 = "B1.6", B, false, "ADD_COLUMN replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_7 = "B1.7", B, false, "DROP_COLUMN, also with cascade, replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_8 = "B1.8", B, false, "RENAME_COLUMN replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_9 = "B1.9", B, false, "ALTER_COLUMN_TYPE replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_10 = "B1.10", B, false, "CREATE_INDEX replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_11 = "B1.11", B, false, "DROP_INDEX replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_12 = "B1.12", B, false, "COMMENT_ON_TABLE replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B1_13 = "B1.13", B, false, "COMMENT_ON_COLUMN replicates and converges.", ["every replica has it", "all are at one version, which counts every operation once", "nothing is lost"];
    B2 = "B2", B, false, "A client creates a DDL change, applies it, and reads the schema state with version and tables.", ["a client's change is applied at once", "the state tells version and tables"];
    B3 = "B3", B, false, "A change waits for what it depends on whatever the order of arrival; a cycle is refused by name and nothing of it is applied.", ["an edge table waits for its node tables, in every order of arrival", "a diamond is applied as soon as its top is", "a circle is refused with an error that names it", "nothing of a circle is applied"];
    B4 = "B4", B, false, "Every DDL operation raises the schema version by exactly one on every replica, also from the waiting buffer.", ["every operation raises the version by exactly one, also one that waited", "all are at one version, which counts every operation once"];
    B5 = "B5", B, false, "A database with tables made before synchronising is adopted and keeps working.", ["what an existing database holds is there at once, tables, rows and edges", "two copies become one graph, everything in it once", "tables made before keep working, with their defaults", "new ones arrive by schema changes"];
    B6 = "B6", B, false, "A bad definition gets a typed error that names the offender; nothing is logged and nothing changed.", ["every bad definition gets an error that names the offender", "nothing is logged and nothing changed"];
    B7 = "B7", B, false, "Every pair of concurrent schema changes gives one schema in every arrival order; no value is lost and the loser is recorded.", ["every replica ends with one schema and graph, in every order", "the schema is the documented one", "the rows are the documented ones", "the loser is recorded, and nobody else", "no value is lost"];
    B8 = "B8", B, false, "A schema change is rolled back: UNDROP restores with data, and a return to a version is planned, shown and applied.", ["UNDROP restores a table and a column with their data", "the way back is shown before anything is done", "it is applied as new changes", "every replica shows the schema of then", "no row is lost, also none written meanwhile"];
    B9 = "B9", B, false, "The difference of two schemas is an ordered list of operations; merging two gives what concurrent history would.", ["the difference of two schemas is an ordered list of operations", "merging two, either way round, gives what concurrent history gives", "carried out on the one it gives the other"];
    B10 = "B10", B, false, "A report draws the schema versions and who made them.", ["a page lists every version of the schema, in order", "each version says who made it", "each says when every replica had it, its author first"];
    B11 = "B11", B, false, "A report advises indexes, and tells what a schema change touches before it runs.", ["a filter that no index serves is listed with its rows", "it says which index would", "what the primary key or an index serves is told so", "a column that is not there is named", "a schema change tells tables, columns and rows before it runs", "asking changes nothing", "it then does what was told"];
    A1 = "A1", A, false, "A change carries depends_on and its type, DML or DDL.", ["a change carries what it depends on", "a change tells whether it is DML or DDL"];
    A2 = "A2", A, false, "IF NOT EXISTS and DEFAULT, also falsy defaults, reach the engine.", ["IF NOT EXISTS of what exists changes nothing", "a default of 0 is shown", "a default of false is shown", "a default of the empty text is shown", "the default of a column added later is shown"];
    A3 = "A3", A, false, "The schema state survives a restart.", ["version, operations and tables survive a restart", "what was dropped before can still be brought back"];
    A4 = "A4", A, false, "DML waits for the tables and columns it needs; old DML keeps working after renames and additions.", ["a row waits for the column it needs", "what is written by old names lands in the renamed table, with the default of what was added"];
    A5 = "A5", A, false, "1,000 concurrent DDL operations on 5 replicas converge.", ["1,000 operations are accepted while nobody hears of the others", "each peer ends with all of them", "all end with one schema"];
    A6 = "A6", A, false, "Counters and a structured log tell of applied, waiting, refused and conflicting DDL.", ["applied, waiting, refused and conflicting operations are counted", "the log tells of each what became of it", "what waited is counted as applied once it is"];
    A7 = "A7", A, false, "Pending DDL is applied as one plan, and each statement text is prepared once.", ["a run that arrives together is one plan", "one by one gives the same", "what waited for one cause is one plan with it", "a statement that comes again is prepared once"];
    A8 = "A8", A, false, "An existing Kùzu database is migrated into a replica directory.", ["its catalogue, rows and edges are in the directory, value by value", "comments come along", "what cannot come along is named", "the database itself stays as it was", "adopting it again changes nothing", "two that adopted copies exchange files and become one graph, everything in it once", "nothing of it is in conflict with its copy", "limits on edges go on to hold", "where there are rows of other origin nothing is adopted"];
    A9 = "A9", A, false, "A DDL that fails half-way leaves schema and data as before on that replica, and says so.", ["what it was about stays as it was in that database, schema and data", "the rest of its run is done", "the replica says what its database refuses", "the schema is the same everywhere, and nothing is lost", "rows go on being written", "a restart tries it anew, and says what is still refused", "once the database takes it, all of it is there"];
    C1 = "C1", C, false, "The main gives every change a gapless number that survives its restart and is durable before it is broadcast.", ["each edge hears every number once, without a gap", "numbers survive the main's restarts", "a number is durable before anybody hears of it"];
    C2 = "C2", C, false, "Every connected replica gets every change, its author included.", ["every connected replica gets every change", "the author gets its own change back with its number"];
    C3 = "C3", C, false, "A local change is visible at once, and pending until it is acknowledged.", ["visible at once", "pending until acknowledged", "no longer pending once acknowledged"];
    C4 = "C4", C, false, "Reconciliation applies each pending change exactly once on top of what the main numbered, and never deletes a row because an update of it is undone.", ["what is pending lies on top of what the main numbered, and nothing else does", "no change is applied twice", "what a rejected change had displaced is back", "no row is ever deleted"];
    C5 = "C5", C, false, "A replica that joins late gets a snapshot and the tail.", ["it gets a snapshot", "what came after the snapshot follows as changes", "it shows what the others show", "all replicas make the same snapshot"];
    C6 = "C6", C, false, "After a reconnect a gap in versions is noticed and asked for; a resend is applied once.", ["a gap in the numbers is noticed", "what is missing is asked for", "after a reconnect exactly what is missing is sent", "a resend is applied once", "cut after any message of an exchange all end equal", "killed at any point of an exchange all end equal"];
    C7 = "C7", C, false, "In strict mode a change against a stale version is refused with VersionMismatch; of three concurrent ones exactly one wins.", ["of three concurrent strict changes exactly one wins", "the others are refused with VersionMismatch", "one that has seen the winner is not stale"];
    C8 = "C8", C, false, "No value ever enters statement text, and identifiers are checked and quoted.", ["values come back byte by byte", "nothing is there but what was asked for", "no value stands in the text of a statement", "every identifier stands in quotes", "an identifier that cannot be quoted is refused by name"];
    C9 = "C9", C, false, "An invalid message gets a typed error; connection and data survive.", ["bytes that are no message are refused as malformed", "a message that is too long is refused by its length", "a foreign database is refused by name", "a newer protocol version is refused by name", "no graph and no log changes", "the connection goes on", "whoever was refused can come back"];
    C10 = "C10", C, true, "Authentication and TLS.", [];
    C11 = "C11", C, true, "A WebSocket server, a browser replica, snapshots in an object store, two browsers on one page.", [];
    E1 = "E1", E, false, "The change log has the documented columns, a gapless lsn, a tombstone on delete, and keeps source_node and created_at through export and import.", ["the change log has the documented columns", "its lsn is monotonic and gapless", "a delete leaves a tombstone", "source_node and created_at survive export and import"];
    E2 = "E2", E, false, "sync_state holds last_lsn per client, updated on success only and never past a failed transaction.", ["last_lsn is updated when an import succeeds", "it does not pass a transaction that failed", "after a retry with success it does"];
    E3 = "E3", E, false, "The last write wins by created_at as an instant, not as text, with a total tie-break.", ["the later instant wins, whatever its text", "of equal instants the greater author's wins everywhere", "each loss is recorded as last_write_wins"];
    E4 = "E4", E, false, "In a prefer-main table a change of the main beats what is concurrent to it and loses to what was written after seeing it.", ["a change of the main beats a later one that had not seen it", "in another table the later one wins", "the audit names the rule of each", "one that had seen the main's beats it"];
    E5 = "E5", E, false, "A transaction imported twice is applied once with all its rows; one that fails is left out alone, and its dependants wait.", ["handed in again it gives the change it gave before", "all its rows are applied, each once", "one that fails is left out alone", "it is listed with what names its results", "it waits until it is retried with success", "then it is applied, and so is what waited for it"];
    E6 = "E6", E, false, "An unknown column is refused unless allow_schema_alter is on; then it is added, nullable, and recorded.", ["an unknown column is refused by name", "where it is allowed the column is added, nullable", "its type holds every value of the file", "the audit records it"];
    E7 = "E7", E, false, "Imports commit every 100 transactions by default, with a checkpoint after each batch.", ["100 transactions are committed together by default", "each batch is durable when it is told", "a checkpoint follows each"];
    E8 = "E8", E, false, "Export and import work both ways as NDJSON with a header and a SHA-256; a damaged, truncated or foreign file changes nothing.", ["what one exports the other imports, in both directions", "64-bit integers lose no digit", "the first line tells client_id and source_node", "a damaged, truncated, reordered or newer file changes nothing", "a file of another database changes nothing", "a plain file of another system is imported, once"];
    E9 = "E9", E, false, "Applying a remote change never logs it again as a local one.", ["each replica logs as its own what its clients wrote, and nothing else"];
    E10 = "E10", E, false, "Every concurrent loss is recorded with both values, both origins, the rule and the differing fields.", ["every loss is recorded with both values, both origins, the rule and the differing fields", "the audits of all replicas are equal", "to overwrite what one has seen is no loss"];
    E11 = "E11", E, false, "Policies per table come from a configuration file.", ["the file becomes part of every replica's schema", "its rules are in force on every replica", "a bad line is named", "a file that differs from the schema is told with both sides"];
    E12 = "E12", E, false, "Documented backup and restore commands work, proved by restoring.", ["a backup is made while the replica is in use", "what is restored shows what was backed up, by digest", "it is a new incarnation", "old and restored go on together"];
    E13 = "E13", E, false, "An import of 10,000 rows is measured.", [];
    E14 = "E14", E, true, "REST over TLS with tokens.", [];
    H1 = "H1", H, false, "The sync core is compiled against a simulated network and clock: one code path, no double of the engine.", ["a change is stamped by the simulated clock with its skew", "timers fire at simulated times", "nothing passes a cut link", "whatever arrives was sent over the simulated network", "the engine makes the same replica of its records outside the simulation"];
    H2 = "H2", H, false, "Scripted scenarios cover every row that is not later, by id.", ["every case that is not later has a scenario or a judge", "each of them ran on all that it asks for"];
    H3 = "H3", H, false, "Property-generated scenarios by proptest; failing ones shrink to a small plan.", ["a seed and a profile give one plan, and another seed another", "every kind of step is drawn", "generated plans of every profile pass every checker", "a false claim is refuted by a plan", "it shrinks to at most 10 steps and 3 faults that refute the same"];
    H4 = "H4", H, false, "Seeded faults are injected: partitions, offline queues, concurrent DDL, aborts, crashes, disks, clocks.", ["partitions cut hosts off, also one way", "hosts go offline, and their queues wait", "schema changes meet concurrently", "transactions that replicas vote on are aborted", "hosts die, also with what they had not synced", "disks fail, fill up and get slow", "clocks are wrong, and jump", "the same seed injects the same", "whatever is injected, no claim is broken"];
    H5 = "H5", H, false, "Convergence invariants are checked in every run.", ["every run ends with a rest at which it is judged", "the replicas hold one graph, schema, cursor and audit", "a replica that differs in any of them is found", "a graph on which all agree is found if it is not the model's"];
    H6 = "H6", H, false, "The same commit, seed and plan give a byte-equal history, in another process too.", ["the same seed gives a byte-equal history", "whatever ran before makes no difference", "another seed gives another history"];
    H7 = "H7", H, false, "Snapshot reports are readable by a reviewer who has not seen the code.", ["a page says case, document and what is asked for", "each clause stands there with what was found", "a failure says what is broken, who holds which value, and how to see it again", "it fits 80 columns without colour, and a failure one screen", "the page of every scenario is kept, and is what is made today", "no page needs the code to be read"];
    H8 = "H8", H, false, "One command gates CI, with exit codes and JUnit.", ["a gate in which all holds ends with 0 and a JUnit file without a failure", "one that finds something ends with the exit code of what it found", "a parser reads in its JUnit file what failed, and why", "bad usage ends with 2 before anything is run"];
    H9 = "H9", H, false, "Criterion benchmarks measure every D.P row, with peers beside them.", ["every row of the performance table has a benchmark", "what each of them times ends as it must", "the table of results has a figure of the engine and of each peer for every row", "it says what it was measured on and how to measure again"];
}

impl Case {
    /// The id in the case list.
    #[must_use]
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// Where it comes from.
    #[must_use]
    pub fn document(self) -> Document {
        self.row().document
    }

    /// What must hold, in one sentence.
    #[must_use]
    pub fn requirement(self) -> &'static str {
        self.row().requirement
    }

    /// What has to be checked, by name; empty for a case with a limit of time, and while nothing covers the case.
    #[must_use]
    pub fn clauses(self) -> &'static [&'static str] {
        self.row().clauses
    }

    /// Whether it is about what people and pipelines read of runs. No run can show that: it is judged where pages are made.
    #[must_use]
    pub fn is_read(self) -> bool {
        matches!(self, Case::B10 | Case::B11 | Case::H2 | Case::H7 | Case::H8 | Case::H9)
    }

    /// Whether it belongs to a later product.
    #[must_use]
    pub fn is_later(self) -> bool {
        self.row().is_later
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Case::ALL.iter().find(|case| case.id().eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| format!("there is no case `{text}`; `kuzusync conformance` lists them all"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_parse_to_their_case() {
        for case in Case::ALL {
            assert_eq!(case.id().parse(), Ok(*case));
        }
        assert_eq!("d1.1".parse(), Ok(Case::D1_1));
        assert!("D9.9".parse::<Case>().is_err());
    }
}
