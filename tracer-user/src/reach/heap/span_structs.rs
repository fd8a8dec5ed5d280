//! Reading `mspan` structs in large batches.

use super::{HeapLayout, span::SpanUse};
use crate::{
    ids::TargetAddr,
    memory::{Memory, MemoryExt as _, ReadError, ReadRequest},
};

/// `mspan` structs lie close together (`fixalloc`); those this near are read in one piece.
const NEARBY_BYTES: u64 = 1024;
/// No piece of `mspan` structs is longer than this.
const PIECE_BYTES: u64 = 256 << 10;

/// How many pieces are read at once.
const PIECES: usize = 64;

/// The structs that one arena's page table names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Their addresses, ascending; 0 may be among them.
    structs: Vec<u64>,
    /// By page: which of them it is.
    of_page: Vec<u32>,
}

impl Named {
    /// Takes up `table`, which hardly differs from look to look.
    pub(super) fn update(&mut self, table: &[u8]) {
        let same = self.of_page.len() == words(table).count()
            && words(table).zip(&self.of_page).all(|(pointer, at)| {
                let known = self.structs.get(*at as usize);
                known == Some(&pointer)
            });
        if same {
            return;
        }
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

    /// Reads them; one that cannot be read, or makes no sense, is torn.
    ///
    /// # Errors
    /// When the target is gone.
    pub(super) fn read(
        &self,
        memory: &dyn Memory,
        layout: &HeapLayout,
    ) -> Result<Vec<SpanUse>, ReadError> {
        read_spans(memory, layout, &self.structs)
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

/// The whole words of `bytes`.
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes
        .chunks_exact(8)
        .filter_map(|word| word.try_into().ok().map(u64::from_le_bytes))
}

/// Reads the `mspan` structs at `wanted` (ascending, 0 allowed), neighbours in one piece.
fn read_spans(
    memory: &dyn Memory,
    layout: &HeapLayout,
    wanted: &[u64],
) -> Result<Vec<SpanUse>, ReadError> {
    let size = layout.span.size;
    let mut found = vec![SpanUse::Torn; wanted.len()];
    let named = wanted.iter().zip(&mut found).filter(|(at, _)| **at != 0);
    let mut rest = named.peekable();
    for group in pieces(wanted, size).chunks(PIECES) {
        let mut buffers: Vec<Vec<u8>> = group
            .iter()
            .map(|(start, end)| vec![0; usize::try_from(end - start).unwrap_or(0)])
            .collect();
        let mut requests: Vec<ReadRequest<'_>> = group
            .iter()
            .zip(&mut buffers)
            .map(|((start, _), into)| ReadRequest {
                at: TargetAddr(*start),
                into,
                ok: false,
            })
            .collect();
        memory.read_many(&mut requests)?;
        for (request, (start, end)) in requests.iter().zip(group) {
            while let Some((at, found)) = rest.next_if(|(at, _)| **at < *end) {
                let skip = usize::try_from(at.wrapping_sub(*start)).unwrap_or(usize::MAX);
                let decoded = match request.into.get(skip..).filter(|_| request.ok) {
                    Some(bytes) => SpanUse::decode(bytes, &layout.span),
                    // One page of the piece may be unreadable: this one alone may not be.
                    None => read_alone(memory, layout, *at),
                };
                *found = decoded.unwrap_or(SpanUse::Torn);
            }
        }
    }
    Ok(found)
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
