//! What a hit costs on this machine.

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use aya::Ebpf;

use super::{attachment::Programs, error::ProbeError};
use crate::ids::{FileOffset, Pid};

/// The cost of one probe hit to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HitCost(Duration);

impl HitCost {
    /// A known cost.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(Duration::from_nanos(nanos))
    }

    /// One hit.
    #[must_use]
    pub const fn per_hit(self) -> Duration {
        self.0
    }

    /// `hits` hits.
    #[must_use]
    pub fn of_hits(self, hits: u64) -> Duration {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos.saturating_mul(hits))
    }
}

impl Default for HitCost {
    /// Where it cannot be measured: an emulated instruction with a short program on a virtual
    /// machine (docs/performance.md).
    fn default() -> Self {
        Self::from_nanos(600)
    }
}

/// Calls of a round.
const CALLS: u32 = 20_000;
/// Rounds, of which the least disturbed counts.
const ROUNDS: u32 = 5;

/// The private function that is probed: begins with a `push`, like the sites in Go functions.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
extern "C" fn probed() {
    std::arch::naked_asm!("push rbp", "pop rbp", "ret")
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(never)]
extern "C" fn probed() {
    std::hint::black_box(());
}

/// Measures the cost of a hit on [`probed`].
pub(super) fn measure(programs: &Programs, ebpf: &mut Ebpf) -> Result<HitCost, ProbeError> {
    let bare = fastest_round();
    let (path, site) = place_of_probed().map_err(|source| ProbeError::Image {
        path: "/proc/self/maps".into(),
        source,
    })?;
    let us = Pid(std::process::id());
    let link = programs.attach(ebpf, "calibrate", &path, site, Some(us))?;
    let probed = fastest_round();
    drop(link);
    let cost = probed.saturating_sub(bare) / CALLS;
    Ok(HitCost(cost.max(Duration::from_nanos(1))))
}

fn fastest_round() -> Duration {
    let function: extern "C" fn() = std::hint::black_box(probed);
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CALLS {
                function();
            }
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// The file and offset that [`probed`] was mapped from.
fn place_of_probed() -> io::Result<(PathBuf, FileOffset)> {
    let address = probed as *const () as u64;
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        // start-end permissions offset device inode path
        let mut fields = line.split_whitespace();
        let (Some(range), Some(_), Some(offset)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let Some((Some(start), Some(end))) =
            range.split_once('-').map(|(from, to)| (hex(from), hex(to)))
        else {
            continue;
        };
        if (start..end).contains(&address)
            && let Some(offset) = hex(offset)
        {
            let site = FileOffset(address - start + offset);
            return Ok((PathBuf::from("/proc/self/exe"), site));
        }
    }
    Err(io::Error::other("the calibration function is not mapped"))
}
