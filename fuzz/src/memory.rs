//! The memory of a process: a whole inspection, in which the pages that it reads have been changed.

use tracer_user::memory::{PAGE, Pages};

use crate::{edits, export::inspect, moment::base};

/// Inspects the moment with the `input`'s edits of its pages. A page that is gone cannot be read.
pub(crate) fn run(input: &[u8]) {
    let base = base();
    let (addresses, mut pieces): (Vec<u64>, Vec<Vec<u8>>) = base.pages.iter().cloned().unzip();
    edits::apply(input, &mut pieces);
    let mut pages = Pages::default();
    for (address, piece) in addresses.into_iter().zip(pieces) {
        if let Ok(page) = <Box<[u8; PAGE]>>::try_from(piece.into_boxed_slice()) {
            pages.add(address, page);
        }
    }
    inspect(base.still_with(base.header.clone(), pages));
}

/// No edit, one of each kind, and several at once.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    edits::seeds(u16::try_from(base().pages.len()).unwrap_or(u16::MAX))
}
