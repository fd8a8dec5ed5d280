//! Closing links off the way of everybody else: the kernel waits for a grace period at each, from ten
//! milliseconds on an idle host to a hundred on a busy one, and those that are closed at once wait
//! together.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::attachment::Link;

/// Links that are closed at once while probes are placed elsewhere.
const THREADS: usize = 8;
/// Likewise when all go: what is left when the process ends, the kernel closes one by one.
const THREADS_AT_THE_END: usize = 128;
/// A thread that closes a link needs next to none.
const STACK: usize = 64 << 10;

/// Closes links on threads of its own, of which there are none while there is nothing to close.
/// Dropping it waits until all are closed.
#[derive(Default)]
pub(super) struct Closer(Arc<Desk>);

#[derive(Default)]
struct Desk {
    queue: Mutex<Queue>,
    over: Condvar,
}

#[derive(Default)]
struct Queue {
    links: VecDeque<Link>,
    threads: usize,
}

impl Closer {
    /// Has `links` closed soon.
    pub fn close(&self, links: impl IntoIterator<Item = Link>) {
        self.close_by(THREADS, links);
    }

    /// Has `links` closed, which are all that is left, as soon as the kernel can.
    pub fn close_last(&self, links: impl IntoIterator<Item = Link>) {
        self.close_by(THREADS_AT_THE_END, links);
    }

    fn close_by(&self, threads: usize, links: impl IntoIterator<Item = Link>) {
        let mut queue = self.0.queue();
        queue.links.extend(links);
        while queue.threads < threads.min(queue.links.len()) {
            let desk = Arc::clone(&self.0);
            let thread = thread::Builder::new()
                .name("gostuck-closes".to_owned())
                .stack_size(STACK);
            match thread.spawn(move || desk.serve()) {
                Ok(_) => queue.threads += 1,
                // Then it takes its time here.
                Err(_) if queue.threads == 0 => queue.links.clear(),
                Err(_) => break,
            }
        }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        let waits = |queue: &mut Queue| queue.threads > 0;
        drop(self.0.over.wait_while(self.0.queue(), waits));
    }
}

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        loop {
            let mut queue = self.queue();
            let Some(link) = queue.links.pop_front() else {
                queue.threads -= 1;
                self.over.notify_all();
                return;
            };
            drop(queue);
            drop(link);
        }
    }
}
