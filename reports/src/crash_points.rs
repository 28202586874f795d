//! The table of interrupted transactions: a line for who dies and when it starts again, and how the runs ended.

use kuzusync_scenarios::crash_points::Row;

use crate::text;

/// The page.
#[must_use]
pub fn page(rows: &[Row]) -> String {
    let mut lines = vec![
        "A transaction of three replicas, interrupted between any two outputs of the replicas that die.".to_owned(),
        "Replica 1 coordinates. They start again before or after the lease of the others ends.".to_owned(),
        String::new(),
        format!(
            "{:<8} {:<24} {:<8} {:>6} {:>10} {:>12} {:>12} {:>7}",
            "main", "dies", "restart", "runs", "committed", "rolled_back", "never began", "wrong"
        ),
    ];
    for row in rows {
        let name = |host: &u32| match host {
            1 => "coordinator".to_owned(),
            0 if row.has_main => "main".to_owned(),
            host => format!("participant {host}"),
        };
        let dying = row.dying.iter().map(name).collect::<Vec<_>>().join(", ");
        let has_main = if row.has_main { "with" } else { "without" };
        lines.push(format!(
            "{has_main:<8} {dying:<24} {:<8} {:>6} {:>10} {:>12} {:>12} {:>7}",
            row.restart.name(),
            row.runs,
            row.committed,
            row.rolled_back,
            row.never_began,
            u32::from(row.failure.is_some()),
        ));
    }
    let runs: u32 = rows.iter().map(|row| row.runs).sum();
    lines.push(String::new());
    let wrong = rows.iter().filter_map(|row| row.failure.as_deref()).collect::<Vec<_>>();
    lines.push(match wrong.as_slice() {
        [] => format!(
            "{}: one decision in each, and no checker found anything wrong.",
            text::plural(runs as usize, "run")
        ),
        [first, ..] => format!("wrong: {first}"),
    });
    lines.join("\n") + "\n"
}
