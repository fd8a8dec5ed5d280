//! Coroutines (`iter.Pull`), and who resumes them.
//!
//! The runtime switches between a coroutine and the goroutine that pulls it directly: neither waits on
//! an object. But the one that called `iter.Pull` is known as the coroutine's creator, and in nearly
//! all programs it is the one that calls `next`, too.

use rustc_hash::FxHashMap;

use super::site::Symbols;
use ids::Goid;
use image::WaitReason;
use snapshot::{Goroutine, Snapshot};

/// What a coroutine's first function is called.
const START: &str = "runtime.corostart";

/// Who is expected to resume each goroutine that waits in a switch of coroutines.
pub(crate) type Resumers = FxHashMap<Goid, Resumer>;

/// Who is expected to resume a goroutine that waits in a switch of coroutines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumer {
    /// It is a coroutine: the goroutine that called `iter.Pull`.
    Puller(Goid),
    /// It has called `next`: the coroutine.
    Coroutine(Goid),
}

impl Resumer {
    /// Which goroutine that is.
    pub(super) const fn goid(self) -> Goid {
        match self {
            Self::Puller(goid) | Self::Coroutine(goid) => goid,
        }
    }
}

/// Finds who resumes whom in `snapshot`.
pub(crate) fn resumers(snapshot: &Snapshot, symbols: &dyn Symbols) -> Resumers {
    let switches = |g: &&Goroutine| g.wait_reason == Some(WaitReason::Coroutine);
    if !snapshot.goroutines.iter().any(|g| switches(&g)) {
        return Resumers::default();
    }
    let mut starts = FxHashMap::default();
    let mut is_coroutine = |g: &Goroutine| {
        *starts.entry(g.start).or_insert_with(|| {
            let sites = symbols.sites(g.start, false);
            sites.last().is_some_and(|site| &*site.function == START)
        })
    };
    let coroutines = snapshot.goroutines.iter().filter(|g| is_coroutine(g));
    let coroutines: FxHashMap<Goid, Option<Goid>> =
        coroutines.map(|g| (g.goid, g.parent)).collect();
    let pulled = snapshot.goroutines.iter().filter(|g| !switches(g));
    let pulled = pulled.filter_map(|g| Some(((*coroutines.get(&g.goid)?)?, g.goid)));
    let pulled: FxHashMap<Goid, Goid> = pulled.collect();
    let waiting = snapshot.goroutines.iter().filter(switches);
    waiting
        .filter_map(|g| {
            let by_coroutine = pulled.get(&g.goid).copied().map(Resumer::Coroutine);
            let puller = coroutines.get(&g.goid).copied().flatten();
            let resumer = by_coroutine.or(puller.map(Resumer::Puller))?;
            Some((g.goid, resumer))
        })
        .collect()
}
