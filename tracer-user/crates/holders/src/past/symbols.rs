//! Numbers that stand for what is not known: one for each argument, each word of memory that others
//! write, each result of a call. They are scattered at random over addresses that no process has, so
//! that what is computed from different ones differs, and what is displaced from one tells how far.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::super::{code::Code, executor::hash_of};
use ids::{ImageAddr, LoadBias, TargetAddr};
use memory::{MIN_POINTER, Memory, ReadError};

/// The stack of the function that is followed: no process has memory there.
pub const STACK: std::ops::Range<u64> = 0x7fff_ffff_0000_0000..0x7fff_ffff_0020_0000;
/// The frame address of that function.
pub const FRAME: u64 = STACK.end - (1 << 16);
/// Symbols of one execution at most.
const MAX_SYMBOLS: usize = 1 << 16;
/// Each symbol lies in the middle of so many numbers of its own.
const ROOM: u64 = 1 << 32;
/// The lowest and the number of upper halves that symbols have: addresses that are not canonical.
const UPPER: std::ops::Range<u64> = 0x2000_0000..0x6000_0000;

/// What a symbol stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The argument in a register, by its position.
    Argument(usize),
    /// The closure that the function was called through.
    Closure,
    /// The goroutine.
    Goroutine,
    /// The word that lies at this number.
    Loaded(u64),
    /// What one instruction made: where it is, from where it was called, and its which result.
    Made(ImageAddr, u32, u64, u8),
    /// What a register holds where paths meet that differ in it, by place and register.
    RegisterMet(u64, u8),
    /// The same of a word of memory.
    WordMet(u64, u64),
}

/// The symbols of one execution.
pub struct Symbols<'a> {
    code: &'a Code,
    /// The memory of one process, where its past is followed with what it holds now.
    process: Option<(&'a dyn Memory, LoadBias)>,
    /// See [`Symbols::kept_apart`].
    kept_apart: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    origins: Vec<Origin>,
    numbers: FxHashMap<Origin, u64>,
    by_upper_half: FxHashMap<u64, u32>,
}

impl<'a> Symbols<'a> {
    /// For functions of `code`.
    pub fn new(code: &'a Code) -> Self {
        Self {
            code,
            process: None,
            kept_apart: 0,
            table: Mutex::default(),
        }
    }

    /// For functions of `code` in the process that has `memory`: symbols stand only for what cannot be
    /// told from that.
    pub fn in_process(code: &'a Code, memory: &'a dyn Memory, bias: LoadBias) -> Self {
        Self {
            process: Some((memory, bias)),
            ..Self::new(code)
        }
    }

    /// With so many paths kept apart at most that meet at one place.
    pub fn keeping_apart(self, paths: usize) -> Self {
        Self {
            kept_apart: paths,
            ..self
        }
    }

    /// How many paths that meet at one place are kept apart at most: the frame says later which of
    /// them it was. The rest goes on as one.
    pub const fn kept_apart(&self) -> usize {
        self.kept_apart
    }

    /// Whether what is known of a process stands for itself.
    pub const fn is_in_process(&self) -> bool {
        self.process.is_some()
    }

    /// Where the image lies.
    pub fn bias(&self) -> LoadBias {
        self.process.map_or(LoadBias(0), |(_, bias)| bias)
    }

    /// The number that stands for `origin`, and whether it is new; `None` if there are too many.
    pub fn number(&self, origin: Origin) -> Option<(u64, bool)> {
        let mut table = self.table();
        if let Some(known) = table.numbers.get(&origin) {
            return Some((*known, false));
        }
        if table.origins.len() >= MAX_SYMBOLS {
            return None;
        }
        let mut salt = 0_u64;
        let upper = loop {
            let scattered = hash_of(&(origin, salt)).rotate_left(29);
            let upper = UPPER.start + scattered % (UPPER.end - UPPER.start);
            if !table.by_upper_half.contains_key(&upper) {
                break upper;
            }
            salt += 1;
        };
        let number = upper * ROOM + ROOM / 2;
        let index = u32::try_from(table.origins.len()).ok()?;
        table.origins.push(origin);
        table.numbers.insert(origin, number);
        table.by_upper_half.insert(upper, index);
        Some((number, true))
    }

    /// The symbol that `number` is displaced from, and by how much.
    pub fn origin(&self, number: u64) -> Option<(Origin, u64)> {
        let table = self.table();
        let index = *table.by_upper_half.get(&(number / ROOM))?;
        let origin = *table.origins.get(usize::try_from(index).ok()?)?;
        let displacement = (number % ROOM).wrapping_sub(ROOM / 2);
        Some((origin, displacement))
    }

    /// Whether `number` is displaced from a symbol for which `of` holds, or from what lies in memory
    /// where such a number leads to.
    pub fn derives(&self, number: u64, of: &dyn Fn(Origin) -> bool) -> bool {
        const MAX_LOADS: usize = 32;
        let mut number = number;
        for _ in 0..MAX_LOADS {
            match self.origin(number) {
                None => return false,
                Some((origin, _)) if of(origin) => return true,
                Some((Origin::Loaded(at), _)) => number = at,
                Some(_) => return false,
            }
        }
        true
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory for Symbols<'_> {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let len = into.len();
        let unmapped = ReadError::Unmapped { at, len };
        if at.0 < MIN_POINTER || STACK.contains(&at.0) {
            return Err(unmapped);
        }
        if self.origin(at.0).is_none()
            && let Some((memory, _)) = self.process
        {
            return memory.read(at, into);
        }
        if self.code.is_constant(ImageAddr(at.0)) {
            let bytes = self.code.image().bytes(ImageAddr(at.0), len);
            into.copy_from_slice(&bytes.ok_or(unmapped)?);
            return Ok(());
        }
        let into: &mut [u8; 8] = into.try_into().map_err(|_| unmapped)?;
        let (number, _) = self.number(Origin::Loaded(at.0)).ok_or(unmapped)?;
        *into = number.to_le_bytes();
        Ok(())
    }
}

/// Whether two numbers are addresses of different memory, whatever the symbols stand for.
pub fn surely_differ(symbols: &Symbols<'_>, one: u64, other: u64) -> bool {
    match (symbols.origin(one), symbols.origin(other)) {
        (Some((a, at)), Some((b, to))) => a == b && at != to,
        (None, None) => one != other && one != 0 && other != 0,
        _ => false,
    }
}
