//! Everything a storyteller looks things up in: one inspection of one process, indexed.

use std::{cell::RefCell, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    coroutine::Resumers,
    disposition::satisfiers,
    phrase::{self, Age},
    site::{Site, Symbols, is_plumbing},
    tenure,
};
use holders::{Held, LockHolders, PendingRelease, ReleaseKind, TIMERS, is_standard_library};
use ids::{Goid, ImageAddr, TargetAddr};
use image::WaitReason;
use process::ProcessKey;
use snapshot::{Goroutine, ObjectState, Operation, Snapshot, Stack, SyncObject, WaitOn, WaitSince};

/// One inspection of one process.
pub(crate) struct SnapshotIndex<'a> {
    pub(crate) process: ProcessKey,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) holders: &'a FxHashMap<TargetAddr, LockHolders>,
    /// Whether main waits for what it made just for that: [`is_habit`](super::forever::is_habit).
    pub(crate) main_rests: bool,
    /// When it was first looked at, where waits are dated by that for want of better.
    pub(crate) first_look_ns: Option<u64>,
    pending: &'a FxHashMap<Goid, Vec<PendingRelease>>,
    pub(crate) symbols: &'a dyn Symbols,
    pub(crate) resumers: &'a Resumers,
    index: FxHashMap<Goid, usize>,
    /// By address of the shared stack.
    blocked_at: RefCell<FxHashMap<usize, Option<Arc<Site>>>>,
    created_at: RefCell<FxHashMap<ImageAddr, Option<Arc<Site>>>>,
    /// Every site once: equal sites are the same allocation.
    sites: RefCell<FxHashSet<Arc<Site>>>,
    /// Who performs an operation on a channel later.
    partners: FxHashMap<(TargetAddr, ReleaseKind), Vec<Goid>>,
    /// Who sends on a channel or closes it, and by which frame.
    givers: FxHashMap<TargetAddr, Vec<Giver>>,
    /// Stacks, by address, of goroutines that receive again what they wait to receive now.
    coming_back: FxHashSet<usize>,
}

/// A goroutine that sends on a channel later, or closes it.
#[derive(Clone, Copy)]
struct Giver {
    goid: Goid,
    /// Index of the frame that does it.
    frame: usize,
    held: Held,
}

impl<'a> SnapshotIndex<'a> {
    pub(crate) fn new(
        process: ProcessKey,
        snapshot: &'a Snapshot,
        holders: &'a FxHashMap<TargetAddr, LockHolders>,
        pending: &'a FxHashMap<Goid, Vec<PendingRelease>>,
        main_rests: bool,
        (symbols, resumers): (&'a dyn Symbols, &'a Resumers),
    ) -> Self {
        let goids = snapshot.goroutines.iter().map(|g| g.goid);
        let mut partners: FxHashMap<_, Vec<Goid>> = FxHashMap::default();
        let mut givers: FxHashMap<_, Vec<Giver>> = FxHashMap::default();
        let goroutines = pending.iter().filter(|(goid, _)| **goid != TIMERS);
        for (goid, releases) in goroutines {
            for release in releases {
                let key = (release.object, release.kind);
                partners.entry(key).or_default().push(*goid);
                if matches!(release.kind, ReleaseKind::Send | ReleaseKind::Close) {
                    givers.entry(release.object).or_default().push(Giver {
                        goid: *goid,
                        frame: release.evidence.frame,
                        held: release.evidence.held,
                    });
                }
            }
        }
        for goids in partners.values_mut() {
            goids.sort_unstable();
            goids.dedup();
        }
        let goroutines = snapshot.goroutines.iter();
        let coming_back = goroutines.filter(|g| pending.get(&g.goid).is_some_and(|p| again(g, p)));
        Self {
            process,
            snapshot,
            holders,
            main_rests,
            first_look_ns: None,
            pending,
            symbols,
            resumers,
            coming_back: coming_back.map(|g| Arc::as_ptr(&g.stack).addr()).collect(),
            index: goids.zip(0..).collect(),
            blocked_at: RefCell::default(),
            created_at: RefCell::default(),
            sites: RefCell::default(),
            partners,
            givers,
        }
    }

    /// The same, first looked at when its undated waits are said to have begun.
    pub(crate) fn first_looked_at(self, first_look_ns: Option<u64>) -> Self {
        Self {
            first_look_ns,
            ..self
        }
    }

