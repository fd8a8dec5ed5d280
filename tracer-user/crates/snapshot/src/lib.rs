//! The runtime's state read out of a target at one moment: goroutines, stacks, channels,
//! semaphores, threads, scheduler.

mod allgs;
mod caller;
mod conds;
mod error;
mod fields;
mod g_record;
mod gaps;
mod goroutine_reader;
mod model;
mod object_state;
mod operation;
mod plausible;
mod running;
mod scheduler;
mod semaphores;
mod source;
mod stopped_timers;
mod sudog;
mod system;
mod take;
mod target;
mod threads;
mod timers;
mod unwind;
mod waits;

pub use error::SnapshotError;
pub use model::{
    ChannelElement, Goroutine, Incomplete, InnermostPc, MutexState, ObjectId, ObjectKind,
    ObjectState, Operation, Scheduler, Snapshot, Stack, StackFrame, Status, SyncObject, Thread,
    ThreadState, WaitOn, WaitSince,
};
pub use running::{
    RunningSample, RunningSamples, SamplingOutcome, WhyUnseen, sample_running, wants_samples,
};
pub use semaphores::{SemaphoreWaiter, semaphore_waiters};
pub use take::{Snapshots, take, take_of};
pub use target::{Motion, Target};
pub use timers::{Armed, Timer, TimerCode, TimerHeap, TimerLayout, Timers};
pub use unwind::Unwinder;
