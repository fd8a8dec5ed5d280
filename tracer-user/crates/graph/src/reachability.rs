//! What stands in for the heap walk where none was made.

use super::requirement::Reachability;
use ids::{Goid, TargetAddr};

/// Without a walk any live goroutine may reach any object: only when nobody at all is live, and
/// nothing outside the goroutines can act, is an object out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssumeReachable {
    somebody_acts: bool,
}

impl AssumeReachable {
    /// `outside_may_act`: whether something that is no goroutine of the graph may operate on
    /// objects: a pending timer, C code that calls back, a goroutine that could not be read.
    #[must_use]
    pub const fn new(outside_may_act: bool) -> Self {
        Self {
            somebody_acts: outside_may_act,
        }
    }
}

impl Reachability for AssumeReachable {
    fn add_live(&mut self, goroutines: &[Goid]) {
        self.somebody_acts |= !goroutines.is_empty();
    }

    fn is_reachable(&mut self, _object: TargetAddr) -> bool {
        self.somebody_acts
    }
}
