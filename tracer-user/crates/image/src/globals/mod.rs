//! Where the runtime's global variables are: by the symbol table, or in a stripped image by the
//! operands of the code that uses them.

mod code;
mod symbols;

use super::{
    Arch, GoVersion, Layout, elf::Elf, file::Refusal, moduledata::ModuleData, pclntab::PcLineTable,
};
use ids::ImageAddr;

/// Addresses of the runtime's globals, as linked. What could not be found is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Globals {
    /// `runtime.allgs`, a slice of `*g`.
    pub allgs: Option<ImageAddr>,
    /// `runtime.allm`, head of the list of Ms.
    pub allm: Option<ImageAddr>,
    /// `runtime.allp`, a slice of `*p`.
    pub allp: Option<ImageAddr>,
    /// `runtime.sched`.
    pub sched: Option<ImageAddr>,
    /// `runtime.gomaxprocs`, an int32.
    pub gomaxprocs: Option<ImageAddr>,
    /// `runtime.semtable`.
    pub semtable: Option<ImageAddr>,
    /// `runtime.mheap_`.
    pub mheap: Option<ImageAddr>,
    /// `runtime.iscgo`, a bool.
    pub iscgo: Option<ImageAddr>,
    /// `runtime.cgoHasExtraM`, a bool.
    pub cgo_has_extra_m: Option<ImageAddr>,
    /// `runtime.extraMLength` (1.21 and later) or `runtime.extraMCount`, a uint32.
    pub extra_m_length: Option<ImageAddr>,
    /// `runtime.islibrary`, a bool.
    pub islibrary: Option<ImageAddr>,
    /// `runtime.isarchive`, a bool.
    pub isarchive: Option<ImageAddr>,
    /// `runtime.panicking`, a uint32.
    pub panicking: Option<ImageAddr>,
    /// `runtime.allfin`, list of finalizer blocks.
    pub allfin: Option<ImageAddr>,
    /// `runtime.gcCleanups` (1.25 and later).
    pub gc_cleanups: Option<ImageAddr>,
}

/// Entries of `runtime.semtable` (`semTabSize`, `runtime/sema.go`).
pub const SEMTABLE_ENTRIES: u64 = 251;

/// Bytes from one entry of `runtime.semtable` to the next: each is padded to a cache line.
#[must_use]
pub fn semtable_stride(arch: Arch, version: &GoVersion) -> u64 {
    match arch {
        Arch::Arm64 if version.at_least(20) => 128,
        _ => 64,
    }
}

impl Globals {
    pub(super) fn find(
        elf: &Elf,
        table: &PcLineTable,
        module: &ModuleData,
        layout: &Layout,
    ) -> Result<Self, Refusal> {
        if elf.has_symbols
            && let Some(globals) = symbols::read(elf)?
        {
            return Ok(globals);
        }
        Ok(match elf.arch {
            Arch::Amd64 => code::read(elf, table, module, layout),
            Arch::Arm64 => Self::default(),
        })
    }
}
