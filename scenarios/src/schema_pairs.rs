//! DDL Synchronisation, case B7: what becomes of two schema changes, or of a schema change and a write, that do not know
//! of each other.
//!
//! Each row of the table below is one scenario. Three peers hold one graph and are cut off from each other; one of them
//! makes the change *here*, another the change *there*. Which of the two is the later one, and which the third peer hears
//! of first, gives four rounds, each on tables of its own. Schema, rows and audit are compared with what the row
//! says for the case that *here* is the earlier and for the case that *there* is. Then what was hidden is brought back, and
//! the rows are compared again, so that no value is lost.

use std::collections::BTreeMap;

use kuzusync_core::conflict::Loss;
use kuzusync_core::conflict::schema::{Claim, SchemaLoss, Subject};
use kuzusync_core::ddl::{Column, IndexKind};
use kuzusync_core::policy::Policy;
use kuzusync_core::statement::{EdgeName, Properties, Statement};
use kuzusync_core::value::{Type, Value};
use kuzusync_core::view::{Describe, Table};
use kuzusync_sim::cluster::Cluster;
use kuzusync_sim::options::Options;
use kuzusync_sim::outcome::ReplicaState;
use kuzusync_sim::seed::Seed;

use crate::case::Case;
use crate::sample::each;
use crate::scenario::Scenario;

/// A scenario for every row.
macro_rules! rows {
    ($($row:ident: $name:literal, $story:literal, $seed:literal;)*) => {
        /// The scenarios of this section.
        #[must_use]
        pub fn scenarios() -> Vec<Scenario> {
            vec![$(
                Scenario {
                    name: $name,
                    story: $story,
                    cases: &[Case::B7],
                    claims: &[],
                    seed: Seed($seed),
                    options: Options { has_main: false, ..Options::default() },
                    body: |cluster| Box::pin(meet(cluster, &$row)),
                },
            )*]
        }
    };
}

rows! {
    CREATE_CREATE: "create-meets-create", "CREATE T × CREATE T with the same key: one table, columns united", 2_001;
    CREATE_OTHER_KEY: "create-meets-other-key", "CREATE T × CREATE T with another key: two tables, the later owns the name", 2_002;
    CREATE_EDGE_EDGE: "create-edge-meets-create-edge", "CREATE EDGE E × CREATE EDGE E between others: one table, pairs united", 2_003;
    CREATE_RENAME: "create-meets-rename", "CREATE T × RENAME U→T: two tables claim T", 2_004;
    CREATE_EDGE_DROP: "create-edge-meets-drop", "CREATE EDGE A→B × DROP A: the pair is hidden until A is back", 2_005;
    CREATE_DROP: "create-again-meets-drop", "CREATE T IF NOT EXISTS × DROP T: the later decides", 2_006;
    RECREATE_RECREATE: "migration-meets-itself", "DROP T and CREATE T × DROP T and CREATE T: one new table", 2_035;
    DROP_DROP: "drop-meets-drop", "DROP T × DROP T: dropped", 2_007;
    DROP_CHANGE: "drop-meets-add-column", "DROP T × ADD COLUMN T.d: dropped, and remembered", 2_008;
    RENAME_RENAME: "rename-meets-rename", "RENAME T→X × RENAME T→Y: the later names it", 2_009;
    RENAME_TO_SAME: "renames-meet-at-one-name", "RENAME T→X × RENAME U→X: both live, the later owns X", 2_010;
    ADD_ADD: "add-column-meets-add-column", "ADD c × ADD c of one type: one column", 2_011;
    ADD_WIDER: "add-column-meets-wider", "ADD c INT32 × ADD c INT64: INT64", 2_012;
    ADD_OTHER_TYPE: "add-column-meets-other-type", "ADD c STRING × ADD c INT64: the later's type, other values cast or kept aside", 2_013;
    ADD_DROP: "add-column-again-meets-drop", "ADD c IF NOT EXISTS × DROP c: the later decides", 2_014;
    READD_DROP: "replaced-column-meets-drop", "DROP x and ADD x × DROP x: the new column stays", 2_036;
    ADD_RENAME: "add-column-meets-rename", "ADD y × RENAME x→y: two columns claim y", 2_015;
    RENAME_COLUMNS: "column-renames-meet-at-one-name", "RENAME x→y × RENAME w→y: two columns claim y", 2_016;
    RENAME_COLUMN_TWICE: "column-rename-meets-rename", "RENAME x→y × RENAME x→z: the later names it", 2_017;
    RENAME_DROP_COLUMN: "column-rename-meets-drop", "RENAME x→y × DROP x: dropped, the name remembered", 2_018;
    ALTER_ALTER: "retype-meets-retype", "ALTER x TYPE × ALTER x TYPE: each removes what it had seen, the rest join", 2_019;
    ALTER_WIDER: "retype-meets-wider", "ALTER x INT32 × ALTER x INT128: the wider", 2_020;
    ALTER_ADD: "retype-meets-add-column", "ALTER c TYPE × ADD c: it removes what it had seen, and the other joins", 2_037;
    ALTER_DROP: "retype-meets-drop", "ALTER x TYPE × DROP x: dropped", 2_021;
    PAIR_PAIR: "add-pair-meets-drop-pair", "ADD PAIR × DROP PAIR that had not seen it: the pair stays", 2_022;
    INDEX_DROP: "create-index-meets-drop-column", "CREATE INDEX × DROP c: hidden until c is back", 2_023;
    INDEX_INDEX: "create-index-meets-create-index", "CREATE INDEX × CREATE INDEX of one definition: one", 2_024;
    COMMENT_COMMENT: "comment-meets-comment", "COMMENT × COMMENT: the later", 2_025;
    POLICY_POLICY: "policy-meets-policy", "policy × policy: the later", 2_026;
    DROP_TABLE_WRITE: "drop-table-meets-writes", "DROP T × writes in it: hidden, merged, audited; back with UNDROP", 2_027;
    DROP_COLUMN_WRITE: "drop-column-meets-writes", "DROP c × writes in it: hidden, merged, audited; back with UNDROP", 2_028;
    RENAME_WRITE: "rename-meets-writes", "RENAME T and c × writes with the old names: both", 2_029;
    ADD_DEFAULT_INSERT: "add-column-meets-insert", "ADD c DEFAULT d × an insert that did not know c: d is shown; an explicit NULL stays", 2_030;
    ALTER_WRITE: "retype-meets-update", "ALTER TYPE × an update with the old type: kept as it is, cast where it is shown", 2_031;
    COUNTER_SET: "increment-meets-set", "increment × set of one number: the set is the base", 2_032;
    DROP_NODE_EDGE: "drop-table-meets-edge", "DROP node table × a new edge on its nodes: hidden with its end", 2_033;
    DELETE_NODE_EDGE: "delete-meets-edge", "DELETE node × a new edge on it: hidden with its end", 2_034;
}

