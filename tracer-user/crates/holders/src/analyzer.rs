//! The analysis of one image's processes.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use tracing::debug;

use super::{
    alike::Courses,
    code::Code,
    executor::Trace,
    frames::{self, Standing},
    model::{PendingRelease, ReleaseKind},
    packages::is_standard_library,
    past::{self, Depth, Pasts, Stacks, Taking},
    rest, rounds,
    sites::LockKind,
    timers,
};
use ids::{Goid, TargetAddr};
use image::Image;
use memory::{CachedMemory, Gather};
use resources::cancellation::is_cut;
use snapshot::{Goroutine, Snapshot, Status, Target};

/// How much of a stack is read at once, in bytes.
const STACK_WINDOW: u64 = 16 << 10;
/// Goroutines whose stacks are read at once.
const CHUNK: usize = 256;
/// Goroutines at most whose pasts are followed with what their functions were called with.
const MAX_FOLLOWED_ANEW: usize = 1024;
/// Of goroutines with one stack so many at most for whom that was in vain.
const MAX_IN_VAIN: u32 = 16;
/// A goroutine that has deferred more calls is not followed: each of them leads to places of its own, of
/// which each keeps what has yet to run.
const MAX_DEFERRED: usize = 1024;

/// Finds pending releases. One per image: what it learns of the code serves every goroutine of
/// every process that runs it.
#[derive(Debug)]
pub struct Analyzer {
    code: Code,
    pasts: Pasts,
    courses: Courses,
}

/// What goroutines have to do with locks.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    /// What each will release of what it does not take first, with where it took it.
    pub pending: FxHashMap<Goid, Vec<PendingRelease>>,
    /// What each has taken and not given back.
    pub taken: FxHashMap<Goid, Vec<Taking>>,
    /// Who gives back a lock that could not be told, by the program's own code, and was not seen to take
    /// it. Whoever waits for a lock is left out: it is one of those whose fate is asked about, and most often
    /// takes first what it gives back.
    pub nameless: Vec<(Goid, ReleaseKind)>,
    /// How many had to be followed: the others take the results of those that stand alike.
    pub followed: usize,
    /// Those whose futures were not followed: there was no time.
    pub unfollowed: Vec<Goid>,
}

impl Analyzer {
    /// For processes that run `image`.
    #[must_use]
    pub fn new(image: Arc<Image>) -> Self {
        Self {
            code: Code::new(image),
            pasts: Pasts::default(),
            courses: Courses::default(),
        }
    }

