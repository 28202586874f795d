//! The links between hosts: what becomes of each message, and what is on its way.
//!
//! A message's [`Fate`] is drawn from a stream that belongs to that message alone. What it decides waits here, ordered by
//! when it is due, and is then carried to its host over madsim's network by the wire (see [`crate::host`]), so a
//! message outlives a sender that crashes. A partition takes what is on its way; nobody is told. Damage is left to the
//! checksum of the frame: what it refuses is lost, and comes again like anything lost.

use std::collections::{BTreeMap, BTreeSet};

use kuzusync_core::message::Message;
use serde::{Deserialize, Serialize};

use crate::options::{LinkOptions, MessageName};
use crate::seed::Seed;

/// What becomes of one message: when each of its copies arrives, in microseconds from now. Lost if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// The delay of each copy.
    pub delays_us: Vec<u64>,
    /// Whether it was held back for others to overtake.
    pub is_reordered: bool,
    /// Which of its bits arrives wrong, counted modulo its length.
    pub flipped_bit: Option<u64>,
    /// How much of the delay it waits until the link has carried what was sent before.
    pub queued_us: u64,
    /// How much of the delay the link is clogged.
    pub clogged_us: u64,
}

/// Where nothing passes. Nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partition {
    /// Between the hosts whose bit is set and the others.
    Split {
        /// Bit n stands for host n.
        group: u64,
    },
    /// From the hosts whose bit is set to the others. What the others send arrives.
    OneWay {
        /// Bit n stands for host n.
        group: u64,
    },
    /// To and from one host.
    Isolation {
        /// Which.
        host: u32,
    },
    /// Between hosts that are no neighbours when all stand in a ring by number. With a main, host 0, that leaves it
    /// hosts 1 and n − 1; the other edges are cut off, since edges have no links to each other.
    Ring {
        /// How many hosts there are.
        hosts: u32,
    },
}

impl Fate {
    /// Whether anything but time happens to the message.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.delays_us.len() != 1 || self.is_reordered || self.flipped_bit.is_some()
    }

    /// The bytes that arrive.
    fn carried(&self, sent: &[u8]) -> Vec<u8> {
        let Some(bit) = self.flipped_bit else { return sent.to_vec() };
        // A snapshot's chunk is damaged where its sender keeps it, so the checksum of its frame is right.
        if Message::is_chunk(sent)
            && let Ok(Message::Chunk { last, clock, bytes }) = Message::decode(sent)
        {
            return Message::Chunk { last, clock, bytes: flipped(&bytes, bit) }.encode();
        }
        flipped(sent, bit)
    }
}

impl Partition {
    /// Whether nothing passes from one host to another.
    #[must_use]
    pub fn cuts(self, from: u32, to: u32) -> bool {
        let is_in = |group: u64, host: u32| group.checked_shr(host).is_some_and(|bits| bits & 1 == 1);
        match self {
            Partition::Split { group } => is_in(group, from) != is_in(group, to),
            Partition::OneWay { group } => is_in(group, from) && !is_in(group, to),
            Partition::Isolation { host } => from == host || to == host,
            Partition::Ring { hosts } => {
                let apart = from.abs_diff(to);
                apart != 1 && apart != hosts - 1
            }
        }
    }
}

/// The bytes with one of their bits, counted modulo their length, turned.
fn flipped(bytes: &[u8], bit: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        let bit = bit % (8 * bytes.len() as u64);
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    }
    bytes
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The sending host.
    pub from: u32,
    /// The receiving host.
    pub to: u32,
    /// The message's number on this link.
    pub number: u64,
    /// How often the connections of its hosts had been broken when it was sent.
    pub connection: u64,
    /// What was sent.
    pub bytes: Vec<u8>,
}

