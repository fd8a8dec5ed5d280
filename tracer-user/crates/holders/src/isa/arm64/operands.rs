//! Operands, registers and conditions in yaxpeax-arm's words and in ours.

use yaxpeax_arm::armv8::a64::{Operand as Named, SIMDSizeCode, ShiftStyle, SizeCode};

use super::super::{Condition, Operand, Register, WideRegister};

/// The zero register's number, where an operand can be that.
const ZERO: u16 = 31;

/// The value that `named` is; `None` for what is more than a register or a constant.
pub(super) fn operand(named: Named) -> Option<Operand> {
    Some(match named {
        Named::Register(_, ZERO) | Named::RegShift(ShiftStyle::LSL, 0, _, ZERO) => {
            Operand::Constant(0)
        }
        Named::Register(_, number)
        | Named::RegisterOrSP(_, number)
        | Named::RegShift(ShiftStyle::LSL, 0, SizeCode::X, number) => {
            Operand::Register(numbered(number)?)
        }
        // Of a 32-bit operation: nothing is extended.
        Named::RegShift(ShiftStyle::LSL, 0, SizeCode::W, number) => {
            Operand::Register(numbered(number)?)
        }
        Named::Immediate(bits) => Operand::Constant(u64::from(bits)),
        Named::Imm64(bits) => Operand::Constant(bits),
        Named::Imm16(bits) => Operand::Constant(u64::from(bits)),
        Named::ImmShift(bits, shift) => {
            Operand::Constant(u64::from(bits).checked_shl(u32::from(shift))?)
        }
        _ => return None,
    })
}

/// The register that `named` is; `None` for the zero register too.
pub(super) fn register(named: Named) -> Option<Register> {
    match operand(named)? {
        Operand::Register(register) => Some(register),
        _ => None,
    }
}

pub(super) fn numbered(number: u16) -> Option<Register> {
    u8::try_from(number).ok().map(Register)
}

/// The bytes of the register that `named` is.
pub(super) const fn width(named: Named) -> Option<u8> {
    match named {
        Named::Register(size, _) | Named::RegisterOrSP(size, _) => Some(bytes(size)),
        _ => None,
    }
}

pub(super) const fn bytes(size: SizeCode) -> u8 {
    match size {
        SizeCode::X => 8,
        SizeCode::W => 4,
    }
}

/// The whole vector register that `named` is.
pub(super) fn wide(named: Named) -> Option<WideRegister> {
    match named {
        Named::SIMDRegister(SIMDSizeCode::Q, number) => u8::try_from(number).ok().map(WideRegister),
        _ => None,
    }
}

/// By the number that instructions have for it.
pub(super) const fn condition(code: u8) -> Condition {
    match code {
        0 => Condition::Equal,
        1 => Condition::NotEqual,
        2 => Condition::AboveOrEqual,
        3 => Condition::Below,
        4 => Condition::Negative,
        5 => Condition::NotNegative,
        8 => Condition::Above,
        9 => Condition::BelowOrEqual,
        10 => Condition::GreaterOrEqual,
        11 => Condition::Less,
        12 => Condition::Greater,
        13 => Condition::LessOrEqual,
        _ => Condition::Other,
    }
}
