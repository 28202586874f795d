//! Policies: which components of a write's place a table or column compares, and so who outranks whom.
//!
//! | policy | compares | gives |
//! |---|---|---|
//! | `auto` | link epoch, timestamp, replica, seq, index | what was written while connected beats what was written while disconnected; among equals the later wins (Distributed Sync Engine, cases D2.1 and D4.2) |
//! | `last_write_wins` | timestamp, replica, seq, index | the later wins (Sync Policy, case E3) |
//! | `prefer_main` | authority epoch, link epoch, timestamp, … | a write of the main beats what was concurrent to it and loses to what was written after seeing it (Sync Policy, case E4) |
//! | `server_order` | the main's number; what has none yet lies on top | the main's log is the order (Minimal Sync Guide) |
//!
//! All four are total and extend happened-before: each component only rises along it, and the main numbers in causal
//! order.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::clock::{Lsn, Rank};
use crate::planted::{Bug, is_planted};

/// How a table or a column decides between concurrent writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Connected beats disconnected, then the later wins.
    #[default]
    Auto,
    /// The later wins.
    LastWriteWins,
    /// The main wins over what it had not seen.
    PreferMain,
    /// The main's order.
    ServerOrder,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Policy; 4] = [Policy::Auto, Policy::LastWriteWins, Policy::PreferMain, Policy::ServerOrder];

    /// The policy's name in documents, files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Policy::Auto => "auto",
            Policy::LastWriteWins => "last_write_wins",
            Policy::PreferMain => "prefer_main",
            Policy::ServerOrder => "server_order",
        }
    }

    /// Whether it means nothing in a database without a main.
    #[must_use]
    pub fn needs_main(self) -> bool {
        matches!(self, Policy::PreferMain | Policy::ServerOrder)
    }

    /// Which of two writes wins: the greater.
    #[must_use]
    pub fn compare(self, one: &Place, other: &Place) -> Ordering {
        if is_planted(Bug::DatesAsText) {
            let text = |place: &Place| place.rank.timestamp.wall().to_string();
            return text(one).cmp(&text(other)).then_with(|| one.cmp(other));
        }
        let by_time = |place: &Place| (place.rank.timestamp, place.rank.change, place.rank.index);
        match self {
            Policy::Auto => {
                one.rank.link_epoch.cmp(&other.rank.link_epoch).then_with(|| by_time(one).cmp(&by_time(other)))
            }
            Policy::LastWriteWins => by_time(one).cmp(&by_time(other)),
            Policy::PreferMain => one.rank.cmp(&other.rank),
            Policy::ServerOrder => one.lsn.cmp(&other.lsn).then_with(|| by_time(one).cmp(&by_time(other))),
        }
    }
}

/// A write's place in the orders of all policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// By what its author stamped.
    pub rank: Rank,
    /// By the main's number, [`Place::UNNUMBERED`] while it has none.
    pub lsn: Lsn,
}

impl Place {
    /// On top of everything numbered.
    pub const UNNUMBERED: Lsn = Lsn::MAX;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{ChangeId, ReplicaId};

    /// A place by authority epoch, link epoch, time, author and number.
    fn place(authority_epoch: u64, link_epoch: u64, ms: i64, replica: u8, lsn: Lsn) -> Place {
        let change = ChangeId { replica: ReplicaId([replica; 16]), seq: 1 };
        Place { rank: Rank { authority_epoch, link_epoch, timestamp: Timestamp::at_ms(ms), change, index: 0 }, lsn }
    }

    #[test]
    fn each_policy_looks_at_its_own_components_first() {
        let beats = |policy: Policy, winner: Place, loser: Place| policy.compare(&winner, &loser).is_gt();
        assert!(beats(Policy::Auto, place(0, 2, 1, 1, 1), place(9, 1, 9, 9, 9)));
        assert!(beats(Policy::Auto, place(0, 1, 2, 1, 1), place(9, 1, 1, 9, 9)));
        assert!(beats(Policy::LastWriteWins, place(0, 1, 2, 1, 1), place(9, 9, 1, 9, 9)));
        assert!(beats(Policy::LastWriteWins, place(0, 1, 2, 2, 1), place(9, 9, 2, 1, 9)));
        assert!(beats(Policy::PreferMain, place(2, 1, 1, 1, 1), place(1, 9, 9, 9, 9)));
        assert!(beats(Policy::PreferMain, place(1, 2, 1, 1, 1), place(1, 1, 9, 9, 9)));
        assert!(beats(Policy::ServerOrder, place(0, 0, 0, 1, 2), place(9, 9, 9, 9, 1)));
        assert!(beats(Policy::ServerOrder, place(0, 0, 0, 1, Place::UNNUMBERED), place(9, 9, 9, 9, 1)));
    }
}
