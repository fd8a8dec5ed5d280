//! What new numbers are computed with.

use super::super::{
    super::isa::Arithmetic,
    value::{sign_extend, truncate},
};

/// A computation of one number from two; those that need one ignore the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compute {
    /// An instruction's, on operands of so many bytes.
    Arithmetic(Arithmetic, u8),
    /// The lowest bytes, zeros above.
    Truncate(u8),
    /// The lowest bytes, their sign above.
    SignExtend(u8),
    /// So many bytes from byte `lane` on.
    Extract {
        /// The first byte.
        lane: u8,
        /// How many.
        width: u8,
    },
    /// The bytes from byte `skip` on, moved to byte `lane`.
    Place {
        /// The first byte taken.
        skip: u8,
        /// Where it goes.
        lane: u8,
    },
    /// The first, with the bits of this mask taken from the second.
    Blend(u64),
}

impl Compute {
    /// The result for `left` and `right`.
    #[must_use]
    pub fn of(self, left: u64, right: u64) -> u64 {
        match self {
            Self::Arithmetic(arithmetic, width) => calculate(arithmetic, left, right, width),
            Self::Truncate(width) => truncate(left, width),
            Self::SignExtend(width) => sign_extend(left, width),
            Self::Extract { lane, width } => truncate(left >> (8 * u32::from(lane & 7)), width),
            Self::Place { skip, lane } => {
                left >> (8 * u32::from(skip & 7)) << (8 * u32::from(lane & 7))
            }
            Self::Blend(mask) => left & !mask | right & mask,
        }
    }
}

fn calculate(arithmetic: Arithmetic, left: u64, right: u64, width: u8) -> u64 {
    let bits = 8 * u32::from(width);
    let shift = u32::try_from(right & if width == 8 { 63 } else { 31 }).unwrap_or(0);
    match arithmetic {
        Arithmetic::Add => left.wrapping_add(right),
        Arithmetic::Subtract => left.wrapping_sub(right),
        Arithmetic::And => left & right,
        Arithmetic::Or => left | right,
        Arithmetic::Xor => left ^ right,
        Arithmetic::Multiply => left.wrapping_mul(right),
        Arithmetic::ShiftLeft => left.checked_shl(shift).unwrap_or(0),
        Arithmetic::ShiftRight => truncate(left, width).checked_shr(shift).unwrap_or(0),
        Arithmetic::ShiftRightSigned => {
            let signed = sign_extend(left, width).cast_signed();
            (signed >> shift.min(bits.saturating_sub(1))).cast_unsigned()
        }
    }
}
