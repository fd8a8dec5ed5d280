//! Whole looks at a memory that lies: no panic, no hang, no unbounded reading.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use libtest_mimic::Trial;
use testing::go::{Flavour, NEWEST};
use tracer_user::{
    finding::{Evidence, HeapWalker as _, Options, diagnose},
    graph::GoroutineNode,
    holders::{Analyzer, holders},
    ids::TargetAddr,
    memory::{Memory, ReadError},
    process::Process,
    reach::{self, Prover},
    snapshot::{Snapshot, Target, take},
};

use crate::{
    running::{Running, build},
    trial,
};

/// Looks for each program and rate.
const LOOKS: u64 = 150;
/// One snapshot of so many is looked into further, which takes longer.
const ONE_IN_WHOLE: u64 = 5;
/// No walk of the heap is to go on for longer.
const WALK_LIMIT: Duration = Duration::from_millis(500);
/// Most bytes one look at the small program may read, whatever its memory says.
const BYTES_LIMIT: u64 = 2 << 30;

/// A live memory in which one word of `one_in` is replaced, the same each time it is read.
struct Lying {
    inner: Arc<dyn Memory>,
    seed: u64,
    one_in: u64,
    read: AtomicU64,
}

impl Lying {
    /// What the word at `at` is said to be; `None` for the truth.
    fn lie(&self, at: u64, truth: u64) -> Option<u64> {
        let dice = scramble(self.seed ^ scramble(at));
        dice.is_multiple_of(self.one_in)
            .then(|| match (dice >> 32) % 8 {
                0 => 0,
                1 => u64::MAX,
                2 => scramble(dice),
                3 => at,
                4 => at & !0xff,
                5 => truth.wrapping_add(8),
                6 => truth ^ (1 << ((dice >> 40) % 64)),
                _ => truth.rotate_left(16),
            })
    }
}

/// A few rounds of a multiplicative hash: the test must be the same each time for one seed.
fn scramble(value: u64) -> u64 {
    let value = (value ^ (value >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (value ^ (value >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (value >> 32)
}

impl Memory for Lying {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let read = self.read.fetch_add(into.len() as u64, Ordering::Relaxed);
        assert!(read < BYTES_LIMIT, "reads without end (seed {})", self.seed);
        self.inner.read(at, into)?;
        let skip = at.0.wrapping_neg() as usize % 8;
        let Some(aligned) = into.get_mut(skip..) else {
            return Ok(());
        };
        for (index, word) in aligned.chunks_exact_mut(8).enumerate() {
            let place = at.0.wrapping_add((skip + 8 * index) as u64);
            let truth = u64::from_le_bytes(word.try_into().unwrap());
            if let Some(lie) = self.lie(place, truth) {
                word.copy_from_slice(&lie.to_le_bytes());
            }
        }
        Ok(())
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    let trials = ["1.21.13", NEWEST].map(|version| {
        trial(
            version,
            "a lying memory yields an error or a diagnosis",
            || {
                a_lying_memory_yields_an_error_or_a_diagnosis(version);
            },
        )
    });
    trials.into()
}

fn a_lying_memory_yields_an_error_or_a_diagnosis(version: &'static str) {
    let running = Running::start(&build(version, "states.go", Flavour::Plain), &[]);
    let honest = running.target();
    let analyzer = Analyzer::new(Arc::clone(&honest.image));
    let (mut snapshots, mut walks) = (0, 0);
    for one_in in [4, 50, 1000, 20_000] {
        for seed in 0..LOOKS {
            let target = lying(&honest, seed, one_in);
            let Ok(snapshot) = take(&target) else {
                continue;
            };
            snapshots += 1;
            check(&snapshot);
            if seed % ONE_IN_WHOLE == 0 {
                walks += u64::from(look_further(&target, &analyzer, snapshot));
            }
        }
    }
    assert!(
        snapshots > 0 && walks > 0,
        "{version}: the lies were too many to test anything"
    );
}

fn lying(honest: &Target, seed: u64, one_in: u64) -> Target {
    Target {
        memory: Arc::new(Lying {
            inner: Arc::clone(&honest.memory),
            seed,
            one_in,
            read: AtomicU64::new(0),
        }),
        ..honest.clone()
    }
}

fn check(snapshot: &Snapshot) {
    for goroutine in &snapshot.goroutines {
        assert!(goroutine.goid.0 != 0);
        assert!(goroutine.waits_on.len() <= 1 << 16);
    }
    for object in snapshot.objects.values() {
        assert!(!object.waiters.is_empty());
    }
}

/// Everything that a look does with its snapshot. Whether the heap could be walked.
fn look_further(target: &Target, analyzer: &Analyzer, snapshot: Snapshot) -> bool {
    let snapshot = Arc::new(snapshot);
    let locks = analyzer.locks(target, &snapshot, &snapshot.goroutines);
    let evidence = || Evidence {
        process: Process::open(target.pid).unwrap().key,
        cpu_limit: None,
        snapshot: Arc::clone(&snapshot),
        holders: holders(&snapshot, &locks),
        pending: locks.pending.clone(),
        main_rests: snapshot.goroutines.iter().any(|g| analyzer.rests(g)),
        one_moment: false,
        watched: None,
    };
    let options = reach::Options {
        limit: WALK_LIMIT,
        ..reach::Options::default()
    };
    let mut walker = Prover::new(target, Arc::clone(&snapshot), options);
    let image = &*target.image;
    let earlier = diagnose(evidence(), None, None, image, &Options::default());
    let _ = diagnose(
        evidence(),
        Some(&mut walker),
        Some(&earlier),
        image,
        &Options::default(),
    );
    let nodes: Vec<GoroutineNode> = Vec::new();
    walker.solve(&nodes, &[]).is_ok()
}
