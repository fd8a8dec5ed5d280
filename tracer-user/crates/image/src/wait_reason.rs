//! `runtime.waitReason` without its numbering, which differs by Go version.

use std::{fmt, ops::ControlFlow};

use serde::{Deserialize, Serialize};

use super::{elf::Elf, file::Refusal, moduledata::ModuleData};
use ids::ImageAddr;

/// Why a goroutine is parked (`runtime/runtime2.go`, `waitReasonStrings`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WaitReason {
    /// `chan receive`
    ChanReceive,
    /// `chan send`
    ChanSend,
    /// `chan receive (nil chan)`
    ChanReceiveNil,
    /// `chan send (nil chan)`
    ChanSendNil,
    /// `select`
    Select,
    /// `select (no cases)`
    SelectNoCases,
    /// A `select` all of whose channels are nil, which the runtime calls `select` like any other
    /// (`runtime/select.go`: it stands in no queue, so that `g.waiting` is nil).
    SelectAllNil,
    /// `sync.Mutex.Lock`
    MutexLock,
    /// `sync.RWMutex.RLock`
    RwMutexRLock,
    /// `sync.RWMutex.Lock`
    RwMutexLock,
    /// `sync.WaitGroup.Wait`
    WaitGroupWait,
    /// `sync.Cond.Wait`
    CondWait,
    /// `semacquire`: before Go 1.20 every semaphore wait, later a bare one.
    Semacquire,
    /// `sleep`
    Sleep,
    /// `IO wait`
    IoWait,
    /// `coroutine`: an `iter.Pull` partner.
    Coroutine,
    /// `synctest.Run`, `synctest.Wait`
    Synctest,
    /// `finalizer wait`, `cleanup wait`
    FinalizerWait,
    /// A wait of the runtime for itself during which the goroutine is not stuck: garbage
    /// collection, tracing, stopping the world, preemption.
    Runtime,
    /// A text this version of gostuck does not know.
    Unknown,
}

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitKind {
    /// An operation by another goroutine, or a timer, on a channel.
    Channel,
    /// A release by another goroutine: locks and `WaitGroup`s, which all park in `semacquire1`
    /// (`sync/runtime.go`, Go 1.19 to 1.27).
    Semaphore,
    /// A signal by another goroutine.
    Cond,
    /// Nothing: a nil channel, a `select` without cases.
    Never,
    /// A switch by the goroutine that resumes this one (`iter.Pull`).
    Coroutine,
    /// The passing of time.
    Time,
    /// The network, or a file that can be polled.
    Io,
    /// The runtime itself, or something that is not known.
    Runtime,
}

impl WaitKind {
    /// Whether such a wait ends by what another goroutine does, if at all, so that its age says something: a
    /// sleep and idle I/O may be old and healthy. Coroutines are not among them: their partner's wait is the
    /// one to look at.
    #[must_use]
    pub const fn is_for_a_goroutine(self) -> bool {
        match self {
            Self::Channel | Self::Semaphore | Self::Cond | Self::Never => true,
            Self::Coroutine | Self::Time | Self::Io | Self::Runtime => false,
        }
    }
}

impl WaitReason {
    /// Returns what ends such a wait.
    #[must_use]
    pub const fn kind(self) -> WaitKind {
        match self {
            Self::ChanReceive | Self::ChanSend | Self::Select => WaitKind::Channel,
            Self::ChanReceiveNil | Self::ChanSendNil | Self::SelectNoCases | Self::SelectAllNil => {
                WaitKind::Never
            }
            Self::MutexLock
            | Self::RwMutexRLock
            | Self::RwMutexLock
            | Self::WaitGroupWait
            | Self::Semacquire => WaitKind::Semaphore,
            Self::CondWait => WaitKind::Cond,
            Self::Coroutine => WaitKind::Coroutine,
            Self::Sleep => WaitKind::Time,
            Self::IoWait => WaitKind::Io,
            Self::Synctest | Self::FinalizerWait | Self::Runtime | Self::Unknown => {
                WaitKind::Runtime
            }
        }
    }

    /// Whether others have to end such a wait by a release, so that it can be part of a cycle of locks.
    #[must_use]
    pub const fn is_lock_wait(self) -> bool {
        matches!(self.kind(), WaitKind::Semaphore)
    }

