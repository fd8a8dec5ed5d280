//! Pending-release analysis: which locks a goroutine still has to release, read out of its own
//! future. Go records no owner; but Go has no callee-saved registers, so whatever a parked
//! goroutine needs later lies in its frames, and the code after each return address says what it
//! will do with it.

mod alike;
mod analyzer;
mod arguments;
mod code;
mod defers;
mod depths;
mod executor;
mod frames;
mod holders;
mod isa;
mod maps;
mod model;
mod packages;
mod past;
mod rest;
mod rounds;
mod sites;
mod stack_objects;
mod timers;
mod unwritten;
mod verdict;

pub use analyzer::{Analyzer, Locks};
pub use holders::holders;
pub use model::{
    Acquisition, Certainty, Evidence, Held, LockHolders, PendingRelease, ReleaseKind, TIMERS, Taken,
};
pub use packages::{is_standard_library, package};
pub use past::Taking;
