//! gostuck as a library: discover Go processes, read their runtime from outside, build the wait
//! graph, and say who is stuck.
//!
//! Data flows one way: discover → image → probes and snapshot → state → graph → finding → export.
//! A module imports the modules above it in this list, never one below.

pub mod ids;

pub mod target_text;

pub mod cancellation;
pub mod clock;
pub mod descriptors;
pub mod scheduling;

pub mod graph;

pub mod image;

pub mod process;

pub mod memory;

pub mod sampling;

pub mod snapshot;

pub mod release;

pub mod reach;

pub mod probes;

pub mod state;

pub mod finding;

pub mod recording;

pub mod export;

pub mod cli;