/// What two peers do that do not know of each other, and what must become of it.
struct Pair {
    before: fn(Round) -> Vec<Statement>,
    here: fn(Round) -> Vec<Statement>,
    there: fn(Round) -> Vec<Statement>,
    /// What it looks like; if that depends on who is the later, then if *there* is.
    becomes: Expected,
    /// If *here* is the later, where that makes a difference.
    here_wins: Option<Expected>,
    /// What brings back what is hidden.
    restore: fn(Round) -> Vec<Statement>,
}

/// How it looks on every replica, in words: of the round's tables alone, without the number of the round.
struct Expected {
    schema: &'static str,
    rows: &'static str,
    audit: &'static str,
    /// The rows once everything hidden is back, if that makes a difference.
    restored: Option<&'static str>,
}

/// The number of a round, which its tables carry.
#[derive(Clone, Copy)]
struct Round(u32);

impl Round {
    fn suffix(self) -> String {
        format!("_r{}", self.0)
    }

    fn of(self, name: &str) -> String {
        format!("{name}{}", self.suffix())
    }
}

// ---- statements ----

fn table(n: Round, name: &str, columns: &[(&str, Type)]) -> Statement {
    crate::sample::node_table(&n.of(name), columns)
}

/// `T(id STRING, x INT64, w STRING)` with one row.
fn table_t(n: Round) -> Vec<Statement> {
    let columns = [("id", Type::String), ("x", Type::Int64), ("w", Type::String)];
    vec![table(n, "T", &columns), insert(n, "T", "r", &[("x", Value::from(7)), ("w", Value::from("seven"))])]
}

/// `T` and a node table `U`, each with a row.
fn tables_t_u(n: Round) -> Vec<Statement> {
    [table_t(n), vec![table(n, "U", &[("id", Type::String)]), insert(n, "U", "u", &[])]].concat()
}

/// `T`, `U` and edges from `T` to `U`.
fn with_edges(n: Round) -> Vec<Statement> {
    [tables_t_u(n), vec![edges(n, "E", "T", "U"), insert(n, "U", "v", &[])]].concat()
}

fn edges(n: Round, name: &str, from: &str, to: &str) -> Statement {
    crate::sample::edge_table(&n.of(name), &n.of(from), &n.of(to))
}

fn insert(n: Round, table: &str, key: &str, cells: &[(&str, Value)]) -> Statement {
    let key = [("id".to_owned(), Value::from(key))].into_iter();
    let cells = cells.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Statement::CreateNode { table: n.of(table), properties: key.chain(cells).collect() }
}

fn set(n: Round, table: &str, key: &str, column: &str, value: impl Into<Value>) -> Statement {
    let properties = Properties::from([(column.to_owned(), value.into())]);
    Statement::UpdateNode { table: n.of(table), key: key.into(), properties }
}

fn connect(n: Round, from: &str, to: &str) -> Statement {
    let (from, to) = ((n.of("T"), Value::from(from)), (n.of("U"), Value::from(to)));
    let edge = EdgeName { table: n.of("E"), from, to, discriminator: String::new() };
    Statement::CreateEdge { edge, properties: Properties::new() }
}

fn rename(n: Round, table: &str, to: &str) -> Statement {
    Statement::RenameTable { table: n.of(table), to: n.of(to) }
}

fn drop_table(n: Round, table: &str) -> Statement {
    Statement::DropNodeTable { table: n.of(table), cascade: true }
}

fn undrop(n: Round, table: &str) -> Statement {
    Statement::UndropTable { table: n.of(table) }
}

fn add(n: Round, column: &str, column_type: Type) -> Statement {
    Statement::AddColumn { table: n.of("T"), column: Column::new(column, column_type) }
}

fn drop_column(n: Round, column: &str) -> Statement {
    Statement::DropColumn { table: n.of("T"), column: column.into(), cascade: true }
}

