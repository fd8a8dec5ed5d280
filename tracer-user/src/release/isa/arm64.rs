//! arm64: the calling convention is known, the machine code is not decoded yet.
//!
//! Refusing is honest: a body without instructions counts as unknown code, so no lock gets a
//! holder and nothing about locks is proven.

use super::{Instruction, Isa, Register, WideRegister};
use crate::ids::ImageAddr;

/// The 64-bit Arm instruction set.
#[derive(Debug)]
pub struct Arm64;

const ARGUMENTS: [Register; 16] = {
    let mut registers = [Register(0); 16];
    let mut i = 0;
    while i < registers.len() {
        registers[i] = Register(i as u8);
        i += 1;
    }
    registers
};

impl Isa for Arm64 {
    fn decode(&self, _code: &[u8], _entry: ImageAddr) -> Vec<Instruction> {
        Vec::new()
    }

    fn arguments(&self) -> &'static [Register] {
        &ARGUMENTS
    }

    fn closure(&self) -> Register {
        Register(26)
    }

    fn goroutine(&self) -> Register {
        Register(28)
    }

    fn stack_pointer(&self) -> Register {
        Register(31)
    }

    fn frame_pointer(&self) -> Register {
        Register(29)
    }

    fn zero_wide(&self) -> Option<WideRegister> {
        None
    }

    fn call_pushes(&self) -> u64 {
        0
    }
}
