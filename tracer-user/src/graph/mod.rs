//! The wait graph of one process: who needs what from whom, who can still move, and the cycles
//! among those who cannot. Pure: no I/O and no clock.

mod requirement;

pub use requirement::{Disposition, GoroutineNode, HolderSet, Need, Reachability, Requirement};