    /// What each of `goroutines` of `snapshot` has taken and what it will release: see
    /// [`Analyzer::pending`].
    #[must_use]
    pub fn locks<'g>(
        &self,
        target: &Target,
        snapshot: &Snapshot,
        goroutines: impl IntoIterator<Item = &'g Goroutine>,
    ) -> Locks {
        let goroutines: Vec<&Goroutine> = goroutines.into_iter().filter(|g| is_known(g)).collect();
        let (mut pending, mut taken) = (FxHashMap::default(), FxHashMap::default());
        let mut nameless = Vec::new();
        let mut left = MAX_FOLLOWED_ANEW;
        let mut in_vain: FxHashMap<usize, u32> = FxHashMap::default();
        let stacks = Stacks::new(&self.pasts);
        let matters = |standing: &Standing<'_>| {
            let taken = past::of_goroutine(&stacks, standing, Depth::Summaries);
            let mut taken = taken.iter();
            taken.any(|taking| snapshot.objects.contains_key(&taking.object))
        };
        let followed = self.futures(target, &goroutines, matters, |standing, mut releases| {
            let g = standing.goroutine();
            if waits_for_lock(g) || releases_what_is_waited_for(snapshot, &releases) {
                let stack = Arc::as_ptr(&g.stack).addr();
                let vain = in_vain.entry(stack).or_default();
                let past = past(
                    (snapshot, &stacks),
                    standing,
                    &mut releases,
                    (vain, &mut left),
                );
                if !past.is_empty() {
                    taken.insert(g.goid, past);
                }
            }
            if !waits_for_lock(g) {
                let releases = releases.iter().filter(|r| self.is_nameless(r));
                nameless.extend(releases.map(|release| (g.goid, release.kind)));
            }
            if !releases.is_empty() {
                pending.insert(g.goid, releases);
            }
        });
        Locks {
            pending,
            taken,
            nameless,
            ..followed
        }
    }

    /// Whether `release` is of a lock that could not be told, and may be any of the program's.
    fn is_nameless(&self, release: &PendingRelease) -> bool {
        release.object.is_nil() && release.acquired.is_none() && {
            let function = self.code.image().function_at(release.evidence.site);
            function.is_none_or(|function| !is_standard_library(&function.name))
        }
    }

    /// What the continuation of each of `goroutines` will release of what it does not take first.
    /// Without those of which nothing was found: that of a goroutine whose stack is not known
    /// (it runs), for example.
    ///
    /// Of a goroutine that is not parked the result is as of a moment, and never certain.
    ///
    /// Of goroutines that stand alike one is followed, and the others take its result where what
    /// it depends on is the same for them, at this inspection and at later ones. What one inspection
    /// executes is bounded: where too many stand each in a way of its own, some are left for the next.
    #[must_use]
    pub fn pending<'g>(
        &self,
        target: &Target,
        goroutines: impl IntoIterator<Item = &'g Goroutine>,
    ) -> FxHashMap<Goid, Vec<PendingRelease>> {
        let goroutines: Vec<&Goroutine> = goroutines.into_iter().filter(|g| is_known(g)).collect();
        let mut pending = FxHashMap::default();
        self.futures(
            target,
            &goroutines,
            |_| false,
            |standing, releases| {
                if !releases.is_empty() {
                    pending.insert(standing.goroutine().goid, releases);
                }
            },
        );
        pending
    }

    /// Finds the future of each of `goroutines`, as far as there is time, and has `each` take what it
    /// releases: nothing of those that were left. Those that `matter` are not left for the next
    /// inspection.
    fn futures(
        &self,
        target: &Target,
        goroutines: &[&Goroutine],
        matter: impl Fn(&Standing<'_>) -> bool,
        mut each: impl FnMut(&Standing<'_>, Vec<PendingRelease>),
    ) -> Locks {
        let mut alike = self.courses.begin(target.bias);
        let mut left: Vec<&Goroutine> = Vec::new();
        let mut unfollowed = Vec::new();
        self.of_all(target, goroutines, |g, standing| {
            if standing.deferred.len() > MAX_DEFERRED {
                unfollowed.push(g.goid);
                each(standing, Vec::new());
                return;
            }
            let shape = alike.shape(standing);
            if let Some(known) = alike.known(&shape, standing) {
                each(standing, self.with_rounds(g, known));
            } else if alike.follows_at_once(&shape, standing, waits_for_lock(g)) {
                each(standing, self.with_rounds(g, alike.follow(shape, standing)));
            } else {
                left.push(g);
            }
        });
        // Others come first at the next inspection.
        let first = alike.turn() % left.len().max(1);
        left.rotate_left(first);
        self.of_all(target, &left, |g, standing| {
            let shape = alike.shape(standing);
            if let Some(known) = alike.known(&shape, standing) {
                each(standing, self.with_rounds(g, known));
            } else if !alike.is_spent() || matter(standing) {
                each(standing, self.with_rounds(g, alike.follow(shape, standing)));
            } else {
                unfollowed.push(g.goid);
                each(standing, Vec::new());
            }
        });
        debug!(
            goroutines = goroutines.len(),
            spared = alike.spared(),
            unfollowed = unfollowed.len(),
            steps = alike.steps(),
            "pending releases"
        );
        Locks {
            followed: goroutines.len() - alike.spared() - unfollowed.len(),
            unfollowed,
            ..Locks::default()
        }
    }

    /// The same, following each of them by itself: what [`pending`](Self::pending) is checked and
    /// measured against.
    #[must_use]
    pub fn pending_one_by_one<'g>(
        &self,
        target: &Target,
        goroutines: impl IntoIterator<Item = &'g Goroutine>,
    ) -> FxHashMap<Goid, Vec<PendingRelease>> {
        let goroutines: Vec<&Goroutine> = goroutines.into_iter().filter(|g| is_known(g)).collect();
        let mut found = FxHashMap::default();
        self.of_all(target, &goroutines, |g, standing| {
            let pending = frames::future(standing, &Trace::on(standing.sp()), true).releases;
            let pending = self.with_rounds(g, pending);
            if !pending.is_empty() {
                found.insert(g.goid, pending);
            }
        });
        found
    }

    /// The `pending` releases of `g` and those that follow from its loop.
    fn with_rounds(&self, g: &Goroutine, mut pending: Vec<PendingRelease>) -> Vec<PendingRelease> {
        pending.extend(rounds::receives_again(&self.code, g));
        pending
    }

    fn of_all<'g>(
        &self,
        target: &Target,
        goroutines: &[&'g Goroutine],
        mut each: impl FnMut(&'g Goroutine, &Standing<'_>),
    ) {
        // Neighbours on the heap are read once for all goroutines.
        let memory = CachedMemory::new(&*target.memory);
        let mut stacks = Gather::new();
        for chunk in goroutines.chunks(CHUNK) {
            if is_cut() {
                return;
            }
            let windows: Vec<_> = chunk.iter().map(|g| window(g)).collect();
            let read = stacks.read(&*target.memory, &windows).is_ok();
            // Before any of them is followed, which takes longer than a wait does.
            let standing = chunk.iter().enumerate().map(|(index, g)| {
                let window = match &g.sampled {
                    // It runs on: only the copy belongs to its registers and frames.
                    Some(sample) => &sample.stack,
                    None => stacks.get(index).filter(|_| read).unwrap_or_default(),
                };
                Standing::of(&self.code, (&memory, target.bias), g, window)
            });
            let standing: Vec<_> = standing.collect();
            let wanted = standing.iter().take_while(|_| !is_cut());
            wanted
                .zip(chunk)
                .for_each(|(standing, g)| each(g, standing));
        }
    }

    /// Whether `g` keeps the program running by `<-make(chan T)`: it waits for a channel that it made
    /// itself and has given nobody.
    #[must_use]
    pub fn rests(&self, g: &Goroutine) -> bool {
        g.status.is_parked() && rest::receives_from_own_making(&self.code, g)
    }

    /// What the functions of pending timers (`time.AfterFunc`) may release. Belongs to the others
    /// under [`TIMERS`](super::TIMERS).
    #[must_use]
    pub fn of_timers(&self, target: &Target) -> Vec<PendingRelease> {
        let memory = CachedMemory::new(&*target.memory);
        timers::releases(&self.code, &memory, target)
    }
}

