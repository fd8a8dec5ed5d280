//! Reading `mspan` structs in large batches.

use rustc_hash::FxHashMap;

use super::{HeapLayout, span::SpanUse};
use crate::{
    ids::TargetAddr,
    memory::{Memory, MemoryExt as _, ReadError, ReadRequest},
};

/// `mspan` structs lie close together (`fixalloc`); those this near are read in one piece.
const NEARBY_BYTES: u64 = 1024;
/// No piece of `mspan` structs is longer than this.
const PIECE_BYTES: u64 = 256 << 10;

/// Spans by the address of their struct.
#[derive(Debug, Default)]
pub(super) struct Spans {
    pub(super) spans: FxHashMap<u64, SpanUse>,
    /// How many could not be read or made no sense.
    pub(super) torn: u64,
}

/// The whole words of `bytes`.
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes
        .chunks_exact(8)
        .filter_map(|word| word.try_into().ok().map(u64::from_le_bytes))
}

/// Reads the `mspan` structs at `wanted` (ascending, 0 allowed), neighbours in one piece.
pub(super) fn read_spans(
    memory: &dyn Memory,
    layout: &HeapLayout,
    wanted: &[u64],
) -> Result<Spans, ReadError> {
    let size = layout.span.size;
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
    let mut found = Spans::default();
    found.spans.reserve(wanted.len());
    for group in pieces.chunks(64) {
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
        let ok: Vec<bool> = requests.iter().map(|r| r.ok).collect();
        for (((start, end), bytes), ok) in group.iter().zip(&buffers).zip(ok) {
            let from = wanted.partition_point(|at| at < start);
            for &at in wanted[from..].iter().take_while(|at| *at < end) {
                let use_ = if ok {
                    let skip = usize::try_from(at - start).unwrap_or(usize::MAX);
                    bytes
                        .get(skip..)
                        .and_then(|b| SpanUse::decode(b, &layout.span))
                } else {
                    // One page of the piece may be unreadable: this one alone may not be.
                    let len = usize::try_from(size).unwrap_or(0);
                    let alone = memory.read_vec(TargetAddr(at), len, 4096);
                    alone.ok().and_then(|b| SpanUse::decode(&b, &layout.span))
                };
                let use_ = use_.unwrap_or(SpanUse::Torn);
                found.torn += u64::from(use_ == SpanUse::Torn);
                found.spans.insert(at, use_);
            }
        }
    }
    Ok(found)
}
