//! Which condition variable a goroutine waits on, before Go 1.26.
//!
//! Only from Go 1.26 on does a goroutine in `Cond.Wait` point to its `sudog`. Before, the address of
//! the `sync.Cond` lies somewhere in the frame of `Cond.Wait` or in the slot where it spilled its
//! receiver, just above the frame. A word there is the Cond's address when the list that it would
//! have contains the goroutine, which no other word can achieve.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Goroutine, Target, fields::Fields, sudog::Sudog, waits::Entry};
use ids::TargetAddr;
use image::WaitReason;
use memory::{CachedMemory, MIN_POINTER, Memory, MemoryExt as _, ReadError, words};

/// Frames looked at: `gopark`, `notifyListWait`, `Cond.Wait`.
const FRAMES_LIMIT: usize = 4;
/// Most bytes of them.
const BYTES_LIMIT: usize = 1 << 10;
/// Offset of `notify.head` in `sync.Cond`.
const HEAD: u64 = 32;
/// Offset of `notify` in `sync.Cond`.
const NOTIFY: u64 = 16;
/// Most entries followed beyond twice the number of goroutines, each of which stands in one list.
const SPARE: usize = 1 << 16;

/// The queue entries of all goroutines in `Cond.Wait` whose Cond can be found.
pub(super) fn entries(target: &Target, goroutines: &[Goroutine]) -> Result<Vec<Entry>, ReadError> {
    let mut search = Search {
        target,
        memory: CachedMemory::new(&*target.memory),
        tried: FxHashSet::default(),
        found: FxHashMap::default(),
        room: 2 * goroutines.len() + SPARE,
    };
    let mut entries = Vec::new();
    for (index, goroutine) in goroutines.iter().enumerate() {
        if goroutine.wait_reason != Some(WaitReason::CondWait) {
            continue;
        }
        search.look_for(goroutine)?;
        if let Some(sudog) = search.found.get(&goroutine.g) {
            entries.push(Entry {
                goroutine: u32::try_from(index).unwrap_or(u32::MAX),
                sudog: *sudog,
            });
        }
    }
    Ok(entries)
}

struct Search<'target> {
    target: &'target Target,
    memory: CachedMemory<&'target dyn Memory>,
    /// Words that were looked at, whatever came of it.
    tried: FxHashSet<TargetAddr>,
    /// The sudog of every goroutine in a list that was found, with the list's address for `elem`.
    found: FxHashMap<TargetAddr, Sudog>,
    /// So many entries may still be followed: words that are no Cond may lead anywhere.
    room: usize,
}

impl Search<'_> {
    fn look_for(&mut self, goroutine: &Goroutine) -> Result<(), ReadError> {
        if self.found.contains_key(&goroutine.g) {
            return Ok(());
        }
        let Some(last) = goroutine.stack.frames.iter().take(FRAMES_LIMIT).next_back() else {
            return Ok(());
        };
        let len = usize::try_from(last.fp_offset)
            .unwrap_or(BYTES_LIMIT)
            .min(BYTES_LIMIT)
            + 8;
        let stack = match self.memory.read_vec(goroutine.sp, len, len) {
            Ok(stack) => stack,
            Err(error) if error.is_final() => return Err(error),
            Err(_) => return Ok(()),
        };
        for candidate in words(&stack).map(TargetAddr) {
            if candidate.0.is_multiple_of(8)
                && candidate.0 >= MIN_POINTER
                && self.tried.insert(candidate)
            {
                self.follow(candidate)?;
                if self.found.contains_key(&goroutine.g) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Follows the list that `cond` has if it is a Cond, and keeps it when it ends where it should.
    fn follow(&mut self, cond: TargetAddr) -> Result<(), ReadError> {
        let mut ends = [0; 16];
        match self.memory.read(cond.offset(HEAD), &mut ends) {
            Ok(()) => {}
            Err(error) if error.is_final() => return Err(error),
            Err(_) => return Ok(()),
        }
        let (head, tail) = (Fields(&ends).addr(0), Fields(&ends).addr(8));
        let layout = self.target.image.layout();
        let len = Sudog::len(layout);
        let mut list: Vec<Sudog> = Vec::new();
        let mut seen = FxHashSet::default();
        let mut at = head;
        while !at.is_nil() && at.0.is_multiple_of(8) && self.room > 0 && seen.insert(at) {
            self.room -= 1;
            let Ok(bytes) = self.memory.read_vec(at, len, len) else {
                return Ok(());
            };
            let sudog = Sudog::decode(at, &bytes, layout);
            // A channel's queue names its channel; a semaphore's has another shape.
            if !sudog.channel.is_nil() {
                return Ok(());
            }
            list.push(Sudog {
                elem: cond.offset(NOTIFY),
                ..sudog
            });
            at = sudog.next;
        }
        if list.last().is_some_and(|last| last.at == tail) {
            self.found
                .extend(list.into_iter().map(|sudog| (sudog.g, sudog)));
        }
        Ok(())
    }
}
