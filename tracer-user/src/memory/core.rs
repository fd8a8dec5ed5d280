//! The memory of a process that has ended, from the core file the kernel wrote.
//!
//! An ELF file of type `ET_CORE` (`fs/binfmt_elf.c`): a `PT_LOAD` for each mapping, of which only
//! what was changed need be there, and notes about threads (`NT_PRSTATUS`), the auxiliary vector
//! (`NT_AUXV`) and mapped files (`NT_FILE`). Parts of the executable that were not dumped are read
//! from the executable itself.

use std::{
    fs::File,
    io, iter,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use object::{
    Endianness, ReadCache, elf,
    read::elf::{FileHeader as _, ProgramHeader as _},
};

use super::{Memory, ReadError, ThreadRegisters};
use crate::{
    ids::{Pid, TargetAddr, Tid},
    process::Departed,
};

/// Most mappings and mapped files looked at; Linux allows 65,530 mappings.
const MAPPINGS_LIMIT: usize = 1 << 17;
/// Longest note segment: a thread takes about 3 KiB.
const NOTES_LIMIT: u64 = 256 << 20;
/// Most threads looked at.
const THREADS_LIMIT: usize = 1 << 18;
/// `AT_ENTRY` in the auxiliary vector (`include/uapi/linux/auxvec.h`).
const AT_ENTRY: u64 = 9;
/// Offset of `pr_pid` in `struct elf_prstatus` on 64-bit machines (`include/linux/elfcore.h`).
const PRSTATUS_PID: usize = 32;
/// Offset of `pr_reg` in it, and how many bytes they are (`ELF_NGREG` words).
const PRSTATUS_REGISTERS: usize = 112;
#[cfg(target_arch = "x86_64")]
const REGISTERS_BYTES: usize = 27 * 8;
#[cfg(not(target_arch = "x86_64"))]
const REGISTERS_BYTES: usize = 34 * 8;
/// The vector registers of the thread whose `NT_PRSTATUS` came last.
const NT_X86_XSTATE: u32 = 0x202;
/// Longest set of vector registers kept (AMX state is below 11 KiB).
const VECTOR_LIMIT: usize = 16 << 10;
/// Offsets in `struct elf_prpsinfo` on 64-bit machines (`include/linux/elfcore.h`).
const PRPSINFO_UID: usize = 16;
const PRPSINFO_PID: usize = 24;
const PRPSINFO_COMM: std::ops::Range<usize> = 40..56;
const PRPSINFO_ARGUMENTS: std::ops::Range<usize> = 56..136;
/// The ELF header, and with it the notes that tell one build from another, lie in the first page.
const FIRST_PAGE: usize = 4096;

/// Why a core file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The file could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Not a core file of a 64-bit little-endian process, or a broken one.
    #[error("{}: not a core file that can be read: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        reason: &'static str,
    },
    /// The core was left by another build of the program.
    #[error("{} is not what the process executed: its first page is another", path.display())]
    OtherExecutable {
        /// The executable that was given or found.
        path: PathBuf,
    },
}

/// A core file's memory.
#[derive(Debug)]
pub struct CoreMemory {
    /// The dumped parts by ascending address.
    dumped: Vec<Segment>,
    file: File,
    /// Where files were mapped, by ascending address.
    mapped: Vec<MappedFile>,
    /// The executable, for what was not dumped.
    executable: Option<(PathBuf, File)>,
    notes: Notes,
}

/// A piece of memory in the core file.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start: u64,
    end: u64,
    offset: u64,
}

/// A piece of a file that was mapped (`NT_FILE`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct MappedFile {
    start: u64,
    end: u64,
    offset: u64,
    path: PathBuf,
}

/// What the notes say.
#[derive(Debug, Default)]
struct Notes {
    process: Departed,
    threads: Vec<ThreadRegisters>,
    entry: Option<TargetAddr>,
}

impl CoreMemory {
    /// Opens a core file.
    ///
    /// # Errors
    /// [`CoreError`] says what was wrong with it.
    pub fn open(path: &Path) -> Result<Self, CoreError> {
        let failed = |source| CoreError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let cache = ReadCache::new(&file);
        let (dumped, mapped, notes) =
            parse(&cache, len).map_err(|reason| CoreError::Malformed {
                path: path.to_owned(),
                reason,
            })?;
        drop(cache);
        Ok(Self {
            dumped,
            file,
            mapped,
            executable: None,
            notes,
        })
    }

    /// The process that was dumped.
    #[must_use]
    pub fn process(&self) -> &Departed {
        &self.notes.process
    }

    /// Its threads, with the registers they had.
    #[must_use]
    pub fn threads(&self) -> &[ThreadRegisters] {
        &self.notes.threads
    }