/// All links.
#[derive(Debug)]
pub struct Network {
    seed: Seed,
    options: LinkOptions,
    numbers: BTreeMap<(u32, u32), u64>,
    /// When each direction of a link will have carried what was sent.
    busy_until_us: BTreeMap<(u32, u32), u64>,
    /// Links that hold everything back until then.
    clogged_until_us: BTreeMap<(u32, u32), u64>,
    latencies_us: BTreeMap<(u32, u32), u64>,
    /// Ordered by when they are due, then by when they were sent.
    on_their_way: BTreeMap<(u64, u64), Packet>,
    sent: u64,
    partition: Option<Partition>,
    /// Single links that will be cut, and how many messages still arrive over each before.
    cut_links: BTreeMap<(u32, u32), u64>,
    offline: BTreeSet<u32>,
    /// How often each host's connections were broken.
    broken: BTreeMap<u32, u64>,
    /// While links are healed: the hosts whose links are not.
    healed_but: Option<BTreeSet<u32>>,
}

impl Network {
    /// Links that behave as `options` say.
    #[must_use]
    pub fn new(seed: Seed, options: LinkOptions) -> Self {
        Network {
            seed,
            options,
            numbers: BTreeMap::new(),
            busy_until_us: BTreeMap::new(),
            clogged_until_us: BTreeMap::new(),
            latencies_us: BTreeMap::new(),
            on_their_way: BTreeMap::new(),
            sent: 0,
            partition: None,
            cut_links: BTreeMap::new(),
            offline: BTreeSet::new(),
            broken: BTreeMap::new(),
            healed_but: None,
        }
    }

    /// From now on links behave like this. What is on its way is not concerned.
    pub fn set_options(&mut self, options: LinkOptions) {
        self.options = options;
        self.latencies_us.clear();
    }

    /// From now on nothing is lost, repeated, reordered, damaged or held back, and no host is cut off, but for those that
    /// stay out: they are cut off from all others. Latencies stay.
    pub fn heal_all_but(&mut self, out: &BTreeSet<u32>) {
        self.clogged_until_us.retain(|(one, other), _| out.contains(one) || out.contains(other));
        self.end_partition();
        self.offline.retain(|host| out.contains(host));
        if !out.is_empty() {
            self.partition(Partition::Split { group: out.iter().fold(0, |group, host| group | 1 << host) });
        }
        self.healed_but = Some(out.clone());
    }

    /// Links misbehave again as their options say; nobody else is cut off until somebody is again.
    pub fn end_healing(&mut self) {
        self.healed_but = None;
    }

    fn is_healed(&self, from: u32, to: u32) -> bool {
        self.healed_but.as_ref().is_some_and(|out| !out.contains(&from) && !out.contains(&to))
    }

    /// Splits the network. There is one partition at a time: a new one takes the place of the one before.
    pub fn partition(&mut self, partition: Partition) {
        self.partition = Some(partition);
    }

    /// Ends the partition and repairs the links that were cut.
    pub fn end_partition(&mut self) {
        self.partition = None;
        self.cut_links.clear();
    }

    /// Cuts the link between two hosts once so many more messages have arrived over it, either way.
    pub fn cut_link(&mut self, one: u32, other: u32, after_messages: u64) {
        self.cut_links.insert(link(one, other), after_messages);
    }

    /// Lets the link between two hosts hold back what is sent until then, either way.
    pub fn clog(&mut self, one: u32, other: u32, until_us: u64) {
        self.clogged_until_us.insert(link(one, other), until_us);
    }

    /// A message has arrived. Says whether it is the last one before its link is cut.
    pub fn note_arrival(&mut self, from: u32, to: u32) -> bool {
        let Some(left) = self.cut_links.get_mut(&link(from, to)).filter(|left| **left > 0) else { return false };
        *left -= 1;
        *left == 0
    }

    /// Takes a host off the network or brings it back.
    pub fn set_offline(&mut self, host: u32, is_offline: bool) {
        if is_offline {
            self.offline.insert(host);
        } else {
            self.offline.remove(&host);
        }
    }

    /// Whether the host is off the network.
    #[must_use]
    pub fn is_offline(&self, host: u32) -> bool {
        self.offline.contains(&host)
    }

    /// Whether nothing passes from one host to the other.
    #[must_use]
    pub fn is_cut(&self, from: u32, to: u32) -> bool {
        let is_split = self.partition.is_some_and(|partition| partition.cuts(from, to));
        let is_link_cut = self.cut_links.get(&link(from, to)) == Some(&0);
        self.is_offline(from) || self.is_offline(to) || is_split || is_link_cut
    }

