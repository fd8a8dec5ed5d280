//! An allocator that counts, and ends the program where more is asked for than the input at hand may take.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// What stands in for "no limit".
const UNLIMITED: usize = usize::MAX;

/// Bytes that are allocated now.
static NOW: AtomicUsize = AtomicUsize::new(0);
/// The most there were since the last reset.
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// From here on the program ends, so that one wild length does not take the machine with it.
static LIMIT: AtomicUsize = AtomicUsize::new(UNLIMITED);
/// One input at a time, since all threads are counted together.
static AT_WORK: Mutex<()> = Mutex::new(());

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

fn add(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed).saturating_add(bytes);
    PEAK.fetch_max(now, Relaxed);
    if now > LIMIT.load(Relaxed) {
        LIMIT.store(UNLIMITED, Relaxed);
        eprintln!(
            "{bytes} bytes were asked for when {} were in use: more than this input may take",
            now - bytes
        );
        // An allocator may not unwind.
        std::process::abort();
    }
}

// SAFETY: every call is passed on to the system's allocator as it is; only numbers are kept beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        add(new.saturating_sub(layout.size()));
        NOW.fetch_sub(layout.size().saturating_sub(new), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, new) }
    }
}

/// Does `work`, and says how many bytes were allocated at most meanwhile, beyond those before. It ends the
/// program where that is more than `most`, at the allocation.
pub(crate) fn peak_of(most: usize, work: impl FnOnce()) -> usize {
    let _one = AT_WORK.lock().unwrap_or_else(PoisonError::into_inner);
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    LIMIT.store(before.saturating_add(most), Relaxed);
    work();
    LIMIT.store(UNLIMITED, Relaxed);
    PEAK.load(Relaxed).saturating_sub(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_told_even_of_what_was_given_back() {
        let peak = peak_of(UNLIMITED, || drop(vec![1_u8; 10 << 20]));
        assert!((10 << 20..30 << 20).contains(&peak), "{peak}");
    }
}
