//! What is no longer known after a call that is not followed.

use super::{Executor, State, state::Flags, value::Value};

/// How much of a stack object a callee may have changed when only its address was passed.
pub(super) const SHARED_OBJECT: u64 = 256;

impl Executor<'_> {
    /// After a call that is not followed: no register is kept, and objects of the frame whose
    /// address the callee was given may have changed.
    pub(super) fn after_call(&mut self, state: &mut State) {
        self.after_call_with(state, usize::MAX);
    }

    /// The same of a function that takes so many arguments at most.
    pub(super) fn after_call_with(&mut self, state: &mut State, arguments: usize) {
        for index in 0..self.isa.arguments().len().min(arguments) {
            let argument = self.argument(state, index);
            self.doubt_object(state, argument);
        }
        self.forget_registers(state);
    }

    pub(super) fn doubt_object(&mut self, state: &mut State, at: Value) {
        if let Some(at) = self.on_stack(at) {
            let (at, bytes) = self.variable_at(state, at);
            self.doubt(state, at, bytes);
        }
    }

    /// The variable at `at`, in the frame of one of the functions that the path is in: where it
    /// begins, and its bytes.
    fn variable_at(&self, state: &State, at: u64) -> (u64, u64) {
        let mut frames = state
            .frames()
            .filter_map(|(routine, frame)| Some((routine, self.on_stack(frame)?)));
        // Inner frames lie below; those of followed calls lie elsewhere altogether.
        let end = self.world.stack_end(at);
        let holds = |frame: u64| at < frame && frame <= end;
        let Some((routine, frame)) = frames.find(|(_, frame)| holds(*frame)) else {
            return (at, SHARED_OBJECT);
        };
        let object = routine.object_at(at.wrapping_sub(frame).cast_signed(), SHARED_OBJECT);
        let bytes = object.end.abs_diff(object.start);
        (frame.wrapping_add_signed(object.start), bytes)
    }

    /// Forgets the frames below `sp`, which have been left.
    pub fn forget_below(&self, state: &mut State, sp: u64) {
        let (stack, callees) = (self.stack(), self.world.callees());
        if callees.contains(&sp) {
            state.cells.forget(callees.start, sp);
            return;
        }
        state.cells.forget(stack.start, sp);
        state.cells.forget(callees.start, callees.end);
    }

    pub(super) fn forget_registers(&self, state: &mut State) {
        self.clear_registers(state);
        self.name_results(state);
    }

    fn clear_registers(&self, state: &mut State) {
        let kept = [
            self.isa.stack_pointer(),
            self.isa.frame_pointer(),
            self.isa.goroutine(),
        ];
        for (number, slot) in state.registers.iter_mut().enumerate() {
            if !kept.iter().any(|r| usize::from(r.0) == number) {
                *slot = Value::Unknown;
            }
        }
        let zero = self.isa.zero_wide();
        state.wide.keep(|register| Some(register) == zero);
        state.flags = Flags::Unknown;
    }
}
