//! The ELF file: segments, sections, relocations, and the bytes at an address.

use std::{borrow::Cow, fs::File, ops::ControlFlow, path::Path};

use object::elf;

use super::{
    error::ImageError,
    file::{FileBytes, ImageBounds, Refusal, SharedMemory},
    headers::{Headers, Section},
    relocations::Relocations,
};
use ids::{FileOffset, ImageAddr};

/// The machines whose Go binaries can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64: images parse, targets cannot be traced yet.
    Arm64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) addr: u64,
    pub(super) offset: u64,
    pub(super) file_size: u64,
    pub(super) writable: bool,
    pub(super) executable: bool,
}

/// Linkers make half a dozen.
const MAX_LOADED: usize = 64;

/// An opened ELF file.
#[derive(Debug)]
pub(super) struct Elf {
    bytes: FileBytes,
    pub(super) arch: Arch,
    pub(super) pie: bool,
    pub(super) has_symbols: bool,
    pub(super) segments: Vec<Segment>,
    pub(super) sections: Vec<Section>,
    pub(super) build_id: Option<Vec<u8>>,
    pub(super) bounds: ImageBounds,
    relative: Relocations,
}

impl Elf {
    /// Reads the headers and the relative relocations of a position-independent executable.
    pub(super) fn open(
        path: &Path,
        bounds: &ImageBounds,
        shared: &SharedMemory,
    ) -> Result<Self, ImageError> {
        Self::read(path, bounds, shared).map_err(|refusal| ImageError::of(path, refusal))
    }

    fn read(path: &Path, bounds: &ImageBounds, shared: &SharedMemory) -> Result<Self, Refusal> {
        let bytes = FileBytes::new(File::open(path)?, path, bounds, shared)?;
        bytes.check_len()?;
        let headers = Headers::read(&bytes)?;
        let arch = match headers.machine {
            elf::EM_X86_64 => Arch::Amd64,
            elf::EM_AARCH64 => Arch::Arm64,
            other => return Err(Refusal::unfit(format!("machine {other} is not supported"))),
        };
        let pie = headers.kind == elf::ET_DYN;
        let relative = if pie {
            Relocations::read(&bytes, &headers, arch, bounds)?
        } else {
            Relocations::default()
        };
        let loaded = headers.segments.iter().filter(|s| s.kind == elf::PT_LOAD);
        if loaded.clone().count() > MAX_LOADED {
            let reason = format!("it has more than {MAX_LOADED} segments that are loaded");
            return Err(Refusal::unfit(reason));
        }
        let segments = loaded.map(|segment| Segment {
            addr: segment.addr,
            offset: segment.offset,
            file_size: segment.file_size,
            writable: segment.flags & elf::PF_W != 0,
            executable: segment.flags & elf::PF_X != 0,
        });
        Ok(Self {
            arch,
            pie,
            has_symbols: headers.sections.iter().any(|s| s.kind == elf::SHT_SYMTAB),
            segments: segments.collect(),
            build_id: build_id(&bytes, &headers),
            sections: headers.sections,
            bounds: bounds.clone(),
            relative,
            bytes,
        })
    }

    /// The file, for tables that are in no segment.
    pub(super) const fn file(&self) -> &FileBytes {
        &self.bytes
    }

    /// All that is read at once has been read.
    pub(super) fn parsed(&mut self) {
        self.bytes.parsed();
    }

    fn segment(&self, addr: u64) -> Option<&Segment> {
        self.segments.iter().find(|s| {
            addr.checked_sub(s.addr)
                .is_some_and(|skip| skip < s.file_size)
        })
    }

    /// Where in the file the byte at `addr` is.
    pub(super) fn file_offset(&self, addr: ImageAddr) -> Option<FileOffset> {
        let segment = self.segment(addr.0)?;
        segment
            .offset
            .checked_add(addr.0 - segment.addr)
            .map(FileOffset)
    }

    /// How many bytes the file has from `addr` on.
    pub(super) fn room(&self, addr: ImageAddr) -> u64 {
        let segment = self.segment(addr.0);
        segment.map_or(0, |segment| segment.file_size - (addr.0 - segment.addr))
    }

