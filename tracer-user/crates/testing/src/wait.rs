//! Waiting until something holds. How soon is not the question: the machine may be busy.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::Result;

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether it holds.
const INTERVAL: Duration = Duration::from_millis(100);

/// Waits until `look` finds something; `what` says what.
///
/// # Errors
/// That of `look`, or that there was nothing within [`PATIENCE`].
pub fn for_some<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for_some_every(INTERVAL, what, look)
}

/// Waits until `look` finds something, looking at an interval.
///
/// # Errors
/// That of `look`, or that there was nothing within [`PATIENCE`].
pub fn for_some_every<T>(
    interval: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{what}: not within {PATIENCE:?}"));
        }
        thread::sleep(interval);
    }
}

/// Waits until `holds` does.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    until_every(INTERVAL, what, holds);
}

/// Waits until `holds` does, looking at an interval.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub fn until_every(interval: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let held = for_some_every(interval, what, || Ok(holds().then_some(())));
    held.unwrap_or_else(|error| panic!("{error}"));
}
