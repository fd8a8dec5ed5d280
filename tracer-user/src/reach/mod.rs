//! What the goroutines that can still move can reach: a walk of the target's heap from outside.
//!
//! A goroutine blocked on a channel, `WaitGroup` or `Cond` that nobody alive can reach never runs
//! again. docs/verdicts.md says what is claimed here, and under which assumptions.

pub mod freeze;
pub mod heap;
pub mod mark;
mod quiet;

pub use quiet::Activity;
