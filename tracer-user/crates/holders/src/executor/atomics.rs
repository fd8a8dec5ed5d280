//! Atomic instructions: the inlined fast paths of lock operations.

use super::{
    super::{
        isa::{Atomic, MemoryOperand},
        model::ReleaseKind,
        sites::{AtomicEffect, LockKind, READER_COUNT},
    },
    Executor, State, Step,
    state::Flags,
    value::Value,
};
use ids::ImageAddr;

impl Executor<'_> {
    pub(super) fn atomic(
        &mut self,
        state: &mut State,
        site: ImageAddr,
        atomic: Atomic,
        memory: MemoryOperand,
        width: u8,
        effect: AtomicEffect,
    ) -> Step {
        let address = self.address(state, memory);
        let before = self.load(state, address, width);
        state.flags = Flags::Unknown;
        self.store(state, address, Value::Unknown, width);
        if let Atomic::Add(Some(old)) = atomic {
            // What was added decides between RLock and RUnlock, Lock and Unlock; the slow path's
            // name has told that already.
            state.set_register(old, before.reloaded());
        }
        if let Atomic::Swap(old) = atomic {
            state.set_register(old, before.reloaded());
        }
        let lock = |back: u64| address.displaced(back.wrapping_neg());
        match effect {
            AtomicEffect::Acquire(kind, back) => {
                self.go_the_slow_path(state);
                let lock = (kind, self.lock_at(lock(back)));
                if !self.acquire(state, site, lock) {
                    return self.panic(state);
                }
                state.flags = Flags::Zero(true);
            }
            AtomicEffect::Release(kind, back) => {
                self.release(state, site, kind, lock(back));
            }
            AtomicEffect::TryAcquire => {
                let Some(mutex) = self.object_at(address) else {
                    return Step::Go;
                };
                let mut failed = state.clone();
                failed.flags = Flags::Zero(false);
                failed.forks += 1;
                self.queue.add(failed, &self.world);
                state.flags = Flags::Zero(true);
                state.forks += 1;
                if width == 4 {
                    let readers = self.lock_at(lock(READER_COUNT));
                    let taken = [(LockKind::Mutex, mutex), (LockKind::Read, readers)];
                    if !taken.map(|lock| self.acquire(state, site, lock))[0] {
                        return Step::End;
                    }
                }
            }
            AtomicEffect::Nothing => {}
        }
        Step::Go
    }

    /// The path releases the lock that `object` points to.
    pub(super) fn release(
        &mut self,
        state: &mut State,
        site: ImageAddr,
        kind: LockKind,
        object: Value,
    ) {
        let release = match kind {
            LockKind::Mutex => ReleaseKind::Unlock,
            LockKind::Write => ReleaseKind::WriteUnlock,
            LockKind::Read => ReleaseKind::ReadUnlock,
            LockKind::Promise => ReleaseKind::Done,
        };
        let reloaded = object.is_reloaded() || state.through_memory();
        let object = self.lock_at(object);
        if state
            .effects
            .edit(|e| e.release((kind, object), release, reloaded))
        {
            self.sight(state, site, release, object);
            self.may_give_back(state, kind, object);
        }
    }
}
