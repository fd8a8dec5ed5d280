//! One bit an object, given room only for spans in which something was reached.

use crate::reach::heap::{ObjectAt, SpanId};

/// A set of objects.
#[derive(Debug, Default)]
pub struct ObjectSet {
    /// Per span: where its bits begin in `words`, plus one; 0 for none yet.
    starts: Vec<u32>,
    words: Vec<u64>,
}

impl ObjectSet {
    /// Adds `object` of a span with `elements` slots. Returns whether it was absent.
    #[inline]
    pub fn insert(&mut self, object: ObjectAt, elements: u32) -> bool {
        let span = object.span.0 as usize;
        if self.starts.len() <= span {
            self.starts.resize(span + 1, 0);
        }
        if self.starts[span] == 0 {
            let Ok(start) = u32::try_from(self.words.len() + 1) else {
                return false;
            };
            self.starts[span] = start;
            let words = elements.div_ceil(64) as usize;
            self.words.resize(self.words.len() + words, 0);
        }
        let at = self.starts[span] as usize - 1 + object.index as usize / 64;
        let bit = 1 << (object.index % 64);
        let Some(word) = self.words.get_mut(at) else {
            return false;
        };
        let absent = *word & bit == 0;
        *word |= bit;
        absent
    }

    /// Takes `object` out. Returns whether it was in the set.
    pub fn remove(&mut self, object: ObjectAt) -> bool {
        let present = self.contains(object);
        if present {
            let start = self.starts[object.span.0 as usize] as usize - 1;
            self.words[start + object.index as usize / 64] &= !(1 << (object.index % 64));
        }
        present
    }

    /// Whether `object` is in the set.
    #[must_use]
    #[inline]
    pub fn contains(&self, object: ObjectAt) -> bool {
        let start = self.starts.get(object.span.0 as usize).copied();
        let Some(start @ 1..) = start else {
            return false;
        };
        let at = start as usize - 1 + object.index as usize / 64;
        self.words
            .get(at)
            .is_some_and(|word| word & (1 << (object.index % 64)) != 0)
    }

    /// The slots of `span` that are in the set, ascending. `elements` as at insertion.
    pub fn in_span(&self, span: SpanId, elements: u32) -> impl Iterator<Item = u32> + '_ {
        let start = self.starts.get(span.0 as usize).copied().unwrap_or(0) as usize;
        let words = elements.div_ceil(64) as usize;
        let bits = match start {
            0 => &[][..],
            start => self.words.get(start - 1..start - 1 + words).unwrap_or(&[]),
        };
        bits.iter().enumerate().flat_map(|(at, &word)| {
            let base = u32::try_from(at * 64).unwrap_or(u32::MAX);
            Bits(word).map(move |bit| base + bit)
        })
    }

    /// Empties the slots of `span`, keeping their room.
    pub fn clear_span(&mut self, span: SpanId, elements: u32) {
        let start = self.starts.get(span.0 as usize).copied().unwrap_or(0) as usize;
        if start == 0 {
            return;
        }
        let words = elements.div_ceil(64) as usize;
        if let Some(bits) = self.words.get_mut(start - 1..start - 1 + words) {
            bits.fill(0);
        }
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.words.iter().map(|w| u64::from(w.count_ones())).sum()
    }
}

/// The set bits of a word, ascending.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_spans_apart() {
        let mut set = ObjectSet::default();
        let object = |span, index| ObjectAt {
            span: SpanId(span),
            index,
        };
        assert!(set.insert(object(3, 70), 100));
        assert!(!set.insert(object(3, 70), 100));
        assert!(set.insert(object(0, 0), 1));
        assert!(set.contains(object(3, 70)) && set.contains(object(0, 0)));
        assert!(!set.contains(object(3, 6)) && !set.contains(object(9, 0)));
        assert_eq!(set.in_span(SpanId(3), 100).collect::<Vec<_>>(), [70]);
        assert_eq!(set.in_span(SpanId(1), 100).count(), 0);
        assert_eq!(set.len(), 2);
        assert!(set.remove(object(0, 0)) && !set.remove(object(0, 0)));
        assert_eq!(set.len(), 1);
        set.clear_span(SpanId(3), 100);
        assert_eq!(set.len(), 0);
    }
}