    /// `len` bytes at `addr`, if one segment of the file holds them all.
    pub(super) fn get(&self, addr: ImageAddr, len: usize) -> Option<Cow<'_, [u8]>> {
        let segment = self.segment(addr.0)?;
        let skip = addr.0 - segment.addr;
        if skip.checked_add(len as u64)? > segment.file_size {
            return None;
        }
        self.bytes.get(segment.offset.checked_add(skip)?, len)
    }

    /// The bytes from `addr` on, at least one and at most `most`.
    pub(super) fn tail(&self, addr: ImageAddr, most: usize) -> Option<Cow<'_, [u8]>> {
        let segment = self.segment(addr.0)?;
        let skip = addr.0 - segment.addr;
        let within = usize::try_from(segment.file_size - skip).ok()?;
        let offset = segment.offset.checked_add(skip)?;
        self.bytes.tail(offset, most.min(within))
    }

    /// The bytes from `addr` on, at most `most` of them, while the file is parsed; nothing is kept for
    /// it. `None` when there are none.
    pub(super) fn glance(&self, addr: ImageAddr, most: usize) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(offset) = self.file_offset(addr) else {
            return Ok(None);
        };
        let room = usize::try_from(self.room(addr)).unwrap_or(usize::MAX);
        self.bytes.glance(offset.0, most.min(room))
    }

    pub(super) fn u32(&self, addr: ImageAddr) -> Option<u32> {
        let bytes = self.get(addr, 4)?;
        Some(u32::from_le_bytes(bytes.as_ref().try_into().ok()?))
    }

    pub(super) fn u64(&self, addr: ImageAddr) -> Option<u64> {
        let bytes = self.get(addr, 8)?;
        Some(u64::from_le_bytes(bytes.as_ref().try_into().ok()?))
    }

    /// The pointer that the loader leaves at `addr`, before the bias.
    pub(super) fn pointer(&self, addr: ImageAddr) -> Option<ImageAddr> {
        match self.relative.at(addr.0) {
            Some(target) => Some(ImageAddr(target)),
            None => self.u64(addr).map(ImageAddr),
        }
    }

    /// Where the loader stores which pointers.
    pub(super) fn relocations(&self) -> impl Iterator<Item = (ImageAddr, ImageAddr)> {
        let wrap = |(at, to)| (ImageAddr(at), ImageAddr(to));
        self.relative.iter().map(wrap)
    }

    /// Hands the aligned words of `len` bytes at `start` to `each` with their addresses, until that
    /// breaks off: as far as one segment goes, and as somebody wrote them.
    pub(super) fn scan_words(
        &self,
        start: ImageAddr,
        len: u64,
        mut each: impl FnMut(ImageAddr, u64) -> ControlFlow<()>,
    ) -> Result<(), Refusal> {
        let start = start.0.checked_next_multiple_of(8).map(ImageAddr);
        let Some((start, offset)) = start.and_then(|at| Some((at, self.file_offset(at)?))) else {
            return Ok(());
        };
        let len = len.min(self.room(start)) / 8 * 8;
        self.bytes.scan(offset.0, len, 8, |at, piece| {
            let first = start.offset(at - offset.0);
            for (index, word) in piece.as_chunks::<8>().0.iter().enumerate() {
                each(first.offset(8 * index as u64), u64::from_le_bytes(*word))?;
            }
            ControlFlow::Continue(())
        })
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }
}

/// What the linker's note says (`NT_GNU_BUILD_ID`).
fn build_id(bytes: &FileBytes, headers: &Headers) -> Option<Vec<u8>> {
    const MAX_NOTE: u64 = 256;
    let note = headers.section(".note.gnu.build-id")?;
    let note = bytes
        .table("build id", note.offset, note.size, MAX_NOTE)
        .ok()?;
    // The lengths of the name and of the id, the kind, the name `GNU`.
    let word = |at: usize| Some(u32::from_le_bytes(note.get(at..at + 4)?.try_into().ok()?));
    let (name, len) = (word(0)? as usize, word(4)? as usize);
    let start = 12 + name.next_multiple_of(4);
    Some(note.get(start..start.checked_add(len)?)?.to_vec())
}
