//! `runtime.moduledata`, found by the pointer to the pclntab with which it begins.

use std::ops::Range;

use super::elf::Elf;
use crate::ids::ImageAddr;

/// The ranges of a Go module that `runtime.moduledata` names, as linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleData {
    /// Where the struct itself lies.
    pub addr: ImageAddr,
    /// Machine code.
    pub text: Range<ImageAddr>,
    /// Initialised data without pointers.
    pub noptrdata: Range<ImageAddr>,
    /// Initialised data with pointers.
    pub data: Range<ImageAddr>,
    /// Zeroed data with pointers.
    pub bss: Range<ImageAddr>,
    /// Zeroed data without pointers.
    pub noptrbss: Range<ImageAddr>,
    /// Type descriptors and their names (`types` to `etypes`).
    pub types: Range<ImageAddr>,
    /// Base of funcdata offsets (`moduledata.gofunc`).
    pub gofunc: ImageAddr,
}

// Word indices (`runtime/symtab.go`, `moduledata`): the same in Go 1.17 to 1.27 up to enoptrbss.
const FUNCNAMETAB: u64 = 1;
const TEXT: u64 = 22;
const NOPTRDATA: u64 = 24;
const DATA: u64 = 26;
const BSS: u64 = 28;
const NOPTRBSS: u64 = 30;

/// The words of `types` and `etypes`, told by where `gofunc` lies behind them: from Go 1.20 on
/// `covctrs` and `ecovctrs` come before, from 1.27 on `typedesclen` between.
const fn types_words(gofunc: u64) -> (u64, u64) {
    match gofunc {
        ..305 => (35, 36),
        305..321 => (37, 38),
        _ => (37, 39),
    }
}

impl ModuleData {
    /// `pclntab` and `funcnametab` are the table's own addresses; `gofunc` is the byte offset of
    /// the field in this Go version.
    pub(super) fn find(
        elf: &Elf,
        pclntab: ImageAddr,
        funcnametab: ImageAddr,
        gofunc: u64,
    ) -> Option<Self> {
        let is_module = |at: &ImageAddr| {
            elf.pointer(*at) == Some(pclntab)
                && elf.pointer(at.offset(8 * FUNCNAMETAB)) == Some(funcnametab)
        };
        let at = elf
            .relocated_to(pclntab)
            .find(is_module)
            .or_else(|| scan(elf, pclntab).find(is_module))?;
        let word = |index: u64| elf.pointer(at.offset(8 * index));
        let range = |index: u64| {
            let range = word(index)?..word(index + 1)?;
            (range.start <= range.end).then_some(range)
        };
        let (types, etypes) = types_words(gofunc);
        Some(Self {
            addr: at,
            text: range(TEXT)?,
            noptrdata: range(NOPTRDATA)?,
            data: range(DATA)?,
            bss: range(BSS)?,
            noptrbss: range(NOPTRBSS)?,
            types: word(types)?..word(etypes)?,
            gofunc: elf.pointer(at.offset(gofunc))?,
        })
    }
}

/// Aligned words equal to `needle`: the likely sections first, else every writable segment.
fn scan(elf: &Elf, needle: ImageAddr) -> impl Iterator<Item = ImageAddr> {
    let named = [".go.module", ".noptrdata", ".data.rel.ro", ".data"]
        .into_iter()
        .filter_map(|name| elf.section(name).map(|s| (s.addr, s.size)));
    let segments = elf.segments.iter().map(|s| (s.addr, s.file_size));
    named
        .chain(segments)
        .flat_map(move |(start, size)| words_equal(elf, start, size, needle.0))
}

fn words_equal(elf: &Elf, start: u64, size: u64, needle: u64) -> Vec<ImageAddr> {
    const PIECE: u64 = 1 << 20;
    let mut found = Vec::new();
    for skip in (0..size).step_by(1 << 20) {
        let at = ImageAddr(start).offset(skip);
        let Ok(len) = usize::try_from((size - skip).min(PIECE)) else {
            break;
        };
        let Some(bytes) = elf.get(at, len) else { break };
        for (index, word) in bytes.chunks_exact(8).enumerate() {
            if word == needle.to_le_bytes() {
                found.push(at.offset(8 * index as u64));
            }
        }
    }
    found
}
