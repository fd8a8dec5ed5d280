//! One connection, broken off when its peer does not take what is sent to it.
//!
//! A peer takes what its kernel acknowledges. That it asks for more now and then, or that the daemon
//! tries to send, is no progress.

use std::{
    io,
    os::fd::AsRawFd as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::places::Seat;

/// Most bytes sent and not yet acknowledged that the kernel keeps for one connection; it takes twice
/// as many for what it notes of them.
static SEND_BUFFER: libc::c_int = 128 << 10;
/// How often progress is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// A peer that has something to take has to take this much from one check to the next,
const LEAST_PROGRESS: u64 = 16 << 10;
/// or it has stalled once, and so often is too often.
const MAX_STALLS: u32 = 3;

/// A connection that breaks off when its peer stalls, or when it is at one thing for too long.
pub struct Connection {
    stream: TcpStream,
    seat: Arc<Seat>,
    check: Pin<Box<Sleep>>,
    progress: Progress,
}

/// How much of what was sent the peer has taken.
#[derive(Debug, Default)]
struct Progress {
    /// Bytes handed to the kernel.
    sent: u64,
    /// How many of them were acknowledged at the last check.
    acknowledged: u64,
    stalls: u32,
}

impl Progress {
    /// Whether the peer has stalled for too long, when of what was sent `waiting` bytes are not
    /// acknowledged.
    fn has_stalled(&mut self, waiting: u64) -> bool {
        let acknowledged = self.sent.saturating_sub(waiting);
        let taken = acknowledged.saturating_sub(self.acknowledged);
        self.acknowledged = acknowledged;
        let stalls = waiting > 0 && taken < LEAST_PROGRESS;
        self.stalls = if stalls { self.stalls + 1 } else { 0 };
        self.stalls >= MAX_STALLS
    }
}

impl Connection {
    /// Watches over `stream`, which has `seat`.
    pub fn new(stream: TcpStream, seat: Arc<Seat>) -> Self {
        // Answers are sent in one piece; a kernel that refuses only keeps more.
        let _ = stream.set_nodelay(true);
        limit_send_buffer(&stream);
        Self {
            stream,
            seat,
            check: Box::pin(sleep(CHECK_INTERVAL)),
            progress: Progress::default(),
        }
    }

    /// Breaks off when it is time.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.check.as_mut().poll(context).is_ready() {
            let waiting = unacknowledged(&self.stream)?;
            let overdue = self
                .seat
                .at()
                .is_none_or(|(kind, since)| since.elapsed() > kind.at_most());
            if overdue || self.progress.has_stalled(waiting) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let next = Instant::now() + CHECK_INTERVAL;
            self.check.as_mut().reset(next);
        }
        Ok(())
    }

    fn count_sent(&mut self, outcome: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(sent)) = outcome {
            self.progress.sent += *sent as u64;
        }
    }
}

/// How many bytes sent over `stream` its peer has not acknowledged.
fn unacknowledged(stream: &TcpStream) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: `SIOCOUTQ`, which has the number of `TIOCOUTQ`, writes one int to `bytes`, which lives on.
    let outcome = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// Has the kernel keep no more than it must of what a peer does not read.
fn limit_send_buffer(stream: &TcpStream) {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    let bytes: *const libc::c_int = &SEND_BUFFER;
    // SAFETY: the kernel reads one int from `bytes`, which is a static's.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            bytes.cast(),
            length,
        )
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if outcome.is_pending() {
            self.seat.set_read();
        }
        outcome
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let outcome = Pin::new(&mut self.stream).poll_write(context, buffer);
        self.count_sent(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.count_sent(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        // What is flushed here was written before: nothing is kept in between.
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.seat.set_sent();
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_takes_nothing_or_a_byte_now_and_then_stalls() {
        let mut progress = Progress {
            sent: 1 << 20,
            ..Progress::default()
        };
        let taken = |progress: &mut Progress, taken: u64| progress.has_stalled((1 << 20) - taken);
        assert!(!taken(&mut progress, 100_000));
        assert!(!taken(&mut progress, 100_001));
        assert!(!taken(&mut progress, 100_002));
        assert!(!taken(&mut progress, 200_000));
        assert!(!taken(&mut progress, 200_000));
        assert!(!taken(&mut progress, 200_001));
        assert!(taken(&mut progress, 200_002));
    }

    #[test]
    fn a_peer_that_has_taken_all_waits_for_us() {
        let mut progress = Progress {
            sent: 10,
            ..Progress::default()
        };
        assert!((0..100).all(|_| !progress.has_stalled(0)));
    }
}
