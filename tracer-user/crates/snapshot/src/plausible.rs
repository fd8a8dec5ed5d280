//! Whether a layout that is not of the target's own Go version fits the target nevertheless.

use super::{Goroutine, SnapshotError, Target, Thread};
use ids::{ImageAddr, Tid};
use image::LayoutSource;

/// What a look by a guessed layout found.
pub(super) struct Found<'a> {
    pub(super) goroutines: &'a [Goroutine],
    pub(super) threads: &'a [Thread],
    /// The kernel's threads, where they are known.
    pub(super) tasks: Option<&'a [Tid]>,
    /// Goroutines that wait for an object which was not found.
    pub(super) objectless: u64,
}

/// Holds what was `found` against what is true of every Go process, when the layout is that of the
/// nearest known version. The generated layouts and those out of debug information need no such
/// check.
///
/// # Errors
/// [`SnapshotError::Layout`] with the rule that is broken.
pub(super) fn check(target: &Target, found: &Found<'_>) -> Result<(), SnapshotError> {
    let LayoutSource::Nearest(nearest) = target.image.layout_source() else {
        return Ok(());
    };
    match broken_rule(target, found) {
        None => Ok(()),
        Some(rule) => Err(SnapshotError::Layout {
            version: target.image.go_version().raw.clone(),
            what: format!("tried as {nearest}: {rule}"),
        }),
    }
}

fn broken_rule(target: &Target, found: &Found<'_>) -> Option<String> {
    let is_code = |pc: ImageAddr| target.image.function_at(pc).is_some();
    // `newproc1` sets both, also for main (`rt0_go`) and the runtime's own.
    let mut goroutines = found.goroutines.iter();
    let unsound = goroutines.find(|g| !is_code(g.start) || !g.created_at.is_some_and(is_code));
    if let Some(g) = unsound {
        return Some(format!("goroutine {} was made by no function", g.goid));
    }
    // `m.procid` is the kernel's thread id.
    let is_task = |tid| found.tasks.is_none_or(|tasks| tasks.contains(&tid));
    let is_known = |t: &Thread| t.m.is_some() && t.tid.is_some_and(is_task);
    if !found.threads.iter().any(is_known) {
        return Some("no thread of the runtime is a thread of the kernel".to_owned());
    }
    let waiting = found.goroutines.iter().filter(|g| !g.waits_on.is_empty());
    (found.objectless > waiting.count() as u64).then(|| "most waits lead to no object".to_owned())
}
