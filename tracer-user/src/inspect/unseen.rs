//! Goroutines that ran during an inspection and could not be seen: one of them may hold what others wait for,
//! so that a cycle of locks is not proven. On a busy machine a thread may not get a CPU for as long as
//! it is watched. The next moment is as good as this one.

use std::time::Duration;

use crate::finding::{
    diagnose::{Diagnosis, Evidence},
    model::{FindingKind, Verdict},
};
use resources::cancellation::sleep;

/// So often is looked again for a moment in which everybody is seen.
const TRIES: usize = 8;
/// And after so long.
const PAUSE: Duration = Duration::from_millis(25);

impl Diagnosis {
    /// Whether there seems to be a cycle of locks that an inspection of everybody would prove.
    pub(super) fn suspects_cycle_of_locks(&self) -> bool {
        self.findings.iter().any(|finding| {
            finding.verdict == Verdict::Suspected
                && matches!(
                    finding.kind,
                    FindingKind::LockCycle | FindingKind::SelfDeadlock
                )
        })
    }

    /// Whether somebody could not be seen who may hold a lock of such a cycle.
    pub(super) fn doubts_for_the_unseen(&self) -> bool {
        !self.snapshot.sampling.unseen.is_empty() && self.suspects_cycle_of_locks()
    }
}

/// What `read` reads first of a moment in which everybody is seen, or last where there is none.
pub(super) fn of_all<E>(mut read: impl FnMut() -> Result<Evidence, E>) -> Result<Evidence, E> {
    let mut evidence = read()?;
    for _ in 0..TRIES {
        if evidence.snapshot.sampling.unseen.is_empty() {
            break;
        }
        sleep(PAUSE);
        evidence = read()?;
    }
    Ok(evidence)
}
