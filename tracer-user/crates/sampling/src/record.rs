//! The records of a perf ring buffer, as `perf_event_open(2)` describes them. Pure: bytes in,
//! records out; whatever makes no sense is passed over.

use super::registers::UserRegisters;
use ids::{Pid, Tid};

/// `PERF_RECORD_LOST` and `PERF_RECORD_SAMPLE` (`include/uapi/linux/perf_event.h`).
const LOST: u32 = 2;
const SAMPLE: u32 = 9;
/// `PERF_SAMPLE_REGS_ABI_64`.
const ABI_64: u64 = 2;
/// Bytes of a record's header: type, miscellaneous bits, size.
const HEADER: usize = 8;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A sample of a thread in user mode.
    Sample(RawSample),
    /// Samples for which the ring had no room.
    Lost(u64),
    /// Anything else, a sample without registers included.
    Other,
}

/// A sample with everything that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSample {
    /// The process, as this process's pid namespace numbers it.
    pub pid: Pid,
    /// The thread, likewise.
    pub tid: Tid,
    /// When, in nanoseconds of the event's clock.
    pub time_ns: u64,
    /// Its registers.
    pub registers: UserRegisters,
    /// Its stack from the stack pointer on, as far as it was copied.
    pub stack: Vec<u8>,
}

/// The records in `bytes`, up to the first that does not fit in.
pub fn records(bytes: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((record, after)) = first(rest) {
        found.push(record);
        rest = after;
    }
    found
}

fn first(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let header = bytes.first_chunk::<HEADER>()?;
    let kind = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let size = usize::from(u16::from_le_bytes([header[6], header[7]]));
    let body = bytes.get(HEADER..size)?;
    let record = match kind {
        LOST => lost(body),
        SAMPLE => sample(body).map(Record::Sample),
        _ => None,
    };
    Some((record.unwrap_or(Record::Other), bytes.get(size..)?))
}

/// `struct { u64 id; u64 lost; }`.
fn lost(body: &[u8]) -> Option<Record> {
    let mut words = Words(body);
    words.next()?;
    words.next().map(Record::Lost)
}

/// `struct { u32 pid, tid; u64 time; u64 abi; u64 regs[]; u64 size; char data[size]; u64 dyn_size; }`
/// for the sample type of [`attributes`](super::attributes).
fn sample(body: &[u8]) -> Option<RawSample> {
    let mut words = Words(body);
    let ids = words.next()?;
    let time_ns = words.next()?;
    if words.next()? != ABI_64 {
        return None;
    }
    let registers: Option<Vec<u64>> = (0..UserRegisters::count()).map(|_| words.next()).collect();
    let registers = UserRegisters::from_perf(&registers?)?;
    let size = usize::try_from(words.next()?).ok()?;
    let data = words.0.get(..size)?;
    let filled = match size {
        // The size that was filled follows the data only if there is room for any.
        0 => 0,
        _ => Words(words.0.get(size..)?).next()?,
    };
    let filled = usize::try_from(filled).ok()?.min(size);
    Some(RawSample {
        pid: Pid((ids & 0xffff_ffff) as u32),
        tid: Tid((ids >> 32) as u32),
        time_ns,
        registers,
        stack: data.get(..filled)?.to_vec(),
    })
}

/// Takes word after word.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn next(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let size = u16::try_from(HEADER + body.len()).expect("records are small");
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(size.to_le_bytes());
        bytes.extend(body);
        bytes
    }

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn body(abi: u64, stack: &[u8], filled: u64) -> Vec<u8> {
        let mut body = words(&[0x7 | 0x8 << 32, 99, abi]);
        if abi != 0 {
            let count = u64::try_from(UserRegisters::count()).expect("few");
            body.extend(words(&(0..count).collect::<Vec<_>>()));
        }
        body.extend(words(&[stack.len() as u64]));
        body.extend(stack);
        if !stack.is_empty() {
            body.extend(words(&[filled]));
        }
        body
    }

    fn only_sample(bytes: &[u8]) -> Option<RawSample> {
        match &records(bytes)[..] {
            [Record::Sample(sample)] => Some(sample.clone()),
            _ => None,
        }
    }

    #[test]
    fn a_sample_is_taken_apart() {
        let bytes = record(SAMPLE, &body(ABI_64, &[1; 64], 24));
        let sample = only_sample(&bytes).expect("it is whole");
        assert_eq!((sample.pid, sample.tid), (Pid(7), Tid(8)));
        assert_eq!(sample.time_ns, 99);
        assert_eq!(sample.stack, [1; 24], "what was not filled is left out");
    }

    #[test]
    fn more_filled_than_there_is_room_for_is_cut() {
        let bytes = record(SAMPLE, &body(ABI_64, &[1; 16], u64::MAX));
        assert_eq!(only_sample(&bytes).map(|s| s.stack.len()), Some(16));
    }

    #[test]
    fn a_sample_without_registers_or_stack_is_no_sample_of_user_mode() {
        let none = record(SAMPLE, &body(0, &[], 0));
        assert_eq!(records(&none), [Record::Other]);
        let of_32_bits = record(SAMPLE, &body(1, &[], 0));
        assert_eq!(records(&of_32_bits), [Record::Other]);
        let without_stack = record(SAMPLE, &body(ABI_64, &[], 0));
        assert_eq!(only_sample(&without_stack).map(|s| s.stack.len()), Some(0));
    }

    #[test]
    fn lost_samples_are_counted_and_the_next_record_is_read() {
        let mut bytes = record(LOST, &words(&[1, 5]));
        bytes.extend(record(SAMPLE, &body(ABI_64, &[1; 8], 8)));
        bytes.extend(record(77, &[]));
        let found = records(&bytes);
        assert_eq!(found[0], Record::Lost(5));
        assert!(matches!(found[1], Record::Sample(_)));
        assert_eq!(found[2..], [Record::Other]);
    }

    #[test]
    fn a_record_that_ends_too_early_is_the_last() {
        let bytes = record(SAMPLE, &body(ABI_64, &[1; 64], 64));
        for len in 0..bytes.len() {
            assert!(records(&bytes[..len]).is_empty(), "{len}");
        }
        // A size below the header's would go round for ever.
        assert!(records(&[9, 0, 0, 0, 0, 0, 0, 0]).is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let whole = records(&bytes);
            prop_assert!(whole.len() <= bytes.len() / HEADER);
        }

        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..512)) {
            prop_assert_eq!(records(&record(SAMPLE, &body)).len(), 1);
        }
    }
}
