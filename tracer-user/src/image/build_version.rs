//! The Go version of an executable that was built without build information (esbuild is shipped so).
//!
//! The linker sets the string variable `runtime.buildVersion` in every program (`-X`-like, in
//! `cmd/link/internal/ld/main.go`: `addstrdata1(ctxt, "runtime.buildVersion="+buildVersion)`). Where
//! no build information repeats it, any string variable may be it whose text is a Go version; there
//! must not be two different ones.

use super::{elf::Elf, version::GoVersion};
use crate::ids::ImageAddr;

/// Where the Go linker puts the table of functions: without and with relocations in it.
const PCLNTAB: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Shortest and longest text looked at: `go1.19`, and room for `X:` experiments.
const LENGTHS: std::ops::RangeInclusive<u64> = 6..=200;
/// How much of a segment is searched: the linker puts initialised data first.
const MAX_SCAN: u64 = 64 << 20;

/// The version that the runtime itself would say; `None` when it cannot be told.
pub(super) fn build_version(elf: &Elf) -> Option<String> {
    PCLNTAB.iter().find_map(|name| elf.section(name))?;
    let mut found = None;
    for segment in elf.segments.iter().filter(|segment| segment.writable) {
        let words = segment.file_size.min(MAX_SCAN) / 8;
        for word in 0..words.saturating_sub(1) {
            let Some(version) = version_at(elf, ImageAddr(segment.addr).offset(8 * word)) else {
                continue;
            };
            if found.get_or_insert_with(|| version.clone()) != &version {
                return None;
            }
        }
    }
    found
}

/// The Go version that the string variable at `at` holds.
fn version_at(elf: &Elf, at: ImageAddr) -> Option<String> {
    let len = elf.u64(at.offset(8)).filter(|len| LENGTHS.contains(len))?;
    let text = elf.get(elf.pointer(at)?, usize::try_from(len).ok()?)?;
    let text = std::str::from_utf8(&text).ok()?;
    let is_version = text.starts_with("go1.") || text.starts_with("devel go1.");
    GoVersion::parse(text).filter(|_| is_version)?;
    Some(text.to_owned())
}
