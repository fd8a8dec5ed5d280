//! amd64 by iced-x86.

mod operands;

use iced_x86::{
    ConditionCode, Decoder, DecoderOptions, FlowControl, Instruction as Machine,
    InstructionInfoFactory, Mnemonic, OpAccess, OpKind, RflagsBits,
};

use operands::{base, condition, general, memory, operand, size, wide_register};

use super::{
    Arithmetic, Atomic, Cold, Extend, Instruction, Isa, MemoryOperand, Operand, Operation,
    Register, Sets, Target, Test, WideRegister,
};
use ids::ImageAddr;

/// The x86-64 instruction set.
#[derive(Debug)]
pub struct Amd64;

/// RAX, RBX, RCX, RDI, RSI, R8, R9, R10, R11 (`abi-internal.md`), in iced's numbering.
const ARGUMENTS: [Register; 9] = [
    Register(0),
    Register(3),
    Register(1),
    Register(7),
    Register(6),
    Register(8),
    Register(9),
    Register(10),
    Register(11),
];
/// RAX, written by a compare-and-swap that fails.
const RAX: Register = Register(0);

impl Isa for Amd64 {
    fn decode(&self, code: &[u8], entry: ImageAddr) -> Vec<Instruction> {
        let mut decoder = Decoder::with_ip(64, code, entry.0, DecoderOptions::NONE);
        let mut factory = InstructionInfoFactory::new();
        let mut instructions = Vec::with_capacity(code.len() / 4);
        let mut machine = Machine::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut machine);
            instructions.push(Instruction {
                at: ImageAddr(machine.ip()),
                operation: operation(&machine, &mut factory),
            });
        }
        instructions
    }

    fn arguments(&self) -> &'static [Register] {
        &ARGUMENTS
    }

    fn closure(&self) -> Register {
        Register(2)
    }

    fn goroutine(&self) -> Register {
        Register(14)
    }

    fn stack_pointer(&self) -> Register {
        Register(4)
    }

    fn frame_pointer(&self) -> Register {
        Register(5)
    }

    fn zero_wide(&self) -> Option<WideRegister> {
        Some(WideRegister(15))
    }

    fn call_pushes(&self) -> u64 {
        8
    }

    /// It points to where the caller's is saved, below the return address.
    fn frame_pointer_in(&self, _sp: u64, fp: u64) -> u64 {
        fp.wrapping_sub(16)
    }
}

fn operation(machine: &Machine, factory: &mut InstructionInfoFactory) -> Operation {
    translate(machine).unwrap_or_else(|| clobber(machine, factory))
}

/// The instructions that carry addresses and decide branches; `None`: everything else.
fn translate(machine: &Machine) -> Option<Operation> {
    if let Some(operation) = control(machine) {
        return Some(operation);
    }
    if machine.is_invalid() {
        return Some(Operation::Trap);
    }
    if machine.has_lock_prefix() || machine.mnemonic() == Mnemonic::Xchg {
        return atomic(machine);
    }
    if let Some(arithmetic) = arithmetic(machine.mnemonic()) {
        return compute(machine, arithmetic);
    }
    data(machine)
}

fn control(machine: &Machine) -> Option<Operation> {
    let target = || Target::Outside(ImageAddr(machine.near_branch_target()));
    Some(match machine.flow_control() {
        FlowControl::UnconditionalBranch => Operation::Jump(target()),
        FlowControl::ConditionalBranch => Operation::JumpIf {
            test: Test::Flags(condition(machine.condition_code())),
            target: target(),
            cold: Cold::Neither,
        },
        FlowControl::IndirectBranch => Operation::JumpTo(operand(machine, 0)?.0),
        FlowControl::Call => Operation::Call(ImageAddr(machine.near_branch_target())),
        FlowControl::IndirectCall => Operation::CallTo(operand(machine, 0)?.0),
        FlowControl::Return => Operation::Return,
        FlowControl::Exception | FlowControl::Interrupt => Operation::Trap,
        FlowControl::Next | FlowControl::XbeginXabortXend => return None,
    })
}

