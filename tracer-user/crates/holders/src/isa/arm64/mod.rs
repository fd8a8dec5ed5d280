//! arm64 by yaxpeax-arm.

mod atomics;
mod data;
mod memory;
mod operands;

use yaxpeax_arch::{Arch, Decoder as _, U8Reader};
use yaxpeax_arm::armv8::a64::{ARMv8, Instruction as Machine, Opcode, Operand as Named};

use operands::{condition, operand, register, width};

use super::{
    Base, Cold, Instruction, Isa, MemoryOperand, Operand, Operation, Register, Target, Test,
    WideRegister,
};
use ids::ImageAddr;

/// The 64-bit Arm instruction set.
#[derive(Debug)]
pub struct Arm64;

/// R0 to R15 (`abi-internal.md`).
const ARGUMENTS: [Register; 16] = {
    let mut registers = [Register(0); 16];
    let mut i = 0;
    while i < registers.len() {
        registers[i] = Register(i as u8);
        i += 1;
    }
    registers
};
/// The stack pointer; where an operand means the zero register instead, it becomes a constant.
const SP: u8 = 31;
/// A jump to a place that cannot be told: an instruction that is not known.
const UNKNOWN: Operation = Operation::JumpTo(Operand::Memory(MemoryOperand {
    base: Base::Elsewhere,
    index: None,
    displacement: 0,
}));
/// Registers that a system call may change (`runtime/sys_linux_arm64.s`), as a bit set.
const SYSTEM_CALL_WRITES: u32 = 0x3_ffff;

