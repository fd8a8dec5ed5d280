//! A memory that notes which pages were read.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashSet;

use super::{
    Memory, ReadError,
    pages::{PAGES_LIMIT, bases},
};
use ids::TargetAddr;

/// Another memory, and the addresses of the pages of it that were read.
pub struct NotingMemory<M> {
    memory: M,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    known: FxHashSet<u64>,
    in_order: Vec<u64>,
}

impl<M: Memory> NotingMemory<M> {
    /// Reads `memory`, and has read nothing yet.
    pub fn new(memory: M) -> Self {
        Self {
            memory,
            noted: Mutex::default(),
        }
    }

    /// The pages that were read, in the order in which they were first.
    pub fn noted(&self) -> Vec<u64> {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.in_order.clone()
    }
}

impl<M: Memory> Memory for NotingMemory<M> {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        self.memory.read(at, into)?;
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        for base in bases(at, into.len()) {
            if noted.in_order.len() < PAGES_LIMIT && noted.known.insert(base) {
                noted.in_order.push(base);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FakeMemory, MemoryExt as _};

    #[test]
    fn pages_are_noted_once_in_the_order_of_reads() {
        let mut fake = FakeMemory::new();
        fake.map(TargetAddr(0x1000), vec![0; 0x3000]);
        let noting = NotingMemory::new(fake);
        noting.read_u8(TargetAddr(0x3004)).unwrap();
        noting.read_vec(TargetAddr(0x1ffc), 8, 8).unwrap();
        noting.read_u8(TargetAddr(0x1000)).unwrap();
        assert!(noting.read_u8(TargetAddr(0x9000)).is_err());
        assert_eq!(noting.noted(), [0x3000, 0x1000, 0x2000]);
    }
}
