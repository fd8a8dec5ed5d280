//! The semaphores' table of waiters, `runtime.semtable`.
//!
//! Before Go 1.26 a goroutine that waits for a semaphore does not point to its `sudog`; only the
//! table does (`runtime/sema.go`). It has 251 roots; each is a treap of `sudog`s, one for each
//! semaphore address, with `prev` and `next` for children; further waiters for the same address
//! hang on `waitlink`.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Target, fields::Fields, sudog::Sudog};
use ids::TargetAddr;
use image::{SEMTABLE_ENTRIES, semtable_stride};
use memory::{CachedMemory, Memory, MemoryExt as _, ReadError};

/// Most entries followed beyond twice the number of goroutines, each of which stands in one queue.
const SPARE: usize = 4096;
/// Most entries followed by a glance, which is to cost little.
const GLANCE_LIMIT: usize = 4096;

/// A goroutine in the queue of a semaphore, which is how waits for `sync.Mutex`, `RWMutex` and
/// `WaitGroup` end up (`runtime/sema.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SemaphoreWaiter {
    /// Its `g`.
    pub g: TargetAddr,
    /// Its entry in the queue. Another wait has, as a rule, another.
    pub sudog: TargetAddr,
    /// The semaphore: a field of the lock.
    pub semaphore: TargetAddr,
}

/// Who waits for semaphores at this moment, of some thousands. Takes about 6 µs of CPU where nobody
/// does, and half a microsecond for each who does (`examples/lock_holders.rs` measures it). `None`
/// where the table's place is not known.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn semaphore_waiters(target: &Target) -> Result<Option<Vec<SemaphoreWaiter>>, ReadError> {
    let waits = walk_some(target, GLANCE_LIMIT)?;
    Ok(waits.map(|waits| {
        let waiters = waits.into_iter().map(|(g, sudog)| SemaphoreWaiter {
            g,
            sudog: sudog.at,
            semaphore: sudog.elem,
        });
        waiters.collect()
    }))
}

/// Which `g` waits with which sudog.
pub(super) type SemaphoreWaits = FxHashMap<TargetAddr, Sudog>;

/// The waiters that are in the table before and after; `earlier` is an earlier walk.
pub(super) fn unchanged(mut earlier: SemaphoreWaits, later: &SemaphoreWaits) -> SemaphoreWaits {
    earlier.retain(|g, sudog| {
        let same = |now: &Sudog| now.at == sudog.at && now.elem == sudog.elem;
        later.get(g).is_some_and(same)
    });
    earlier
}

/// Walks the whole table, where about so many `goroutines` may wait. What changes meanwhile may be
/// missed, or seen twice with the later place kept.
pub(super) fn walk(
    target: &Target,
    goroutines: usize,
) -> Result<Option<SemaphoreWaits>, ReadError> {
    walk_some(target, 2 * goroutines + SPARE)
}

fn walk_some(target: &Target, limit: usize) -> Result<Option<SemaphoreWaits>, ReadError> {
    let Some(table) = target.image.globals().semtable else {
        return Ok(None);
    };
    let table = table.in_target(target.bias);
    let stride = semtable_stride(target.image.arch(), target.image.go_version());
    let treap = target.image.layout().sema_root.treap;
    let bytes = usize::try_from(SEMTABLE_ENTRIES * stride).unwrap_or(0);
    let roots = target.memory.read_vec(table, bytes, bytes)?;
    let mut walk = Walk {
        target,
        memory: CachedMemory::new(&*target.memory),
        limit,
        seen: FxHashSet::default(),
        waits: FxHashMap::default(),
    };
    for root in 0..SEMTABLE_ENTRIES {
        walk.treap(Fields(&roots).addr(root * stride + treap))?;
    }
    Ok(Some(walk.waits))
}

struct Walk<'target> {
    target: &'target Target,
    memory: CachedMemory<&'target dyn Memory>,
    /// Most entries seen.
    limit: usize,
    seen: FxHashSet<TargetAddr>,
    waits: SemaphoreWaits,
}

impl Walk<'_> {
    /// The sudog at `at` when it has not been seen before and is readable.
    fn visit(&mut self, at: TargetAddr) -> Result<Option<Sudog>, ReadError> {
        if at.is_nil() || self.seen.len() >= self.limit || !self.seen.insert(at) {
            return Ok(None);
        }
        let layout = self.target.image.layout();
        let len = Sudog::len(layout);
        match self.memory.read_vec(at, len, len) {
            Ok(bytes) => Ok(Some(Sudog::decode(at, &bytes, layout))),
            Err(error) if error.is_final() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn treap(&mut self, root: TargetAddr) -> Result<(), ReadError> {
        let mut nodes = vec![root];
        while let Some(node) = nodes.pop() {
            let Some(first) = self.visit(node)? else {
                continue;
            };
            nodes.push(first.prev);
            nodes.push(first.next);
            let mut waiter = Some(first);
            // Every waiter of a list carries the list's address; another one shows a torn read.
            while let Some(sudog) = waiter.filter(|sudog| sudog.elem == first.elem) {
                self.waits.insert(sudog.g, sudog);
                waiter = self.visit(sudog.wait_link)?;
            }
        }
        Ok(())
    }
}
