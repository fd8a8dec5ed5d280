//! Branches: decided by the frame's own values, else both sides.

use super::{
    super::isa::{Body, Cold, Condition, Operand, Operation, Target, Test},
    Executor, State, Step,
    trace::CellAddr,
    value::Value,
};
use ids::TargetAddr;

/// Entries of a jump table at most.
const MAX_TABLE: u64 = 1024;
/// How far behind a branch another one on the same flags is looked for.
const NEXT_BRANCH: u32 = 4;

impl Executor<'_> {
    pub(super) fn jump_if(
        &mut self,
        state: &mut State,
        test: Test,
        target: Target,
        cold: Cold,
    ) -> Step {
        match cold {
            Cold::Taken => return Step::Go,
            Cold::Next => return self.jump(state, target),
            Cold::Neither => {}
        }
        match self.decide(state, test) {
            Some(true) => return self.jump(state, target),
            Some(false) => return Step::Go,
            None => {}
        }
        state.forks += 1;
        let mut taken = state.clone();
        let step = self.jump(&mut taken, target);
        if let Test::Flags(condition) = test {
            // What lies outside is called, which leaves no flags.
            if matches!(target, Target::Inside(_)) {
                tell(&mut taken, condition, true);
            }
            tell(state, condition, false);
        }
        if matches!(step, Step::Meet) {
            self.queue.add(taken, &self.world);
        }
        Step::Go
    }

    /// Whether `test` holds, where that is known.
    fn decide(&self, state: &State, test: Test) -> Option<bool> {
        let trace = self.world.trace;
        let value = |register| self.decisive(state.register(register));
        match test {
            Test::Flags(condition) => trace.holds(state.flags, condition),
            Test::Zero {
                register,
                width,
                is_zero,
            } => Some(trace.is_zero(value(register)?, width) == is_zero),
            Test::Bit {
                register,
                bit,
                is_set,
            } => Some(trace.is_set(value(register)?, bit) == is_set),
        }
    }

    pub(super) fn jump_to(&mut self, state: &mut State, operand: Operand) -> Step {
        let value = self.read(state, operand, 8);
        if let Some(at) = self.decisive(value) {
            let at = self.world.trace.number(at);
            return self.go_to(state, at);
        }
        let Operand::Memory(memory) = operand else {
            return self.go_on_in(state, value);
        };
        let mut table = memory;
        table.index = None;
        let Some(start) = self.address(state, table).decisive() else {
            return self.lose_track(state);
        };
        // A switch whose value is not known: every entry of its table.
        state.forks += 1;
        let mut found = false;
        for entry in 0..MAX_TABLE {
            let (at, _) = CellAddr::of(start.displaced(8 * entry));
            let Some(at) = self.cell(state, at).word() else {
                break;
            };
            let image = TargetAddr(self.world.trace.number(at)).in_image(self.bias);
            let function = &state.routine.function;
            if !(function.entry <= image && image < function.end) {
                break;
            }
            let Some(index) = state.routine.body.index_of(image) else {
                break;
            };
            found = true;
            let mut taken = state.clone();
            taken.at = index;
            self.queue.add(taken, &self.world);
        }
        if found {
            Step::End
        } else {
            self.lose_track(state)
        }
    }

    /// A wrapper jumps to the method of an embedded interface, as found in memory.
    fn go_on_in(&mut self, state: &mut State, function: Value) -> Step {
        let Some(target) = self.function(function) else {
            return self.lose_track(state);
        };
        self.doubt_callee(state);
        state.returns.found_in_memory();
        self.tail_call(state, target)
    }

    fn go_to(&mut self, state: &mut State, at: u64) -> Step {
        let image = TargetAddr(at).in_image(self.bias);
        match state.routine.body.index_of(image) {
            Some(index) => {
                state.at = index;
                Step::Meet
            }
            None => self.tail_call(state, image),
        }
    }
}

/// A branch has told `state`, which goes on behind it, whether `condition` holds. That is kept if another
/// one asks: states that differ in what nobody asks for would be followed apart.
fn tell(state: &mut State, condition: Condition, holds: bool) {
    if asks_flags(&state.routine.body, state.at) {
        state.flags = state.flags.told(condition, holds);
    }
}

/// Whether the code at `at` begins with something that depends on the flags as they are.
fn asks_flags(body: &Body, at: u32) -> bool {
    for at in at..at.saturating_add(NEXT_BRANCH) {
        match body.get(at).map(|instruction| &instruction.operation) {
            Some(
                Operation::JumpIf {
                    test: Test::Flags(_),
                    ..
                }
                | Operation::Select { .. },
            ) => return true,
            Some(Operation::Nothing | Operation::Move { .. } | Operation::Address { .. }) => {}
            _ => return false,
        }
    }
    false
}