    /// Takes a message that leaves then. Returns its number on the link and what becomes of it.
    pub fn send(&mut self, leaves_us: u64, from: u32, to: u32, bytes: &[u8]) -> (u64, Fate) {
        let number = self.numbers.entry((from, to)).or_insert(0);
        *number += 1;
        let number = *number;
        let connection = self.connection(from, to);
        let fate = self.fate(leaves_us, from, to, number, bytes.len());
        for delay_us in &fate.delays_us {
            self.sent += 1;
            let packet = Packet { from, to, number, connection, bytes: fate.carried(bytes) };
            self.on_their_way.insert((leaves_us.saturating_add(*delay_us), self.sent), packet);
        }
        (number, fate)
    }

    /// The latency of one direction of a link, drawn once.
    fn latency_us(&mut self, from: u32, to: u32) -> u64 {
        let LinkOptions { latency_ms_min, latency_ms_max, .. } = self.options;
        let spread_us = (latency_ms_max - latency_ms_min) * 1_000;
        let draw = || self.seed.stream("latency", &[u64::from(from), u64::from(to)]).up_to(spread_us);
        latency_ms_min * 1_000 + *self.latencies_us.entry((from, to)).or_insert_with(draw)
    }

    /// How long a message waits for the link to carry what was sent before, and how long it takes to carry it.
    fn carrying_us(&mut self, leaves_us: u64, from: u32, to: u32, bytes: usize) -> (u64, u64) {
        let rate = self.options.bytes_per_second_max;
        if rate == 0 || self.is_healed(from, to) {
            return (0, 0);
        }
        let busy_until_us = self.busy_until_us.entry((from, to)).or_default();
        let begins_us = leaves_us.max(*busy_until_us);
        let takes_us = (bytes as u64).saturating_mul(1_000_000) / rate;
        *busy_until_us = begins_us.saturating_add(takes_us);
        (begins_us - leaves_us, takes_us)
    }

    fn fate(&mut self, leaves_us: u64, from: u32, to: u32, number: u64, bytes: usize) -> Fate {
        if self.is_cut(from, to) {
            return Fate::default();
        }
        let latency_us = self.latency_us(from, to);
        let clogged_until_us = self.clogged_until_us.get(&link(from, to)).copied().unwrap_or(0);
        let clogged_us = clogged_until_us.saturating_sub(leaves_us);
        let (queued_us, takes_us) = self.carrying_us(leaves_us, from, to, bytes);
        let options = &self.options;
        let name = MessageName { from, to, number };
        let is_spared = options.faulty_messages.as_ref().is_some_and(|faulty| !faulty.contains(&name));
        let is_healed = self.is_healed(from, to);
        let can_go_wrong = !is_healed && !is_spared;
        let mut stream = self.seed.stream("network", &[u64::from(from), u64::from(to), number]);
        let [is_lost, is_repeated, is_reordered] =
            [options.loss_permille, options.repeat_permille, options.reorder_permille]
                .map(|permille| stream.chance_permille(permille) && can_go_wrong);
        let jitter_us_max = if is_healed { 0 } else { options.jitter_ms_max * 1_000 };
        let held_us = clogged_us.saturating_add(queued_us).saturating_add(takes_us);
        let mut delay_us = || held_us.saturating_add(latency_us + stream.up_to(jitter_us_max));
        let first_us = delay_us() + if is_reordered { 3 * latency_us + 5_000 } else { 0 };
        let mut delays_us = if is_lost { Vec::new() } else { vec![first_us] };
        if is_repeated && !is_lost {
            delays_us.push(delay_us() + 2 * latency_us);
        }
        let is_damaged = stream.chance_permille(options.corrupt_permille) && can_go_wrong;
        let flipped_bit = (is_damaged && !is_lost).then(|| stream.draw());
        Fate { is_reordered: is_reordered && !is_lost, delays_us, flipped_bit, queued_us, clogged_us }
    }

    /// When the next message is due.
    #[must_use]
    pub fn next_due_us(&self) -> Option<u64> {
        self.on_their_way.keys().next().map(|(due_us, _)| *due_us)
    }

