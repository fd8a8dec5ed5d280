//! The linker's pc-value tables: varint-coded (value, pc) deltas (`runtime/symtab.go`, `step`).

/// One run of a table: the value that holds from the previous run's end to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// First pc, relative to the function's entry, at which the value no longer holds.
    pub(super) end: u64,
    /// The value.
    pub(super) value: i32,
}

/// Most runs of one table: no function has so many instructions.
const MAX_RUNS: u32 = 1 << 18;
/// Most of them that hold for no instruction at all: the compiler writes none.
const MAX_EMPTY: u32 = 64;

/// Decodes one function's table from `bytes`, which begin at the table and may go on beyond it.
#[derive(Debug)]
pub(super) struct Runs<B> {
    bytes: B,
    quantum: u64,
    pc: u64,
    value: i32,
    first: bool,
    runs_left: u32,
    empty_left: u32,
}

impl<B: Iterator<Item = u8>> Runs<B> {
    /// `quantum` is `pcHeader.minLC`: the unit of pc deltas.
    pub(super) fn new(bytes: B, quantum: u8) -> Self {
        Self {
            bytes,
            quantum: u64::from(quantum),
            pc: 0,
            value: -1,
            first: true,
            runs_left: MAX_RUNS,
            empty_left: MAX_EMPTY,
        }
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..32).step_by(7) {
            let byte = self.bytes.next()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// The value at `offset` from the function's entry.
    pub(super) fn at(self, offset: u64) -> Option<i32> {
        let mut runs = self;
        runs.find(|run| offset < run.end).map(|run| run.value)
    }
}

impl<B: Iterator<Item = u8>> Iterator for Runs<B> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let delta = self.varint()?;
        if delta == 0 && !self.first {
            return None;
        }
        self.first = false;
        let step = (delta >> 1).cast_signed();
        self.value = self
            .value
            .wrapping_add(if delta & 1 != 0 { !step } else { step });
        let advance = self.varint()?;
        self.runs_left = self.runs_left.checked_sub(1)?;
        if advance == 0 {
            self.empty_left = self.empty_left.checked_sub(1)?;
        }
        self.pc = self
            .pc
            .checked_add(u64::from(advance).checked_mul(self.quantum)?)?;
        Some(Run {
            end: self.pc,
            value: self.value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_deltas_until_the_zero() {
        // +1 for 4 bytes, +8 for 10 bytes, -8 for 2 bytes, end.
        let table = [2, 4, 16, 10, 15, 2, 0, 99];
        let runs: Vec<_> = Runs::new(table.into_iter(), 1).collect();
        assert_eq!(
            runs,
            [
                Run { end: 4, value: 0 },
                Run { end: 14, value: 8 },
                Run { end: 16, value: 0 }
            ]
        );
        assert_eq!(Runs::new(table.into_iter(), 1).at(13), Some(8));
        assert_eq!(Runs::new(table.into_iter(), 1).at(16), None);
    }

    #[test]
    fn a_table_that_does_not_get_on_ends() {
        let standing = Runs::new([2, 0].into_iter().cycle(), 1);
        assert_eq!(standing.count(), MAX_EMPTY as usize);
        let creeping = Runs::new([2, 1].into_iter().cycle(), 1);
        assert_eq!(creeping.count(), MAX_RUNS as usize);
    }

    #[test]
    fn an_endless_varint_ends() {
        assert_eq!(Runs::new(std::iter::repeat(0xff), 1).count(), 0);
    }
}
