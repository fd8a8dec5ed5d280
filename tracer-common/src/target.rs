//! What the BPF programs know of a target.

/// Wait reasons that a target's table has room for. Go 1.27 has 41.
pub const REASONS: usize = 64;

/// Number of [`WaitClass`]es, rounded up to a power of two so that an index can be masked.
pub const CLASSES: usize = 16;

/// Least time between two hints of one target that its goroutines wait for locks, in nanoseconds:
/// a wait begins at most so long after the last hint.
pub const LOCK_HINT_GAP_NS: u64 = 50_000_000;

/// Wait reasons as the BPF programs tell them apart: independent of the Go version's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WaitClass {
    /// Not for the wait graph, or woken by paths that bypass `runtime.ready`: no record, no entry
    /// in the park table.
    Ignored = 0,
    /// `chan receive`
    ChanReceive = 1,
    /// `chan send`
    ChanSend = 2,
    /// `select`
    Select = 3,
    /// A nil channel or a select without cases.
    Forever = 4,
    /// `sync.Cond.Wait`
    CondWait = 5,
    /// `sync.Mutex.Lock`; this and the following wait on a semaphore of `semacquire1`.
    MutexLock = 6,
    /// `sync.RWMutex.RLock`
    RwMutexRLock = 7,
    /// `sync.RWMutex.Lock`
    RwMutexLock = 8,
    /// `sync.WaitGroup.Wait`
    WaitGroupWait = 9,
    /// `semacquire`
    Semacquire = 10,
}

impl WaitClass {
    /// Every class that is measured.
    pub const MEASURED: [Self; 10] = [
        Self::ChanReceive,
        Self::ChanSend,
        Self::Select,
        Self::Forever,
        Self::CondWait,
        Self::MutexLock,
        Self::RwMutexRLock,
        Self::RwMutexLock,
        Self::WaitGroupWait,
        Self::Semacquire,
    ];

    /// Whether goroutines of this class wait on the semaphore given to `semacquire1`.
    #[inline(always)]
    #[must_use]
    pub const fn byte_has_semaphore(class: u8) -> bool {
        class >= Self::MutexLock as u8
    }
}

/// Bits of [`Target::flags`].
pub mod flags {
    /// The probe of `gopark` lies on the `jbe` of the stack check, which a call may pass twice.
    pub const PARK_AT_JUMP: u32 = 1;
    /// Likewise `ready`.
    pub const READY_AT_JUMP: u32 = 2;
    /// Likewise `semacquire1`.
    pub const SEMACQUIRE_AT_JUMP: u32 = 4;
    /// Likewise `newm`.
    pub const NEWM_AT_JUMP: u32 = 8;
    /// Send a record for every park.
    pub const SEND_PARKS: u32 = 16;
    /// The park and wake probes are off: the park table is not kept, and hints that goroutines wait
    /// for locks are not sent, only dated in [`Target::lock_hint_ns`](super::Target::lock_hint_ns).
    pub const WAITS_OFF: u32 = 32;
}

/// One target: value of the target map, whose key is the process id.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Offset of `goid` in `runtime.g`.
    pub goid_offset: u32,
    /// Offset of `m` in `runtime.g`.
    pub m_offset: u32,
    /// Offset of `curg` in `runtime.m`.
    pub curg_offset: u32,
    /// Index of this target's counters and histograms.
    pub slot: u32,
    /// See [`flags`].
    pub flags: u32,
    /// Entries of the park table that this target may have.
    pub park_quota: u32,
    /// Entries of the park table that it has; counted by the BPF programs.
    pub park_entries: u64,
    /// Waits that last at least so long are sent when they end, in nanoseconds.
    pub send_wakes_from_ns: u64,
    /// When the last [`crate::RecordKind::LockWait`] was sent, or would have been but for
    /// [`flags::WAITS_OFF`] (`CLOCK_MONOTONIC`, nanoseconds); written by the BPF programs.
    pub lock_hint_ns: u64,
    /// [`WaitClass`] of each wait reason of the target's Go version.
    pub classes: [u8; REASONS],
}

const _: () = assert!(size_of::<Target>() == 112);
