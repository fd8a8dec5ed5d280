//! The shadow table of a running program, as `shadow.go.txt` lays it out.

use std::{fs, path::Path};

use crate::generate::Program;

/// A goroutine's state as it says itself.
const FATAL: u64 = 3;
/// It waited for ever, and went on.
const RISEN: u64 = 4;

const LOCK_WORDS: usize = 4;
const UNIT_WORDS: usize = 2;
const ROW_WORDS: usize = 8;

/// The table as of one moment.
///
/// It is read with `read(2)`, word by word in ascending order as far as the reader can tell. What is
/// compared is what two readings, before and after a look, agree on: see [`Row::same`].
#[derive(Debug)]
pub(crate) struct Table {
    words: Vec<u64>,
    locks: usize,
    units: usize,
    rows: usize,
}

/// What one goroutine says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row<'t> {
    words: &'t [u64],
}

/// What is said of one lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockRow<'t> {
    words: &'t [u64],
}

/// Words of the table that belongs to `program`.
fn size(program: &Program) -> usize {
    let (locks, units) = (program.locks.len().max(1), program.units.len().max(1));
    locks * LOCK_WORDS + units * UNIT_WORDS + program.rows * (ROW_WORDS + locks)
}

impl Table {
    /// Makes an empty table for `program`.
    pub(crate) fn create(path: &Path, program: &Program) -> Result<(), String> {
        fs::write(path, vec![0; size(program) * 8]).map_err(|error| error.to_string())
    }

    /// Reads the table of `program`.
    pub(crate) fn read(path: &Path, program: &Program) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap_or_default()))
            .collect();
        if words.len() != size(program) {
            return Err(format!("a table of {} words", words.len()));
        }
        Ok(Self {
            words,
            locks: program.locks.len().max(1),
            units: program.units.len().max(1),
            rows: program.rows,
        })
    }

    /// Returns what is said of lock `id`.
    pub(crate) fn lock(&self, id: usize) -> LockRow<'_> {
        LockRow {
            words: &self.words[id * LOCK_WORDS..][..LOCK_WORDS],
        }
    }

    /// Returns the number of the lock at `address`.
    pub(crate) fn lock_at(&self, address: u64) -> Option<usize> {
        (0..self.locks).find(|id| self.lock(*id).address() == address)
    }

    /// Returns the row with number `slot`.
    pub(crate) fn row(&self, slot: usize) -> Row<'_> {
        let words = ROW_WORDS + self.locks;
        let start = self.locks * LOCK_WORDS + self.units * UNIT_WORDS;
        Row {
            words: &self.words[start + slot * words..][..words],
        }
    }

    /// Returns the number of the row that belongs to goroutine `goid`.
    pub(crate) fn slot_of(&self, goid: u64) -> Option<usize> {
        (0..self.rows).find(|slot| self.row(*slot).goid() == goid)
    }

    /// Returns whether all members of `unit` have come to their last wait.
    pub(crate) fn is_dead(&self, unit: usize) -> bool {
        let start = self.locks * LOCK_WORDS + unit * UNIT_WORDS;
        let (members, fatal) = (self.words[start], self.words[start + 1]);
        members > 0 && fatal >= members
    }

    /// Returns the unit that goroutine `goid` is dead with.
    pub(crate) fn death_of(&self, goid: u64) -> Option<usize> {
        let row = self.row(self.slot_of(goid)?);
        let unit = usize::try_from(row.unit()).ok()?.checked_sub(1)?;
        (row.state() == FATAL && self.is_dead(unit)).then_some(unit)
    }

    /// Returns a goroutine that was to be dead and is not.
    pub(crate) fn risen(&self) -> Option<u64> {
        let rows = (0..self.rows).map(|slot| self.row(slot));
        rows.filter(|row| row.state() == RISEN)
            .map(|row| row.goid())
            .next()
    }

    /// Returns all goroutines that are dead, each with its unit.
    pub(crate) fn dead(&self) -> Vec<(u64, usize)> {
        (0..self.rows)
            .map(|slot| self.row(slot).goid())
            .filter_map(|goid| Some((goid, self.death_of(goid)?)))
            .collect()
    }
}

impl Row<'_> {
    pub(crate) fn goid(&self) -> u64 {
        self.words[0]
    }

    fn seq(&self) -> u64 {
        self.words[1]
    }

    pub(crate) fn progress(&self) -> u64 {
        self.words[2]
    }

    pub(crate) fn state(&self) -> u64 {
        self.words[3]
    }

    /// The lock that it is just taking or giving back, if any.
    pub(crate) fn wants(&self) -> Option<usize> {
        usize::try_from(self.words[4]).ok()?.checked_sub(1)
    }

    fn unit(&self) -> u64 {
        self.words[5]
    }

    pub(crate) fn holds(&self, lock: usize) -> bool {
        self.words[ROW_WORDS + lock] > 0
    }

    /// Returns whether it is the same goroutine, which took and gave back nothing in between.
    pub(crate) fn same(&self, later: &Self) -> bool {
        self.goid() == later.goid() && self.seq() == later.seq() && self.seq().is_multiple_of(2)
    }
}

impl LockRow<'_> {
    pub(crate) fn address(&self) -> u64 {
        self.words[0]
    }

    /// The row of its only holder.
    pub(crate) fn owner(&self) -> Option<usize> {
        usize::try_from(self.words[2]).ok()?.checked_sub(1)
    }

    /// Whether it is being given back by another than took it.
    pub(crate) fn in_transit(&self) -> bool {
        self.words[3] != 0
    }

    /// Returns whether it had one and the same owner all the time.
    pub(crate) fn same(&self, later: &Self) -> bool {
        self.words[..3] == later.words[..3]
    }
}
