//! Globals by the symbol table.

use object::{Object as _, ObjectSymbol as _};

use super::Globals;
use crate::{ids::ImageAddr, image::elf::Elf};

/// `None` when the symbol table does not name the runtime's variables.
pub(super) fn read(elf: &Elf) -> Option<Globals> {
    let cache = elf.reader();
    let file = object::File::parse(&cache).ok()?;
    let mut globals = Globals::default();
    for symbol in file.symbols() {
        let Ok(name) = symbol.name_bytes() else {
            continue;
        };
        let Some(name) = name.strip_prefix(b"runtime.") else {
            continue;
        };
        let slot = match name {
            b"allgs" => &mut globals.allgs,
            b"allm" => &mut globals.allm,
            b"allp" => &mut globals.allp,
            b"sched" => &mut globals.sched,
            b"gomaxprocs" => &mut globals.gomaxprocs,
            b"semtable" => &mut globals.semtable,
            b"mheap_" => &mut globals.mheap,
            b"iscgo" => &mut globals.iscgo,
            b"cgoHasExtraM" => &mut globals.cgo_has_extra_m,
            b"extraMLength" | b"extraMCount" => &mut globals.extra_m_length,
            b"islibrary" => &mut globals.islibrary,
            b"isarchive" => &mut globals.isarchive,
            b"panicking" => &mut globals.panicking,
            b"allfin" => &mut globals.allfin,
            b"gcCleanups" => &mut globals.gc_cleanups,
            _ => continue,
        };
        *slot = Some(ImageAddr(symbol.address()));
    }
    globals.allgs.is_some().then_some(globals)
}
