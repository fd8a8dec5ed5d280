//! The target that a hit belongs to.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use tracer_common::{Target, TargetCounters};

use crate::{
    host::note,
    maps::{COUNTERS, TARGETS},
};

/// A hit in a target.
pub struct Hit {
    pub tgid: u32,
    pub tid: u32,
    pub target: &'static Target,
    pub counters: &'static mut TargetCounters,
}

impl Hit {
    /// The hit's target; `None` in a process that shares an image with one but is none itself.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        let ids = bpf_get_current_pid_tgid();
        let (tgid, tid) = ((ids >> 32) as u32, ids as u32);
        let Some(target) = TARGETS.get_ptr(tgid) else {
            note(|host| host.foreign_hits += 1);
            return None;
        };
        // SAFETY: a map value stays valid while the program runs; user space writes it before the
        // probes are attached and then leaves all fields read here alone or changes single words.
        let target = unsafe { &*target };
        let counters = COUNTERS.get_ptr_mut(target.slot)?;
        Some(Self {
            tgid,
            tid,
            target,
            // SAFETY: a value of a per-CPU array, which no other CPU touches.
            counters: unsafe { &mut *counters },
        })
    }

    /// A word of the target's memory.
    #[inline(always)]
    pub fn read(&self, address: u64) -> u64 {
        // SAFETY: the helper checks the address.
        match unsafe { bpf_probe_read_user(address as *const u64) } {
            Ok(word) => word,
            Err(_) => {
                note(|host| host.failed_reads += 1);
                0
            }
        }
    }

    /// The id of the goroutine whose `g` is at `g`.
    #[inline(always)]
    pub fn goid(&self, g: u64) -> u64 {
        self.read(g.wrapping_add(u64::from(self.target.goid_offset)))
    }

    /// The `g` that the thread of the system stack `g0` works for: `g0.m.curg`.
    #[inline(always)]
    pub fn current_g(&self, g0: u64) -> u64 {
        let m = self.read(g0.wrapping_add(u64::from(self.target.m_offset)));
        if m == 0 {
            return 0;
        }
        self.read(m.wrapping_add(u64::from(self.target.curg_offset)))
    }
}
