//! Two sets that differ in a few elements: bytes, messages and time until one side knows in which.
//!
//! Elements are heads of authors for the engine, identities of 32 bytes with an instant for negentropy, and 16 bytes for
//! riblt, whose symbols it streams one by one; its bytes are those of the symbols alone, 32 for each.

use criterion::Criterion;
use kuzusync_core::clock::Seen;
use kuzusync_core::id::{ChangeId, Digest, ReplicaId};
use kuzusync_core::summary::{Asking, Compared, Told, WHOLE_HEADS_MAX};
use merkle_search_tree::MerkleSearchTree;
use merkle_search_tree::diff::diff;
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use riblt::{RatelessIBLT, Symbol, UnmanagedRatelessIBLT};

fn name(number: u64) -> [u8; 16] {
    Digest::of(&[b"author", &number.to_le_bytes()]).0
}

/// Which elements one side lacks, and how a person calls that.
struct Work {
    name: &'static str,
    elements: u64,
    missing: u64,
    is_missing: fn(u64) -> bool,
}

const WORK: [Work; 3] = [
    Work { name: "10 of 10,000, the last", elements: 10_000, missing: 10, is_missing: |number| number >= 9_990 },
    Work { name: "10 of 10,000, all over", elements: 10_000, missing: 10, is_missing: |number| number % 1_000 == 517 },
    Work {
        name: "1,000 of 1,000,000, all over",
        elements: 1_000_000,
        missing: 1_000,
        is_missing: |number| number % 1_000 == 517,
    },
];

/// Keys of sessions that are tried for a median; each is a session of its own.
const KEYS: u8 = 101;

/// What it took.
struct Took {
    found: usize,
    bytes: usize,
    messages: usize,
}

// ---- the engine ----

fn seen(work: &Work, lacks: bool) -> Seen {
    let numbers = (0..work.elements).filter(|number| !lacks || !(work.is_missing)(*number));
    numbers.map(|number| ChangeId { replica: ReplicaId(name(number)), seq: 1 }).collect()
}

fn engine(whole: &Seen, less: &Seen, seed: u8) -> Took {
    let mut asking = Asking::default();
    let mut took = Took { found: 0, bytes: 0, messages: 0 };
    for attempt in 0.. {
        let told = asking.tell(whole, [seed, attempt, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], WHOLE_HEADS_MAX);
        let Told::Summary(summary) = told else {
            // No sketch is long enough: all heads are told, 16 bytes of a name and one of a number each.
            took.bytes += 17 * whole.heads().count();
            took.messages += 1;
            took.found = whole.heads().filter(|head| !less.passes(*head)).count();
            return took;
        };
        took.bytes += postcard::to_stdvec(&summary).unwrap().len();
        took.messages += 2;
        match summary.compare(less).unwrap() {
            Compared::Unclear { differences_min } => {
                took.bytes += 16 + 3;
                asking.continue_after(&summary.key, differences_min);
            }
            Compared::Clear { answer, .. } => {
                took.bytes += postcard::to_stdvec(&answer).unwrap().len();
                let (theirs, _) = asking.conclude(&answer).unwrap();
                took.found = whole.heads().count() - theirs.heads().count();
                return took;
            }
        }
    }
    unreachable!("it ends")
}

// ---- the peers ----

fn storage(work: &Work, lacks: bool) -> NegentropyStorageVector {
    let mut storage = NegentropyStorageVector::new();
    for number in (0..work.elements).filter(|number| !lacks || !(work.is_missing)(*number)) {
        let mut id = [0; 32];
        id[..16].copy_from_slice(&name(number));
        id[16..].copy_from_slice(&name(number + work.elements));
        storage.insert(1_700_000_000 + number, Id::from_byte_array(id)).unwrap();
    }
    storage.seal().unwrap();
    storage
}

