//! Samples of threads that run: registers and stack at one instant, copied by the kernel while the
//! thread goes on.
//!
//! A perf event on the thread's own CPU time (`PERF_COUNT_SW_TASK_CLOCK`, a timer of the kernel's,
//! which every virtual machine has) interrupts it for some microseconds, and the interrupt copies
//! the user registers and up to 64 KiB of the user stack. Only instants in user mode count
//! (`exclude_kernel`): there the registers are those of the interrupted instruction, while of a
//! thread inside the kernel some would be missing, and the privilege for it is smaller. The event is
//! armed for one sample at a time and closed at the end.

#[cfg(target_arch = "x86_64")]
mod amd64;
#[cfg(not(target_arch = "x86_64"))]
mod arm64;
mod attributes;
mod error;
mod record;
mod registers;
mod ring;
mod watch;

#[cfg(target_arch = "x86_64")]
use amd64 as machine;
#[cfg(not(target_arch = "x86_64"))]
use arm64 as machine;

pub use error::SamplingError;
pub use registers::UserRegisters;
pub use watch::{
    Reception, Sampling, SamplingLimits, ThreadOutcome, ThreadSample, may_sample_others,
    sample_threads,
};
