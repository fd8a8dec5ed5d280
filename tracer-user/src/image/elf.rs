//! The ELF file: segments, sections, relocations, and the bytes at an address.

use std::{borrow::Cow, fs::File, path::Path};

use object::{
    Architecture, Object as _, ObjectSection as _, ObjectSegment as _, ReadCache, SegmentFlags,
    elf,
    read::elf::{ElfFile64, FileHeader as _, Rela as _, SectionHeader as _},
};
use rustc_hash::FxHashMap;

use super::{error::ImageError, file_bytes::FileBytes};
use crate::ids::{FileOffset, ImageAddr};

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
}

#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) addr: u64,
    pub(super) size: u64,
}

/// More sections, segments or relocations than any linker makes.
const MAX_SECTIONS: usize = 4096;
const MAX_RELOCATIONS: usize = 16_000_000;

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
    /// `R_*_RELATIVE`: what the loader stores at an address, before the bias.
    relative: FxHashMap<u64, u64>,
}

impl Elf {
    /// Reads the headers and the relative relocations of a position-independent executable.
    pub(super) fn open(path: &Path) -> Result<Self, ImageError> {
        let io = |source| ImageError::Io {
            path: path.to_owned(),
            source,
        };
        let broken = |reason: String| ImageError::Elf {
            path: path.to_owned(),
            reason,
        };
        let file = File::open(path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(broken("not a regular file".into()));
        }
        let bytes = FileBytes::new(file).map_err(io)?;
        let cache = ReadCache::new(bytes.file());
        let elf = ElfFile64::<object::LittleEndian, _>::parse(&cache)
            .map_err(|error| broken(error.to_string()))?;
        let arch = match elf.architecture() {
            Architecture::X86_64 => Arch::Amd64,
            Architecture::Aarch64 => Arch::Arm64,
            other => return Err(broken(format!("{other:?} is not supported"))),
        };
        let pie = elf.elf_header().e_type(object::LittleEndian) == elf::ET_DYN;
        let segments = elf.segments().take(MAX_SECTIONS).map(|segment| {
            let (offset, file_size) = segment.file_range();
            // A header may promise more than the file holds.
            let file_size = file_size.min(bytes.len().saturating_sub(offset));
            let writable = matches!(segment.flags(), SegmentFlags::Elf { p_flags } if p_flags & elf::PF_W != 0);
            Segment { addr: segment.address(), offset, file_size, writable }
        });
        let sections = elf.sections().take(MAX_SECTIONS).map(|section| Section {
            name: section.name().unwrap_or_default().to_owned(),
            addr: section.address(),
            size: section.size(),
        });
        let sections: Vec<_> = sections.collect();
        Ok(Self {
            arch,
            pie,
            has_symbols: elf.section_by_name(".symtab").is_some(),
            segments: segments.collect(),
            sections,
            build_id: elf.build_id().ok().flatten().map(<[u8]>::to_vec),
            relative: if pie {
                relative_relocations(&elf, arch)
            } else {
                FxHashMap::default()
            },
            bytes,
        })
    }

    /// The file's length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len()
    }

    /// A fresh view through the `object` crate, for symbol tables and DWARF.
    pub(super) fn reader(&self) -> ReadCache<&File> {
        ReadCache::new(self.bytes.file())
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

    /// `len` bytes at `addr`, if one segment of the file holds them all.
    pub(super) fn get(&self, addr: ImageAddr, len: usize) -> Option<Cow<'_, [u8]>> {
        let segment = self.segment(addr.0)?;
        let skip = addr.0 - segment.addr;
        if skip.checked_add(len as u64)? > segment.file_size {
            return None;
        }
        self.bytes.get(segment.offset.checked_add(skip)?, len)
    }

    /// The bytes from `addr` on, at least one and up to an implementation-chosen length.
    pub(super) fn tail(&self, addr: ImageAddr) -> Option<&[u8]> {
        let segment = self.segment(addr.0)?;
        let skip = addr.0 - segment.addr;
        let tail = self.bytes.tail(segment.offset.checked_add(skip)?)?;
        let within = usize::try_from(segment.file_size - skip).ok()?;
        Some(&tail[..tail.len().min(within)])
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
        match self.relative.get(&addr.0) {
            Some(&target) => Some(ImageAddr(target)),
            None => self.u64(addr).map(ImageAddr),
        }
    }

    /// The addresses at which the loader stores a pointer to `target`.
    pub(super) fn relocated_to(&self, target: ImageAddr) -> impl Iterator<Item = ImageAddr> {
        self.relative
            .iter()
            .filter(move |&(_, &to)| to == target.0)
            .map(|(&at, _)| ImageAddr(at))
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }
}

fn relative_relocations<'data, R: object::ReadRef<'data>>(
    file: &ElfFile64<'data, object::LittleEndian, R>,
    arch: Arch,
) -> FxHashMap<u64, u64> {
    let endian = object::LittleEndian;
    let kind = match arch {
        Arch::Amd64 => elf::R_X86_64_RELATIVE,
        Arch::Arm64 => elf::R_AARCH64_RELATIVE,
    };
    let mut relocations = FxHashMap::default();
    for section in file.elf_section_table().iter() {
        let Ok(Some((entries, _))) = section.rela(endian, file.data()) else {
            continue;
        };
        for entry in entries {
            if relocations.len() >= MAX_RELOCATIONS {
                return relocations;
            }
            if entry.r_type(endian, false) == kind {
                relocations.insert(
                    entry.r_offset(endian),
                    entry.r_addend(endian).cast_unsigned(),
                );
            }
        }
    }
    relocations
}
