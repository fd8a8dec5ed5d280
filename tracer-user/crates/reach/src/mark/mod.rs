//! Marking: which objects have been reached, and reading what they point to.

mod bitmap;
mod change;
mod crew;
mod cut;
mod extent;
mod hand;
mod marker;
mod marks;
mod reader;
mod scan;
mod sheet;
mod sink;
mod spans;
#[cfg(test)]
mod tests;
mod visit;
mod window;

pub use marker::Marker;
pub use reader::{Range, RangeReader};
pub use sink::WordSink;
