//! What the analysis says: pending releases per goroutine, holders per object.

use super::sites::LockKind;
use graph::HolderSet;
use ids::{Goid, ImageAddr, TargetAddr};

/// Stands, among goroutines, for the functions of pending timers: no goroutine of the program has
/// this number.
pub const TIMERS: Goid = Goid(0);

/// Something a goroutine's continuation does to a synchronisation object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PendingRelease {
    /// The object's first byte; nil when it could not be told which one it is.
    pub object: TargetAddr,
    /// What will be done.
    pub kind: ReleaseKind,
    /// On all paths, or on some.
    pub certainty: Certainty,
    /// Where that was read.
    pub evidence: Evidence,
    /// Where the goroutine took what it will release, as the code before its calls says; `None`
    /// where it was not seen to.
    pub acquired: Option<Acquisition>,
}

/// Where a goroutine took a lock that it has not given back: what the code says that its frames have
/// executed, from their entries to the calls that they are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Acquisition {
    /// Index into the goroutine's physical frames: the one that took the lock, or that called the
    /// function that took it and has returned.
    pub frame: usize,
    /// The call or atomic instruction that took it.
    pub site: ImageAddr,
    /// On how many paths.
    pub taken: Taken,
}

/// On how many of the paths to where a frame stands a lock has been taken and not given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Taken {
    /// On some paths only, or one of them may have given it back.
    OnSomePaths,
    /// On every path, but code that could not be followed ran since and may have given it back.
    BeforeUnknownCode,
    /// On every path, and nothing that ran since gives it back.
    OnEveryPath,
}

/// The operations that free other goroutines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReleaseKind {
    /// `Mutex.Unlock`.
    Unlock,
    /// `RWMutex.Unlock`.
    WriteUnlock,
    /// `RWMutex.RUnlock`.
    ReadUnlock,
    /// `WaitGroup.Done`, `WaitGroup.Add(-n)`.
    Done,
    /// Channel send.
    Send,
    /// Channel receive.
    Receive,
    /// Channel close.
    Close,
    /// `Cond.Signal`, `Cond.Broadcast`.
    Notify,
}

impl ReleaseKind {
    /// The lock operation that it undoes; `None` of channels and the like.
    #[must_use]
    pub(super) const fn lock(self) -> Option<LockKind> {
        match self {
            Self::Unlock => Some(LockKind::Mutex),
            Self::WriteUnlock => Some(LockKind::Write),
            Self::ReadUnlock => Some(LockKind::Read),
            Self::Done => Some(LockKind::Promise),
            Self::Send | Self::Receive | Self::Close | Self::Notify => None,
        }
    }
}

impl PendingRelease {
    /// Whether both witnesses say that the goroutine has what it will release: it has taken it, as the
    /// code says that it has executed, and it gives it back on every path, as the code says that it
    /// will execute. Where code that could not be followed lies on both sides, that may have given
    /// the lock back and may take it again: then it is not certain.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        if self.evidence.held == Held::Protocol {
            return self.certainty == Certainty::Certain;
        }
        match (self.acquired.map(|acquired| acquired.taken), self.certainty) {
            (Some(Taken::OnEveryPath), Certainty::Certain | Certainty::Conditional)
            | (Some(Taken::BeforeUnknownCode), Certainty::Certain) => true,
            (Some(_) | None, _) => false,
        }
    }
}

/// On how many of the paths a release happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Certainty {
    /// On some paths only, or read while the goroutine could run.
    Possible,
    /// On every path if flags in memory that others can write stay as they are. They need not: a lock
    /// that another has given back meanwhile is kept by such a flag (`if !stolen { mu.Unlock() }`).
    AsThingsStand,
    /// On every path, but under a condition: code that could not be followed runs before it and may
    /// be what takes the lock; or which lock it is was read from memory that others can write
    /// before the goroutine runs again.
    Conditional,
    /// On every path that returns from the frame, and of a lock that the goroutine's own frames
    /// name.
    Certain,
}

/// Which frame and which instruction say so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Index into the goroutine's physical frames.
    pub frame: usize,
    /// The call or atomic instruction that releases.
    pub site: ImageAddr,
    /// How the frame gets there.
    pub held: Held,
}

/// How a frame gets to its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Held {
    /// By running on from its return address.
    Continuation,
    /// By a deferred call.
    Deferred,
    /// It waits for the object right now and owns part of it (a writer draining readers).
    Protocol,
}

/// Who holds one lock, after cross-checking with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolders {
    /// The lock.
    pub object: TargetAddr,
    /// The candidates with their evidence; empty when nobody was found. Those who have taken the lock
    /// and were not seen to release it on any path are among them, with a release at no site.
    pub candidates: Vec<(Goid, PendingRelease)>,
    /// What waiters for exclusive access need.
    pub exclusive: HolderSet,
    /// What a writer that drains readers needs.
    pub readers: HolderSet,
    /// What it needs where others than the known readers were seen who may give a read lock back.
    pub any_reader: HolderSet,
    /// Why `complete` is false, in words; empty when both are complete.
    pub doubts: Vec<String>,
}
