//! Sweeps and documented cases as Markdown, for a pull request or the summary of a pipeline's step.

use std::fmt::Write as _;

use crate::conformance::{CaseReport, Conformance, Verdict};
use crate::runs::Header;
use crate::sweep::Report;
use crate::text::plural;

/// Signatures shown; the others are counted.
const SIGNATURES_MAX: usize = 10;

/// A sweep: the verdict, the numbers as a table, failures by signature with the command that makes the first again.
#[must_use]
pub fn sweep(header: &Header, report: &Report, conformance: Option<&Conformance>) -> String {
    let failed = report.failures.len();
    let is_good = failed == 0 && report.cases.failed == 0 && report.missing_shards.is_empty();
    let mark = if is_good { "✅" } else { "❌" };
    let mut page =
        format!("### {mark} kuzusync sweep: {} of {} passed\n\n", report.passed, plural(report.seeds, "seed"));
    let _ = writeln!(page, "| | |\n|---|---|");
    let mut row = |name: &str, value: String| {
        let _ = writeln!(page, "| {name} | {} |", cell(&value));
    };
    let (start, end) = header.seeds;
    let store = header.store.map_or("memory, and every 50th seed on both".to_owned(), |store| store.to_string());
    row("seeds", format!("{start}..{end}, profile {}, store {store}", header.profile));
    if report.cases.passed + report.cases.failed > 0 {
        row("documented cases", format!("{} passed, {} failed", report.cases.passed, report.cases.failed));
    }
    let determinism = report.determinism;
    row("run twice", format!("{}, {} differ", plural(determinism.checked, "seed"), determinism.mismatches));
    let reached = report.sometimes.values().filter(|count| **count > 0).count();
    row("situations reached", format!("{reached} of {}", report.sometimes.len()));
    let never: Vec<&str> =
        report.sometimes.iter().filter(|(_, count)| **count == 0).map(|(name, _)| name.as_str()).collect();
    if !never.is_empty() {
        row("never reached", never.join(", "));
    }
    row("faults fired", report.faults.values().sum::<u64>().to_string());
    row("speed", format!("{:.0} seeds a second", report.seeds_per_second));
    row("results digest", format!("`{}`", report.results_digest));
    row("build", format!("commit `{}`, lock file `{}`", header.commit, header.lock));
    if !report.missing_shards.is_empty() {
        row("**missing shards**", format!("{}: nothing is known of their seeds", report.missing_shards.join(", ")));
    }
    let signatures = report.signatures();
    for (signature, failures) in signatures.iter().take(SIGNATURES_MAX) {
        let _ = writeln!(page, "\n**{}**: `{}`\n", plural(failures.len(), "failure"), signature.replace('`', "'"));
        let _ = writeln!(page, "```sh\n{}\n```", failures[0].replay);
    }
    if signatures.len() > SIGNATURES_MAX {
        let _ = writeln!(page, "\nand {}", plural(signatures.len() - SIGNATURES_MAX, "other signature"));
    }
    if let Some(conformance) = conformance.filter(|conformance| conformance.has_failures()) {
        let _ = writeln!(page, "\n{}", table(conformance.cases.iter().filter(|case| case.verdict == Verdict::Fail)));
    }
    page
}

/// The documented cases as a table, with how many stand how.
#[must_use]
pub fn cases(conformance: &Conformance) -> String {
    let counted = Verdict::ALL.map(|verdict| format!("{} {}", conformance.count(verdict), verdict.name()));
    let mark = if conformance.has_failures() { "❌" } else { "✅" };
    let cases = plural(conformance.cases.len(), "documented case");
    format!("### {mark} {cases}: {}\n\n{}", counted.join(", "), table(conformance.cases.iter()))
}

fn table<'a>(cases: impl Iterator<Item = &'a CaseReport>) -> String {
    let mut page = "| case | document | verdict | requirement | shown by |\n|---|---|---|---|---|\n".to_owned();
    for case in cases {
        let shown = match (&case.reason, &case.measured) {
            (Some(reason), _) => reason.clone(),
            (None, Some(measured)) => {
                format!("{measured}; limit {}", case.limit.as_deref().unwrap_or_default())
            }
            (None, None) if case.scenarios.is_empty() => {
                format!("what is written of runs on {}", case.stores.join(" and "))
            }
            (None, None) => format!("{} on {}", case.scenarios.join(", "), case.stores.join(" and ")),
        };
        let (id, document, verdict) = (case.id, case.document, case.verdict.name());
        let (requirement, shown) = (cell(case.case.requirement()), cell(&shown));
        let shown = if case.verdict == Verdict::Later { String::new() } else { shown };
        let _ = writeln!(page, "| {id} | {document} | {verdict} | {requirement} | {shown} |");
    }
    page
}

/// A text as a cell of a table: on one line, and without what ends a cell or begins an element.
pub(crate) fn cell(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_its_table_whole() {
        assert_eq!(cell("a|b\n<img>"), "a\\|b &lt;img>");
    }

    #[test]
    fn every_case_is_a_row() {
        let conformance = crate::conformance::judge(kuzusync_scenarios::case::Case::ALL, &[], |_| Vec::new());
        let page = cases(&conformance);
        let rows = page.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(rows, conformance.cases.len() + 1, "with the heading");
        assert!(page.starts_with("### ✅ "), "{page}");
    }
}
