//! The cheap test for a Go executable: has it Go's build information, or its table of functions?
//!
//! The linker marks them by sections `.go.buildinfo` (`cmd/link/internal/ld/data.go`, Go 1.13 and
//! later, kept by `-s -w`) and `.gopclntab`, which is also there where the former was left out.
//! Where the section headers were removed too, `debug/buildinfo` searches the first writable segment
//! for the 14 byte magic at a 16 byte boundary, and so does this.

use std::{fs::File, os::unix::fs::FileExt as _};

use object::{
    Endianness, ReadCache, ReadCacheOps, ReadRef, elf,
    read::elf::{FileHeader, ProgramHeader as _},
};

/// The sections the linker puts build information in, and the table of functions (the latter under
/// another name where it is relocated).
const SECTIONS: [&[u8]; 3] = [b".go.buildinfo", b".gopclntab", b".data.rel.ro.gopclntab"];
/// What the information begins with (`debug/buildinfo.buildInfoMagic`).
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Alignment of the information in its segment (`debug/buildinfo.buildInfoAlign`).
const ALIGN: usize = 16;
/// How much of the data segment is searched, as in Go 1.22 and earlier: the linker puts the
/// information first.
const SEARCH_LIMIT: u64 = 64 << 10;

/// Whether `file` is an ELF executable that Go's linker made. Malformed files are not.
pub(super) fn is_go(file: &File) -> bool {
    let cache = ReadCache::new(file);
    has_section(&cache).unwrap_or(false) || has_magic(&cache, file).unwrap_or(false)
}

fn header<R: ReadCacheOps>(
    cache: &ReadCache<R>,
) -> Option<(&elf::FileHeader64<Endianness>, Endianness)> {
    let header = elf::FileHeader64::<Endianness>::parse(cache).ok()?;
    Some((header, header.endian().ok()?))
}

fn has_section<R: ReadCacheOps>(cache: &ReadCache<R>) -> Option<bool> {
    let (header, endian) = header(cache)?;
    let sections = header.sections(endian, cache).ok()?;
    let named = |name: &&[u8]| sections.section_by_name(endian, name).is_some();
    Some(SECTIONS.iter().any(named))
}

fn has_magic<R: ReadCacheOps>(cache: &ReadCache<R>, file: &File) -> Option<bool> {
    let (header, endian) = header(cache)?;
    let segments = header.program_headers(endian, cache).ok()?;
    let data = segments.iter().find(|segment| {
        segment.p_type(endian) == elf::PT_LOAD && segment.p_flags(endian) & elf::PF_W != 0
    })?;
    let len = data
        .p_filesz(endian)
        .min(SEARCH_LIMIT)
        .min(cache.len().ok()?);
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    let read = file.read_at(&mut bytes, data.p_offset(endian)).ok()?;
    let mut places = bytes.get(..read)?.chunks(ALIGN);
    Some(places.any(|place| place.starts_with(MAGIC)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn check(bytes: &[u8]) -> bool {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        is_go(&file)
    }

    #[test]
    fn hostile_files_are_not_go() {
        assert!(!check(b""));
        assert!(!check(b"#!/bin/sh\n"));
        assert!(!check(b"\x7fELF"));
        let own = std::fs::read("/proc/self/exe").unwrap();
        for len in [16, 64, 100, 4096, own.len() / 2] {
            assert!(!check(&own[..len]));
        }
        let mut wild = own[..4096].to_vec();
        wild[0x20..0x40].fill(0xff);
        assert!(!check(&wild));
    }

    #[test]
    fn the_magic_in_the_data_segment_is_enough() {
        // An ELF header, one writable PT_LOAD of 32 bytes, and the magic at its second boundary.
        let mut file = vec![0; 64 + 56 + 8];
        file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0");
        file[20] = 1;
        file[32] = 64;
        file[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]);
        file[64] = 1;
        file[68] = 6;
        file[72] = 128;
        file[96] = 32;
        file.extend_from_slice(&[0; 16]);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&[0; 2]);
        assert!(check(&file));
        let last = file.len() - 10;
        file[last] = b'?';
        assert!(!check(&file));
    }
}
