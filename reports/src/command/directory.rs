//! The directory a sweep leaves behind, with everything that is needed to tell of it, to put it together with others and
//! to make every failure again elsewhere:
//!
//! | file | holds |
//! |---|---|
//! | `sweep.json` | the report, as `sweep --json` prints it |
//! | `runs.ndjson` | every seed: see [`crate::runs`] |
//! | `cases/seed-N.json` | a failure, as `replay` takes it |
//! | `cases/seed-N-smallest.json` | the smallest plan that fails so, of the first of each signature |
//! | `junit.xml` | the same for continuous integration |
//! | `summary.md` | the same for a pull request |
//!
//! Whether it can be written is found out before the first run. Every file is written beside its place and then renamed,
//! so no reader ever sees half of one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use kuzusync_sim::seed::Seed;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::Stop;
use crate::conformance::Conformance;
use crate::runs::Runs;
use crate::sweep::Report;
use crate::{junit, markdown};

/// The file with every seed.
pub const RUNS: &str = "runs.ndjson";

/// A directory that can be written.
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes the directory, if it is not there, and makes sure that files can be made in it.
    pub fn open(path: &Path) -> Result<Self, Stop> {
        let cases = path.join("cases");
        let probe = fs::create_dir_all(&cases).and_then(|()| NamedTempFile::new_in(&cases).map(drop));
        probe.map_err(|error| unwritable(path, &error))?;
        NamedTempFile::new_in(path).map_err(|error| unwritable(path, &error))?;
        Ok(Directory { path: path.to_owned() })
    }

    /// The place of a stored case.
    pub fn case_file(&self, name: &str) -> PathBuf {
        case_file(&self.path, name)
    }

    /// Writes the report of a sweep, and its seeds.
    pub fn write_report(&self, runs: &Runs, report: &Report, conformance: Option<&Conformance>) -> Result<(), Stop> {
        write_json(&self.path.join("sweep.json"), report)?;
        write(&self.path.join("junit.xml"), &junit::sweep(report, conformance))?;
        write(&self.path.join("summary.md"), &markdown::sweep(&runs.header, report, conformance))?;
        write(&self.path.join(RUNS), &runs.to_ndjson())
    }
}

/// The place of a stored case below a directory that a sweep left behind.
pub fn case_file(directory: &Path, name: &str) -> PathBuf {
    directory.join("cases").join(format!("{name}.json"))
}

/// The name of a failed seed's case.
pub fn case_name(Seed(seed): Seed) -> String {
    format!("seed-{seed}")
}

/// The name of the case with the smallest plan that fails as a seed does.
pub fn smallest_name(Seed(seed): Seed) -> String {
    format!("seed-{seed}-smallest")
}

/// Makes sure that a file can be written.
pub fn probe(path: &Path) -> Result<(), Stop> {
    let probe = if is_special(path) { Ok(()) } else { NamedTempFile::new_in(parent(path)).map(drop) };
    probe.map_err(|error| unwritable(path, &error))
}

/// Writes a JSON file.
pub fn write_json<T: Serialize>(path: &Path, document: &T) -> Result<(), Stop> {
    let text = serde_json::to_string_pretty(document).expect("documents have text as keys");
    write(path, &(text + "\n"))
}

/// Writes a file as a whole or not at all.
pub fn write(path: &Path, text: &str) -> Result<(), Stop> {
    let write = || {
        if is_special(path) {
            return fs::write(path, text);
        }
        let mut file = NamedTempFile::new_in(parent(path))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        readable(file.path())?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|error| unwritable(path, &error))
}

/// The directory a file is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A pipe or a device takes what it gets and must not be replaced.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// A temporary file is its owner's alone; what a sweep leaves behind is not.
#[cfg(unix)]
fn readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Stop {
    Stop::usage(format!("`{}` cannot be written: {error}; choose another place", path.display()))
}
