//! Operands, registers and conditions in iced's words and in ours.

use iced_x86::{ConditionCode, Instruction as Machine, OpKind, Register as Name};

use super::super::{Base, Condition, MemoryOperand, Operand, Register, WideRegister};

pub(super) fn operand(machine: &Machine, index: u32) -> Option<(Operand, u8)> {
    Some(match machine.op_kind(index) {
        OpKind::Register => {
            let name = machine.op_register(index);
            let register = general(name)?;
            // AH, BH, …: their place in the register is not followed.
            if matches!(name, Name::AH | Name::BH | Name::CH | Name::DH) {
                return None;
            }
            (Operand::Register(register), u8::try_from(name.size()).ok()?)
        }
        OpKind::Memory => (Operand::Memory(memory(machine)), size(machine)),
        kind if is_immediate(kind) => (Operand::Constant(machine.immediate(index)), 0),
        _ => return None,
    })
}

pub(super) const fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

pub(super) fn size(machine: &Machine) -> u8 {
    u8::try_from(machine.memory_size().size()).unwrap_or(0)
}

pub(super) fn memory(machine: &Machine) -> MemoryOperand {
    if machine.is_ip_rel_memory_operand() {
        return MemoryOperand {
            base: Base::Image,
            index: None,
            displacement: machine.ip_rel_memory_address().cast_signed(),
        };
    }
    let segmented = matches!(machine.segment_prefix(), Name::FS | Name::GS);
    MemoryOperand {
        base: if segmented {
            Base::Elsewhere
        } else {
            base(machine.memory_base())
        },
        index: general(machine.memory_index())
            .map(|r| (r, u8::try_from(machine.memory_index_scale()).unwrap_or(1))),
        displacement: machine.memory_displacement64().cast_signed(),
    }
}

pub(super) fn base(name: Name) -> Base {
    match name {
        Name::None => Base::Absolute,
        name => general(name).map_or(Base::Elsewhere, Base::Register),
    }
}

pub(super) fn general(name: Name) -> Option<Register> {
    let full = name.full_register();
    full.is_gpr64()
        .then(|| u8::try_from(full.number()).ok().map(Register))?
}

pub(super) fn wide_register(name: Name) -> Option<WideRegister> {
    (name.is_xmm() || name.is_ymm())
        .then(|| u8::try_from(name.number()).ok())?
        .filter(|number| *number < 16)
        .map(WideRegister)
}

pub(super) const fn condition(code: ConditionCode) -> Condition {
    match code {
        ConditionCode::e => Condition::Equal,
        ConditionCode::ne => Condition::NotEqual,
        ConditionCode::b => Condition::Below,
        ConditionCode::be => Condition::BelowOrEqual,
        ConditionCode::a => Condition::Above,
        ConditionCode::ae => Condition::AboveOrEqual,
        ConditionCode::l => Condition::Less,
        ConditionCode::le => Condition::LessOrEqual,
        ConditionCode::g => Condition::Greater,
        ConditionCode::ge => Condition::GreaterOrEqual,
        ConditionCode::s => Condition::Negative,
        ConditionCode::ns => Condition::NotNegative,
        _ => Condition::Other,
    }
}
