//! Variables of an image that no code writes: package-level variables whose initial value the linker
//! has laid down, such as `var errBusy = errors.New("busy")` (from Go 1.21 on the compiler evaluates
//! calls like this one itself; `cmd/compile/internal/staticinit`), flags that are never set.
//!
//! A variable is one of them if the image never takes its address and all instructions that name it
//! only read it. Then nothing can write to it: a pointer to it has to come from one of the two places
//! where the image refers to it, operands of instructions and words in its data; neither reflection, nor
//! `go:linkname`, nor assembly has another way. What lies there has been so since before the first
//! instruction ran.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{MutexGuard, PoisonError},
};

use super::{
    code::Code,
    isa::{Base, MemoryOperand, Operand, Operation},
};
use ids::{ImageAddr, LoadBias};
use image::Arch;
use resources::cancellation::is_cut;

/// Bytes of one image that are searched at most, all variables together: each costs a walk through the
/// whole file.
const MAX_SEARCHED: u64 = 512 << 20;
/// Longer variables are tables, whose elements are reached by their address.
const MAX_LEN: u64 = 64;
/// Bytes of an operand that names a variable.
const OPERAND: u64 = 4;

/// What is known of the variables of one image.
#[derive(Debug, Default)]
pub struct Unwritten {
    /// Where each ends, by where it begins, and whether nothing writes it.
    variables: BTreeMap<ImageAddr, (ImageAddr, bool)>,
    /// Bytes searched so far.
    searched: u64,
}

impl Code {
    /// Whether `bits` have lain at `at` since the process began, which was loaded with `bias`: it is the
    /// value that the file says, of a variable that nothing writes.
    #[must_use]
    pub fn is_unwritten(&self, at: ImageAddr, bits: u64, bias: LoadBias) -> bool {
        let module = self.image().module();
        let kept = module.noptrdata.contains(&at) || module.data.contains(&at);
        let zero = module.bss.contains(&at) || module.noptrbss.contains(&at);
        if !at.0.is_multiple_of(8) || !kept && !zero || self.image().arch() != Arch::Amd64 {
            return false;
        }
        let word = self.image().pointer(at).map(|word| word.0);
        let initially = word.or(zero.then_some(0));
        let is = |word: u64| bits == word || bits == word.wrapping_add(bias.0);
        initially.is_some_and(is) && self.is_never_written(at)
    }

    fn is_never_written(&self, at: ImageAddr) -> bool {
        let before = {
            let known = self.known_variables();
            let before = known.variables.range(..=at).next_back();
            match before.map(|(_, known)| *known) {
                Some((end, is_unwritten)) if at < end => return is_unwritten,
                _ => known.searched,
            }
        };
        if before >= MAX_SEARCHED {
            return false;
        }
        let variable = self.image().variable_at(at);
        let searched = variable.as_ref().map(|variable| self.only_reads(variable));
        if is_cut() {
            // What was not searched to its end says nothing.
            return false;
        }
        let (is_unwritten, bytes) = searched.unwrap_or_default();
        let variable = variable.unwrap_or(at..at.offset(8));
        let mut known = self.known_variables();
        known.searched += bytes;
        let entry = (variable.end, is_unwritten);
        known.variables.insert(variable.start, entry);
        is_unwritten
    }

    fn known_variables(&self) -> MutexGuard<'_, Unwritten> {
        let unwritten = self.unwritten().lock();
        unwritten.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all that refers to `variable` reads it, and how many bytes were searched for that.
    fn only_reads(&self, variable: &Range<ImageAddr>) -> (bool, u64) {
        // A plugin shares the variables of packages that the program has, too, and writes them by itself.
        let is_there = |name| !self.image().functions_named(name).is_empty();
        let plugins = || ["plugin.Open", "plugin.open"].into_iter().any(is_there);
        if variable.end.0.saturating_sub(variable.start.0) > MAX_LEN || plugins() {
            return (false, 0);
        }
        let Some(references) = self.image().references(variable) else {
            return (false, MAX_SEARCHED);
        };
        let mut in_code = references.in_code.iter();
        let only_reads = !references.in_data && in_code.all(|at| self.is_harmless(*at, variable));
        (only_reads, references.searched)
    }

    /// Whether the four bytes at `at`, which lead to `variable` if they are an operand, are none, or one of
    /// an instruction that just reads it.
    fn is_harmless(&self, at: ImageAddr, variable: &Range<ImageAddr>) -> bool {
        let Some(routine) = self.routine(at) else {
            return false;
        };
        let instructions = &routine.body.instructions;
        let next = instructions.partition_point(|instruction| instruction.at <= at);
        let end = instructions.get(next).map(|instruction| instruction.at);
        let end = end.unwrap_or(routine.function.end);
        if end < at.offset(OPERAND) {
            // The end of one instruction and the beginning of another.
            return true;
        }
        let instruction = next.checked_sub(1).and_then(|at| instructions.get(at));
        instruction.is_some_and(|instruction| leaves_alone(&instruction.operation, variable))
    }
}

