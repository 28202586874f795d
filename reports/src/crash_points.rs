//! The table of interrupted transactions: a line for who dies and when it starts again, and how the runs ended.

use kuzusync_scenarios::crash_points::Row;

use crate::text;

/// The page.
#[must_use]
pub fn page(rows: &[Row]) -> String {
    let mut lines = vec![
        "A transaction of three replicas, interrupted between any two outputs of the replicas that die.".to_owned(),
        "Replica 1 coordinates, or the main. They start again before or after the others' lease ends.".to_owned(),
        "Who stands there twice has started before that, and dies again between any two outputs.".to_owned(),
        String::new(),
        format!(
            "{:<11} {:<28} {:<7} {:>5} {:>9} {:>11} {:>11} {:>5}",
            "main", "dies", "restart", "runs", "committed", "rolled_back", "never began", "wrong"
        ),
    ];
    for row in rows {
        let dying = row.dying.iter().map(|host| row.cluster.name(*host)).collect::<Vec<_>>().join(", ");
        let has_main = match (row.cluster.has_main, row.cluster.coordinator) {
            (false, _) => "without",
            (true, 0) => "coordinates",
            (true, _) => "with",
        };
        lines.push(format!(
            "{has_main:<11} {dying:<28} {:<7} {:>5} {:>9} {:>11} {:>11} {:>5}",
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
