//! What a Go executable says of itself: build info, functions, lines, inlined calls, the layout of
//! the runtime's structs, where the runtime's globals are, and where to place probes.

mod wait_reason;

pub use wait_reason::WaitReason;
