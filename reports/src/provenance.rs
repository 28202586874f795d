//! Where a page comes from: which commit, which dependencies, and which command makes it again.
//!
//! A run is a function of the commit, the lock file and the seed, so every page names the first two and gives the
//! command for the third. Pages take it as an argument; a snapshot passes one that never changes.

use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

/// The dependencies this command was built with.
const LOCK_FILE: &[u8] = include_bytes!("../../Cargo.lock");

/// Hexadecimal digits of the lock file's hash that are shown.
const LOCK_DIGITS: usize = 12;

/// Where a page comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The commit, shortened; `unknown` outside of a clone.
    pub commit: String,
    /// The beginning of the SHA-256 of `Cargo.lock`, as `sha256sum` prints it.
    pub lock: String,
    /// The command that makes the run again.
    pub command: String,
}

impl Provenance {
    /// Of this build, for a page that `command` makes again.
    #[must_use]
    pub fn of_this_build(command: impl Into<String>) -> Self {
        Provenance { commit: commit(), lock: lock(), command: command.into() }
    }
}

/// The commit of the clone this command was built in, asked for when a page is made: building it in would mean to
/// build anew after every commit.
fn commit() -> String {
    let git = Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"]).output();
    let hash = git.ok().filter(|output| output.status.success());
    hash.map_or_else(|| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn lock() -> String {
    let digest = Sha256::digest(LOCK_FILE);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..LOCK_DIGITS].to_owned()
}

/// How this program is called from a clone of the repository.
#[must_use]
pub fn program() -> String {
    let features = if cfg!(feature = "kuzu") { "" } else { " --no-default-features" };
    let program = if cfg!(feature = "planted-bugs") { " --features planted-bugs --bin kuzusync-planted" } else { "" };
    format!("cargo run --release{features}{program} --")
}

/// A path as an argument of a shell command.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if text.chars().all(is_plain) && !text.is_empty() {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_when_a_shell_would_take_them_apart() {
        assert_eq!(quoted(Path::new("out/cases/seed-7.json")), "out/cases/seed-7.json");
        assert_eq!(quoted(Path::new("my file's.json")), r"'my file'\''s.json'");
    }

    #[test]
    fn the_lock_file_is_told_by_the_beginning_of_its_hash() {
        assert_eq!(lock().len(), LOCK_DIGITS);
    }
}
