//! A sweep beside an earlier one: what became slower to reach, whether runs became slower, and which failures are new.
//!
//! Two sweeps are seldom of the same seeds, so situations are compared by how many seeds it takes to reach one. Chance makes
//! that number move, all the more the rarer a situation is: what is told is less than half as frequent as before, by more than
//! three standard deviations of a difference of counts. Speed is the median real time of a seed, which a few slow
//! seeds and the number of workers do not move.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::runs::Runs;
use crate::sweep::median;
use crate::text::{labelled, plural};

/// A seed has to take so many times as long as before to be told.
const SLOWER_MIN: f64 = 1.25;

/// A situation has to need so many times as many seeds as before to be told.
const RARER_MIN: f64 = 2.0;

/// Standard deviations by which it has to be rarer.
const DEVIATIONS_MIN: f64 = 3.0;

/// Columns of the headings.
const INDENT: usize = 18;

/// What is worse than in an earlier sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Of the earlier sweep: its directory and its commit.
    pub name: String,
    /// Situations that became slower to reach, with the seeds that one took before and takes now.
    pub slower_to_reach: Vec<Rarer>,
    /// The median real time of a seed before and now, in microseconds, if it grew.
    pub speed: Option<(u64, u64)>,
    /// Signatures that the earlier sweep did not have, with the failures of each.
    pub new_signatures: Vec<(String, usize)>,
    /// Signatures that are gone.
    pub gone_signatures: Vec<String>,
}

/// A situation that became rarer.
#[derive(Clone, Debug, PartialEq)]
pub struct Rarer {
    /// Its name.
    pub situation: String,
    /// Seeds for one that reached it, before.
    pub before: f64,
    /// And now; `None` if none did.
    pub now: Option<f64>,
}

impl Baseline {
    /// Compares two sweeps.
    #[must_use]
    pub fn compare(name: &str, before: &Runs, now: &Runs) -> Baseline {
        let (old, new) = (signatures(before), signatures(now));
        let is_new = |(signature, _): &(&String, &usize)| !old.contains_key(*signature);
        let name = format!("{name} (commit {}, {})", before.header.commit, plural(before.results.rows.len(), "seed"));
        Baseline {
            name,
            slower_to_reach: slower_to_reach(before, now),
            speed: speed(before, now),
            new_signatures: new.iter().filter(is_new).map(|(signature, count)| (signature.clone(), *count)).collect(),
            gone_signatures: old.into_keys().filter(|signature| !new.contains_key(signature)).collect(),
        }
    }

    /// Whether nothing is worse.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.slower_to_reach.is_empty() && self.speed.is_none() && self.new_signatures.is_empty()
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let rarer: Vec<String> = self.slower_to_reach.iter().map(Rarer::to_string).collect();
        if !rarer.is_empty() {
            lines.push(("slower to reach", rarer.join(", ")));
        }
        if let Some((before, now)) = self.speed {
            let ms = |us: u64| us as f64 / 1e3;
            let factor = now as f64 / before.max(1) as f64;
            lines.push((
                "slower",
                format!("a seed takes {:.1} ms, before {:.1} ms: {factor:.1} times as long", ms(now), ms(before)),
            ));
        }
        for (signature, count) in &self.new_signatures {
            lines.push(("new signature", format!("{} {signature}", plural(*count, "failure"))));
        }
        for signature in &self.gone_signatures {
            lines.push(("gone signature", signature.clone()));
        }
        if lines.is_empty() {
            lines.push(("", "nothing is slower to reach, no speed is lost, no signature is new".to_owned()));
        }
        lines
    }

    /// The comparison for the screen.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut page = format!("\n{}", labelled("baseline", &self.name, INDENT, width));
        for (label, text) in self.lines() {
            page.push_str(&labelled(label, &text, INDENT, width));
        }
        page
    }

    /// The comparison for a pull request.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mark = if self.is_good() { "✅" } else { "⚠️" };
        let mut page = format!("\n#### {mark} beside {}\n\n", self.name);
        for (label, text) in self.lines() {
            let _ = writeln!(page, "* {}", if label.is_empty() { text } else { format!("**{label}**: {text}") });
        }
        page
    }
}

impl std::fmt::Display for Rarer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rarer { situation, before, now } = self;
        match now {
            Some(now) => write!(f, "{situation} (one in {now:.0} seeds, before one in {before:.0})"),
            None => write!(f, "{situation} (never, before one in {before:.0} seeds)"),
        }
    }
}

fn signatures(runs: &Runs) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for failure in runs.results.failures.values() {
        *counts.entry(failure.signature()).or_insert(0) += 1;
    }
    counts
}

