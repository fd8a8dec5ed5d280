//! The general registers of arm64 among those that perf samples
//! (`arch/arm64/include/uapi/asm/perf_regs.h`).

/// What perf calls each register, in the order of the machine's encoding: `x0` to `x30`, `sp`.
pub const GENERAL: &[u8] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31,
];
/// What perf calls the program counter.
pub const PC: u8 = 32;
/// `sp` in the machine's encoding.
pub const STACK_POINTER: usize = 31;
/// `x28`, which points to the current `g` (`cmd/compile/abi-internal.md`).
pub const GOROUTINE: usize = 28;
/// `x30`.
pub const LINK: Option<usize> = Some(30);
