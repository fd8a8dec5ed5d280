//! Atomic instructions, and the loops that do the same on machines without them.
//!
//! Go decides at run time which to use (`makeAtomicGuardedIntrinsicARM64` in
//! `cmd/compile/internal/ssagen/intrinsics.go`): a test of `internal/cpu.ARM64.HasATOMICS`, then
//! `LDADDAL` and the like, else a loop of `LDAXR` and `STLXR`. Both do the same: the former is
//! followed, and a loop by itself becomes one atomic operation.

use yaxpeax_arm::armv8::a64::{Instruction as Machine, Opcode, Operand as Named};

use super::{
    super::{Atomic, Base, MemoryOperand, Operation, Register},
    operands::{numbered, register, width},
};

/// How many instructions a loop has at most, and how far from the test the operation is.
const NEAR: usize = 8;

type Code = [Option<Machine>];

/// Translates the instruction at `index` if it is part of an atomic operation.
pub(super) fn translate(code: &Code, index: usize, into: &mut Vec<Operation>) -> bool {
    let Some(machine) = at(code, index) else {
        return false;
    };
    if is_guard(code, index, machine) || is_test_of_swap(code, index, machine) {
        into.push(Operation::Nothing);
        return true;
    }
    let operation = single(machine).or_else(|| {
        let (kind, _) = exclusive_loop(code, index)?;
        Some((kind, machine.operands[0], machine.operands[1]))
    });
    if let Some((kind, old, place)) = operation {
        return emit(kind, old, place, into).is_some();
    }
    in_loop(code, index, machine, into)
}

fn at(code: &Code, index: usize) -> Option<&Machine> {
    code.get(index)?.as_ref()
}

/// What is done to the old value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Add,
    Swap,
    CompareAndSwap,
    Other,
}

fn emit(kind: Kind, old: Named, place: Named, into: &mut Vec<Operation>) -> Option<()> {
    let Named::RegPreIndex(base, 0, false) = place else {
        return None;
    };
    let memory = MemoryOperand {
        base: Base::Register(numbered(base)?),
        index: None,
        displacement: 0,
    };
    let width = width(old)?;
    let old = register(old);
    let atomic = match (kind, old) {
        (Kind::Add, old) => Atomic::Add(old),
        (Kind::Swap, Some(old)) => Atomic::Swap(old),
        (Kind::CompareAndSwap, _) => Atomic::CompareAndSwap,
        (Kind::Swap | Kind::Other, _) => Atomic::Other,
    };
    if let (Atomic::CompareAndSwap | Atomic::Other, Some(old)) = (atomic, old) {
        into.push(forget(old));
    }
    into.push(Operation::Atomic {
        atomic,
        memory,
        width,
    });
    Some(())
}

const fn forget(register: Register) -> Operation {
    Operation::Clobber {
        registers: 1 << register.0,
        wide: 0,
        memory: None,
        keeps_flags: true,
    }
}

/// One instruction that does it all: what, where the old value goes, and where in memory.
fn single(machine: &Machine) -> Option<(Kind, Named, Named)> {
    let [first, second, place, _] = machine.operands;
    let kind = match machine.opcode {
        Opcode::LDADD(_) => Kind::Add,
        Opcode::SWP(_) => Kind::Swap,
        // The register that it compares with gets the old value.
        Opcode::CAS(_) => return Some((Kind::CompareAndSwap, first, place)),
        Opcode::LDCLR(_)
        | Opcode::LDSET(_)
        | Opcode::LDEOR(_)
        | Opcode::LDADDB(_)
        | Opcode::SWPB(_)
        | Opcode::LDCLRB(_)
        | Opcode::LDSETB(_)
        | Opcode::LDEORB(_) => Kind::Other,
        _ => return None,
    };
    Some((kind, second, place))
}

/// The test of `HasATOMICS`: one bit decides between an atomic instruction and a loop.
fn is_guard(code: &Code, index: usize, machine: &Machine) -> bool {
    let (Opcode::TBZ, Named::Imm16(0), Named::PCOffset(offset)) =
        (machine.opcode, machine.operands[1], machine.operands[2])
    else {
        return false;
    };
    let Some(loop_at) = usize::try_from(offset / 4).ok().map(|skip| index + skip) else {
        return false;
    };
    let near = |start: usize| (start..start + NEAR).map_while(|index| at(code, index));
    near(index + 1).any(|machine| single(machine).is_some())
        && near(loop_at).any(|machine| is_exclusive_load(machine.opcode))
}

const fn is_exclusive_load(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::LDAXR | Opcode::LDXR | Opcode::LDAXRB | Opcode::LDXRB
    )
}

const fn is_exclusive_store(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::STLXR | Opcode::STXR | Opcode::STLXRB | Opcode::STXRB
    )
}

/// The comparison after `CAS` that says whether it did swap: the operation itself has told.
fn is_test_of_swap(code: &Code, index: usize, machine: &Machine) -> bool {
    let before = index.checked_sub(1).and_then(|before| at(code, before));
    before.is_some_and(|before| matches!(before.opcode, Opcode::CAS(_))) && is_comparison(machine)
}

fn is_comparison(machine: &Machine) -> bool {
    machine.opcode == Opcode::SUBS && matches!(machine.operands[0], Named::Register(_, 31))
}

/// The loop that begins with the exclusive load at `index`: what it does, and where its store is.
fn exclusive_loop(code: &Code, index: usize) -> Option<(Kind, usize)> {
    let load = at(code, index)?;
    if !is_exclusive_load(load.opcode) {
        return None;
    }
    let mut kind = Kind::Swap;
    for store in index + 1..index + NEAR {
        let machine = at(code, store)?;
        match machine.opcode {
            opcode if is_exclusive_store(opcode) => {
                let again = at(code, store + 1)?;
                let back = 4 * i64::try_from(store + 1 - index).ok()?;
                let is_loop = machine.operands[2] == load.operands[1]
                    && again.opcode == Opcode::CBNZ
                    && again.operands[1] == Named::PCOffset(-back);
                return is_loop.then_some((kind, store));
            }
            _ if is_comparison(machine) => kind = Kind::CompareAndSwap,
            Opcode::Bcc(_) => {}
            Opcode::ADD if kind == Kind::Swap => kind = Kind::Add,
            _ if kind != Kind::CompareAndSwap => kind = Kind::Other,
            _ => {}
        }
    }
    None
}

/// The rest of a loop whose load has become the atomic operation: only what it computes remains.
fn in_loop(code: &Code, index: usize, machine: &Machine, into: &mut Vec<Operation>) -> bool {
    let starts = index.saturating_sub(NEAR)..index;
    let found = starts
        .rev()
        .find_map(|start| exclusive_loop(code, start))
        .filter(|(_, store)| index <= store + 1);
    let Some((kind, store)) = found else {
        return false;
    };
    let decides = kind == Kind::CompareAndSwap
        && (is_comparison(machine) || matches!(machine.opcode, Opcode::Bcc(_)));
    if index == store + 1 || decides {
        into.push(Operation::Nothing);
        return true;
    }
    if index == store
        && let Some(status) = register(machine.operands[0])
    {
        into.push(forget(status));
        return true;
    }
    false
}