    /// The reason that the runtime spells `text`, of any Go version.
    #[must_use]
    pub fn from_runtime_text(text: &str) -> Self {
        // "(synctest)" and "(durable)" mark waits inside a synctest bubble (Go 1.24 and 1.25).
        let plain = text
            .trim_end_matches(" (synctest)")
            .trim_end_matches(" (durable)");
        match plain {
            "chan receive" => Self::ChanReceive,
            "chan send" => Self::ChanSend,
            "chan receive (nil chan)" => Self::ChanReceiveNil,
            "chan send (nil chan)" => Self::ChanSendNil,
            "select" => Self::Select,
            "select (no cases)" => Self::SelectNoCases,
            "sync.Mutex.Lock" => Self::MutexLock,
            "sync.RWMutex.RLock" => Self::RwMutexRLock,
            "sync.RWMutex.Lock" => Self::RwMutexLock,
            "sync.WaitGroup.Wait" => Self::WaitGroupWait,
            "sync.Cond.Wait" => Self::CondWait,
            "semacquire" => Self::Semacquire,
            "sleep" => Self::Sleep,
            "IO wait" => Self::IoWait,
            "coroutine" => Self::Coroutine,
            "synctest.Run" | "synctest.Wait" => Self::Synctest,
            "finalizer wait" | "cleanup wait" => Self::FinalizerWait,
            ""
            | "GC assist marking"
            | "GC assist wait"
            | "GC sweep wait"
            | "GC scavenge wait"
            | "dumping heap"
            | "garbage collection"
            | "garbage collection scan"
            | "panicwait"
            | "force gc (idle)"
            | "GOMAXPROCS updater (idle)"
            | "trace reader (blocked)"
            | "wait for GC cycle"
            | "GC worker (idle)"
            | "GC worker (active)"
            | "preempted"
            | "debug call"
            | "GC mark termination"
            | "stopping the world"
            | "flushing proc caches"
            | "trace goroutine status"
            | "trace proc status"
            | "page trace flush"
            | "GC weak to strong wait"
            | "timer goroutine (idle)" => Self::Runtime,
            _ => Self::Unknown,
        }
    }

    /// The runtime's own words, as in a goroutine dump.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChanReceive => "chan receive",
            Self::ChanSend => "chan send",
            Self::ChanReceiveNil => "chan receive (nil chan)",
            Self::ChanSendNil => "chan send (nil chan)",
            Self::Select => "select",
            Self::SelectNoCases => "select (no cases)",
            Self::SelectAllNil => "select (all channels nil)",
            Self::MutexLock => "sync.Mutex.Lock",
            Self::RwMutexRLock => "sync.RWMutex.RLock",
            Self::RwMutexLock => "sync.RWMutex.Lock",
            Self::WaitGroupWait => "sync.WaitGroup.Wait",
            Self::CondWait => "sync.Cond.Wait",
            Self::Semacquire => "semacquire",
            Self::Sleep => "sleep",
            Self::IoWait => "IO wait",
            Self::Coroutine => "coroutine",
            Self::Synctest => "synctest",
            Self::FinalizerWait => "finalizer wait",
            Self::Runtime => "runtime",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// This image's numbering, read out of `runtime.waitReasonStrings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WaitReasonTable(Vec<WaitReason>);

/// Longest text and longest table that make sense.
const MAX_TEXT: u64 = 64;
const MAX_REASONS: u64 = 256;
const STRING: u64 = 16;
/// So many places that look like the table are tried.
const MAX_PLACES: u32 = 4096;

impl WaitReasonTable {
    /// The array lies in the module's data and begins, in every version, with the strings
    /// "", "GC assist marking" and "IO wait".
    pub(super) fn find(elf: &Elf, module: &ModuleData) -> Result<Self, Refusal> {
        let start = module.noptrdata.start.min(module.data.start);
        let end = module.noptrdata.end.max(module.data.end);
        let mut left = MAX_PLACES;
        let mut found = None;
        // The last six words: three string headers. What was never written is zero.
        let mut window = [0; 6];
        let mut behind = start;
        elf.scan_words(start, end.0.saturating_sub(start.0), |at, word| {
            if at != behind {
                window = [0; 6];
            }
            behind = at.offset(8);
            window.rotate_left(1);
            window[5] = word;
            if [window[1], window[3], window[5]] != [0, 17, 7] {
                return ControlFlow::Continue(());
            }
            let table = ImageAddr(at.0.wrapping_sub(5 * 8));
            let is = |index, words| {
                text(elf, table.offset(index * STRING)).is_some_and(|text| text == words)
            };
            left -= 1;
            if is(1, "GC assist marking") && is(2, "IO wait") {
                found = Some(table);
            }
            match found.is_some() || left == 0 {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        let found = found.map(|table| Self::read(elf, table));
        found.ok_or_else(|| Refusal::unfit("runtime.waitReasonStrings was not found"))
    }

    fn read(elf: &Elf, table: ImageAddr) -> Self {
        let texts = (1..MAX_REASONS).map_while(|index| text(elf, table.offset(index * STRING)));
        let reasons = texts
            .take_while(|t| !t.is_empty())
            .map(|t| WaitReason::from_runtime_text(&t));
        Self(
            std::iter::once(WaitReason::Runtime)
                .chain(reasons)
                .collect(),
        )
    }

    pub(super) fn get(&self, number: u8) -> WaitReason {
        self.0
            .get(usize::from(number))
            .copied()
            .unwrap_or(WaitReason::Unknown)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, WaitReason)> {
        (0..=u8::MAX).zip(self.0.iter().copied())
    }
}

fn text(elf: &Elf, header: ImageAddr) -> Option<String> {
    let len = elf.u64(header.offset(8))?;
    if len > MAX_TEXT {
        return None;
    }
    if len == 0 {
        return Some(String::new());
    }
    let bytes = elf.get(elf.pointer(header)?, usize::try_from(len).ok()?)?;
    String::from_utf8(bytes.into_owned()).ok()
}
