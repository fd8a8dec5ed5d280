//! Who, besides the goroutines of the graph, can run the program's code.

use rustc_hash::FxHashSet;

use super::roots::{Timer, TimerCode};
use crate::{
    ids::{Goid, LoadBias, TargetAddr},
    image::{Image, WaitReason},
    memory::{Memory, MemoryExt as _},
    snapshot::{Snapshot, ThreadState},
};

/// What is known of them from the snapshot.
#[derive(Debug)]
pub struct Actors<'t> {
    image: &'t Image,
    bias: LoadBias,
    /// The runtime's own goroutines, which use none of the program's variables.
    runtime_only: FxHashSet<Goid>,
    foreign_threads: bool,
}

impl<'t> Actors<'t> {
    /// Sorts the goroutines and threads of `snapshot`.
    #[must_use]
    pub fn new(image: &'t Image, snapshot: &Snapshot) -> Self {
        let runtime_only = snapshot.goroutines.iter().filter(|g| {
            // The goroutines that run finalizers and cleanups are the runtime's only while idle
            // (`isSystemGoroutine`, runtime/traceback.go).
            let start = image.function_at(g.start);
            let runs_program = start.is_none_or(|f| {
                f.name.contains("runfinq")
                    || f.name.contains("unFinalizers")
                    || f.name.contains("unCleanups")
                    || f.name.contains("cleanupQueue")
            });
            let idle = g.wait_reason == Some(WaitReason::FinalizerWait);
            g.system && (idle || !runs_program)
        });
        Self {
            image,
            bias: snapshot.bias,
            runtime_only: runtime_only.map(|g| g.goid).collect(),
            // Threads made by C may call into Go at any time.
            foreign_threads: snapshot
                .threads
                .iter()
                .any(|thread| thread.state == ThreadState::Foreign),
        }
    }

    /// Whether this goroutine, once live, can use the program's variables.
    #[must_use]
    pub fn may_use_globals(&self, goid: Goid) -> bool {
        !self.runtime_only.contains(&goid)
    }

    /// Whether there are threads that the runtime does not know: C's own.
    #[must_use]
    pub fn foreign_threads(&self) -> bool {
        self.foreign_threads
    }

    /// Whether the timer will run code of the program, and not just send on its channel.
    #[must_use]
    pub fn runs_program_code(&self, memory: &dyn Memory, timer: &Timer) -> bool {
        let code = memory.read_addr(timer.function).ok();
        let function =
            code.and_then(|pc: TargetAddr| self.image.function_at(pc.in_image(self.bias)));
        let name = function.as_ref().map(|f| &*f.name);
        TimerCode::of(name) == TimerCode::Program
    }
}
