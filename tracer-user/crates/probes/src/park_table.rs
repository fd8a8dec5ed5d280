//! Reading the park table: which goroutines parked when, without an event a park.

use std::{io, os::fd::BorrowedFd};

use rustc_hash::FxHashSet;
use tracer_common::{Park, park_g, park_slot};

use super::bpf_call::{delete_keys, lookup_batch};
use ids::{Pid, TargetAddr};
use image::WaitReason;

/// Entries a system call.
const BATCH: usize = 4096;

/// A goroutine that parked and was not seen to wake.
///
/// To join it with a snapshot compare the address of `g` and the wait reason: an entry outlives a
/// wait whose end bypassed `runtime.ready`, until the goroutine parks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkedWait {
    /// Process.
    pub pid: Pid,
    /// Address of the goroutine's `g`.
    pub g: TargetAddr,
    /// When it parked, `CLOCK_MONOTONIC` nanoseconds: exact.
    pub since_ns: u64,
    /// What it waits for.
    pub reason: WaitReason,
    /// The semaphore for waits of package sync, else the lock argument of `gopark`.
    pub object: TargetAddr,
}

/// Calls `visit` with every entry of the table. A table that changes meanwhile may show an entry
/// twice or not at all; the next scan repairs that. Fails when the end is not reached.
pub(super) fn scan(
    map: BorrowedFd<'_>,
    entries: u32,
    visit: impl FnMut(u64, &Park),
) -> io::Result<()> {
    let mut cursor = None;
    let batch =
        |keys: &mut [u64], values: &mut [Park]| lookup_batch(map, &mut cursor, keys, values);
    scan_batches(batch, entries, visit)
}

/// As [`scan`], where `batch` gives the next entries: how many, and whether these were the last.
fn scan_batches(
    mut batch: impl FnMut(&mut [u64], &mut [Park]) -> io::Result<(usize, bool)>,
    entries: u32,
    mut visit: impl FnMut(u64, &Park),
) -> io::Result<()> {
    let mut keys = vec![0_u64; BATCH];
    let mut values = vec![Park::default(); BATCH];
    // Twice the table's size bounds a scan of a table that is rehashed under our eyes.
    let rounds = 2 * (entries as usize).div_ceil(BATCH) + 16;
    for _ in 0..rounds {
        let (count, ended) = match batch(&mut keys, &mut values) {
            Ok(read) => read,
            // A bucket with more entries than the batch has room for.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                keys.resize(keys.len() * 2, 0);
                values.resize(keys.len(), Park::default());
                continue;
            }
            Err(error) => return Err(error),
        };
        for (key, park) in keys.iter().zip(&values).take(count) {
            visit(*key, park);
        }
        if ended {
            return Ok(());
        }
    }
    Err(io::Error::other("the table changes faster than it is read"))
}

/// Removes all entries of some slots; as many as were found where it fails.
pub(super) fn clear(map: BorrowedFd<'_>, entries: u32, slots: &FxHashSet<u32>) -> io::Result<()> {
    let mut doomed = Vec::new();
    let scanned = scan(map, entries, |key, _| {
        if slots.contains(&park_slot(key)) {
            doomed.push(key);
        }
    });
    delete_keys(map, &doomed)?;
    scanned
}

/// The wait of an entry; `None` while its goroutine runs.
pub(super) fn wait_of(key: u64, park: &Park, pid: Pid, reason: WaitReason) -> Option<ParkedWait> {
    (park.since_ns != 0).then_some(ParkedWait {
        pid,
        g: TargetAddr(park_g(key)),
        since_ns: park.since_ns,
        reason,
        object: TargetAddr(park.object),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads batches of one entry of a table with room for `ROOM`; the batch `last` is the last.
    fn scan_until(last: usize) -> (io::Result<()>, usize) {
        const ROOM: u32 = 1;
        let (mut batches, mut seen) = (0, 0);
        let batch = |keys: &mut [u64], _: &mut [Park]| {
            batches += 1;
            keys[0] = 7;
            Ok((1, batches == last))
        };
        let scanned = scan_batches(batch, ROOM, |key, _| seen += usize::from(key == 7));
        (scanned, seen)
    }

    #[test]
    fn a_scan_that_does_not_reach_the_end_fails() {
        let (scanned, seen) = scan_until(3);
        assert!(scanned.is_ok() && seen == 3);
        let (scanned, seen) = scan_until(usize::MAX);
        assert!(scanned.is_err() && seen > 3);
    }
}
