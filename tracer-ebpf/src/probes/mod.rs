//! One file a probe.

mod newm;
pub mod park;
mod process;
mod ready;
mod semacquire;
