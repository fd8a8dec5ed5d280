//! Where an image refers to one of its variables: in operands of its instructions, and in words that
//! hold the variable's address.
//!
//! Nothing is decoded here. Operands are looked for at every byte of the code, so what is found is at
//! least all there is: on amd64 an instruction names a variable by 32 bits that count from its own end,
//! or by the 32 lowest bits of the address itself.

use std::ops::{ControlFlow, Range};

use super::{elf::Elf, file::Refusal, variable::each_symbol_at};
use ids::ImageAddr;

/// A variable that more places refer to is not looked into.
const MAX_REFERENCES: usize = 256;
/// What may follow an operand in its instruction: nothing, or a constant of so many bytes.
const CONSTANTS: [u64; 4] = [0, 1, 2, 4];
/// The longest of them.
const LONGEST: u32 = 4;
/// Bytes of an operand.
const OPERAND: usize = 4;

/// Where an image refers to one of its variables.
#[derive(Debug, Default)]
pub struct References {
    /// Bytes of the code that lead to the variable if they are an operand.
    pub in_code: Vec<ImageAddr>,
    /// Whether some word outside the code holds an address in it.
    pub in_data: bool,
    /// How many bytes were searched.
    pub searched: u64,
}

/// The variable that the word at `at` belongs to, by the symbol table: all that any symbol says which
/// covers it.
pub(super) fn variable_at(elf: &Elf, at: ImageAddr) -> Option<Range<ImageAddr>> {
    let mut found: Option<Range<ImageAddr>> = None;
    each_symbol_at(elf, at, |symbol| {
        let (start, end) = (symbol.begins, symbol.begins.saturating_add(symbol.size));
        let known = found.get_or_insert(ImageAddr(start)..ImageAddr(end));
        known.start = known.start.min(ImageAddr(start));
        known.end = known.end.max(ImageAddr(end));
    })?;
    found.filter(|variable| at.offset(8) <= variable.end)
}

/// Who refers to `variable`; `None` if that is not known.
pub(super) fn of(elf: &Elf, variable: &Range<ImageAddr>) -> Option<References> {
    let mut references = References::default();
    let wanted = Wanted::new(variable)?;
    for (from, to) in elf.relocations() {
        references.in_data |= variable.contains(&to) && !variable.contains(&from);
    }
    for segment in &elf.segments {
        let start = ImageAddr(segment.addr);
        references.searched += segment.file_size;
        if segment.executable {
            u32::try_from(segment.addr.checked_add(segment.file_size)?).ok()?;
            let found = &mut references.in_code;
            wanted.in_code(elf, (start, segment.offset, segment.file_size), found)?;
        } else {
            let read = elf.scan_words(start, segment.file_size, |_, word| {
                references.in_data |= variable.contains(&ImageAddr(word));
                ControlFlow::Continue(())
            });
            read.ok()?;
        }
    }
    Some(references)
}

/// A variable in the lowest 4 GiB.
struct Wanted {
    start: u32,
    len: u32,
}

impl Wanted {
    fn new(variable: &Range<ImageAddr>) -> Option<Self> {
        u32::try_from(variable.end.0).ok()?;
        Some(Self {
            start: u32::try_from(variable.start.0).ok()?,
            len: u32::try_from(variable.end.0.checked_sub(variable.start.0)?).ok()?,
        })
    }

    /// Adds to `found` where operands may lie that lead to it.
    fn in_code(
        &self,
        elf: &Elf,
        (start, offset, len): (ImageAddr, u64, u64),
        found: &mut Vec<ImageAddr>,
    ) -> Option<()> {
        let mut bytes: Vec<u8> = Vec::new();
        let mut next = offset;
        let read: Result<(), Refusal> = elf.file().scan(offset, len, 1, |at, piece| {
            // An operand may begin in the piece before, unless there is a hole between.
            let kept = match at == next {
                true => bytes.len().min(OPERAND - 1),
                false => 0,
            };
            bytes.drain(..bytes.len() - kept);
            bytes.extend_from_slice(piece);
            next = at + piece.len() as u64;
            let first = start.0 + (at - offset) - kept as u64;
            for (index, operand) in bytes.windows(OPERAND).enumerate() {
                let operand = operand.try_into().map_or(0, u32::from_le_bytes);
                let at = first + index as u64;
                if self.is_meant(at, operand) {
                    found.push(ImageAddr(at));
                }
            }
            match found.len() > MAX_REFERENCES {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        read.ok()?;
        (found.len() <= MAX_REFERENCES).then_some(())
    }

    /// Whether the operand that lies at `at`, if it is one, leads to the variable.
    fn is_meant(&self, at: u64, operand: u32) -> bool {
        let covers = |address: u32| address.wrapping_sub(self.start) < self.len;
        let end = (at as u32)
            .wrapping_add(OPERAND as u32)
            .wrapping_add(operand);
        let near = end.wrapping_sub(self.start).wrapping_add(LONGEST);
        if near >= self.len.saturating_add(LONGEST) && !covers(operand) {
            return false;
        }
        let behind = |constant: &u64| covers(end.wrapping_add(*constant as u32));
        covers(operand) || CONSTANTS.iter().any(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_that_lead_to_a_variable() {
        let wanted = Wanted::new(&(ImageAddr(0x53_d700)..ImageAddr(0x53_d710))).unwrap();
        // main.acquire, Go 1.22: MOVQ main.errBusy(SB), AX at 0x48c687, its operand 3 bytes behind.
        assert!(wanted.is_meant(0x48_c68a, 0x000b_1072));
        assert!(wanted.is_meant(0x48_c691, 0x000b_1073));
        assert!(!wanted.is_meant(0x48_c68a, 0x000b_1072 - 5));
        assert!(!wanted.is_meant(0x48_c68a, 0x000b_1072 + 16));
        // CMPQ main.errBusy(SB), $0: one byte of a constant behind the operand.
        assert!(wanted.is_meant(0x48_c68a, 0x000b_1071));
        // MOVL $main.errBusy(SB), AX.
        assert!(wanted.is_meant(0x48_c68a, 0x53_d700));
        assert!(wanted.is_meant(0x48_c68a, 0x53_d70f));
        assert!(!wanted.is_meant(0x48_c68a, 0x53_d710));
        assert!(Wanted::new(&(ImageAddr(1 << 32)..ImageAddr(1 << 33))).is_none());
    }
}
