//! Frames that a panic unwinds: of these only the deferred calls run.

use std::{rc::Rc, sync::Arc};

use super::{
    super::{
        code::Routine,
        defers::{self, Slots},
        executor::{Cells, Effects, State, Value, World},
    },
    MAX_HISTORIES, Walk,
};
use crate::{ids::TargetAddr, snapshot::StackFrame};

impl Walk<'_> {
    /// The frame's deferred calls run because of a panic. Afterwards it may be recovered, and the
    /// frames outside run on; or not, and theirs are run the same way.
    pub(super) fn unwind(
        &mut self,
        index: usize,
        frame: &StackFrame,
        routine: &Arc<Routine>,
    ) -> bool {
        let sp = self.g.sp.offset(frame.sp_offset).0;
        self.executor.world.live_from(sp);
        let mut after = Vec::new();
        for history in std::mem::take(&mut self.histories) {
            let closures = self.open_coded(frame, routine, &Cells::default());
            after.extend(self.run_deferred(index, sp, history, closures));
        }
        after.dedup();
        after.truncate(MAX_HISTORIES);
        self.histories = after;
        true
    }

    /// Whatever the frame does, it panics: its deferred calls run, and those of the frames outside.
    pub(super) fn panic(
        &mut self,
        index: usize,
        frame: &StackFrame,
        routine: &Routine,
        panics: &[State],
    ) {
        let sp = self.g.sp.offset(frame.sp_offset).0;
        let mut after = Vec::new();
        for state in panics {
            let closures = self.open_coded(frame, routine, &state.cells);
            after.extend(self.run_deferred(index, sp, (*state.effects).clone(), closures));
        }
        after.dedup();
        after.truncate(MAX_HISTORIES);
        self.histories = after;
        self.registers = None;
        self.unwinding = true;
    }

    /// The closures in the frame's own slots, as `written` has left them.
    fn open_coded(&self, frame: &StackFrame, routine: &Routine, written: &Cells) -> Vec<Value> {
        let fp = self.g.sp.offset(frame.fp_offset);
        let frame = (fp, self.code.isa().locals_end());
        let slots = Written {
            world: &self.executor.world,
            written,
        };
        defers::open_coded(self.code.image(), &routine.function, frame, &slots)
    }

    /// Runs `closures`, then what else the frame at `sp` has deferred.
    fn run_deferred(
        &mut self,
        index: usize,
        sp: u64,
        mut history: Effects,
        mut closures: Vec<Value>,
    ) -> Vec<Effects> {
        let deferred = Rc::make_mut(&mut history.deferred);
        while let Some(next) = deferred.pop_if(|next| next.sp == sp) {
            let trace = self.executor.world.trace;
            if !closures.iter().any(|known| known.is(next.closure, trace)) {
                closures.push(next.closure);
            }
        }
        let mut histories = vec![history];
        for closure in closures {
            let mut after = Vec::new();
            for history in histories {
                let outcome = self
                    .executor
                    .run_closure(index, closure, sp, history.clone());
                if outcome.exits.is_empty() {
                    let unknown_code = true;
                    after.push(Effects {
                        unknown_code,
                        ..history
                    });
                }
                after.extend(outcome.exits.iter().map(|exit| (*exit.effects).clone()));
            }
            after.dedup();
            after.truncate(MAX_HISTORIES);
            histories = after;
        }
        histories
    }
}

/// A frame's slots, as a path has left them.
struct Written<'a> {
    world: &'a World<'a>,
    written: &'a Cells,
}

impl Written<'_> {
    fn load(&self, at: TargetAddr, width: u8) -> Value {
        let at = self.world.trace.on_own_stack(at.0);
        self.world.load(self.written, at, width)
    }
}

impl Slots for Written<'_> {
    fn byte(&self, at: TargetAddr) -> Option<u64> {
        Some(self.world.trace.number(self.load(at, 1).term()?))
    }

    fn word(&self, at: TargetAddr) -> Value {
        self.load(at, 8)
    }
}
