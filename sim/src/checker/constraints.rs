//! Constraints hold for what was written through transactions, and nothing else writes to their columns.
//!
//! With a main: the graph of its log up to a transaction keeps every constraint on what the transaction wrote, and no
//! ordinary change that it appended after a constraint writes to that column. Without one nobody sees everything, but each
//! voter sees what it has applied and what it is prepared for: with that, the transaction keeps the constraint; and no
//! author of an ordinary change knew of a constraint on what it wrote. What was written before a column had a constraint
//! may break it.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::Change;
use kuzusync_core::clock::Seen;
use kuzusync_core::id::{ChangeId, ReplicaId, TxId};
use kuzusync_core::message::{Entry, Role};
use kuzusync_core::replica::Notice;
use kuzusync_core::two_phase::Vote;

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::model::Model;
use crate::model::promises::{constrained, written};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct Constraints {
    hosts: BTreeMap<u32, Voter>,
    /// What those who voted for a transaction had before them.
    ballots: BTreeMap<TxId, Vec<(u32, Voter)>>,
    /// Who was cloned: what such a replica did since, nobody was shown.
    doubled: BTreeSet<ReplicaId>,
}

/// What a replica has before it when it votes.
#[derive(Clone, Default)]
struct Voter {
    replica: ReplicaId,
    /// What it had applied when it was opened.
    seen: Seen,
    /// What it has applied since.
    applied: BTreeSet<ChangeId>,
    /// What it has promised and was not decided yet.
    prepared: BTreeSet<TxId>,
}

impl Voter {
    fn has_applied(&self, id: ChangeId) -> bool {
        self.seen.contains(id) || self.applied.contains(&id)
    }
}

