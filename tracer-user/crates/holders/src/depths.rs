//! How deep the calls of frames could be followed as things stand, kept so that it is not tried in vain
//! for every goroutine. What is found as things stand only makes more certain what is known without:
//! where it is not tried, nothing is missed that somebody may release.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use ids::ImageAddr;

/// Where a frame goes on, and whether it was entered by a deferred call.
pub type Place = (ImageAddr, u32, bool);

/// What came of following frames so deep.
#[derive(Debug, Default)]
pub struct Depths {
    tried: Mutex<FxHashMap<(Place, usize), Tried>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tried {
    succeeded: bool,
    failed: bool,
}

impl Depths {
    /// Whether following a frame from `place` on, `depth` calls deep, was too much, and never was not.
    pub fn is_too_much(&self, place: Place, depth: usize) -> bool {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = tried.get(&(place, depth));
        tried.is_some_and(|tried| tried.failed && !tried.succeeded)
    }

    /// Notes whether that was too much.
    pub fn note(&self, place: Place, depth: usize, too_much: bool) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = tried.entry((place, depth)).or_default();
        tried.failed |= too_much;
        tried.succeeded |= !too_much;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_once_not_too_much_is_tried_again() {
        let depths = Depths::default();
        let place = (ImageAddr(0x1000), 7, false);
        assert!(!depths.is_too_much(place, 6));
        depths.note(place, 6, true);
        assert!(depths.is_too_much(place, 6) && !depths.is_too_much(place, 2));
        depths.note(place, 6, false);
        depths.note(place, 6, true);
        assert!(!depths.is_too_much(place, 6));
    }
}
