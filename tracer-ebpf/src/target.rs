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
        // SAFETY: memory of the map, which is allocated whole at its creation and stays readable
        // while the program runs. What it holds may change under our eyes: user space changes a
        // flag by replacing the element (kernel/bpf/hashtab.c: htab_map_update_elem), and the old
        // one, which we may have, is soon filled for another target. Then this hit, one at a rare
        // moment, may mix the fields of two. It reads user memory at wrong offsets, which the
        // helper checks; it counts or keeps its park under another slot, whose bounds the map
        // checks; it writes a hint or a number of entries to the wrong target, neither of which
        // need be exact. No finding rests on it: who waits, looks read from the target's memory.
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