impl Checker for Constraints {
    fn property(&self) -> Property {
        Property::Constraints
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        let voter = self.hosts.entry(host).or_default();
        match &event.kind {
            EventKind::Opened { replica, cursor, prepared, .. } => {
                let (seen, prepared) = (cursor.seen.clone(), prepared.iter().copied().collect());
                *voter = Voter { replica: *replica, seen, applied: BTreeSet::new(), prepared };
            }
            EventKind::Doubled => {
                self.doubled.insert(voter.replica);
            }
            EventKind::Notified(Notice::Applied { entry }) => {
                voter.applied.insert(entry.change.id);
            }
            EventKind::Notified(Notice::Voted { tx, vote: Vote::Commit }) => {
                self.ballots.entry(*tx).or_default().push((host, voter.clone()));
                voter.prepared.insert(*tx);
            }
            EventKind::Notified(Notice::Voted { tx, .. } | Notice::Decided { tx, .. }) => {
                voter.prepared.remove(tx);
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        let Some(replica) = replicas.iter().min_by_key(|replica| replica.role != Role::Main) else { return Ok(()) };
        let ops = replica.log.iter().flat_map(|entry| &entry.change.ops);
        let columns: BTreeSet<_> = ops.filter_map(constrained).collect();
        let is_concerned =
            |change: &Change| written(change).any(|(element, column)| columns.contains(&(element.table(), column)));
        for entry in replica.log.iter().filter(|entry| is_concerned(&entry.change)) {
            match (entry.change.is_agreed(), replica.role) {
                (false, role) => check_ordinary(entry, role, &replica.log)?,
                (true, Role::Peer) => self.check_ballots(&entry.change, replica)?,
                (true, _) => {
                    check_promises(&entry.change, before(entry, &replica.log).chain([entry]), "the main", &[0])?
                }
            }
        }
        Ok(())
    }
}

/// What the main had numbered before it.
fn before<'a>(entry: &'a Entry, log: &'a [Entry]) -> impl Iterator<Item = &'a Entry> {
    log.iter().filter(|other| other.lsn.is_some() && other.lsn < entry.lsn)
}

fn check_ordinary(entry: &Entry, role: Role, log: &[Entry]) -> Result<(), Finding> {
    let change = entry.change.as_ref();
    let model = match role {
        Role::Main | Role::Edge => Model::of(before(entry, log)),
        Role::Peer => Model::of(log.iter().filter(|other| change.seen.contains(other.change.id))),
    };
    match model.protected(change) {
        Some(cell) => Err(Finding::new(
            format!("change {} is ordinary and writes to {cell}, which has a constraint", change.id),
            &[],
        )),
        None => Ok(()),
    }
}

fn check_promises<'a>(
    change: &Change,
    entries: impl Iterator<Item = &'a Entry>,
    who: &str,
    hosts: &[u32],
) -> Result<(), Finding> {
    match Model::of(entries).broken_promise(change) {
        Some(problem) => {
            let message = format!("{who} was for transaction {}, after which {problem}", change.tx);
            Err(Finding::new(message, hosts))
        }
        None => Ok(()),
    }
}

impl Constraints {
    fn check_ballots(&self, change: &Change, replica: &ReplicaState) -> Result<(), Finding> {
        let (log, seen) = (&replica.log, &replica.cursor.seen);
        // What only a voter knew that is not at rest yet is missing here.
        let is_known_here =
            |voter: &Voter| seen.includes(&voter.seen) && voter.applied.iter().all(|id| seen.contains(*id));
        let ballots = self.ballots.get(&change.tx).into_iter().flatten();
        let is_judged = |voter: &Voter| !self.doubled.contains(&voter.replica) && is_known_here(voter);
        for (host, voter) in ballots.filter(|(_, voter)| is_judged(voter)) {
            let is_known = |entry: &&Entry| {
                let Change { id, tx, .. } = *entry.change;
                id == change.id || voter.has_applied(id) || voter.prepared.contains(&tx)
            };
            check_promises(change, log.iter().filter(is_known), &format!("replica {host}"), &[*host])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checker::samples::{
        altered, applied, change, column, id, increment, insert, noticed, numbered, opened, rule, state, update, user,
        users,
    };
    use kuzusync_core::change::Op;
    use kuzusync_core::ddl::Rule;

    fn start() -> Arc<Change> {
        let unique = Rule::Unique { column: column(&user(1), "name"), is_on: true };
        let bound = Rule::AtLeast { column: column(&user(1), "visits"), bound: Some(0) };
        let rules = [unique, bound].map(|set| rule(users().table_id(), set));
        change(id(1, 1), 1, &[], [vec![Op::Schema(users()), insert(1, "early")], rules.to_vec()].concat())
    }

    fn agreed(change: &Arc<Change>) -> Arc<Change> {
        altered(change, |change| change.participants = vec![id(1, 1).replica, id(2, 1).replica])
    }

    /// What replicas 1 and 2 do next, neither having heard of the other.
    fn writes(ops: [Op; 2]) -> [Arc<Change>; 2] {
        let [one, other] = ops;
        [change(id(1, 2), 2, &[], vec![one]), change(id(2, 1), 3, &[id(1, 1)], vec![other])]
    }

    fn at_main(log: &[Arc<Change>]) -> Result<(), Finding> {
        let main = ReplicaState { role: Role::Main, log: numbered(log), ..state(0, log) };
        Constraints::default().judge(&[main])
    }

    #[test]
    fn a_transaction_of_the_mains_log_that_breaks_a_promise_is_found() {
        let judge = |ops: [Op; 2]| {
            let [one, other] = writes(ops);
            at_main(&[start(), agreed(&one), agreed(&other)])
        };
        assert_eq!(judge([insert(2, "Ann"), insert(3, "Ben")]), Ok(()));
        let found = judge([insert(2, "Ann"), insert(3, "Ann")]).unwrap_err();
        assert!(found.message.contains("User(3).name is \"Ann\", and so is User(2).name"), "{}", found.message);
        assert!(judge([insert(2, "Ann"), insert(3, "early")]).is_err(), "it was there before");
        assert_eq!(judge([increment(1, 2), increment(1, -2)]), Ok(()));
        let found = judge([increment(1, 2), increment(1, -3)]).unwrap_err();
        assert!(found.message.contains("User(1).visits is -1 and may not be below 0"), "{}", found.message);
    }

    #[test]
    fn an_ordinary_write_to_a_protected_column_is_found_and_one_from_before_is_not() {
        let [one, other] = writes([update(user(1), "name", "Ann"), insert(2, "Ben")]);
        let found = at_main(&[start(), one.clone()]).unwrap_err();
        assert!(found.message.contains("User(1).name, which has a constraint"), "{}", found.message);
        assert_eq!(at_main(&[start(), agreed(&one)]), Ok(()));
        let judge = |log: &[Arc<Change>]| Constraints::default().judge(&[state(1, log)]);
        assert!(judge(&[start(), other.clone()]).is_err());
        let unaware = altered(&other, |change| change.seen = Seen::default());
        assert_eq!(judge(&[start(), unaware]), Ok(()), "without a main an author that knew of no constraint is right");
    }

    #[test]
    fn a_voter_that_gives_one_value_to_two_rows_is_found_whatever_it_had_applied() {
        let [one, other] = writes([insert(2, "Ann"), insert(3, "Ann")]).map(|change| agreed(&change));
        let voted = |change: &Arc<Change>| noticed(2, Notice::Voted { tx: change.tx, vote: Vote::Commit });
        let log = [start(), one.clone(), other.clone()];
        let verdict = |events: &[Event]| {
            let mut checker = Constraints::default();
            events.iter().try_for_each(|event| checker.observe(event))?;
            checker.judge(&[state(1, &log)])
        };
        assert_eq!(verdict(&[]), Ok(()), "nobody voted on both");
        let prepared = [opened(2, &[id(1, 1)]), voted(&one), voted(&other)];
        let found = verdict(&prepared).unwrap_err();
        assert!(found.message.starts_with("replica 2 was for transaction"), "{}", found.message);
        assert!(verdict(&[opened(2, &[id(1, 1)]), voted(&one), applied(2, &one), voted(&other)]).is_err());
        let doubled =
            [&prepared[..1], &[crate::checker::samples::event(2, EventKind::Doubled)], &prepared[1..]].concat();
        assert_eq!(verdict(&doubled), Ok(()), "nobody was shown what a clone's twin did");
    }
}
