//! A live process's memory by `process_vm_readv`: no stop, no ptrace attach.

use std::io::IoSliceMut;

use nix::{
    errno::Errno,
    sys::uio::{RemoteIoVec, process_vm_readv},
    unistd,
};

use super::{Memory, ReadError, ReadRequest};
use ids::{Pid, TargetAddr};
use resources::cancellation::is_cut;

/// How many ranges one system call may carry (`IOV_MAX`, `include/uapi/linux/uio.h`).
const RANGES_PER_CALL: usize = 1024;

/// The memory of a running process.
///
/// The caller has made sure that `pid` still is the process it means (start time); a process that
/// is replaced later reads as other bytes, which the snapshot's checks reject.
#[derive(Debug, Clone, Copy)]
pub struct LiveMemory {
    pid: unistd::Pid,
}

impl LiveMemory {
    /// Reads `pid`'s memory from now on. Nothing is opened, and nothing is checked yet.
    #[must_use]
    pub fn new(pid: Pid) -> Self {
        Self {
            pid: unistd::Pid::from_raw(pid.0.cast_signed()),
        }
    }

    fn error(errno: Errno, at: TargetAddr, len: usize) -> ReadError {
        match errno {
            Errno::ESRCH => ReadError::Gone,
            Errno::EPERM => ReadError::Denied,
            _ => ReadError::Unmapped { at, len },
        }
    }
}

fn remote(at: TargetAddr, len: usize) -> RemoteIoVec {
    RemoteIoVec {
        base: usize::try_from(at.0).unwrap_or(usize::MAX),
        len,
    }
}

impl Memory for LiveMemory {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let len = into.len();
        if len == 0 {
            return Ok(());
        }
        if is_cut() {
            return Err(ReadError::Cut);
        }
        match process_vm_readv(self.pid, &mut [IoSliceMut::new(into)], &[remote(at, len)]) {
            Ok(read) if read == len => Ok(()),
            Ok(_) => Err(ReadError::Unmapped { at, len }),
            Err(errno) => Err(Self::error(errno, at, len)),
        }
    }

    fn read_many(&self, requests: &mut [ReadRequest<'_>]) -> Result<(), ReadError> {
        let mut rest = requests;
        while !rest.is_empty() {
            let count = rest.len().min(RANGES_PER_CALL);
            let (chunk, tail) = rest.split_at_mut(count);
            self.read_chunk(chunk)?;
            rest = tail;
        }
        Ok(())
    }
}

impl LiveMemory {
    /// One call for all of `chunk`. The kernel stops at the first range that fails, so that one is
    /// marked and the call is repeated behind it.
    fn read_chunk(&self, mut chunk: &mut [ReadRequest<'_>]) -> Result<(), ReadError> {
        while !chunk.is_empty() {
            if is_cut() {
                return Err(ReadError::Cut);
            }
            let remotes: Vec<_> = chunk.iter().map(|r| remote(r.at, r.into.len())).collect();
            let mut locals: Vec<_> = chunk.iter_mut().map(|r| IoSliceMut::new(r.into)).collect();
            let read = match process_vm_readv(self.pid, &mut locals, &remotes) {
                Ok(read) => read,
                Err(Errno::EFAULT) => 0,
                Err(errno) => return Err(Self::error(errno, chunk[0].at, chunk[0].into.len())),
            };
            drop(locals);
            let mut left = read;
            let mut done = 0;
            for request in chunk.iter_mut() {
                request.ok = left >= request.into.len();
                if !request.ok {
                    break;
                }
                left -= request.into.len();
                done += 1;
            }
            chunk = &mut chunk[(done + 1).min(remotes.len())..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryExt as _;

    fn own() -> LiveMemory {
        LiveMemory::new(Pid(std::process::id()))
    }

    #[test]
    fn reads_its_own_memory() {
        let word = 0x0123_4567_89ab_cdef_u64;
        let at = TargetAddr(std::ptr::from_ref(&word) as u64);
        assert_eq!(own().read_u64(at), Ok(word));
    }

    #[test]
    fn a_batch_goes_on_behind_an_unmapped_range() {
        let word = 7_u64;
        let good = TargetAddr(std::ptr::from_ref(&word) as u64);
        let (mut a, mut b, mut c) = ([0; 8], [0; 8], [0; 8]);
        let mut requests = [
            ReadRequest {
                at: good,
                into: &mut a,
                ok: false,
            },
            ReadRequest {
                at: TargetAddr(8),
                into: &mut b,
                ok: false,
            },
            ReadRequest {
                at: good,
                into: &mut c,
                ok: false,
            },
        ];
        own().read_many(&mut requests).unwrap();
        assert_eq!(requests.map(|r| r.ok), [true, false, true]);
        assert_eq!((a, c), (word.to_le_bytes(), word.to_le_bytes()));
    }

    #[test]
    fn a_process_that_is_gone_says_so() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid(child.id());
        child.wait().unwrap();
        assert_eq!(
            LiveMemory::new(pid).read_u64(TargetAddr(0x1000)),
            Err(ReadError::Gone)
        );
    }
}
