//! Values moved and computed between registers.

use yaxpeax_arm::armv8::a64::{Instruction as Machine, Opcode, Operand as Named, ShiftStyle};

use super::{
    super::{Arithmetic, Base, Extend, MemoryOperand, Operand, Operation, Register, Sets},
    operands::{condition, operand, register, width},
};
use ids::ImageAddr;

/// Bytes that `ADRP` counts in.
const PAGE: u64 = 4096;

/// What carries addresses and decides branches; `None`: something else.
pub(super) fn translate(machine: &Machine, at: ImageAddr, into: &mut Vec<Operation>) -> Option<()> {
    let [first, second, third, fourth] = machine.operands;
    let (arithmetic, sets) = match machine.opcode {
        Opcode::ADD => (Arithmetic::Add, Sets::Nothing),
        Opcode::ADDS => (Arithmetic::Add, Sets::All),
        Opcode::SUB => (Arithmetic::Subtract, Sets::Nothing),
        Opcode::SUBS => (Arithmetic::Subtract, Sets::All),
        Opcode::AND => (Arithmetic::And, Sets::Nothing),
        // Its carry is not as other machines have it.
        Opcode::ANDS => (Arithmetic::And, Sets::Sign),
        Opcode::ORR => (Arithmetic::Or, Sets::Nothing),
        Opcode::EOR => (Arithmetic::Xor, Sets::Nothing),
        Opcode::LSLV => (Arithmetic::ShiftLeft, Sets::Nothing),
        Opcode::LSRV => (Arithmetic::ShiftRight, Sets::Nothing),
        Opcode::ASRV => (Arithmetic::ShiftRightSigned, Sets::Nothing),
        Opcode::MADD if operand(fourth) == Some(Operand::Constant(0)) => {
            (Arithmetic::Multiply, Sets::Nothing)
        }
        _ => {
            let (narrowed, last) = match other(machine, at) {
                Some(operation) => (None, operation),
                None => bits(machine)?,
            };
            into.extend(narrowed);
            into.push(last);
            return Some(());
        }
    };
    let width = width(first)?;
    let to = register(first);
    let left = operand(second)?;
    let right = match third {
        Named::RegShift(ShiftStyle::LSL, shift @ 1..8, _, number) if sets == Sets::Nothing => {
            into.push(scaled(arithmetic, to?, left, (number, shift), width)?);
            return Some(());
        }
        third => operand(third)?,
    };
    into.push(match (arithmetic, left, to) {
        // The zero register with something: a plain copy.
        (Arithmetic::Or, Operand::Constant(0), Some(to)) => Operation::Move {
            to: Operand::Register(to),
            from: right,
            width,
            extend: Extend::Zero,
        },
        _ => Operation::Compute {
            arithmetic,
            to: to.map(Operand::Register),
            left,
            right,
            width,
            sets,
        },
    });
    Some(())
}

/// A sum with a shifted register: an address.
fn scaled(
    arithmetic: Arithmetic,
    to: Register,
    left: Operand,
    (index, shift): (u16, u8),
    width: u8,
) -> Option<Operation> {
    let (Arithmetic::Add, Operand::Register(base)) = (arithmetic, left) else {
        return None;
    };
    Some(Operation::Address {
        to,
        of: MemoryOperand {
            base: Base::Register(base),
            index: Some((super::operands::numbered(index)?, 1 << shift)),
            displacement: 0,
        },
        width,
    })
}

fn other(machine: &Machine, at: ImageAddr) -> Option<Operation> {
    let [first, second, third, fourth] = machine.operands;
    let to = Operand::Register(register(first)?);
    let place = |address: u64| MemoryOperand {
        base: Base::Image,
        index: None,
        displacement: address.cast_signed(),
    };
    Some(match (machine.opcode, second) {
        (Opcode::ADRP, Named::PCOffset(offset)) => Operation::Address {
            to: register(first)?,
            of: place((at.0 / PAGE * PAGE).wrapping_add_signed(offset)),
            width: 8,
        },
        (Opcode::ADR, Named::PCOffset(offset)) => Operation::Address {
            to: register(first)?,
            of: place(at.0.wrapping_add_signed(offset)),
            width: 8,
        },
        (Opcode::MOVZ, bits) => constant(to, operand(bits)?, width(first)?),
        (Opcode::MOVN, bits) => match operand(bits)? {
            Operand::Constant(bits) => constant(to, Operand::Constant(!bits), width(first)?),
            _ => return None,
        },
        (Opcode::CSEL | Opcode::CSINC | Opcode::CSINV, _) => {
            let Named::ConditionCode(code) = fourth else {
                return None;
            };
            let otherwise = match (machine.opcode, operand(third)?) {
                (Opcode::CSEL, value) => value,
                (Opcode::CSINC, Operand::Constant(0)) => Operand::Constant(1),
                (Opcode::CSINV, Operand::Constant(0)) => Operand::Constant(u64::MAX),
                _ => return None,
            };
            Operation::Select {
                to,
                then: operand(second)?,
                otherwise,
                width: width(first)?,
                condition: condition(code),
            }
        }
        _ => return None,
    })
}

const fn constant(to: Operand, from: Operand, width: u8) -> Operation {
    Operation::Move {
        to,
        from,
        width,
        extend: Extend::Zero,
    }
}

/// Moves of parts of a register: shifts by constants, extensions, `MOVK`. Two steps where it takes
/// two.
fn bits(machine: &Machine) -> Option<(Option<Operation>, Operation)> {
    let [first, second, third, fourth] = machine.operands;
    let width = width(first)?;
    let to = Operand::Register(register(first)?);
    let step = |arithmetic, left, right| Operation::Compute {
        arithmetic,
        to: Some(to),
        left,
        right: Operand::Constant(right),
        width,
        sets: Sets::Nothing,
    };
    if let (Opcode::MOVK, Named::ImmShift(bits, shift)) = (machine.opcode, second) {
        let place = |bits: u64| bits.checked_shl(u32::from(shift)).unwrap_or(0);
        let cleared = step(Arithmetic::And, to, !place(0xffff));
        return Some((
            Some(cleared),
            step(Arithmetic::Or, to, place(u64::from(bits))),
        ));
    }
    let (Named::Immediate(rotated), Named::Immediate(highest)) = (third, fourth) else {
        return None;
    };
    let from = operand(second)?;
    let all = 8 * u32::from(width);
    let (rotated, highest) = (rotated.min(all - 1), highest.min(all - 1));
    let mask = |bits: u32| u64::MAX >> (64 - bits.clamp(1, 64));
    match machine.opcode {
        Opcode::UBFM if highest >= rotated => Some((
            Some(step(Arithmetic::ShiftRight, from, rotated.into())),
            step(Arithmetic::And, to, mask(highest - rotated + 1)),
        )),
        Opcode::UBFM => Some((
            Some(step(Arithmetic::And, from, mask(highest + 1))),
            step(Arithmetic::ShiftLeft, to, (all - rotated).into()),
        )),
        Opcode::SBFM if highest + 1 == all => Some((
            None,
            step(Arithmetic::ShiftRightSigned, from, rotated.into()),
        )),
        Opcode::SBFM if rotated == 0 && width == 8 && matches!(highest, 7 | 15 | 31) => Some((
            None,
            Operation::Move {
                to,
                from,
                width: u8::try_from((highest + 1) / 8).ok()?,
                extend: Extend::Sign,
            },
        )),
        _ => None,
    }
}
