//! A search through the heap, object by object and nearest first, for the way to one of them.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::{
    heap::{ObjectAt, Place},
    mark::Marker,
    walk::{Path, Reference, Root},
};
use ids::TargetAddr;
use memory::{Gather, Memory, ReadError, words};

/// Objects that one search goes through at most: with them it takes about 150 MB.
const MAX_OBJECTS: usize = 1 << 21;
/// So much of an object is read at once,
const PIECE: u64 = 1 << 20;
/// and so much of several.
const BATCH_BYTES: u64 = 4 << 20;
/// So many objects are read at once at most.
const BATCH: usize = 1024;

/// What led to an object.
#[derive(Debug, Clone, Copy)]
enum From {
    Root(Root),
    /// Index of the object that refers to it.
    Object(u32),
}

/// An object that has been reached.
#[derive(Debug)]
struct Node {
    from: From,
    /// Where the word lies that refers to it.
    at: Option<TargetAddr>,
    word: u64,
    /// Its first byte, and its size.
    object: (TargetAddr, u64),
}

/// A piece of an object that has yet to be read.
#[derive(Debug, Clone, Copy)]
struct Piece {
    node: u32,
    at: TargetAddr,
    len: u64,
}

/// A search for one object.
#[derive(Debug)]
pub(super) struct PathSearch {
    wanted: TargetAddr,
    nodes: Vec<Node>,
    seen: FxHashSet<ObjectAt>,
    pieces: VecDeque<Piece>,
    found: Option<usize>,
    gave_up: bool,
}

impl PathSearch {
    /// A search for the object that `wanted` lies in, which has begun nowhere yet.
    pub(super) fn new(wanted: TargetAddr) -> Self {
        Self {
            wanted,
            nodes: Vec::new(),
            seen: FxHashSet::default(),
            pieces: VecDeque::new(),
            found: None,
            gave_up: false,
        }
    }

    /// Begins at `word`, which `root` has at `at`.
    pub(super) fn enter_root(
        &mut self,
        marker: &Marker,
        root: Root,
        at: Option<TargetAddr>,
        word: u64,
    ) {
        self.enter(marker, From::Root(root), at, word);
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_over(&self) -> bool {
        self.found.is_some() || self.gave_up
    }

    /// Whether there were too many objects.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// Goes on until the object is found, or everything in reach has been seen.
    ///
    /// # Errors
    /// When the target is gone.
    pub(super) fn run(&mut self, memory: &dyn Memory, marker: &Marker) -> Result<(), ReadError> {
        let mut gather = Gather::new();
        while !self.is_over() && !self.pieces.is_empty() {
            let batch = self.batch();
            let ranges = batch
                .iter()
                .map(|piece| (piece.at, usize::try_from(piece.len).unwrap_or(0)));
            gather.read(memory, &ranges.collect::<Vec<_>>())?;
            for (index, piece) in batch.iter().enumerate() {
                for (at, word) in words(gather.get(index).unwrap_or_default()).enumerate() {
                    let at = piece.at.offset(8 * at as u64);
                    self.enter(marker, From::Object(piece.node), Some(at), word);
                }
            }
        }
        Ok(())
    }

    /// The way to the object, if it was found.
    pub(super) fn path(&self) -> Option<Path> {
        let mut references = Vec::new();
        let mut at = self.found?;
        let root = loop {
            let node = self.nodes.get(at)?;
            references.push(Reference {
                at: node.at,
                to: TargetAddr(node.word),
                object: node.object,
            });
            match node.from {
                From::Root(root) => break root,
                From::Object(from) => at = from as usize,
            }
        };
        references.reverse();
        Some(Path {
            root,
            references,
            on_stack: Vec::new(),
            laid_down: None,
        })
    }

    fn batch(&mut self) -> Vec<Piece> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(piece) = self.pieces.front().copied() {
            bytes += piece.len;
            if !batch.is_empty() && (bytes > BATCH_BYTES || batch.len() >= BATCH) {
                break;
            }
            batch.push(piece);
            self.pieces.pop_front();
        }
        batch
    }

    fn enter(&mut self, marker: &Marker, from: From, at: Option<TargetAddr>, word: u64) {
        let table = marker.table();
        let (low, high) = table.bounds();
        if self.is_over() || word.wrapping_sub(low) >= high.saturating_sub(low) {
            return;
        }
        let Place::Object(object) = table.find(TargetAddr(word)) else {
            return;
        };
        let Some(span) = table.span(object.span).filter(|_| self.seen.insert(object)) else {
            return;
        };
        let Ok(node) = u32::try_from(self.nodes.len()) else {
            return;
        };
        if self.nodes.len() >= MAX_OBJECTS {
            self.gave_up = true;
            return;
        }
        let start = span.object(object.index);
        self.nodes.push(Node {
            from,
            at,
            word,
            object: (start, span.element_size),
        });
        if self.wanted.0.wrapping_sub(start.0) < span.element_size {
            self.found = Some(self.nodes.len() - 1);
        } else if span.holds_pointers && !marker.is_opaque(start) {
            self.will_read(node, start, span.element_size);
        }
    }

    fn will_read(&mut self, node: u32, start: TargetAddr, size: u64) {
        let mut done = 0;
        while done < size {
            let len = PIECE.min(size - done);
            let at = start.offset(done);
            self.pieces.push_back(Piece { node, at, len });
            done += len;
        }
    }
}
