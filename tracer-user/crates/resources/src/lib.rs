//! What this process spends on its work: the time of its threads, their priority and its file
//! descriptors; and how work is given up that nobody wants any more.

pub mod cancellation;
pub mod clock;
pub mod descriptors;
pub mod scheduling;
