//! What GitHub shows of a job beside its log: annotations and the summary of a step.
//!
//! A job tells it by variables of the environment: `GITHUB_ACTIONS` is `true` in every one, `GITHUB_STEP_SUMMARY` names a
//! file that Markdown is added to. Elsewhere nothing happens. Annotations go to standard error, where GitHub reads them
//! too, because standard output may be JSON.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};

use super::Stop;
use crate::conformance::{Conformance, Verdict};
use crate::sweep::Report;
use crate::text::plural;

/// Annotations of one step that GitHub shows.
const ANNOTATIONS_MAX: usize = 10;

/// Tells of a sweep.
pub fn sweep(report: &Report, conformance: Option<&Conformance>, summary: &str) -> Result<(), Stop> {
    let signatures = report.signatures();
    let seeds = signatures.iter().map(|(signature, failures)| {
        let first = failures[0];
        let title = format!("{}: seed {}", plural(failures.len(), "failure"), first.seed);
        (title, format!("{signature}\n{}", first.replay))
    });
    let missing = report.missing_shards.iter();
    let missing =
        missing.map(|shard| (format!("shard {shard} is missing"), "nothing is known of its seeds".to_owned()));
    let cases = conformance.into_iter().flat_map(failed_cases);
    tell(cases.chain(missing).chain(seeds), summary)
}

/// Tells of documented cases.
pub fn cases(conformance: &Conformance, summary: &str) -> Result<(), Stop> {
    tell(failed_cases(conformance), summary)
}

fn failed_cases(conformance: &Conformance) -> impl Iterator<Item = (String, String)> + '_ {
    let failed = conformance.cases.iter().filter(|case| case.verdict == Verdict::Fail);
    failed.map(|case| (format!("{} fails", case.id), case.reason.clone().unwrap_or_default()))
}

/// Tells titles and messages, and adds to the step's summary.
pub fn tell(errors: impl Iterator<Item = (String, String)>, summary: &str) -> Result<(), Stop> {
    if env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true") {
        for (title, message) in errors.take(ANNOTATIONS_MAX) {
            // Without a reader there is nobody to tell.
            let _ = writeln!(io::stderr(), "{}", annotation(&title, &message));
        }
    }
    let Some(file) = env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) else {
        return Ok(());
    };
    let add = || OpenOptions::new().create(true).append(true).open(&file)?.write_all(format!("{summary}\n").as_bytes());
    add().map_err(|error| {
        let name = file.to_string_lossy();
        Stop::usage(format!(
            "`{name}`, which GITHUB_STEP_SUMMARY names, cannot be written: {error}; unset the variable"
        ))
    })
}

/// An error as GitHub takes it: one line, in which some characters are told by their numbers.
fn annotation(title: &str, message: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    format!("::error title={}::{}", property(title), data(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_one_line_whatever_it_says() {
        let line = annotation("1 failure: seed 7, again", "50 %\nreplay: it");
        assert_eq!(line, "::error title=1 failure%3A seed 7%2C again::50 %25%0Areplay: it");
    }
}
