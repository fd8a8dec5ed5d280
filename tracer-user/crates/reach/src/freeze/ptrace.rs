//! The few ptrace requests that stop a thread and read its registers.

use std::{io, ptr};

use libc::{c_int, c_void};

use ids::Tid;

/// What `waitpid` reports of a thread being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Not yet.
    Running,
    /// Stopped as asked, or with its whole group.
    Interrupted,
    /// Stopped on the way to receiving this signal, which must be handed on when letting go.
    Signal(c_int),
    /// It has exited.
    Gone,
}

/// `NT_PRSTATUS` (`include/uapi/linux/elf.h`): the general registers.
pub const GENERAL: c_int = 1;
/// The register sets that hold the vector registers on this architecture.
#[cfg(target_arch = "x86_64")]
pub const VECTOR: &[c_int] = &[0x202]; // NT_X86_XSTATE
/// The register sets that hold the vector registers on this architecture.
#[cfg(not(target_arch = "x86_64"))]
pub const VECTOR: &[c_int] = &[2]; // NT_PRFPREG

/// Room for the largest register set (AVX-512 state is below 3 KiB, AMX below 11 KiB).
const SET_BYTES: usize = 16 << 10;

fn pid(tid: Tid) -> libc::pid_t {
    tid.0.cast_signed()
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `PTRACE_SEIZE`: become the thread's tracer without stopping it.
pub fn seize(tid: Tid) -> io::Result<()> {
    // SAFETY: no memory of ours is involved; both pointer arguments are plain zeroes.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_SEIZE,
            pid(tid),
            ptr::null_mut::<c_void>(),
            ptr::null_mut::<c_void>(),
        )
    })
}

/// `PTRACE_INTERRUPT`: ask a seized thread to stop.
pub fn interrupt(tid: Tid) -> io::Result<()> {
    // SAFETY: no memory of ours is involved; both pointer arguments are plain zeroes.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_INTERRUPT,
            pid(tid),
            ptr::null_mut::<c_void>(),
            ptr::null_mut::<c_void>(),
        )
    })
}

/// `PTRACE_DETACH`: let the thread run on, delivering `signal` (0 for none) first.
pub fn detach(tid: Tid, signal: c_int) -> io::Result<()> {
    let data = ptr::without_provenance_mut::<c_void>(usize::try_from(signal).unwrap_or(0));
    // SAFETY: the data argument is a signal number by ptrace(2) and is not dereferenced.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_DETACH,
            pid(tid),
            ptr::null_mut::<c_void>(),
            data,
        )
    })
}

/// Whether the thread has stopped, without waiting.
pub fn poll(tid: Tid) -> io::Result<Stop> {
    let mut status = 0;
    // SAFETY: `status` outlives the call, which writes one int to it.
    let waited = unsafe { libc::waitpid(pid(tid), &raw mut status, libc::__WALL | libc::WNOHANG) };
    match waited {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Stop::Running),
        _ if !libc::WIFSTOPPED(status) => Ok(Stop::Gone),
        _ if status >> 16 == libc::PTRACE_EVENT_STOP => Ok(Stop::Interrupted),
        _ => Ok(Stop::Signal(libc::WSTOPSIG(status))),
    }
}

/// One register set of a stopped thread as 64-bit words.
pub fn registers(tid: Tid, set: c_int) -> io::Result<Vec<u64>> {
    let mut words = vec![0_u64; SET_BYTES / 8];
    let mut into = libc::iovec {
        iov_base: words.as_mut_ptr().cast(),
        iov_len: SET_BYTES,
    };
    let address = ptr::without_provenance_mut::<c_void>(usize::try_from(set).unwrap_or(0));
    // SAFETY: `into` describes `words`, which is live, exclusively ours and `SET_BYTES` long; the
    // kernel writes at most `iov_len` bytes and stores how many.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_GETREGSET,
            pid(tid),
            address,
            (&raw mut into).cast::<c_void>(),
        )
    })?;
    words.truncate(into.iov_len / 8);
    Ok(words)
}
