//! gostuck as a library: discover Go processes, read their runtime from outside, build the wait
//! graph, and say who is stuck.
//!
//! Data flows one way: discover → image → probes and snapshot → timeline → holders and reach → graph →
//! finding → export. The crates below `crates/` come first; a module imports the crates, and the modules
//! above it in this list, never one below.

pub use {
    graph, holders, ids, image, memory, probes, process, reach, resources, sampling, snapshot,
};

pub mod target_text;

pub mod log_fields;

pub mod timeline;

pub mod finding;

pub mod inspect;

pub mod recording;

pub mod document;

pub mod daemon;

pub mod export;

pub mod cli;

#[cfg(test)]
mod rooms;
