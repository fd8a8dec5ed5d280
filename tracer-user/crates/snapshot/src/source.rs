//! Source positions of a stack's frames.

use super::{InnermostPc, Stack};
use ids::ImageAddr;
use image::{Image, SourceFrame};

impl Stack {
    /// The source frames of the physical frame `index`, innermost inlined call first; empty when
    /// the image has no function there.
    ///
    /// As `runtime.unwinder.symPC` (`runtime/traceback.go`): a frame's pc is a return address, also
    /// the innermost one's (of `mcall`, or of `entersyscall`), and belongs to the call before it.
    /// Three kinds are not: a goroutine that has never run is about to enter its first function,
    /// what `asyncPreempt` or `sigpanic` interrupted goes on exactly there, and so does what was
    /// sampled while it ran.
    #[must_use]
    pub fn symbolize(&self, image: &Image, index: usize) -> Vec<SourceFrame> {
        let Some(frame) = self.frames.get(index) else {
            return Vec::new();
        };
        image.symbolize(frame.pc, self.is_return_address(image, index, frame.pc))
    }

    fn is_return_address(&self, image: &Image, index: usize, pc: ImageAddr) -> bool {
        let Some(callee) = index.checked_sub(1).and_then(|i| self.frames.get(i)) else {
            return self.innermost == InnermostPc::ReturnAddress
                && image.function_at(pc).is_none_or(|f| f.entry != pc);
        };
        let callee = image.function_at(callee.pc);
        !callee.is_some_and(|f| matches!(&*f.name, "runtime.asyncPreempt" | "runtime.sigpanic"))
    }
}
