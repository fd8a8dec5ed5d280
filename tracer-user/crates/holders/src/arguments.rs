//! How many words of arguments a function takes in registers.

use ids::ImageAddr;
use image::{Function, Image};

/// `FUNCDATA_ArgInfo` (`internal/abi/symtab.go`, Go 1.17 and later): what tracebacks print.
const ARG_INFO: usize = 5;
/// Bytes of it at most (`TraceArgsMaxLen`).
const MAX_LEN: u64 = 100;
/// `TraceArgsEndSeq`.
const END: u8 = 0xff;
/// `TraceArgsStartAgg`, `TraceArgsEndAgg`: what lies between belongs to one argument.
const AGGREGATE: [u8; 2] = [0xfe, 0xfd];
/// `TraceArgsDotdotdot`: more than are printed.
const MORE: u8 = 0xfc;
/// `TraceArgsOffsetTooLarge`: one word that is not printed.
const TOO_FAR: u8 = 0xfb;

/// How many argument registers `function` reads at most: the compiler notes the words of the arguments
/// in the order of the registers, and notes nothing of a function without arguments. Floating-point
/// numbers have other registers, but count; `usize::MAX` when there are more than are noted.
pub fn in_registers(image: &Image, function: &Function) -> usize {
    let Some(at) = image.funcdata(function, ARG_INFO) else {
        return 0;
    };
    let bytes = (0..MAX_LEN).map_while(|offset| {
        let byte = image.bytes(ImageAddr(at.0.wrapping_add(offset)), 1)?;
        byte.first().copied()
    });
    count(bytes)
}

fn count(mut bytes: impl Iterator<Item = u8>) -> usize {
    let mut words = 0;
    while let Some(byte) = bytes.next() {
        match byte {
            END => return words,
            MORE => return usize::MAX,
            TOO_FAR => words += 1,
            _ if AGGREGATE.contains(&byte) => {}
            _ => {
                // An offset, then a size.
                let _ = bytes.next();
                words += 1;
            }
        }
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_whatever_they_belong_to() {
        let count = |bytes: &[u8]| count(bytes.iter().copied());
        assert_eq!(count(&[END]), 0);
        // A pointer, then a string.
        assert_eq!(count(&[0, 8, 0xfe, 8, 8, 16, 8, 0xfd, END]), 3);
        assert_eq!(count(&[0, 8, TOO_FAR, END]), 2);
        assert_eq!(count(&[0, 8, MORE, END]), usize::MAX);
        assert_eq!(count(&[0, 8]), usize::MAX, "it breaks off");
    }
}
