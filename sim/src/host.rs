//! The run loop of a host, and the wire between hosts: the only contact between the engine and madsim.
//!
//! Each host is a madsim node with an address of its own. Messages that [`crate::network`] lets through are put on
//! madsim's network by the wire, a node that never dies.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use kuzusync_core::id::Digest;
use kuzusync_core::replica::Input;
use kuzusync_core::session::Peer;
use madsim::net::Endpoint;
use madsim::task::spawn_local;
use madsim::time::sleep;
use tokio::sync::{mpsc, oneshot};

use crate::history::EventKind;
use crate::network::Packet;
use crate::world::{Answer, Shared};

/// The tag under which madsim carries our datagrams.
const TAG: u64 = 1;

const PORT: u16 = 1;

/// A host's address.
#[must_use]
pub fn address(host: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0A00_0001 + host), PORT))
}

/// The wire's address.
#[must_use]
pub fn wire_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 1, 0, 1), PORT))
}

/// What reaches a host.
pub enum Arrival {
    /// From the network.
    Packet(Packet),
    /// From the client beside it, who waits for the answer.
    Local(Input, oneshot::Sender<Answer>),
    /// From somebody who pretends to be another host, and waits for the answer.
    Forgery {
        /// As if from which host.
        from: u32,
        /// What.
        bytes: Vec<u8>,
        /// Where the answer goes.
        answer_to: oneshot::Sender<Answer>,
    },
}

/// Runs a host until it dies: opens its replica and feeds it what arrives.
pub async fn run(
    world: Shared,
    host: u32,
    sender: mpsc::UnboundedSender<Arrival>,
    mut inbox: mpsc::UnboundedReceiver<Arrival>,
) {
    let endpoint = Endpoint::bind(address(host)).await.expect("every host has its own address");
    if !world.borrow_mut().open(host) {
        return;
    }
    // Receiving has a task of its own: madsim's receive, dropped halfway, would lose its message.
    spawn_local(async move {
        while let Ok((payload, _)) = endpoint.recv_from_raw(TAG).await {
            let packet = *payload.downcast::<Packet>().expect("only the wire sends to hosts");
            if sender.send(Arrival::Packet(packet)).is_err() {
                return;
            }
        }
    });
    loop {
        let timer = sleep_or_wait(world.borrow().wake_after(host));
        let arrival = tokio::select! {
            biased;
            arrival = inbox.recv() => match arrival {
                Some(arrival) => Some(arrival),
                None => return,
            },
            () = timer => None,
        };
        wait_while_paused(&world, host).await;
        let is_alive = match arrival {
            Some(arrival) => take(&world, host, arrival).await,
            None => world.borrow_mut().input(host, Input::Timeout).is_alive,
        };
        wait_for_disk(&world, host).await;
        if !is_alive {
            return;
        }
    }
}

/// Nothing is dealt with while the host stands still.
async fn wait_while_paused(world: &Shared, host: u32) {
    let resumed = world.borrow().resumed(host);
    while world.borrow().is_paused(host) {
        resumed.notified().await;
    }
}

/// Nothing is dealt with, or answered, while the host waits for its disk.
async fn wait_for_disk(world: &Shared, host: u32) {
    let busy_for = world.borrow().busy_for(host);
    if let Some(busy_for) = busy_for {
        sleep(busy_for).await;
    }
}

/// Feeds the replica what arrived. Says whether the host survived.
async fn take(world: &Shared, host: u32, arrival: Arrival) -> bool {
    match arrival {
        Arrival::Packet(packet) => {
            let mut world = world.borrow_mut();
            let is_lost = !world.network.reaches(&packet);
            let Packet { from, number, bytes, .. } = packet;
            if is_lost {
                world.record(Some(host), EventKind::Missed { from, number });
                return true;
            }
            world.record(Some(host), EventKind::Received { from, number });
            if world.network.note_arrival(from, host) {
                world.record(None, EventKind::LinkCut { one: from, other: host });
            }
            world.input(host, Input::Receive { from: Peer(from), bytes }).is_alive
        }
        Arrival::Local(input, answer_to) => {
            let answer = world.borrow_mut().input(host, input);
            wait_for_disk(world, host).await;
            reply(answer, answer_to)
        }
        Arrival::Forgery { from, bytes, answer_to } => {
            let (length, digest) = (bytes.len() as u64, Digest::of(&[&bytes]));
            world.borrow_mut().record(Some(host), EventKind::Injected { from, bytes: length, digest });
            let answer = world.borrow_mut().input(host, Input::Receive { from: Peer(from), bytes });
            reply(answer, answer_to)
        }
    }
}

/// Answers whoever waits, unless the host has died.
fn reply(answer: Answer, answer_to: oneshot::Sender<Answer>) -> bool {
    let is_alive = answer.is_alive;
    if is_alive {
        // A client that stopped waiting does not want the answer.
        drop(answer_to.send(answer));
    }
    is_alive
}

/// Sleeps so long, or for ever.
async fn sleep_or_wait(duration: Option<Duration>) {
    match duration {
        Some(duration) => sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Carries messages to their hosts when they are due, for ever.
pub async fn carry(world: Shared) {
    let endpoint = std::rc::Rc::new(Endpoint::bind(wire_address()).await.expect("the wire has its own address"));
    let sent = std::rc::Rc::clone(&world.borrow().wire);
    loop {
        let now_us = world.borrow().elapsed_us();
        loop {
            let due = world.borrow_mut().network.take_due(now_us);
            let Some(packet) = due else { break };
            deliver(&world, &endpoint, packet);
        }
        let next_due_us = world.borrow().network.next_due_us();
        let timer = sleep_or_wait(next_due_us.map(|due_us| Duration::from_micros(due_us - now_us)));
        tokio::select! {
            biased;
            () = sent.notified() => {}
            () = timer => {}
        }
    }
}

fn deliver(world: &Shared, endpoint: &std::rc::Rc<Endpoint>, packet: Packet) {
    let mut world = world.borrow_mut();
    let (from, to, number) = (packet.from, packet.to, packet.number);
    if world.replica(to).is_none() || !world.network.reaches(&packet) {
        world.record(Some(to), EventKind::Missed { from, number });
        return;
    }
    let endpoint = std::rc::Rc::clone(endpoint);
    spawn_local(async move {
        // A host that dies meanwhile misses it, as on any network.
        drop(endpoint.send_to_raw(address(to), TAG, Box::new(packet)).await);
    });
}
