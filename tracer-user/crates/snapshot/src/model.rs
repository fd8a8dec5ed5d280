//! What a snapshot says. Plain data: built by the readers beside this file, never changed after.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{RunningSample, SamplingOutcome};
use ids::{Goid, ImageAddr, LoadBias, Pid, TargetAddr, Tid};
use image::WaitReason;

/// The runtime state of one process at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The process.
    pub pid: Pid,
    /// `CLOCK_MONOTONIC` when reading began, in nanoseconds: the clock of Go's `nanotime`.
    pub taken_ns: u64,
    /// Where the image lies in this process.
    pub bias: LoadBias,
    /// Every goroutine that is not dead, system goroutines included, by ascending id.
    pub goroutines: Vec<Goroutine>,
    /// Every object that some goroutine waits on, by address of the object's first byte.
    pub objects: FxHashMap<TargetAddr, SyncObject>,
    /// The threads the runtime knows (`allm`) joined with those the kernel lists.
    pub threads: Vec<Thread>,
    /// The scheduler's own counters; `None` when they could not be read.
    pub scheduler: Option<Scheduler>,
    /// What could not be read, and why.
    pub incomplete: Vec<Incomplete>,
    /// What [`sample_running`](super::sample_running) came to; empty when it was not called for.
    pub sampling: SamplingOutcome,
}

/// One thing that a snapshot lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomplete {
    /// What is missing, for example `goroutine 17 stack`.
    pub what: String,
    /// Why, for example `24 bytes at 0xc000012000 are not readable`.
    pub why: String,
}

/// One goroutine.
#[derive(Debug, Clone)]
pub struct Goroutine {
    /// `g.goid`.
    pub goid: Goid,
    /// Address of the `g` struct. Reused after the goroutine ends; `goid` is not.
    pub g: TargetAddr,
    /// `g.atomicstatus` without its scan bit.
    pub status: Status,
    /// Why it is parked; refined by its stack where the runtime's own reason is only "semacquire"
    /// (Go 1.19). `None` unless `status` is [`Status::Waiting`].
    pub wait_reason: Option<WaitReason>,
    /// Since when it waits, as far as the runtime knows.
    pub since: WaitSince,
    /// What it waits on: empty when it waits on no object (sleep, I/O, nil channel), several for a
    /// select.
    pub waits_on: Vec<WaitOn>,
    /// The goroutine that created it (`g.parentGoid`, Go 1.21 and later).
    pub parent: Option<Goid>,
    /// Return address of the `go` statement (`g.gopc`), as linked; `None` for the first goroutine.
    pub created_at: Option<ImageAddr>,
    /// Entry of its first function (`g.startpc`), as linked.
    pub start: ImageAddr,
    /// Whether the runtime itself owns it (`isSystemGoroutine`).
    pub system: bool,
    /// The thread that runs it now, or that it is locked to.
    pub thread: Option<Tid>,
    /// Whether `LockOSThread` pins it (`g.lockedm`).
    pub locked_to_thread: bool,
    /// `g.trackingSeq` (`runtime/runtime2.go`): a counter that `casgstatus` bumps each time the
    /// goroutine leaves the running state. Equal in two looks together with `sp`: it has not run in
    /// between (but for exactly 256 parks at the same place). `None` where the layout lacks it.
    pub parks: Option<u8>,
    /// Stack bounds `[lo, hi)` (`g.stack`).
    pub stack_bounds: (TargetAddr, TargetAddr),
    /// Stack pointer the stack was unwound from: `g.sched.sp`, or `g.syscallsp` in a system call;
    /// the sample's for one that was sampled.
    pub sp: TargetAddr,
    /// Its frames, innermost first, shared by all goroutines with the same stack.
    /// Empty and `truncated` for a running goroutine, unless it was sampled: then these are the
    /// frames that it had at that instant.
    pub stack: Arc<Stack>,
    /// What the kernel copied of it while it ran.
    pub sampled: Option<Arc<RunningSample>>,
}

impl Snapshot {
    /// Returns the goroutine with this id.
    #[must_use]
    pub fn goroutine(&self, goid: Goid) -> Option<&Goroutine> {
        let at = self.goroutines.binary_search_by_key(&goid, |g| g.goid);
        self.goroutines.get(at.ok()?)
    }
}

impl Goroutine {
    /// Whether it is in one and the same wait as `earlier` was, and has not run in between, but for exactly
    /// 256 waits at the same place ([`Goroutine::parks`] has eight bits).
    #[must_use]
    pub fn is_same_wait(&self, earlier: &Self) -> bool {
        self.status.is_parked()
            && earlier.status.is_parked()
            && self.goid == earlier.goid
            && self.g == earlier.g
            && self.parks == earlier.parks
            && self.sp == earlier.sp
            && self.wait_reason == earlier.wait_reason
            && self.waits_on == earlier.waits_on
            && self.stack == earlier.stack
    }
}

