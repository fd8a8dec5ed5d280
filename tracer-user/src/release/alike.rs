//! Goroutines that stand alike: ten thousand at one site cost one analysis, and at the next
//! inspection none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::{
    executor::{Dependence, Trace, World},
    frames::{self, Shape, Standing},
    model::PendingRelease,
};
use crate::ids::{LoadBias, TargetAddr};

/// Results that are kept for goroutines with the same frames at most: those take different courses.
const MAX_COURSES: usize = 16;
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

/// The goroutines of one inspection, as they stand.
#[derive(Debug)]
pub struct Alike<'a> {
    courses: &'a Courses,
    bias: LoadBias,
    here: FxHashMap<Shape, Vec<Arc<Course>>>,
    spared: usize,
}

impl Courses {
    /// Begins an inspection of a process whose image is displaced by `bias`.
    pub fn begin(&self, bias: LoadBias) -> Alike<'_> {
        self.known().begin();
        Alike {
            courses: self,
            bias,
            here: FxHashMap::default(),
            spared: 0,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Drops what has served nobody for long, if room is scarce.
    fn begin(&mut self) {
        self.inspections += 1;
        if self.weight < MAX_WEIGHT / 2 {
            return;
        }
        let oldest = self.inspections.saturating_sub(MAX_UNUSED);
        let mut weight = 0;
        self.by_shape.retain(|_, kept| {
            let stays = kept.used >= oldest;
            weight += if stays { kept.weight() } else { 0 };
            stays
        });
        self.weight = weight;
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

    /// What the continuation of the goroutine will release: as one that takes the same course was
    /// found to, else by following its frames.
    pub fn pending(&mut self, standing: &Standing<'_>) -> Vec<PendingRelease> {
        let shape = standing.shape();
        let key = || (self.bias, shape.clone());
        let known = || self.courses.known().of(&key());
        let courses = self.here.entry(shape.clone()).or_insert_with(known);
        let given = standing.given();
        let nothing_noted = Trace::off();
        let world = standing.world(&nothing_noted);
        for course in courses.iter() {
            if let Some(releases) = course.of(standing.sp(), &given, &world) {
                self.spared += 1;
                return releases;
            }
        }
        if courses.len() >= MAX_COURSES {
            return frames::pending(standing, &nothing_noted);
        }
        let trace = Trace::on(standing.sp());
        let releases = frames::pending(standing, &trace);
        if let Some(dependence) = trace.finish() {
            let course = Arc::new(Course {
                dependence,
                releases: releases.clone(),
            });
            courses.push(Arc::clone(&course));
            self.courses.known().add(key(), course);
        }
        releases
    }
}

impl Course {
    /// The releases of the goroutine with this stack pointer, these numbers of its own and this
    /// memory, if it takes this course.
    fn of(&self, sp: u64, given: &[u64], world: &World<'_>) -> Option<Vec<PendingRelease>> {
        let other = self.dependence.applies(sp, given, world)?;
        let releases = self.releases.iter().map(|release| {
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
