//! What the goroutines that can still move can reach: a walk of the target's heap from outside.
//!
//! A goroutine blocked on a channel, `WaitGroup` or `Cond` that nobody alive can reach never runs
//! again. docs/verdicts.md says what is claimed here, and under which assumptions.

mod activity;
mod allm;
mod convergence;
mod defers;
mod error;
mod fixpoint;
mod frames;
pub mod freeze;
mod goroutine;
mod goroutine_table;
pub mod heap;
pub mod mark;
mod mutators;
mod page_hash;
mod planned;
mod progress;
mod proof;
mod register_spills;
mod roots;
mod runtime_layout;
mod search;
mod stacks;
mod sudogs;
mod system_stacks;
mod walk;

pub use error::ReachError;
pub use progress::Progress;
pub use proof::{Certainty, Options, Proof, Prover, WalkStatistics};
pub use walk::{HeapWalk, Path, Paths, Reference, Retained, Root};