/// What the goroutine has taken and not given back, and with it where it took what it `releases`.
/// As far as `left` goes, and not too often in `vain`, its functions are followed anew where a
/// witness is lacking.
fn past(
    (snapshot, stacks): (&Snapshot, &Stacks<'_>),
    standing: &Standing<'_>,
    releases: &mut [PendingRelease],
    (vain, left): (&mut u32, &mut usize),
) -> Vec<Taking> {
    let mut taken = past::of_goroutine(stacks, standing, Depth::Summaries);
    acquired(releases, &taken);
    for depth in [Depth::Memory, Depth::Rounds] {
        let lacks = *vain < MAX_IN_VAIN && lacks_a_witness(snapshot, releases);
        if *left == 0 || !lacks {
            break;
        }
        *left -= 1;
        taken = best_of(taken, past::of_goroutine(stacks, standing, depth));
        acquired(releases, &taken);
    }
    *vain += u32::from(lacks_a_witness(snapshot, releases));
    taken
}

/// Whether one of `pending` releases is of a lock that somebody waits for, and was not seen to be
/// owned.
fn lacks_a_witness(snapshot: &Snapshot, pending: &[PendingRelease]) -> bool {
    let mut pending = pending.iter();
    pending.any(|release| !release.is_owned() && is_waited_for(snapshot, release))
}

/// Whether one of `pending` releases is of a lock that somebody waits for.
fn releases_what_is_waited_for(snapshot: &Snapshot, pending: &[PendingRelease]) -> bool {
    let mut pending = pending.iter();
    pending.any(|release| is_waited_for(snapshot, release))
}

fn is_waited_for(snapshot: &Snapshot, release: &PendingRelease) -> bool {
    let lock = release.kind.lock();
    lock.is_some_and(|kind| kind != LockKind::Promise)
        && snapshot.objects.contains_key(&release.object)
}

/// Whether `g` waits for a lock: it may be one that it has taken itself, or others behind it.
fn waits_for_lock(g: &Goroutine) -> bool {
    g.waits_on.iter().any(|wait| wait.operation.takes_lock())
}

/// What either of two ways of following one past says: each of them keeps to what holds on all paths.
fn best_of(mut taken: Vec<Taking>, anew: Vec<Taking>) -> Vec<Taking> {
    for other in anew {
        let same =
            |taking: &&mut Taking| (taking.object, taking.release) == (other.object, other.release);
        match taken.iter_mut().find(same) {
            Some(taking) if taking.acquisition.taken < other.acquisition.taken => *taking = other,
            Some(_) => {}
            None => taken.push(other),
        }
    }
    taken
}

/// Says of `pending` releases where what they release was `taken`.
fn acquired(pending: &mut [PendingRelease], taken: &[Taking]) {
    for release in pending {
        let same =
            |taking: &&Taking| taking.object == release.object && taking.release == release.kind;
        release.acquired = taken.iter().find(same).map(|taking| taking.acquisition);
    }
}

/// Whether there is anything to say of what `g` will do.
fn is_known(g: &Goroutine) -> bool {
    !g.system && !matches!(g.status, Status::Idle | Status::CopyStack) && !g.stack.frames.is_empty()
}

/// Where its frames lie, as far as they are read ahead.
fn window(g: &Goroutine) -> (TargetAddr, usize) {
    let (_, hi) = g.stack_bounds;
    let len = hi.0.saturating_sub(g.sp.0).min(STACK_WINDOW);
    (g.sp, usize::try_from(len).unwrap_or(0))
}
