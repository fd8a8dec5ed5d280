//! The general registers of amd64 among those that perf samples
//! (`arch/x86/include/uapi/asm/perf_regs.h`).

/// What perf calls each register, in the order of the machine's encoding: `rax`, `rcx`, `rdx`,
/// `rbx`, `rsp`, `rbp`, `rsi`, `rdi`, `r8` to `r15`.
pub const GENERAL: &[u8] = &[0, 2, 3, 1, 7, 6, 4, 5, 16, 17, 18, 19, 20, 21, 22, 23];
/// What perf calls `rip`.
pub const PC: u8 = 8;
/// `rsp` in the machine's encoding.
pub const STACK_POINTER: usize = 4;
/// `r14`, which points to the current `g` (`cmd/compile/abi-internal.md`).
pub const GOROUTINE: usize = 14;
/// There is no link register.
pub const LINK: Option<usize> = None;
