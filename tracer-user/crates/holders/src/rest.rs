//! A wait that its own code makes endless: `<-make(chan T)`, by which main keeps a program running as
//! it does by `select {}`.

use super::{
    code::{Code, Routine},
    isa::{Base, Operand, Operation},
    rounds::innermost,
    sites::CallEffect,
};
use snapshot::Goroutine;

/// Instructions between making the channel and receiving from it at most.
const MAX_BETWEEN: u32 = 32;

/// Whether `g` receives from a channel that its code made just before: nobody else has ever had it.
pub fn receives_from_own_making(code: &Code, g: &Goroutine) -> bool {
    innermost(code, g).is_some_and(|(_, site, routine)| {
        let call = routine.body.index_of(site).and_then(|at| at.checked_sub(1));
        call.is_some_and(|call| made_before(code, &routine, call))
    })
}

/// Whether the code that leads to the receive at `call`, and only there, makes the channel and gives
/// it to nobody.
fn made_before(code: &Code, routine: &Routine, call: u32) -> bool {
    let called = |index: u32| match routine.body.get(index)?.operation {
        Operation::Call(target) => code.callee(target),
        _ => None,
    };
    if called(call).is_none_or(|callee| callee.effect != CallEffect::Receive) {
        return false;
    }
    for index in (call.saturating_sub(MAX_BETWEEN)..call).rev() {
        if routine.body.is_target(index + 1) {
            return false;
        }
        if let Some(callee) = called(index) {
            return is_make(&callee.function.name);
        }
        let Some(instruction) = routine.body.get(index) else {
            return false;
        };
        if !stays_here(code, &instruction.operation) {
            return false;
        }
    }
    false
}

/// `make(chan T)` (`runtime/chan.go`).
fn is_make(name: &str) -> bool {
    matches!(name, "runtime.makechan" | "runtime.makechan64")
}

/// Whether an instruction leaves what it handles in registers and on the stack.
fn stays_here(code: &Code, operation: &Operation) -> bool {
    let isa = code.isa();
    match operation {
        Operation::Move { to, .. } | Operation::Compute { to: Some(to), .. } => match to {
            Operand::Register(_) => true,
            Operand::Memory(memory) => matches!(
                memory.base,
                Base::Register(base) if base == isa.stack_pointer() || base == isa.frame_pointer()
            ),
            Operand::Constant(_) => false,
        },
        Operation::Address { .. } | Operation::Compute { to: None, .. } | Operation::Nothing => {
            true
        }
        Operation::Clobber { memory, .. } => memory.is_none(),
        _ => false,
    }
}
