//! Replicas in directories: what is applied, exchanged, left out, restored, and what survives a death.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod defects;
mod files;
mod imports;
mod restoring;
mod support;