    /// The entry point of its executable as loaded (`AT_ENTRY`).
    #[must_use]
    pub fn entry(&self) -> Option<TargetAddr> {
        self.notes.entry
    }

    /// The path its executable had.
    #[must_use]
    pub fn executable_path(&self) -> Option<&Path> {
        let entry = self.notes.entry?.0;
        let holds = |file: &&MappedFile| (file.start..file.end).contains(&entry);
        self.mapped
            .iter()
            .find(holds)
            .map(|file| file.path.as_path())
    }

    /// Reads what was not dumped of the executable from `file`, a copy of it.
    ///
    /// # Errors
    /// [`CoreError::OtherExecutable`] when the core has the first page of another build.
    pub fn with_executable(mut self, file: File, path: &Path) -> Result<Self, CoreError> {
        if !self.is_executable(&file) {
            return Err(CoreError::OtherExecutable {
                path: path.to_owned(),
            });
        }
        self.executable = self.executable_path().map(|path| (path.to_owned(), file));
        Ok(self)
    }

    /// Whether nothing speaks against `file` being what the process executed.
    fn is_executable(&self, file: &File) -> bool {
        let Some(path) = self.executable_path() else {
            return true;
        };
        let mut mapped = self.mapped.iter();
        let Some(first) = mapped.find(|piece| piece.offset == 0 && piece.path == path) else {
            return true;
        };
        let (mut dumped, mut given) = (vec![0; FIRST_PAGE], vec![0; FIRST_PAGE]);
        self.read(TargetAddr(first.start), &mut dumped).is_err()
            || (file.read_exact_at(&mut given, 0).is_ok() && dumped == given)
    }

    /// The file, and the place in it, that holds the byte at `at`, and how many more follow.
    fn place(&self, at: u64) -> Option<(&File, u64, u64)> {
        let after = self.dumped.partition_point(|segment| segment.start <= at);
        if let Some(segment) = after.checked_sub(1).map(|index| self.dumped[index])
            && at < segment.end
        {
            let offset = segment.offset.checked_add(at - segment.start)?;
            return Some((&self.file, offset, segment.end - at));
        }
        let (path, file) = self.executable.as_ref()?;
        let after = self.mapped.partition_point(|mapped| mapped.start <= at);
        let mapped = &self.mapped[after.checked_sub(1)?];
        if at >= mapped.end || mapped.path != *path {
            return None;
        }
        let offset = mapped.offset.checked_add(at - mapped.start)?;
        Some((file, offset, mapped.end - at))
    }
}

impl Memory for CoreMemory {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let len = into.len();
        let unmapped = ReadError::Unmapped { at, len };
        let mut done = 0;
        while done < len {
            let next = at.0.checked_add(done as u64).ok_or(unmapped)?;
            let (file, offset, follow) = self.place(next).ok_or(unmapped)?;
            let piece = usize::try_from(follow)
                .unwrap_or(usize::MAX)
                .min(len - done);
            file.read_exact_at(&mut into[done..done + piece], offset)
                .map_err(|_| unmapped)?;
            done += piece;
        }
        Ok(())
    }
}

type Parsed = (Vec<Segment>, Vec<MappedFile>, Notes);

fn parse(cache: &ReadCache<&File>, len: u64) -> Result<Parsed, &'static str> {
    let header =
        elf::FileHeader64::<Endianness>::parse(cache).map_err(|_| "it is not a 64-bit ELF file")?;
    let endian = header.endian().map_err(|_| "unknown byte order")?;
    if header.e_type.get(endian) != elf::ET_CORE {
        return Err("it is another kind of ELF file");
    }
    if endian != Endianness::Little {
        return Err("the process was big-endian");
    }
    let headers = header
        .program_headers(endian, cache)
        .map_err(|_| "the program headers are outside of the file")?;
    let mut dumped = Vec::new();
    let mut mapped = Vec::new();
    let mut notes = Notes::default();
    for segment in headers.iter().take(MAPPINGS_LIMIT) {
        let (start, offset) = (segment.p_vaddr(endian), segment.p_offset(endian));
        // A core that was cut short lacks the end of its memory, and is still worth reading.
        let size = segment.p_filesz(endian).min(len.saturating_sub(offset));
        match segment.p_type(endian) {
            elf::PT_LOAD if size > 0 => dumped.push(Segment {
                start,
                end: start.checked_add(size).ok_or("a segment wraps around")?,
                offset,
            }),
            elf::PT_NOTE if segment.p_filesz(endian) <= size.min(NOTES_LIMIT) => {
                let found = segment
                    .notes(endian, cache)
                    .map_err(|_| "the notes are broken")?;
                let Some(mut found) = found else { continue };
                while let Ok(Some(note)) = found.next() {
                    notes.add(note.n_type(endian), note.desc(), &mut mapped);
                }
            }
            _ => {}
        }
    }
    dumped.sort_by_key(|segment| segment.start);
    mapped.sort_by_key(|file| file.start);
    Ok((dumped, mapped, notes))
}

