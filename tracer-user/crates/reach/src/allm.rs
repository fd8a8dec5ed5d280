//! The runtime's Ms, and the `g` structs that each has for itself: `g0`, on whose stack the scheduler
//! runs, and the one for signal handlers. They are in no list of goroutines.

use ids::{LoadBias, TargetAddr};
use image::Image;
use memory::{Memory, MemoryExt as _, ReadError};

/// More threads than Go allows by default, many times over (`sched.maxmcount` is 10,000).
const MAX_MS: usize = 1 << 17;

/// Where the list of all Ms is: `runtime.allm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllMs {
    /// Address of the list's head.
    pub head: TargetAddr,
    /// `m.g0`.
    pub g0: u64,
    /// `m.gsignal`.
    pub signal: u64,
    /// `m.alllink`.
    pub next: u64,
}

/// The `g` structs of one M; nil where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnGs {
    /// `m.g0`.
    pub g0: TargetAddr,
    /// `m.gsignal`.
    pub signal: TargetAddr,
}

impl AllMs {
    /// The list of the process that loaded `image` with `bias`.
    #[must_use]
    pub fn of(image: &Image, bias: LoadBias) -> Option<Self> {
        let m = &image.layout().m;
        Some(Self {
            head: image.globals().allm?.in_target(bias),
            g0: m.g0,
            signal: m.gsignal,
            next: m.alllink,
        })
    }

    /// What each M has.
    ///
    /// # Errors
    /// When the list cannot be read, or does not end.
    pub fn own_gs(&self, memory: &dyn Memory) -> Result<Vec<OwnGs>, ReadError> {
        let mut found = Vec::new();
        let mut m = memory.read_addr(self.head)?;
        while !m.is_nil() {
            if found.len() == MAX_MS {
                return Err(ReadError::TooLong {
                    at: self.head,
                    len: usize::MAX,
                    limit: MAX_MS,
                });
            }
            found.push(OwnGs {
                g0: memory.read_addr(m.offset(self.g0))?,
                signal: memory.read_addr(m.offset(self.signal))?,
            });
            m = memory.read_addr(m.offset(self.next))?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::FakeMemory;

    const LIST: AllMs = AllMs {
        head: TargetAddr(0x100),
        g0: 0,
        signal: 8,
        next: 16,
    };

    #[test]
    fn every_m_has_two_and_a_circle_ends() {
        let mut memory = FakeMemory::new();
        memory.map_words(TargetAddr(0x100), &[0x1000]);
        memory.map_words(TargetAddr(0x1000), &[0xa0, 0xa8, 0x2000]);
        memory.map_words(TargetAddr(0x2000), &[0xb0, 0, 0]);
        let own = |g0, signal| OwnGs {
            g0: TargetAddr(g0),
            signal: TargetAddr(signal),
        };
        let found = LIST.own_gs(&memory).unwrap();
        assert_eq!(found, [own(0xa0, 0xa8), own(0xb0, 0)]);
        memory.map_words(TargetAddr(0x2000), &[0xb0, 0, 0x1000]);
        assert!(LIST.own_gs(&memory).is_err());
    }
}
