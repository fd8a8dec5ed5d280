//! Which function does what to locks, and which inlined atomic instruction is which lock operation.
//!
//! Names come from the pclntab, which stripping keeps. The fast paths of `Mutex.Lock`, `Unlock`,
//! `RLock` and `RUnlock` are inlined into their callers: an atomic instruction on the state word,
//! and a conditional jump to the slow path, whose name tells which operation it was.

use std::sync::Arc;

use super::isa::{Atomic, Body, Cold, Operation, Target};
use ids::ImageAddr;

/// `sync.RWMutex.readerCount` (`sync/rwmutex.go`, Go 1.19 to 1.27): what readers count on.
pub const READER_COUNT: u64 = 16;
/// How far from a branch its slow path is looked for.
const SLOW_PATH_WALK: usize = 16;
/// How far from an atomic instruction its branch is looked for.
const BRANCH_WALK: u32 = 12;

/// The lock operations, by what has to be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// `sync.Mutex`.
    Mutex,
    /// The writer side of `sync.RWMutex`.
    Write,
    /// The reader side of `sync.RWMutex`.
    Read,
    /// A `Done` that a `sync.WaitGroup` was promised by `Add`.
    Promise,
}

/// What a call does, as far as this analysis goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEffect {
    /// Takes the lock in the first argument.
    Acquire(LockKind),
    /// Takes it or not, and returns which.
    TryAcquire(LockKind),
    /// Releases the lock in the first argument.
    Release(LockKind),
    /// `WaitGroup.Done`.
    Done,
    /// `WaitGroup.Add`.
    AddToWaitGroup,
    /// Sends on the channel in the first argument.
    Send,
    /// Receives from it.
    Receive,
    /// Closes it.
    Close,
    /// `runtime.selectgo`.
    Select,
    /// `Cond.Signal`, `Cond.Broadcast`.
    Notify,
    /// `runtime.deferproc`: a closure to call when the caller returns.
    DeferClosure,
    /// `runtime.deferprocStack`: the same, in a record on the stack.
    DeferRecord,
    /// `runtime.deferreturn`: calls what the caller deferred.
    RunDeferred,
    /// `runtime.newproc`: a new goroutine runs the closure.
    Spawn,
    /// `runtime.mapaccess1` and the like: looks a key up in a map.
    LookUp(KeyForm),
    /// `runtime.memmove` and the like: writes memory that the first argument points to.
    CopyMemory,
    /// `sync/atomic.StorePointer`: stores the second argument where the first one points to.
    StorePointer,
    /// The same of something that is not known, perhaps.
    ReplacePointer,
    /// Runs the deferred calls of all frames: an explicit panic, `runtime.Goexit`.
    Unwinds,
    /// Ends the path: exits, or panics for a reason that correct programs have not.
    NeverReturns,
    /// Leaves all registers as they are.
    KeepsRegisters,
    /// Does nothing to locks itself, but calls functions that it is given, now or later.
    CallsBack,
    /// `runtime.newobject`: returns an object that nobody else has.
    Allocate,
    /// Does nothing to locks that outlasts it.
    Inert,
    /// Cannot be followed.
    Opaque,
    /// Ordinary code: look into it.
    Code,
}

/// How the key is passed to a function that looks it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// By its address.
    Address,
    /// As a word of so many bytes.
    Word(u8),
    /// As a string: its address and its length.
    Text,
}

/// What an inlined atomic instruction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtomicEffect {
    /// Takes the lock that begins this many bytes before.
    Acquire(LockKind, u64),
    /// Takes it if the comparison holds.
    TryAcquire,
    /// Releases the lock that begins this many bytes before.
    Release(LockKind, u64),
    /// No lock.
    Nothing,
}

/// What a call of the function `name` does.
#[must_use]
pub fn call_effect(name: &str) -> CallEffect {
    if let Some(function) = name.strip_prefix("runtime.") {
        return runtime_effect(function);
    }
    let sync = name.strip_prefix("internal/").unwrap_or(name);
    if let Some(function) = sync.strip_prefix("sync.") {
        return sync_effect(function);
    }
    match name {
        "os.Exit" | "syscall.Exit" => CallEffect::NeverReturns,
        _ if name.starts_with("reflect.") => CallEffect::Opaque,
        // Not inlined, for the sake of their write barriers (`runtime/atomic_pointer.go`).
        "sync/atomic.StorePointer" | "sync/atomic.SwapPointer" => CallEffect::StorePointer,
        "sync/atomic.CompareAndSwapPointer" => CallEffect::ReplacePointer,
        _ if replaces_pointer(name) => CallEffect::ReplacePointer,
        _ if name.starts_with("sync/atomic.") || name.starts_with("internal/runtime/") => {
            CallEffect::Inert
        }
        _ => CallEffect::Code,
    }
}

/// Whether `name` is a method of `atomic.Pointer` that changes it, where it is not inlined.
fn replaces_pointer(name: &str) -> bool {
    let method = name.strip_prefix("sync/atomic.(*Pointer[");
    let method = method.and_then(|rest| rest.rsplit_once(")."));
    method.is_some_and(|(_, method)| matches!(method, "Store" | "Swap" | "CompareAndSwap"))
}

