//! Timers: what their functions will be handed, and whether one of them runs the program's code.

use ids::TargetAddr;
use image::layout::Layout;
use memory::{Gather, Memory, MemoryExt as _, ReadError};

/// More timers than this on one P are not believed.
const MAX_TIMERS: u64 = 1 << 26;
/// More Ps than the runtime allows (`_MaxGomaxprocs` is lower in old versions, absent in new ones).
const MAX_PS: u64 = 1 << 16;

/// Offsets of the timers of a P.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerLayout {
    /// The slice of timers in `runtime.p`: `timers`, since Go 1.23 `timers.heap`.
    pub heap: u64,
    /// Distance of its elements: 8 for `*timer`, 16 for `timerWhen {*timer, when}` (Go 1.23).
    pub stride: u64,
    /// `timer.f`, followed by nothing we need.
    pub function: u64,
    /// `timer.arg`, an `any`.
    pub argument: u64,
    /// What says whether a timer in the heap is going to fire.
    pub armed: Armed,
}

/// What says whether a timer in the heap is going to fire: one that was stopped stays there for a
/// while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Armed {
    /// Offset of `timer.status` (until Go 1.22), which `deltimer` changes.
    Status(u64),
    /// Offset of `timer.when` (since Go 1.23), which `timer.stop` clears.
    When(u64),
}

impl Armed {
    /// Where it lies, in a timer.
    const fn offset(self) -> u64 {
        match self {
            Self::Status(offset) | Self::When(offset) => offset,
        }
    }

    /// What `word`, read there, says.
    const fn says(self, word: u64) -> bool {
        match self {
            // Not timerNoStatus, timerDeleted, timerRemoving, timerRemoved: `runtime/time.go`, Go 1.14
            // to 1.22. A u32.
            Self::Status(_) => !matches!(word & 0xffff_ffff, 0 | 3..=5),
            Self::When(_) => word != 0,
        }
    }
}

/// The timers of all Ps.
#[derive(Debug, Clone, Copy)]
pub struct TimerHeap {
    /// `runtime.allp`, a slice of `*p`.
    pub all_ps: TargetAddr,
}

/// What a timer's function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerCode {
    /// Sends the time on a channel, or wakes a goroutine: `time.sendTime`,
    /// `runtime.goroutineReady`, the deadlines of `runtime.netpoll…`.
    Signal,
    /// Runs the program's code: `time.goFunc` and everything unknown.
    Program,
}

impl TimerCode {
    /// What the function of this name does.
    #[must_use]
    pub fn of(function: Option<&str>) -> Self {
        match function {
            Some(name) if name == "time.sendTime" || name.starts_with("runtime.") => Self::Signal,
            _ => Self::Program,
        }
    }
}

/// What the timer heaps hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timers {
    /// The timers that could be read.
    pub pending: Vec<Timer>,
    /// How many could not.
    pub unreadable: u64,
}

/// One pending timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// `f`, a pointer to a function value.
    pub function: TargetAddr,
    /// The two words of `arg`.
    pub argument: [u64; 2],
    /// The timer itself.
    pub at: TargetAddr,
    /// Whether it is going to fire; it may have been stopped.
    pub armed: bool,
}

impl TimerHeap {
    /// Addresses of all P structs.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn ps(&self, memory: &dyn Memory) -> Result<Vec<TargetAddr>, ReadError> {
        let array = memory.read_addr(self.all_ps)?;
        let len = memory.read_u64(self.all_ps.offset(8))?;
        pointers(memory, array, len, 8, MAX_PS)
    }

    /// The pending timers of all Ps.
    ///
    /// # Errors
    /// When a list cannot be read. A heap that grows while it is read may yield stale entries,
    /// which do no harm; the next look sees the new ones.
    pub fn timers(&self, memory: &dyn Memory, layout: &TimerLayout) -> Result<Timers, ReadError> {
        let mut at = Vec::new();
        for p in self.ps(memory)? {
            let array = memory.read_addr(p.offset(layout.heap))?;
            let len = memory.read_u64(p.offset(layout.heap + 8))?;
            if len > 0 {
                at.extend(pointers(memory, array, len, layout.stride, MAX_TIMERS)?);
            }
        }
        let size = (layout.argument + 16).max(layout.armed.offset() + 8);
        let size = usize::try_from(size).unwrap_or(80);
        let ranges: Vec<_> = at.iter().map(|timer| (*timer, size)).collect();
        let mut gather = Gather::new();
        gather.read(memory, &ranges)?;
        let mut timers = Timers::default();
        for (index, at) in at.iter().enumerate() {
            match gather.get(index).and_then(|b| layout.decode(*at, b)) {
                Some(timer) => timers.pending.push(timer),
                None => timers.unreadable += 1,
            }
        }
        Ok(timers)
    }
}

