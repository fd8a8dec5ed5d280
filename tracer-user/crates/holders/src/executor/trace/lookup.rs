//! Looking up in a map, by numbers that may be others for another goroutine.

use std::sync::Arc;

use super::{question::Ground, term::Term};
use crate::maps::Found;

/// A key to look up, and in what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lookup {
    /// Where the map's type lies.
    pub type_at: u64,
    /// Where the map lies.
    pub map: Term,
    /// The key.
    pub key: Key<Term>,
}

/// A key, as it is passed to the runtime.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key<N> {
    /// A number of so many bytes.
    Word(N, u8),
    /// A string: where it lies, beyond the goroutine's stack, and its length.
    Text(N, N),
    /// These bytes, or a string of them.
    Bytes(Arc<[u8]>),
}

/// Which result of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    /// Where the element lies.
    Element,
    /// Whether it is there.
    Presence,
}

impl Lookup {
    /// What it comes to; `None` when that cannot be told.
    pub(super) fn find(&self, number: impl Fn(Term) -> u64, ground: &impl Ground) -> Option<Found> {
        let key = match &self.key {
            Key::Word(word, width) => Key::Word(number(*word), *width),
            Key::Text(at, len) => Key::Text(number(*at), number(*len)),
            Key::Bytes(bytes) => Key::Bytes(Arc::clone(bytes)),
        };
        ground.look_up(self.type_at, number(self.map), key)
    }

    /// The same of other terms.
    pub(super) fn map(&self, term: impl Fn(Term) -> Term) -> Self {
        Self {
            type_at: self.type_at,
            map: term(self.map),
            key: match &self.key {
                Key::Word(word, width) => Key::Word(term(*word), *width),
                Key::Text(at, len) => Key::Text(term(*at), term(*len)),
                Key::Bytes(bytes) => Key::Bytes(Arc::clone(bytes)),
            },
        }
    }

    pub(super) fn terms(&self) -> [Term; 3] {
        match self.key {
            Key::Word(word, _) => [self.map, word, word],
            Key::Text(at, len) => [self.map, at, len],
            Key::Bytes(_) => [self.map; 3],
        }
    }
}

impl Wanted {
    /// That result as a number.
    pub(super) const fn of(self, found: Found) -> Option<u64> {
        match (self, found) {
            (Self::Element, Found::At(element)) => Some(element),
            (Self::Element, Found::Nowhere) => None,
            (Self::Presence, Found::At(_)) => Some(1),
            (Self::Presence, Found::Nowhere) => Some(0),
        }
    }
}
