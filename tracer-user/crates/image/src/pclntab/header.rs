//! Finding the table in a file.

use std::ops::ControlFlow;

use crate::{elf::Elf, file::Refusal};
use ids::ImageAddr;

/// So many places that look like a table are tried. A sound program has one.
const MAX_CANDIDATES: usize = 16;

/// Go 1.18 and 1.19, then Go 1.20 and later.
pub(super) const MAGIC_1_18: u32 = 0xffff_fff0;
const MAGIC_1_20: u32 = 0xffff_fff1;

/// Where a pclntab begins and which one it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) at: ImageAddr,
    pub(super) magic: u32,
    pub(super) quantum: u8,
    /// Function count, file count, text start, then the offsets of the five tables.
    pub(super) words: [u64; 8],
}

/// The header at `at`, if one is there (`runtime.pcHeader`, `runtime/symtab.go`).
pub(super) fn read_header(elf: &Elf, at: ImageAddr) -> Option<Header> {
    let start = elf.get(at, 8)?;
    let magic = u32::from_le_bytes(start[..4].try_into().ok()?);
    let known = magic == MAGIC_1_18 || magic == MAGIC_1_20;
    let sound = start[4..6] == [0, 0] && matches!(start[6], 1 | 4) && start[7] == 8;
    if !known || !sound {
        return None;
    }
    let mut words = [0; 8];
    for (index, word) in words.iter_mut().enumerate() {
        *word = elf.u64(at.offset(8 + 8 * index as u64))?;
    }
    Some(Header {
        at,
        magic,
        quantum: start[6],
        words,
    })
}

/// The tables that have a section of their own, under any of its names.
pub(super) fn named(elf: &Elf) -> Vec<Header> {
    let named = elf
        .sections
        .iter()
        .filter(|s| s.name.ends_with("gopclntab"));
    let named = named.filter_map(|s| read_header(elf, ImageAddr(s.addr)));
    named.take(MAX_CANDIDATES).collect()
}

/// What looks like a table, wherever it lies.
pub(super) fn scanned(elf: &Elf) -> Result<Vec<Header>, Refusal> {
    let mut found = Vec::new();
    for segment in &elf.segments {
        elf.scan_words(ImageAddr(segment.addr), segment.file_size, |at, word| {
            if begins_header(word.to_le_bytes()) {
                found.extend(read_header(elf, at));
            }
            match found.len() < MAX_CANDIDATES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
    }
    Ok(found)
}

fn begins_header(word: [u8; 8]) -> bool {
    matches!(word[0], 0xf0 | 0xf1)
        && word[1..6] == [0xff, 0xff, 0xff, 0, 0]
        && matches!(word[6], 1 | 4)
        && word[7] == 8
}
