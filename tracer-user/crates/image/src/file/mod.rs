//! Reading an executable file within bounds: whoever may start a program chooses every byte of it.

mod bounds;
mod bytes;
mod refusal;
mod source;

pub use bounds::{ImageBounds, MAX_HEADERS, MAX_NAMES, SharedMemory, Size};
pub(super) use bytes::FileBytes;
pub(super) use refusal::Refusal;
