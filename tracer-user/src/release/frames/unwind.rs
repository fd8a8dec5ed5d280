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
        let load =
            |at: TargetAddr, width| self.executor.load_from(written, Value::exact(at.0), width);
        let frame = (fp, self.code.isa().locals_end());
        defers::open_coded(self.code.image(), &routine.function, frame, &load)
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
            if !closures.contains(&next.closure) {
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