fn undrop_column(n: Round, column: &str) -> Statement {
    Statement::UndropColumn { table: n.of("T"), column: column.into() }
}

fn rename_column(n: Round, column: &str, to: &str) -> Statement {
    Statement::RenameColumn { table: n.of("T"), column: column.into(), to: to.into() }
}

fn retype(n: Round, column: &str, column_type: Type) -> Statement {
    Statement::AlterColumnType { table: n.of("T"), column: column.into(), column_type }
}

fn index(n: Round, index: &str, column: &str) -> Statement {
    let (table, columns) = (n.of("T"), vec![column.into()]);
    Statement::CreateIndex { table, index: index.into(), kind: IndexKind::Value, columns }
}

fn comment(n: Round, comment: &str) -> Statement {
    Statement::CommentOnTable { table: n.of("T"), comment: comment.into() }
}

fn if_not_exists(statement: Statement) -> Statement {
    Statement::IfNotExists(Box::new(statement))
}

// ---- the rows ----

const NOTHING: Expected = Expected { schema: "", rows: "", audit: "", restored: None };

const PAIR: Pair = Pair {
    before: table_t,
    here: |_| Vec::new(),
    there: |_| Vec::new(),
    becomes: NOTHING,
    here_wins: None,
    restore: |_| Vec::new(),
};

const CREATE_CREATE: Pair = Pair {
    before: |n| vec![table(n, "U", &[("id", Type::String)])],
    here: |n| {
        vec![table(n, "T", &[("id", Type::String), ("a", Type::String)]), insert(n, "T", "h", &[("a", "A".into())])]
    },
    there: |n| {
        vec![table(n, "T", &[("id", Type::String), ("b", Type::Int64)]), insert(n, "T", "t", &[("b", 2.into())])]
    },
    becomes: Expected {
        schema: "T(a STRING, b INT64, id STRING, KEY(id)); U(id STRING, KEY(id))",
        rows: "T(h){a: A} T(t){b: 2}",
        ..NOTHING
    },
    ..PAIR
};

const CREATE_OTHER_KEY: Pair = Pair {
    before: |n| vec![table(n, "U", &[("id", Type::String)])],
    here: |n| vec![table(n, "T", &[("id", Type::String)]), insert(n, "T", "h", &[])],
    there: |n| {
        vec![table(n, "T", &[("id", Type::String), ("k", Type::Int64)])]
            .into_iter()
            .map(|statement| match statement {
                Statement::CreateNodeTable { table, columns, .. } => {
                    Statement::CreateNodeTable { table, columns, primary_key: "k".into() }
                }
                other => other,
            })
            .collect()
    },
    becomes: Expected {
        schema: "T(id STRING, k INT64, KEY(k)); T~(id STRING, KEY(id)); U(id STRING, KEY(id))",
        rows: "T~(h){}",
        audit: "table contested_name: T < T",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, KEY(id)); T~(id STRING, k INT64, KEY(k)); U(id STRING, KEY(id))",
        rows: "T(h){}",
        audit: "table contested_name: T < T",
        ..NOTHING
    }),
    ..PAIR
};

const CREATE_EDGE_EDGE: Pair = Pair {
    before: tables_t_u,
    here: |n| vec![edges(n, "E", "T", "U"), connect(n, "r", "u")],
    there: |n| vec![edges(n, "E", "U", "T")],
    becomes: Expected {
        schema: "E(FROM T TO U, FROM U TO T); T(id STRING, w STRING, x INT64, KEY(id)); U(id STRING, KEY(id))",
        rows: "T(r){w: seven, x: 7} U(u){} E: T(r)→U(u)",
        ..NOTHING
    },
    ..PAIR
};

const CREATE_RENAME: Pair = Pair {
    before: |n| vec![table(n, "U", &[("id", Type::String)]), insert(n, "U", "u", &[])],
    here: |n| vec![table(n, "T", &[("id", Type::String)]), insert(n, "T", "h", &[])],
    there: |n| vec![rename(n, "U", "T")],
    becomes: Expected {
        schema: "T(id STRING, KEY(id)); T~(id STRING, KEY(id))",
        rows: "T(u){} T~(h){}",
        audit: "table contested_name: T < T",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, KEY(id)); T~(id STRING, KEY(id))",
        rows: "T(h){} T~(u){}",
        audit: "table contested_name: T < T",
        ..NOTHING
    }),
    ..PAIR
};

const CREATE_EDGE_DROP: Pair = Pair {
    before: tables_t_u,
    here: |n| vec![edges(n, "E", "T", "U"), connect(n, "r", "u")],
    there: |n| vec![drop_table(n, "T")],
    restore: |n| vec![undrop(n, "T")],
    becomes: Expected {
        schema: "U(id STRING, KEY(id))",
        rows: "U(u){}",
        restored: Some("T(r){w: seven, x: 7} U(u){} E: T(r)→U(u)"),
        ..NOTHING
    },
    ..PAIR
};

const CREATE_DROP: Pair = Pair {
    here: |n| vec![if_not_exists(table(n, "T", &[("id", Type::String)]))],
    there: |n| vec![drop_table(n, "T")],
    restore: |n| vec![undrop(n, "T")],
    becomes: Expected {
        audit: "table concurrent_schema_change: made < dropped",
        restored: Some("T(r){w: seven, x: 7}"),
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){w: seven, x: 7}",
        audit: "table concurrent_schema_change: dropped < made",
        ..NOTHING
    }),
    ..PAIR
};

