//! What a hit costs on this machine.

use std::time::Duration;

use aya::Ebpf;
use tracer_common::{REASONS, Target, WaitClass};

use super::{attachment::Programs, error::ProbeError};

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

/// This process as a target of slot `slot`: every park counts, no wake is sent.
pub(super) const fn target(slot: u32) -> Target {
    Target {
        goid_offset: 0,
        m_offset: 0,
        curg_offset: 0,
        slot,
        flags: 0,
        park_quota: u32::MAX,
        park_entries: 0,
        send_wakes_from_ns: u64::MAX,
        lock_hint_ns: 0,
        classes: [WaitClass::ChanReceive as u8; REASONS],
    }
}

/// Measures the cost of a hit where the programs can be reached by a private function; elsewhere
/// the usual cost is given. Must be a target ([`target`]) meanwhile.
#[cfg(target_arch = "x86_64")]
pub(super) fn measure(programs: &Programs, ebpf: &mut Ebpf) -> Result<HitCost, ProbeError> {
    amd64::measure(programs, ebpf)
}

/// As above.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn measure(_programs: &Programs, _ebpf: &mut Ebpf) -> Result<HitCost, ProbeError> {
    Ok(HitCost::default())
}

#[cfg(target_arch = "x86_64")]
mod amd64 {
    use std::{arch::naked_asm, io, path::PathBuf, time::Duration};

    use aya::Ebpf;
    use nix::time::{ClockId, clock_gettime};

    use super::{super::attachment::Programs, HitCost, ProbeError};
    use ids::{FileOffset, Pid};

    /// Goroutines that park and wake in turn: a real program's do not fit into one cache line.
    const GOROUTINES: u64 = 64;
    /// Parks and wakes of a round.
    const PAIRS: u64 = 10_000;
    /// Rounds. The least disturbed of the bare ones and the median of the probed ones count, so
    /// that the cost comes out rather too high than too low.
    const ROUNDS: usize = 7;

    /// Begins with a `push`, like the sites in Go functions.
    #[unsafe(naked)]
    extern "C" fn park_site() {
        naked_asm!("push rbp", "pop rbp", "ret")
    }

    /// Likewise.
    #[unsafe(naked)]
    extern "C" fn ready_site() {
        naked_asm!("push rbp", "pop rbp", "ret")
    }

    /// Passes both sites with the registers of a `gopark` of the goroutine at `g`, and of a `ready`
    /// for it.
    #[unsafe(naked)]
    extern "C" fn park_and_ready(g: u64) {
        naked_asm!(
            "push rbx",
            "push r14",
            "mov r14, rdi",
            "mov rbx, rdi",
            "xor ecx, ecx",
            "call {park}",
            "mov rax, r14",
            "call {ready}",
            "pop r14",
            "pop rbx",
            "ret",
            park = sym park_site,
            ready = sym ready_site,
        )
    }

    pub fn measure(programs: &Programs, ebpf: &mut Ebpf) -> Result<HitCost, ProbeError> {
        let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
        let bare = rounds.iter().min().copied().unwrap_or_default();
        let us = Some(Pid(std::process::id()));
        let mut links = Vec::new();
        for (name, site) in [
            ("go_ready", ready_site as *const ()),
            ("go_park", park_site as *const ()),
        ] {
            let (path, site) = place_of(site as u64).map_err(|source| ProbeError::Image {
                path: "/proc/self/maps".into(),
                source,
            })?;
            links.push(programs.attach(ebpf, name, &path, site, us)?);
        }
        // The first round makes the entries of the tables.
        round();
        rounds.clear();
        rounds.extend((0..ROUNDS).map(|_| round()));
        drop(links);
        rounds.sort_unstable();
        let probed = rounds.get(ROUNDS / 2).copied().unwrap_or_default();
        let pairs = u32::try_from(PAIRS).unwrap_or(u32::MAX);
        let cost = probed.saturating_sub(bare) / pairs / 2;
        Ok(HitCost(cost.max(Duration::from_nanos(1))))
    }

    fn round() -> Duration {
        let pair: extern "C" fn(u64) = std::hint::black_box(park_and_ready);
        let start = cpu_time();
        for number in 0..PAIRS {
            // Addresses that no goroutine has, 512 bytes apart.
            pair((number % GOROUTINES + 1) << 9);
        }
        cpu_time().saturating_sub(start)
    }

    /// Of this thread: what else runs on this machine does not count.
    fn cpu_time() -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
    }

    /// The file and offset that the code at `address` was mapped from.
    fn place_of(address: u64) -> io::Result<(PathBuf, FileOffset)> {
        for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
            // start-end permissions offset device inode path
            let mut fields = line.split_whitespace();
            let (Some(range), Some(_), Some(offset)) =
                (fields.next(), fields.next(), fields.next())
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
}
