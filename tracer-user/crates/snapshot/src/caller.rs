//! Which operation of package sync a parked goroutine is in, from the functions of its stack.
//!
//! A semaphore's address alone does not tell a Mutex from an RWMutex that embeds one, and before
//! Go 1.20 neither does the wait reason. The stack does: `lockSlow` is never inlined, nor are
//! `RWMutex.Lock`, `WaitGroup.Wait` and `Cond.Wait`; `RLock` and `Mutex.Lock` are, and appear as
//! inlined frames.

use std::sync::Arc;

use super::Stack;
use image::Image;

/// How many physical frames are looked at: `gopark` to `RWMutex.Lock` are five.
const FRAMES_LIMIT: usize = 12;

/// The operation of package sync that a stack is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncCall {
    /// `Mutex.Lock`.
    MutexLock,
    /// `RWMutex.Lock`, queueing behind another writer for the inner mutex.
    RwMutexQueue,
    /// `RWMutex.Lock`, waiting for the readers to leave.
    RwMutexDrain,
    /// `RWMutex.RLock`.
    RwMutexRLock,
    /// `WaitGroup.Wait`.
    WaitGroupWait,
    /// `Cond.Wait`.
    CondWait,
    /// None of these.
    Other,
}

/// The operation that `stack`, of a goroutine parked in a semaphore or condition variable, is in.
pub(super) fn sync_call(image: &Image, stack: &Stack) -> SyncCall {
    let frames = 0..stack.frames.len().min(FRAMES_LIMIT);
    classify(frames.flat_map(|index| {
        let frames = stack.symbolize(image, index);
        frames.into_iter().map(|frame| frame.function)
    }))
}

/// `names` are a stack's functions, innermost first, inlined ones included.
fn classify(names: impl Iterator<Item = Arc<str>>) -> SyncCall {
    let mut in_mutex = false;
    for name in names {
        // internal/sync from Go 1.24 on.
        let name = name.strip_prefix("internal/").unwrap_or(&name);
        match name {
            "sync.(*Mutex).lockSlow" | "sync.(*Mutex).Lock" => in_mutex = true,
            "sync.(*RWMutex).Lock" if in_mutex => return SyncCall::RwMutexQueue,
            "sync.(*RWMutex).Lock" => return SyncCall::RwMutexDrain,
            "sync.(*RWMutex).RLock" if !in_mutex => return SyncCall::RwMutexRLock,
            "sync.(*WaitGroup).Wait" if !in_mutex => return SyncCall::WaitGroupWait,
            "sync.(*Cond).Wait" if !in_mutex => return SyncCall::CondWait,
            _ if in_mutex => return SyncCall::MutexLock,
            // What lies between the runtime and the operation: runtime_SemacquireMutex and such.
            _ if name.starts_with("runtime.") || name.starts_with("sync.runtime_") => {}
            _ => return SyncCall::Other,
        }
    }
    if in_mutex {
        SyncCall::MutexLock
    } else {
        SyncCall::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(names: &[&str]) -> SyncCall {
        classify(names.iter().map(|name| Arc::from(*name)))
    }

    #[test]
    fn a_mutex_is_told_from_a_rwmutex_that_embeds_one() {
        let slow = [
            "runtime.gopark",
            "runtime.goparkunlock",
            "runtime.semacquire1",
            "internal/sync.runtime_SemacquireMutex",
            "internal/sync.(*Mutex).lockSlow",
            "internal/sync.(*Mutex).Lock",
            "sync.(*Mutex).Lock",
        ];
        let with = |outer: &[&str]| call(&[&slow, outer].concat());
        assert_eq!(with(&["main.f"]), SyncCall::MutexLock);
        assert_eq!(with(&[]), SyncCall::MutexLock);
        assert_eq!(
            with(&["sync.(*RWMutex).Lock", "main.f"]),
            SyncCall::RwMutexQueue
        );
        assert_eq!(with(&["sync.(*Cond).Wait", "main.f"]), SyncCall::MutexLock);
    }

    #[test]
    fn go_1_19_names_every_operation_by_its_frames_only() {
        let semacquire = ["runtime.gopark", "runtime.semacquire1"];
        let with = |outer: &[&str]| call(&[&semacquire, outer].concat());
        let mutex = "sync.runtime_SemacquireMutex";
        assert_eq!(
            with(&[mutex, "sync.(*RWMutex).Lock"]),
            SyncCall::RwMutexDrain
        );
        assert_eq!(
            with(&[mutex, "sync.(*RWMutex).RLock"]),
            SyncCall::RwMutexRLock
        );
        assert_eq!(
            with(&["sync.runtime_Semacquire", "sync.(*WaitGroup).Wait"]),
            SyncCall::WaitGroupWait
        );
        assert_eq!(
            with(&[
                "internal/poll.runtime_Semacquire",
                "internal/poll.(*fdMutex).rwlock"
            ]),
            SyncCall::Other
        );
    }
}
