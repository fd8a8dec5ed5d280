//! Atomic instructions: the inlined fast paths of lock operations.

use super::{
    super::{
        isa::{Atomic, MemoryOperand, Operand},
        model::ReleaseKind,
        sites::{AtomicEffect, LockKind, READER_COUNT},
    },
    Executor, State, Step,
    state::Flags,
    value::{Trust, Value},
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
        if let Atomic::Add(Operand::Register(old)) = atomic {
            // What was added decides between RLock and RUnlock, Lock and Unlock; the slow path's
            // name has told that already.
            state.set_register(old, loosen(before));
        }
        if let Atomic::Swap(old) = atomic {
            state.set_register(old, loosen(before));
        }
        match (effect, object) {
            (AtomicEffect::Acquire(kind, back), Some(at)) => {
                state.effects.acquire((kind, at.wrapping_sub(back)));
                state.flags = Flags::Zero(true);
            }
            (AtomicEffect::Acquire(..), None) => state.flags = Flags::Zero(true),
            (AtomicEffect::Release(kind, back), Some(at)) => {
                self.release(state, site, kind, at.wrapping_sub(back));
            }
            (AtomicEffect::TryAcquire, Some(at)) => {
                let mut failed = state.clone();
                failed.flags = Flags::Zero(false);
                failed.forks += 1;
                self.queue.push(failed, &self.world);
                state.flags = Flags::Zero(true);
                state.forks += 1;
                if width == 4 {
                    state.effects.acquire((LockKind::Mutex, at));
                    state
                        .effects
                        .acquire((LockKind::Read, at.wrapping_sub(READER_COUNT)));
                }
            }
            _ => {}
        }
        Step::Go
    }

    /// The path releases the lock at `object`.
    pub(super) fn release(
        &mut self,
        state: &mut State,
        site: ImageAddr,
        kind: LockKind,
        object: u64,
    ) {
        let release = match kind {
            LockKind::Mutex => ReleaseKind::Unlock,
            LockKind::Write => ReleaseKind::WriteUnlock,
            LockKind::Read => ReleaseKind::ReadUnlock,
        };
        if state.effects.release((kind, object), release) {
            self.sight(state, site, release, object);
        }
    }
}

/// A value that atomic instructions of others change.
fn loosen(value: Value) -> Value {
    match value {
        Value::Known { bits, .. } => Value::Known {
            bits,
            trust: Trust::Loaded,
        },
        Value::Unknown => Value::Unknown,
    }
}