fn data(machine: &Machine) -> Option<Operation> {
    let moves = |extend| {
        let (to, width) = operand(machine, 0)?;
        let (from, from_width) = operand(machine, 1)?;
        let width = if from_width == 0 { width } else { from_width };
        Some(Operation::Move {
            to,
            from,
            width,
            extend,
        })
    };
    match machine.mnemonic() {
        Mnemonic::Nop
        | Mnemonic::Pause
        | Mnemonic::Prefetcht0
        | Mnemonic::Prefetchnta
        | Mnemonic::Mfence
        | Mnemonic::Lfence
        | Mnemonic::Endbr64 => Some(Operation::Nothing),
        Mnemonic::Mov => {
            let (_, width) = operand(machine, 0)?;
            moves(if width == 4 {
                Extend::Zero
            } else {
                Extend::Keep
            })
        }
        Mnemonic::Movzx => moves(Extend::Zero),
        Mnemonic::Movsx | Mnemonic::Movsxd => {
            let (_, width) = operand(machine, 0)?;
            if width == 8 {
                moves(Extend::Sign)
            } else {
                None
            }
        }
        Mnemonic::Lea => {
            let (Operand::Register(to), width) = operand(machine, 0)? else {
                return None;
            };
            Some(Operation::Address {
                to,
                of: memory(machine),
                width,
            })
        }
        Mnemonic::Push => Some(Operation::Push(operand(machine, 0)?.0)),
        Mnemonic::Pop => Some(Operation::Pop(operand(machine, 0)?.0)),
        Mnemonic::Movups | Mnemonic::Movdqu | Mnemonic::Movaps | Mnemonic::Movdqa => wide(machine),
        Mnemonic::Xorps | Mnemonic::Pxor
            if machine.op_kind(1) == OpKind::Register
                && machine.op0_register() == machine.op1_register() =>
        {
            let register = wide_register(machine.op0_register())?;
            Some(Operation::ZeroWide { register })
        }
        _ => conditional(machine),
    }
}

fn conditional(machine: &Machine) -> Option<Operation> {
    let code = machine.condition_code();
    if code == ConditionCode::None {
        return None;
    }
    let condition = condition(code);
    let (to, width) = operand(machine, 0)?;
    let (then, otherwise) = match machine.op_count() {
        1 => (Operand::Constant(1), Operand::Constant(0)),
        _ => (operand(machine, 1)?.0, to),
    };
    Some(Operation::Select {
        to,
        then,
        otherwise,
        width,
        condition,
    })
}

fn wide(machine: &Machine) -> Option<Operation> {
    match (machine.op0_kind(), machine.op1_kind()) {
        (OpKind::Memory, OpKind::Register) => Some(Operation::StoreWide {
            to: memory(machine),
            from: wide_register(machine.op1_register())?,
        }),
        (OpKind::Register, OpKind::Memory) => Some(Operation::LoadWide {
            to: wide_register(machine.op0_register())?,
            from: memory(machine),
        }),
        (OpKind::Register, OpKind::Register) => Some(Operation::CopyWide {
            to: wide_register(machine.op0_register())?,
            from: wide_register(machine.op1_register())?,
        }),
        _ => None,
    }
}

const fn arithmetic(mnemonic: Mnemonic) -> Option<Arithmetic> {
    Some(match mnemonic {
        Mnemonic::Add | Mnemonic::Inc => Arithmetic::Add,
        Mnemonic::Sub | Mnemonic::Cmp | Mnemonic::Dec => Arithmetic::Subtract,
        Mnemonic::And | Mnemonic::Test => Arithmetic::And,
        Mnemonic::Or => Arithmetic::Or,
        Mnemonic::Xor => Arithmetic::Xor,
        Mnemonic::Shl => Arithmetic::ShiftLeft,
        Mnemonic::Shr => Arithmetic::ShiftRight,
        Mnemonic::Sar => Arithmetic::ShiftRightSigned,
        Mnemonic::Imul => Arithmetic::Multiply,
        _ => return None,
    })
}

