//! What a client was told is done survives crashes and reaches every replica: as the change itself, or as the main's
//! rejection of it, of which its author hears, or as what its author then wrote anew.
//!
//! What only disks held that were taken away is outside the claim, and so is what only hosts held that share one identity:
//! both will be wiped.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::change::ChangeId;
use kuzusync_core::replica::Notice;
use kuzusync_core::ruling::{Reason, Rejection};

use crate::checker::{Checker, Finding};
use crate::history::{Event, EventKind};
use crate::outcome::{Property, ReplicaState};

/// See the module.
#[derive(Default)]
pub struct Durability {
    /// The changes that clients were told are done, by the host that told them; `None` if its disk was taken away
    /// since.
    done: BTreeMap<ChangeId, Option<u32>>,
    /// The hosts that hold each change.
    holders: BTreeMap<ChangeId, BTreeSet<u32>>,
    /// The changes whose author told that they were rejected.
    told: BTreeSet<ChangeId>,
    /// Those of which it told that nothing is left of what they would bring back.
    purged: BTreeSet<ChangeId>,
    /// The hosts that crashed: what they had to tell may have died with them.
    crashed: BTreeSet<u32>,
}

impl Checker for Durability {
    fn property(&self) -> Property {
        Property::Durability
    }

    fn observe(&mut self, event: &Event) -> Result<(), Finding> {
        let Some(host) = event.host else { return Ok(()) };
        match &event.kind {
            EventKind::Returned { result: Ok(id), .. } => {
                self.done.insert(*id, Some(host));
            }
            EventKind::Notified(Notice::Rejected { id, reason }) => {
                self.told.insert(*id);
                if matches!(reason, Reason::Purged { .. }) {
                    self.purged.insert(*id);
                }
            }
            EventKind::Notified(Notice::Applied { entry }) => {
                self.holders.entry(entry.change.id).or_default().insert(host);
            }
            EventKind::DiskReplaced | EventKind::Wiped | EventKind::Cloned { .. } | EventKind::Doubled => {
                for holders in self.holders.values_mut() {
                    holders.remove(&host);
                }
                let is_held = |id: &ChangeId| self.holders.get(id).is_some_and(|holders| !holders.is_empty());
                self.done.retain(|id, _| is_held(id));
                self.done.values_mut().filter(|teller| **teller == Some(host)).for_each(|teller| *teller = None);
            }
            EventKind::Crashed { .. } => {
                self.crashed.insert(host);
            }
            EventKind::Opened { cursor, rejected, .. } => {
                // Whoever knows it as rejected cannot carry it out; only its author can, who then writes it anew.
                let is_held = |id: &ChangeId| cursor.seen.contains(*id) && !rejected.contains(id);
                for (_, holders) in self.holders.iter_mut().filter(|(id, _)| is_held(id)) {
                    holders.insert(host);
                }
                // What the main is yet to decide on is passed and not seen.
                let lost = self.done.iter().find(|(id, teller)| **teller == Some(host) && !cursor.seen.passes(**id));
                if let Some((id, _)) = lost {
                    return Err(Finding::new(format!("replica {host} restarted without its change {id}"), &[host]));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        self.judge_changes(replicas, &self.done.keys().copied().collect::<Vec<_>>())
    }

    /// Of those that stay out nothing need have arrived, but what clients were told by the others has.
    fn judge_majority(&mut self, replicas: &[ReplicaState]) -> Result<(), Finding> {
        let is_there = |teller: &Option<u32>| replicas.iter().any(|replica| Some(replica.host) == *teller);
        let done = self.done.iter().filter(|(_, teller)| is_there(teller)).map(|(id, _)| *id);
        self.judge_changes(replicas, &done.collect::<Vec<_>>())
    }
}

impl Durability {
    fn judge_changes(&self, replicas: &[ReplicaState], done: &[ChangeId]) -> Result<(), Finding> {
        for replica in replicas {
            let host = replica.host;
            if let Some(id) = done.iter().find(|id| !replica.cursor.seen.contains(**id)) {
                let message = format!("change {id} was accepted and never reached replica {host}");
                return Err(Finding::new(message, &[host]));
            }
            let fates = Fates::at(replica);
            for id in done {
                let is_told = |id: ChangeId| {
                    let author = replicas.iter().find(|other| other.id == id.replica).map(|author| author.host);
                    self.told.contains(&id) || author.is_none_or(|author| self.crashed.contains(&author))
                };
                if let Err(problem) = fates.of(*id, &self.purged, is_told) {
                    let message = format!("change {id} was accepted, and at replica {host} it {problem}");
                    return Err(Finding::new(message, &[host]));
                }
            }
        }
        Ok(())
    }
}

/// What became of every change at one replica.
struct Fates<'a> {
    applied: BTreeSet<ChangeId>,
    rejections: BTreeMap<ChangeId, &'a Rejection>,
    /// By the rejected change, the one that carries it out anew.
    anew: BTreeMap<ChangeId, ChangeId>,
}

impl<'a> Fates<'a> {
    fn at(replica: &'a ReplicaState) -> Self {
        let changes = || replica.log.iter().map(|entry| &entry.change);
        Fates {
            applied: changes().map(|change| change.id).collect(),
            rejections: replica.rejections.iter().map(|rejection| (rejection.change, rejection)).collect(),
            anew: changes().filter_map(|change| Some((change.replaces?, change.id))).collect(),
        }
    }

    /// Follows a change to where it is applied, or rejected for good and told of.
    fn of(
        &self,
        mut id: ChangeId,
        purged: &BTreeSet<ChangeId>,
        is_told: impl Fn(ChangeId) -> bool,
    ) -> Result<(), String> {
        while !self.applied.contains(&id) {
            let Some(rejection) = self.rejections.get(&id) else {
                return Err("was neither applied nor rejected".into());
            };
            match &rejection.reason {
                Reason::Invalid { problem } => return Err(format!("was rejected as invalid: {problem}")),
                Reason::Drift { .. } | Reason::Follows { .. } | Reason::Compacted { .. } => {
                    match self.written_anew(rejection) {
                        Some(anew) => id = anew,
                        None if purged.contains(&id) => return Ok(()),
                        None => return Err(format!("was rejected as {id} and not written anew: {}", rejection.reason)),
                    }
                }
                _ if is_told(id) => return Ok(()),
                reason => return Err(format!("was rejected as {id}, which its author never told: {reason}")),
            }
        }
        Ok(())
    }

    /// What its author wrote in the place of a rejected change: a change that says so, or one that was rejected as
    /// well.
    fn written_anew(&self, rejection: &Rejection) -> Option<ChangeId> {
        let follows =
            |later: &&&Rejection| later.tx == rejection.tx && later.change.replica == rejection.change.replica;
        let mut rejected = self.rejections.range(rejection.change..).map(|(_, later)| later).skip(1).filter(follows);
        let applied = self.anew.get(&rejection.change).copied();
        applied.or_else(|| rejected.next().map(|later| later.change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::samples::{altered, applied, change, event, id, noticed, opened, rejection, state};
    use kuzusync_core::change::Change;
    use std::sync::Arc;

    fn done(change: ChangeId) -> Durability {
        let mut checker = Durability::default();
        checker.observe(&event(1, EventKind::Returned { invocation: 1, result: Ok(change) })).unwrap();
        checker
    }

    #[test]
    fn an_accepted_change_lost_by_a_crash_is_found() {
        let mut checker = done(id(1, 1));
        assert_eq!(checker.observe(&opened(1, &[id(1, 1)])), Ok(()));
        assert_eq!(checker.observe(&opened(0, &[])), Ok(()), "another host need not have it yet");
        assert!(checker.observe(&opened(1, &[])).unwrap_err().message.contains("restarted without"));
    }

    #[test]
    fn an_accepted_change_that_never_arrives_is_found() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        let mut checker = done(change.id);
        let holder = state(0, &[change]);
        assert_eq!(checker.judge(std::slice::from_ref(&holder)), Ok(()));
        assert!(checker.judge(&[holder, state(1, &[])]).unwrap_err().message.contains("never reached"));
    }

    #[test]
    fn what_only_a_disk_held_that_is_gone_may_be_lost_and_nothing_else() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        let is_lost = |events: &[Event]| {
            let mut checker = done(change.id);
            events.iter().for_each(|event| checker.observe(event).unwrap());
            problem(&mut checker, state(1, &[])).contains("never reached")
        };
        let (there, elsewhere) = (applied(1, &change), applied(0, &change));
        for kind in [EventKind::DiskReplaced, EventKind::Wiped, EventKind::Cloned { from: 2 }, EventKind::Doubled] {
            let gone = |host| event(host, kind.clone());
            let reopened = opened(1, &[]);
            assert!(!is_lost(&[there.clone(), gone(1), reopened.clone()]), "another disk need not hold it");
            assert!(is_lost(&[there.clone(), elsewhere.clone(), gone(1), reopened.clone()]));
            assert!(!is_lost(&[there.clone(), elsewhere.clone(), gone(0), gone(1), reopened.clone()]), "both are gone");
            assert!(is_lost(&[there.clone(), elsewhere.clone(), gone(0), opened(0, &[change.id]), gone(1)]));
        }
    }

    #[test]
    fn a_rejected_change_is_gone_with_its_author() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        let is_lost = |is_rejected: bool| {
            let mut reopened = opened(0, &[change.id]);
            if let EventKind::Opened { rejected, .. } = &mut reopened.kind {
                rejected.extend(is_rejected.then_some(change.id));
            }
            let mut checker = done(change.id);
            let events = [applied(1, &change), reopened, event(1, EventKind::Wiped)];
            events.iter().for_each(|event| checker.observe(event).unwrap());
            problem(&mut checker, state(0, &[])).contains("never reached")
        };
        assert!(is_lost(false), "another had it");
        assert!(!is_lost(true));
    }

    /// What an author's replica ends with: its first change rejected, the others applied but for `also_rejected`.
    #[test]
    fn what_the_majority_accepted_has_to_reach_it_all_and_nothing_of_the_others() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        let judged =
            |host| done(change.id).judge_majority(&[state(0, &[]), state(host, std::slice::from_ref(&change))]);
        assert!(judged(1).unwrap_err().message.contains("never reached replica 0"));
        assert_eq!(judged(2), Ok(()), "host 1 told its client, and stays out");
    }

    fn ended(changes: &[Arc<Change>], rejected: &[(&Arc<Change>, Reason)]) -> ReplicaState {
        let mut state = state(1, changes);
        state.log.retain(|entry| rejected.iter().all(|(change, _)| change.id != entry.change.id));
        state.rejections = rejected.iter().map(|(change, reason)| rejection(change, reason.clone())).collect();
        state
    }

    fn problem(checker: &mut Durability, state: ReplicaState) -> String {
        checker.judge(&[state]).map_or_else(|finding| finding.message, |()| String::new())
    }

    #[test]
    fn an_accepted_change_that_vanishes_or_is_called_invalid_is_found() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        let mut vanished = state(1, std::slice::from_ref(&change));
        vanished.log.clear();
        assert!(problem(&mut done(change.id), vanished).contains("neither applied nor rejected"));
        let invalid = Reason::Invalid { problem: "no such table".into() };
        let ended = ended(std::slice::from_ref(&change), &[(&change, invalid)]);
        assert!(problem(&mut done(change.id), ended).contains("invalid: no such table"));
    }

