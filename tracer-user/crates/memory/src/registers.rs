//! The registers of a thread that stands still, wherever they were read.

use ids::{TargetAddr, Tid};

/// Where the stack pointer lies among the general registers, in words: `user_regs_struct.rsp`.
#[cfg(target_arch = "x86_64")]
const SP: usize = 19;
/// Where the stack pointer lies among the general registers, in words: `user_pt_regs.sp`.
#[cfg(not(target_arch = "x86_64"))]
const SP: usize = 31;

/// The registers of one stopped thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadRegisters {
    /// The thread.
    pub tid: Tid,
    /// Its stack pointer.
    pub sp: TargetAddr,
    /// All its registers, vector registers included, as 64-bit words.
    pub words: Vec<u64>,
}

impl ThreadRegisters {
    /// A thread with these general registers, in the order of the kernel's `NT_PRSTATUS`; `None`
    /// when there are too few of them.
    #[must_use]
    pub fn new(tid: Tid, general: Vec<u64>) -> Option<Self> {
        Some(Self {
            tid,
            sp: TargetAddr(*general.get(SP)?),
            words: general,
        })
    }
}
