//! Specials: finalizers, cleanups and weak handles hang off the span of their object
//! (`runtime/mheap.go`).

use crate::heap::{Span, SpanTable};
use ids::TargetAddr;
use memory::{Gather, Memory, ReadError};

/// A longer list of specials in one span is damaged: a span has at most 8192 objects with a few
/// specials each.
const MAX_DEPTH: usize = 1 << 17;
/// How much of a special is read: the largest, `specialfinalizer`, has 56 bytes.
const READ_BYTES: usize = 56;

/// Offsets inside the specials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialLayout {
    /// Whether `special.offset` has 64 bits (Go 1.24 and later) or 16.
    pub wide_offset: bool,
    /// The numbers of the kinds.
    pub kinds: SpecialKinds,
}

/// `_KindSpecial…` of the version at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialKinds {
    /// `_KindSpecialFinalizer`.
    pub finalizer: u8,
    /// `_KindSpecialWeakHandle` (Go 1.23 and later).
    pub weak_handle: Option<u8>,
    /// `_KindSpecialCleanup` (Go 1.24 and later).
    pub cleanup: Option<u8>,
}

impl SpecialLayout {
    /// The layout of Go 1.`minor` (`runtime/mheap.go` of 1.19 to 1.27).
    #[must_use]
    pub const fn of_go1(minor: u32) -> Self {
        let (finalizer, weak_handle, cleanup) = match minor {
            ..=22 => (1, None, None),
            23 => (1, Some(2), None),
            24 => (1, Some(2), Some(6)),
            _ => (2, Some(3), Some(7)),
        };
        Self {
            wide_offset: minor >= 24,
            kinds: SpecialKinds {
                finalizer,
                weak_handle,
                cleanup,
            },
        }
    }

    fn decode(&self, bytes: &[u8], span: &Span) -> Option<(TargetAddr, Special)> {
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let next = TargetAddr(word(0)?);
        let (offset, kind, body) = if self.wide_offset {
            (word(8)?, *bytes.get(16)?, 24)
        } else {
            (word(8)? & 0xffff, *bytes.get(10)?, 16)
        };
        let object = span.start.offset(offset % span.bytes.max(1));
        let kinds = &self.kinds;
        let special = if kind == kinds.finalizer {
            Special::Finalizer {
                object,
                function: word(body)?,
            }
        } else if Some(kind) == kinds.weak_handle {
            Special::WeakHandle {
                object,
                handle: TargetAddr(word(body)?),
            }
        } else if Some(kind) == kinds.cleanup {
            // Up to Go 1.26 `fn *funcval`, then `cleanupFn {call, fn, arg}`: every word counts.
            Special::Cleanup {
                words: [word(body)?, word(body + 8)?, word(body + 16)?],
            }
        } else {
            Special::Other
        };
        Some((next, special))
    }
}

enum Special {
    Finalizer {
        object: TargetAddr,
        function: u64,
    },
    WeakHandle {
        object: TargetAddr,
        handle: TargetAddr,
    },
    Cleanup {
        words: [u64; 3],
    },
    Other,
}

/// What the specials of a heap root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialRoots {
    /// Objects with a finalizer: it will be handed the object.
    pub finalized: Vec<TargetAddr>,
    /// Functions of finalizers and cleanups, with what these are handed.
    pub words: Vec<u64>,
    /// Weak handles with the object that they lead to as long as it exists.
    pub weak: Vec<(TargetAddr, TargetAddr)>,
    /// Lists that could not be followed to their end.
    pub broken: u64,
}

/// Reads the specials of all spans in use.
///
/// # Errors
/// When the target is gone.
pub fn read_specials(
    memory: &dyn Memory,
    layout: &SpecialLayout,
    table: &SpanTable,
) -> Result<SpecialRoots, ReadError> {
    let mut roots = SpecialRoots::default();
    // All lists are walked abreast: one batch of reads per step.
    let mut heads: Vec<(TargetAddr, Span)> = table
        .in_use()
        .filter(|(_, span)| !span.specials.is_nil())
        .map(|(_, span)| (span.specials, *span))
        .collect();
    let mut gather = Gather::new();
    for _ in 0..MAX_DEPTH {
        if heads.is_empty() {
            return Ok(roots);
        }
        let ranges: Vec<_> = heads.iter().map(|(at, _)| (*at, READ_BYTES)).collect();
        gather.read(memory, &ranges)?;
        let mut next_heads = Vec::new();
        for (index, (_, span)) in heads.iter().enumerate() {
            let Some((next, special)) = gather.get(index).and_then(|b| layout.decode(b, span))
            else {
                roots.broken += 1;
                continue;
            };
            roots.add(special);
            if !next.is_nil() {
                next_heads.push((next, *span));
            }
        }
        heads = next_heads;
    }
    roots.broken += heads.len() as u64;
    Ok(roots)
}

impl SpecialRoots {
    fn add(&mut self, special: Special) {
        match special {
            Special::Finalizer { object, function } => {
                self.finalized.push(object);
                self.words.push(function);
            }
            Special::WeakHandle { object, handle } => self.weak.push((handle, object)),
            Special::Cleanup { words } => self.words.extend(words),
            Special::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> Span {
        Span::new(TargetAddr(0x10_0000), 1, 64, true, TargetAddr(0)).unwrap()
    }

    #[test]
    fn both_shapes_decode() {
        let mut narrow = vec![0_u8; READ_BYTES];
        narrow[8] = 0x40;
        narrow[10] = 1;
        narrow[16] = 0x77;
        let mut wide = vec![0_u8; READ_BYTES];
        wide[9] = 1;
        wide[16] = 3;
        wide[24] = 0x88;
        let mut roots = SpecialRoots::default();
        for (minor, bytes) in [(19, narrow), (27, wide)] {
            let (next, special) = SpecialLayout::of_go1(minor)
                .decode(&bytes, &span())
                .unwrap();
            assert!(next.is_nil());
            roots.add(special);
        }
        assert_eq!(roots.finalized, [TargetAddr(0x10_0040)]);
        assert_eq!(roots.words, [0x77]);
        assert_eq!(roots.weak, [(TargetAddr(0x88), TargetAddr(0x10_0100))]);
    }
}
