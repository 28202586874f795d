//! Within the stated time after healing, nothing is under way any more; if something is, it has a reason.
//!
//! When a majority heals while the others stay out, that is claimed of the majority alone. What it waits for that only the
//! others could give is not under way: see [`crate::world::World::pending`].

use std::collections::BTreeSet;

use crate::outcome::{Property, Violation};

/// What one host is still waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The host, or `None` for the network.
    pub host: Option<u32>,
    /// In words.
    pub reason: String,
}

/// The violation of a cluster, but for the hosts that stay out, that has not come to rest within `settle_ms_max`; `None` if
/// nothing is pending.
#[must_use]
pub fn judge(at_us: u64, settle_ms_max: u64, pending: &[Pending], out: &BTreeSet<u32>) -> Option<Violation> {
    let first = pending.first()?;
    let whose = first.host.map_or("the network".to_owned(), |host| format!("replica {host}"));
    let line = |pending: &Pending| match pending.host {
        Some(host) => format!("replica {host}: {}", pending.reason),
        None => format!("network: {}", pending.reason),
    };
    let healing = if out.is_empty() { "healing" } else { "a majority healed" };
    Some(Violation {
        property: Property::Liveness,
        at_us,
        message: format!("not at rest {settle_ms_max} ms after {healing}: {whose}: {}", first.reason),
        hosts: pending.iter().filter_map(|pending| pending.host).collect(),
        details: pending.iter().map(line).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_waits_for_something_is_found_with_the_reason() {
        let nobody = BTreeSet::new();
        assert_eq!(judge(5, 100, &[], &nobody), None);
        let pending = Pending { host: Some(2), reason: "3 queued operations are not acknowledged".into() };
        let of_majority = judge(5, 100, std::slice::from_ref(&pending), &[1].into()).unwrap();
        assert!(of_majority.message.contains("100 ms after a majority healed"), "{of_majority:?}");
        let violation = judge(5, 100, &[pending], &nobody).unwrap();
        assert!(violation.message.ends_with("replica 2: 3 queued operations are not acknowledged"), "{violation:?}");
        assert_eq!(violation.hosts, [2]);
    }
}