    /// What `goid` will release.
    pub(crate) fn pending(&self, goid: Goid) -> &'a [PendingRelease] {
        self.pending.get(&goid).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn goroutine(&self, goid: Goid) -> Option<&'a Goroutine> {
        let at = *self.index.get(&goid)?;
        self.snapshot.goroutines.get(at)
    }

    /// Where `g` waits, as its author would say: outside the standard library, or, of a goroutine that
    /// is all the library's, below its plumbing.
    pub(crate) fn blocked_at(&self, g: &Goroutine) -> Option<Arc<Site>> {
        let key = Arc::as_ptr(&g.stack).addr();
        if let Some(known) = self.blocked_at.borrow().get(&key) {
            return known.clone();
        }
        let site = self.first_own_site(&g.stack).map(|site| self.shared(site));
        self.blocked_at.borrow_mut().insert(key, site.clone());
        site
    }

    fn first_own_site(&self, stack: &Stack) -> Option<Site> {
        let (mut library, mut outermost) = (None, None);
        for (depth, frame) in stack.frames.iter().enumerate() {
            for site in self.symbols.sites(frame.pc, depth > 0) {
                if !is_plumbing(&site.function) {
                    if !is_standard_library(&site.function) {
                        return Some(site);
                    }
                    library.get_or_insert_with(|| site.clone());
                }
                outermost = Some(site);
            }
        }
        library.or(outermost)
    }

    /// The `go` statement that created `g`.
    pub(crate) fn created_at(&self, g: &Goroutine) -> Option<Arc<Site>> {
        let pc = g.created_at?;
        if let Some(known) = self.created_at.borrow().get(&pc) {
            return known.clone();
        }
        // `iter.Pull` and `WaitGroup.Go` may be inlined in who called them.
        let site = self.site(pc, true);
        // The runtime makes the first goroutine in assembly (`rt0_go`), by no `go` statement.
        let site = site.filter(|site| &*site.function != "runtime.newproc");
        let site = site.map(|site| self.shared(site));
        self.created_at.borrow_mut().insert(pc, site.clone());
        site
    }

    fn shared(&self, site: Site) -> Arc<Site> {
        let mut sites = self.sites.borrow_mut();
        if let Some(known) = sites.get(&site) {
            return Arc::clone(known);
        }
        let site = Arc::new(site);
        sites.insert(Arc::clone(&site));
        site
    }

    pub(crate) fn age(&self, g: &Goroutine) -> Age {
        Age::at(self.snapshot.taken_ns, g.since)
    }

    /// `main.f (x.go:3)`, and whether that is during package initialisation.
    pub(crate) fn place(&self, g: &Goroutine) -> Option<String> {
        let site = self.blocked_at(g)?;
        let initialises = g.goid == MAIN && self.functions(g).any(|f| f.starts_with(DO_INIT));
        Some(if initialises {
            format!("{site} during package initialisation")
        } else {
            site.to_string()
        })
    }

    /// ` at main.f (x.go:3)`, or nothing when not known.
    pub(crate) fn at(&self, g: &Goroutine) -> String {
        self.place(g)
            .map(|place| format!(" at {place}"))
            .unwrap_or_default()
    }

    /// The functions on the stack of `g`, innermost first, inlined ones too.
    pub(crate) fn functions(&self, g: &Goroutine) -> impl Iterator<Item = Arc<str>> {
        let frames = g.stack.frames.iter().enumerate();
        frames.flat_map(|(depth, frame)| {
            let sites = self.symbols.sites(frame.pc, depth > 0).into_iter();
            sites.map(|site| site.function)
        })
    }

    /// `goroutine 7`; the first one is called main.
    pub(crate) fn name(goid: Goid) -> String {
        match goid {
            MAIN => "goroutine 1 (main)".to_owned(),
            _ => format!("goroutine {goid}"),
        }
    }

    /// `mutex 0xc000014080`.
    pub(crate) fn object(&self, addr: TargetAddr) -> String {
        match self.snapshot.objects.get(&addr) {
            Some(SyncObject {
                state: Some(ObjectState::Channel { element, .. }),
                ..
            }) if element.type_name.is_some() => {
                let of = element.type_name.as_deref().unwrap_or_default();
                format!("channel {addr} (chan {of})")
            }
            Some(object) => format!("{} {addr}", phrase::kind(object.id.kind)),
            None => format!("object {addr}"),
        }
    }

    /// How it is known that `holder` has to release `object`, for which `waiter` waits and which the
    /// sentence calls `what`.
    pub(crate) fn holds(
        &self,
        holder: Goid,
        object: TargetAddr,
        waiter: Option<&Goroutine>,
        what: &str,
    ) -> Option<String> {
        let known = self.holders.get(&object)?;
        let held = || known.candidates.iter().filter(|(goid, _)| *goid == holder);
        // Who upgrades an RWMutex holds both sides of it, and only one is waited for.
        let awaited = |kind: ReleaseKind| {
            let waits = waiter.into_iter().flat_map(|g| &g.waits_on);
            let mut waits = waits.filter(|wait| wait.object.addr == object);
            waits.any(|wait| satisfiers(wait.operation).contains(&kind))
        };
        let release = held().find(|(_, release)| awaited(release.kind));
        let (_, release) = release.or_else(|| held().next())?;
        Some(tenure::sentence(self, holder, release, what))
    }

    /// The place of the instruction at `pc`, as the author of the function would say.
    pub(crate) fn site(&self, pc: ImageAddr, is_return_address: bool) -> Option<Site> {
        let sites = self.symbols.sites(pc, is_return_address);
        let own = sites.iter().find(|site| !is_plumbing(&site.function));
        own.or(sites.last()).cloned()
    }

    /// Whether `g`, or one like it, was seen to come back for more: after what it receives now, it
    /// receives from the same channel again. So do idle workers, event loops and everybody who
    /// serves a queue.
    pub(crate) fn comes_back(&self, g: &Goroutine) -> bool {
        self.coming_back.contains(&Arc::as_ptr(&g.stack).addr())
    }

    /// Who will send on `channel` or close it only when what he does now is over: after the function
    /// has returned that waits.
    pub(crate) fn givers_at_their_end(
        &self,
        channel: TargetAddr,
    ) -> impl Iterator<Item = &'a Goroutine> {
        let givers = self.givers.get(&channel).into_iter().flatten();
        givers.filter_map(|giver| {
            let goroutine = self.goroutine(giver.goid)?;
            let waiting = self.waiting_frame(&goroutine.stack)?;
            let at_end = giver.frame > waiting || giver.held == Held::Deferred;
            at_end.then_some(goroutine)
        })
    }

    /// Index of the innermost frame that is not the runtime's.
    fn waiting_frame(&self, stack: &Stack) -> Option<usize> {
        let mut frames = stack.frames.iter().enumerate();
        frames.find_map(|(depth, frame)| {
            let sites = self.symbols.sites(frame.pc, depth > 0);
            let own = |site: &Site| !site.function.starts_with("runtime.");
            sites.last().is_some_and(own).then_some(depth)
        })
    }

    /// Whether `g` waits for somebody to connect.
    pub(crate) fn accepts(&self, g: &Goroutine) -> bool {
        g.wait_reason == Some(WaitReason::IoWait)
            && g.stack.frames.iter().enumerate().any(|(depth, frame)| {
                let sites = self.symbols.sites(frame.pc, depth > 0);
                let accepts = |site: &Site| &*site.function == "internal/poll.(*FD).Accept";
                sites.iter().any(accepts)
            })
    }

    /// Goroutines other than `g` that were seen to serve one of its waits later, with the object
    /// and what they do.
    pub(crate) fn partners(
        &self,
        g: &'a Goroutine,
    ) -> impl Iterator<Item = (Goid, TargetAddr, ReleaseKind)> {
        let waits = g.waits_on.iter();
        waits.flat_map(move |wait| {
            let object = wait.object.addr;
            let kinds = satisfiers(wait.operation).iter();
            kinds.flat_map(move |&kind| {
                let goids = self.partners.get(&(object, kind)).into_iter().flatten();
                let others = goids.filter(move |goid| **goid != g.goid);
                others.map(move |goid| (*goid, object, kind))
            })
        })
    }
}

