//! Many small reads as few large ones.
//!
//! A process with 100,000 goroutines has as many `g` structs, side by side in a few heap spans. One
//! range of `process_vm_readv` costs about as much as copying two kilobytes, so neighbours are read
//! together with what lies between them.

use std::ops::Range;

use super::{Memory, ReadError, ReadRequest};
use ids::TargetAddr;

/// Ranges at most this far apart are read as one.
const GAP_LIMIT: u64 = 2 << 10;
/// Longest merged range; bounds what one unreadable page costs.
const RUN_LIMIT: u64 = 256 << 10;

/// A buffer for batches of reads, reused from batch to batch.
#[derive(Debug, Default)]
pub struct Gather {
    bytes: Vec<u8>,
    places: Vec<Option<Range<usize>>>,
}

/// One merged range and the requests in it, as a range of the address order.
struct Run {
    at: u64,
    end: u64,
    members: Range<usize>,
}

impl Gather {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `ranges` (address and length), replacing what was read before. Ranges may overlap and
    /// come in any order. The caller bounds their number and lengths; the buffer grows to their sum
    /// and at most [`GAP_LIMIT`] for each.
    ///
    /// # Errors
    /// As [`Memory::read_many`]; a range that is not readable is merely absent afterwards.
    pub fn read<M: Memory + ?Sized>(
        &mut self,
        memory: &M,
        ranges: &[(TargetAddr, usize)],
    ) -> Result<(), ReadError> {
        self.places.clear();
        self.places.resize(ranges.len(), None);
        let mut order: Vec<u32> = (0..u32::try_from(ranges.len()).unwrap_or(u32::MAX)).collect();
        order.sort_unstable_by_key(|index| ranges[*index as usize].0);
        let runs = merge(ranges, &order);
        let total: u64 = runs.iter().map(|run| run.end - run.at).sum();
        self.bytes
            .resize(usize::try_from(total).unwrap_or(usize::MAX), 0);

        let (requests, starts) = requests(&mut self.bytes, &runs);
        let mut requests = requests;
        memory.read_many(&mut requests)?;
        let read: Vec<bool> = requests.iter().map(|request| request.ok).collect();
        for ((run, start), read) in runs.iter().zip(starts).zip(read) {
            for index in &order[run.members.clone()] {
                let (at, len) = ranges[*index as usize];
                let from = start + usize::try_from(at.0 - run.at).unwrap_or(usize::MAX);
                let place = from..from + len;
                // One unreadable page spoils a merged range, but not each of its members.
                let ok = read
                    || (run.members.len() > 1
                        && is_read(memory.read(at, &mut self.bytes[place.clone()]))?);
                if ok {
                    self.places[*index as usize] = Some(place);
                }
            }
        }
        Ok(())
    }

    /// The bytes of the `index`th range of the last batch; `None` when they were not readable.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.places.get(index)?.clone()?)
    }
}

fn is_read(result: Result<(), ReadError>) -> Result<bool, ReadError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.is_final() => Err(error),
        Err(_) => Ok(false),
    }
}

/// The merged ranges for requests in address order. A range whose end overflows is left out.
fn merge(ranges: &[(TargetAddr, usize)], order: &[u32]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (position, index) in order.iter().enumerate() {
        let (at, len) = ranges[*index as usize];
        let Some(end) = at.0.checked_add(len as u64) else {
            continue;
        };
        if let Some(run) = runs.last_mut() {
            let near = at.0 <= run.end.saturating_add(GAP_LIMIT);
            if near && run.members.end == position && end.max(run.end) - run.at <= RUN_LIMIT {
                run.end = run.end.max(end);
                run.members.end += 1;
                continue;
            }
        }
        runs.push(Run {
            at: at.0,
            end,
            members: position..position + 1,
        });
    }
    runs
}

/// One request for each run, on consecutive parts of `bytes`, and where each part starts.
fn requests<'buf>(bytes: &'buf mut [u8], runs: &[Run]) -> (Vec<ReadRequest<'buf>>, Vec<usize>) {
    let mut rest = bytes;
    let mut start = 0;
    runs.iter()
        .map(|run| {
            let len = usize::try_from(run.end - run.at).unwrap_or(usize::MAX);
            let (into, tail) = std::mem::take(&mut rest).split_at_mut(len);
            rest = tail;
            let at = start;
            start += len;
            let request = ReadRequest {
                at: TargetAddr(run.at),
                into,
                ok: false,
            };
            (request, at)
        })
        .unzip()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FakeMemory;

    #[test]
    fn neighbours_are_read_together_and_strangers_apart() {
        let ranges = [
            (TargetAddr(0x2000), 16),
            (TargetAddr(0x1000), 16),
            (TargetAddr(0x1100), 8),
            (TargetAddr(u64::MAX), 8),
        ];
        let runs = merge(&ranges, &[1, 2, 0, 3]);
        let shape: Vec<_> = runs
            .iter()
            .map(|r| (r.at, r.end, r.members.clone()))
            .collect();
        assert_eq!(shape, [(0x1000, 0x1108, 0..2), (0x2000, 0x2010, 2..3)]);
    }

    #[test]
    fn an_unreadable_member_spoils_only_itself() {
        let mut memory = FakeMemory::new();
        memory.map_words(TargetAddr(0x1000), &[1]);
        memory.map_words(TargetAddr(0x1020), &[2]);
        let mut gather = Gather::new();
        let ranges = [0x1020, 0x1010, 0x1000].map(|at| (TargetAddr(at), 8));
        gather.read(&memory, &ranges).unwrap();
        assert_eq!(gather.get(0), Some(&2_u64.to_le_bytes()[..]));
        assert_eq!(gather.get(1), None);
        assert_eq!(gather.get(2), Some(&1_u64.to_le_bytes()[..]));
        assert_eq!(gather.get(3), None);
    }

    proptest! {
        #[test]
        fn gathers_what_single_reads_would(
            mapped in prop::collection::vec((0_u64..0x4000, 1_usize..0x800), 1..6),
            asked in prop::collection::vec((0_u64..0x4800, 0_usize..0x100), 0..40),
        ) {
            let mut memory = FakeMemory::new();
            let mut free_from = 0;
            for (skip, len) in mapped {
                let at = free_from + skip;
                memory.map(TargetAddr(at), (0..len).map(|i| ((at as usize + i) % 251) as u8).collect());
                free_from = at + len as u64 + 1;
            }
            let ranges: Vec<_> = asked.into_iter().map(|(at, len)| (TargetAddr(at), len)).collect();
            let mut gather = Gather::new();
            gather.read(&memory, &ranges).unwrap();
            for (index, (at, len)) in ranges.iter().enumerate() {
                let mut alone = vec![0; *len];
                let expected = memory.read(*at, &mut alone).is_ok().then_some(&alone[..]);
                prop_assert_eq!(gather.get(index), expected);
            }
        }
    }
}
