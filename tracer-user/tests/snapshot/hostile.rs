//! Snapshots of a memory that lies: no panic, no hang, no unbounded reading.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tracer_user::{
    finding::detector,
    ids::TargetAddr,
    memory::{Memory, ReadError},
    snapshot::{Target, take},
};

use crate::go_program::{Link, Running, build, toolchain};

/// Looks for each program and rate.
const LOOKS: u64 = 150;
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

#[test]
fn a_lying_memory_yields_an_error_or_a_snapshot() {
    for version in ["1.21.13", "1.27.3"] {
        let Some(go) = toolchain(version) else { return };
        let directory = tempfile::tempdir().unwrap();
        let running = Running::start(&build(&go, "states.go", Link::Plain, directory.path()), &[]);
        let honest = running.target();
        let mut snapshots = 0;
        for one_in in [4, 50, 1000, 20_000] {
            for seed in 0..LOOKS {
                snapshots += u64::from(look(&honest, seed, one_in));
            }
        }
        assert!(
            snapshots > 0,
            "{version}: the lies were too many to test anything"
        );
    }
}

/// Whether a look at `honest` with lies in its memory came to a snapshot.
fn look(honest: &Target, seed: u64, one_in: u64) -> bool {
    let target = Target {
        memory: Arc::new(Lying {
            inner: Arc::clone(&honest.memory),
            seed,
            one_in,
            read: AtomicU64::new(0),
        }),
        ..honest.clone()
    };
    let Ok(snapshot) = take(&target) else {
        return false;
    };
    for goroutine in &snapshot.goroutines {
        assert!(goroutine.goid.0 != 0);
        assert!(goroutine.waits_on.len() <= 1 << 16);
    }
    for object in snapshot.objects.values() {
        assert!(!object.waiters.is_empty());
    }
    let _ = detector(&snapshot);
    true
}
