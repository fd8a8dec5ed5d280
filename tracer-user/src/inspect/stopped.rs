//! An inspection of a process that stands still, or of which only one moment is left.
//!
//! Nothing moves there, so one inspection proves what it takes two of to prove of a process that runs.

use std::{sync::Arc, time::Duration};

use super::{
    history::History,
    inspector::{InspectError, Inspection, Inspector, Origin, locks, main_rests, unfollowed},
};
use crate::finding::diagnose::{Evidence, diagnose};
use holders::{Analyzer, holders};
use image::Image;
use process::{Process, cpu_limit};
use reach::{
    Prover,
    freeze::{HeldMoment, look_held},
};
use snapshot::{Target, take};

/// A process that does not go on while it is looked at.
pub struct StoppedProcess {
    /// The process.
    pub process: Process,
    /// What it executes.
    pub image: Arc<Image>,
    /// Its memory, stopped.
    pub target: Target,
    /// What is looked at.
    pub origin: Origin,
}

impl Inspector {
    /// Looks at one moment of `process`, which runs and executes `image`. It is held still only while
    /// its memory is copied, for `limit` at most; the inspection is at the copy.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn look_held(
        &self,
        process: &Process,
        image: &Arc<Image>,
        limit: Duration,
    ) -> Result<(Inspection, HeldMoment), InspectError> {
        let target = Target::live(process, Arc::clone(image))?;
        let check = || Ok(process.check_same()?);
        look_held(&target, limit, check, |target| {
            self.look_at_still(StoppedProcess {
                process: process.clone(),
                image: Arc::clone(image),
                target: target.clone(),
                origin: Origin::Live,
            })
        })
    }

    /// Looks at a process that stands still.
    ///
    /// # Errors
    /// [`InspectError::Snapshot`].
    pub fn look_at_still(&self, still: StoppedProcess) -> Result<Inspection, InspectError> {
        self.look_at_still_again(still, &mut History::of_single_look())
    }

    /// Likewise at one of several moments of it: waits are dated by what the `past` saw.
    ///
    /// # Errors
    /// [`InspectError::Snapshot`].
    pub fn look_at_still_again(
        &self,
        still: StoppedProcess,
        past: &mut History,
    ) -> Result<Inspection, InspectError> {
        let runs = still.origin == Origin::Live;
        let pid = runs.then_some(still.target.pid);
        self.whole(pid, |_| self.look_still(still, past))
    }

    fn look_still(
        &self,
        still: StoppedProcess,
        past: &mut History,
    ) -> Result<Inspection, InspectError> {
        let target = &still.target;
        past.begin(still.process.key);
        let mut snapshot = take(target)?;
        past.date(&mut snapshot);
        let runs = still.origin == Origin::Live;
        let analyzer = if runs {
            self.analyzer(still.process.exe.file, &still.image)
        } else {
            Arc::new(Analyzer::new(Arc::clone(&still.image)))
        };
        let cpu_limit = runs.then(|| cpu_limit(&still.process)).flatten();
        let locks = locks(&analyzer, target, &snapshot);
        snapshot.incomplete.extend(unfollowed(&locks));
        let snapshot = Arc::new(snapshot);
        let evidence = Evidence {
            process: still.process.key,
            cpu_limit,
            holders: holders(&snapshot, &locks),
            snapshot: Arc::clone(&snapshot),
            pending: locks.pending,
            main_rests: main_rests(&analyzer, &snapshot),
            // A copy that lacks something may lack who would free somebody.
            one_moment: target.stopped_threads().is_some() && target.memory.is_whole(),
            watched: None,
        };
        let walk = self.options().reach;
        let mut prover = walk.map(|options| Prover::new(target, Arc::clone(&snapshot), options));
        let walker = prover.as_mut().map(|prover| prover as _);
        let diagnosis = diagnose(evidence, walker, None, &*still.image, self.options());
        Ok(Inspection {
            process: still.process,
            image: still.image,
            cpu_limit,
            origin: still.origin,
            diagnosis,
        })
    }
}
