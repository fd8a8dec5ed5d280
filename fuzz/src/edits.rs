//! Inputs that are changes to something large: a list of edits, each [`BYTES`] long, so that a fuzzer's
//! mutations of a few bytes move, repeat and alter changes instead of tearing apart what they apply to.

/// Bytes of one edit: what, where (which piece, and the place in it), and a value.
pub(crate) const BYTES: usize = 1 + 2 + 2 + 8;
/// Most edits that are made; the rest of an input does nothing.
const MAX_EDITS: usize = 256;

/// Changes `pieces` as `input` says. Pieces that are to be missing become empty.
pub(crate) fn apply(input: &[u8], pieces: &mut [Vec<u8>]) {
    for edit in input.chunks_exact(BYTES).take(MAX_EDITS) {
        apply_one(edit, pieces);
    }
}

/// Inputs to begin with, for `pieces` pieces: none, one edit in each piece of each kind that is likely to keep
/// it sound.
pub(crate) fn seeds(pieces: u16) -> Vec<Vec<u8>> {
    let edit = |what: u8, piece: u16| {
        let at = piece.wrapping_mul(37).to_le_bytes();
        let value = (u64::from(piece) * 0x0001_0003 + 1).to_le_bytes();
        [&[what][..], &piece.to_le_bytes(), &at, &value].concat()
    };
    let each = (0..pieces).map(|piece| edit((piece % 8) as u8, piece));
    let each: Vec<_> = each.collect();
    let several = each.chunks(8).map(<[_]>::concat);
    [vec![]]
        .into_iter()
        .chain(several)
        .chain(each.clone())
        .collect()
}

fn apply_one(edit: &[u8], pieces: &mut [Vec<u8>]) {
    let number = |from: usize, len: usize| {
        let bytes = edit[from..from + len].iter().rev();
        bytes.fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let (what, value) = (edit[0], number(5, 8));
    let count = pieces.len().max(1);
    let index = place(number(1, 2), count);
    let at = number(3, 2);
    // Where a word comes from, for what copies one.
    let other = (place(value, count), value >> 16);
    let copied = pieces.get(other.0).and_then(|piece| word(piece, other.1));
    let Some(piece) = pieces.get_mut(index) else {
        return;
    };
    match what % 10 {
        0 => set(piece, at, |_| value),
        1 => set(piece, at, |word| word.wrapping_add(value)),
        2 => set(piece, at, |word| word ^ value),
        // A pointer or a length that makes sense elsewhere.
        3 => set(piece, at, |word| copied.unwrap_or(word)),
        4 => set(piece, at, |word| {
            copied.unwrap_or(word).wrapping_add(value >> 48)
        }),
        5 => set(piece, at, |word| word ^ 1 << (value % 64)),
        6 => set_bytes(piece, at, &value.to_le_bytes()[..4]),
        7 => set_bytes(piece, at, &value.to_le_bytes()[..1]),
        8 => piece.clear(),
        _ => {
            let until = place(value, piece.len().max(1) + 1).min(piece.len());
            let from = place(at, piece.len().max(1)).min(until);
            piece[from..until].fill((value >> 32) as u8);
        }
    }
}

/// `number` as an index below `count`.
fn place(number: u64, count: usize) -> usize {
    usize::try_from(number % count as u64).unwrap_or(0)
}

/// Where the aligned word number `at` begins, counted in a circle.
fn start(piece: &[u8], at: u64) -> Option<usize> {
    let words = piece.len() / 8;
    (words > 0).then(|| place(at, words) * 8)
}

fn word(piece: &[u8], at: u64) -> Option<u64> {
    let start = start(piece, at)?;
    let bytes = piece[start..start + 8].try_into().ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn set(piece: &mut [u8], at: u64, change: impl FnOnce(u64) -> u64) {
    if let (Some(start), Some(word)) = (start(piece, at), word(piece, at)) {
        piece[start..start + 8].copy_from_slice(&change(word).to_le_bytes());
    }
}

/// Unlike words, bytes may stand anywhere.
fn set_bytes(piece: &mut [u8], at: u64, bytes: &[u8]) {
    let at = place(at, piece.len().max(1));
    if let Some(there) = piece.get_mut(at..at + bytes.len()) {
        there.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(what: u8, index: u16, at: u16, value: u64) -> Vec<u8> {
        let mut edit = vec![what];
        edit.extend(index.to_le_bytes());
        edit.extend(at.to_le_bytes());
        edit.extend(value.to_le_bytes());
        edit
    }

    #[test]
    fn edits_change_what_they_name() {
        let mut pieces = vec![vec![0; 16], vec![0xff; 16]];
        let edits = [
            edit(0, 0, 1, 0x1234),
            edit(3, 1, 0, 1 << 16),
            edit(7, 1, 15, 9),
        ];
        apply(&edits.concat(), &mut pieces);
        assert_eq!(pieces[0][8..10], [0x34, 0x12]);
        // The word that was set just now, copied.
        assert_eq!(pieces[1][..2], [0x34, 0x12]);
        assert_eq!(pieces[1][15], 9);
        apply(&edit(8, 0, 0, 0), &mut pieces);
        assert!(pieces[0].is_empty());
    }

    #[test]
    fn edits_of_nothing_do_nothing() {
        for what in 0..10 {
            for mut pieces in [vec![], vec![vec![]], vec![vec![1, 2, 3]]] {
                apply(&edit(what, 7, 9, u64::MAX), &mut pieces);
                apply(&edit(what, 0, 0, 0), &mut pieces);
            }
        }
    }
}