    #[test]
    fn a_rejection_that_its_author_never_tells_is_found() {
        let change = change(id(1, 1), 1, &[], Vec::new());
        let reason = Reason::Duplicate { of: id(2, 1) };
        let ended = ended(std::slice::from_ref(&change), &[(&change, reason.clone())]);
        let mut checker = done(change.id);
        assert!(problem(&mut checker, ended.clone()).contains("never told"));
        let mut crashed = done(change.id);
        crashed.observe(&event(1, EventKind::Crashed { lost_records: 0 })).unwrap();
        assert_eq!(problem(&mut crashed, ended.clone()), "", "it may have died before it could");
        checker.observe(&noticed(1, Notice::Rejected { id: change.id, reason })).unwrap();
        assert_eq!(problem(&mut checker, ended), "");
    }

    #[test]
    fn what_was_purged_since_need_not_be_written_anew_if_its_author_tells() {
        let change = change(id(1, 1), 900, &[], Vec::new());
        let ended = || ended(std::slice::from_ref(&change), &[(&change, Reason::Drift { main_ms: 1 })]);
        let mut checker = done(change.id);
        let mut told = |reason| {
            checker.observe(&noticed(1, Notice::Rejected { id: change.id, reason })).unwrap();
            problem(&mut checker, ended())
        };
        assert!(told(Reason::Drift { main_ms: 1 }).contains("not written anew"));
        assert_eq!(told(Reason::Purged { problem: "nothing is left".into() }), "");
    }

