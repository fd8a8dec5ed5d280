//! From a pc to source positions, inlined calls expanded.

use std::sync::Arc;

use super::{Function, Image};
use ids::ImageAddr;

/// `internal/abi/funcdata.go`: `PCDATA_InlTreeIndex`, `FUNCDATA_InlTree`.
const INLINE_INDEX: usize = 2;
const INLINE_TREE: usize = 3;
/// Deeper inlining than the compiler does.
const MAX_INLINED: usize = 64;

/// One source-level frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFrame {
    /// Full function name.
    pub function: Arc<str>,
    /// Source file as the compiler recorded it; empty when unknown.
    pub file: Arc<str>,
    /// Line; 0 when unknown.
    pub line: u32,
    /// Whether the call was inlined into the next frame.
    pub inlined: bool,
    /// The pc of the physical frame.
    pub pc: ImageAddr,
}

impl Image {
    /// The names of the calls inlined at `pc`, innermost first, each with the pc in the function
    /// that stands for its call (`runtime/symtabinl.go`).
    #[must_use]
    pub fn inlined_at(&self, f: &Function, pc: ImageAddr) -> Vec<(Arc<str>, ImageAddr)> {
        let mut calls = Vec::new();
        let Some(tree) = self.funcdata(f, INLINE_TREE) else {
            return calls;
        };
        let mut at = pc;
        while calls.len() < MAX_INLINED {
            let index = self.pcdata(f, INLINE_INDEX, at).map(u32::try_from);
            let Some(Ok(index)) = index else { break };
            let Some((name, parent)) = self.table.inlined_call(&self.elf, tree, index) else {
                break;
            };
            at = f.entry.offset(u64::from(parent));
            calls.push((name, at));
        }
        calls
    }

    /// The source frames at `pc`, innermost first; empty for a pc outside the image's functions.
    /// A return address belongs to the call before it.
    #[must_use]
    pub fn symbolize(&self, pc: ImageAddr, is_return_address: bool) -> Vec<SourceFrame> {
        let lookup = if is_return_address {
            ImageAddr(pc.0.wrapping_sub(1))
        } else {
            pc
        };
        let Some(f) = self.function_at(lookup) else {
            return Vec::new();
        };
        let mut frames = Vec::new();
        let mut at = lookup;
        for (function, call) in self.inlined_at(&f, lookup) {
            frames.push(self.frame(&f, function, at, pc, true));
            at = call;
        }
        frames.push(self.frame(&f, Arc::clone(&f.name), at, pc, false));
        frames
    }

    fn frame(
        &self,
        f: &Function,
        function: Arc<str>,
        at: ImageAddr,
        pc: ImageAddr,
        inlined: bool,
    ) -> SourceFrame {
        let (file, line) = self
            .table
            .file_line(&self.elf, f, at)
            .unwrap_or_else(|| ("".into(), 0));
        SourceFrame {
            function,
            file,
            line,
            inlined,
            pc,
        }
    }
}