/// `runtime.g.atomicstatus` (`runtime/runtime2.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// `_Gidle`: being created.
    Idle,
    /// `_Grunnable`.
    Runnable,
    /// `_Grunning`.
    Running,
    /// `_Gsyscall`.
    Syscall,
    /// `_Gwaiting`.
    Waiting,
    /// `_Gcopystack`: its stack is being moved.
    CopyStack,
    /// `_Gpreempted`.
    Preempted,
    /// `_Gleaked` (Go 1.26 and later): waiting, and found leaked by the runtime's own profile.
    Leaked,
}

impl Status {
    /// Whether the goroutine is parked: the runtime's waiting, or found leaked while waiting.
    #[must_use]
    pub const fn is_parked(self) -> bool {
        matches!(self, Self::Waiting | Self::Leaked)
    }
}

/// Since when a goroutine waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitSince {
    /// Seen to park by a probe: exact, `CLOCK_MONOTONIC` nanoseconds.
    Exact(u64),
    /// At least since then: `g.waitsince`, which the garbage collector writes some time after the
    /// park, or the first look that found it waiting.
    AtLeast(u64),
    /// Parked before anybody looked.
    Unknown,
}

/// A physical stack: one entry a frame, inlined calls not yet expanded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Stack {
    /// Innermost first.
    pub frames: Vec<StackFrame>,
    /// Whether unwinding stopped before the goroutine's first function.
    pub truncated: bool,
    /// What the innermost frame's program counter is.
    pub innermost: InnermostPc,
}

/// What the program counter of a stack's innermost frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum InnermostPc {
    /// The return address of a call, as in every other frame: the goroutine stands still.
    #[default]
    ReturnAddress,
    /// The instruction that was about to run when the goroutine was sampled.
    Exact,
}

/// One physical frame. Frame sizes follow from the program counters alone, so that goroutines with
/// equal program counters share the whole [`Stack`]; add the goroutine's own `sp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StackFrame {
    /// Where it continues: a return address, of `mcall` or `entersyscall` in the innermost frame
    /// of a goroutine that stands still; an instruction in that of one that was sampled.
    /// [`Stack::symbolize`] knows the exceptions.
    pub pc: ImageAddr,
    /// The frame's stack pointer (after its callee returned), minus the goroutine's `sp`.
    pub sp_offset: u64,
    /// The caller's stack pointer before it pushed the return address (Go's FP = address just above
    /// the return address), minus the goroutine's `sp`.
    pub fp_offset: u64,
}

/// What a goroutine waits on, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaitOn {
    /// The object.
    pub object: ObjectId,
    /// What the goroutine wants of it.
    pub operation: Operation,
}

/// An object that goroutines wait on, named by the address of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Address of the mutex, channel, … itself (not of its semaphore).
    pub addr: TargetAddr,
    /// What lies there.
    pub kind: ObjectKind,
}

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// `runtime.hchan`.
    Channel,
    /// `sync.Mutex`.
    Mutex,
    /// `sync.RWMutex`.
    RwMutex,
    /// `sync.WaitGroup`.
    WaitGroup,
    /// `sync.Cond`.
    Cond,
    /// A runtime semaphore whose owner type is not known (for example `internal/poll.fdMutex`).
    Semaphore,
}

/// What a waiting goroutine wants of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Channel send.
    Send,
    /// Channel receive (also `range`).
    Receive,
    /// `Mutex.Lock`; on an [`ObjectKind::RwMutex`]: `RWMutex.Lock` queueing behind another writer.
    Lock,
    /// `RWMutex.RLock`, held up by a writer.
    ReadLock,
    /// `RWMutex.Lock` that owns the writer side already and waits for the readers to leave.
    DrainReaders,
    /// `WaitGroup.Wait`.
    Wait,
    /// `Cond.Wait`.
    CondWait,
    /// A bare semaphore.
    Acquire,
}

impl Operation {
    /// Whether it ends with a lock taken.
    #[must_use]
    pub const fn takes_lock(self) -> bool {
        matches!(self, Self::Lock | Self::ReadLock | Self::DrainReaders)
    }
}

/// An object with its decoded state words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncObject {
    /// Which.
    pub id: ObjectId,
    /// Its state; `None` when it could not be read.
    pub state: Option<ObjectState>,
    /// The goroutines that wait on it, in queue order where the runtime keeps one.
    pub waiters: Vec<Goid>,
}

