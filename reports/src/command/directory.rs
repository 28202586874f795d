//! The directory a sweep leaves behind: `sweep.json`, `cases/seed-N.json` for every failure, `junit.xml`.
//!
//! Whether it can be written is found out before the first run. Every file is written beside its place and then renamed,
//! so no reader ever sees half of one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::Stop;
use crate::conformance::{Conformance, Verdict};
use crate::sweep::{FailureReport, Report};

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
        self.path.join("cases").join(format!("{name}.json"))
    }

    /// Writes the report of a sweep.
    pub fn write_report(&self, report: &Report, conformance: Option<&Conformance>) -> Result<(), Stop> {
        write_json(&self.path.join("sweep.json"), report)?;
        write(&self.path.join("junit.xml"), &junit(report, conformance))
    }
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

/// The sweep for continuous integration: a test per documented case, one per failed seed, one for all other seeds.
fn junit(report: &Report, conformance: Option<&Conformance>) -> String {
    let mut junit = Junit::new("kuzusync sweep");
    if let Some(conformance) = conformance {
        let mut suite = TestSuite::new("documented cases");
        suite.add_test_cases(conformance.cases.iter().filter(|case| !case.stores.is_empty()).map(|case| {
            let failed = (case.verdict == Verdict::Fail).then(|| case.reason.clone().unwrap_or_default());
            test(case.id, failed)
        }));
        junit.add_test_suite(suite);
    }
    let mut suite = TestSuite::new("generated seeds");
    suite.add_test_case(test(&format!("{} seeds without a failure", report.passed), None));
    suite.add_test_cases(report.failures.iter().map(seed_test));
    junit.add_test_suite(suite);
    junit.to_string().expect("a report without control characters is valid XML")
}

fn seed_test(failure: &FailureReport) -> TestCase {
    let FailureReport { seed, signature, replay, .. } = failure;
    test(&format!("seed {seed}"), Some(format!("{signature}; replay with: {replay}")))
}

fn test(name: &str, failure: Option<String>) -> TestCase {
    let status = match failure {
        None => TestCaseStatus::success(),
        Some(message) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(message);
            status
        }
    };
    TestCase::new(name, status)
}
