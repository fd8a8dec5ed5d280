//! Goroutines that stand alike: ten thousand at one site cost one analysis, and at the next
//! inspection none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    executor::{Dependence, Read, Surroundings, Trace, hash_of},
    frames::{self, Frames, Shape, Standing},
    model::PendingRelease,
};
use ids::{LoadBias, TargetAddr};

/// Results that are kept for goroutines with the same frames at most: those take different courses.
const MAX_COURSES: usize = 16;
/// Of goroutines with one stack so many at most for whom it was in vain to follow them as things stand.
const MAX_IN_VAIN: u32 = 2;
/// Instructions executed at one inspection to follow goroutines: about half a second.
const MAX_STEPS: u64 = 6_000_000;
/// How much is kept of all courses together, in [`Dependence::weight`]s of about 50 bytes.
const MAX_WEIGHT: usize = 200_000;
/// Where half of that is used, a course that served nobody in so many inspections is dropped.
const MAX_UNUSED: u64 = 16;

/// The courses that goroutines of one image were found to take, kept from inspection to inspection.
/// Each is checked against memory as it is before it serves again.
#[derive(Debug, Default)]
pub struct Courses {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_shape: FxHashMap<Key, Kept>,
    weight: usize,
    /// Inspections so far.
    inspections: u64,
}

/// The same frames; addresses in the image are the same numbers too.
type Key = (LoadBias, Shape);

#[derive(Debug)]
struct Kept {
    courses: Vec<Arc<Course>>,
    used: u64,
}

/// A result and what it depends on.
#[derive(Debug)]
struct Course {
    dependence: Dependence,
    releases: Vec<PendingRelease>,
}

/// A course that goroutines of one inspection take, and what was read to see whether they do.
#[derive(Debug)]
struct Taken {
    course: Arc<Course>,
    read: Read,
}

/// The goroutines of one inspection, as they stand.
#[derive(Debug)]
pub struct Alike<'a> {
    courses: &'a Courses,
    bias: LoadBias,
    /// Where the courses of each shape are.
    shapes: FxHashMap<Shape, usize>,
    here: Vec<Vec<Taken>>,
    /// The frames of the stacks, by where each stack is kept.
    frames: FxHashMap<usize, Frames>,
    /// How often it was in vain to follow goroutines as things stand, by where their stack is kept.
    in_vain: FxHashMap<usize, u32>,
    /// Those of which less is found where numbers are told apart that happen to be equal.
    need_more: FxHashSet<Shape>,
    /// What is given of the goroutine at hand.
    given: Vec<u64>,
    spared: usize,
    steps: u64,
    turn: usize,
}

impl Courses {
    /// Begins an inspection of a process whose image is displaced by `bias`.
    pub fn begin(&self, bias: LoadBias) -> Alike<'_> {
        let turn = self.known().begin();
        Alike {
            turn,
            courses: self,
            bias,
            shapes: FxHashMap::default(),
            here: Vec::new(),
            frames: FxHashMap::default(),
            in_vain: FxHashMap::default(),
            need_more: FxHashSet::default(),
            given: Vec::new(),
            spared: 0,
            steps: 0,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Drops what has served nobody for long, if room is scarce. A number that is another each time.
    fn begin(&mut self) -> usize {
        self.inspections += 1;
        // Far apart, so that all of many come first some time.
        let turn = hash_of(&self.inspections) as usize;
        if self.weight < MAX_WEIGHT / 2 {
            return turn;
        }
        let oldest = self.inspections.saturating_sub(MAX_UNUSED);
        let mut weight = 0;
        self.by_shape.retain(|_, kept| {
            let stays = kept.used >= oldest;
            weight += if stays { kept.weight() } else { 0 };
            stays
        });
        self.weight = weight;
        turn
    }

    fn of(&mut self, key: &Key) -> Vec<Arc<Course>> {
        let used = self.inspections;
        let kept = self.by_shape.get_mut(key);
        kept.map_or_else(Vec::new, |kept| {
            kept.used = used;
            kept.courses.clone()
        })
    }

    /// Keeps `course` if there is room.
    fn add(&mut self, key: Key, course: Arc<Course>) {
        let weight = course.dependence.weight();
        if self.weight + weight > MAX_WEIGHT {
            return;
        }
        let used = self.inspections;
        let kept = self.by_shape.entry(key).or_insert_with(|| Kept {
            courses: Vec::new(),
            used,
        });
        if kept.courses.len() < MAX_COURSES {
            kept.courses.push(course);
            self.weight += weight;
        }
    }
}

impl Kept {
    fn weight(&self) -> usize {
        let weights = self.courses.iter().map(|course| course.dependence.weight());
        weights.sum()
    }
}

impl Alike<'_> {
    /// For how many goroutines another one's result served.
    pub const fn spared(&self) -> usize {
        self.spared
    }

    /// Instructions executed so far.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether more has been executed than one inspection is for.
    pub const fn is_spent(&self) -> bool {
        self.steps >= MAX_STEPS
    }

    /// What the goroutine has in common with others.
    pub fn shape(&mut self, standing: &Standing<'_>) -> Shape {
        let stack = &standing.goroutine().stack;
        // As the frames hold the stack, no other one is kept there meanwhile.
        let frames = self.frames.entry(Arc::as_ptr(stack).addr());
        standing.shape(frames.or_insert_with(|| Frames::of(stack)).clone())
    }

