//! Deferred calls that have not run: the goroutine's `_defer` records, and the closures that a
//! frame keeps in its own slots (open-coded defers).

use std::iter;

use rustc_hash::FxHashSet;

use ids::{ImageAddr, TargetAddr};
use image::{Function, Image};
use memory::{MIN_POINTER, Memory, MemoryExt as _};

/// `_defer` records of one goroutine at most.
const MAX_RECORDS: usize = 4096;
/// So many need no room of their own to see whether a list leads back to itself.
const FEW: usize = 8;
/// `FUNCDATA_OpenCodedDeferInfo` (`internal/abi/funcdata.go`).
const OPEN_CODED_DEFER_INFO: usize = 4;
/// `maxOpenDefers` (`cmd/compile/internal/ssagen/ssa.go`).
const MAX_OPEN_CODED: u64 = 8;

/// A deferred call, as the runtime has noted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Stack pointer of the frame that runs it.
    pub sp: u64,
    /// Address of the closure.
    pub closure: u64,
}

/// Where a function keeps the calls that it has deferred in its own frame, counted downwards from
/// where its locals end ([`Isa::locals_end`](super::isa::Isa::locals_end)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCoded {
    /// A byte with one bit for each call that has yet to run.
    pub bits: u64,
    /// Their closures, in the order of the bits. They run from the last to the first.
    pub closures: Vec<u64>,
}

/// The records that `g` has (`g._defer`, `runtime/panic.go`), the newest last.
pub fn records(memory: &dyn Memory, image: &Image, g: TargetAddr) -> Vec<Record> {
    let layout = &image.layout().defer;
    let mut found = Vec::new();
    let newest = memory.read_addr(g.offset(image.layout().g.defer)).ok();
    for record in linked(memory, layout.link, newest) {
        let Ok(sp) = memory.read_u64(record.offset(layout.sp)) else {
            break;
        };
        let flag = |offset: Option<u64>| {
            offset.is_some_and(|offset| memory.read_u8(record.offset(offset)).unwrap_or(0) != 0)
        };
        // Go 1.19 to 1.21 add such a record while panicking, for a frame whose slots say it all.
        if flag(layout.open_defer) {
            continue;
        }
        if flag(layout.rangefunc) {
            found.extend(range_function(memory, image, record, sp));
            found.truncate(MAX_RECORDS);
            continue;
        }
        if let Ok(closure) = memory.read_u64(record.offset(layout.fn_)) {
            found.push(Record { sp, closure });
        }
    }
    found.reverse();
    found
}

/// The calls that the bodies of range-over-func loops deferred for the frame at `sp`
/// (`deferprocat`, `deferconvert` in `runtime/panic.go`, Go 1.23 and later), the newest first.
fn range_function(memory: &dyn Memory, image: &Image, record: TargetAddr, sp: u64) -> Vec<Record> {
    let layout = &image.layout().defer;
    let mut found = Vec::new();
    let head = layout.head.and_then(|head| {
        let list = memory.read_addr(record.offset(head)).ok()?;
        // The head is a pointer to an atomic pointer.
        memory.read_addr(list).ok()
    });
    for record in linked(memory, layout.link, head) {
        if let Ok(closure) = memory.read_u64(record.offset(layout.fn_)) {
            found.push(Record { sp, closure });
        }
    }
    found
}

/// The records from `first` on, as their links lead: records of a goroutine that runs are freed and
/// used again meanwhile, so that the list may lead anywhere, and back to itself.
fn linked(
    memory: &dyn Memory,
    link: u64,
    first: Option<TargetAddr>,
) -> impl Iterator<Item = TargetAddr> {
    // `badDefer` marks lists with an address in the first page (`runtime/panic.go`).
    let plausible = |record: &TargetAddr| record.0 >= MIN_POINTER;
    let mut seen = Seen::default();
    iter::successors(first.filter(plausible), move |record| {
        let next = memory.read_addr(record.offset(link)).ok();
        next.filter(plausible)
    })
    .take_while(move |record| seen.len() < MAX_RECORDS && seen.insert(*record))
}

/// The records that a list has led to: of nearly all goroutines few.
#[derive(Default)]
struct Seen {
    first: [TargetAddr; FEW],
    few: usize,
    more: FxHashSet<TargetAddr>,
}

impl Seen {
    fn len(&self) -> usize {
        self.few + self.more.len()
    }

    /// Adds `record`; whether it is a new one.
    fn insert(&mut self, record: TargetAddr) -> bool {
        let (known, room) = self.first.split_at_mut(self.few);
        if known.contains(&record) {
            return false;
        }
        match room.first_mut() {
            Some(place) => {
                *place = record;
                self.few += 1;
                true
            }
            None => self.more.insert(record),
        }
    }
}

/// How far below its frame address `function` keeps the bits that say which of its open-coded
/// deferred calls have to run; `None` when it has none.
pub fn bits_below_fp(image: &Image, function: &Function, locals_end: u64) -> Option<u64> {
    let mut at = image.funcdata(function, OPEN_CODED_DEFER_INFO)?;
    varint(image, &mut at)?.checked_add(locals_end)
}

/// Where `function` keeps its open-coded deferred calls; `None` when it has none.
pub fn open_coded(image: &Image, function: &Function) -> Option<OpenCoded> {
    let mut at = image.funcdata(function, OPEN_CODED_DEFER_INFO)?;
    let bits = varint(image, &mut at)?;
    let mut closures = Vec::new();
    if image.go_version().at_least(22) {
        let first = varint(image, &mut at)?;
        closures.extend((0..MAX_OPEN_CODED).map(|slot| first.wrapping_sub(8 * slot)));
    } else {
        let count = varint(image, &mut at)?.min(MAX_OPEN_CODED);
        for _ in 0..count {
            closures.push(varint(image, &mut at)?);
        }
        // Written from the last defer statement to the first (`emitOpenDeferInfo`).
        closures.reverse();
    }
    Some(OpenCoded { bits, closures })
}

fn varint(image: &Image, at: &mut ImageAddr) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = *image.bytes(*at, 1)?.first()?;
        *at = at.offset(1);
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::FakeMemory;

    const LINK: u64 = 8;

    fn list(links: &[(u64, u64)], first: u64) -> Vec<u64> {
        let mut memory = FakeMemory::new();
        for &(record, next) in links {
            memory.map_words(TargetAddr(record), &[0, next]);
        }
        linked(&memory, LINK, Some(TargetAddr(first)))
            .map(|record| record.0)
            .collect()
    }

    #[test]
    fn a_list_ends_at_nil_and_at_what_is_unmapped() {
        let links = [(0x10000, 0x20000), (0x20000, 0)];
        assert_eq!(list(&links, 0x10000), [0x10000, 0x20000]);
        assert_eq!(list(&[(0x10000, 0x30000)], 0x10000), [0x10000, 0x30000]);
        assert!(list(&[], 0).is_empty());
        assert!(list(&[], 1).is_empty(), "a poisoned head");
    }

    #[test]
    fn a_list_that_leads_back_to_itself_ends() {
        let links = [(0x10000, 0x20000), (0x20000, 0x30000), (0x30000, 0x20000)];
        assert_eq!(list(&links, 0x10000), [0x10000, 0x20000, 0x30000]);
    }
}