/// Both run one migration, which drops the table and makes another.
const RECREATE_RECREATE: Pair = Pair {
    here: |n| vec![drop_table(n, "T"), table(n, "T", &[("id", Type::String), ("a", Type::String)])],
    there: |n| vec![drop_table(n, "T"), table(n, "T", &[("id", Type::String), ("b", Type::String)])],
    restore: |n| vec![rename(n, "T", "N"), undrop(n, "T")],
    becomes: Expected {
        schema: "T(a STRING, b STRING, id STRING, KEY(id))",
        restored: Some("T(r){w: seven, x: 7}"),
        ..NOTHING
    },
    ..PAIR
};

const DROP_DROP: Pair = Pair {
    here: |n| vec![drop_table(n, "T")],
    there: |n| vec![drop_table(n, "T")],
    restore: |n| vec![undrop(n, "T")],
    becomes: Expected { restored: Some("T(r){w: seven, x: 7}"), ..NOTHING },
    ..PAIR
};

const DROP_CHANGE: Pair = Pair {
    here: |n| vec![drop_table(n, "T")],
    there: |n| vec![add(n, "d", Type::String), set(n, "T", "r", "d", "new")],
    restore: |n| vec![undrop(n, "T")],
    becomes: Expected { audit: "d concurrent_drop", restored: Some("T(r){d: new, w: seven, x: 7}"), ..NOTHING },
    ..PAIR
};

const RENAME_RENAME: Pair = Pair {
    here: |n| vec![rename(n, "T", "X")],
    there: |n| vec![rename(n, "T", "Y")],
    becomes: Expected {
        schema: "Y(id STRING, w STRING, x INT64, KEY(id))",
        rows: "Y(r){w: seven, x: 7}",
        audit: "table concurrent_schema_change: X < Y",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "X(id STRING, w STRING, x INT64, KEY(id))",
        rows: "X(r){w: seven, x: 7}",
        audit: "table concurrent_schema_change: Y < X",
        ..NOTHING
    }),
    ..PAIR
};

const RENAME_TO_SAME: Pair = Pair {
    before: tables_t_u,
    here: |n| vec![rename(n, "T", "X")],
    there: |n| vec![rename(n, "U", "X")],
    becomes: Expected {
        schema: "X(id STRING, KEY(id)); X~(id STRING, w STRING, x INT64, KEY(id))",
        rows: "X(u){} X~(r){w: seven, x: 7}",
        audit: "table contested_name: X < X",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "X(id STRING, w STRING, x INT64, KEY(id)); X~(id STRING, KEY(id))",
        rows: "X(r){w: seven, x: 7} X~(u){}",
        audit: "table contested_name: X < X",
        ..NOTHING
    }),
    ..PAIR
};

const ADD_ADD: Pair = Pair {
    here: |n| vec![add(n, "c", Type::String), set(n, "T", "r", "c", "here")],
    there: |n| vec![add(n, "c", Type::String)],
    becomes: Expected {
        schema: "T(c STRING, id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){c: here, w: seven, x: 7}",
        ..NOTHING
    },
    ..PAIR
};

const ADD_WIDER: Pair = Pair {
    here: |n| vec![add(n, "c", Type::Int32), set(n, "T", "r", "c", Value::Int32(5))],
    there: |n| vec![add(n, "c", Type::Int64)],
    becomes: Expected {
        schema: "T(c INT64, id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){c: 5, w: seven, x: 7}",
        ..NOTHING
    },
    ..PAIR
};

const ADD_OTHER_TYPE: Pair = Pair {
    before: |n| [table_t(n), vec![insert(n, "T", "s", &[])]].concat(),
    here: |n| vec![add(n, "c", Type::String), set(n, "T", "r", "c", "five")],
    there: |n| vec![add(n, "c", Type::Int64), set(n, "T", "s", "c", 5)],
    restore: |n| vec![retype(n, "c", Type::String)],
    becomes: Expected {
        schema: "T(c INT64, id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){w: seven, x: 7} T(s){c: 5}",
        audit: "c concurrent_schema_change: STRING < INT64; c failed_cast",
        restored: Some("T(r){c: five, w: seven, x: 7} T(s){c: 5}"),
    },
    here_wins: Some(Expected {
        schema: "T(c STRING, id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){c: five, w: seven, x: 7} T(s){c: 5}",
        audit: "c concurrent_schema_change: INT64 < STRING",
        ..NOTHING
    }),
};

const ADD_DROP: Pair = Pair {
    here: |n| vec![if_not_exists(add(n, "x", Type::Int64))],
    there: |n| vec![drop_column(n, "x")],
    restore: |n| vec![undrop_column(n, "x")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, KEY(id))",
        rows: "T(r){w: seven}",
        audit: "x concurrent_schema_change: made < dropped",
        restored: Some("T(r){w: seven, x: 7}"),
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){w: seven, x: 7}",
        audit: "x concurrent_schema_change: dropped < made",
        ..NOTHING
    }),
    ..PAIR
};

