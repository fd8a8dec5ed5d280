//! All goroutines of one moment, by their ids.

use super::goroutine::GoroutineNow;
use crate::ids::Goid;

/// The goroutines of one moment.
#[derive(Debug, Clone, Default)]
pub struct Census(Vec<GoroutineNow>);

impl Census {
    /// `goroutines` in order. Of two with one id, seen while a `g` was used again, one is kept.
    pub(super) fn new(mut goroutines: Vec<GoroutineNow>) -> Self {
        goroutines.sort_unstable_by_key(|now| now.goid);
        goroutines.dedup_by_key(|now| now.goid);
        goroutines.shrink_to_fit();
        Self(goroutines)
    }

    /// The goroutine `goid`.
    #[must_use]
    pub fn get(&self, goid: Goid) -> Option<&GoroutineNow> {
        let at = self.0.binary_search_by_key(&goid, |now| now.goid).ok()?;
        self.0.get(at)
    }

    /// All of them, by ascending id.
    pub fn iter(&self) -> std::slice::Iter<'_, GoroutineNow> {
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
    use crate::ids::TargetAddr;

    #[test]
    fn each_id_is_there_once_and_in_order() {
        let now = [(7, 1), (3, 2), (7, 3)].map(|(goid, g)| GoroutineNow::parked(goid, g));
        let census = Census::new(now.to_vec());
        let ids: Vec<u64> = census.iter().map(|now| now.goid.0).collect();
        assert_eq!(ids, [3, 7]);
        assert_eq!(census.get(Goid(3)).unwrap().g, TargetAddr(2));
        assert!(census.get(Goid(4)).is_none());
    }
}
