//! Loading and attaching the BPF programs, reading the ring buffer, calibrating and governing what they cost.

mod object;

pub use object::OBJECT;
