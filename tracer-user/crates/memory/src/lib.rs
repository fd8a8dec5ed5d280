//! Reading a target's memory: one trait, and what implements it.
//!
//! Everything read here is hostile: callers bound every length and check every value.

mod cached;
mod core;
mod fake;
mod gather;
mod held;
mod live;
mod noting;
mod pages;
mod registers;
mod words;

pub use cached::CachedMemory;
pub use core::{CoreError, CoreMemory};
pub use fake::FakeMemory;
pub use gather::Gather;
pub use held::{HeldMemory, Room, Wanted};
pub use live::LiveMemory;
pub use noting::NotingMemory;
pub use pages::{PAGE, PAGES_LIMIT, Pages};
pub use registers::ThreadRegisters;
pub use words::words;

use ids::TargetAddr;

/// No pointer to memory is less: the first page is never mapped (`minLegalPointer` in
/// `runtime/malloc.go`).
pub const MIN_POINTER: u64 = 4096;

/// Why a read of the target's memory failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No readable mapping holds the whole range.
    #[error("{len} bytes at {at} are not readable")]
    Unmapped {
        /// Where the read began.
        at: TargetAddr,
        /// How many bytes were asked for.
        len: usize,
    },
    /// More was asked for than any sound structure of the runtime has.
    #[error("refusing to read {len} bytes at {at}: the limit is {limit}")]
    TooLong {
        /// Where the read began.
        at: TargetAddr,
        /// How many bytes were asked for.
        len: usize,
        /// The caller's limit.
        limit: usize,
    },
    /// The target has exited.
    #[error("the process has exited")]
    Gone,
    /// The kernel refused: not our process and no `CAP_SYS_PTRACE`.
    #[error("permission denied reading the process's memory (needs root or CAP_SYS_PTRACE)")]
    Denied,
    /// The look was cut short.
    #[error("the look was to end before it was done")]
    Cut,
}

impl ReadError {
    /// Whether every further read would fail, too.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Gone | Self::Denied | Self::Cut => true,
            Self::Unmapped { .. } | Self::TooLong { .. } => false,
        }
    }
}

/// One range of a batched read.
#[derive(Debug)]
pub struct ReadRequest<'buf> {
    /// Where to read.
    pub at: TargetAddr,
    /// Filled whole, or left in an unspecified state when `ok` is false.
    pub into: &'buf mut [u8],
    /// Whether the range was read whole.
    pub ok: bool,
}

/// A target's memory: a live process, a core file, or a fake for tests.
pub trait Memory: Send + Sync {
    /// Fills `into` from `at`, whole or not at all.
    ///
    /// # Errors
    /// [`ReadError::Unmapped`] when any byte is unreadable, [`ReadError::Gone`] when the target
    /// exited, [`ReadError::Denied`] when the kernel refused, [`ReadError::Cut`] when the work that the
    /// thread is at is to end.
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError>;

    /// Reads many ranges with as few system calls as the backend can; each request says for
    /// itself whether it succeeded.
    ///
    /// # Errors
    /// Only for what makes every further read pointless: see [`ReadError::is_final`].
    fn read_many(&self, requests: &mut [ReadRequest<'_>]) -> Result<(), ReadError> {
        for request in requests {
            request.ok = match self.read(request.at, request.into) {
                Ok(()) => true,
                Err(error) if error.is_final() => return Err(error),
                Err(_) => false,
            };
        }
        Ok(())
    }

    /// Whether all that could not be read is not there either. A copy may lack what the process
    /// had; nothing is proven from such a one.
    fn is_whole(&self) -> bool {
        true
    }
}

impl<M: Memory + ?Sized> Memory for &M {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        (**self).read(at, into)
    }

    fn read_many(&self, requests: &mut [ReadRequest<'_>]) -> Result<(), ReadError> {
        (**self).read_many(requests)
    }

    fn is_whole(&self) -> bool {
        (**self).is_whole()
    }
}

/// Typed little-endian reads on any [`Memory`].
pub trait MemoryExt: Memory {
    /// One byte at `at`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn read_u8(&self, at: TargetAddr) -> Result<u8, ReadError> {
        let mut bytes = [0; 1];
        self.read(at, &mut bytes)?;
        Ok(bytes[0])
    }

    /// A 32-bit word at `at`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn read_u32(&self, at: TargetAddr) -> Result<u32, ReadError> {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// A 64-bit word at `at`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn read_u64(&self, at: TargetAddr) -> Result<u64, ReadError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A pointer at `at`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn read_addr(&self, at: TargetAddr) -> Result<TargetAddr, ReadError> {
        self.read_u64(at).map(TargetAddr)
    }

    /// `len` bytes at `at`, refused when `len` exceeds `limit`.
    ///
    /// # Errors
    /// [`ReadError::TooLong`], else as [`Memory::read`].
    fn read_vec(&self, at: TargetAddr, len: usize, limit: usize) -> Result<Vec<u8>, ReadError> {
        if len > limit {
            return Err(ReadError::TooLong { at, len, limit });
        }
        let mut bytes = vec![0; len];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }
}

impl<M: Memory + ?Sized> MemoryExt for M {}
