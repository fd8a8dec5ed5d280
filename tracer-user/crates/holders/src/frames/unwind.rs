//! Frames that a panic unwinds: of these only the deferred calls run.

use std::{rc::Rc, sync::Arc};

use super::{
    super::{
        code::Routine,
        defers,
        executor::{Cells, Effects, State, Value},
    },
    MAX_HISTORIES, Walk,
};
use snapshot::StackFrame;

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
            let written = Cells::default();
            let closures = self.open_coded(frame, routine, &written);
            after.extend(self.run_deferred(index, sp, (history, &written), closures));
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
            let left = ((*state.effects).clone(), &state.cells);
            after.extend(self.run_deferred(index, sp, left, closures));
        }
        after.dedup();
        after.truncate(MAX_HISTORIES);
        self.histories = after;
        self.registers = None;
        self.unwinding = true;
    }

    /// The closures in the frame's own slots that have yet to be called, in the order they will run,
    /// as `written` has left them.
    fn open_coded(&self, frame: &StackFrame, routine: &Routine, written: &Cells) -> Vec<Value> {
        let Some(slots) = defers::open_coded(self.code.image(), &routine.function) else {
            return Vec::new();
        };
        let fp = self.g.sp.offset(frame.fp_offset);
        let locals_end = fp.back(self.code.isa().locals_end());
        let world = &self.executor.world;
        let load = |below, width| {
            let at = world.trace.on_own_stack(locals_end.back(below).0);
            world.load(written, at, width)
        };
        let Some(bits) = load(slots.bits, 1).term() else {
            return Vec::new();
        };
        let bits = world.trace.number(bits);
        let closures = slots.closures.into_iter().enumerate().rev();
        closures
            .filter(|(slot, _)| bits >> slot & 1 == 1)
            .map(|(_, below)| load(below, 8))
            .collect()
    }

    /// Runs `closures`, then what else the frame at `sp` has deferred.
    fn run_deferred(
        &mut self,
        index: usize,
        sp: u64,
        (mut history, written): (Effects, &Cells),
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
                let outcome =
                    self.executor
                        .run_closure(index, closure, sp, (history.clone(), written));
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
