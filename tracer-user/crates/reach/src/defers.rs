//! A goroutine's deferred calls, which no stack map covers: the collector follows them from the
//! `g` (`scanstack`, `runtime/mgcmark.go`).

use super::goroutine::GoroutineLayout;
use ids::TargetAddr;
use memory::{Memory, MemoryExt as _, words};

/// A longer list of deferred calls than any goroutine's.
const MAX_DEFERS: usize = 1 << 16;
/// `runtime._defer` is smaller in every version.
const MAX_DEFER_BYTES: usize = 256;

/// Reads the list that begins in `g`, the bytes of a `g` struct: every word of every record, and the
/// records' addresses, go to `into`. Records lie on the stack, of which `stack` is what is in use with
/// its address, or on the heap, and the list weaves between the two. Whether it was read to its end.
pub(super) fn read(
    memory: &dyn Memory,
    layout: &GoroutineLayout,
    g: &[u8],
    stack: (TargetAddr, &[u8]),
    into: &mut Vec<u64>,
) -> bool {
    let Some(head) = word(g, layout.defers) else {
        return false;
    };
    let mut defer = TargetAddr(head);
    let size = usize::try_from(layout.defer_size).unwrap_or(MAX_DEFER_BYTES);
    // Of a list that leads back into itself every loop is seen sooner or later (Brent).
    let mut earlier = TargetAddr(0);
    for number in 0..MAX_DEFERS {
        if defer.is_nil() {
            return true;
        }
        if defer == earlier {
            return false;
        }
        if number.is_power_of_two() {
            earlier = defer;
        }
        into.push(defer.0);
        let here = usize::try_from(defer.0.wrapping_sub(stack.0.0)).unwrap_or(usize::MAX);
        let on_heap;
        let record = match stack.1.get(here..here.saturating_add(size)) {
            Some(record) => record,
            None => match memory.read_vec(defer, size, MAX_DEFER_BYTES) {
                Ok(record) => {
                    on_heap = record;
                    &on_heap
                }
                Err(_) => return false,
            },
        };
        let Some(link) = word(record, layout.defer_link) else {
            return false;
        };
        defer = TargetAddr(link);
        into.extend(words(record));
    }
    false
}

fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let at = usize::try_from(offset).ok()?;
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::FakeMemory;

    const LAYOUT: GoroutineLayout = GoroutineLayout {
        size: 16,
        stack: 0,
        sched_sp: 0,
        sched_pc: 0,
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
        let list = |head| {
            let g = bytes(&[0, head]);
            let mut words = Vec::new();
            let stack = (TargetAddr(0x1000), &*stack);
            let complete = read(&memory, &LAYOUT, &g, stack, &mut words);
            (complete, words)
        };
        let expected = [0x1000, 0xa, 0x9000, 0x9000, 0xb, 0x1010, 0x1010, 0xc, 0];
        assert_eq!(list(0x1000), (true, expected.to_vec()));
        assert_eq!(list(0), (true, Vec::new()));
        assert!(!list(0x7000).0, "a record that cannot be read");
    }

    #[test]
    fn a_list_that_bites_its_tail_is_not_complete() {
        let stack = bytes(&[0xa, 0x1000]);
        let g = bytes(&[0, 0x1000]);
        let memory = FakeMemory::new();
        let stack = (TargetAddr(0x1000), &*stack);
        assert!(!read(&memory, &LAYOUT, &g, stack, &mut Vec::new()));
    }
}
