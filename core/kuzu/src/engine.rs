//! The database, its connection, and every statement prepared so far.
//!
//! Each `prepare` of Kùzu 0.11.3 leaks until the connection is dropped, so a text is prepared once. A statement keeps the
//! parameters of its last execution, and one that is missing silently takes the old value or NULL: callers pass all
//! of them, always. `PreparedStatement` is not `Send`, and so neither is the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kuzu::{Connection, Database, PreparedStatement, SystemConfig};
use kuzusync_core::store::StoreError;

use crate::statement::{MEMORY_USED, refused};

/// What a database may use before it fails. A node table takes 1 MiB of it; what is not used costs nothing.
pub(crate) const BUFFER_POOL_BYTES: u64 = 256 << 20;

/// The default reserves 8 TiB of address space, and the 16th database of a process fails. A power of two.
const DATABASE_BYTES_MAX: u64 = 1 << 30;

/// Keeps a database on disk as it is when it is closed.
const NO_CHECKPOINT_ON_CLOSE: &str = "CALL force_checkpoint_on_close = false";

/// Rows of values, as Kùzu returned them.
pub(crate) type Rows = Vec<Vec<kuzu::Value>>;

/// An open connection. Statements are dropped before the connection they were prepared on.
struct Session<'database> {
    statements: BTreeMap<String, PreparedStatement>,
    /// The texts of statements that came once.
    single: BTreeSet<String>,
    sent: u64,
    connection: Connection<'database>,
}

impl<'database> Session<'database> {
    fn open(database: &'database Database) -> Result<Self, kuzu::Error> {
        let connection = Connection::new(database)?;
        Ok(Session { statements: BTreeMap::new(), single: BTreeSet::new(), sent: 0, connection })
    }
}

self_cell::self_cell!(
    struct OpenDatabase {
        owner: Database,
        #[not_covariant]
        dependent: Session,
    }
);

/// What a database was asked.
pub(crate) struct EngineCounts {
    /// Statements that were sent.
    pub(crate) statements: u64,
    /// Statements that were prepared.
    pub(crate) prepared: u64,
}

/// A database with one connection.
pub(crate) struct Engine(OpenDatabase);

impl Engine {
    /// Opens an empty database in memory.
    pub(crate) fn in_memory() -> Result<Engine, StoreError> {
        let open = || Database::in_memory(config());
        Engine::open(open).map_err(|error| refused("open an in-memory database", error))
    }

    /// Opens the database in a file, or makes one there.
    ///
    /// Kùzu writes no checkpoint there, neither when its log is long nor when it is closed: see
    /// [`crate::store`]. So closing it leaves what a crash would leave.
    pub(crate) fn on_disk(file: &Path) -> Result<Engine, StoreError> {
        let open = || Database::new(file, config().auto_checkpoint(false));
        // A path would make two runs of one seed differ.
        let told = |error: kuzu::Error| error.to_string().replace(&file.display().to_string(), "its file");
        let mut engine = Engine::open(open).map_err(|error| refused("open a database on disk", told(error)))?;
        engine.query(NO_CHECKPOINT_ON_CLOSE)?;
        Ok(engine)
    }

    fn open(database: impl FnOnce() -> Result<Database, kuzu::Error>) -> Result<Engine, kuzu::Error> {
        Ok(Engine(OpenDatabase::try_new(database()?, |database| Session::open(database))?))
    }

    /// Runs a statement that will come again, with all its parameters.
    pub(crate) fn execute(&mut self, text: &str, parameters: Vec<(&str, kuzu::Value)>) -> Result<Rows, StoreError> {
        let run = |session: &mut Session<'_>| -> Result<Rows, kuzu::Error> {
            if !session.statements.contains_key(text) {
                let prepared = session.connection.prepare(text)?;
                session.statements.insert(text.to_owned(), prepared);
            }
            session.sent += 1;
            let statement = session.statements.get_mut(text).expect("it was prepared above");
            Ok(session.connection.execute(statement, parameters)?.collect())
        };
        self.0.with_dependent_mut(|_, session| run(session)).map_err(|error| refused(text, error))
    }

    /// Bytes of the pool in use.
    pub(crate) fn memory_used(&mut self) -> Result<u64, StoreError> {
        let answer = self.execute(MEMORY_USED, Vec::new())?;
        match answer.first().map(Vec::as_slice) {
            Some([kuzu::Value::UInt64(bytes)]) => Ok(*bytes),
            _ => Err(refused(MEMORY_USED, format!("not a number of bytes: {answer:?}"))),
        }
    }

    /// Runs a statement that comes once.
    pub(crate) fn query(&mut self, text: &str) -> Result<Rows, StoreError> {
        let run = |session: &mut Session<'_>| -> Result<Rows, kuzu::Error> {
            session.single.insert(text.to_owned());
            session.sent += 1;
            Ok(session.connection.query(text)?.collect())
        };
        self.0.with_dependent_mut(|_, session| run(session)).map_err(|error| refused(text, error))
    }

    /// What it was asked so far.
    pub(crate) fn counts(&self) -> EngineCounts {
        let prepared = |session: &Session<'_>| session.statements.len() as u64;
        self.0.with_dependent(|_, session| EngineCounts { statements: session.sent, prepared: prepared(session) })
    }

    /// Every text that was sent, once.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.with_dependent(|_, session| session.statements.keys().chain(&session.single).cloned().collect())
    }

    /// The names of the columns that a statement returns.
    pub(crate) fn header(&mut self, text: &str) -> Result<Vec<String>, StoreError> {
        let header = |session: &mut Session<'_>| -> Result<Vec<String>, kuzu::Error> {
            session.single.insert(text.to_owned());
            Ok(session.connection.query(text)?.get_column_names())
        };
        self.0.with_dependent_mut(|_, session| header(session)).map_err(|error| refused(text, error))
    }
}

fn config() -> SystemConfig {
    SystemConfig::default().buffer_pool_size(BUFFER_POOL_BYTES).max_num_threads(1).max_db_size(DATABASE_BYTES_MAX)
}
