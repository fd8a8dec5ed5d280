//! Ring-buffer records.

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A goroutine parks. Sent for targets with [`crate::flags::SEND_PARKS`] only.
    Parked = 1,
    /// A goroutine was woken by `runtime.ready`.
    Woken = 2,
    /// `runtime.newm`: the runtime asks for a thread.
    ThreadStarted = 3,
    /// A process executed a program.
    ProcessStarted = 4,
    /// A target's last thread or its leader ended.
    ProcessExited = 5,
    /// A goroutine of a target takes a contended semaphore, and perhaps parks on it. Told at most
    /// once every [`crate::LOCK_HINT_GAP_NS`] a target.
    LockWait = 6,
    /// The probes of a target were hit [`crate::LOAD_STEP`] times more on one CPU.
    Load = 7,
}

impl RecordKind {
    /// The kind that a record's byte stands for.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Parked,
            2 => Self::Woken,
            3 => Self::ThreadStarted,
            4 => Self::ProcessStarted,
            5 => Self::ProcessExited,
            6 => Self::LockWait,
            7 => Self::Load,
            _ => return None,
        })
    }
}

/// One ring-buffer record. With the buffer's own header it fills a cache line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// Process, as the initial pid namespace numbers it.
    pub tgid: u32,
    /// Thread that hit the probe.
    pub tid: u32,
    /// Address of the `g` that parks, was woken, or asks for a thread.
    pub g: u64,
    /// Its id; 0 when it could not be read.
    pub goid: u64,
    /// `Parked`: what it waits on ([`crate::Park::object`]). `Woken`: the id of the waker, 0 when
    /// a timer, the netpoller or the scheduler did it. `LockWait`: the semaphore.
    pub other: u64,
    /// `Parked`: the lock argument of `gopark`. `Woken`: how long it waited, in nanoseconds.
    pub value: u64,
    /// A [`RecordKind`].
    pub kind: u8,
    /// The wait reason, in the numbering of the target's Go version.
    pub reason: u8,
    /// Zero.
    pub padding: [u8; 6],
}

const _: () = assert!(size_of::<Record>() == 56);
const _: () = assert!(align_of::<Record>() == 8);

impl Record {
    /// Decodes one ring-buffer record; `None` when the length does not match.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<Self>() {
            return None;
        }
        // SAFETY: the length was checked, every bit pattern is a valid Record, and the read does
        // not need alignment.
        Some(unsafe { core::ptr::read_unaligned(bytes.as_ptr().cast()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_of_the_right_length_are_decoded() {
        assert_eq!(Record::from_bytes(&[0; 56]), Some(Record::default()));
        assert_eq!(Record::from_bytes(&[0; 55]), None);
        assert_eq!(Record::from_bytes(&[]), None);
    }
}
