//! Cycles that show only where those act who were seen to, among goroutines that are dead for
//! certain: a lock and a channel, for instance, that no live goroutine can reach.
//!
//! Each of their members is proven to be dead, one as the holder of the other's lock, the other
//! because nobody reaches its channel. That is one deadlock and not a leak with a queue behind it.

use rustc_hash::FxHashMap;

use graph::{Cause, Cycle, Fate, Verdicts};
use ids::Goid;

/// `certain`, with those cycles of `supposed` in place of the single fates of their members that
/// `tells` accepts and whose members are all dead in `certain`; who is queued behind such a cycle in
/// `supposed` is so in the result.
pub(super) fn with_cycles(
    mut certain: Verdicts,
    supposed: &Verdicts,
    tells: impl Fn(&Cycle) -> bool,
) -> Verdicts {
    let alone = |goid: &Goid| !matches!(certain.fate(*goid), None | Some(Fate::OnCycle(_)));
    let found: Vec<usize> = (0..supposed.cycles.len())
        .filter(|&at| {
            let cycle = &supposed.cycles[at];
            cycle.members.iter().all(alone) && tells(cycle)
        })
        .collect();
    if found.is_empty() {
        return certain;
    }
    let first = certain.cycles.len();
    let indices: FxHashMap<usize, usize> = found.iter().copied().zip(first..).collect();
    let fates: Vec<(Goid, Fate)> = certain
        .dead
        .iter()
        .map(|&(goid, fate)| (goid, of(goid, fate, &certain, supposed, &indices)))
        .collect();
    certain.dead = fates;
    let more = found.iter().map(|&at| supposed.cycles[at].clone());
    certain.cycles.extend(more);
    let ends: FxHashMap<Goid, Cause> = certain
        .dead
        .iter()
        .filter_map(|(goid, fate)| Some((*goid, end(*fate)?)))
        .collect();
    for (_, fate) in &mut certain.dead {
        if let Fate::Queued { cause, .. } = fate
            && let Cause::Goroutine(goid) = cause
            && let Some(end) = ends.get(goid)
        {
            *cause = *end;
        }
    }
    certain
}

/// The fate of `goid`, given which cycles are told.
fn of(
    goid: Goid,
    fate: Fate,
    certain: &Verdicts,
    supposed: &Verdicts,
    indices: &FxHashMap<usize, usize>,
) -> Fate {
    if matches!(fate, Fate::OnCycle(_) | Fate::Never) {
        return fate;
    }
    match supposed.fate(goid) {
        Some(Fate::OnCycle(at)) => indices.get(&at).map_or(fate, |&at| Fate::OnCycle(at)),
        Some(Fate::Queued {
            object,
            behind,
            cause: Cause::Cycle(at),
        }) if certain.fate(behind).is_some() => indices.get(&at).map_or(fate, |&at| Fate::Queued {
            object,
            behind,
            cause: Cause::Cycle(at),
        }),
        _ => fate,
    }
}

/// Where a chain ends that leads to a goroutine with this fate, if that is a cycle.
fn end(fate: Fate) -> Option<Cause> {
    match fate {
        Fate::OnCycle(at) => Some(Cause::Cycle(at)),
        Fate::Queued {
            cause: cause @ Cause::Cycle(_),
            ..
        } => Some(cause),
        _ => None,
    }
}
