//! The ring buffer: waiting for it and reading it.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    eventfd::{EfdFlags, EventFd},
};
use tracer_common::{Record, RecordKind};

/// The ring buffer, as its reader has it.
pub(super) struct Ring {
    buffer: RingBuf<MapData>,
    /// Records read that made no sense.
    undecodable: u64,
}

/// Waits for the ring buffer; may live on another thread than its reader.
#[derive(Debug)]
pub struct Waiter {
    epoll: Epoll,
    _ring: OwnedFd,
    interrupt: Arc<EventFd>,
}

/// Ends the waiting of a [`Waiter`], now and for good.
#[derive(Debug, Clone)]
pub struct Interrupter(Arc<EventFd>);

impl Waiter {
    /// Edge-triggered: records alone do not wake it, or each would, but only what the BPF side does
    /// on purpose: when a record finds all before it read, and when the buffer is a quarter full.
    pub(super) fn new(ring: &Ring) -> io::Result<Self> {
        let ring = ring.buffer.as_fd().try_clone_to_owned()?;
        let interrupt = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(&ring, EpollEvent::new(edge, 0))?;
        epoll.add(&interrupt, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(Self {
            epoll,
            _ring: ring,
            interrupt: Arc::new(interrupt),
        })
    }

    /// Something that ends the waiting.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::clone(&self.interrupt))
    }

    /// Returns true when a first record has come or the ring buffer fills, or when it was
    /// interrupted; false after `at_most`.
    pub fn wait(&self, at_most: Duration) -> bool {
        // Rounded up: what is due in a fraction of a millisecond is not waited for in a loop.
        let timeout = at_most.as_nanos().div_ceil(1_000_000);
        let timeout = u16::try_from(timeout).unwrap_or(u16::MAX);
        let mut events = [EpollEvent::empty()];
        // An interrupted wait is a short one.
        let woken = self.epoll.wait(&mut events, EpollTimeout::from(timeout));
        woken.is_ok_and(|number| number > 0)
    }
}

impl Interrupter {
    /// Ends the waiting.
    pub fn interrupt(&self) {
        // Fails when it has been written to 2^64 times.
        let _ = self.0.write(1);
    }
}

impl Ring {
    pub(super) const fn new(buffer: RingBuf<MapData>) -> Self {
        Self {
            buffer,
            undecodable: 0,
        }
    }

    /// How many records made no sense so far.
    pub(super) const fn undecodable(&self) -> u64 {
        self.undecodable
    }
}

/// Calls `visit` with the records that wait, oldest first, but with `most` of them at most, so that
/// a flood does not keep the caller here. Those that make no sense are counted only.
pub(super) fn drain(ring: &mut Ring, most: usize, mut visit: impl FnMut(&Record)) {
    for _ in 0..most {
        let Some(item) = ring.buffer.next() else {
            return;
        };
        match decode(&item) {
            Some(record) => visit(&record),
            None => ring.undecodable += 1,
        }
    }
}

/// A record of a kind that is known.
fn decode(item: &[u8]) -> Option<Record> {
    Record::from_bytes(item).filter(|record| RecordKind::from_byte(record.kind).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_another_length_or_of_no_known_kind_make_no_sense() {
        let mut item = [0; size_of::<Record>()];
        assert_eq!(decode(&item), None);
        let kind = std::mem::offset_of!(Record, kind);
        item[kind] = RecordKind::Load as u8;
        assert_eq!(decode(&item).map(|record| record.kind), Some(item[kind]));
        assert_eq!(decode(&item[1..]), None);
    }
}
