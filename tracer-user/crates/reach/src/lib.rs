//! What the goroutines that can still move can reach: a walk of the target's heap from outside.
//!
//! A goroutine blocked on a channel, `WaitGroup` or `Cond` that nobody alive can reach never runs
//! again. docs/verdicts.md says what is claimed here, and under which assumptions.

mod actors;
mod anatomy;
mod census;
mod defers;
mod digest;
mod error;
mod frames;
pub mod freeze;
mod goroutine;
pub mod heap;
mod looks;
mod machines;
pub mod mark;
mod planned;
mod progress;
mod proof;
mod quiet;
mod roots;
mod search;
mod settling;
mod spilled;
mod stacks;
mod sudogs;
mod system_stacks;
mod walk;

pub use error::ReachError;
pub use progress::Progress;
pub use proof::{Certainty, Options, Proof, Prover, WalkStatistics};
pub use walk::{HeapWalk, Path, Paths, Reference, Retained, Root};