/// Whether what `g` will do later includes what it waits to receive now.
fn again(g: &Goroutine, pending: &[PendingRelease]) -> bool {
    let receives = |wait: &&WaitOn| wait.operation == Operation::Receive;
    g.waits_on.iter().filter(receives).any(|wait| {
        let same = |release: &PendingRelease| {
            release.kind == ReleaseKind::Receive && release.object == wait.object.addr
        };
        pending.iter().any(same)
    })
}

/// What runs the initialisers of packages (`doInit1` since Go 1.21).
const DO_INIT: &str = "runtime.doInit";

/// The first goroutine runs `main.main`.
pub(crate) const MAIN: Goid = Goid(1);

/// When a wait began, as far as known.
pub(crate) const fn began_ns(since: WaitSince) -> Option<u64> {
    match since {
        WaitSince::Exact(ns) | WaitSince::AtLeast(ns) => Some(ns),
        WaitSince::Unknown => None,
    }
}

/// With a capital first letter.
pub(crate) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// `7, 8 and 9`; only the first few of many.
pub(crate) fn listed(goids: &[Goid]) -> String {
    const SHOWN: usize = 6;
    match goids {
        [] => "nobody".to_owned(),
        [one] => one.to_string(),
        [some @ .., last] if goids.len() <= SHOWN => {
            let some: Vec<_> = some.iter().map(ToString::to_string).collect();
            format!("{} and {last}", some.join(", "))
        }
        many => {
            let some: Vec<_> = many
                .iter()
                .take(SHOWN - 1)
                .map(ToString::to_string)
                .collect();
            let more = many.len() - some.len();
            format!("{} and {more} more", some.join(", "))
        }
    }
}
