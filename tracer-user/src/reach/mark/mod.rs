//! Marking: which objects have been reached, and reading what they point to.

mod bitmap;
mod change;
mod marker;
mod reader;

pub use change::PageChanges;
pub use marker::{Marker, Opaque};
pub use reader::{Range, RangeReader};