/// The decoded state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectState {
    /// `runtime.hchan`.
    Channel {
        /// Elements in the buffer.
        len: u64,
        /// Buffer size.
        cap: u64,
        /// Whether it has been closed.
        closed: bool,
        /// Whether a timer sends on it (Go 1.23 and later, `hchan.timer`).
        timer: bool,
        /// Whether the timer whose channel it is, of any Go version, is stopped or has fired and was
        /// received from: it sends nothing unless it is reset.
        stopped: bool,
        /// What it carries.
        element: ChannelElement,
    },
    /// `sync.Mutex.state`.
    Mutex(MutexState),
    /// `sync.RWMutex`.
    RwMutex {
        /// The inner mutex `w`, which serialises writers.
        writer: MutexState,
        /// Readers that hold it or wait for it (the runtime's `readerCount` with the pending
        /// writer's bias taken off).
        readers: i32,
        /// A writer holds it or waits for its readers to leave.
        writer_pending: bool,
        /// Readers the pending writer still waits for (`readerWait`).
        reader_wait: i32,
    },
    /// `sync.WaitGroup`.
    WaitGroup {
        /// `Done`s still owed.
        counter: i32,
        /// Goroutines in `Wait`.
        waiters: u32,
    },
    /// `sync.Cond`.
    Cond {
        /// Waits ever begun minus notifications given (`notifyList.wait - notify`).
        waiters: u32,
        /// The Locker `L`'s data word, for a `*sync.Mutex` the mutex's address.
        locker: TargetAddr,
    },
    /// A semaphore's count.
    Semaphore(u32),
}

/// The elements of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelElement {
    /// Bytes of one; 0 for a `chan struct{}`, which carries nothing but the fact.
    pub size: u16,
    /// The type as Go writes it, for example `os.Signal`; `None` when the image does not say.
    pub type_name: Option<Arc<str>>,
}

/// `sync.Mutex.state` decoded (`internal/sync/mutex.go`: bits locked 1, woken 2, starving 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MutexState {
    /// Somebody holds it.
    pub locked: bool,
    /// A waiter has been woken and competes for it.
    pub woken: bool,
    /// Ownership is handed directly to the first waiter.
    pub starving: bool,
    /// Number of waiters.
    pub waiters: u32,
}

impl From<u32> for MutexState {
    fn from(state: u32) -> Self {
        Self {
            locked: state & 1 != 0,
            woken: state & 2 != 0,
            starving: state & 4 != 0,
            waiters: state >> 3,
        }
    }
}

/// One thread of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Kernel thread id; `None` for an extra M without a thread.
    pub tid: Option<Tid>,
    /// `m.id`; `None` for a thread that the Go runtime does not know (made by C).
    pub m: Option<i64>,
    /// The goroutine it runs or is locked to.
    pub goroutine: Option<Goid>,
    /// What it is doing.
    pub state: ThreadState,
    /// Pinned to its goroutine by `LockOSThread`.
    pub locked: bool,
    /// Looking for work.
    pub spinning: bool,
    /// An extra M, kept for callbacks from C.
    pub extra: bool,
}

/// What a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThreadState {
    /// Running Go code.
    Running,
    /// In a system call of a goroutine.
    Syscall,
    /// In C code called by a goroutine.
    Cgo,
    /// Parked without work.
    Idle,
    /// Waiting for its locked goroutine to become runnable.
    IdleLocked,
    /// Waiting for network events, or for the next timer, on behalf of all (`findRunnable` in
    /// `netpoll`). The runtime does not count it as idle.
    NetPoll,
    /// Doing the runtime's own work (sysmon, template thread, GC on g0).
    Runtime,
    /// An extra M without a thread of its own.
    Extra,
    /// Not known to the Go runtime.
    Foreign,
}

/// `runtime.sched` and friends: the terms of `checkdead` (`runtime/proc.go`) and a little more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// GOMAXPROCS.
    pub gomaxprocs: u32,
    /// `mcount()` = `mnext - nmfreed`.
    pub m_count: i64,
    /// `sched.nmidle`.
    pub idle: i32,
    /// `sched.nmidlelocked`.
    pub idle_locked: i32,
    /// `sched.nmsys`.
    pub system: i32,
    /// `iscgo`.
    pub is_cgo: bool,
    /// `cgoHasExtraM` and an extra M exists.
    pub has_extra_m: bool,
    /// `islibrary || isarchive`.
    pub is_library: bool,
    /// `panicking > 0`.
    pub panicking: bool,
    /// Timers in the heaps of all Ps.
    pub timers: u64,
}
