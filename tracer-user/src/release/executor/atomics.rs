//! Atomic instructions: the inlined fast paths of lock operations.

use super::{
    super::{
        isa::{Atomic, MemoryOperand},
        model::ReleaseKind,
        sites::{AtomicEffect, LockKind, READER_COUNT},
    },
    Executor, State, Step,
    calls::lock_at,
    state::Flags,
    value::Value,
};
use crate::ids::ImageAddr;

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
        let object = address.address();
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
        let lock = |back: u64| address.map(|at| at.wrapping_sub(back));
        match (effect, object) {
            (AtomicEffect::Acquire(kind, back), _) => {
                state
                    .effects
                    .edit(|e| e.acquire((kind, lock_at(lock(back)))));
                state.flags = Flags::Zero(true);
            }
            (AtomicEffect::Release(kind, back), _) => {
                self.release(state, site, kind, lock(back));
            }
            (AtomicEffect::TryAcquire, Some(at)) => {
                let mut failed = state.clone();
                failed.flags = Flags::Zero(false);
                failed.forks += 1;
                self.queue.push(failed, &self.world);
                state.flags = Flags::Zero(true);
                state.forks += 1;
                if width == 4 {
                    state.effects.edit(|e| {
                        e.acquire((LockKind::Mutex, at));
                        e.acquire((LockKind::Read, at.wrapping_sub(READER_COUNT)));
                    });
                }
            }
            _ => {}
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
        let object = lock_at(object);
        if state
            .effects
            .edit(|e| e.release((kind, object), release, reloaded))
        {
            self.sight(state, site, release, object);
        }
    }
}
