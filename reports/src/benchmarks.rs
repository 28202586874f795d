//! Measurements that Criterion left behind, for the page: the median of each benchmark, how sure it is, and how cost grows
//! where the same was measured at several sizes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Benchmark {
    /// Its group and name.
    pub name: String,
    /// The median, in nanoseconds.
    pub median_ns: f64,
    /// Where the median lies with the confidence that Criterion was asked for, in nanoseconds.
    pub between_ns: (f64, f64),
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Every benchmark below a directory, by name.
///
/// # Errors
/// The file or directory that cannot be read.
pub fn read(directory: &Path) -> Result<Vec<Benchmark>, String> {
    let mut found = BTreeMap::new();
    collect(directory, directory, &mut found)?;
    Ok(found.into_values().collect())
}

fn collect(root: &Path, directory: &Path, found: &mut BTreeMap<String, Benchmark>) -> Result<(), String> {
    let unreadable =
        |path: &Path, error: &dyn std::fmt::Display| format!("`{}` cannot be read: {error}", path.display());
    let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| unreadable(directory, &error))?.path();
        if path.is_dir() {
            collect(root, &path, found)?;
        } else if path.ends_with("new/estimates.json") {
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
            let Estimates { median } = serde_json::from_str(&text).map_err(|error| unreadable(&path, &error))?;
            let place = directory.parent().and_then(|place| place.strip_prefix(root).ok());
            let name = place.map_or(String::new(), |place| place.display().to_string());
            let Interval { lower_bound, upper_bound } = median.confidence_interval;
            let between_ns = (lower_bound, upper_bound);
            found.insert(name.clone(), Benchmark { name, median_ns: median.point_estimate, between_ns });
        }
    }
    Ok(())
}

/// How the time of the same work grows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// What grows, as the group is called.
    pub group: String,
    /// What is done.
    pub name: String,
    /// Sizes with medians in nanoseconds, the smallest first.
    pub points: Vec<(u64, f64)>,
}

/// What groups of growth, whose names begin with that word, measured at two sizes or more.
#[must_use]
pub fn growths(benchmarks: &[Benchmark]) -> Vec<Growth> {
    let mut found: BTreeMap<(&str, &str), BTreeMap<u64, f64>> = BTreeMap::new();
    for benchmark in benchmarks.iter().filter(|benchmark| benchmark.name.starts_with("growth ")) {
        let mut parts = benchmark.name.rsplitn(3, '/');
        let (Some(size), Some(name), Some(group)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let Ok(size) = size.parse() else { continue };
        found.entry((group, name)).or_default().insert(size, benchmark.median_ns);
    }
    let growth = |((group, name), points): ((&str, &str), BTreeMap<u64, f64>)| Growth {
        group: group.to_owned(),
        name: name.to_owned(),
        points: points.into_iter().collect(),
    };
    found.into_iter().filter(|(_, points)| points.len() > 1).map(growth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_criterion_wrote_is_read_by_group_and_name() {
        let folder = tempfile::tempdir().expect("the system gives a folder");
        let new = folder.path().join("merge/engine/new");
        fs::create_dir_all(&new).expect("it can be written");
        let estimates = r#"{"median":{"confidence_interval":{"confidence_level":0.95,"lower_bound":1.0,"upper_bound":3.0},"point_estimate":2.0,"standard_error":0.1}}"#;
        fs::write(new.join("estimates.json"), estimates).expect("it can be written");
        let expected = Benchmark { name: "merge/engine".into(), median_ns: 2.0, between_ns: (1.0, 3.0) };
        assert_eq!(read(folder.path()), Ok(vec![expected]));
        fs::write(new.join("estimates.json"), "{").expect("it can be written");
        assert!(read(folder.path()).is_err_and(|error| error.contains("estimates.json")));
    }

    #[test]
    fn what_was_measured_at_several_sizes_grows_from_the_smallest_on() {
        let benchmark = |name: &str, median_ns| Benchmark { name: name.into(), median_ns, between_ns: (0.0, 0.0) };
        let measured = [
            benchmark("growth with the rows/100 conflicts/1000", 3.0),
            benchmark("growth with the rows/100 conflicts/30", 2.0),
            benchmark("growth with the rows/100 conflicts/report", 9.0),
            benchmark("growth with replicas/alone/10", 1.0),
            benchmark("merge/engine/1000", 5.0),
            benchmark("merge/engine/5000", 6.0),
        ];
        let (group, name) = ("growth with the rows".to_owned(), "100 conflicts".to_owned());
        assert_eq!(growths(&measured), [Growth { group, name, points: vec![(30, 2.0), (1_000, 3.0)] }]);
    }
}
