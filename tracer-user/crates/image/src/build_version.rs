//! The Go version of an executable that was built without build information (esbuild is shipped so).
//!
//! The linker sets the string variable `runtime.buildVersion` in every program (`-X`-like, in
//! `cmd/link/internal/ld/main.go`: `addstrdata1(ctxt, "runtime.buildVersion="+buildVersion)`). Where
//! no build information repeats it, any string variable may be it whose text is a Go version; there
//! must not be two different ones.

use std::ops::ControlFlow;

use super::{elf::Elf, file::Refusal, version::GoVersion};
use ids::ImageAddr;

/// Where the Go linker puts the table of functions: without and with relocations in it.
const PCLNTAB: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Shortest and longest text looked at: `go1.19`, and room for `X:` experiments.
const LENGTHS: std::ops::RangeInclusive<u64> = 6..=200;
/// How much of a segment is searched: the linker puts initialised data first.
const MAX_SCAN: u64 = 64 << 20;
/// So many strings are read.
const MAX_STRINGS: u32 = 1 << 20;

/// The version that the runtime itself would say; `None` when it cannot be told.
pub(super) fn build_version(elf: &Elf) -> Result<Option<String>, Refusal> {
    if PCLNTAB.iter().all(|name| elf.section(name).is_none()) {
        return Ok(None);
    }
    let mut versions = Versions::default();
    for segment in elf.segments.iter().filter(|segment| segment.writable) {
        let (start, mut before) = (ImageAddr(segment.addr), None);
        elf.scan_words(start, segment.file_size.min(MAX_SCAN), |at, word| {
            let variable = before.replace(at);
            let is_length = LENGTHS.contains(&word);
            match variable.filter(|variable| is_length && variable.offset(8) == at) {
                Some(variable) => versions.take(version_at(elf, variable)),
                None => ControlFlow::Continue(()),
            }
        })?;
    }
    Ok(versions.only_one())
}

/// The versions that string variables hold.
#[derive(Default)]
struct Versions {
    found: Option<String>,
    /// Whether there are two different ones, or too many variables to tell.
    unclear: bool,
    tried: u32,
}

impl Versions {
    fn take(&mut self, version: Option<String>) -> ControlFlow<()> {
        self.tried += 1;
        if let Some(version) = version {
            self.unclear |= self.found.get_or_insert_with(|| version.clone()) != &version;
        }
        self.unclear |= self.tried == MAX_STRINGS;
        match self.unclear {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn only_one(self) -> Option<String> {
        self.found.filter(|_| !self.unclear)
    }
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
