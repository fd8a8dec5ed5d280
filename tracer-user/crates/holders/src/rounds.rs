//! Event loops: a `select` that the code around it comes back to. This is read off the shape of the
//! code alone, so that it also holds where the channels of the next round cannot be told.

use std::sync::Arc;

use super::{
    code::{Code, Routine},
    isa::{Operation as Does, Target},
    model::{Certainty, Evidence, Held, PendingRelease, ReleaseKind},
    sites::CallEffect,
};
use ids::ImageAddr;
use image::WaitReason;
use snapshot::{Goroutine, Operation};

/// What `g` waits to receive in a `select` that it comes back to: it may receive that again.
pub fn receives_again(code: &Code, g: &Goroutine) -> Vec<PendingRelease> {
    if g.wait_reason != Some(WaitReason::Select) {
        return Vec::new();
    }
    let Some((frame, site, routine)) = innermost(code, g) else {
        return Vec::new();
    };
    let comes_back = || {
        let returns_to = routine.body.index_of(site);
        returns_to.is_some_and(|at| comes_back(code, &routine, at))
    };
    if !code.is_in_loop(site, comes_back) {
        return Vec::new();
    }
    let receives = g
        .waits_on
        .iter()
        .filter(|w| w.operation == Operation::Receive);
    receives
        .map(|wait| PendingRelease {
            object: wait.object.addr,
            kind: ReleaseKind::Receive,
            certainty: Certainty::Possible,
            evidence: Evidence {
                frame,
                site,
                held: Held::Continuation,
            },
            acquired: None,
        })
        .collect()
}

/// The innermost frame that is not the runtime's: its index, where it goes on, and its function.
pub(super) fn innermost(code: &Code, g: &Goroutine) -> Option<(usize, ImageAddr, Arc<Routine>)> {
    let of_runtime = |routine: &Routine| routine.function.name.starts_with("runtime.");
    g.stack
        .frames
        .iter()
        .enumerate()
        .find_map(|(index, frame)| {
            let routine = code.routine(frame.pc)?;
            (!of_runtime(&routine)).then_some((index, frame.pc, routine))
        })
}

/// Whether some path through `routine` leads from the instruction at `returns_to` back to the call
/// before it.
fn comes_back(code: &Code, routine: &Routine, returns_to: u32) -> bool {
    let Some(call) = returns_to.checked_sub(1) else {
        return false;
    };
    let mut seen = vec![false; routine.body.instructions.len()];
    let mut open = vec![returns_to];
    while let Some(at) = open.pop() {
        let new = seen
            .get_mut(at as usize)
            .is_some_and(|seen| !std::mem::replace(seen, true));
        let Some(instruction) = routine.body.get(at).filter(|_| new) else {
            continue;
        };
        if at == call {
            return true;
        }
        let next = at.saturating_add(1);
        match &instruction.operation {
            Does::Jump(Target::Inside(to)) => open.push(*to),
            Does::JumpIf { target, .. } => {
                open.push(next);
                if let Target::Inside(to) = target {
                    open.push(*to);
                }
            }
            Does::Call(target) if never_returns(code, *target) => {}
            Does::Jump(Target::Outside(_)) | Does::JumpTo(_) | Does::Return | Does::Trap => {}
            _ => open.push(next),
        }
    }
    false
}

fn never_returns(code: &Code, target: ImageAddr) -> bool {
    let callee = code.callee(target);
    callee.is_some_and(|callee| {
        matches!(
            callee.effect,
            CallEffect::NeverReturns | CallEffect::Unwinds
        )
    })
}