fn negentropy(whole: &NegentropyStorageVector, less: &NegentropyStorageVector) -> Took {
    let mut asks = Negentropy::borrowed(whole, 0).unwrap();
    let mut answers = Negentropy::borrowed(less, 0).unwrap();
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let mut question = asks.initiate().unwrap();
    let mut took = Took { found: 0, bytes: 0, messages: 0 };
    loop {
        let answer = answers.reconcile(&question).unwrap();
        took.bytes += question.len() + answer.len();
        took.messages += 2;
        match asks.reconcile_with_ids(&answer, &mut have, &mut need).unwrap() {
            Some(next) => question = next,
            None => break,
        }
    }
    took.found = have.len() + need.len();
    took
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sixteen([u8; 16]);

impl Symbol for Sixteen {
    const BYTE_ARRAY_LENGTH: usize = 16;

    fn encode_to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn decode_from_bytes(bytes: &Vec<u8>) -> Self {
        Sixteen(bytes.as_slice().try_into().unwrap())
    }
}

fn riblt(work: &Work) -> Took {
    let symbols = |lacks: bool| {
        let numbers = (0..work.elements).filter(move |number| !lacks || !(work.is_missing)(*number));
        numbers.map(|number| Sixteen(name(number)))
    };
    let mut whole = RatelessIBLT::new(symbols(false));
    let mut less = RatelessIBLT::new(symbols(true));
    let mut cells = work.missing as usize;
    loop {
        cells += 1 + cells / 50;
        let mut first = UnmanagedRatelessIBLT::new();
        first.coded_symbols = (0..cells).map(|cell| whole.get_coded_symbol(cell)).collect();
        let mut other = UnmanagedRatelessIBLT::new();
        other.coded_symbols = (0..cells).map(|cell| less.get_coded_symbol(cell)).collect();
        let mut difference = first.collapse(&other);
        let peeled = difference.peel_all_symbols();
        if difference.is_empty() {
            return Took { found: peeled.len(), bytes: cells * 32, messages: 1 };
        }
    }
}

/// One sends the digests of its pages, and the other finds the ranges to ask for; then all keys of those ranges go across.
fn tree(work: &Work, lacks: bool) -> MerkleSearchTree<Name, ()> {
    let mut tree = MerkleSearchTree::default();
    for number in (0..work.elements).filter(|number| !lacks || !(work.is_missing)(*number)) {
        tree.upsert(Name(name(number)), &());
    }
    tree.root_hash();
    tree
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Name([u8; 16]);

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn merkle(whole: &MerkleSearchTree<Name, ()>, less: &MerkleSearchTree<Name, ()>, keys: &[Name]) -> Took {
    let pages = whole.serialise_page_ranges().expect("its root is hashed");
    // Each page has a first and a last key and a digest of 16 bytes.
    let mut took = Took { found: 0, bytes: pages.len() * 48, messages: 3 };
    let lacking = diff(less.serialise_page_ranges().expect("its root is hashed"), pages);
    let held: std::collections::BTreeSet<&Name> = less.node_iter().map(|node| node.key()).collect();
    for range in lacking {
        let start = keys.partition_point(|key| key < range.start());
        let asked = keys[start..].iter().take_while(|key| *key <= range.end());
        took.bytes += 32;
        for key in asked {
            took.bytes += 16;
            took.found += usize::from(!held.contains(key));
        }
    }
    took
}

fn told(who: &str, work: &Work, took: &Took) {
    assert_eq!(took.found as u64, work.missing, "{who} finds another number");
    println!("{:<32} {who:<12} {:>8} bytes, {} messages", work.name, took.bytes, took.messages);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    for work in &WORK {
        let (whole, less) = (seen(work, false), seen(work, true));
        let keys = if work.elements > 100_000 { 3 } else { KEYS };
        let took = (0..keys).map(|seed| engine(&whole, &less, seed));
        let mut sizes: Vec<(usize, usize)> = took.map(|took| (took.bytes, took.messages)).collect();
        sizes.sort_unstable();
        let took = engine(&whole, &less, 0);
        told("kuzusync", work, &took);
        let (median, worst) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
        println!("{:<32} {:<12} of {} keys: median {median:?}, worst {worst:?}", "", "", sizes.len());
        let (all, some) = (storage(work, false), storage(work, true));
        told("negentropy", work, &negentropy(&all, &some));
        let (full, lacking) = (tree(work, false), tree(work, true));
        let mut names: Vec<Name> = (0..work.elements).map(|number| Name(name(number))).collect();
        names.sort_unstable();
        told("merkle tree", work, &merkle(&full, &lacking, &names));
        let mut group = criterion.benchmark_group(work.name);
        group.bench_function("kuzusync", |bencher| bencher.iter(|| engine(&whole, &less, 0)));
        group.bench_function("negentropy", |bencher| bencher.iter(|| negentropy(&all, &some)));
        group.bench_function("merkle-search-tree", |bencher| bencher.iter(|| merkle(&full, &lacking, &names)));
        // It is given one length of sketch after another here, which a million symbols make slow.
        if work.elements <= 100_000 {
            told("riblt", work, &riblt(work));
            group.bench_function("riblt", |bencher| bencher.iter(|| riblt(work)));
        }
        group.finish();
    }
    criterion.final_summary();
}
