//! Instruction sets: from machine code to the executor's own instruction form.

mod amd64;
mod arm64;
mod instruction;

pub use instruction::{
    Arithmetic, Atomic, Base, Body, Cold, Condition, Extend, Instruction, MemoryOperand, Operand,
    Operation, REGISTERS, Register, Sets, Target, Test, WIDE_REGISTERS, WideRegister,
};

use ids::ImageAddr;
use image::Arch;

/// What the analysis has to know of a machine and of Go's calling convention on it
/// (`cmd/compile/abi-internal.md`).
pub trait Isa: Send + Sync {
    /// Decodes the machine code `code`, which begins at `entry`.
    fn decode(&self, code: &[u8], entry: ImageAddr) -> Vec<Instruction>;

    /// The registers that carry integer arguments and results, in order.
    fn arguments(&self) -> &'static [Register];

    /// The register that points to the closure when a function value is called.
    fn closure(&self) -> Register;

    /// The register that points to the current `g`.
    fn goroutine(&self) -> Register;

    /// The stack pointer.
    fn stack_pointer(&self) -> Register;

    /// The frame pointer.
    fn frame_pointer(&self) -> Register;

    /// The vector register that is always zero, if there is one.
    fn zero_wide(&self) -> Option<WideRegister>;

    /// Bytes that a call pushes.
    fn call_pushes(&self) -> u64;

    /// The frame pointer of a frame whose stack pointer is `sp` and whose frame address is `fp`.
    fn frame_pointer_in(&self, sp: u64, fp: u64) -> u64;

    /// How far below the frame address a frame's locals end (`varp` in `runtime/traceback.go`).
    fn locals_end(&self) -> u64 {
        // The caller's frame pointer lies between.
        self.call_pushes() + 8
    }
}

/// The instruction set of `arch`.
#[must_use]
pub fn of(arch: Arch) -> &'static dyn Isa {
    match arch {
        Arch::Amd64 => &amd64::Amd64,
        Arch::Arm64 => &arm64::Arm64,
    }
}