impl Notes {
    fn add(&mut self, kind: u32, desc: &[u8], mapped: &mut Vec<MappedFile>) {
        match kind {
            elf::NT_PRSTATUS if self.threads.len() < THREADS_LIMIT => {
                self.threads.extend(thread(desc));
            }
            NT_X86_XSTATE => {
                if let Some(thread) = self.threads.last_mut() {
                    thread.words.extend(words(desc.iter().take(VECTOR_LIMIT)));
                }
            }
            elf::NT_PRPSINFO => self.process = process(desc).unwrap_or_default(),
            elf::NT_AUXV => {
                let mut pairs = desc.chunks_exact(16);
                let entry = pairs.find(|pair| u64_at(pair, 0) == Some(AT_ENTRY));
                self.entry = entry.and_then(|pair| u64_at(pair, 8)).map(TargetAddr);
            }
            elf::NT_FILE => *mapped = mapped_files(desc).unwrap_or_default(),
            _ => {}
        }
    }
}

/// `NT_PRSTATUS`: one thread and its general registers.
fn thread(desc: &[u8]) -> Option<ThreadRegisters> {
    let tid = Tid(u32_at(desc, PRSTATUS_PID)?);
    let general = desc.get(PRSTATUS_REGISTERS..PRSTATUS_REGISTERS + REGISTERS_BYTES)?;
    ThreadRegisters::new(tid, words(general.iter()).collect())
}

/// `NT_PRPSINFO`: the process, and the first 79 bytes of its arguments.
fn process(desc: &[u8]) -> Option<Departed> {
    let text = |range| {
        let bytes: &[u8] = desc.get(range)?;
        let end = bytes.iter().position(|byte| *byte == 0);
        let bytes = &bytes[..end.unwrap_or(bytes.len())];
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    Some(Departed {
        pid: Pid(u32_at(desc, PRPSINFO_PID)?),
        uid: u32_at(desc, PRPSINFO_UID)?,
        comm: text(PRPSINFO_COMM)?,
        arguments: text(PRPSINFO_ARGUMENTS)?
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    })
}

fn words<'d>(bytes: impl Iterator<Item = &'d u8>) -> impl Iterator<Item = u64> {
    let mut bytes = bytes.copied();
    iter::from_fn(move || {
        let mut word = [0; 8];
        for byte in &mut word {
            *byte = bytes.next()?;
        }
        Some(u64::from_le_bytes(word))
    })
}

/// `NT_FILE`: count, page size, then start, end and page offset of each, then their names.
fn mapped_files(desc: &[u8]) -> Option<Vec<MappedFile>> {
    let count = usize::try_from(u64_at(desc, 0)?).ok()?.min(MAPPINGS_LIMIT);
    let page = u64_at(desc, 8)?;
    let names = desc.get(16 + 24 * count..)?;
    let mut names = names.split(|byte| *byte == 0);
    (0..count)
        .map(|index| {
            let word = |field: usize| u64_at(desc, 16 + 24 * index + 8 * field);
            Some(MappedFile {
                start: word(0)?,
                end: word(1)?,
                offset: word(2)?.checked_mul(page)?,
                path: path(names.next()?),
            })
        })
        .collect()
}

/// A mapped file's path. The kernel marks an unlinked file (`d_path`, fs/d_path.c); another may lie
/// there now, which the first page tells.
fn path(name: &[u8]) -> PathBuf {
    let text = String::from_utf8_lossy(name);
    PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(word))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
    Some(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_files_are_listed_with_their_names() {
        let mut desc: Vec<u8> = [1_u64, 4096, 0x40_0000, 0x40_1000, 2]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        desc.extend_from_slice(b"/bin/x (deleted)\0");
        let expected = MappedFile {
            start: 0x40_0000,
            end: 0x40_1000,
            offset: 8192,
            path: "/bin/x".into(),
        };
        assert_eq!(mapped_files(&desc), Some(vec![expected]));
        desc[0] = 200;
        assert_eq!(mapped_files(&desc), None);
    }

    #[test]
    fn what_is_no_core_is_refused() {
        let own = CoreMemory::open(Path::new("/proc/self/exe")).unwrap_err();
        assert!(
            own.to_string().ends_with("it is another kind of ELF file"),
            "{own}"
        );
        assert!(CoreMemory::open(Path::new("/etc/passwd")).is_err());
        let absent = CoreMemory::open(Path::new("/nonexistent")).unwrap_err();
        assert!(matches!(absent, CoreError::Io { .. }));
    }
}