fn compute(machine: &Machine, arithmetic: Arithmetic) -> Option<Operation> {
    let mnemonic = machine.mnemonic();
    let (first, width) = operand(machine, 0)?;
    let writes = !matches!(mnemonic, Mnemonic::Cmp | Mnemonic::Test);
    let (left, right) = match (mnemonic, machine.op_count()) {
        (Mnemonic::Inc | Mnemonic::Dec, _) => (first, Operand::Constant(1)),
        (_, 2) => (first, operand(machine, 1)?.0),
        (_, 3) => (operand(machine, 1)?.0, operand(machine, 2)?.0),
        _ => return None,
    };
    Some(Operation::Compute {
        arithmetic,
        to: writes.then_some(first),
        left,
        right,
        width,
        // These leave the carry as it was.
        sets: if matches!(mnemonic, Mnemonic::Inc | Mnemonic::Dec) {
            Sets::Sign
        } else {
            Sets::All
        },
    })
}

fn atomic(machine: &Machine) -> Option<Operation> {
    let is_memory = machine.op0_kind() == OpKind::Memory;
    if machine.mnemonic() == Mnemonic::Xchg && !is_memory && machine.op1_kind() != OpKind::Memory {
        let (Operand::Register(a), 8) = operand(machine, 0)? else {
            return None;
        };
        let (Operand::Register(b), 8) = operand(machine, 1)? else {
            return None;
        };
        return Some(Operation::Exchange(a, b));
    }
    if !is_memory && machine.op1_kind() != OpKind::Memory {
        return None;
    }
    let other = || operand(machine, u32::from(is_memory)).map(|(o, _)| o);
    let kind = match machine.mnemonic() {
        Mnemonic::Xadd => match other()? {
            Operand::Register(old) => Atomic::Add(Some(old)),
            _ => return None,
        },
        Mnemonic::Add | Mnemonic::Inc | Mnemonic::Dec => Atomic::Add(None),
        Mnemonic::Cmpxchg => Atomic::CompareAndSwap,
        Mnemonic::Xchg => match other()? {
            Operand::Register(register) => Atomic::Swap(register),
            _ => return None,
        },
        _ => Atomic::Other,
    };
    Some(Operation::Atomic {
        atomic: kind,
        memory: memory(machine),
        width: size(machine),
    })
}

/// Everything else: what it writes is unknown afterwards.
fn clobber(machine: &Machine, factory: &mut InstructionInfoFactory) -> Operation {
    let info = factory.info(machine);
    let writes = |access| {
        matches!(
            access,
            OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
        )
    };
    let mut registers = 0u32;
    let mut wide = 0u32;
    for used in info.used_registers() {
        if !writes(used.access()) {
            continue;
        }
        if let Some(Register(number)) = general(used.register()) {
            registers |= 1 << number;
        } else if let Some(WideRegister(number)) = wide_register(used.register()) {
            wide |= 1 << number;
        }
    }
    let written = info.used_memory().iter().find(|m| writes(m.access()));
    let bytes = u32::try_from(machine.memory_size().size()).unwrap_or(0);
    let repeated = machine.has_rep_prefix() || machine.has_repne_prefix();
    let memory = written.map(|m| {
        let operand = MemoryOperand {
            base: base(m.base()),
            index: general(m.index()).map(|r| (r, u8::try_from(m.scale()).unwrap_or(1))),
            displacement: m.displacement().cast_signed(),
        };
        (operand, if repeated { 0 } else { bytes })
    });
    if mnemonic_is_cas(machine) {
        registers |= 1 << RAX.0;
    }
    Operation::Clobber {
        registers,
        wide,
        memory,
        keeps_flags: machine.rflags_modified() == RflagsBits::NONE,
    }
}

fn mnemonic_is_cas(machine: &Machine) -> bool {
    machine.mnemonic() == Mnemonic::Cmpxchg
}
