//! Replicas that agree, with nothing between them.

use std::collections::VecDeque;

use kuzusync_core::clock::{Instant, Now};
use kuzusync_core::ddl::Column;
use kuzusync_core::id::{DatabaseId, ReplicaId, TxId};
use kuzusync_core::message::Role;
use kuzusync_core::replica::{Config, Input, Output, Replica};
use kuzusync_core::session::Peer;
use kuzusync_core::statement::{Properties, Statement, Transaction};
use kuzusync_core::value::Type;

/// Rows that transactions write to, one after the other.
const ROWS: i64 = 100;

/// A main and its edges, or peers, all connected.
pub struct Agreeing {
    replicas: Vec<Replica>,
    ids: Vec<ReplicaId>,
    coordinator: usize,
    transactions: u64,
}

impl Agreeing {
    /// So many replicas, of which one in this role coordinates.
    #[must_use]
    pub fn open(participants: usize, coordinator: Role) -> Agreeing {
        let has_main = coordinator != Role::Peer;
        let role = |name| match (has_main, name) {
            (false, _) => Role::Peer,
            (true, 0) => Role::Main,
            (true, _) => Role::Edge,
        };
        let open =
            |name: usize| Replica::open(Config::new(role(name), DatabaseId([1; 16])), [name as u8; 32], &[]).unwrap();
        let replicas: Vec<Replica> = (0..participants).map(open).collect();
        let ids = replicas.iter().map(Replica::id).collect();
        let coordinator = usize::from(coordinator == Role::Edge);
        let mut cluster = Agreeing { replicas, ids, coordinator, transactions: 0 };
        for from in 0..participants {
            for to in (0..participants).filter(|to| *to != from && (!has_main || from == 0 || *to == 0)) {
                cluster.input(from, Input::Connected(Peer(to as u32)));
            }
        }
        let column = |name: &str, column_type| Column::new(name, column_type);
        let columns = vec![column("id", Type::Int64), column("name", Type::String)];
        let table = Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() };
        let create = |id: i64| Statement::CreateNode {
            table: "User".into(),
            properties: Properties::from([("id".into(), id.into())]),
        };
        cluster.submit([table].into_iter().chain((0..ROWS).map(create)).collect(), Vec::new());
        cluster
    }

    /// A transaction of all. Returns how many messages it took until everybody knows the decision.
    ///
    /// # Panics
    /// If it is not committed everywhere.
    pub fn transact(&mut self) -> usize {
        let key = (self.transactions as i64) % ROWS;
        let properties = Properties::from([("name".into(), format!("name {}", self.transactions).as_str().into())]);
        let update = Statement::UpdateNode { table: "User".into(), key: key.into(), properties };
        let (tx, messages) = self.submit(vec![update], self.ids.clone());
        let is_committed =
            |replica: &Replica| replica.log().transaction(tx).is_some() && replica.prepared().count() == 0;
        assert!(self.replicas.iter().all(is_committed), "it is not committed everywhere");
        messages
    }

    fn submit(&mut self, statements: Vec<Statement>, participants: Vec<ReplicaId>) -> (TxId, usize) {
        self.transactions += 1;
        let mut tx = TxId::default();
        tx.0[..8].copy_from_slice(&self.transactions.to_le_bytes());
        let transaction = Transaction { tx, statements, participants, ..Transaction::default() };
        (tx, self.input(self.coordinator, Input::Local(transaction)))
    }

    /// Feeds an input and everything that follows from it. Returns how many messages that were.
    fn input(&mut self, at: usize, input: Input) -> usize {
        let wall_ms = 1_700_000_000_000 + i64::try_from(self.transactions).unwrap();
        let now = Now { monotonic: Instant(0), wall_ms };
        let mut messages = 0;
        let mut inputs = VecDeque::from([(at, input)]);
        while let Some((at, input)) = inputs.pop_front() {
            self.replicas[at].handle_input(now, input).unwrap();
            loop {
                match self.replicas[at].poll_output() {
                    Output::Timeout(_) => break,
                    Output::Transmit { to, bytes } => {
                        messages += 1;
                        inputs.push_back((to.0 as usize, Input::Receive { from: Peer(at as u32), bytes }));
                    }
                    _ => {}
                }
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of one transaction at three, five and nine participants.
    fn messages(coordinator: Role) -> [usize; 3] {
        [3, 5, 9].map(|participants| {
            let mut cluster = Agreeing::open(participants, coordinator);
            cluster.transact();
            let one = cluster.transact();
            assert_eq!(cluster.transact(), one, "each takes as many");
            one
        })
    }

    #[test]
    fn a_main_saves_the_messages_with_which_peers_tell_each_other() {
        assert_eq!(messages(Role::Main), [2, 4, 8].map(|others| 4 * others));
        assert_eq!(
            messages(Role::Edge),
            [2, 4, 8].map(|others| 6 * others),
            "letters between edges go through the main"
        );
        assert_eq!(messages(Role::Peer), [3, 5, 9].map(|all| 2 * all * (all - 1)), "all pass the change on to all");
    }
}
