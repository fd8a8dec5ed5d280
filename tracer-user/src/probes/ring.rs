//! The ring buffer: waiting for it and reading it.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tracer_common::Record;

/// Waits for the ring buffer; may live on another thread than its reader.
#[derive(Debug)]
pub struct Waiter {
    epoll: Epoll,
    _ring: OwnedFd,
}

impl Waiter {
    /// Edge-triggered: records alone do not wake it, or each would, but only what the BPF side does
    /// on purpose when the buffer is a quarter full.
    pub(super) fn new(ring: &RingBuf<MapData>) -> io::Result<Self> {
        let ring = ring.as_fd().try_clone_to_owned()?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let interest = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0);
        epoll.add(&ring, interest)?;
        Ok(Self { epoll, _ring: ring })
    }

    /// Returns when the ring buffer fills, and after `at_most` in any case.
    pub fn wait(&self, at_most: Duration) {
        let timeout = u16::try_from(at_most.as_millis()).unwrap_or(u16::MAX);
        let mut events = [EpollEvent::empty()];
        // An interrupted wait is a short one.
        let _ = self.epoll.wait(&mut events, EpollTimeout::from(timeout));
    }
}

/// Calls `visit` with the records that wait, oldest first, but with `most` of them at most, so that
/// a flood does not keep the caller here.
pub(super) fn drain(ring: &mut RingBuf<MapData>, most: usize, mut visit: impl FnMut(&Record)) {
    for _ in 0..most {
        let Some(item) = ring.next() else { return };
        if let Some(record) = Record::from_bytes(&item) {
            visit(&record);
        }
    }
}
