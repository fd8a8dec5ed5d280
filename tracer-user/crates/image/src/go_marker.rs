//! The cheap test for a Go executable: has it Go's build information, or its table of functions?
//!
//! The linker marks them by sections `.go.buildinfo` (`cmd/link/internal/ld/data.go`, Go 1.13 and
//! later, kept by `-s -w`) and `.gopclntab`, which is also there where the former was left out.
//! Where the section headers were removed too, `debug/buildinfo` searches the first writable segment
//! for the 14 byte magic at a 16 byte boundary, and so does this.

use std::{fs::File, path::Path};

use object::elf;

use super::{
    ImageBounds, SharedMemory,
    file::{FileBytes, Refusal},
    headers::Headers,
};

/// The sections the linker puts build information in, and the table of functions (the latter under
/// another name where it is relocated).
const SECTIONS: [&str; 3] = [".go.buildinfo", ".gopclntab", ".data.rel.ro.gopclntab"];
/// What the information begins with (`debug/buildinfo.buildInfoMagic`).
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Alignment of the information in its segment (`debug/buildinfo.buildInfoAlign`).
const ALIGN: usize = 16;
/// How much of the data segment is searched, as in Go 1.22 and earlier: the linker puts the
/// information first.
const SEARCH_LIMIT: u64 = 64 << 10;

/// Whether `file`, which was opened at `path`, is an ELF executable that Go's linker made. Malformed
/// files are not, unless they say that they are: opening them as an [`Image`](super::Image) tells
/// what is wrong.
#[must_use]
pub fn is_go(file: File, path: &Path) -> bool {
    marked(file, path).unwrap_or_else(|refusal| {
        tracing::debug!(path = %path.display(), %refusal, "no Go program");
        false
    })
}

fn marked(file: File, path: &Path) -> Result<bool, Refusal> {
    let bytes = FileBytes::new(file, path, &ImageBounds::DAEMON, &SharedMemory::default())?;
    let headers = match Headers::read(&bytes) {
        // Opening such a file as an image tells what is wrong with its sections.
        Err(Refusal::Unfit(_)) => Headers::of_segments(&bytes)?,
        read => read?,
    };
    let has_section = SECTIONS.iter().any(|name| headers.section(name).is_some());
    Ok(has_section || has_magic(&bytes, &headers)?)
}

fn has_magic(bytes: &FileBytes, headers: &Headers) -> Result<bool, Refusal> {
    let mut segments = headers.segments.iter();
    let data = segments.find(|s| s.kind == elf::PT_LOAD && s.flags & elf::PF_W != 0);
    let Some(data) = data else {
        return Ok(false);
    };
    let len = data.file_size.min(SEARCH_LIMIT) as usize;
    let start = bytes.glance(data.offset, len)?.unwrap_or_default();
    let mut places = start.chunks(ALIGN);
    Ok(places.any(|place| place.starts_with(MAGIC)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn check(bytes: &[u8]) -> bool {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        is_go(file.reopen().unwrap(), file.path())
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