    #[test]
    fn a_change_rejected_for_its_clock_must_be_written_anew_until_it_is_applied() {
        let first = change(id(1, 1), 900, &[], Vec::new());
        let anew = |seq, of: &Arc<Change>| {
            altered(&change(id(1, seq), 5, &[], Vec::new()), |anew| {
                (anew.tx, anew.replaces) = (of.tx, Some(of.id));
            })
        };
        let second = anew(2, &first);
        let third = anew(3, &second);
        let drift = || Reason::Drift { main_ms: 1 };
        let alone = ended(std::slice::from_ref(&first), &[(&first, drift())]);
        assert!(problem(&mut done(first.id), alone).contains("not written anew"));
        let once = ended(&[first.clone(), second.clone()], &[(&first, drift())]);
        assert_eq!(problem(&mut done(first.id), once), "");
        let all = [first.clone(), second.clone(), third];
        let follows = Reason::Follows { rejected: first.id, main_ms: 1 };
        let twice = ended(&all, &[(&first, drift()), (&second, follows)]);
        assert_eq!(problem(&mut done(first.id), twice), "");
        let duplicate = ended(&all[..2], &[(&first, drift()), (&second, Reason::Duplicate { of: id(2, 1) })]);
        assert!(problem(&mut done(first.id), duplicate).contains("never told"));
    }
}