    /// Takes the next message that is due, if any.
    pub fn take_due(&mut self, now_us: u64) -> Option<Packet> {
        let entry = self.on_their_way.first_entry().filter(|entry| entry.key().0 <= now_us)?;
        Some(entry.remove())
    }

    /// What is on its way from a host and to it is lost, because its connections are: it comes back as another replica. But
    /// messages that say whose they are and for whom may be late: that is what they say it for. Not a refusal: it does not say
    /// which session it ends.
    pub fn break_connections(&mut self, host: u32) {
        *self.broken.entry(host).or_default() += 1;
    }

    /// How often the connections of either host were broken.
    fn connection(&self, from: u32, to: u32) -> u64 {
        [from, to].iter().filter_map(|host| self.broken.get(host)).sum()
    }

    /// Whether a message can still be handed over: nothing cuts its hosts off, and its connection is whole.
    #[must_use]
    pub fn reaches(&self, packet: &Packet) -> bool {
        let is_whole = packet.connection == self.connection(packet.from, packet.to);
        !self.is_cut(packet.from, packet.to) && (is_whole || outlives_its_connection(&packet.bytes))
    }

    /// How many copies are on their way between hosts that do not stay out.
    #[must_use]
    pub fn on_their_way(&self, out: &BTreeSet<u32>) -> usize {
        let concerns = |packet: &&Packet| !out.contains(&packet.from) && !out.contains(&packet.to);
        self.on_their_way.values().filter(concerns).count()
    }
}

/// Both directions of a link are one.
fn link(one: u32, other: u32) -> (u32, u32) {
    (one.min(other), one.max(other))
}

