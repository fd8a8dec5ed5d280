//! Who keeps threads: goroutines in C and in system calls, and those that pin them.

use rustc_hash::FxHashMap;

use super::{
    phrase::count,
    site::{Site, Symbols, is_plumbing},
};
use ids::Goid;
use snapshot::{Goroutine, Snapshot, Thread, ThreadState};

/// How many places are told of.
const TOLD: usize = 5;

/// Sentences on which places keep the threads of `snapshot`, and what becomes of it.
pub(super) fn story(snapshot: &Snapshot, symbols: &dyn Symbols) -> Vec<String> {
    let goroutines: FxHashMap<Goid, &Goroutine> =
        snapshot.goroutines.iter().map(|g| (g.goid, g)).collect();
    let mut places: FxHashMap<(&str, Option<Site>), u64> = FxHashMap::default();
    for thread in &snapshot.threads {
        let goroutine = thread.goroutine.and_then(|goid| goroutines.get(&goid));
        if let Some((what, g)) = keeps(thread).zip(goroutine) {
            *places.entry((what, place(symbols, g))).or_default() += 1;
        }
    }
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    let mut story: Vec<String> = places
        .into_iter()
        .take(TOLD)
        .map(|((what, site), number)| {
            let at = site.map_or_else(String::new, |site| format!(" at {site}"));
            let verb = if number == 1 { "is" } else { "are" };
            format!("{} {verb} {what}{at}.", count(number, "thread"))
        })
        .collect();
    story.push(
        "A thread that blocks in a system call or in C, or that LockOSThread pins, serves nobody \
         else meanwhile, and the runtime makes another. At 10,000 it ends the program \
         (debug.SetMaxThreads): bound such calls, for example by a semaphore."
            .to_owned(),
    );
    story
}

/// What keeps `thread` from serving other goroutines.
const fn keeps(thread: &Thread) -> Option<&'static str> {
    match thread.state {
        ThreadState::Cgo => Some("in C"),
        ThreadState::Syscall => Some("in a system call"),
        _ if thread.locked => Some("pinned by LockOSThread"),
        _ => None,
    }
}

/// Where a person would say that `g` is.
fn place(symbols: &dyn Symbols, g: &Goroutine) -> Option<Site> {
    let frames = g.stack.frames.iter().enumerate();
    let mut sites = frames.flat_map(|(depth, frame)| symbols.sites(frame.pc, depth > 0));
    sites.find(|site| !is_plumbing(&site.function) && !site.function.contains("._Cfunc_"))
}
