//! The runtime's list of all goroutines.
//!
//! `runtime.allgs` is a slice of `*g` that only grows; dead goroutines stay in it and are reused
//! (`runtime/proc.go`, `allgadd`). When it grows the old array stays readable until the garbage
//! collector frees it.

use std::ops::Range;

use super::{SnapshotError, Target, fields::Fields, g_record::GRecord};
use ids::{ImageAddr, TargetAddr};
use memory::{MIN_POINTER, MemoryExt as _, ReadError, words};

/// Most goroutines ever, dead ones included: 128 MiB of pointers.
pub(super) const GOROUTINES_LIMIT: u64 = 16 << 20;
/// Where user memory ends on both architectures (47 and 48 bit addresses).
const USER_MEMORY_END: u64 = 1 << 48;
/// Most bytes of one data section searched for the list.
const SECTION_LIMIT: usize = 64 << 20;
/// How many of the first goroutines have to be sound.
const PROBED: usize = 16;
/// How often the list is read again when it grows meanwhile.
const ATTEMPTS: usize = 4;

/// The slice header of `allgs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    array: TargetAddr,
    len: u64,
}

impl Header {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let fields = Fields(bytes);
        let header = Self {
            array: fields.addr(0),
            len: fields.u64(8),
        };
        let cap = fields.u64(16);
        let sound = header.array.0.is_multiple_of(8)
            && (MIN_POINTER..USER_MEMORY_END).contains(&header.array.0)
            && (1..=cap).contains(&header.len)
            && cap < USER_MEMORY_END / 8;
        sound.then_some(header)
    }
}

/// The addresses of all `g` structs, and how many were left out because there are too many.
pub(super) struct AllGs {
    pub(super) list: Vec<TargetAddr>,
    pub(super) left_out: u64,
}

/// Reads the list.
pub(super) fn read(target: &Target) -> Result<AllGs, SnapshotError> {
    let at = locate(target)?;
    for _ in 0..ATTEMPTS {
        let before = header(target, at)?;
        let count = before.len.min(GOROUTINES_LIMIT).min(target.max_goroutines);
        let bytes = usize::try_from(count * 8).unwrap_or(0);
        let array = target.memory.read_vec(before.array, bytes, bytes)?;
        // Freed and reused meanwhile unless it still is the list's array.
        if header(target, at)?.array != before.array {
            continue;
        }
        let list = words(&array)
            .map(TargetAddr)
            .filter(|g| !g.is_nil() && g.0.is_multiple_of(8))
            .collect();
        return Ok(AllGs {
            list,
            left_out: before.len - count,
        });
    }
    Err(ReadError::Unmapped { at, len: 24 }.into())
}

fn header(target: &Target, at: TargetAddr) -> Result<Header, SnapshotError> {
    let mut bytes = [0; 24];
    target.memory.read(at, &mut bytes)?;
    Header::decode(&bytes).ok_or(if bytes == [0; 24] {
        SnapshotError::NotStarted
    } else {
        SnapshotError::Layout {
            version: target.image.go_version().raw.clone(),
            what: format!("runtime.allgs at {at} is not a slice"),
        }
    })
}

/// Where `allgs` is: told by the image, else found in the data sections by what it points to.
fn locate(target: &Target) -> Result<TargetAddr, SnapshotError> {
    if let Some(known) = target.image.globals().allgs {
        return Ok(known.in_target(target.bias));
    }
    let module = target.image.module();
    for section in [&module.bss, &module.data, &module.noptrbss] {
        if let Some(found) = search(target, section)? {
            return Ok(found);
        }
    }
    Err(SnapshotError::NoGoroutines {
        version: target.image.go_version().raw.clone(),
    })
}

/// Searches one section for a slice whose first elements are `g` structs. No other list of them
/// holds the main goroutine first.
fn search(target: &Target, section: &Range<ImageAddr>) -> Result<Option<TargetAddr>, ReadError> {
    let at = section.start.in_target(target.bias);
    let len = section.end.0.saturating_sub(section.start.0);
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let section = match target.memory.read_vec(at, len, SECTION_LIMIT) {
        Ok(section) => section,
        Err(error) if error.is_final() => return Err(error),
        Err(_) => return Ok(None),
    };
    for offset in (0..section.len().saturating_sub(23)).step_by(8) {
        let Some(header) = Header::decode(&section[offset..offset + 24]) else {
            continue;
        };
        if looks_like_goroutines(target, header) {
            return Ok(Some(at.offset(offset as u64)));
        }
    }
    Ok(None)
}

fn looks_like_goroutines(target: &Target, header: Header) -> bool {
    let count = usize::try_from(header.len).unwrap_or(PROBED).min(PROBED);
    let Ok(array) = target.memory.read_vec(header.array, count * 8, PROBED * 8) else {
        return false;
    };
    words(&array).all(|g| is_goroutine(target, TargetAddr(g)))
}

fn is_goroutine(target: &Target, g: TargetAddr) -> bool {
    let layout = target.image.layout();
    let len = GRecord::len(layout);
    g.0.is_multiple_of(8)
        && (MIN_POINTER..USER_MEMORY_END).contains(&g.0)
        && target.memory.read_vec(g, len, len).is_ok_and(|bytes| {
            match GRecord::decode(&bytes, layout) {
                // A dead goroutine may have given its stack back.
                Ok(record) if record.status.is_none() => record.sched_g == g,
                Ok(record) => record.check(g).is_ok(),
                Err(_) => false,
            }
        })
}
