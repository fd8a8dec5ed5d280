//! From a goroutine's queue entries to the objects it waits on.

use super::{ObjectId, ObjectKind, Operation, WaitOn, caller::SyncCall};
use ids::TargetAddr;
use image::WaitReason;

/// Offset of `sema` in `sync.Mutex`, the same in every Go version.
const MUTEX_SEMA: u64 = 4;
/// Offset of `writerSem` in `sync.RWMutex`.
const RWMUTEX_WRITER_SEMA: u64 = 8;
/// Offset of `readerSem` in `sync.RWMutex`.
const RWMUTEX_READER_SEMA: u64 = 12;
/// Offset of `sema` in `sync.WaitGroup`: behind the 64-bit state (Go 1.18 and later on 64-bit
/// machines).
const WAITGROUP_SEMA: u64 = 8;

/// The object whose semaphore at `sema` a goroutine waits for, given the operation it is in.
pub(super) fn behind_semaphore(sema: TargetAddr, call: SyncCall) -> WaitOn {
    let (back, kind, operation) = match call {
        SyncCall::MutexLock => (MUTEX_SEMA, ObjectKind::Mutex, Operation::Lock),
        // RWMutex.w is its first field, so its semaphore lies where a Mutex's would.
        SyncCall::RwMutexQueue => (MUTEX_SEMA, ObjectKind::RwMutex, Operation::Lock),
        SyncCall::RwMutexDrain => (
            RWMUTEX_WRITER_SEMA,
            ObjectKind::RwMutex,
            Operation::DrainReaders,
        ),
        SyncCall::RwMutexRLock => (
            RWMUTEX_READER_SEMA,
            ObjectKind::RwMutex,
            Operation::ReadLock,
        ),
        SyncCall::WaitGroupWait => (WAITGROUP_SEMA, ObjectKind::WaitGroup, Operation::Wait),
        SyncCall::CondWait | SyncCall::Other => (0, ObjectKind::Semaphore, Operation::Acquire),
    };
    WaitOn {
        object: ObjectId {
            addr: sema.back(back),
            kind,
        },
        operation,
    }
}

/// What a goroutine with this wait reason wants of its channel; `None` for a select, which may want
/// another thing of each.
pub(super) fn direction(reason: WaitReason) -> Option<Operation> {
    match reason {
        WaitReason::ChanReceive => Some(Operation::Receive),
        WaitReason::ChanSend => Some(Operation::Send),
        _ => None,
    }
}

/// The operation a goroutine with this wait reason is in; the stack decides where the reason does
/// not (every semaphore before Go 1.20, WaitGroups before 1.24, an RWMutex's inner mutex always).
pub(super) fn operation(reason: WaitReason, by_stack: SyncCall) -> SyncCall {
    match reason {
        WaitReason::MutexLock if by_stack == SyncCall::RwMutexQueue => SyncCall::RwMutexQueue,
        WaitReason::MutexLock => SyncCall::MutexLock,
        WaitReason::RwMutexRLock => SyncCall::RwMutexRLock,
        WaitReason::RwMutexLock => SyncCall::RwMutexDrain,
        WaitReason::WaitGroupWait => SyncCall::WaitGroupWait,
        WaitReason::CondWait => SyncCall::CondWait,
        _ => by_stack,
    }
}

/// The reason that Go 1.24 and later give for an operation that older ones call "semacquire".
pub(super) fn refined_reason(reason: WaitReason, call: SyncCall) -> WaitReason {
    match (reason, call) {
        (WaitReason::Semacquire, SyncCall::MutexLock | SyncCall::RwMutexQueue) => {
            WaitReason::MutexLock
        }
        (WaitReason::Semacquire, SyncCall::RwMutexDrain) => WaitReason::RwMutexLock,
        (WaitReason::Semacquire, SyncCall::RwMutexRLock) => WaitReason::RwMutexRLock,
        (WaitReason::Semacquire, SyncCall::WaitGroupWait) => WaitReason::WaitGroupWait,
        _ => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_semaphore_leads_to_its_object() {
        let object = |call| behind_semaphore(TargetAddr(0x100c), call).object;
        assert_eq!(object(SyncCall::MutexLock).addr, TargetAddr(0x1008));
        assert_eq!(object(SyncCall::RwMutexQueue).addr, TargetAddr(0x1008));
        assert_eq!(object(SyncCall::RwMutexQueue).kind, ObjectKind::RwMutex);
        assert_eq!(object(SyncCall::RwMutexDrain).addr, TargetAddr(0x1004));
        assert_eq!(object(SyncCall::RwMutexRLock).addr, TargetAddr(0x1000));
        assert_eq!(object(SyncCall::WaitGroupWait).addr, TargetAddr(0x1004));
        assert_eq!(object(SyncCall::Other).addr, TargetAddr(0x100c));
    }

    #[test]
    fn the_stack_decides_where_the_reason_does_not() {
        use SyncCall::{MutexLock, Other, RwMutexQueue, WaitGroupWait};
        assert_eq!(operation(WaitReason::MutexLock, RwMutexQueue), RwMutexQueue);
        assert_eq!(operation(WaitReason::MutexLock, Other), MutexLock);
        assert_eq!(
            operation(WaitReason::Semacquire, WaitGroupWait),
            WaitGroupWait
        );
        assert_eq!(
            refined_reason(WaitReason::Semacquire, WaitGroupWait),
            WaitReason::WaitGroupWait
        );
        assert_eq!(refined_reason(WaitReason::Sleep, Other), WaitReason::Sleep);
    }
}