    /// What the continuation of the goroutine of this shape will release, if one that takes the same
    /// course has been followed.
    pub fn known(&mut self, shape: &Shape, standing: &Standing<'_>) -> Option<Vec<PendingRelease>> {
        let place = match self.shapes.get(shape) {
            Some(place) => *place,
            None => {
                let known = self.courses.known().of(&(self.bias, shape.clone()));
                self.shapes.insert(shape.clone(), self.here.len());
                self.here.push(known.into_iter().map(Taken::of).collect());
                self.here.len() - 1
            }
        };
        let courses = self.here.get_mut(place)?;
        self.given.clear();
        self.given.extend(standing.given());
        let around = standing.surroundings();
        let own = (standing.sp(), &self.given[..]);
        let mut known = courses.iter_mut().enumerate();
        let found = known.find_map(|(index, taken)| Some((index, taken.by(own, &around)?)));
        let (index, releases) = found?;
        // Neighbours often take the same course.
        courses.swap(0, index);
        self.spared += 1;
        Some(releases)
    }

    /// The same, found by following its frames.
    pub fn follow(&mut self, shape: Shape, standing: &Standing<'_>) -> Vec<PendingRelease> {
        let kept = self.followed(&shape).len();
        // No other goroutine stands at a sampled one's instruction with its registers.
        let is_noted = kept < MAX_COURSES && standing.goroutine().sampled.is_none();
        if is_noted && kept > 0 && !self.need_more.contains(&shape) {
            let trace = Trace::telling_apart(standing.sp());
            let releases = self.future(standing, &trace);
            let same = |taken: &Taken| is_as_much(&taken.course.releases, &releases);
            if self.followed(&shape).iter().any(same) {
                self.keep(shape, trace, &releases);
                return releases;
            }
            self.need_more.insert(shape.clone());
        }
        let trace = if is_noted {
            Trace::on(standing.sp())
        } else {
            Trace::off()
        };
        let releases = self.future(standing, &trace);
        self.keep(shape, trace, &releases);
        releases
    }

    fn future(&mut self, standing: &Standing<'_>, trace: &Trace) -> Vec<PendingRelease> {
        let stack = Arc::as_ptr(&standing.goroutine().stack).addr();
        let in_vain = self.in_vain.entry(stack).or_default();
        let future = frames::future(standing, trace, *in_vain < MAX_IN_VAIN);
        *in_vain += u32::from(future.in_vain);
        self.steps += future.steps;
        future.releases
    }

    /// Keeps what came of following a goroutine of this shape, if that was noted.
    fn keep(&mut self, shape: Shape, trace: Trace, releases: &[PendingRelease]) {
        let Some(dependence) = trace.finish() else {
            return;
        };
        let course = Arc::new(Course {
            dependence,
            releases: releases.to_vec(),
        });
        let here = self.shapes.get(&shape);
        if let Some(here) = here.and_then(|here| self.here.get_mut(*here)) {
            here.push(Taken::of(Arc::clone(&course)));
        }
        self.courses.known().add((self.bias, shape), course);
    }

    /// Whether the goroutine, of which no course is known to serve, is followed before others: it
    /// `waits_for_lock`, and so may be part of a deadlock, or it is the first that stands there.
    pub fn follows_at_once(
        &self,
        shape: &Shape,
        standing: &Standing<'_>,
        waits_for_lock: bool,
    ) -> bool {
        let is_first = || self.followed(shape).is_empty();
        let limit = if waits_for_lock {
            4 * MAX_STEPS
        } else {
            MAX_STEPS
        };
        self.steps < limit
            && (waits_for_lock || standing.goroutine().sampled.is_some() || is_first())
    }

    /// The courses that are known of goroutines of this shape.
    fn followed(&self, shape: &Shape) -> &[Taken] {
        let here = self.shapes.get(shape);
        here.and_then(|here| self.here.get(*here))
            .map_or(&[], Vec::as_slice)
    }

    /// A number that is another at each inspection.
    pub const fn turn(&self) -> usize {
        self.turn
    }
}

impl Taken {
    fn of(course: Arc<Course>) -> Self {
        let read = course.dependence.unread();
        Self { course, read }
    }

    /// The releases of the goroutine with this stack pointer, these numbers of its own and this
    /// memory, if it takes this course.
    fn by(&mut self, own: (u64, &[u64]), around: &Surroundings<'_>) -> Option<Vec<PendingRelease>> {
        let Self { course, read } = self;
        let other = course.dependence.serves(own, around, read)?;
        let releases = course.releases.iter().map(|release| {
            let object = match release.object {
                TargetAddr(0) => TargetAddr(0),
                object => TargetAddr(other.object(object.0)?),
            };
            Some(PendingRelease {
                object,
                ..release.clone()
            })
        });
        releases.collect()
    }
}

/// Whether as much was found of one goroutine as of `another`, whatever the objects are.
fn is_as_much(one: &[PendingRelease], another: &[PendingRelease]) -> bool {
    let found = |releases: &[PendingRelease]| {
        let found = releases.iter().map(|release| {
            let evidence = &release.evidence;
            let place = (evidence.frame, evidence.site, evidence.held);
            (
                place,
                release.kind,
                release.certainty,
                release.object.is_nil(),
            )
        });
        let mut found: Vec<_> = found.collect();
        found.sort_unstable();
        found
    };
    found(one) == found(another)
}