fn sync_effect(function: &str) -> CallEffect {
    use CallEffect::{Acquire, Release, TryAcquire};
    match function {
        "(*Mutex).Lock" | "(*Mutex).lockSlow" => Acquire(LockKind::Mutex),
        "(*Mutex).Unlock" => Release(LockKind::Mutex),
        "(*Mutex).TryLock" => TryAcquire(LockKind::Mutex),
        "(*RWMutex).Lock" => Acquire(LockKind::Write),
        "(*RWMutex).Unlock" => Release(LockKind::Write),
        "(*RWMutex).TryLock" => TryAcquire(LockKind::Write),
        "(*RWMutex).RLock" => Acquire(LockKind::Read),
        "(*RWMutex).RUnlock" => Release(LockKind::Read),
        "(*RWMutex).TryRLock" => TryAcquire(LockKind::Read),
        "(*WaitGroup).Done" => CallEffect::Done,
        "(*WaitGroup).Add" => CallEffect::AddToWaitGroup,
        "(*Cond).Signal" | "(*Cond).Broadcast" => CallEffect::Notify,
        "throw" | "fatal" => CallEffect::NeverReturns,
        "(*Map).Range" => CallEffect::CallsBack,
        // The slow paths of releases that the atomic instruction before has already told; waits,
        // after which the same locks are held as before; containers that lock only inside.
        "(*Mutex).unlockSlow" | "(*RWMutex).rUnlockSlow" | "(*WaitGroup).Wait" | "(*Cond).Wait" => {
            CallEffect::Inert
        }
        _ if function.starts_with("runtime_")
            || function.starts_with("(*Pool)")
            || function.starts_with("(*Map)")
            || function.starts_with("(*HashTrieMap") =>
        {
            CallEffect::Inert
        }
        _ => CallEffect::Code,
    }
}

fn runtime_effect(function: &str) -> CallEffect {
    match function {
        "chansend1" | "selectnbsend" => CallEffect::Send,
        "chanrecv1" | "chanrecv2" => CallEffect::Receive,
        "closechan" => CallEffect::Close,
        "selectgo" => CallEffect::Select,
        "deferproc" => CallEffect::DeferClosure,
        "deferprocStack" => CallEffect::DeferRecord,
        "deferreturn" => CallEffect::RunDeferred,
        "newproc" => CallEffect::Spawn,
        "duffzero" | "duffcopy" => CallEffect::Code,
        "newobject" => CallEffect::Allocate,
        // Of one size each since Go 1.26 (`runtime/malloc_generated.go`).
        _ if function.starts_with("mallocgc") => CallEffect::Allocate,
        "mapaccess1" | "mapaccess2" => CallEffect::LookUp(KeyForm::Address),
        "mapaccess1_fast32" | "mapaccess2_fast32" => CallEffect::LookUp(KeyForm::Word(4)),
        "mapaccess1_fast64" | "mapaccess2_fast64" => CallEffect::LookUp(KeyForm::Word(8)),
        "mapaccess1_faststr" | "mapaccess2_faststr" => CallEffect::LookUp(KeyForm::Text),
        "memmove"
        | "memclrNoHeapPointers"
        | "typedmemmove"
        | "typedmemclr"
        | "memclrHasPointers"
        | "wbMove"
        | "wbZero" => CallEffect::CopyMemory,
        "gopanic" | "Goexit" => CallEffect::Unwinds,
        "throw" | "fatal" | "fatalthrow" | "goexit" | "goexit1" | "exit" | "sigpanic" | "block"
        | "fatalpanic" | "abort" | "unreachableMethod" => CallEffect::NeverReturns,
        _ if function.starts_with("panic") || function.starts_with("goPanic") => {
            CallEffect::NeverReturns
        }
        _ if function.starts_with("gcWriteBarrier")
            || function.starts_with("morestack")
            || function.starts_with("racefuncenter")
            || function.starts_with("racefuncexit") =>
        {
            CallEffect::KeepsRegisters
        }
        // C code can call back into Go.
        "cgocall" | "reflectcall" => CallEffect::Opaque,
        _ => CallEffect::Inert,
    }
}

/// Which side of a conditional jump at `index` leads straight to a slow path that adds nothing.
#[must_use]
pub fn cold_side(
    body: &Body,
    index: u32,
    target: Target,
    slow_path_at: &dyn Fn(ImageAddr) -> Option<SlowPath>,
) -> Cold {
    let Target::Inside(taken) = target else {
        return Cold::Neither;
    };
    let is_cold = |start| first_call(body, start).and_then(slow_path_at).is_some();
    match (is_cold(taken), is_cold(index + 1)) {
        (true, false) => Cold::Taken,
        (false, true) => Cold::Next,
        _ => Cold::Neither,
    }
}

/// The slow path of something whose fast path is inlined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowPath {
    /// `Mutex.lockSlow`.
    Lock,
    /// `Mutex.unlockSlow`.
    Unlock,
    /// `RWMutex.rUnlockSlow`.
    ReadUnlock,
    /// The wait inside `RWMutex.RLock`.
    ReadLock,
    /// The runtime's own: growing the stack, the write barrier.
    Runtime,
}

