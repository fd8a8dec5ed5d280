//! Who, besides the goroutines of the graph, can run the program's code.

use rustc_hash::FxHashSet;

use ids::{Goid, LoadBias, TargetAddr};
use image::{Image, WaitReason};
use memory::{Memory, MemoryExt as _};
use snapshot::{Snapshot, ThreadState, Timer, TimerCode};

/// What is known of them from the snapshot.
#[derive(Debug)]
pub struct Mutators<'t> {
    image: &'t Image,
    bias: LoadBias,
    /// The runtime's own goroutines, which use none of the program's variables.
    runtime_only: FxHashSet<Goid>,
    /// Those that run finalizers and cleanups, while there are none to run.
    idle: FxHashSet<Goid>,
    foreign_threads: bool,
}

impl<'t> Mutators<'t> {
    /// Sorts the goroutines and threads of `snapshot`.
    #[must_use]
    pub fn new(image: &'t Image, snapshot: &Snapshot) -> Self {
        let mut actors = Self {
            image,
            bias: snapshot.bias,
            runtime_only: FxHashSet::default(),
            idle: FxHashSet::default(),
            // Threads made by C may call into Go at any time.
            foreign_threads: snapshot
                .threads
                .iter()
                .any(|thread| thread.state == ThreadState::Foreign),
        };
        for g in snapshot.goroutines.iter().filter(|g| g.system) {
            // The goroutines that run finalizers and cleanups are the runtime's only while idle
            // (`isSystemGoroutine`, runtime/traceback.go).
            let start = image.function_at(g.start);
            let runs_program = start.is_none_or(|f| {
                f.name.contains("runfinq")
                    || f.name.contains("unFinalizers")
                    || f.name.contains("unCleanups")
                    || f.name.contains("cleanupQueue")
            });
            if !runs_program {
                actors.runtime_only.insert(g.goid);
            } else if g.wait_reason == Some(WaitReason::FinalizerWait) {
                actors.idle.insert(g.goid);
            }
        }
        actors
    }

    /// Whether this goroutine, once live, can use the program's variables. `moved`: whether it ran
    /// since the snapshot.
    #[must_use]
    pub fn may_use_globals(&self, goid: Goid, moved: bool) -> bool {
        let idle = !moved && self.idle.contains(&goid);
        !idle && !self.runtime_only.contains(&goid)
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
