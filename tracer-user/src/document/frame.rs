//! Places in the program: stack frames and sites, symbolised once for all goroutines that share
//! them.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Serialize, Serializer};

use super::Address;
use crate::{
    finding::{self, is_plumbing},
    target_text::TargetText,
};
use ids::ImageAddr;
use image::{Image, SourceFrame};
use snapshot::Stack;

/// One line of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Frame {
    /// Full name, for example `main.(*Server).handle`.
    pub function: TargetText,
    /// Path as the compiler recorded it; empty where unknown.
    pub file: TargetText,
    /// Line; 0 where unknown.
    pub line: u32,
    /// Program counter, as linked.
    pub pc: Address,
    /// Whether the compiler put this call into the frame below it.
    pub inlined: bool,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Site {
    /// Full name of the function.
    pub function: TargetText,
    /// Path as the compiler recorded it; empty where unknown.
    pub file: TargetText,
    /// Line; 0 where unknown.
    pub line: u32,
}

impl From<&Frame> for Site {
    fn from(frame: &Frame) -> Self {
        Self {
            function: frame.function.clone(),
            file: frame.file.clone(),
            line: frame.line,
        }
    }
}

impl From<&finding::Site> for Site {
    fn from(site: &finding::Site) -> Self {
        Self {
            function: Arc::clone(&site.function).into(),
            file: Arc::clone(&site.file).into(),
            line: site.line,
        }
    }
}

impl Site {
    /// The place that stands for everything without a name.
    pub(super) fn unknown() -> Self {
        Self {
            function: "?".into(),
            file: "".into(),
            line: 0,
        }
    }
}

/// Serialises a shared site as if it were not shared.
pub(super) fn shared_site<S: Serializer>(
    site: &Option<Arc<Site>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    site.as_deref().serialize(serializer)
}

/// What turns program counters into lines: an image, or a table in tests.
pub trait Symbols {
    /// The lines at `pc`, innermost inlined call first; empty where nothing is known.
    fn lines(&self, pc: ImageAddr, is_return_address: bool) -> Vec<Frame>;

    /// The lines of a stack's physical frame `index`, likewise.
    fn frame_lines(&self, stack: &Stack, index: usize) -> Vec<Frame>;
}

impl Symbols for Image {
    fn lines(&self, pc: ImageAddr, is_return_address: bool) -> Vec<Frame> {
        let lines = self.symbolize(pc, is_return_address);
        lines.into_iter().map(Frame::from).collect()
    }

    fn frame_lines(&self, stack: &Stack, index: usize) -> Vec<Frame> {
        let lines = stack.symbolize(self, index);
        lines.into_iter().map(Frame::from).collect()
    }
}

impl From<SourceFrame> for Frame {
    fn from(frame: SourceFrame) -> Self {
        Self {
            function: frame.function.into(),
            file: frame.file.into(),
            line: frame.line,
            pc: frame.pc.into(),
            inlined: frame.inlined,
        }
    }
}

/// Symbolises every place once, and every stack once.
pub struct Symbolizer<'a> {
    symbols: &'a dyn Symbols,
    lines: FxHashMap<(ImageAddr, bool), Arc<[Frame]>>,
    stacks: FxHashMap<Arc<Stack>, Arc<[Frame]>>,
    sites: FxHashMap<(ImageAddr, bool), Arc<Site>>,
    /// Stacks by identity, so that the contents are hashed once a stack and not once a goroutine.
    by_identity: FxHashMap<*const Stack, Arc<[Frame]>>,
}

impl<'a> Symbolizer<'a> {
    /// A symboliser that knows nothing yet.
    pub fn new(symbols: &'a dyn Symbols) -> Self {
        Self {
            symbols,
            lines: FxHashMap::default(),
            stacks: FxHashMap::default(),
            sites: FxHashMap::default(),
            by_identity: FxHashMap::default(),
        }
    }

    /// The frames of a stack, inlined calls expanded, innermost first. Equal stacks share them.
    pub fn stack(&mut self, stack: &Arc<Stack>) -> Arc<[Frame]> {
        let identity = Arc::as_ptr(stack);
        if let Some(known) = self.by_identity.get(&identity) {
            return Arc::clone(known);
        }
        let frames = if let Some(known) = self.stacks.get(stack) {
            Arc::clone(known)
        } else {
            let frames = self.expand(stack);
            // Keeping the stack alive keeps its address from being reused below.
            self.stacks.insert(Arc::clone(stack), Arc::clone(&frames));
            frames
        };
        self.by_identity.insert(identity, Arc::clone(&frames));
        frames
    }

    fn expand(&self, stack: &Stack) -> Arc<[Frame]> {
        let mut frames = Vec::with_capacity(stack.frames.len());
        for (index, frame) in stack.frames.iter().enumerate() {
            let lines = self.symbols.frame_lines(stack, index);
            if lines.is_empty() {
                frames.push(Frame::unknown(frame.pc));
            } else {
                frames.extend(lines);
            }
        }
        frames.into()
    }

    /// The lines at one program counter.
    pub fn at(&mut self, pc: ImageAddr, is_return_address: bool) -> Arc<[Frame]> {
        let frames = self
            .lines
            .entry((pc, is_return_address))
            .or_insert_with(|| frames_at(self.symbols, pc, is_return_address));
        Arc::clone(frames)
    }

    /// The outermost line at `pc`: the function that stands in the source there.
    pub fn site(&mut self, pc: ImageAddr, is_return_address: bool) -> Site {
        let lines = self.at(pc, is_return_address);
        lines.last().map_or_else(Site::unknown, Site::from)
    }

    /// The innermost line at `pc` that the program's author wrote: `sync.(*Mutex).Lock` is inlined.
    pub fn own(&mut self, pc: ImageAddr, is_return_address: bool) -> Arc<Site> {
        Arc::new(own_line(&self.at(pc, is_return_address)))
    }

    /// The innermost line at `pc`, inlined or not: where the `go` statement or the call is written.
    pub fn innermost(&mut self, pc: ImageAddr, is_return_address: bool) -> Arc<Site> {
        if let Some(known) = self.sites.get(&(pc, is_return_address)) {
            return Arc::clone(known);
        }
        let lines = self.at(pc, is_return_address);
        let site = Arc::new(lines.first().map_or_else(Site::unknown, Site::from));
        self.sites
            .insert((pc, is_return_address), Arc::clone(&site));
        site
    }
}

fn own_line(lines: &[Frame]) -> Site {
    let own = lines.iter().find(|line| !is_plumbing(line.function.raw()));
    own.or(lines.first()).map_or_else(Site::unknown, Site::from)
}

fn frames_at(symbols: &dyn Symbols, pc: ImageAddr, is_return_address: bool) -> Arc<[Frame]> {
    let lines = symbols.lines(pc, is_return_address);
    if lines.is_empty() {
        Arc::new([Frame::unknown(pc)])
    } else {
        lines.into()
    }
}

impl Frame {
    fn unknown(pc: ImageAddr) -> Self {
        let site = Site::unknown();
        Self {
            function: site.function,
            file: site.file,
            line: site.line,
            pc: pc.into(),
            inlined: false,
        }
    }
}
