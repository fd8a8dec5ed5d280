//! The sudogs by which parked goroutines wait.
//!
//! A sudog in a channel's queue refers to the channel, and stale pointers to sudogs lie about: in the
//! caches of Ps and on the stacks of the runtime. But the program has no pointer to a sudog, and the
//! runtime gets at one in use from the goroutine that waits or from the object waited for, never the
//! other way round. So the sudogs of a goroutine are not read through before it is live; the
//! runtime's own leak detection hides `sudog.elem` and `sudog.c` in the same way
//! (`maybeTraceablePtr`, runtime/runtime2.go, Go 1.26 and later).

use super::goroutine::{Doing, GoroutineNow};
use crate::{
    ids::{Goid, TargetAddr},
    memory::{Gather, Memory, ReadError},
};

/// Cases of the largest select that Go allows (`selectgo`, runtime/select.go).
const MAX_CASES: usize = 1 << 16;

/// So many links are read at once: bounds the buffer.
const GROUP: usize = 16 << 10;

/// Where the chain of a goroutine's sudogs begins and goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SudogChain {
    /// `g.waiting`.
    pub first: u64,
    /// `sudog.waitlink`.
    pub next: u64,
}

impl SudogChain {
    /// The sudogs of the parked ones of `goroutines`, by goroutine.
    ///
    /// # Errors
    /// When the target is gone.
    pub(super) fn of_parked<'a>(
        self,
        memory: &dyn Memory,
        goroutines: impl Iterator<Item = &'a GoroutineNow>,
    ) -> Result<Vec<(Goid, TargetAddr)>, ReadError> {
        let mut links: Vec<(Goid, TargetAddr)> = goroutines
            .filter(|now| now.doing == Doing::Parked)
            .map(|now| (now.goid, now.g.offset(self.first)))
            .collect();
        let mut sudogs = Vec::new();
        let mut gather = Gather::new();
        for _ in 0..MAX_CASES {
            if links.is_empty() {
                break;
            }
            let mut found = Vec::new();
            // What lies between the links is read with them.
            for group in links.chunks(GROUP) {
                let ranges: Vec<_> = group.iter().map(|(_, at)| (*at, 8)).collect();
                gather.read(memory, &ranges)?;
                found.extend(group.iter().enumerate().filter_map(|(index, (goid, _))| {
                    let word = u64::from_le_bytes(gather.get(index)?.try_into().ok()?);
                    (word != 0).then_some((*goid, TargetAddr(word)))
                }));
            }
            sudogs.extend_from_slice(&found);
            links = found
                .into_iter()
                .map(|(goid, sudog)| (goid, sudog.offset(self.next)))
                .collect();
        }
        sudogs.sort_by_key(|(goid, _)| *goid);
        sudogs.shrink_to_fit();
        Ok(sudogs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FakeMemory;

    const CHAIN: SudogChain = SudogChain { first: 8, next: 16 };

    #[test]
    fn a_select_waits_by_a_chain_and_a_sleeper_by_nothing() {
        let mut memory = FakeMemory::new();
        memory.map_words(TargetAddr(0x1008), &[0x5000]);
        memory.map_words(TargetAddr(0x5010), &[0x6000]);
        memory.map_words(TargetAddr(0x6010), &[0]);
        memory.map_words(TargetAddr(0x2008), &[0]);
        let all = [
            GoroutineNow::parked(1, 0x1000),
            GoroutineNow::parked(2, 0x2000),
        ];
        let sudogs = CHAIN.of_parked(&memory, all.iter()).unwrap();
        let of_first = [0x5000, 0x6000].map(|at| (Goid(1), TargetAddr(at)));
        assert_eq!(sudogs, of_first);
    }
}
