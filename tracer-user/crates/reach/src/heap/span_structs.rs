//! Reading `mspan` structs in large batches.

use super::{HeapLayout, span::SpanUse};
use crate::page_hash::hash;
use ids::TargetAddr;
use memory::{Memory, MemoryExt as _, ReadError, ReadRequest, words};

/// `mspan` structs lie close together (`fixalloc`); those this near are read in one piece.
const NEARBY_BYTES: u64 = 1024;
/// No piece of `mspan` structs is longer than this.
const PIECE_BYTES: u64 = 256 << 10;

/// The structs that one arena's page table names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Their addresses, ascending; 0 may be among them.
    structs: Vec<u64>,
    /// By page: which of them it is.
    of_page: Vec<u32>,
    /// A hash of all of them as they were last read; `None` if not all could be, or others are named
    /// by now.
    digest: Option<u64>,
    /// How many of them made no sense.
    pub(super) torn: u64,
}

impl Named {
    /// Takes up `table`, which hardly differs from round to round.
    pub(super) fn update(&mut self, table: &[u8]) {
        let same = self.of_page.len() == words(table).count()
            && words(table).zip(&self.of_page).all(|(pointer, at)| {
                let known = self.structs.get(*at as usize);
                known == Some(&pointer)
            });
        if same {
            return;
        }
        self.forget();
        self.structs = words(table).collect();
        self.structs.sort_unstable();
        self.structs.dedup();
        let at = |pointer| self.structs.partition_point(|known| *known < pointer);
        let of_page = words(table).map(|pointer| u32::try_from(at(pointer)).unwrap_or(u32::MAX));
        self.of_page = of_page.collect();
    }

    /// Their addresses, ascending; 0 may be among them.
    pub(super) fn structs(&self) -> impl Iterator<Item = u64> + '_ {
        self.structs.iter().copied()
    }

    /// Forgets how the structs looked: they are handed over even if they look the same.
    pub(super) fn forget(&mut self) {
        self.digest = None;
    }

    /// Reads them; `None` if they are as they were the last time. One that cannot be read, or makes no
    /// sense, is torn.
    ///
    /// # Errors
    /// When the target is gone.
    pub(super) fn read(
        &mut self,
        memory: &dyn Memory,
        layout: &HeapLayout,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Vec<SpanUse>>, ReadError> {
        let pieces = Pieces::read(memory, &self.structs, layout.span.size, buffer)?;
        let digest = pieces.digest();
        if digest.is_some() && digest == self.digest {
            return Ok(None);
        }
        self.digest = digest;
        Ok(Some(pieces.decode(memory, layout, &self.structs)))
    }

    /// Which struct the page table has for each page, as an index into what [`Self::read`] gives,
    /// with the struct's address.
    pub(super) fn pages(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.of_page.iter().map(|at| {
            let at = *at as usize;
            (self.structs.get(at).copied().unwrap_or(0), at)
        })
    }
}

/// `mspan` structs as they were read, neighbours in one piece.
struct Pieces<'b>(Vec<ReadRequest<'b>>);

impl<'b> Pieces<'b> {
    /// Reads the structs at `wanted` (ascending, 0 allowed) into `buffer`.
    fn read(
        memory: &dyn Memory,
        wanted: &[u64],
        size: u64,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Self, ReadError> {
        let pieces = pieces(wanted, size);
        let len = |(start, end): &(u64, u64)| usize::try_from(end - start).unwrap_or(0);
        let total: usize = pieces.iter().map(len).sum();
        if buffer.len() < total {
            buffer.resize(total, 0);
        }
        let mut rest = buffer.as_mut_slice();
        let requests = pieces.iter().map(|piece| {
            let (into, tail) = std::mem::take(&mut rest).split_at_mut(len(piece));
            rest = tail;
            ReadRequest {
                at: TargetAddr(piece.0),
                into,
                ok: false,
            }
        });
        let mut requests: Vec<ReadRequest<'_>> = requests.collect();
        memory.read_many(&mut requests)?;
        Ok(Self(requests))
    }

    /// A hash of all, `None` if something is missing.
    fn digest(&self) -> Option<u64> {
        self.0.iter().try_fold(0_u64, |sum, piece| {
            let whole = piece.ok && piece.into.len().is_multiple_of(8);
            whole.then(|| sum.wrapping_add(hash(piece.at.0, words(piece.into))))
        })
    }

    /// What the structs at `wanted` say, for which the pieces were read.
    fn decode(&self, memory: &dyn Memory, layout: &HeapLayout, wanted: &[u64]) -> Vec<SpanUse> {
        let mut found = vec![SpanUse::Torn; wanted.len()];
        let named = wanted.iter().zip(&mut found).filter(|(at, _)| **at != 0);
        let mut rest = named.peekable();
        for piece in &self.0 {
            let end = piece.at.0 + piece.into.len() as u64;
            while let Some((at, found)) = rest.next_if(|(at, _)| **at < end) {
                let skip = usize::try_from(at.wrapping_sub(piece.at.0)).unwrap_or(usize::MAX);
                let decoded = match piece.into.get(skip..).filter(|_| piece.ok) {
                    Some(bytes) => SpanUse::decode(bytes, &layout.span),
                    // One page of the piece may be unreadable: this one alone may not be.
                    None => read_alone(memory, layout, *at),
                };
                *found = decoded.unwrap_or(SpanUse::Torn);
            }
        }
        found
    }
}

fn read_alone(memory: &dyn Memory, layout: &HeapLayout, at: u64) -> Option<SpanUse> {
    let len = usize::try_from(layout.span.size).ok()?;
    let bytes = memory.read_vec(TargetAddr(at), len, 4096).ok()?;
    SpanUse::decode(&bytes, &layout.span)
}

/// The pieces, `(start, end)`, that hold the structs at `wanted`.
fn pieces(wanted: &[u64], size: u64) -> Vec<(u64, u64)> {
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    for &at in wanted.iter().filter(|&&at| at != 0) {
        let Some(end) = at.checked_add(size) else {
            continue;
        };
        match pieces.last_mut() {
            Some((start, stop)) if at - *start < PIECE_BYTES && at <= *stop + NEARBY_BYTES => {
                *stop = end.max(*stop);
            }
            _ => pieces.push((at, end)),
        }
    }
    pieces
}
