//! Working in several threads at once.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::worker::MarkWorker;
use memory::ReadError;
use resources::cancellation::Share;

/// More threads than this gain nothing: the kernel copies about as fast as four of them look.
const MAX_THREADS: usize = 4;

/// As many hands as there are threads, each with a buffer of its own.
#[derive(Debug)]
pub(super) struct MarkPool {
    hands: Vec<MarkWorker>,
}

impl Default for MarkPool {
    fn default() -> Self {
        Self::of(1)
    }
}

impl MarkPool {
    /// A crew of at most `threads`, never less than one.
    pub(super) fn of(threads: usize) -> Self {
        let threads = threads.clamp(1, MAX_THREADS);
        Self {
            hands: (0..threads).map(|_| MarkWorker::default()).collect(),
        }
    }

    /// Whether there is more than one thread.
    pub(super) fn is_many(&self) -> bool {
        self.hands.len() > 1
    }

    /// Bytes read by all together.
    pub(super) fn bytes_read(&self) -> u64 {
        self.hands.iter().map(|hand| hand.bytes_read()).sum()
    }

    /// Ranges that could not be read.
    pub(super) fn unreadable(&self) -> u64 {
        self.hands.iter().map(|hand| hand.unreadable()).sum()
    }

    /// The first hand, for what one thread does alone.
    pub(super) fn hand(&mut self) -> Option<&mut MarkWorker> {
        self.hands.first_mut()
    }

    /// Does `work` on each of `tasks`; who is free takes the next, in order. One task alone is done
    /// by the calling thread.
    ///
    /// # Errors
    /// One of the errors of `work`, if there is any. Tasks may be left undone then.
    pub(super) fn share<T: Sync, R: Send>(
        &mut self,
        tasks: &[T],
        work: impl Fn(&mut MarkWorker, &T) -> Result<R, ReadError> + Sync,
    ) -> Result<Vec<R>, ReadError> {
        let next = AtomicUsize::new(0);
        let run = |hand: &mut MarkWorker| {
            let mut done = Vec::new();
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push(work(hand, task)?);
            }
            Ok(done)
        };
        let (first, others) = match self.hands.split_at_mut_checked(1) {
            Some(([first], others)) if tasks.len() > 1 => (first, others),
            Some(([first], _)) => return run(first),
            _ => return Ok(Vec::new()),
        };
        let share = Share::of_this_thread();
        let takes_part = |hand: &mut MarkWorker| {
            let _part = share.clone().map(Share::enter);
            run(hand)
        };
        thread::scope(|scope| {
            let others: Vec<_> = others
                .iter_mut()
                .take(tasks.len() - 1)
                .map(|hand| scope.spawn(|| takes_part(hand)))
                .collect();
            let mut all = run(first);
            for other in others {
                let done = match other.join() {
                    Ok(done) => done,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                all = all.and_then(|mut all| {
                    all.extend(done?);
                    Ok(all)
                });
            }
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::TargetAddr;

    #[test]
    fn every_task_is_done_once_by_whoever_is_free() {
        for threads in [1, 2, 3] {
            for count in [0, 1, 2, 100_u64] {
                let tasks: Vec<u64> = (0..count).collect();
                let done = MarkPool::of(threads).share(&tasks, |_, task| Ok(*task));
                let mut done = done.unwrap();
                done.sort_unstable();
                assert_eq!(done, tasks);
            }
        }
    }

    #[test]
    fn an_error_is_told() {
        let unmapped = ReadError::Unmapped {
            at: TargetAddr(8),
            len: 8,
        };
        let tasks: Vec<u64> = (0..100).collect();
        let done = MarkPool::of(2).share(&tasks, |_, task| match task {
            57 => Err(unmapped),
            task => Ok(*task),
        });
        assert_eq!(done, Err(unmapped));
    }
}