/// Whether a frame may still arrive when the connection it was sent over is broken.
fn outlives_its_connection(frame: &[u8]) -> bool {
    Message::is_tagged(frame)
        && matches!(Message::decode(frame).map(Message::untagged), Ok(Message::Changes { .. } | Message::Ack(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(options: LinkOptions) -> Network {
        Network::new(Seed(7), options)
    }

    fn fates(options: LinkOptions) -> Vec<Fate> {
        let mut network = network(options);
        (0..1_000).map(|_| network.send(0, 0, 1, b"x").1).collect()
    }

    #[test]
    fn a_good_network_delivers_everything_once_within_its_latency() {
        for fate in fates(LinkOptions::default()) {
            assert_eq!(fate.delays_us.len(), 1);
            assert!((1_000..=10_000).contains(&fate.delays_us[0]), "{fate:?}");
        }
    }

    #[test]
    fn loss_repeats_reordering_and_damage_fire_as_often_as_asked() {
        let rate = |options, fired: fn(&Fate) -> bool| fates(options).iter().filter(|fate| fired(fate)).count();
        let good = LinkOptions::default;
        let lost = rate(LinkOptions { loss_permille: 200, ..good() }, |fate| fate.delays_us.is_empty());
        let repeated = rate(LinkOptions { repeat_permille: 200, ..good() }, |fate| fate.delays_us.len() == 2);
        let reordered = rate(LinkOptions { reorder_permille: 200, ..good() }, |fate| fate.is_reordered);
        let damaged = rate(LinkOptions { corrupt_permille: 200, ..good() }, |fate| fate.flipped_bit.is_some());
        for count in [lost, repeated, reordered, damaged] {
            assert!((150..250).contains(&count), "{count} of 1000 at 200 ‰");
        }
    }

    #[test]
    fn only_the_messages_that_are_named_go_wrong_and_they_as_before() {
        let all =
            LinkOptions { loss_permille: 300, repeat_permille: 300, corrupt_permille: 300, ..LinkOptions::default() };
        let name = |place: usize| MessageName { from: 0, to: 1, number: place as u64 + 1 };
        let before = fates(all.clone());
        let faulty: Vec<usize> = (0..before.len()).filter(|place| before[*place].is_faulty()).collect();
        let every = faulty.iter().map(|place| name(*place)).collect();
        assert_eq!(fates(LinkOptions { faulty_messages: Some(every), ..all.clone() }), before);
        let first = faulty[0];
        let one = fates(LinkOptions { faulty_messages: Some([name(first)].into()), ..all.clone() });
        assert_eq!(one[first], before[first]);
        assert_eq!(one.iter().filter(|fate| fate.is_faulty()).count(), 1);
        let none = fates(LinkOptions { faulty_messages: Some([].into()), ..all });
        assert!(!none.iter().any(Fate::is_faulty));
    }

    #[test]
    fn a_fate_belongs_to_its_message_and_not_to_what_was_sent_elsewhere() {
        let options = LinkOptions { jitter_ms_max: 50, ..LinkOptions::default() };
        let (mut quiet, mut busy) = (network(options.clone()), network(options));
        (0..10).for_each(|_| drop(busy.send(0, 2, 1, b"x")));
        assert_eq!(quiet.send(0, 0, 1, b"x"), busy.send(0, 0, 1, b"x"));
    }

    #[test]
    fn each_direction_of_a_link_has_its_own_latency() {
        let mut network = network(LinkOptions { latency_ms_max: 1_000, ..LinkOptions::default() });
        let there = network.send(0, 0, 1, b"x").1.delays_us;
        assert_eq!(there, network.send(0, 0, 1, b"x").1.delays_us);
        assert_ne!(there, network.send(0, 1, 0, b"x").1.delays_us);
    }

    #[test]
    fn a_narrow_link_carries_one_message_after_the_other_and_a_healed_one_all_at_once() {
        let mut network = network(LinkOptions { bytes_per_second_max: 1_000, ..LinkOptions::default() });
        let mut waits = |leaves_us, to| network.send(leaves_us, 0, to, &[0; 100]).1.queued_us;
        assert_eq!([waits(0, 1), waits(0, 1), waits(0, 2)], [0, 100_000, 0]);
        assert_eq!([waits(150_000, 1), waits(900_000, 1)], [50_000, 0]);
        let delayed = network.send(900_000, 0, 1, &[0; 100]).1;
        assert!(delayed.delays_us[0] > 200_000 && !delayed.is_faulty(), "{delayed:?}");
        network.heal_all_but(&BTreeSet::new());
        assert_eq!(network.send(900_000, 0, 1, &[0; 100]).1.queued_us, 0);
    }

    #[test]
    fn a_clogged_link_holds_back_what_is_sent_and_lets_it_go_at_once() {
        let mut network = network(LinkOptions { latency_ms_max: 1, ..LinkOptions::default() });
        network.clog(1, 0, 50_000);
        let mut delay_us = |leaves_us, from, to| network.send(leaves_us, from, to, b"x").1.delays_us[0];
        assert_eq!(
            [delay_us(0, 0, 1), delay_us(20_000, 1, 0)],
            [51_000, 31_000],
            "both ways, and not one after the other"
        );
        assert_eq!([delay_us(50_000, 0, 1), delay_us(0, 0, 2)], [1_000, 1_000]);
        network.clog(0, 1, u64::MAX);
        network.heal_all_but(&BTreeSet::new());
        assert_eq!(network.send(0, 0, 1, b"x").1.clogged_us, 0);
    }

    #[test]
    fn damage_flips_one_bit_of_every_copy_and_nothing_else() {
        let options = LinkOptions { corrupt_permille: 1_000, repeat_permille: 1_000, ..LinkOptions::default() };
        let mut network = network(options);
        let sent = [0_u8; 40];
        let (_, fate) = network.send(0, 0, 1, &sent);
        assert_eq!(fate.delays_us.len(), 2);
        while let Some(packet) = network.take_due(u64::MAX) {
            assert_eq!(packet.bytes.len(), sent.len());
            assert_eq!(packet.bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        }
        network.send(0, 0, 1, &[]);
        assert_eq!(network.take_due(u64::MAX).map(|packet| packet.bytes), Some(Vec::new()), "nothing to damage");
    }

    /// The directions that a partition cuts among so many hosts.
    fn cut(partition: Partition, hosts: u32) -> Vec<(u32, u32)> {
        let mut network = network(LinkOptions::default());
        network.partition(partition);
        let pairs = (0..hosts).flat_map(|from| (0..hosts).map(move |to| (from, to))).filter(|(from, to)| from != to);
        let cut = pairs.clone().filter(|(from, to)| network.is_cut(*from, *to)).collect();
        network.end_partition();
        assert!(pairs.into_iter().all(|(from, to)| !network.is_cut(from, to)), "all of them end");
        cut
    }

    #[test]
    fn each_kind_of_partition_cuts_what_it_says() {
        assert_eq!(cut(Partition::Split { group: 0b011 }, 3), [(0, 2), (1, 2), (2, 0), (2, 1)]);
        assert_eq!(cut(Partition::OneWay { group: 0b011 }, 3), [(0, 2), (1, 2)]);
        assert_eq!(cut(Partition::Isolation { host: 1 }, 3), [(0, 1), (1, 0), (1, 2), (2, 1)]);
        assert_eq!(cut(Partition::Ring { hosts: 4 }, 4), [(0, 2), (1, 3), (2, 0), (3, 1)]);
        assert_eq!(cut(Partition::Ring { hosts: 3 }, 3), [], "in a ring of three all are neighbours");
        assert_eq!(cut(Partition::Split { group: 1 << 63 }, 2), []);
    }

    #[test]
    fn the_last_partition_counts_and_offline_hosts_are_cut_off_until_healed() {
        let mut network = network(LinkOptions::default());
        network.partition(Partition::Isolation { host: 0 });
        network.partition(Partition::Isolation { host: 2 });
        assert!(network.is_cut(1, 2) && !network.is_cut(0, 1));
        network.end_partition();
        network.set_offline(1, true);
        assert!(network.is_cut(0, 1) && network.is_cut(1, 2) && !network.is_cut(0, 2));
        network.heal_all_but(&BTreeSet::new());
        assert!(!network.is_cut(0, 1));
    }

    #[test]
    fn a_link_is_cut_after_as_many_messages_as_asked_either_way() {
        let mut network = network(LinkOptions::default());
        network.cut_link(1, 0, 2);
        assert!(!network.note_arrival(0, 1) && !network.note_arrival(0, 2) && !network.is_cut(0, 1));
        assert!(network.note_arrival(1, 0) && network.is_cut(0, 1) && network.is_cut(1, 0) && !network.is_cut(0, 2));
        network.cut_link(0, 2, 0);
        assert!(network.is_cut(0, 2));
        network.end_partition();
        assert!(!network.is_cut(0, 1) && !network.is_cut(0, 2));
    }

    #[test]
    fn broken_connections_take_what_is_on_its_way_over_them() {
        let mut network = network(LinkOptions::default());
        let send = |network: &mut Network| {
            [(0, 1), (1, 2), (2, 0)].iter().for_each(|(from, to)| drop(network.send(0, *from, *to, b"x")));
        };
        send(&mut network);
        network.break_connections(1);
        let arrived = |network: &mut Network| {
            let packets = std::iter::from_fn(|| network.take_due(u64::MAX)).collect::<Vec<_>>();
            packets
                .into_iter()
                .filter(|packet| network.reaches(packet))
                .map(|packet| packet.to)
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(arrived(&mut network), [0].into());
        send(&mut network);
        assert_eq!(arrived(&mut network), [0, 1, 2].into(), "over new connections");
    }

    #[test]
    fn healing_ends_loss_until_it_is_itself_ended() {
        let mut network = network(LinkOptions { loss_permille: 1_000, ..LinkOptions::default() });
        let is_lost = |network: &mut Network| network.send(0, 0, 1, b"x").1.delays_us.is_empty();
        assert!(is_lost(&mut network));
        network.heal_all_but(&BTreeSet::new());
        assert!(!is_lost(&mut network));
        network.end_healing();
        assert!(is_lost(&mut network));
    }

    #[test]
    fn messages_come_out_in_the_order_they_are_due() {
        let mut network = network(LinkOptions { jitter_ms_max: 100, ..LinkOptions::default() });
        (0..20).for_each(|_| drop(network.send(0, 0, 1, b"x")));
        assert!(network.take_due(0).is_none());
        let mut last_us = 0;
        while let Some(due_us) = network.next_due_us() {
            assert!(due_us >= last_us && network.take_due(due_us).is_some());
            last_us = due_us;
        }
        assert_eq!(network.on_their_way(&BTreeSet::new()), 0);
    }
}
