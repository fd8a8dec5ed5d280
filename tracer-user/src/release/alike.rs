//! Goroutines that stand alike: ten thousand at one site cost one analysis.

use rustc_hash::FxHashMap;

use super::{
    executor::{Dependence, Trace, World},
    frames::{self, Shape, Standing},
    model::PendingRelease,
};
use crate::ids::TargetAddr;

/// Results that are kept for goroutines with the same frames at most: those take different courses.
const MAX_COURSES: usize = 16;

/// Results by where the goroutines stand, as memory is now.
#[derive(Debug, Default)]
pub struct Alike {
    courses: FxHashMap<Shape, Vec<Course>>,
    spared: usize,
}

/// A result and what it depends on.
#[derive(Debug)]
struct Course {
    dependence: Dependence,
    releases: Vec<PendingRelease>,
}

impl Alike {
    /// For how many goroutines another one's result served.
    pub const fn spared(&self) -> usize {
        self.spared
    }

    /// What the continuation of the goroutine will release: as one that takes the same course was
    /// found to, else by following its frames.
    pub fn pending(&mut self, standing: &Standing<'_>) -> Vec<PendingRelease> {
        let courses = self.courses.entry(standing.shape()).or_default();
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
            courses.push(Course {
                dependence,
                releases: releases.clone(),
            });
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
