//! Marking: which objects have been reached, and reading what they point to.

mod bitmap;
mod change;
mod crew;
mod extent;
mod marker;
mod marks;
mod reader;
mod scan;

pub use marker::Marker;
pub use reader::{Range, RangeReader};
