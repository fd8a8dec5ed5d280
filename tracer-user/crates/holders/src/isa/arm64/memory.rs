//! Loads and stores, of one register and of two, with and without moving their base.

use yaxpeax_arm::armv8::a64::{
    Instruction as Machine, Opcode, Operand as Named, ShiftStyle, SizeCode,
};

use super::{
    super::{Base, Extend, MemoryOperand, Operand, Operation, Register},
    operands::{numbered, operand, register, wide, width},
};
use ids::ImageAddr;

/// The bytes of a whole vector register.
const WIDE: i64 = 16;

/// Where an access goes, and how its base moves before or after.
struct Access {
    memory: MemoryOperand,
    before: Option<Operation>,
    after: Option<Operation>,
}

/// Loads and stores; `None`: something else.
pub(super) fn translate(machine: &Machine, at: ImageAddr, into: &mut Vec<Operation>) -> Option<()> {
    use Opcode as Op;
    let [first, second, third, _] = machine.operands;
    let (extend, bytes) = match machine.opcode {
        Op::LDR | Op::LDUR | Op::LDAR | Op::LDAPR | Op::LDAPUR | Op::LDXR | Op::LDAXR => {
            (Extend::Zero, width(first))
        }
        Op::LDRB | Op::LDURB | Op::LDARB | Op::LDAPRB | Op::LDAXRB => (Extend::Zero, Some(1)),
        Op::LDRH | Op::LDURH | Op::LDARH | Op::LDAPRH => (Extend::Zero, Some(2)),
        Op::LDRSB | Op::LDURSB if width(first) == Some(8) => (Extend::Sign, Some(1)),
        Op::LDRSH | Op::LDURSH if width(first) == Some(8) => (Extend::Sign, Some(2)),
        Op::LDRSW | Op::LDURSW => (Extend::Sign, Some(4)),
        Op::STR | Op::STUR | Op::STLR | Op::STLUR => return store(at, first, second, into),
        Op::STRB | Op::STURB | Op::STLRB => return store_bytes(at, (first, 1), second, into),
        Op::STRH | Op::STURH | Op::STLRH => return store_bytes(at, (first, 2), second, into),
        Op::LDP => return load_two(at, [first, second], third, Extend::Zero, into),
        Op::LDPSW => return load_two(at, [first, second], third, Extend::Sign, into),
        Op::STP => return store_two(at, [first, second], third, into),
        _ => return None,
    };
    let access = access(second, at)?;
    into.extend(access.before);
    into.push(match wide(first) {
        Some(to) => Operation::LoadWide {
            to,
            from: access.memory,
        },
        None => load(first, access.memory, bytes?, extend)?,
    });
    into.extend(access.after);
    Some(())
}

fn load(to: Named, from: MemoryOperand, width: u8, extend: Extend) -> Option<Operation> {
    Some(match operand(to)? {
        to @ Operand::Register(_) => Operation::Move {
            to,
            from: Operand::Memory(from),
            width,
            extend,
        },
        // Into the zero register.
        _ => Operation::Nothing,
    })
}

fn store(at: ImageAddr, from: Named, to: Named, into: &mut Vec<Operation>) -> Option<()> {
    if let Some(from) = wide(from) {
        let access = access(to, at)?;
        into.extend(access.before);
        into.push(Operation::StoreWide {
            to: access.memory,
            from,
        });
        into.extend(access.after);
        return Some(());
    }
    store_bytes(at, (from, width(from)?), to, into)
}

fn store_bytes(
    at: ImageAddr,
    (from, width): (Named, u8),
    to: Named,
    into: &mut Vec<Operation>,
) -> Option<()> {
    let access = access(to, at)?;
    into.extend(access.before);
    into.push(Operation::Move {
        to: Operand::Memory(access.memory),
        from: operand(from)?,
        width,
        extend: Extend::Keep,
    });
    into.extend(access.after);
    Some(())
}

