//! A goroutine's deferred calls, which no stack map covers: the collector follows them from the
//! `g` (`scanstack`, `runtime/mgcmark.go`).

use super::goroutine::GoroutineLayout;
use crate::{
    ids::TargetAddr,
    memory::{Memory, MemoryExt as _},
};

/// A longer list of deferred calls than any goroutine's.
const MAX_DEFERS: usize = 1 << 16;
/// `runtime._defer` is smaller in every version.
const MAX_DEFER_BYTES: usize = 256;

/// What the list of deferred calls refers to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DeferList {
    /// Every word of every record, and the records' addresses.
    pub(super) words: Vec<u64>,
    /// Whether the list was read to its end.
    pub(super) complete: bool,
}

impl DeferList {
    /// Reads the list that begins in `g`, the bytes of a `g` struct. Records lie on the stack, of
    /// which `stack` holds what is in use, from `at` on, or on the heap, and the list weaves between
    /// the two.
    pub(super) fn read(
        memory: &dyn Memory,
        layout: &GoroutineLayout,
        g: &[u8],
        at: TargetAddr,
        stack: &[u8],
    ) -> Self {
        let mut list = Self::default();
        let Some(head) = word(g, layout.defers) else {
            return list;
        };
        let mut defer = TargetAddr(head);
        let size = usize::try_from(layout.defer_size).unwrap_or(MAX_DEFER_BYTES);
        for _ in 0..MAX_DEFERS {
            if defer.is_nil() {
                list.complete = true;
                return list;
            }
            list.words.push(defer.0);
            let here = usize::try_from(defer.0.wrapping_sub(at.0)).unwrap_or(usize::MAX);
            let record = match stack.get(here..here.saturating_add(size)) {
                Some(record) => record.to_vec(),
                None => match memory.read_vec(defer, size, MAX_DEFER_BYTES) {
                    Ok(record) => record,
                    Err(_) => return list,
                },
            };
            let Some(link) = word(&record, layout.defer_link) else {
                return list;
            };
            defer = TargetAddr(link);
            list.words.extend(words(&record));
        }
        list
    }
}

fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let at = usize::try_from(offset).ok()?;
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// The whole words of `bytes`.
pub(super) fn words(bytes: &[u8]) -> Vec<u64> {
    bytes
        .chunks_exact(8)
        .filter_map(|word| word.try_into().ok().map(u64::from_le_bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FakeMemory;

    const LAYOUT: GoroutineLayout = GoroutineLayout {
        size: 16,
        stack: 0,
        sched_sp: 0,
        syscall_sp: 0,
        status: 0,
        goid: 0,
        wait_reason: 0,
        tracking_seq: None,
        defers: 8,
        defer_size: 16,
        defer_link: 8,
    };

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn the_list_weaves_between_stack_and_heap() {
        let mut memory = FakeMemory::new();
        memory.map_words(TargetAddr(0x9000), &[0xb, 0x1010]);
        let stack = bytes(&[0xa, 0x9000, 0xc, 0]);
        let read = |head| {
            let g = bytes(&[0, head]);
            DeferList::read(&memory, &LAYOUT, &g, TargetAddr(0x1000), &stack)
        };
        let list = read(0x1000);
        assert!(list.complete);
        let expected = [0x1000, 0xa, 0x9000, 0x9000, 0xb, 0x1010, 0x1010, 0xc, 0];
        assert_eq!(list.words, expected);
        assert!(read(0).complete);
        assert!(!read(0x7000).complete, "a record that cannot be read");
    }

    #[test]
    fn a_list_that_bites_its_tail_is_not_complete() {
        let stack = bytes(&[0xa, 0x1000]);
        let g = bytes(&[0, 0x1000]);
        let memory = FakeMemory::new();
        let list = DeferList::read(&memory, &LAYOUT, &g, TargetAddr(0x1000), &stack);
        assert!(!list.complete);
    }
}