/// Who had seen the drop adds another column.
const READD_DROP: Pair = Pair {
    here: |n| vec![drop_column(n, "x"), add(n, "x", Type::String), set(n, "T", "r", "x", "new")],
    there: |n| vec![drop_column(n, "x")],
    restore: |n| vec![rename_column(n, "x", "n"), undrop_column(n, "x")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, x STRING, KEY(id))",
        rows: "T(r){w: seven, x: new}",
        restored: Some("T(r){n: new, w: seven, x: 7}"),
        ..NOTHING
    },
    ..PAIR
};

const ADD_RENAME: Pair = Pair {
    here: |n| vec![add(n, "y", Type::String), set(n, "T", "r", "y", "here")],
    there: |n| vec![rename_column(n, "x", "y")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, y INT64, y~ STRING, KEY(id))",
        rows: "T(r){w: seven, y: 7, y~: here}",
        audit: "y~ contested_name: y < y",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, w STRING, y STRING, y~ INT64, KEY(id))",
        rows: "T(r){w: seven, y: here, y~: 7}",
        audit: "y~ contested_name: y < y",
        ..NOTHING
    }),
    ..PAIR
};

const RENAME_COLUMNS: Pair = Pair {
    here: |n| vec![rename_column(n, "x", "y")],
    there: |n| vec![rename_column(n, "w", "y")],
    becomes: Expected {
        schema: "T(id STRING, y STRING, y~ INT64, KEY(id))",
        rows: "T(r){y: seven, y~: 7}",
        audit: "y~ contested_name: y < y",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, y INT64, y~ STRING, KEY(id))",
        rows: "T(r){y: 7, y~: seven}",
        audit: "y~ contested_name: y < y",
        ..NOTHING
    }),
    ..PAIR
};

const RENAME_COLUMN_TWICE: Pair = Pair {
    here: |n| vec![rename_column(n, "x", "y")],
    there: |n| vec![rename_column(n, "x", "z")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, z INT64, KEY(id))",
        rows: "T(r){w: seven, z: 7}",
        audit: "z concurrent_schema_change: y < z",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, w STRING, y INT64, KEY(id))",
        rows: "T(r){w: seven, y: 7}",
        audit: "y concurrent_schema_change: z < y",
        ..NOTHING
    }),
    ..PAIR
};

const RENAME_DROP_COLUMN: Pair = Pair {
    here: |n| vec![rename_column(n, "x", "y")],
    there: |n| vec![drop_column(n, "x")],
    restore: |n| vec![undrop_column(n, "y")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, KEY(id))",
        rows: "T(r){w: seven}",
        restored: Some("T(r){w: seven, y: 7}"),
        ..NOTHING
    },
    ..PAIR
};

const ALTER_ALTER: Pair = Pair {
    here: |n| vec![retype(n, "w", Type::Int64)],
    there: |n| vec![retype(n, "w", Type::Bool)],
    restore: |n| vec![retype(n, "w", Type::String)],
    becomes: Expected {
        schema: "T(id STRING, w BOOL, x INT64, KEY(id))",
        rows: "T(r){x: 7}",
        audit: "w concurrent_schema_change: INT64 < BOOL; w failed_cast",
        restored: Some("T(r){w: seven, x: 7}"),
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, w INT64, x INT64, KEY(id))",
        rows: "T(r){x: 7}",
        audit: "w concurrent_schema_change: BOOL < INT64; w failed_cast",
        restored: Some("T(r){w: seven, x: 7}"),
    }),
    ..PAIR
};

const ALTER_WIDER: Pair = Pair {
    here: |n| vec![retype(n, "x", Type::Int32)],
    there: |n| vec![retype(n, "x", Type::Int128)],
    becomes: Expected { schema: "T(id STRING, w STRING, x INT128, KEY(id))", rows: "T(r){w: seven, x: 7}", ..NOTHING },
    ..PAIR
};

const ALTER_ADD: Pair = Pair {
    here: |n| vec![add(n, "c", Type::Int64), retype(n, "c", Type::String), set(n, "T", "r", "c", "five")],
    there: |n| vec![add(n, "c", Type::Int64)],
    restore: |n| vec![retype(n, "c", Type::String)],
    becomes: Expected {
        schema: "T(c INT64, id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){w: seven, x: 7}",
        audit: "c concurrent_schema_change: STRING < INT64; c failed_cast",
        restored: Some("T(r){c: five, w: seven, x: 7}"),
    },
    here_wins: Some(Expected {
        schema: "T(c STRING, id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){c: five, w: seven, x: 7}",
        audit: "c concurrent_schema_change: INT64 < STRING",
        ..NOTHING
    }),
    ..PAIR
};

const ALTER_DROP: Pair = Pair {
    here: |n| vec![retype(n, "x", Type::String)],
    there: |n| vec![drop_column(n, "x")],
    restore: |n| vec![undrop_column(n, "x")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, KEY(id))",
        rows: "T(r){w: seven}",
        restored: Some("T(r){w: seven, x: 7}"),
        ..NOTHING
    },
    ..PAIR
};

const PAIR_PAIR: Pair = Pair {
    before: |n| [with_edges(n), vec![connect(n, "r", "u"), pair(n, true)]].concat(),
    here: |n| vec![pair(n, false), pair(n, true)],
    there: |n| vec![pair(n, false)],
    becomes: Expected {
        schema: "E(FROM T TO U, FROM U TO T); T(id STRING, w STRING, x INT64, KEY(id)); U(id STRING, KEY(id))",
        rows: "T(r){w: seven, x: 7} U(u){} U(v){} E: T(r)→U(u)",
        audit: "pair concurrent_schema_change: dropped < made",
        ..NOTHING
    },
    ..PAIR
};

