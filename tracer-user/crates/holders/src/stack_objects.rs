//! The variables of a frame whose addresses are taken.

use std::ops::Range;

use image::{Function, Image};

/// `FUNCDATA_StackObjects` (`internal/abi/symtab.go`).
const STACK_OBJECTS: usize = 2;
/// Variables of one frame at most.
const MAX_OBJECTS: u64 = 1024;
/// `stackObjectRecord` (`runtime/stkframe.go`): offset, size and two words more.
const RECORD: usize = 16;

/// Where the variables of `function` lie that hold pointers and whose addresses are taken, counted from
/// the frame address; locals end `locals_end` below it. Variables without pointers are not listed.
pub fn of(image: &Image, function: &Function, locals_end: u64) -> Vec<Range<i64>> {
    let records = || {
        let at = image.funcdata(function, STACK_OBJECTS)?;
        let count = u64::from_le_bytes(image.bytes(at, 8)?.as_ref().try_into().ok()?);
        let len = usize::try_from(count.min(MAX_OBJECTS)).ok()? * RECORD;
        image.bytes(at.offset(8), len)
    };
    let Some(records) = records() else {
        return Vec::new();
    };
    let number = |record: &[u8], at: usize| {
        let bytes = record.get(at..at + 4)?;
        Some(i64::from(i32::from_le_bytes(bytes.try_into().ok()?)))
    };
    let object = |record: &[u8]| {
        let (offset, size) = (number(record, 0)?, number(record, 4)?);
        // What is not negative counts from the arguments.
        let start = offset.checked_sub_unsigned(if offset < 0 { locals_end } else { 0 })?;
        (size > 0).then(|| start..start + size)
    };
    records.chunks_exact(RECORD).filter_map(object).collect()
}
