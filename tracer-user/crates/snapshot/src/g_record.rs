//! `runtime.g` out of its bytes.

use super::{InnermostPc, Status, fields::Fields, unwind::Start};
use ids::{Goid, TargetAddr};
use image::Layout;

/// `_Gscan`: set while the garbage collector scans the stack.
const SCAN_BIT: u32 = 0x1000;
/// Largest stack of a goroutine: `maxstacksize` is 1 GB on 64-bit machines, rounded up.
const STACK_LIMIT: u64 = 1 << 31;
/// `m.id`s and goids start at 0; a goid this large would take centuries.
const GOID_LIMIT: u64 = 1 << 56;

/// What is read of one `g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GRecord {
    pub(super) goid: Goid,
    /// `None`: dead, or reserved for a callback from C.
    pub(super) status: Option<Status>,
    pub(super) wait_reason: u8,
    pub(super) wait_since_ns: u64,
    pub(super) stack_lo: TargetAddr,
    pub(super) stack_hi: TargetAddr,
    pub(super) sched_sp: TargetAddr,
    pub(super) sched_pc: TargetAddr,
    pub(super) sched_lr: TargetAddr,
    /// `g.sched.g`: the `g` itself.
    pub(super) sched_g: TargetAddr,
    pub(super) syscall_sp: TargetAddr,
    pub(super) syscall_pc: TargetAddr,
    pub(super) m: TargetAddr,
    pub(super) locked_m: TargetAddr,
    pub(super) parent: Option<Goid>,
    pub(super) created_pc: TargetAddr,
    pub(super) start_pc: TargetAddr,
    pub(super) waiting: TargetAddr,
    pub(super) parks: Option<u8>,
}

/// A `g` that breaks a rule of the runtime: wrong layout, or not a `g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

impl GRecord {
    /// How many bytes of a `g` are looked at.
    pub(super) fn len(layout: &Layout) -> usize {
        let g = &layout.g;
        let last = [
            g.stack,
            g.m,
            g.sched + layout.gobuf.lr,
            g.sched + layout.gobuf.g,
            g.syscallsp,
            g.syscallpc,
            g.atomicstatus,
            g.goid,
            g.waitsince,
            g.waitreason,
            g.lockedm,
            g.parent_goid.unwrap_or(0),
            g.gopc,
            g.startpc,
            g.waiting,
        ];
        let last = last.into_iter().max().unwrap_or(0);
        usize::try_from(last).unwrap_or(0).min(4096) + 16
    }

    /// The fields of the `g` whose first bytes are `bytes`.
    pub(super) fn decode(bytes: &[u8], layout: &Layout) -> Result<Self, Broken> {
        let f = Fields(bytes);
        let g = &layout.g;
        Ok(Self {
            goid: Goid(f.u64(g.goid)),
            status: status(f.u32(g.atomicstatus))?,
            wait_reason: f.u8(g.waitreason),
            wait_since_ns: f.u64(g.waitsince),
            stack_lo: f.addr(g.stack),
            stack_hi: f.addr(g.stack + 8),
            sched_sp: f.addr(g.sched + layout.gobuf.sp),
            sched_pc: f.addr(g.sched + layout.gobuf.pc),
            sched_lr: f.addr(g.sched + layout.gobuf.lr),
            sched_g: f.addr(g.sched + layout.gobuf.g),
            syscall_sp: f.addr(g.syscallsp),
            syscall_pc: f.addr(g.syscallpc),
            m: f.addr(g.m),
            locked_m: f.addr(g.lockedm),
            parent: g
                .parent_goid
                .map(|offset| Goid(f.u64(offset)))
                .filter(|parent| parent.0 != 0),
            created_pc: f.addr(g.gopc),
            start_pc: f.addr(g.startpc),
            waiting: f.addr(g.waiting),
            parks: g.tracking_seq.map(|offset| f.u8(offset)),
        })
    }

    /// Checks the rules that every living `g` keeps, whatever it does. `at` is its address.
    pub(super) fn check(&self, at: TargetAddr) -> Result<(), Broken> {
        if self.sched_g != at {
            return Err(Broken("g.sched.g is not the g itself"));
        }
        if self.goid.0 == 0 || self.goid.0 >= GOID_LIMIT {
            return Err(Broken("g.goid is out of range"));
        }
        let size = self.stack_hi.0.wrapping_sub(self.stack_lo.0);
        if self.stack_lo.0 >= self.stack_hi.0 || size > STACK_LIMIT {
            return Err(Broken("g.stack is not a stack"));
        }
        Ok(())
    }

    /// Where its stack can be unwound from; `None` while it runs or its stack is being moved.
    pub(super) fn unwind_from(&self) -> Option<Start> {
        let start = match self.status? {
            // exitsyscall clears syscallsp before it changes the status.
            Status::Syscall if !self.syscall_sp.is_nil() => Start {
                pc: self.syscall_pc,
                sp: self.syscall_sp,
                lr: TargetAddr(0),
                innermost: InnermostPc::ReturnAddress,
            },
            Status::Waiting | Status::Leaked | Status::Runnable | Status::Preempted => Start {
                pc: self.sched_pc,
                sp: self.sched_sp,
                lr: self.sched_lr,
                innermost: InnermostPc::ReturnAddress,
            },
            Status::Running | Status::Syscall | Status::CopyStack | Status::Idle => return None,
        };
        (self.stack_lo <= start.sp && start.sp < self.stack_hi).then_some(start)
    }

    /// Whether the goroutine has not run between two looks, so that what was read in between holds
    /// together. The garbage collector may have written `waitsince` meanwhile.
    pub(super) fn has_not_run_since(&self, before: &Self) -> bool {
        let of = |record: &Self| Self {
            wait_since_ns: 0,
            ..*record
        };
        of(self) == of(before)
    }
}

/// `g.atomicstatus` (`runtime/runtime2.go`): the numbers are the same from Go 1.17 to 1.27.
fn status(raw: u32) -> Result<Option<Status>, Broken> {
    Ok(Some(match raw & !SCAN_BIT {
        0 => Status::Idle,
        1 => Status::Runnable,
        2 => Status::Running,
        3 => Status::Syscall,
        4 => Status::Waiting,
        // _Gdead, and _Gdeadextra of Go 1.26 and later.
        6 | 11 => return Ok(None),
        8 => Status::CopyStack,
        9 => Status::Preempted,
        10 => Status::Leaked,
        _ => return Err(Broken("g.atomicstatus is not a status")),
    }))
}
