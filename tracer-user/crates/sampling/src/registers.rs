//! The registers of a sample, in the numbering of the machine's own encoding.

use super::machine;
use ids::TargetAddr;

/// Every register that is sampled, as perf's bit mask.
pub(super) fn mask() -> u64 {
    let general = machine::GENERAL.iter().fold(0, |mask, at| mask | 1 << at);
    general | 1 << machine::PC
}

/// The general registers and the program counter of a thread in user mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRegisters {
    general: Vec<u64>,
    pc: u64,
}

impl UserRegisters {
    /// The registers with these values, `general` in the order of the machine's encoding.
    #[must_use]
    pub const fn new(general: Vec<u64>, pc: TargetAddr) -> Self {
        Self { general, pc: pc.0 }
    }

    /// The registers out of what perf writes: one word for each bit of the mask, the lowest first.
    pub(super) fn from_perf(words: &[u64]) -> Option<Self> {
        let mask = mask();
        let word = |at: &u8| {
            let before = mask & ((1 << at) - 1);
            words.get(before.count_ones() as usize).copied()
        };
        Some(Self {
            general: machine::GENERAL.iter().map(word).collect::<Option<_>>()?,
            pc: word(&machine::PC)?,
        })
    }

    /// How many there are, without the program counter.
    pub(super) fn count() -> usize {
        mask().count_ones() as usize
    }

    /// The general registers by their number in the machine's encoding: on amd64 `rax`, `rcx`,
    /// `rdx`, `rbx`, `rsp`, `rbp`, `rsi`, `rdi`, `r8` to `r15`; on arm64 `x0` to `x30`, then `sp`.
    #[must_use]
    pub fn general(&self) -> &[u64] {
        &self.general
    }

    /// The instruction that runs next.
    #[must_use]
    pub const fn pc(&self) -> TargetAddr {
        TargetAddr(self.pc)
    }

    /// The stack pointer.
    #[must_use]
    pub fn sp(&self) -> TargetAddr {
        self.register(machine::STACK_POINTER)
    }

    /// What points to the current `g` in code that the Go compiler made.
    #[must_use]
    pub fn goroutine(&self) -> TargetAddr {
        self.register(machine::GOROUTINE)
    }

    /// The link register; nil on a machine without one.
    #[must_use]
    pub fn link(&self) -> TargetAddr {
        machine::LINK.map_or(TargetAddr(0), |link| self.register(link))
    }

    fn register(&self, number: usize) -> TargetAddr {
        TargetAddr(self.general.get(number).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_register_finds_its_place() {
        let mask = mask();
        let words: Vec<u64> = (0..64).filter(|bit| mask >> bit & 1 == 1).collect();
        assert_eq!(words.len(), UserRegisters::count());
        let registers = UserRegisters::from_perf(&words).expect("all are there");
        let names: Vec<u64> = machine::GENERAL.iter().map(|at| u64::from(*at)).collect();
        assert_eq!(registers.general(), names);
        assert_eq!(registers.pc().0, u64::from(machine::PC));
        assert!(UserRegisters::from_perf(&words[1..]).is_none());
    }
}