fn load_two(
    at: ImageAddr,
    [first, second]: [Named; 2],
    from: Named,
    extend: Extend,
    into: &mut Vec<Operation>,
) -> Option<()> {
    let access = access(from, at)?;
    into.extend(access.before);
    if let (Some(to), Some(next)) = (wide(first), wide(second)) {
        let from = access.memory;
        into.push(Operation::LoadWide { to, from });
        let from = behind(from, WIDE);
        into.push(Operation::LoadWide { to: next, from });
    } else {
        let bytes = if extend == Extend::Sign {
            4
        } else {
            width(first)?
        };
        let low = load(first, access.memory, bytes, extend)?;
        let high = load(
            second,
            behind(access.memory, i64::from(bytes)),
            bytes,
            extend,
        )?;
        // The one that overwrites the base comes last.
        let overwrites = register(first).map(Base::Register) == Some(access.memory.base);
        into.extend(if overwrites { [high, low] } else { [low, high] });
    }
    into.extend(access.after);
    Some(())
}

fn store_two(
    at: ImageAddr,
    [first, second]: [Named; 2],
    to: Named,
    into: &mut Vec<Operation>,
) -> Option<()> {
    let access = access(to, at)?;
    into.extend(access.before);
    if let (Some(from), Some(next)) = (wide(first), wide(second)) {
        let to = access.memory;
        into.push(Operation::StoreWide { to, from });
        let to = behind(to, WIDE);
        into.push(Operation::StoreWide { to, from: next });
    } else {
        let width = width(first)?;
        let part = |from, to| {
            Some(Operation::Move {
                to: Operand::Memory(to),
                from: operand(from)?,
                width,
                extend: Extend::Keep,
            })
        };
        into.push(part(first, access.memory)?);
        into.push(part(second, behind(access.memory, i64::from(width)))?);
    }
    into.extend(access.after);
    Some(())
}

const fn behind(memory: MemoryOperand, bytes: i64) -> MemoryOperand {
    MemoryOperand {
        displacement: memory.displacement.wrapping_add(bytes),
        ..memory
    }
}

fn access(named: Named, at: ImageAddr) -> Option<Access> {
    let (mut before, mut after) = (None, None);
    let memory = match named {
        Named::RegPreIndex(base, offset, moves) => {
            let base = numbered(base)?;
            if moves {
                before = Some(moved(base, offset));
            }
            plain(base, if moves { 0 } else { i64::from(offset) })
        }
        Named::RegPostIndex(base, offset) => {
            let base = numbered(base)?;
            after = Some(moved(base, offset));
            plain(base, 0)
        }
        Named::RegRegOffset(base, index, SizeCode::X, ShiftStyle::LSL, shift) => MemoryOperand {
            index: Some((numbered(index)?, 1u8.checked_shl(u32::from(shift))?)),
            ..plain(numbered(base)?, 0)
        },
        Named::PCOffset(offset) => MemoryOperand {
            base: Base::Image,
            index: None,
            displacement: at.0.wrapping_add_signed(offset).cast_signed(),
        },
        _ => return None,
    };
    Some(Access {
        memory,
        before,
        after,
    })
}

const fn plain(base: Register, displacement: i64) -> MemoryOperand {
    MemoryOperand {
        base: Base::Register(base),
        index: None,
        displacement,
    }
}

fn moved(base: Register, offset: i32) -> Operation {
    Operation::Address {
        to: base,
        of: plain(base, i64::from(offset)),
        width: 8,
    }
}

/// The base register of a memory operand, the operand as far as it can be told, and whether the
/// base moves.
pub(super) fn base(named: Named) -> Option<(u8, MemoryOperand, bool)> {
    let (base, moves, known) = match named {
        Named::RegPreIndex(base, _, moves) => (base, moves, true),
        Named::RegPostIndex(base, _) | Named::RegPostIndexReg(base, _) => (base, true, true),
        Named::RegRegOffset(base, ..) => (base, false, false),
        _ => return None,
    };
    let register = numbered(base)?;
    let mut memory = plain(register, 0);
    if let Named::RegPreIndex(_, offset, _) = named {
        memory.displacement = i64::from(offset);
    }
    if !known {
        memory.base = Base::Elsewhere;
    }
    Some((register.0, memory, moves))
}
