//! `runtime.moduledata`, found by the pointer to the pclntab with which it begins.

use std::ops::{ControlFlow, Range};

use super::{elf::Elf, file::Refusal};
use ids::ImageAddr;

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

/// More pointers to the tables than any program has that has one.
const MAX_POINTERS: usize = 4096;

/// What may be a pclntab: its own address, and that of the names in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) pclntab: ImageAddr,
    pub(super) funcnametab: ImageAddr,
}

impl ModuleData {
    /// The module that points to one of `tables`, and which one that is. `gofunc` is the byte offset
    /// of the field in this Go version.
    pub(super) fn find(
        elf: &Elf,
        tables: &[Candidate],
        gofunc: u64,
    ) -> Result<Option<(usize, Self)>, Refusal> {
        let Some((index, at)) = pointer_to_one(elf, tables)? else {
            return Ok(None);
        };
        Ok(Self::read(elf, at, gofunc).map(|module| (index, module)))
    }

    fn read(elf: &Elf, at: ImageAddr, gofunc: u64) -> Option<Self> {
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

/// Where a module begins that belongs to one of `tables`: the loader's own pointers first, then the
/// likely sections, else every segment.
fn pointer_to_one(elf: &Elf, tables: &[Candidate]) -> Result<Option<(usize, ImageAddr)>, Refusal> {
    let mut left = MAX_POINTERS;
    let mut found = None;
    let mut try_word = |at: ImageAddr, word: ImageAddr| {
        for (index, table) in tables.iter().enumerate() {
            if table.pclntab != word {
                continue;
            }
            let names = elf.pointer(at.offset(8 * FUNCNAMETAB));
            if names == Some(table.funcnametab) && elf.pointer(at) == Some(word) {
                found = Some((index, at));
                return ControlFlow::Break(());
            }
            left = left.saturating_sub(1);
            if left == 0 {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    for (at, to) in elf.relocations() {
        if try_word(at, to).is_break() {
            return Ok(found);
        }
    }
    let named = [".go.module", ".noptrdata", ".data.rel.ro", ".data"]
        .into_iter()
        .filter_map(|name| elf.section(name).map(|s| (s.addr, s.size)));
    let segments = elf.segments.iter().map(|s| (s.addr, s.file_size));
    for (start, size) in named.chain(segments) {
        let mut over = ControlFlow::Continue(());
        elf.scan_words(ImageAddr(start), size, |at, word| {
            over = try_word(at, ImageAddr(word));
            over
        })?;
        if over.is_break() {
            break;
        }
    }
    Ok(found)
}
