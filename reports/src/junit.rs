//! Sweeps and documented cases as JUnit, the format in which pipelines take test results.

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use crate::conformance::{CaseReport, Conformance, Verdict};
use crate::sweep::{FailureReport, Report};

/// A sweep: a test per documented case that was run, one per failed seed, one for all other seeds, and one for each shard
/// that is missing.
#[must_use]
pub fn sweep(report: &Report, conformance: Option<&Conformance>) -> String {
    let mut junit = Junit::new("kuzusync sweep");
    if let Some(conformance) = conformance {
        let mut suite = TestSuite::new("documented cases");
        // What was run on fewer stores than the case asks for is missing, and no failure of this sweep.
        suite.add_test_cases(conformance.ran().map(|case| match case.verdict {
            Verdict::Missing => described(passed(case.id), case),
            _ => case_test(case, case.verdict == Verdict::Fail),
        }));
        junit.add_test_suite(suite);
    }
    let mut suite = TestSuite::new("generated seeds");
    suite.add_test_case(passed(&format!("{} seeds without a failure", report.passed)));
    suite.add_test_cases(report.failures.iter().map(seed_test));
    let missing = |shard: &String| {
        problem(
            &format!("shard {shard}"),
            NonSuccessKind::Error,
            "missing",
            "the shard is missing: nothing is known of its seeds",
        )
    };
    suite.add_test_cases(report.missing_shards.iter().map(missing));
    junit.add_test_suite(suite);
    text(&junit)
}

/// The documented cases: a suite per document and a test per case. What belongs to a later product is skipped; what is
/// missing is skipped too, unless `asked` says that it was asked for by name.
#[must_use]
pub fn cases(conformance: &Conformance, asked: bool) -> String {
    let mut junit = Junit::new("kuzusync conformance");
    let mut suites: Vec<TestSuite> = Vec::new();
    for case in &conformance.cases {
        let is_failed = case.verdict == Verdict::Fail || (asked && case.verdict == Verdict::Missing);
        if suites.last().is_none_or(|suite| suite.name.as_str() != case.document) {
            suites.push(TestSuite::new(case.document));
        }
        if let Some(suite) = suites.last_mut() {
            suite.add_test_case(case_test(case, is_failed));
        }
    }
    junit.add_test_suites(suites);
    text(&junit)
}

/// A gate: a test per thing it asks for, each with why it does not hold.
#[must_use]
pub fn gate(parts: &[(String, Option<String>)]) -> String {
    let mut junit = Junit::new("kuzusync gate");
    let mut suite = TestSuite::new("gate");
    suite.add_test_cases(parts.iter().map(|(name, why)| match why {
        None => passed(name),
        Some(why) => problem(name, NonSuccessKind::Failure, "gate", why),
    }));
    junit.add_test_suite(suite);
    text(&junit)
}

/// Valid against the schema that most readers share, `junit-10.xsd` of the xUnit plugin for Jenkins. It has no count of what
/// is skipped in all suites, only in each.
fn text(junit: &Junit) -> String {
    let text =
        junit.to_string().expect("a report is written to memory, and characters that XML does not know are left out");
    text.replacen(&format!(" skipped=\"{}\"", junit.skipped), "", 1)
}

fn case_test(case: &CaseReport, is_failed: bool) -> TestCase {
    let test = match (case.verdict, &case.reason) {
        (verdict, reason) if is_failed => {
            problem(case.id, NonSuccessKind::Failure, verdict.name(), reason.as_deref().unwrap_or_default())
        }
        (Verdict::Pass | Verdict::Fail, _) => passed(case.id),
        (Verdict::Missing | Verdict::Later, reason) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.as_deref().unwrap_or("it belongs to a later product"));
            TestCase::new(case.id, status)
        }
    };
    described(test, case)
}

fn described(mut test: TestCase, case: &CaseReport) -> TestCase {
    test.set_classname(case.document);
    test.set_system_out(case.case.requirement());
    test
}

fn seed_test(failure: &FailureReport) -> TestCase {
    let FailureReport { seed, class, signature, replay, .. } = failure;
    let kind = if *class == "harness" { NonSuccessKind::Error } else { NonSuccessKind::Failure };
    problem(&format!("seed {seed}"), kind, class, &format!("{signature}; replay with: {replay}"))
}

fn passed(name: &str) -> TestCase {
    TestCase::new(name, TestCaseStatus::success())
}

fn problem(name: &str, kind: NonSuccessKind, what: &str, message: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status.set_type(what);
    TestCase::new(name, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::Results;
    use kuzusync_scenarios::case::Case;
    use kuzusync_sim::outcome::Failure;
    use kuzusync_sim::seed::Seed;

    fn conformance(cases: &[Case]) -> Conformance {
        crate::conformance::judge(cases, &[], |_| Vec::new())
    }

    #[test]
    fn what_a_sweep_finds_is_read_back_by_a_parser_with_the_counts_of_the_report() {
        let mut results = Results::default();
        for seed in 0..7 {
            results.rows.insert(Seed(seed), crate::sweep::Row::default());
        }
        let message = "a \u{1} control character, <tags> & \"quotes\"".to_owned();
        results.failures.insert(Seed(3), Failure::Crash { message });
        let mut report = results.report();
        report.missing_shards.push("2/4".into());
        let junit = Junit::deserialize_from_str(&sweep(&report, None)).expect("it is valid JUnit");
        assert_eq!((junit.tests, junit.failures, junit.errors), (3, 1, 1));
        let failed = &junit.test_suites[0].test_cases[1];
        assert_eq!(failed.name.as_str(), "seed 3");
        let TestCaseStatus::NonSuccess { message, ty, .. } = &failed.status else { panic!("seed 3 failed") };
        assert!(message.as_ref().is_some_and(|message| message.as_str().contains("<tags> & \"quotes\"")));
        assert_eq!(ty.as_ref().map(|kind| kind.as_str()), Some("crash"));
    }

    #[test]
    fn cases_are_suites_by_document_and_only_those_that_were_asked_for_must_be_there() {
        let conformance = conformance(&[Case::D1_1, Case::B10, Case::C10]);
        let read = |asked| Junit::deserialize_from_str(&cases(&conformance, asked)).expect("it is valid JUnit");
        let all = read(false);
        assert_eq!(all.test_suites.len(), 3);
        assert_eq!((all.tests, all.failures), (3, 0));
        assert_eq!(all.test_suites.iter().map(|suite| suite.skipped).sum::<usize>(), 3);
        let root = cases(&conformance, false).lines().nth(1).map(str::to_owned);
        assert_eq!(
            root.as_deref(),
            Some(r#"<testsuites name="kuzusync conformance" tests="3" failures="0" errors="0">"#)
        );
        assert_eq!(read(true).failures, 2, "what belongs to a later product is still skipped");
    }
}
