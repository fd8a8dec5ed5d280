//! All goroutines of one moment, by their ids.

use super::goroutine::GoroutineState;
use ids::Goid;

/// So many goroutines are dealt with at once: what is read of them fits into the cache.
const GROUP: usize = 2048;

/// The goroutines of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoroutineTable(Vec<GoroutineState>);

impl GoroutineTable {
    /// `goroutines` in order. Of two with one id, seen while a `g` was used again, one is kept.
    pub(super) fn new(mut goroutines: Vec<GoroutineState>) -> Self {
        goroutines.sort_unstable_by_key(|now| now.goid);
        goroutines.dedup_by_key(|now| now.goid);
        goroutines.shrink_to_fit();
        Self(goroutines)
    }

    /// The goroutine `goid`.
    #[must_use]
    pub fn get(&self, goid: Goid) -> Option<&GoroutineState> {
        let at = self.0.binary_search_by_key(&goid, |now| now.goid).ok()?;
        self.0.get(at)
    }

    /// Those that are not in `earlier`, or not as they were there, and those that are there and no
    /// more here.
    pub(super) fn differences<'c>(&'c self, earlier: &'c Self) -> impl Iterator<Item = Goid> + 'c {
        let mut now = self.0.iter().peekable();
        let mut then = earlier.0.iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let at = [now.peek(), then.peek()].into_iter().flatten();
                let goid = at.map(|goroutine| goroutine.goid).min()?;
                let now = now.next_if(|now| now.goid == goid);
                let then = then.next_if(|then| then.goid == goid);
                if now != then {
                    return Some(goid);
                }
            }
        })
    }

    /// Whether the same goroutines have the same stacks in `other`.
    pub(super) fn has_stacks_of(&self, other: &Self) -> bool {
        let stack = |now: &GoroutineState| (now.goid, now.stack);
        self.0.iter().map(stack).eq(other.0.iter().map(stack))
    }

    /// All of them in groups, by ascending id.
    pub(super) fn groups(&self) -> std::slice::Chunks<'_, GoroutineState> {
        self.0.chunks(GROUP)
    }

    /// All of them, by ascending id.
    pub fn iter(&self) -> std::slice::Iter<'_, GoroutineState> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::TargetAddr;

    #[test]
    fn who_came_went_or_moved_is_told() {
        let of = |all: &[(u64, u64)]| {
            let all = all
                .iter()
                .map(|(goid, g)| GoroutineState::parked(*goid, *g));
            GoroutineTable::new(all.collect())
        };
        let then = of(&[(1, 1), (2, 2), (4, 4), (6, 6)]);
        let now = of(&[(1, 1), (3, 3), (4, 5), (6, 6), (7, 7)]);
        let differences: Vec<u64> = now.differences(&then).map(|goid| goid.0).collect();
        assert_eq!(differences, [2, 3, 4, 7]);
        assert_eq!(now.differences(&now).count(), 0);
        assert_eq!(then.differences(&GoroutineTable::default()).count(), 4);
        assert_eq!(GoroutineTable::default().differences(&then).count(), 4);
    }

    #[test]
    fn each_id_is_there_once_and_in_order() {
        let now = [(7, 1), (3, 2), (7, 3)].map(|(goid, g)| GoroutineState::parked(goid, g));
        let census = GoroutineTable::new(now.to_vec());
        let ids: Vec<u64> = census.iter().map(|now| now.goid.0).collect();
        assert_eq!(ids, [3, 7]);
        assert_eq!(census.get(Goid(3)).unwrap().g, TargetAddr(2));
        assert!(census.get(Goid(4)).is_none());
    }
}
