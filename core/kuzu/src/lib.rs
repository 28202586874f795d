//! The graph store on real Kùzu 0.11.3: a database, in memory or on disk, that holds one replica's view.
//!
//! The change log is the truth and this store a view of it. The store never asks Kùzu for permission: it keeps its own
//! catalogue of tables and keys and refuses there what a database would refuse, because what Kùzu 0.11.3 does badly is
//! failing. A rolled-back `SET` is a use-after-free, a rolled-back `ALTER` leaves its column behind, and a statement that
//! fails rolls back implicitly. So there is no transaction of ours, only single statements that commit themselves, and
//! after any error the store is in doubt: it says so until [`rebuild`] has thrown the database away.
//!
//! Some of what it does steps around a defect, each told where it is met: versions of updated rows that fill the pool
//! (`store`), a pair that cannot be added (`catalogue`), names that cannot be asked about (`reading`), parameters that
//! are remembered (`engine`), lists that are slower than single rows (`store`).
//!
//! No index is built yet, not even of words in texts: it is agreed on by the replicas, adopted where it is found, and shown as
//! recorded, not materialised. Kùzu's full-text extension is linked into the bundled build and needs neither network nor
//! loading. Tried on 0.11.3, in memory and on disk: `CREATE_FTS_INDEX` works, and the index follows inserts, updates, deletes
//! and renames of its table and column; while it stands, dropping either is refused, so it has to be dropped first and made
//! anew. By its source one is made by a dozen statements, of which `COPY` cannot be in one transaction with others: one that
//! fails leaves tables behind, which the rebuild after any error would clear away. On disk making one writes a checkpoint,
//! which this store never does (`store` says why).
//!
//! | file | holds |
//! |---|---|
//! | `store` | `KuzuStore`: the order of things, batches, doubt |
//! | `catalogue` | what exists, how each step of the schema is carried out, and every refusal that does not need Kùzu |
//! | `statement` | the text of every statement, and quoting |
//! | `engine` | the database, its connection and the prepared statements |
//! | `directory` | the folder of a database on disk |
//! | [`adopt`] | a database that was in use before, read from its own catalogue |
//! | `reading` | the view, read back from Kùzu alone |
//! | `value` | values and types, there and back |
//! | [`fidelity`] | what Kùzu cannot give back, and what is held instead |
//!
//! [`rebuild`]: kuzusync_core::store::GraphStore::rebuild

#[cfg(feature = "kuzu")]
pub mod adopt;
#[cfg(feature = "kuzu")]
mod catalogue;
#[cfg(feature = "kuzu")]
mod directory;
#[cfg(feature = "kuzu")]
mod engine;
#[cfg(feature = "kuzu")]
pub mod fidelity;
#[cfg(feature = "kuzu")]
mod reading;
#[cfg(feature = "kuzu")]
mod statement;
#[cfg(feature = "kuzu")]
mod store;
#[cfg(feature = "kuzu")]
mod value;

#[cfg(feature = "kuzu")]
pub use store::KuzuStore;
