//! Globals by the symbol table.
//!
//! Symbol tables of large programs have a hundred megabytes, and a dozen names of them are of use: the
//! names are looked for first, then the symbols that have them. Neither table is kept.

use std::ops::ControlFlow;

use object::{LittleEndian, elf, pod};
use rustc_hash::FxHashMap;

use super::Globals;
use crate::{
    elf::Elf,
    file::{FileBytes, Refusal},
    headers::Section,
};
use ids::ImageAddr;

/// Bytes of `Elf64_Sym`.
const SYMBOL: u64 = 24;
/// What all names begin with.
const PREFIX: &[u8] = b"runtime.";
/// The longest rest of a name that is of use.
const MAX_REST: usize = 16;
/// More places than names are at: a linker writes each once.
const MAX_PLACES: usize = 1024;

/// A variable of the runtime.
type Slot = fn(&mut Globals) -> &mut Option<ImageAddr>;

/// The variables by the rest of their names.
const SLOTS: [(&[u8], Slot); 16] = [
    (b"allgs", |globals| &mut globals.allgs),
    (b"allm", |globals| &mut globals.allm),
    (b"allp", |globals| &mut globals.allp),
    (b"sched", |globals| &mut globals.sched),
    (b"gomaxprocs", |globals| &mut globals.gomaxprocs),
    (b"semtable", |globals| &mut globals.semtable),
    (b"mheap_", |globals| &mut globals.mheap),
    (b"iscgo", |globals| &mut globals.iscgo),
    (b"cgoHasExtraM", |globals| &mut globals.cgo_has_extra_m),
    (b"extraMLength", |globals| &mut globals.extra_m_length),
    (b"extraMCount", |globals| &mut globals.extra_m_length),
    (b"islibrary", |globals| &mut globals.islibrary),
    (b"isarchive", |globals| &mut globals.isarchive),
    (b"panicking", |globals| &mut globals.panicking),
    (b"allfin", |globals| &mut globals.allfin),
    (b"gcCleanups", |globals| &mut globals.gc_cleanups),
];

/// `None` when the symbol table does not name the runtime's variables.
pub(super) fn read(elf: &Elf) -> Result<Option<Globals>, Refusal> {
    let Some(symbols) = elf.sections.iter().find(|s| s.kind == elf::SHT_SYMTAB) else {
        return Ok(None);
    };
    let Some(names) = elf.sections.get(symbols.link as usize) else {
        return Ok(None);
    };
    let (file, most) = (elf.file(), elf.bounds.symbols);
    file.check_table("symbol table", symbols.offset, symbols.size, most)?;
    file.check_table("table of symbol names", names.offset, names.size, most)?;
    let places = places(file, names)?;
    if places.is_empty() {
        return Ok(None);
    }
    let mut globals = Globals::default();
    let len = symbols.size / SYMBOL * SYMBOL;
    file.scan(symbols.offset, len, SYMBOL, |_, piece| {
        let count = piece.len() / SYMBOL as usize;
        let symbols = pod::slice_from_bytes::<elf::Sym64<LittleEndian>>(piece, count);
        for symbol in symbols.map(|(symbols, _)| symbols).unwrap_or_default() {
            if let Some(slot) = places.get(&symbol.st_name.get(LittleEndian)) {
                *slot(&mut globals) = Some(ImageAddr(symbol.st_value.get(LittleEndian)));
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(globals.allgs.is_some().then_some(globals))
}

/// Where the names lie in their table that are of use.
fn places(file: &FileBytes, names: &Section) -> Result<FxHashMap<u32, Slot>, Refusal> {
    let mut places = FxHashMap::default();
    // What may begin a name at the end of the piece before.
    let mut seam: Vec<u8> = Vec::new();
    let mut behind = names.offset;
    let most = PREFIX.len() + MAX_REST;
    file.scan(names.offset, names.size, 1, |at, piece| {
        let mut text = std::mem::take(&mut seam);
        if at != behind {
            text.clear();
        }
        behind = at + piece.len() as u64;
        let start = (at - names.offset).saturating_sub(text.len() as u64);
        text.extend_from_slice(piece);
        let mut from = 0;
        while let Some(found) = find(&text, from, PREFIX) {
            from = found + PREFIX.len();
            let rest = &text[from..text.len().min(from + MAX_REST)];
            let Some(end) = rest.iter().position(|byte| *byte == 0) else {
                continue;
            };
            let slot = SLOTS.iter().find(|(name, _)| *name == &rest[..end]);
            if let (Some((_, slot)), Ok(place)) = (slot, u32::try_from(start + found as u64)) {
                places.insert(place, *slot);
            }
        }
        seam = text.split_off(text.len().saturating_sub(most));
        match places.len() < MAX_PLACES {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(places)
}

/// Where, from `from` on, `needle` is.
fn find(text: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let rest = text.get(from..)?;
    // Names are short, and few begin as the needle does: a search for its first byte is quick.
    let mut at = 0;
    loop {
        let next = rest.get(at..)?.iter().position(|byte| *byte == needle[0])?;
        at += next;
        if rest[at..].starts_with(needle) {
            return Some(from + at);
        }
        at += 1;
    }
}
