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
//! Full-text indexes are built in memory and followed; everything else that is agreed on and that Kùzu cannot be trusted
//! with, on disk every index, is recorded, not materialised (`text_index` says why).
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
//! | `text_index` | full-text indexes: which stand, and which Kùzu cannot be trusted with |
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
mod text_index;
#[cfg(feature = "kuzu")]
mod value;

#[cfg(feature = "kuzu")]
pub use store::KuzuStore;
