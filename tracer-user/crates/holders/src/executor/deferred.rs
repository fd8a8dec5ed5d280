//! Deferred calls: noted where they are deferred, run where the function returns.

use std::{rc::Rc, sync::Arc};

use super::{
    super::sites::CallEffect, Deferred, Executor, State, Step, returns::Entered, value::Value,
};

impl Executor<'_> {
    pub(super) fn defer(&mut self, state: &mut State, effect: CallEffect, first: Value) -> Step {
        let closure = match effect {
            CallEffect::DeferRecord => {
                let field = first.displaced(self.layout.defer.fn_);
                self.load(state, field, 8)
            }
            _ => first,
        };
        let sp = self.on_stack(state.register(self.isa.stack_pointer()));
        self.after_call(state);
        if self.defers_too_often(state) {
            return Step::End;
        }
        if let Some(sp) = sp {
            state
                .effects
                .edit(|e| Rc::make_mut(&mut e.deferred).push(Deferred { sp, closure }));
        }
        // A recovered panic comes back here with 1 (`runtime/panic.go`).
        if let Some(&result) = self.isa.arguments().first() {
            state.set_register(result, Value::exact(0));
        }
        Step::Go
    }

    /// Runs the newest deferred call of the frame, then comes back for the next.
    pub(super) fn run_deferred(&mut self, state: &mut State) -> Step {
        let sp = self.on_stack(state.register(self.isa.stack_pointer()));
        let next = state.effects.deferred.last().copied();
        let Some(next) = next.filter(|next| Some(next.sp) == sp) else {
            self.after_call(state);
            return Step::Go;
        };
        state.effects.edit(|e| Rc::make_mut(&mut e.deferred).pop());
        let again = state.at - 1;
        let back = Some((Arc::clone(&state.routine), again));
        state.at = again;
        if !self.call_closure(state, next.closure, back, Entered::Deferred) {
            self.opaque(state);
            state.at = again;
        }
        Step::Go
    }
}
