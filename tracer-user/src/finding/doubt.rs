//! Which of several goroutines that may hold an object does so most likely.

use rustc_hash::{FxHashMap, FxHashSet};

use graph::{GoroutineNode, Verdicts, retold};
use holders::{Certainty, Held, LockHolders, PendingRelease, Taken};
use ids::{Goid, TargetAddr};
use snapshot::Snapshot;

/// What speaks for each goroutine that may hold an object.
pub(super) struct Doubts<'a> {
    holders: &'a FxHashMap<TargetAddr, LockHolders>,
    /// Who waits on each object.
    waits: FxHashSet<(TargetAddr, Goid)>,
}

impl<'a> Doubts<'a> {
    pub(super) fn new(
        snapshot: &Snapshot,
        holders: &'a FxHashMap<TargetAddr, LockHolders>,
    ) -> Self {
        let waits = snapshot.goroutines.iter().flat_map(|g| {
            let objects = g.waits_on.iter().map(|wait| wait.object.addr);
            objects.map(|object| (object, g.goid))
        });
        Self {
            holders,
            waits: waits.collect(),
        }
    }

    /// Tells `verdicts`, which followed from `nodes`, by the likeliest holders.
    pub(super) fn settle(&self, verdicts: Verdicts, nodes: &[GoroutineNode]) -> Verdicts {
        // Where each member waits for one other only, nothing is open.
        let open = verdicts.cycles.iter().any(|c| c.members.len() > c.core);
        if !open {
            return verdicts;
        }
        retold(verdicts, nodes, &|object, goid, waits| {
            self.of(object, goid, waits)
        })
    }

    /// How little speaks for `goid` being who holds `object`; the smallest doubt of what it will do. If it
    /// `waits_for_itself` there, that is not because it keeps others out: a writer waits for readers.
    fn of(&self, object: TargetAddr, goid: Goid, waits_for_itself: bool) -> u8 {
        let known = self.holders.get(&object);
        let candidates = known.map_or(&[][..], |holders| &holders.candidates);
        let waits = self.waits.contains(&(object, goid));
        let mine = candidates.iter().filter(|(holder, release)| {
            *holder == goid && !(waits_for_itself && release.evidence.held == Held::Protocol)
        });
        let by_chance = known.is_some_and(|holders| holders.any_reader.holders.contains(&goid));
        mine.map(|(_, release)| doubt(release, waits))
            .min()
            // Who gives back some read lock, no matter which, hardly has this one; who serves a channel
            // is as likely as the next one.
            .unwrap_or(if by_chance { u8::MAX } else { 0 })
    }
}

/// Whether it is on every path comes first; whether it was seen to take the lock; and who waits for
/// it and was not seen to have it rather waits.
fn doubt(release: &PendingRelease, waits: bool) -> u8 {
    if release.evidence.held == Held::Protocol {
        return 0;
    }
    let unsure = match release.certainty {
        Certainty::Certain => 0,
        Certainty::Conditional => 3,
        Certainty::AsThingsStand => 4,
        Certainty::Possible => 6,
    };
    match release.acquired.map(|acquired| acquired.taken) {
        Some(Taken::OnEveryPath | Taken::BeforeUnknownCode) => unsure,
        Some(Taken::OnSomePaths) | None => unsure + 1 + u8::from(waits),
    }
}
