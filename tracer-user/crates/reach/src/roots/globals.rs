//! The program's variables: data and bss of every module, pointer words only.

use crate::mark::Range;
use ids::TargetAddr;
use memory::{Memory, MemoryExt as _, ReadError, words};

/// More modules than plugins can make.
const MAX_MODULES: usize = 1024;
/// Larger data or bss sections are not believed.
const MAX_SECTION_BYTES: u64 = 4 << 30;

/// Offsets inside `runtime.moduledata` (`runtime/symtab.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleLayout {
    /// `data` and `edata`.
    pub data: (u64, u64),
    /// `bss` and `ebss`.
    pub bss: (u64, u64),
    /// `gcdatamask`, a `bitvector {n int32; bytedata *uint8}`.
    pub data_mask: u64,
    /// `gcbssmask`.
    pub bss_mask: u64,
    /// `next`.
    pub next: u64,
}

/// One section of one module: where it lies, and which of its words are pointers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    section: Range,
    /// One bit a word; `None` when the mask could not be read: then every word may be a pointer.
    mask: Option<Vec<u8>>,
}

impl Module {
    /// The sections with pointers of all modules, beginning with the `moduledata` at `first`.
    ///
    /// # Errors
    /// When a `moduledata` cannot be read, or contradicts itself.
    pub fn all(
        memory: &dyn Memory,
        layout: &ModuleLayout,
        first: TargetAddr,
    ) -> Result<Vec<Self>, ReadError> {
        let mut sections = Vec::new();
        let mut at = first;
        let mut seen = 0;
        while !at.is_nil() && seen < MAX_MODULES {
            for (bounds, mask) in [
                (layout.data, layout.data_mask),
                (layout.bss, layout.bss_mask),
            ] {
                sections.push(Self::read(memory, at, bounds, mask)?);
            }
            at = memory.read_addr(at.offset(layout.next))?;
            seen += 1;
        }
        Ok(sections)
    }

    fn read(
        memory: &dyn Memory,
        module: TargetAddr,
        bounds: (u64, u64),
        mask: u64,
    ) -> Result<Self, ReadError> {
        let start = memory.read_addr(module.offset(bounds.0))?;
        let end = memory.read_addr(module.offset(bounds.1))?;
        let len = end.0.wrapping_sub(start.0);
        if len > MAX_SECTION_BYTES {
            return Err(ReadError::TooLong {
                at: start,
                len: usize::try_from(len).unwrap_or(usize::MAX),
                limit: usize::try_from(MAX_SECTION_BYTES).unwrap_or(usize::MAX),
            });
        }
        let section = Range::between(start, end);
        let bits = u64::from(memory.read_u32(module.offset(mask))?);
        let bytes = memory.read_addr(module.offset(mask + 8))?;
        // `gcdatamask` covers the section up to its last pointer.
        let sound = bits > 0 && bits * 8 <= len.next_multiple_of(8);
        let mask = sound.then(|| {
            let len = usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX);
            memory.read_vec(bytes, len, len).ok()
        });
        Ok(Self {
            section,
            mask: mask.flatten(),
        })
    }

    /// Where the section lies.
    #[must_use]
    pub const fn section(&self) -> Range {
        self.section
    }

    fn may_be_pointer(&self, at: TargetAddr) -> bool {
        let Some(mask) = &self.mask else {
            return true;
        };
        let word = (at.0 - self.section.at.0) / 8;
        let byte = usize::try_from(word / 8).ok().and_then(|at| mask.get(at));
        byte.is_some_and(|byte| byte & (1 << (word % 8)) != 0)
    }
}

/// Hands over every pointer word of `modules` with its address, except those in `without` (what the runtime alone
/// owns: the semaphore table, which knows every waiter).
///
/// # Errors
/// When the target is gone. A piece that cannot be read is an error too: a root that was not seen
/// would make a proof false.
pub fn global_words(
    memory: &dyn Memory,
    modules: &[Module],
    without: &[Range],
    mut each: impl FnMut(TargetAddr, u64),
) -> Result<(), ReadError> {
    const PIECE: u64 = 256 << 10;
    let mut buffer = Vec::new();
    for module in modules {
        let mut at = module.section.at;
        let end = at.0 + module.section.len;
        while at.0 < end {
            let len = PIECE.min(end - at.0);
            buffer.resize(usize::try_from(len).unwrap_or(0), 0);
            memory.read(at, &mut buffer)?;
            for (index, word) in words(&buffer).enumerate() {
                let here = at.offset(8 * index as u64);
                let excluded = || without.iter().any(|r| here.0.wrapping_sub(r.at.0) < r.len);
                if word != 0 && module.may_be_pointer(here) && !excluded() {
                    each(here, word);
                }
            }
            at = at.offset(len);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::FakeMemory;

    const LAYOUT: ModuleLayout = ModuleLayout {
        data: (0, 8),
        bss: (16, 24),
        data_mask: 32,
        bss_mask: 48,
        next: 64,
    };

    #[test]
    fn only_pointer_words_outside_the_exclusions_are_roots() {
        let mut memory = FakeMemory::new();
        memory.map_words(
            TargetAddr(0x1000),
            &[0x2000, 0x2020, 0x3000, 0x3010, 4, 0x4000, 0, 0, 0],
        );
        memory.map_words(TargetAddr(0x2000), &[11, 12, 13, 14]);
        memory.map_words(TargetAddr(0x3000), &[21, 22]);
        memory.map(TargetAddr(0x4000), vec![0b1101]);
        let modules = Module::all(&memory, &LAYOUT, TargetAddr(0x1000)).unwrap();
        let mut words = Vec::new();
        let without = [Range::between(TargetAddr(0x2018), TargetAddr(0x2020))];
        global_words(&memory, &modules, &without, |_, word| words.push(word)).unwrap();
        assert_eq!(words, [11, 13, 21, 22]);
    }
}
