//! Marking: which objects have been reached, and reading what they point to.

mod bitmap;
mod change;
mod extent;
mod marker;
mod marks;
mod reader;

pub use marker::Marker;
pub use reader::{Range, RangeReader};
