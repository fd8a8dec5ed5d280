//! The past: which locks a goroutine has taken and not given back, read out of the code that its
//! frames have executed, from the entry of each function to the call that it is in.
//!
//! What a function does with locks on its way to one of its calls is worked out once for all
//! processes that run the image, with symbols for its arguments, for memory and for the results of
//! its calls ([`summary`]). What the symbols are for one goroutine, its frames say: what a function
//! still needs lies in its frame ([`resolve`]). The frames together say what the goroutine has
//! ([`lockset`]); what they are whatever the numbers is found once for each stack ([`stacks`]).

mod lockset;
mod resolve;
mod stacks;
mod summary;
mod symbols;

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

pub use lockset::{Depth, Taking, of_goroutine};
pub use stacks::Stacks;
pub use symbols::{Origin, STACK, Symbols, surely_differ};

use super::code::{Code, Routine};
use ids::ImageAddr;
use resources::cancellation::is_cut;
use summary::Summary;

/// Summaries that are kept at most; all are forgotten when there are more.
const MAX_SUMMARIES: usize = 1 << 16;

/// What functions of one image have done with locks when they get to one of their calls.
#[derive(Debug, Default)]
pub struct Pasts {
    known: Mutex<FxHashMap<Place, Option<Arc<Summary>>>>,
}

/// A function by its entry, and one of its instructions by index.
type Place = (ImageAddr, u32);

impl Pasts {
    /// What `routine` has done when it is about to execute its instruction number `at`; `None` if
    /// that was too much to follow.
    fn before(&self, code: &Code, routine: &Arc<Routine>, at: u32) -> Option<Arc<Summary>> {
        let key = (routine.function.entry, at);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(summary) = known().get(&key) {
            return summary.clone();
        }
        let summary = summary::of(code, routine, at).map(Arc::new);
        if is_cut() {
            // What was not followed to its end is no summary.
            return None;
        }
        let mut known = known();
        if known.len() >= MAX_SUMMARIES {
            known.clear();
        }
        known.insert(key, summary.clone());
        summary
    }
}
