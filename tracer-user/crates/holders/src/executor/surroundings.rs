//! What lies around a goroutine: its stack, and the target's memory as it is.

use std::ops::Range;

use super::{
    super::{code::Code, maps::Found},
    trace::{Field, Ground, Key},
};
use ids::{LoadBias, TargetAddr};
use image::GoVersion;
use memory::{Memory, MemoryExt as _};

/// How far from where they would lie the frames of calls that are followed lie: nothing is there.
/// A stack may have less room left than such calls need, and grows elsewhere when they are made.
pub(super) const CALLEES: u64 = 0x2000_0000_0000_0000;
/// How much room these calls have.
const CALLEES_ROOM: u64 = 1 << 20;

/// Memory as the goroutine finds it, before it writes anything.
pub struct Surroundings<'a> {
    memory: &'a dyn Memory,
    code: &'a Code,
    bias: LoadBias,
    stack: Range<u64>,
    callees: Range<u64>,
    /// Whether variables are looked into that nothing may write.
    knows_unwritten: bool,
    /// Where the bytes of `window` begin.
    window_at: u64,
    window: &'a [u8],
}

impl<'a> Surroundings<'a> {
    /// Those of a goroutine whose stack is `stack` and whose frames begin at `sp`, where the bytes of
    /// `window` lie.
    pub fn new(
        (memory, bias): (&'a dyn Memory, LoadBias),
        code: &'a Code,
        stack: Range<u64>,
        (sp, window): (u64, &'a [u8]),
    ) -> Self {
        let room = stack.start.saturating_sub(CALLEES_ROOM);
        Self {
            memory,
            code,
            bias,
            callees: CALLEES.saturating_add(room)..CALLEES.saturating_add(stack.end),
            stack,
            knows_unwritten: false,
            window_at: sp,
            window,
        }
    }

    /// The same with room on the stack itself for the frames of calls.
    pub(super) fn with_room_for_calls(self) -> Self {
        Self {
            callees: 0..0,
            ..self
        }
    }

    /// The same where variables are looked into that nothing may write.
    pub(super) fn knowing_unwritten(self, knows: bool) -> Self {
        Self {
            knows_unwritten: knows,
            ..self
        }
    }

    /// All of the target's memory, as it is now.
    pub const fn memory(&self) -> &'a dyn Memory {
        self.memory
    }

    /// The version of Go that the image was built with.
    pub(super) fn go_version(&self) -> &GoVersion {
        self.code.image().go_version()
    }

    /// The bounds of the goroutine's own stack.
    pub(super) const fn stack(&self) -> &Range<u64> {
        &self.stack
    }

    /// Where the frames of followed calls lie, and how the frames that make them would look from there.
    pub(super) const fn callees(&self) -> &Range<u64> {
        &self.callees
    }

    /// Whether nothing writes to `at` while the process runs: code and read-only data.
    pub(super) fn is_constant(&self, at: u64) -> bool {
        self.code.is_constant(TargetAddr(at).in_image(self.bias))
    }

    /// The word at `at` beyond the stack.
    pub(super) fn elsewhere(&self, at: u64) -> Option<(u64, bool)> {
        let bits = self.memory.read_u64(TargetAddr(at)).ok()?;
        Some((bits, !self.is_constant(at) && !self.is_unwritten(at, bits)))
    }

    /// Whether `bits` have been at `at` since the process began, for certain.
    fn is_unwritten(&self, at: u64, bits: u64) -> bool {
        let at = TargetAddr(at).in_image(self.bias);
        self.knows_unwritten && self.code.is_unwritten(at, bits, self.bias)
    }

    /// What was read ahead at `at`.
    pub(super) fn in_window(&self, at: u64) -> Option<u64> {
        let skip = usize::try_from(at.checked_sub(self.window_at)?).ok()?;
        let bytes = self.window.get(skip..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }
}

impl Ground for Surroundings<'_> {
    fn on_stack(&self, at: u64) -> Option<u64> {
        let is_stack = self.stack.contains(&at) || self.callees.contains(&at);
        is_stack.then(|| at.wrapping_sub(self.window_at))
    }

    fn stacks(&self) -> [Range<u64>; 2] {
        [self.stack.clone(), self.callees.clone()]
    }

    fn is_function(&self, at: u64) -> bool {
        let at = TargetAddr(at).in_image(self.bias);
        self.code.image().module().text.contains(&at)
            && (self.code.callee(at)).is_some_and(|callee| callee.function.entry == at)
    }

    fn look_up(&self, type_at: u64, map: u64, key: Key<u64>) -> Option<Found> {
        self.find_key(type_at, map, key)
    }

    fn word(&self, at: u64) -> Option<(u64, bool)> {
        if self.stack.contains(&at) {
            let word = self.in_window(at);
            let word = word.or_else(|| Some(self.elsewhere(at)?.0))?;
            return Some((word, false));
        }
        self.elsewhere(at)
    }

    fn fields(&self, at: u64, fields: &[Field], words: &mut Vec<u64>) -> bool {
        let mut bytes = [0; Field::REACH as usize + 8];
        let last = fields.last().map_or(0, |field| field.offset);
        let end = at.saturating_add(last).saturating_add(8);
        let off_stack = |stack: &Range<u64>| end <= stack.start || at >= stack.end;
        let read = usize::try_from(last + 8)
            .ok()
            .and_then(|len| bytes.get_mut(..len))
            .filter(|_| off_stack(&self.stack) && off_stack(&self.callees))
            .is_some_and(|bytes| self.memory.read(TargetAddr(at), bytes).is_ok());
        fields.iter().all(|field| {
            let at = at.wrapping_add(field.offset);
            let word = if read {
                let offset = usize::try_from(field.offset).unwrap_or(usize::MAX);
                let bytes = bytes.get(offset..).and_then(|bytes| bytes.first_chunk());
                bytes.map(|bytes| (u64::from_le_bytes(*bytes), !self.is_constant(at)))
            } else {
                self.word(at).filter(|_| self.on_stack(at).is_none())
            };
            let known = word.filter(|(_, loaded)| *loaded == field.loaded);
            words.extend(known.map(|(bits, _)| bits));
            known.is_some()
        })
    }
}
