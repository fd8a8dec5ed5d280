//! One perf event of one thread, with its ring buffer.

use std::{
    io,
    ops::Range,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
};

use aya_obj::generated::{PERF_EVENT_IOC_REFRESH, perf_event_attr, perf_event_mmap_page};

use super::SamplingError;
use ids::Tid;

/// Bytes of the ring: holds one sample with the largest stack, and is a power of two pages on every
/// page size.
const RING_BYTES: usize = 128 << 10;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 8;

/// A perf event with its mapped ring buffer.
pub struct Ring {
    event: OwnedFd,
    map: NonNull<u8>,
    page: usize,
}

impl Ring {
    /// Opens the event on `tid`, not armed yet.
    pub fn open(tid: Tid, attributes: &perf_event_attr) -> Result<Self, SamplingError> {
        let event = open(tid, attributes).map_err(|error| SamplingError::of_open(error, tid))?;
        let page = page_size();
        // SAFETY: a new mapping at an address of the kernel's choice.
        let map = unsafe {
            libc::mmap(
                ptr::null_mut(),
                page + RING_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                event.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(map.cast::<u8>()) {
            Some(found) if map != libc::MAP_FAILED => Ok(Self {
                event,
                map: found,
                page,
            }),
            _ => Err(SamplingError::of_map(io::Error::last_os_error(), tid)),
        }
    }

    /// Lets the event take one more sample; the kernel disarms it then.
    pub fn arm(&self) -> io::Result<()> {
        let samples: libc::c_ulong = 1;
        // SAFETY: an ioctl of a live perf event that takes a number.
        let armed = unsafe {
            libc::ioctl(
                self.event.as_raw_fd(),
                libc::Ioctl::from(PERF_EVENT_IOC_REFRESH),
                samples,
            )
        };
        if armed < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// The event's descriptor: readable when there is a record.
    pub fn descriptor(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Takes out the bytes of the records that are there.
    pub fn take(&self) -> Vec<u8> {
        let head = self.position(std::mem::offset_of!(perf_event_mmap_page, data_head));
        let tail = self.position(std::mem::offset_of!(perf_event_mmap_page, data_tail));
        // Acquires what the kernel wrote before it moved the head.
        let to = head.load(Ordering::Acquire);
        let from = tail.load(Ordering::Relaxed);
        let mut bytes = Vec::new();
        for piece in pieces(from, to, RING_BYTES) {
            self.copy(piece, &mut bytes);
        }
        // Releases them to the kernel, which writes there again.
        tail.store(to, Ordering::Release);
        bytes
    }

    fn copy(&self, piece: Range<usize>, bytes: &mut Vec<u8>) {
        let old = bytes.len();
        bytes.resize(old + piece.len(), 0);
        // SAFETY: `piece` lies in the ring, which begins one page into the mapping, and the kernel
        // writes no byte between tail and head; `bytes` has just grown by that many.
        unsafe {
            ptr::copy_nonoverlapping(
                self.map.as_ptr().add(self.page + piece.start),
                bytes.as_mut_ptr().add(old),
                piece.len(),
            );
        }
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: an aligned word of the mapping's first page, which lives as long as `self` and is
        // only accessed atomically.
        unsafe { AtomicU64::from_ptr(self.map.as_ptr().add(offset).cast()) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `open`, to which nothing refers any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.page + RING_BYTES) };
    }
}

/// Where the bytes from position `from` to position `to` lie in a ring of `size` bytes, a power of
/// two: in two pieces where they wrap around; nowhere when the positions make no sense.
fn pieces(from: u64, to: u64, size: usize) -> impl Iterator<Item = Range<usize>> {
    let len = usize::try_from(to.wrapping_sub(from)).unwrap_or(usize::MAX);
    let len = if len > size { 0 } else { len };
    let start = usize::try_from(from % size.max(1) as u64).unwrap_or(0);
    let first = len.min(size - start);
    [start..start + first, 0..len - first]
        .into_iter()
        .filter(|piece| !piece.is_empty())
}

fn open(tid: Tid, attributes: &perf_event_attr) -> io::Result<OwnedFd> {
    let tid = libc::pid_t::try_from(tid.0).map_err(io::Error::other)?;
    let (any_cpu, no_group): (libc::c_int, libc::c_int) = (-1, -1);
    // SAFETY: the attributes live during the call and say their own size.
    let event = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            ptr::from_ref(attributes),
            tid,
            any_cpu,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    if event < 0 {
        return Err(io::Error::last_os_error());
    }
    let event = RawFd::try_from(event).map_err(io::Error::other)?;
    // SAFETY: the kernel just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(event) })
}

fn page_size() -> usize {
    // SAFETY: no memory is involved.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(from: u64, to: u64) -> Vec<(usize, usize)> {
        let pieces = pieces(from, to, 16);
        pieces.map(|piece| (piece.start, piece.end)).collect()
    }

    #[test]
    fn a_ring_is_read_in_order() {
        assert!(all(0, 0).is_empty());
        assert_eq!(all(4, 12), [(4, 12)]);
        assert_eq!(all(20, 28), [(4, 12)]);
        assert_eq!(all(0, 16), [(0, 16)]);
        assert_eq!(all(12, 20), [(12, 16), (0, 4)], "it wraps around");
    }

    #[test]
    fn positions_that_make_no_sense_are_nothing() {
        assert!(all(0, 17).is_empty());
        assert!(all(5, 4).is_empty());
        assert_eq!(
            all(u64::MAX, 3),
            [(15, 16), (0, 3)],
            "they count on for ever"
        );
    }
}