/// How many seeds reached each situation, by the names of the sweep itself.
fn reached(runs: &Runs) -> BTreeMap<&str, u64> {
    let mut counts: BTreeMap<&str, u64> = runs.header.situations.iter().map(|name| (name.as_str(), 0)).collect();
    for place in runs.results.rows.values().flat_map(|row| &row.reached) {
        let name = runs.header.situations.get(usize::from(*place));
        if let Some(count) = name.and_then(|name| counts.get_mut(name.as_str())) {
            *count += 1;
        }
    }
    counts
}

fn slower_to_reach(before: &Runs, now: &Runs) -> Vec<Rarer> {
    let (old, new) = (reached(before), reached(now));
    let (old_seeds, new_seeds) = (before.results.rows.len() as f64, now.results.rows.len() as f64);
    let names: BTreeSet<&str> = old.keys().copied().filter(|name| new.contains_key(name)).collect();
    let rarer = |name: &str| {
        let (old, new) = (old[name] as f64, new[name] as f64);
        // What the earlier rate makes one expect of so many seeds.
        let expected = old / old_seeds.max(1.0) * new_seeds;
        let deviation = (expected + expected * expected / old.max(1.0)).sqrt();
        let is_rarer = new * RARER_MIN < expected && expected - new > DEVIATIONS_MIN * deviation;
        is_rarer.then(|| Rarer {
            situation: name.to_owned(),
            before: old_seeds / old,
            now: (new > 0.0).then(|| new_seeds / new),
        })
    };
    names.into_iter().filter_map(rarer).collect()
}

fn speed(before: &Runs, now: &Runs) -> Option<(u64, u64)> {
    let typical = |runs: &Runs| {
        let times: Vec<u64> = runs.results.rows.values().map(|row| row.wall_us).filter(|us| *us > 0).collect();
        median(&times)
    };
    let (before, now) = (typical(before), typical(now));
    (before > 0 && now as f64 > before as f64 * SLOWER_MIN).then_some((before, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::Shard;
    use crate::sweep::{Results, Row, Sweep};
    use kuzusync_scenarios::swarm::Profile;
    use kuzusync_sim::outcome::Failure;
    use kuzusync_sim::seed::Seed;

    /// A thousand seeds, of which so many reach situation 0, that take so long each.
    fn runs(reaching: u64, wall_us: u64, failures: &[&str]) -> Runs {
        let mut results = Results::default();
        for seed in 0..1_000 {
            let reached = if seed < reaching { vec![0, 1] } else { vec![1] };
            results.rows.insert(Seed(seed), Row { reached, wall_us, ..Row::default() });
        }
        for (seed, message) in (0..).zip(failures) {
            results.failures.insert(Seed(seed), Failure::Crash { message: (*message).to_owned() });
        }
        let (seeds, profile) = (0..1_000, Profile::Default);
        let sweep = Sweep { seeds, profile, store: None, check_percent: 0, bug: None, shard: Shard::WHOLE, time: None };
        Runs::new(&sweep, ("abc", "def"), results, None, 1.0)
    }

    #[test]
    fn what_became_worse_is_told_and_nothing_else() {
        let compare = |now: &Runs| Baseline::compare("out", &runs(200, 10_000, &["old"]), now);
        assert!(compare(&runs(200, 10_000, &["old"])).is_good());
        let chance = compare(&runs(150, 11_000, &["old"]));
        assert!(chance.is_good(), "{chance:?}");
        let worse = compare(&runs(40, 20_000, &["old", "new"]));
        assert_eq!(worse.slower_to_reach.len(), 1);
        assert!((worse.slower_to_reach[0].before - 5.0).abs() < 1e-9);
        assert_eq!(worse.speed, Some((10_000, 20_000)));
        assert_eq!(worse.new_signatures, [("crash//new".to_owned(), 1)]);
        let text = worse.text(100);
        for told in ["one in 25 seeds, before one in 5", "2.0 times as long", "1 failure crash//new"] {
            assert!(text.contains(told), "{told}: {text}");
        }
        let never = compare(&runs(0, 10_000, &[]));
        assert!(never.text(100).contains("never, before one in 5 seeds") && never.gone_signatures == ["crash//old"]);
    }

    #[test]
    fn what_is_rare_anyway_may_be_absent_by_chance() {
        let compared = Baseline::compare("out", &runs(3, 10_000, &[]), &runs(0, 10_000, &[]));
        assert!(compared.slower_to_reach.is_empty(), "{compared:?}");
    }
}