fn pair(n: Round, is_added: bool) -> Statement {
    let (table, from, to) = (n.of("E"), n.of("U"), n.of("T"));
    if is_added { Statement::AddPair { table, from, to } } else { Statement::DropPair { table, from, to } }
}

const INDEX_DROP: Pair = Pair {
    here: |n| vec![index(n, "by_x", "x")],
    there: |n| vec![drop_column(n, "x")],
    restore: |n| vec![undrop_column(n, "x")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, KEY(id))",
        rows: "T(r){w: seven}",
        restored: Some("T(r){w: seven, x: 7}"),
        ..NOTHING
    },
    ..PAIR
};

const INDEX_INDEX: Pair = Pair {
    here: |n| vec![index(n, "by_x", "x")],
    there: |n| vec![index(n, "on_x", "x")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, x INT64, KEY(id)) INDEX on_x",
        rows: "T(r){w: seven, x: 7}",
        audit: "index concurrent_schema_change: by_x < on_x",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, w STRING, x INT64, KEY(id)) INDEX by_x",
        rows: "T(r){w: seven, x: 7}",
        audit: "index concurrent_schema_change: on_x < by_x",
        ..NOTHING
    }),
    ..PAIR
};

const COMMENT_COMMENT: Pair = Pair {
    here: |n| vec![comment(n, "here")],
    there: |n| vec![comment(n, "there")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, x INT64, KEY(id)) \"there\"",
        rows: "T(r){w: seven, x: 7}",
        audit: "table concurrent_schema_change: here < there",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, w STRING, x INT64, KEY(id)) \"here\"",
        rows: "T(r){w: seven, x: 7}",
        audit: "table concurrent_schema_change: there < here",
        ..NOTHING
    }),
    ..PAIR
};

const POLICY_POLICY: Pair = Pair {
    here: |n| vec![crate::sample::set_policy(&n.of("T"), Policy::LastWriteWins)],
    there: |n| vec![crate::sample::set_policy(&n.of("T"), Policy::Auto)],
    becomes: Expected {
        schema: "T(id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){w: seven, x: 7}",
        audit: "table concurrent_schema_change: last_write_wins < auto",
        ..NOTHING
    },
    here_wins: Some(Expected {
        schema: "T(id STRING, w STRING, x INT64, KEY(id)) last_write_wins",
        rows: "T(r){w: seven, x: 7}",
        audit: "table concurrent_schema_change: auto < last_write_wins",
        ..NOTHING
    }),
    ..PAIR
};

const DROP_TABLE_WRITE: Pair = Pair {
    here: |n| vec![drop_table(n, "T")],
    there: |n| vec![set(n, "T", "r", "x", 8), insert(n, "T", "s", &[("w", "new".into())])],
    restore: |n| vec![undrop(n, "T")],
    becomes: Expected {
        audit: "row concurrent_drop; w concurrent_drop; x concurrent_drop",
        restored: Some("T(r){w: seven, x: 8} T(s){w: new}"),
        ..NOTHING
    },
    ..PAIR
};

const DROP_COLUMN_WRITE: Pair = Pair {
    here: |n| vec![drop_column(n, "x")],
    there: |n| vec![set(n, "T", "r", "x", 8), set(n, "T", "r", "w", "eight")],
    restore: |n| vec![undrop_column(n, "x")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, KEY(id))",
        rows: "T(r){w: eight}",
        audit: "x concurrent_drop",
        restored: Some("T(r){w: eight, x: 8}"),
    },
    ..PAIR
};

const RENAME_WRITE: Pair = Pair {
    here: |n| {
        vec![rename(n, "T", "X"), Statement::RenameColumn { table: n.of("X"), column: "w".into(), to: "v".into() }]
    },
    there: |n| vec![set(n, "T", "r", "w", "eight"), insert(n, "T", "s", &[("w", "new".into())])],
    becomes: Expected {
        schema: "X(id STRING, v STRING, x INT64, KEY(id))",
        rows: "X(r){v: eight, x: 7} X(s){v: new}",
        ..NOTHING
    },
    ..PAIR
};

const ADD_DEFAULT_INSERT: Pair = Pair {
    here: |n| {
        let column = Column { default: Some(Value::from(0)), ..Column::new("c", Type::Int64) };
        vec![Statement::AddColumn { table: n.of("T"), column }, set(n, "T", "r", "c", Value::Null)]
    },
    there: |n| vec![insert(n, "T", "s", &[])],
    becomes: Expected {
        schema: "T(c INT64, id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){w: seven, x: 7} T(s){c: 0}",
        ..NOTHING
    },
    ..PAIR
};

const ALTER_WRITE: Pair = Pair {
    here: |n| vec![retype(n, "x", Type::Int8)],
    there: |n| vec![set(n, "T", "r", "x", 8), insert(n, "T", "s", &[("x", 1_000.into())])],
    restore: |n| vec![retype(n, "x", Type::Int64)],
    becomes: Expected {
        schema: "T(id STRING, w STRING, x INT8, KEY(id))",
        rows: "T(r){w: seven, x: 8} T(s){}",
        audit: "x failed_cast",
        restored: Some("T(r){w: seven, x: 8} T(s){x: 1000}"),
    },
    ..PAIR
};

