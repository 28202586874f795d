//! Messages from an enemy, found by coverage: libFuzzer edits frames that two replicas really sent, each edit is sealed
//! with a checksum that passes, and one of the replicas gets them. The test `hostile` states what must hold.
//!
//! It needs neither a nightly compiler nor cargo-fuzz. From this folder, for a minute:
//!
//! ```sh
//! CARGO_TARGET_DIR=~/.cache/kuzusync/fuzz cargo run --release -- -max_total_time=60
//! ```
//!
//! A failing input is written to `crash-…`; the same command with that file instead of the option runs it again.
#![no_main]

#[path = "../tests/hostile/meeting.rs"]
mod meeting;

use kuzusync_core::block::Compression;
use kuzusync_core::message::Message;
use libfuzzer_sys::fuzz_target;
use meeting::{HEADER_BYTES, Meeting, PAIRS, sealed};

fuzz_target!(|data: &[u8]| {
    let mut data = data.iter().copied();
    let Some(roles) = data.next() else { return };
    let mut meeting = Meeting::new(PAIRS[usize::from(roles) % PAIRS.len()]);
    while let Some(bytes) = frame(&mut data, &meeting.frames) {
        let host = &mut meeting.hosts[0];
        let held: Vec<_> = host.replica.log().changes().cloned().collect();
        let (answers, _) = host.receive(bytes);
        answers.iter().for_each(|answer| drop(Message::decode(answer).expect("what it says can be read")));
        assert!(host.replica.log().changes().take(held.len()).eq(&held), "what it held before");
        host.check();
    }
    meeting.connect();
    meeting.hosts.iter().for_each(meeting::Host::check);
});

/// One of the frames that were sent, edited as the data say: which frame, how many edits, and for each where it begins,
/// how many bytes it takes out and which bytes it puts in.
fn frame(data: &mut impl Iterator<Item = u8>, frames: &[Vec<u8>]) -> Option<Vec<u8>> {
    let sent = &frames[usize::from(data.next()?) % frames.len()];
    // Not compressed, or little of an edit would be more than damage to zstd.
    let sent = &Message::decode(sent).ok()?.encode_with(Compression::None);
    let mut body = sent[HEADER_BYTES..].to_vec();
    for _ in 0..data.next()? % 8 {
        let place = usize::from(u16::from_le_bytes([data.next()?, data.next()?]));
        let from = place % (body.len() + 1);
        let until = body.len().min(from + usize::from(data.next()? % 32));
        let count = usize::from(data.next()? % 32);
        let put_in: Vec<u8> = data.by_ref().take(count).collect();
        body.splice(from..until, put_in);
    }
    Some(sealed(sent, &body))
}
