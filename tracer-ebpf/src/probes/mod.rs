//! One file a probe.

mod calibrate;
mod newm;
pub mod park;
mod process;
mod ready;
mod semacquire;
