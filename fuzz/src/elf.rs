//! Writing the head of a core file: its headers and notes.

/// What a core file is made of.
pub(crate) struct Core<'m> {
    /// Addresses of its pages, ascending; they lie in the file one after another.
    pub(crate) pages: &'m [u64],
    /// Where they begin in the file.
    pub(crate) pages_at: u64,
    /// Its threads: id and general registers.
    pub(crate) threads: &'m [(u32, Vec<u64>)],
    /// The entry point of the executable as loaded.
    pub(crate) entry: u64,
    /// Start, end, offset in pages and path of the executable's mapping.
    pub(crate) mapped: (u64, u64, u64, &'m str),
}

const HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;
const PAGE: u64 = 4096;

/// Numbers in the byte order of the file.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn words(mut self, words: &[u64]) -> Self {
        self.0
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self
    }

    fn halves(mut self, words: &[u32]) -> Self {
        self.0
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn padded_to(mut self, len: usize) -> Self {
        self.0.resize(self.0.len().max(len), 0);
        self
    }
}

/// The bytes before the pages, as the kernel writes them (`fs/binfmt_elf.c`).
pub(crate) fn head(core: &Core<'_>) -> Vec<u8> {
    let notes = notes(core);
    let runs = runs(core.pages);
    let count = 1 + runs.len() as u64;
    let notes_at = HEADER + count * PROGRAM_HEADER;
    let mut segments =
        Bytes::default()
            .halves(&[4, 4])
            .words(&[notes_at, 0, 0, notes.len() as u64, 0, 4]);
    let mut offset = core.pages_at;
    for (start, len) in runs {
        let words = [offset, start, 0, len, len, PAGE];
        segments = segments.halves(&[1, 6]).words(&words);
        offset += len;
    }
    Bytes::default()
        .raw(b"\x7fELF\x02\x01\x01")
        .padded_to(16)
        // ET_CORE, EM_X86_64, then entry, program headers, sections, flags.
        .halves(&[4 | 62 << 16, 1])
        .words(&[0, HEADER, 0])
        .halves(&[0, 64 | 56 << 16, count as u32, 0])
        .raw(&segments.0)
        .raw(&notes)
        .0
}

/// Pages that follow each other are one segment.
fn runs(pages: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == *page => *len += PAGE,
            _ => runs.push((*page, PAGE)),
        }
    }
    runs
}

fn notes(core: &Core<'_>) -> Vec<u8> {
    let (start, end, offset, path) = core.mapped;
    // NT_PRPSINFO, NT_AUXV with AT_ENTRY, NT_FILE.
    let mut notes = note(3, Bytes::default().padded_to(136));
    notes.extend(note(6, Bytes::default().words(&[9, core.entry, 0, 0])));
    let mapped = Bytes::default().words(&[1, PAGE, start, end, offset]);
    notes.extend(note(0x4649_4c45, mapped.raw(path.as_bytes()).raw(b"\0")));
    for (tid, registers) in core.threads {
        // NT_PRSTATUS: pr_pid at 32, pr_reg at 112.
        let status = Bytes::default().padded_to(32).halves(&[*tid]);
        let general = &registers[..registers.len().min(27)];
        notes.extend(note(1, status.padded_to(112).words(general).padded_to(336)));
    }
    notes
}

fn note(kind: u32, desc: Bytes) -> Vec<u8> {
    let len = desc.0.len() as u32;
    let whole = Bytes::default()
        .halves(&[5, len, kind])
        .raw(b"CORE\0\0\0\0");
    let end = whole.0.len() + desc.0.len().next_multiple_of(4);
    whole.raw(&desc.0).padded_to(end).0
}
