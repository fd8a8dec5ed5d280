//! Vector registers of preempted goroutines, which Go 1.26 and later keep off the stack
//! (`runtime/preempt_xreg.go`) and scan conservatively (`xRegScan`).

use crate::mark::Range;
use ids::TargetAddr;
use image::Arch;
use memory::{Memory, MemoryExt as _, ReadError};

/// Where they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorRegisters {
    /// `g.xRegs`, whose only field is the pointer to the saved registers, nil mostly.
    pub of_g: u64,
    /// `p.xRegs`: the registers of the preemption that is under way (`scratch`), then the pointer to
    /// those of the last one that ended (`cache`).
    pub of_p: u64,
    /// Size of `runtime.xRegs`.
    pub bytes: u64,
}

impl VectorRegisters {
    /// Size of `runtime.xRegs`: 32 registers of 64 or of 16 bytes (`runtime/preempt_amd64.go`,
    /// `runtime/preempt_arm64.go`).
    #[must_use]
    pub const fn bytes(arch: Arch) -> u64 {
        match arch {
            Arch::Amd64 => 32 * 64,
            Arch::Arm64 => 32 * 16,
        }
    }

    /// The registers saved for the `g` at `g`.
    ///
    /// # Errors
    /// When the `g` cannot be read.
    pub fn of_goroutine(
        self,
        memory: &dyn Memory,
        g: TargetAddr,
    ) -> Result<Option<Range>, ReadError> {
        let at = memory.read_addr(g.offset(self.of_g))?;
        Ok(self.saved(at))
    }

    /// The registers that the `p` at `p` keeps.
    ///
    /// # Errors
    /// When the `p` cannot be read.
    pub fn of_p(
        self,
        memory: &dyn Memory,
        p: TargetAddr,
    ) -> Result<impl Iterator<Item = Range> + use<>, ReadError> {
        let scratch = p.offset(self.of_p);
        let cache = memory.read_addr(scratch.offset(self.bytes))?;
        Ok(self.saved(scratch).into_iter().chain(self.saved(cache)))
    }

    fn saved(self, at: TargetAddr) -> Option<Range> {
        let len = self.bytes;
        (!at.is_nil()).then_some(Range { at, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::FakeMemory;

    #[test]
    fn saved_registers_are_found_by_g_and_by_p() {
        let vectors = VectorRegisters {
            of_g: 8,
            of_p: 16,
            bytes: 16,
        };
        let mut memory = FakeMemory::new();
        memory.map_words(TargetAddr(0x1000), &[0, 0x5000]);
        memory.map_words(TargetAddr(0x2000), &[0, 0, 1, 2, 0x6000]);
        memory.map_words(TargetAddr(0x3000), &[0, 0]);
        let range = |at| Range {
            at: TargetAddr(at),
            len: 16,
        };
        let of_g = |at| vectors.of_goroutine(&memory, TargetAddr(at)).unwrap();
        assert_eq!((of_g(0x1000), of_g(0x3000)), (Some(range(0x5000)), None));
        let of_p = vectors.of_p(&memory, TargetAddr(0x2000)).unwrap();
        assert_eq!(of_p.collect::<Vec<_>>(), [range(0x2010), range(0x6000)]);
    }
}
