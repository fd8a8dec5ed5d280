//! The memory of a process that has ended, from the core file the kernel wrote.
//!
//! An ELF file of type `ET_CORE` (`fs/binfmt_elf.c`): a `PT_LOAD` for each mapping, of which only
//! what was changed need be there, and notes about threads (`NT_PRSTATUS`), the auxiliary vector
//! (`NT_AUXV`) and mapped files (`NT_FILE`). Parts of the executable that were not dumped are read
//! from the executable itself.

mod notes;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use object::{
    Endianness, ReadCache, elf,
    read::elf::{FileHeader as _, ProgramHeader as _},
};

use self::notes::{MappedFile, Notes};
use super::{Memory, ReadError, ThreadRegisters};
use ids::TargetAddr;
use process::Departed;

/// Most mappings and mapped files looked at; Linux allows 65,530 mappings.
const MAPPINGS_LIMIT: usize = 1 << 17;
/// Longest note segment: a thread takes about 3 KiB.
const NOTES_LIMIT: u64 = 256 << 20;
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

#[cfg(test)]
mod tests {
    use super::*;

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