const COUNTER_SET: Pair = Pair {
    here: |n| {
        let (table, key, column) = (n.of("T"), "r".into(), "x".into());
        vec![Statement::IncrementNode { table, key, column, by: 5.into() }]
    },
    there: |n| vec![set(n, "T", "r", "x", 100)],
    becomes: Expected { schema: "T(id STRING, w STRING, x INT64, KEY(id))", rows: "T(r){w: seven, x: 105}", ..NOTHING },
    ..PAIR
};

const DROP_NODE_EDGE: Pair = Pair {
    before: with_edges,
    here: |n| vec![drop_table(n, "U")],
    there: |n| vec![connect(n, "r", "v")],
    restore: |n| vec![undrop(n, "U"), undrop(n, "E")],
    becomes: Expected {
        schema: "T(id STRING, w STRING, x INT64, KEY(id))",
        rows: "T(r){w: seven, x: 7}",
        audit: "row concurrent_drop",
        restored: Some("T(r){w: seven, x: 7} U(u){} U(v){} E: T(r)→U(v)"),
    },
    ..PAIR
};

const DELETE_NODE_EDGE: Pair = Pair {
    before: with_edges,
    here: |n| vec![Statement::DeleteNode { table: n.of("U"), key: "v".into() }],
    there: |n| vec![connect(n, "r", "v")],
    restore: |n| vec![insert(n, "U", "v", &[])],
    becomes: Expected {
        schema: "E(FROM T TO U); T(id STRING, w STRING, x INT64, KEY(id)); U(id STRING, KEY(id))",
        rows: "T(r){w: seven, x: 7} U(u){}",
        restored: Some("T(r){w: seven, x: 7} U(u){} U(v){} E: T(r)→U(v)"),
        ..NOTHING
    },
    ..PAIR
};

// ---- the rounds ----

const HERE: u32 = 0;
const THERE: u32 = 1;

/// What was found in a round.
struct Found {
    is_there_later: bool,
    are_equal: bool,
    schema: String,
    rows: String,
    audit: String,
    restored: String,
}

async fn meet(cluster: &mut Cluster, pair: &Pair) {
    let mut rounds = Vec::new();
    for (number, (is_there_later, first)) in (1..).zip([(true, HERE), (true, THERE), (false, HERE), (false, THERE)]) {
        rounds.push(round(cluster, pair, Round(number), is_there_later, first).await);
    }
    let expected = |found: &Found| match &pair.here_wins {
        Some(here_wins) if !found.is_there_later => here_wins,
        _ => &pair.becomes,
    };
    let mut check = |clause: &str, told: &dyn Fn(&Found) -> (String, String)| {
        let told: Vec<(String, String)> = rounds.iter().map(told).collect();
        let wrong = told.iter().find(|(found, expected)| found != expected);
        let words = match wrong {
            Some((found, expected)) => format!("{found} instead of {expected}"),
            None => {
                let mut seen: Vec<&str> = told.iter().map(|(found, _)| found.as_str()).collect();
                seen.dedup();
                seen.join(" | ")
            }
        };
        cluster.check(clause, wrong.is_none() && told.len() == 4, words);
    };
    let equal =
        |are_equal: bool| if are_equal { "schema, graph and audit are equal" } else { "they differ" }.to_owned();
    check("every replica ends with one schema and graph, in every order", &|found| {
        (equal(found.are_equal), equal(true))
    });
    check("the schema is the documented one", &|found| (found.schema.clone(), expected(found).schema.to_owned()));
    check("the rows are the documented ones", &|found| (found.rows.clone(), expected(found).rows.to_owned()));
    check("the loser is recorded, and nobody else", &|found| (found.audit.clone(), expected(found).audit.to_owned()));
    check("no value is lost", &|found| {
        let Expected { rows, restored, .. } = expected(found);
        (found.restored.clone(), restored.unwrap_or(rows).to_owned())
    });
}

async fn round(cluster: &mut Cluster, pair: &Pair, n: Round, is_there_later: bool, first: u32) -> Found {
    let third = 2;
    let prepared = cluster.submit(third, (pair.before)(n)).await.is_ok();
    cluster.settle().await;
    for (one, other) in [(HERE, THERE), (HERE, third), (THERE, third)] {
        cluster.cut_link(one, other, 0);
    }
    let mut acts = [(HERE, (pair.here)(n)), (THERE, (pair.there)(n))];
    if !is_there_later {
        acts.reverse();
    }
    let mut accepted = prepared;
    for (host, statements) in acts {
        cluster.wait(1_000).await;
        accepted &= cluster.submit(host, statements).await.is_ok();
    }
    // The third hears of one of them, and a good while later of the other.
    cluster.heal();
    cluster.isolate(if first == HERE { THERE } else { HERE });
    cluster.wait(5_000).await;
    cluster.heal();
    let replicas = cluster.settle().await;
    let are_equal = accepted && replicas.len() == 3 && replicas.windows(2).all(|pair| agree(&pair[0], &pair[1]));
    let (schema, rows) = (schema(cluster, n), rows(replicas.first(), n));
    let audit = replicas.first().map_or(String::new(), |state| audit(state, cluster, n));
    let restore = (pair.restore)(n);
    if !restore.is_empty() {
        // Some of it may be there already.
        for statement in restore {
            drop(cluster.submit(third, vec![statement]).await);
        }
    }
    let replicas = cluster.settle().await;
    let restored = self::rows(replicas.first(), n);
    Found { is_there_later, are_equal, schema, rows, audit, restored }
}

