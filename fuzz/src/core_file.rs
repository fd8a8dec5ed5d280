//! Core files: their headers and notes are the input, their memory is that of the moment.

use std::sync::LazyLock;

use tracer_user::{inspect::StoppedProcess, memory::ThreadRegisters};

use crate::{
    elf::{Core, head},
    export::inspect,
    moment::base,
    temporary::Temporary,
};

/// Where the moment's pages begin in the file; longer inputs are cut.
const PAGES_AT: usize = 64 << 10;
/// Where the executable's entry point stands in it (`e_entry`).
const ENTRY: std::ops::Range<usize> = 24..32;
/// What the kernel calls the executable in the seed.
const PATH: &str = "/waits";

/// Inspects the core file that begins with `input`.
pub(crate) fn run(input: &[u8]) {
    /// Its memory, as one piece.
    static PAGES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let pages = base().pages.iter().map(|(_, page)| &page[..]);
        pages.collect::<Vec<_>>().concat()
    });
    let input = &input[..input.len().min(PAGES_AT)];
    let padding = vec![0; PAGES_AT - input.len()];
    let Ok(file) = Temporary::new(&[input, &padding, &PAGES]) else {
        return;
    };
    let executable = base().executable_path();
    if let Ok(still) = StoppedProcess::of_core(&file.path(), Some(&executable)) {
        inspect(still);
    }
}

/// The head of a core file of the moment, and of one without threads.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let base = base();
    let pages: Vec<u64> = base.pages.iter().map(|(address, _)| *address).collect();
    let entry = base.executable[ENTRY]
        .try_into()
        .map_or(0, u64::from_le_bytes);
    let bias = base.header.subject.load_bias;
    let start = 0x40_0000_u64.wrapping_add(bias);
    let threads = base.header.moment.threads.iter().cloned();
    let threads: Vec<_> = threads
        .map(|thread| {
            let thread = ThreadRegisters::from(thread);
            (thread.tid.0, thread.words)
        })
        .collect();
    let of = |threads: &[_]| {
        head(&Core {
            pages: &pages,
            pages_at: PAGES_AT as u64,
            threads,
            entry: entry.wrapping_add(bias),
            mapped: (start, start + base.executable.len() as u64, 0, PATH),
        })
    };
    vec![of(&threads), of(&[])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::looker;

    #[test]
    fn the_seed_is_a_core_file_that_can_be_looked_at() {
        let seed = &seeds()[0];
        assert!(seed.len() <= PAGES_AT, "{}", seed.len());
        let pages = base().pages.iter().map(|(_, page)| &page[..]);
        let pages = pages.collect::<Vec<_>>().concat();
        let padding = vec![0; PAGES_AT - seed.len()];
        let file = Temporary::new(&[seed, &padding, &pages]).unwrap();
        let still = StoppedProcess::of_core(&file.path(), Some(&base().executable_path())).unwrap();
        let look = looker().look_at_still(still).unwrap();
        assert!(look.diagnosis.snapshot.goroutines.len() > 10);
        assert!(!look.diagnosis.findings.is_empty());
    }
}
