//! Where goroutines come from, as their author would say: a `go` statement in a library that starts
//! goroutines for others says nothing, what it was given to run does.

use std::{fmt::Write as _, sync::Arc};

use rustc_hash::FxHashMap;

use super::site::{Symbols, starts_for_others};
use holders::package;
use ids::ImageAddr;
use snapshot::{Goroutine, Stack};

/// What goroutines have in common that were made in one way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CreationSite {
    /// Return address of the `go` statement.
    pub created_at: ImageAddr,
    /// The function that was handed over to be run, where that statement runs whatever it is given:
    /// in `sync.(*WaitGroup).Go`, or a pool.
    pub runs: Option<Arc<str>>,
}

impl CreationSite {
    /// `main.serve (x.go:3)`, or `sync.(*WaitGroup).Go (waitgroup.go:238) to run main.orders`.
    pub fn place(&self, symbols: &dyn Symbols) -> String {
        let site = symbols.sites(self.created_at, true).into_iter().next();
        let mut place = site.map_or_else(|| self.created_at.to_string(), |site| site.to_string());
        if let Some(runs) = &self.runs {
            let _ = write!(place, " to run {runs}");
        }
        place
    }
}

/// More `go` statements than any program has: a target may claim what it likes.
const MAX_STARTERS: usize = 1 << 16;

/// Tells the creation sites of goroutines. Few `go` statements, many goroutines.
#[derive(Debug, Default)]
pub(super) struct CreationSites {
    /// The package of each `go` statement that starts goroutines for others.
    starters: FxHashMap<ImageAddr, Option<Arc<str>>>,
}

/// What the goroutines of one inspection run, by stack.
#[derive(Default)]
pub(super) struct Handed(FxHashMap<(usize, ImageAddr), Option<Arc<str>>>);

impl CreationSites {
    /// Of `g`, in the inspection that `handed` is of; `None` where the runtime does not say.
    pub(super) fn of(
        &mut self,
        g: &Goroutine,
        symbols: &dyn Symbols,
        handed: &mut Handed,
    ) -> Option<CreationSite> {
        let created_at = g.created_at?;
        let starters = &mut self.starters;
        if starters.len() >= MAX_STARTERS {
            starters.clear();
        }
        let starter = starters.entry(created_at).or_insert_with(|| {
            let sites = symbols.sites(created_at, true);
            // Inlined in who called it, it has a place of its own there.
            let for_others = sites.iter().all(|site| starts_for_others(&site.function));
            let site = sites.first().filter(|_| for_others)?;
            Some(package(&site.function).into())
        });
        let runs = starter.as_ref().and_then(|starter| {
            let key = (Arc::as_ptr(&g.stack).addr(), created_at);
            let handed = handed.0.entry(key);
            handed
                .or_insert_with(|| first_of_others(&g.stack, symbols, starter))
                .clone()
        });
        Some(CreationSite { created_at, runs })
    }
}

/// The outermost function on `stack` that is not of package `starter`, nor of those like it.
fn first_of_others(stack: &Stack, symbols: &dyn Symbols, starter: &str) -> Option<Arc<str>> {
    let frames = stack.frames.iter().enumerate().rev();
    let mut functions = frames.flat_map(|(depth, frame)| {
        let sites = symbols.sites(frame.pc, depth > 0).into_iter().rev();
        sites.map(|site| site.function)
    });
    functions.find(|function| package(function) != starter && !starts_for_others(function))
}
