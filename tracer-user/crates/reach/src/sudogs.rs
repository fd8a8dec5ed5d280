//! The sudogs by which parked goroutines wait.
//!
//! A sudog in a channel's queue refers to the channel, and stale pointers to sudogs lie about: in the
//! caches of Ps and on the stacks of the runtime. But the program has no pointer to a sudog, and the
//! runtime gets at one in use from the goroutine that waits or from the object waited for, never the
//! other way round. So the sudogs of a goroutine are not read through before it is live; the
//! runtime's own leak detection hides `sudog.elem` and `sudog.c` in the same way
//! (`maybeTraceablePtr`, runtime/runtime2.go, Go 1.26 and later).

use rustc_hash::FxHashSet;

use super::goroutine::{GoroutineState, RunState};
use ids::{Goid, TargetAddr};
use memory::{Gather, Memory, ReadError};

/// Cases of the largest select that Go allows (`selectgo`, runtime/select.go).
const MAX_CASES: usize = 1 << 16;

/// Most cases of all selects together: so many in any case, and so many for each goroutine. Those
/// beyond are not hidden, so that more looks reachable than is.
const MAX_CASES_TOGETHER: usize = 1 << 18;
const MAX_CASES_EACH: usize = 64;

/// So many are read at once: bounds the buffer.
const GROUP: usize = 4 << 10;

/// Largest struct read of a goroutine or sudog.
const MAX_STRUCT: u64 = 1024;

/// Where the chain of a goroutine's sudogs begins and goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SudogChain {
    /// `g.waiting`.
    pub first: u64,
    /// `sudog.g`.
    pub owner: u64,
    /// `sudog.isSelect`.
    pub is_select: u64,
    /// `sudog.waitlink`.
    pub next: u64,
}

/// A goroutine, and a sudog by which it may wait.
#[derive(Debug, Clone, Copy)]
struct Link {
    goid: Goid,
    g: TargetAddr,
    sudog: TargetAddr,
}

impl SudogChain {
    /// Takes the offsets from `layout`.
    pub(super) fn of(layout: &image::Layout) -> Self {
        Self {
            first: layout.g.waiting,
            owner: layout.sudog.g,
            is_select: layout.sudog.is_select,
            next: layout.sudog.waitlink,
        }
    }

    /// The sudogs of the parked ones of `goroutines`, by goroutine: one of each, or one for each case
    /// of its select.
    ///
    /// # Errors
    /// When the target is gone.
    pub(super) fn of_parked<'a>(
        self,
        memory: &dyn Memory,
        goroutines: impl Iterator<Item = &'a GoroutineState>,
    ) -> Result<Vec<(Goid, TargetAddr)>, ReadError> {
        let mut gather = Gather::new();
        let mut links = self.firsts(memory, &mut gather, goroutines)?;
        let mut room = MAX_CASES_TOGETHER + MAX_CASES_EACH * links.len();
        let mut sudogs = Vec::with_capacity(links.len());
        // Of all chains: no case is followed twice, whatever the target links to what.
        let mut followed = FxHashSet::default();
        for _ in 0..MAX_CASES {
            if links.is_empty() {
                break;
            }
            let mut further = Vec::new();
            for group in links.chunks(GROUP) {
                let ranges: Vec<_> = group.iter().map(|l| (l.sudog, self.len())).collect();
                gather.read(memory, &ranges)?;
                for (index, link) in group.iter().enumerate() {
                    let Some(sudog) = gather.get(index) else {
                        continue;
                    };
                    if word(sudog, self.owner) != Some(link.g.0) {
                        continue;
                    }
                    sudogs.push((link.goid, link.sudog));
                    let next = self.next_case(sudog);
                    further.extend(
                        next.filter(|at| followed.insert(*at))
                            .map(|at| Link { sudog: at, ..*link }),
                    );
                }
            }
            further.truncate(room);
            room -= further.len();
            links = further;
        }
        sudogs.sort_unstable();
        sudogs.dedup();
        sudogs.shrink_to_fit();
        Ok(sudogs)
    }

    /// `g.waiting` of those that are parked and wait by a sudog.
    fn firsts<'a>(
        self,
        memory: &dyn Memory,
        gather: &mut Gather,
        goroutines: impl Iterator<Item = &'a GoroutineState>,
    ) -> Result<Vec<Link>, ReadError> {
        let parked: Vec<_> = goroutines
            .filter(|now| now.doing == RunState::Parked)
            .map(|now| (now.goid, now.g))
            .collect();
        let mut links = Vec::new();
        for group in parked.chunks(GROUP) {
            let at = |(_, g): &(Goid, TargetAddr)| (g.offset(self.first), 8);
            gather.read(memory, &group.iter().map(at).collect::<Vec<_>>())?;
            links.extend(group.iter().enumerate().filter_map(|(index, (goid, g))| {
                let sudog = word(gather.get(index)?, 0).filter(|at| *at != 0)?;
                Some(Link {
                    goid: *goid,
                    g: *g,
                    sudog: TargetAddr(sudog),
                })
            }));
        }
        Ok(links)
    }

    /// The next case of the same select. In a semaphore's queue the same field leads to another
    /// goroutine (`semaRoot.queue`, runtime/sema.go), and through it to all that wait there.
    fn next_case(self, sudog: &[u8]) -> Option<TargetAddr> {
        let is_select = *sudog.get(usize::try_from(self.is_select).ok()?)? != 0;
        let next = word(sudog, self.next).filter(|at| is_select && *at != 0);
        next.map(TargetAddr)
    }

    /// How many bytes of a sudog are read.
    fn len(self) -> usize {
        let last = self.owner.max(self.is_select).max(self.next);
        usize::try_from(last.min(MAX_STRUCT)).unwrap_or(0) + 8
    }
}

fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let at = usize::try_from(offset).ok()?;
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use memory::FakeMemory;

    const CHAIN: SudogChain = SudogChain {
        first: 8,
        owner: 0,
        is_select: 8,
        next: 16,
    };
    const SELECT: u64 = 1;
    const NO_SELECT: u64 = 0;

    /// A memory that counts what is read of it.
    struct Counting(FakeMemory, AtomicUsize);

    impl Memory for Counting {
        fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
            self.1.fetch_add(into.len(), Ordering::Relaxed);
            self.0.read(at, into)
        }
    }

    /// The sudogs of `count` goroutines, each of which waits by one, and how many bytes were read for
    /// them. `next` tells to which other one's sudog the `waitlink` of each leads.
    fn walk(
        count: u64,
        is_select: u64,
        next: impl Fn(u64) -> Option<u64>,
    ) -> (Vec<(Goid, TargetAddr)>, usize) {
        let g = |n: u64| 0x10_0000 + n * 0x10;
        let sudog = |n: u64| 0x1000_0000 + n * 0x20;
        let mut memory = FakeMemory::new();
        let words = |n: u64| [0, sudog(n)];
        memory.map_words(
            TargetAddr(g(0)),
            &(0..count).flat_map(words).collect::<Vec<_>>(),
        );
        let words = |n: u64| [g(n), is_select, next(n).map_or(0, sudog), 0];
        memory.map_words(
            TargetAddr(sudog(0)),
            &(0..count).flat_map(words).collect::<Vec<_>>(),
        );
        let memory = Counting(memory, AtomicUsize::new(0));
        let all: Vec<_> = (0..count)
            .map(|n| GoroutineState::parked(n, g(n)))
            .collect();
        let sudogs = CHAIN.of_parked(&memory, all.iter()).unwrap();
        (sudogs, memory.1.into_inner())
    }

    #[test]
    fn a_select_waits_by_a_chain_and_a_sleeper_by_nothing() {
        let mut memory = FakeMemory::new();
        memory.map_words(TargetAddr(0x1008), &[0x5000]);
        memory.map_words(TargetAddr(0x5000), &[0x1000, SELECT, 0x6000]);
        memory.map_words(TargetAddr(0x6000), &[0x1000, SELECT, 0]);
        memory.map_words(TargetAddr(0x2008), &[0]);
        let all = [
            GoroutineState::parked(1, 0x1000),
            GoroutineState::parked(2, 0x2000),
        ];
        let sudogs = CHAIN.of_parked(&memory, all.iter()).unwrap();
        let of_first = [0x5000, 0x6000].map(|at| (Goid(1), TargetAddr(at)));
        assert_eq!(sudogs, of_first);
    }

    #[test]
    fn twice_as_many_in_the_queue_of_a_semaphore_cost_twice_as_much() {
        let queue = |count: u64| walk(count, NO_SELECT, |n| (n + 1 < count).then_some(n + 1));
        let (few, little) = queue(2_000);
        let (many, much) = queue(4_000);
        assert_eq!((few.len(), many.len()), (2_000, 4_000));
        assert!(much <= 2 * little + 4096, "{little} and then {much} bytes");
        let (goid, sudog) = many[1_000];
        assert_eq!((goid, sudog.0), (Goid(1_000), 0x1000_0000 + 1_000 * 0x20));
    }

    #[test]
    fn a_sudog_that_leads_to_itself_is_one() {
        let (plain, _) = walk(1_000, NO_SELECT, Some);
        let (selects, read) = walk(1_000, SELECT, Some);
        assert_eq!((plain.len(), selects.len()), (1_000, 1_000));
        // Each of them twice, and what the goroutines point with.
        assert!(read < 1_000 * 100, "{read} bytes");
    }

    #[test]
    fn a_ring_through_the_selects_of_others_ends() {
        let (sudogs, read) = walk(1_000, SELECT, |n| Some((n + 1) % 1_000));
        assert_eq!(sudogs.len(), 1_000);
        assert!(read < 1_000 * 100, "{read} bytes");
    }

    #[test]
    fn made_up_cases_are_followed_up_to_a_limit() {
        // Where every second word is the goroutine and the other one leads on, cases cost little.
        const CASES: u64 = 400_000;
        let chain = SudogChain {
            first: 8,
            owner: 0,
            is_select: 0,
            next: 8,
        };
        let mut memory = FakeMemory::new();
        let at = |n: u64| 0x1000_0000 + n * 16;
        let gs: Vec<u64> = (0..8).map(|n| 0x10_0000 + n * 16).collect();
        for (number, g) in (0_u64..).zip(&gs) {
            let first = number * CASES / 8;
            memory.map_words(TargetAddr(*g), &[0, at(first)]);
            let cases = first..first + CASES / 8;
            let words = cases.flat_map(|n| [*g, at(n + 1)]).collect::<Vec<_>>();
            memory.map_words(TargetAddr(at(first)), &words);
        }
        let all: Vec<_> = gs
            .iter()
            .map(|g| GoroutineState::parked(g / 16, *g))
            .collect();
        let sudogs = chain.of_parked(&memory, all.iter()).unwrap();
        let most = MAX_CASES_TOGETHER + (MAX_CASES_EACH + 1) * gs.len();
        assert_eq!(sudogs.len(), most);
    }
}
