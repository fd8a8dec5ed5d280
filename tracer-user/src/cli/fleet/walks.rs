//! Walks of heaps, beside the looks: when to begin one, and what becomes of it.

use std::time::{Duration, Instant};

use super::{Fleet, member::Member, pace::Allowance};
use crate::{
    cli::walker::Walker,
    finding::{Diagnosis, Past},
    process::ProcessKey,
};

impl Member {
    /// Has the heap walked after a look that said `diagnosis`, if that is due and affordable.
    pub(super) fn walk_if_due(
        &mut self,
        key: ProcessKey,
        diagnosis: &Diagnosis,
        walks: &mut Option<(Walker, Allowance)>,
    ) {
        let now = Instant::now();
        let Some((walker, allowance)) = walks else {
            return;
        };
        let due = self.walk_due.is_some_and(|due| due <= now);
        let past = self.past.here();
        let wanted = past.is_some_and(|past| past.walk_is_due(diagnosis));
        if due && wanted && allowance.has_any(now) {
            walker.begin(key, Past::for_walk(diagnosis));
            self.walk_due = None;
        }
    }
}

impl Fleet {
    /// Takes in the walks that have ended.
    pub(super) fn take_walks(&mut self) {
        let Some((walker, allowance)) = &mut self.walks else {
            return;
        };
        for done in walker.done() {
            allowance.spend(done.cost);
            if let Some(member) = self.members.get_mut(&done.key) {
                member.walk_cost = done.cost;
            }
            let total: Duration = self.members.values().map(|member| member.walk_cost).sum();
            let Some(member) = self.members.get_mut(&done.key) else {
                continue;
            };
            let now = Instant::now();
            member.walk_due = Some(now + self.walk_pace.after(done.cost, total));
            if member.past.take_walk(done.past) {
                // Even where nobody has moved: the next look tells of it.
                (member.due, member.cpu_time) = (now, None);
            }
        }
    }
}
