//! Go's register ABI on amd64 (`cmd/compile/abi-internal.md`, since Go 1.17): arguments in AX, BX,
//! CX, DI, …; the current `g` in R14. Go's arm64 uses R0, R1, R2, …, and R28.

use aya_ebpf::programs::ProbeContext;

/// The registers at a probe.
#[derive(Clone, Copy)]
pub struct Registers<'a>(&'a aya_ebpf::bindings::pt_regs);

impl<'a> Registers<'a> {
    #[inline(always)]
    pub fn of(context: &'a ProbeContext) -> Self {
        // SAFETY: the kernel hands every uprobe program a valid pt_regs.
        Self(unsafe { &*context.regs })
    }
}

#[cfg(bpf_target_arch = "x86_64")]
impl Registers<'_> {
    /// Carry and zero flag: set together or singly when `jbe` jumps.
    const BELOW_OR_EQUAL: u64 = 0x41;

    #[inline(always)]
    pub fn first(self) -> u64 {
        self.0.rax
    }

    #[inline(always)]
    pub fn second(self) -> u64 {
        self.0.rbx
    }

    #[inline(always)]
    pub fn third(self) -> u64 {
        self.0.rcx
    }

    /// The current `g`.
    #[inline(always)]
    pub fn g(self) -> u64 {
        self.0.r14
    }

    /// Whether a conditional jump of the stack check is about to be taken to `morestack`, after
    /// which the function starts again.
    #[inline(always)]
    pub fn stack_check_fails(self) -> bool {
        self.0.eflags & Self::BELOW_OR_EQUAL != 0
    }
}

#[cfg(bpf_target_arch = "aarch64")]
impl Registers<'_> {
    #[inline(always)]
    pub fn first(self) -> u64 {
        self.0.regs[0]
    }

    #[inline(always)]
    pub fn second(self) -> u64 {
        self.0.regs[1]
    }

    #[inline(always)]
    pub fn third(self) -> u64 {
        self.0.regs[2]
    }

    /// The current `g`.
    #[inline(always)]
    pub fn g(self) -> u64 {
        self.0.regs[28]
    }

    /// Probes lie on the entry there, never on the conditional branch.
    #[inline(always)]
    pub fn stack_check_fails(self) -> bool {
        false
    }
}
