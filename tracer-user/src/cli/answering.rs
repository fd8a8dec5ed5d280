//! Waiting for what may never come: a process's memory, or its executable, that whoever serves it keeps
//! back. Commands say so after a while, and end, instead of waiting for ever.

use std::{
    collections::HashMap,
    panic::resume_unwind,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use crate::inspect::InspectError;
use resources::cancellation::{Cancellation, Stillness, motion_of, under_way};

use super::ending::Ending;

/// What has stood still for so long does not answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Likewise once the command has been told to end.
const FAREWELL: Duration = Duration::from_millis(500);
/// How often it is seen whether anything moves.
const STEP: Duration = Duration::from_millis(100);

/// The work under way, and for how long each has stood still.
#[derive(Debug, Default)]
struct Silence {
    known: HashMap<usize, Stillness>,
}

impl Silence {
    /// For how long that work has stood still that has for the longest.
    fn longest(&mut self) -> Duration {
        let now = Instant::now();
        let shares = under_way();
        let mut known = HashMap::new();
        let mut longest = Duration::ZERO;
        for share in shares {
            let mut stillness = self.known.remove(&share.id()).unwrap_or_default();
            let motion = motion_of(&share.threads());
            longest = longest.max(stillness.after(motion, now));
            known.insert(share.id(), stillness);
        }
        self.known = known;
        longest
    }
}

/// Does `work` on a thread of its own and waits for it, as long as something moves in at least
/// `patience`. Ctrl-C ends the command meanwhile, as it does without this.
///
/// # Errors
/// [`InspectError::Silent`] when nothing did; the thread is left behind.
pub fn answer<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, InspectError> {
    wait(patience, None, move || {
        let _work = Cancellation::default().begin(None);
        work()
    })
}

/// As [`answer`], of `work` that is mostly idle, so that only its inspections are watched, and which hears by
/// `ending` that it is to end.
///
/// # Errors
/// [`InspectError::Silent`].
pub fn answer_until<T: Send + 'static>(
    ending: &Ending,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, InspectError> {
    wait(PATIENCE, Some(ending), work)
}

fn wait<T: Send + 'static>(
    patience: Duration,
    ending: Option<&Ending>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, InspectError> {
    let (tell, told) = sync_channel(1);
    let working = thread::Builder::new().name("gostuck-work".to_owned());
    let working = working.spawn(move || {
        // Whoever waited may have gone.
        let _ = tell.send(work());
    });
    let working = working.map_err(|_| InspectError::Broken)?;
    let mut silence = Silence::default();
    loop {
        match told.recv_timeout(STEP) {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Disconnected) => match working.join() {
                Err(panic) => resume_unwind(panic),
                Ok(()) => return Err(InspectError::Broken),
            },
            Err(RecvTimeoutError::Timeout) => {}
        }
        let asked = ending.is_some_and(Ending::is_asked);
        let patience = if asked { FAREWELL } else { patience };
        if silence.longest() >= patience {
            return Err(InspectError::Silent);
        }
    }
}

/// Resolves when some look has stood still for long.
pub async fn silent() {
    let mut silence = Silence::default();
    while silence.longest() < PATIENCE {
        tokio::time::sleep(STEP).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn work_that_ends_is_answered_and_work_that_stands_still_is_left_behind() {
        let patience = Duration::from_millis(300);
        assert!(matches!(answer(patience, || 7), Ok(7)));
        let (never, waits) = channel::<()>();
        let silent = answer(patience, move || waits.recv().is_ok());
        assert!(matches!(silent, Err(InspectError::Silent)));
        drop(never);
    }

    #[test]
    fn work_that_naps_is_not_silent() {
        let naps = || {
            let end = Instant::now() + PATIENCE + Duration::from_secs(1);
            while Instant::now() < end {
                thread::sleep(Duration::from_millis(20));
            }
        };
        assert!(answer(PATIENCE, naps).is_ok());
    }
}
