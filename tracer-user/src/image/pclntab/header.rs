//! Finding the table in a file.

use crate::{ids::ImageAddr, image::elf::Elf};

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

/// Where a table may begin: its own section under any of its names, else wherever the magic is.
pub(super) fn candidates(elf: &Elf) -> impl Iterator<Item = ImageAddr> {
    let named = elf
        .sections
        .iter()
        .filter(|s| s.name.ends_with("gopclntab"))
        .map(|s| ImageAddr(s.addr));
    let scanned = elf.segments.iter().flat_map(move |segment| {
        let pieces = (0..segment.file_size).step_by(1 << 20);
        pieces.flat_map(move |skip| {
            let at = ImageAddr(segment.addr).offset(skip);
            let len = usize::try_from((segment.file_size - skip).min(1 << 20)).unwrap_or(0);
            let bytes = elf.get(at, len).unwrap_or_default().into_owned();
            let hits: Vec<_> = bytes
                .chunks_exact(8)
                .enumerate()
                .filter(|(_, word)| {
                    (word[0] == 0xf0 || word[0] == 0xf1)
                        && word[1..6] == [0xff, 0xff, 0xff, 0, 0]
                        && matches!(word[6], 1 | 4)
                        && word[7] == 8
                })
                .map(|(index, _)| at.offset(8 * index as u64))
                .collect();
            hits
        })
    });
    named.chain(scanned)
}
