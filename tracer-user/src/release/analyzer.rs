//! The analysis of one image's processes.

use std::sync::Arc;

use super::{code::Code, frames, model::PendingRelease};
use crate::{
    image::Image,
    snapshot::{Goroutine, Status, Target},
};

/// Finds pending releases. One per image: what it learns of the code serves every goroutine of
/// every process that runs it.
#[derive(Debug)]
pub struct Analyzer {
    code: Code,
}

impl Analyzer {
    /// For processes that run `image`.
    #[must_use]
    pub fn new(image: Arc<Image>) -> Self {
        Self {
            code: Code::new(image),
        }
    }

    /// What the continuation of `g` will release of what it does not take first; empty when its
    /// stack is not known (it runs).
    ///
    /// Of a goroutine that is not parked the result is as of a moment, and never certain.
    #[must_use]
    pub fn pending(&self, target: &Target, g: &Goroutine) -> Vec<PendingRelease> {
        if g.system
            || matches!(g.status, Status::Idle | Status::CopyStack)
            || g.stack.frames.is_empty()
        {
            return Vec::new();
        }
        frames::pending(&self.code, target, g)
    }
}
