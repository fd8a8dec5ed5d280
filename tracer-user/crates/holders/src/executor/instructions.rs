//! One instruction: values moved, computed, loaded and stored.

use super::{
    super::{
        isa::{Arithmetic, Extend, MemoryOperand, Operand, Operation, Sets, Target},
        sites::AtomicEffect,
    },
    Executor, State, Step,
    state::Flags,
    trace::{Compute, Term},
    value::Value,
};

/// Bytes after an unfollowed store that are no longer known, when its length is not known.
const UNKNOWN_STORE: u64 = 1024;

impl Executor<'_> {
    pub(super) fn step(&mut self, state: &mut State) -> Step {
        let routine = std::sync::Arc::clone(&state.routine);
        let index = state.at;
        let Some(instruction) = routine.body.get(index) else {
            return Step::End;
        };
        state.at += 1;
        match &instruction.operation {
            Operation::Jump(target) => self.jump(state, *target),
            Operation::JumpIf { test, target, cold } => self.jump_if(state, *test, *target, *cold),
            Operation::JumpTo(operand) => self.jump_to(state, *operand),
            Operation::Call(target) => self.call(state, instruction.at, *target),
            Operation::CallTo(operand) => self.call_to(state, instruction.at, *operand),
            Operation::Return => self.return_(state),
            Operation::Trap => Step::End,
            Operation::Atomic {
                atomic,
                memory,
                width,
            } => {
                let effect = routine.atomics.get(&index).copied();
                let effect = effect.unwrap_or(AtomicEffect::Nothing);
                self.atomic(state, instruction.at, *atomic, *memory, *width, effect)
            }
            operation => {
                self.compute(state, operation);
                Step::Go
            }
        }
    }

    fn compute(&mut self, state: &mut State, operation: &Operation) {
        match *operation {
            Operation::Move {
                to,
                from,
                width,
                extend,
            } => self.move_(state, to, from, width, extend),
            Operation::Select {
                to,
                then,
                otherwise,
                width,
                condition,
            } => {
                let value = match self.world.trace.holds(state.flags, condition) {
                    Some(true) => self.read(state, then, width),
                    Some(false) => self.read(state, otherwise, width),
                    None => {
                        let then = self.read(state, then, width);
                        then.join(self.read(state, otherwise, width), self.world.trace)
                    }
                };
                self.write(state, to, value, width);
            }
            Operation::Address { to, of, width } => {
                let value = self.address(state, of);
                self.write_register(state, to, value, width);
            }
            Operation::Compute {
                arithmetic,
                to,
                left,
                right,
                width,
                sets,
            } => self.arithmetic(state, (arithmetic, sets), to, (left, right), width),
            Operation::Push(from) => {
                let value = self.read(state, from, 8);
                let sp = self.isa.stack_pointer();
                let below = state.register(sp).displaced(8u64.wrapping_neg());
                state.set_register(sp, below);
                self.store(state, below, value, 8);
            }
            Operation::Pop(to) => {
                let sp = self.isa.stack_pointer();
                let value = self.load(state, state.register(sp), 8);
                let above = state.register(sp).displaced(8);
                state.set_register(sp, above);
                self.write(state, to, value, 8);
            }
            Operation::Exchange(a, b) => {
                let (left, right) = (state.register(a), state.register(b));
                state.set_register(a, right);
                state.set_register(b, left);
            }
            Operation::LoadWide { .. }
            | Operation::StoreWide { .. }
            | Operation::CopyWide { .. }
            | Operation::ZeroWide { .. } => self.wide(state, operation),
            Operation::Clobber {
                registers,
                wide,
                memory,
                keeps_flags,
            } => self.clobber(state, registers, wide, memory, keeps_flags),
            _ => {}
        }
    }

    fn move_(&mut self, state: &mut State, to: Operand, from: Operand, width: u8, extend: Extend) {
        let value = self.read(state, from, width);
        let value = self.name_loaded(state, from, width, value);
        let trace = self.world.trace;
        match (to, extend) {
            (Operand::Register(register), Extend::Sign) => {
                state.set_register(register, value.map(Compute::SignExtend(width), trace));
            }
            (Operand::Register(register), Extend::Zero) => {
                state.set_register(register, value.map(Compute::Truncate(width), trace));
            }
            (to, _) => self.write(state, to, value, width),
        }
    }

    fn arithmetic(
        &mut self,
        state: &mut State,
        (arithmetic, sets): (Arithmetic, Sets),
        to: Option<Operand>,
        (left, right): (Operand, Operand),
        width: u8,
    ) {
        let trace = self.world.trace;
        let same = left == right;
        let left = self.read(state, left, width);
        let right = self.read(state, right, width);
        let result = match arithmetic {
            // Whatever it was, it is zero now.
            Arithmetic::Xor | Arithmetic::Subtract if same => Value::exact(0),
            _ => left.combine(right, Compute::Arithmetic(arithmetic, width), trace),
        };
        let decisive = [left, right, result].map(|value| self.decisive(value));
        if sets != Sets::Nothing {
            state.flags = flags(arithmetic, sets == Sets::All, decisive, width);
        }
        if let Some(to) = to {
            let result = result.map(Compute::Truncate(width), trace);
            self.write(state, to, result, width);
        }
    }

    fn wide(&mut self, state: &mut State, operation: &Operation) {
        match *operation {
            Operation::LoadWide { to, from } => {
                let at = self.address(state, from);
                let low = self.load(state, at, 8);
                let high = self.load(state, at.displaced(8), 8);
                state.wide.set(to, (low, high));
            }
            Operation::StoreWide { to, from } => {
                let at = self.address(state, to);
                let (low, high) = state.wide.get(from);
                self.store(state, at, low, 8);
                self.store(state, at.displaced(8), high, 8);
            }
            Operation::CopyWide { to, from } => {
                state.wide.set(to, state.wide.get(from));
            }
            Operation::ZeroWide { register } => {
                let zero = Value::exact(0);
                state.wide.set(register, (zero, zero));
            }
            _ => {}
        }
    }

    fn clobber(
        &mut self,
        state: &mut State,
        registers: u32,
        wide: u32,
        memory: Option<(MemoryOperand, u32)>,
        keeps_flags: bool,
    ) {
        if let Some((operand, bytes)) = memory
            && let Some(at) = self.address(state, operand).term()
        {
            let bytes = if bytes == 0 {
                UNKNOWN_STORE
            } else {
                u64::from(bytes)
            };
            self.forget(state, at, bytes);
        }
        for (number, register) in state.registers.iter_mut().enumerate() {
            if registers >> number & 1 == 1 {
                *register = Value::Unknown;
            }
        }
        state.wide.keep(|register| wide >> register.0 & 1 == 0);
        if !keeps_flags {
            state.flags = Flags::Unknown;
        }
    }

    pub(super) fn jump(&mut self, state: &mut State, target: Target) -> Step {
        match target {
            Target::Inside(index) => {
                state.at = index;
                Step::Meet
            }
            Target::Outside(at) => self.tail_call(state, at),
        }
    }
}

/// The flags after an operation whose operands and result decide as far as `[left, right, result]`
/// says.
fn flags(
    arithmetic: Arithmetic,
    all: bool,
    [left, right, result]: [Option<Term>; 3],
    width: u8,
) -> Flags {
    let (left, right, result) = match (left, right, result) {
        (Some(left), Some(right), Some(result)) => (left, right, result),
        // Zero whatever the operands are.
        (_, _, Some(result)) => {
            return Flags::Result {
                result,
                width,
                logical: true,
            };
        }
        _ => return Flags::Unknown,
    };
    match arithmetic {
        Arithmetic::Subtract if all => Flags::Difference { left, right, width },
        Arithmetic::And | Arithmetic::Or | Arithmetic::Xor => Flags::Result {
            result,
            width,
            logical: all,
        },
        Arithmetic::Add | Arithmetic::Subtract => Flags::Result {
            result,
            width,
            logical: false,
        },
        _ => Flags::Unknown,
    }
}