impl TimerLayout {
    /// The offsets in a runtime that is laid out like `layout`.
    #[must_use]
    pub fn of(layout: &Layout) -> Self {
        // Go 1.23 gave the timers of a P a struct of their own, with the times beside the pointers.
        let (heap, stride) = layout
            .timers
            .as_ref()
            .map_or((0, 8), |timers| (timers.heap, 16));
        Self {
            heap: layout.p.timers + heap,
            stride,
            function: layout.timer.f,
            argument: layout.timer.arg,
            armed: match layout.timers {
                Some(_) => Armed::When(layout.timer.when),
                // After `arg`, `seq` and `nextwhen`, a word each but the first, which is an `any`.
                None => Armed::Status(layout.timer.arg + 32),
            },
        }
    }

    fn decode(&self, at: TargetAddr, bytes: &[u8]) -> Option<Timer> {
        let word = |offset: u64| {
            let at = usize::try_from(offset).ok()?;
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        Some(Timer {
            function: TargetAddr(word(self.function)?),
            argument: [word(self.argument)?, word(self.argument + 8)?],
            at,
            armed: self.armed.says(word(self.armed.offset())?),
        })
    }
}

fn pointers(
    memory: &dyn Memory,
    array: TargetAddr,
    len: u64,
    stride: u64,
    limit: u64,
) -> Result<Vec<TargetAddr>, ReadError> {
    let bytes = usize::try_from(len.saturating_mul(stride)).unwrap_or(usize::MAX);
    let limit = usize::try_from(limit.saturating_mul(stride)).unwrap_or(usize::MAX);
    let list = memory.read_vec(array, bytes, limit)?;
    let step = usize::try_from(stride.max(8)).unwrap_or(8);
    Ok(list
        .chunks_exact(step)
        .filter_map(|entry| entry.get(..8)?.try_into().ok().map(u64::from_le_bytes))
        .filter(|pointer| *pointer != 0)
        .map(TargetAddr)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::FakeMemory;

    #[test]
    fn reads_the_timers_of_every_p() {
        let layout = TimerLayout {
            heap: 16,
            stride: 16,
            function: 8,
            argument: 16,
            armed: Armed::When(0),
        };
        let mut memory = FakeMemory::new();
        memory.map_words(TargetAddr(0x100), &[0x200, 2, 2]);
        memory.map_words(TargetAddr(0x200), &[0x1000, 0x2000]);
        memory.map_words(TargetAddr(0x1000), &[0, 0, 0x3000, 1, 4]);
        memory.map_words(TargetAddr(0x2000), &[0, 0, 0, 0, 0]);
        memory.map_words(TargetAddr(0x3000), &[0x4000, 99]);
        memory.map_words(TargetAddr(0x4000), &[77, 0xf, 0xa, 0xb]);
        let heap = TimerHeap {
            all_ps: TargetAddr(0x100),
        };
        let timers = heap.timers(&memory, &layout).unwrap();
        assert_eq!(timers.unreadable, 0);
        assert_eq!(
            timers.pending,
            [Timer {
                function: TargetAddr(0xf),
                argument: [0xa, 0xb],
                at: TargetAddr(0x4000),
                armed: true,
            }]
        );
    }

    #[test]
    fn a_timer_that_was_stopped_may_still_be_in_the_heap() {
        let (waiting, modified_later, deleted) = (1, 8, 3);
        assert!(Armed::Status(64).says(waiting) && Armed::Status(64).says(modified_later));
        assert!(!Armed::Status(64).says(deleted));
        assert!(Armed::When(8).says(1) && !Armed::When(8).says(0));
    }

    #[test]
    fn an_unknown_function_may_do_anything() {
        assert_eq!(TimerCode::of(Some("time.sendTime")), TimerCode::Signal);
        assert_eq!(TimerCode::of(Some("time.goFunc")), TimerCode::Program);
        assert_eq!(TimerCode::of(None), TimerCode::Program);
    }
}
