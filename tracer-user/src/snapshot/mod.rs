//! The runtime's state read out of a target at one moment: goroutines, stacks, channels,
//! semaphores, threads, scheduler.

mod model;

pub use model::{
    Goroutine, Incomplete, MutexState, ObjectId, ObjectKind, ObjectState, Operation, Scheduler,
    Snapshot, Stack, StackFrame, Status, SyncObject, Thread, ThreadState, WaitOn, WaitSince,
};