fn agree(one: &ReplicaState, other: &ReplicaState) -> bool {
    let schema = |state: &ReplicaState| (state.schema_operations, state.schema_digest);
    let stores_agree = |state: &ReplicaState| state.stores.values().all(|view| *view == state.view);
    schema(one) == schema(other)
        && one.view.digest() == other.view.digest()
        && (&one.audit, &one.schema_audit) == (&other.audit, &other.schema_audit)
        && stores_agree(one)
        && stores_agree(other)
}

// ---- in words ----

/// Without the number of the round, and without the identities in contested names.
fn plain(text: &str, n: Round) -> String {
    let mut plain = String::new();
    let mut rest = text.replace(&n.suffix(), "");
    while let Some(at) = rest.find('~') {
        plain.push_str(&rest[..=at]);
        rest = rest[at + 1..].trim_start_matches(|c: char| c.is_ascii_hexdigit()).to_owned();
    }
    plain + &rest
}

/// The round's tables with their indexes, comments and policies.
fn schema(cluster: &Cluster, n: Round) -> String {
    let told = each(cluster, |host| {
        cluster.ask(host, |replica| {
            let schema = replica.schema();
            let mut tables: BTreeMap<String, String> = BTreeMap::new();
            for (id, shown) in schema.shown_tables() {
                let Some(state) = schema.table(id).filter(|_| shown.name.contains(&n.suffix())) else { continue };
                let mut words = format!("{}{}", shown.name, described(&shown.table));
                state.indexes().for_each(|(_, index)| words.push_str(&format!(" INDEX {}", index.name())));
                state.comment().into_iter().for_each(|comment| words.push_str(&format!(" {comment:?}")));
                if state.policy() != Policy::Auto {
                    words.push_str(&format!(" {}", state.policy().name()));
                }
                tables.insert(shown.name, words);
            }
            tables.into_values().collect::<Vec<_>>().join("; ")
        })
    });
    plain(&told.into_iter().next().flatten().unwrap_or_default(), n)
}

fn described(table: &Table) -> String {
    table.describe().replace("PRIMARY KEY", "KEY")
}

fn rows(state: Option<&ReplicaState>, n: Round) -> String {
    let Some(state) = state else { return "no replica".to_owned() };
    let is_here = |name: &String| name.contains(&n.suffix());
    let nodes = state
        .view
        .nodes
        .iter()
        .filter(|(table, _)| is_here(table))
        .flat_map(|(table, rows)| rows.iter().map(move |(key, row)| format!("{table}({}){}", key, row.describe())));
    let edges = state
        .view
        .edges
        .iter()
        .filter(|(table, _)| is_here(table))
        .flat_map(|(table, rows)| rows.keys().map(move |edge| format!("{table}: {}", edge.describe())));
    plain(&nodes.chain(edges).collect::<Vec<_>>().join(" ").replace('"', ""), n)
}

/// What the audit says of the round's tables.
fn audit(state: &ReplicaState, cluster: &Cluster, n: Round) -> String {
    cluster
        .ask(state.host, |replica| {
            let schema = replica.schema();
            let is_here = |table| schema.shown_name(table).contains(&n.suffix());
            let column = |table, column| {
                let table = schema.table(table);
                table.and_then(|table| table.column(column)).map_or("?".to_owned(), |column| column.name().to_owned())
            };
            let of_rows = |loss: &Loss| {
                let table = loss.register.element.table();
                let of = loss.register.column.map_or("row".to_owned(), |id| column(table, id));
                format!("{of} {}", loss.conflict.name())
            };
            let of_schema = |loss: &SchemaLoss| {
                let of = match loss.register.subject {
                    Subject::Table => "table".to_owned(),
                    Subject::Column(id) => column(loss.register.table, id),
                    Subject::Index(_) => "index".to_owned(),
                    Subject::Pair(..) => "pair".to_owned(),
                };
                let (lost, won) = (claimed(&loss.loser.claim), claimed(&loss.winner.claim));
                format!("{of} {}: {lost} < {won}", loss.conflict.name())
            };
            let rows = state.audit.iter().filter(|loss| is_here(loss.register.element.table())).map(of_rows);
            let claims = state.schema_audit.iter().filter(|loss| is_here(loss.register.table)).map(of_schema);
            let mut all: Vec<String> = rows.chain(claims).map(|told| plain(&told, n)).collect();
            all.sort();
            all.join("; ")
        })
        .unwrap_or_default()
}

fn claimed(claim: &Claim) -> String {
    match claim {
        Claim::Made => "made".to_owned(),
        Claim::Dropped => "dropped".to_owned(),
        Claim::Name(name) | Claim::Comment(name) => name.clone(),
        Claim::Type(claimed) => claimed.to_string(),
        Claim::Default(value) => value.to_string(),
        Claim::Policy(policy) => policy.name().to_owned(),
        Claim::Flag(is_on) => is_on.to_string(),
        Claim::Multiplicity(multiplicity) => multiplicity.name().to_owned(),
        Claim::Bound(bound) => bound.map_or("no bound".to_owned(), |bound| bound.to_string()),
    }
}