/// Whether `operation` reads `variable`, or does nothing to it.
fn leaves_alone(operation: &Operation, variable: &Range<ImageAddr>) -> bool {
    let names = |operand: &Operand| {
        let number = match operand {
            Operand::Register(_) => return false,
            Operand::Constant(bits) => *bits,
            Operand::Memory(memory) => memory.displacement.cast_unsigned(),
        };
        variable.contains(&ImageAddr(number))
    };
    let reads = |operand: &Operand| {
        let plain = |memory: &MemoryOperand| memory.base == Base::Image && memory.index.is_none();
        !names(operand) || matches!(operand, Operand::Memory(memory) if plain(memory))
    };
    match operation {
        Operation::Move { to, from, .. } => !names(to) && reads(from),
        Operation::Compute {
            to, left, right, ..
        } => !to.as_ref().is_some_and(names) && reads(left) && reads(right),
        Operation::Select {
            to,
            then,
            otherwise,
            ..
        } => !names(to) && reads(then) && reads(otherwise),
        Operation::LoadWide { from, .. } => reads(&Operand::Memory(*from)),
        Operation::StoreWide { to, .. } => !names(&Operand::Memory(*to)),
        Operation::Address { of, .. } => !names(&Operand::Memory(*of)),
        Operation::Atomic { memory, .. } => !names(&Operand::Memory(*memory)),
        Operation::Push(operand)
        | Operation::Pop(operand)
        | Operation::CallTo(operand)
        | Operation::JumpTo(operand) => !names(operand),
        Operation::Jump(_)
        | Operation::JumpIf { .. }
        | Operation::Call(_)
        | Operation::Return
        | Operation::Nothing
        | Operation::CopyWide { .. }
        | Operation::ZeroWide { .. }
        | Operation::Exchange(..) => true,
        Operation::Trap | Operation::Clobber { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa;

    const VARIABLE: Range<ImageAddr> = ImageAddr(0x53_d700)..ImageAddr(0x53_d710);

    /// Whether the only instruction of `code`, at 0x48c687, just reads the variable.
    fn only_reads(code: &[u8]) -> bool {
        let body = isa::of(Arch::Amd64).decode(code, ImageAddr(0x48_c687));
        assert_eq!(body.len(), 1, "{body:?}");
        leaves_alone(&body[0].operation, &VARIABLE)
    }

    #[test]
    fn instructions_that_only_read() {
        // MOVQ main.errBusy(SB), AX
        assert!(only_reads(&[0x48, 0x8b, 0x05, 0x72, 0x10, 0x0b, 0x00]));
        // CMPQ main.errBusy(SB), $0
        assert!(only_reads(&[
            0x48, 0x83, 0x3d, 0x71, 0x10, 0x0b, 0x00, 0x00
        ]));
        // MOVUPS main.errBusy(SB), X0
        assert!(only_reads(&[0x0f, 0x10, 0x05, 0x72, 0x10, 0x0b, 0x00]));
        // MOVQ AX, behind it
        assert!(only_reads(&[0x48, 0x89, 0x05, 0x82, 0x10, 0x0b, 0x00]));
        // ADDQ $0xb1072, AX
        assert!(only_reads(&[0x48, 0x05, 0x72, 0x10, 0x0b, 0x00]));
    }

    #[test]
    fn instructions_that_write_or_take_the_address() {
        // MOVQ AX, main.errBusy(SB)
        assert!(!only_reads(&[0x48, 0x89, 0x05, 0x72, 0x10, 0x0b, 0x00]));
        // LEAQ main.errBusy(SB), AX
        assert!(!only_reads(&[0x48, 0x8d, 0x05, 0x72, 0x10, 0x0b, 0x00]));
        // MOVL $main.errBusy(SB), AX
        assert!(!only_reads(&[0xb8, 0x00, 0xd7, 0x53, 0x00]));
        // ADDQ $1, main.errBusy(SB)
        assert!(!only_reads(&[
            0x48, 0x83, 0x05, 0x71, 0x10, 0x0b, 0x00, 0x01
        ]));
        // INCQ main.errBusy(SB)
        assert!(!only_reads(&[0x48, 0xff, 0x05, 0x72, 0x10, 0x0b, 0x00]));
        // XCHGQ AX, main.errBusy(SB)
        assert!(!only_reads(&[0x48, 0x87, 0x05, 0x72, 0x10, 0x0b, 0x00]));
        // LOCK CMPXCHGQ CX, main.errBusy(SB)
        assert!(!only_reads(&[
            0xf0, 0x48, 0x0f, 0xb1, 0x0d, 0x70, 0x10, 0x0b, 0x00
        ]));
        // MOVQ AX, main.errBusy(CX*8)
        assert!(!only_reads(&[
            0x48, 0x89, 0x04, 0xcd, 0x00, 0xd7, 0x53, 0x00
        ]));
        // POPQ main.errBusy(SB)
        assert!(!only_reads(&[0x8f, 0x05, 0x73, 0x10, 0x0b, 0x00]));
        // MOVUPS X0, main.errBusy(SB)
        assert!(!only_reads(&[0x0f, 0x11, 0x05, 0x72, 0x10, 0x0b, 0x00]));
    }
}
