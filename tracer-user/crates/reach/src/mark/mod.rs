//! Marking: which objects have been reached, and reading what they point to.

mod bitmap;
mod change;
mod extent;
mod marker;
mod marks;
mod pool;
mod reader;
mod scan;
mod scan_window;
mod sheet;
mod sink;
mod span_bits;
mod spans;
#[cfg(test)]
mod tests;
mod window;
mod worker;

pub use marker::Marker;
pub use reader::{Range, RangeReader};
pub use sink::WordSink;