/// Which slow path the function `name` is.
#[must_use]
pub fn slow_path(name: &str) -> Option<SlowPath> {
    if name.starts_with("runtime.morestack") || name.starts_with("runtime.gcWriteBarrier") {
        return Some(SlowPath::Runtime);
    }
    let sync = name.strip_prefix("internal/").unwrap_or(name);
    Some(match sync.strip_prefix("sync.")? {
        "(*Mutex).lockSlow" => SlowPath::Lock,
        "(*Mutex).unlockSlow" => SlowPath::Unlock,
        "(*RWMutex).rUnlockSlow" => SlowPath::ReadUnlock,
        // RLock's wait has a name of its own from Go 1.20 on; before, it shared Mutex's.
        "runtime_SemacquireRWMutexR" | "runtime_SemacquireMutex" => SlowPath::ReadLock,
        _ => return None,
    })
}

/// The target of the first call on the straight path from `start`.
fn first_call(body: &Body, start: u32) -> Option<ImageAddr> {
    let mut at = start;
    for _ in 0..SLOW_PATH_WALK {
        match &body.get(at)?.operation {
            Operation::Call(target) => return Some(*target),
            Operation::Jump(Target::Inside(next)) => at = *next,
            Operation::JumpIf { .. }
            | Operation::Jump(_)
            | Operation::JumpTo(_)
            | Operation::CallTo(_)
            | Operation::Return
            | Operation::Trap
            | Operation::Atomic { .. } => return None,
            _ => at += 1,
        }
    }
    None
}

/// Which lock operation the atomic instruction at `index` is: told by the slow path that its branch
/// leads to, else by the names `inlined` there (innermost first).
#[must_use]
pub fn atomic_effect(
    body: &Body,
    index: u32,
    inlined: &[Arc<str>],
    slow_path_at: &dyn Fn(ImageAddr) -> Option<SlowPath>,
) -> AtomicEffect {
    let Some(Operation::Atomic { atomic, .. }) = body.get(index).map(|i| &i.operation) else {
        return AtomicEffect::Nothing;
    };
    let slow = branch_after(body, index)
        .into_iter()
        .flatten()
        .filter_map(|start| first_call(body, start))
        .find_map(slow_path_at);
    let within = |suffix: &str| {
        inlined.iter().any(|name| {
            let name = name.strip_prefix("internal/").unwrap_or(name);
            name.strip_prefix("sync.") == Some(suffix)
        })
    };
    match atomic {
        Atomic::CompareAndSwap if slow == Some(SlowPath::Lock) || within("(*Mutex).Lock") => {
            AtomicEffect::Acquire(LockKind::Mutex, 0)
        }
        Atomic::CompareAndSwap => AtomicEffect::TryAcquire,
        Atomic::Add(_) => match slow {
            Some(SlowPath::Unlock) => AtomicEffect::Release(LockKind::Mutex, 0),
            Some(SlowPath::ReadUnlock) => AtomicEffect::Release(LockKind::Read, READER_COUNT),
            Some(SlowPath::ReadLock) => AtomicEffect::Acquire(LockKind::Read, READER_COUNT),
            _ if within("(*Mutex).Unlock") => AtomicEffect::Release(LockKind::Mutex, 0),
            _ if within("(*RWMutex).RUnlock") => {
                AtomicEffect::Release(LockKind::Read, READER_COUNT)
            }
            _ if within("(*RWMutex).RLock") => AtomicEffect::Acquire(LockKind::Read, READER_COUNT),
            _ => AtomicEffect::Nothing,
        },
        _ => AtomicEffect::Nothing,
    }
}

/// Where the first conditional jump after `index` can go.
fn branch_after(body: &Body, index: u32) -> Option<[u32; 2]> {
    let mut at = index + 1;
    for _ in 0..BRANCH_WALK {
        match &body.get(at)?.operation {
            Operation::JumpIf {
                target: Target::Inside(taken),
                ..
            } => return Some([*taken, at + 1]),
            Operation::Jump(Target::Inside(next)) => at = *next,
            Operation::Call(_)
            | Operation::CallTo(_)
            | Operation::Jump(_)
            | Operation::JumpTo(_)
            | Operation::Return
            | Operation::Trap
            | Operation::Atomic { .. } => return None,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_operation_in_every_version() {
        for name in ["sync.(*Mutex).Unlock", "internal/sync.(*Mutex).Unlock"] {
            assert_eq!(
                call_effect(name),
                CallEffect::Release(LockKind::Mutex),
                "{name}"
            );
        }
        assert_eq!(
            call_effect("sync.(*RWMutex).RLock"),
            CallEffect::Acquire(LockKind::Read)
        );
        assert_eq!(call_effect("runtime.panicIndex"), CallEffect::NeverReturns);
        assert_eq!(call_effect("runtime.newobject"), CallEffect::Allocate);
        assert_eq!(call_effect("main.(*Mutex).Unlock"), CallEffect::Code);
        assert_eq!(call_effect("sync.(*Once).doSlow"), CallEffect::Code);
    }
}
