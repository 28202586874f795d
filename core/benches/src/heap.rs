//! How much memory somebody holds: an allocator that counts for whoever asks, and for nobody else.
//!
//! A [`Tally`] belongs to one party, a replica say. While [`Tally::during`] runs, what this thread asks of the allocator and
//! gives back goes on that party's account; its peak is the most it held at any moment. Other threads and other parties
//! are not seen, so the same work counts the same on every machine and at every load. Bytes are those that were asked for:
//! what an allocator keeps in reserve is the process's affair, see [`resident_bytes`]. What C libraries take from the system,
//! zstd's tables and all of Kùzu, does not come by here either.
//!
//! Crates that count what a process holds as a whole do not tell a replica from its peer in the same process, nor from what
//! ran before.

#![expect(unsafe_code, reason = "an allocator cannot be written without; this one hands everything on as it is")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

thread_local! {
    // Without a destructor and made at compile time: an allocator may look at it at any moment of a thread's life.
    static COUNTED: Cell<Option<Tally>> = const { Cell::new(None) };
}

/// What one party holds, in bytes. Less than nothing if it gives back what another asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Now.
    pub held: i64,
    /// At the moment when it was most.
    pub peak: i64,
}

impl Tally {
    /// Puts on this account what `work` asks for and gives back. Not within itself.
    pub fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let outer = COUNTED.replace(Some(*self));
        assert!(outer.is_none(), "one account at a time");
        let done = work();
        *self = COUNTED.replace(None).unwrap_or(*self);
        done
    }

    fn add(&mut self, bytes: i64) {
        self.held += bytes;
        self.peak = self.peak.max(self.held);
    }
}

/// An allocator that has another do the work and counts. To be declared as the `#[global_allocator]` of a program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting<A>(pub A);

fn count(bytes: i64) {
    // A thread that ends has no account.
    let counted = COUNTED.try_with(Cell::get).ok().flatten();
    if let Some(mut tally) = counted {
        tally.add(bytes);
        COUNTED.set(Some(tally));
    }
}

/// No size is more than [`isize::MAX`].
fn size(layout: Layout) -> i64 {
    layout.size() as i64
}

// SAFETY: every call goes to the inner allocator with the arguments it came with, and its answer comes back unchanged.
// Counting allocates nothing.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: as this was called.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-size(layout));
        // SAFETY: as this was called.
        unsafe { self.0.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        // SAFETY: as this was called.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Where a block cannot grow in its place there are two of them for a moment.
        count(new_size as i64);
        count(-size(layout));
        // SAFETY: as this was called.
        unsafe { self.0.realloc(place, layout, new_size) }
    }
}

/// What this process has in memory, and the most it ever had, in bytes, as the system tells. Nothing where it does not.
#[must_use]
pub fn resident_bytes() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib << 10)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counting<std::alloc::System> = Counting(std::alloc::System);

    fn block(bytes: usize) -> Vec<u8> {
        std::hint::black_box(Vec::with_capacity(bytes))
    }

    #[test]
    fn the_peak_is_the_most_that_was_held_at_once() {
        let mut tally = Tally::default();
        tally.during(|| drop(block(5_000)));
        let kept = tally.during(|| [block(2_000), block(1_000)]);
        assert_eq!(tally, Tally { held: 3_000, peak: 5_000 });
        tally.during(|| drop(kept));
        assert_eq!(tally, Tally { held: 0, peak: 5_000 });
    }

    #[test]
    fn a_block_that_grows_may_be_there_twice() {
        let mut tally = Tally::default();
        let mut grown = tally.during(|| block(1_000));
        tally.during(|| grown.reserve_exact(4_000));
        assert_eq!(tally, Tally { held: 4_000, peak: 5_000 });
    }

    #[test]
    fn what_others_hold_is_on_no_account() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        let foreign = block(100);
        let far_away = || std::thread::spawn(|| block(1 << 20)).join().map(|block| block.capacity());
        // Starting a thread takes a little.
        assert!(one.during(far_away).is_ok() && one.peak < 1 << 16, "{one:?}");
        other.during(|| drop(foreign));
        assert_eq!(other, Tally { held: -100, peak: 0 });
    }

    #[test]
    #[should_panic(expected = "one account at a time")]
    fn an_account_within_another_is_a_mistake() {
        Tally::default().during(|| Tally::default().during(|| ()));
    }

    #[test]
    fn a_process_knows_what_it_holds() {
        let Some((now, most)) = resident_bytes() else { return };
        assert!(now > 1 << 16 && most >= now / 2, "{now} and {most}");
    }
}
