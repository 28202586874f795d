//! Which seeds: `--seeds A..B`, half-open, or `--count N`, which is `0..N`.

use std::ops::Range;

use clap::Args;

use super::Stop;

/// The two ways to say it.
#[derive(Clone, Debug, Args)]
pub struct SeedArguments {
    /// The seeds from A to B, without B
    #[arg(long, value_name = "A..B", value_parser = range, conflicts_with = "count")]
    seeds: Option<Range<u64>>,
    /// The seeds from 0 to N, without N
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

impl SeedArguments {
    /// The seeds asked for, else those from 0 to `otherwise`.
    pub fn range(&self, otherwise: u64) -> Result<Range<u64>, Stop> {
        match (&self.seeds, self.count) {
            (_, Some(0)) => Err(Stop::usage("`--count 0` runs no seed; use `--count 1` or more")),
            (Some(seeds), _) => Ok(seeds.clone()),
            (None, count) => Ok(0..count.unwrap_or(otherwise)),
        }
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let form = || "write two whole numbers as A..B, for example 0..2000".to_owned();
    let (start, end) = text.split_once("..").ok_or_else(form)?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| form());
    let (start, end) = (number(start)?, number(end)?);
    if start == end {
        return Err(format!(
            "the range is empty, its end is not part of it; {start}..{} is one seed",
            start.saturating_add(1)
        ));
    }
    if start > end {
        return Err(format!("the range is reversed; write {end}..{start}"));
    }
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_half_open_and_not_empty() {
        assert_eq!(range("3..9"), Ok(3..9));
        assert!(range("9..3").unwrap_err().contains("reversed; write 3..9"));
        assert!(range("4..4").unwrap_err().contains("4..5 is one seed"));
        for bad in ["", "5", "..", "1..", "a..b", "-1..4", "1..=4"] {
            assert!(range(bad).unwrap_err().contains("A..B"), "{bad}");
        }
    }
}