impl Isa for Arm64 {
    fn decode(&self, code: &[u8], entry: ImageAddr) -> Vec<Instruction> {
        let decoder = <ARMv8 as Arch>::Decoder::default();
        let words = code.chunks_exact(4);
        let machine: Vec<Option<Machine>> = words
            .map(|word| decoder.decode(&mut U8Reader::new(word)).ok())
            .collect();
        let mut instructions = Vec::with_capacity(machine.len());
        let mut operations = Vec::new();
        for index in 0..machine.len() {
            let at = entry.offset(4 * index as u64);
            if !atomics::translate(&machine, index, &mut operations) {
                match machine.get(index).and_then(Option::as_ref) {
                    Some(machine) => translate(machine, at, &mut operations),
                    None => operations.push(UNKNOWN),
                }
            }
            let of_table = table_jump(&operations, instructions.last());
            let operations = operations.drain(..).map(|o| of_table.clone().unwrap_or(o));
            instructions.extend(operations.map(|operation| Instruction { at, operation }));
        }
        instructions
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
        Register(SP)
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

    /// It points below the stack pointer, to where the caller's is saved (`runtime/traceback.go`).
    fn frame_pointer_in(&self, sp: u64, _fp: u64) -> u64 {
        sp.wrapping_sub(8)
    }
}

/// A jump through a register that the instruction before has loaded from a table: a jump to what
/// the table has, as other machines do it at once.
fn table_jump(operations: &[Operation], before: Option<&Instruction>) -> Option<Operation> {
    let [Operation::JumpTo(Operand::Register(through))] = operations else {
        return None;
    };
    match before.map(|instruction| &instruction.operation) {
        Some(Operation::Move {
            to: Operand::Register(loaded),
            from: from @ Operand::Memory(_),
            width: 8,
            ..
        }) if loaded == through => Some(Operation::JumpTo(*from)),
        _ => None,
    }
}

/// What `machine`, which lies at `at`, does.
fn translate(machine: &Machine, at: ImageAddr, into: &mut Vec<Operation>) {
    let done = match control(machine, at) {
        Some(operation) => {
            into.push(operation);
            true
        }
        None => {
            memory::translate(machine, at, into).is_some()
                || data::translate(machine, at, into).is_some()
        }
    };
    if !done {
        into.clear();
        into.push(clobber(machine));
    }
}

fn control(machine: &Machine, at: ImageAddr) -> Option<Operation> {
    let [first, second, third, _] = machine.operands;
    Some(match machine.opcode {
        Opcode::B => Operation::Jump(target(first, at)?),
        Opcode::Bcc(code) if code >= 14 => Operation::Jump(target(first, at)?),
        Opcode::Bcc(code) => jump_if(Test::Flags(condition(code)), target(first, at)?),
        Opcode::CBZ | Opcode::CBNZ => {
            let test = Test::Zero {
                register: register(first)?,
                width: width(first)?,
                is_zero: machine.opcode == Opcode::CBZ,
            };
            jump_if(test, target(second, at)?)
        }
        Opcode::TBZ | Opcode::TBNZ => {
            let Named::Imm16(bit) = second else {
                return None;
            };
            let test = Test::Bit {
                register: register(first)?,
                bit: u8::try_from(bit).ok()?,
                is_set: machine.opcode == Opcode::TBNZ,
            };
            jump_if(test, target(third, at)?)
        }
        Opcode::BL => {
            let Target::Outside(target) = target(first, at)? else {
                return None;
            };
            Operation::Call(target)
        }
        Opcode::BLR => Operation::CallTo(operand(first)?),
        Opcode::BR => Operation::JumpTo(operand(first)?),
        Opcode::RET => Operation::Return,
        Opcode::BRK | Opcode::UDF | Opcode::HLT => Operation::Trap,
        Opcode::SVC => Operation::Clobber {
            registers: SYSTEM_CALL_WRITES,
            wide: 0,
            memory: None,
            keeps_flags: false,
        },
        Opcode::HINT
        | Opcode::DMB(_)
        | Opcode::DSB(_)
        | Opcode::ISB
        | Opcode::CLREX
        | Opcode::PRFM
        | Opcode::PRFUM => Operation::Nothing,
        _ => return None,
    })
}

const fn jump_if(test: Test, target: Target) -> Operation {
    Operation::JumpIf {
        test,
        target,
        cold: Cold::Neither,
    }
}

fn target(named: Named, at: ImageAddr) -> Option<Target> {
    let Named::PCOffset(offset) = named else {
        return None;
    };
    Some(Target::Outside(ImageAddr(at.0.wrapping_add_signed(offset))))
}

/// Everything else: what it writes is unknown afterwards.
fn clobber(machine: &Machine) -> Operation {
    let (mut registers, mut wide) = (0, 0);
    let (mut memory, mut writes_flags) = (None, true);
    match machine.operands[0] {
        Named::Register(_, number) | Named::RegisterOrSP(_, number) => {
            registers |= 1u32.wrapping_shl(u32::from(number));
            writes_flags = false;
        }
        Named::RegisterPair(_, number) => registers |= 3u32.wrapping_shl(u32::from(number)),
        Named::SIMDRegister(_, number)
        | Named::SIMDRegisterElements(_, number, _)
        | Named::SIMDRegisterElementsLane(_, number, _, _) => {
            wide |= 1u32.wrapping_shl(u32::from(number));
            writes_flags = false;
        }
        _ => wide = u32::MAX,
    }
    // Pairs load a second register.
    if let Named::Register(_, number) = machine.operands[1]
        && matches!(
            machine.opcode,
            Opcode::LDP | Opcode::LDPSW | Opcode::LDXP | Opcode::LDAXP
        )
    {
        registers |= 1u32.wrapping_shl(u32::from(number));
    }
    for named in machine.operands {
        if let Some((base, operand, moves)) = memory::base(named) {
            // It may be a store, of an unknown number of bytes.
            memory = Some((operand, 0));
            if moves {
                registers |= 1u32.wrapping_shl(u32::from(base));
            }
        }
    }
    writes_flags |= matches!(
        machine.opcode,
        Opcode::ADCS
            | Opcode::SBCS
            | Opcode::BICS
            | Opcode::ADDS
            | Opcode::SUBS
            | Opcode::ANDS
            | Opcode::CCMP
            | Opcode::CCMN
            | Opcode::FCMP
            | Opcode::FCMPE
            | Opcode::FCCMP
            | Opcode::FCCMPE
    );
    // Number 31 is the zero register here: the stack pointer is never computed in such ways.
    Operation::Clobber {
        registers: registers & !(1 << SP),
        wide,
        memory,
        keeps_flags: !writes_flags,
    }
}

#[cfg(test)]
mod tests;
