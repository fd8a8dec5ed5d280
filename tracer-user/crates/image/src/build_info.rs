//! The build information that the Go linker leaves in every binary (`debug/buildinfo`).

use super::{build_version::build_version, elf::Elf, file::Refusal};
use ids::ImageAddr;

/// `internal/buildinfo`: the 14 magic bytes, then pointer size, then flags.
const MAGIC: &[u8] = b"\xff Go buildinf:";
const ALIGN: usize = 16;
const HEADER: u64 = 32;
/// Flag: strings follow inline, as varint length and bytes (Go 1.18 and later).
const INLINE_STRINGS: u8 = 2;
const MAX_STRING: usize = 4 << 20;
const MAX_SCAN: usize = 1 << 20;

/// Go version, main package and build settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// As written by the toolchain, for example `go1.27.3`.
    pub go_version: String,
    /// Import path of the main package (`path` line); empty when absent.
    pub main_package: String,
    /// `build` lines, in order: `("CGO_ENABLED", "1")` and so on.
    pub settings: Vec<(String, String)>,
}

impl BuildInfo {
    /// The value of one build setting.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(k, _)| k == key)?;
        Some(found.1.as_str())
    }

    /// Finds and reads the build information; `None` when the file has none.
    pub(super) fn read(elf: &Elf) -> Option<Self> {
        let at = find(elf)?;
        let header = elf.get(at, HEADER as usize)?;
        let (version, modules) = if header.get(15)? & INLINE_STRINGS != 0 {
            let (version, next) = inline_string(elf, at.offset(HEADER))?;
            let modules = inline_string(elf, next).map(|(text, _)| text);
            (version, modules.unwrap_or_default())
        } else {
            // Before Go 1.18: pointers to string headers.
            let version = string_header(elf, elf.pointer(at.offset(16))?)?;
            let modules = elf
                .pointer(at.offset(24))
                .and_then(|p| string_header(elf, p));
            (version, modules.unwrap_or_default())
        };
        Some(Self::parse(
            String::from_utf8_lossy(&version).into_owned(),
            &String::from_utf8_lossy(strip_sentinels(&modules)),
        ))
    }

    /// What the runtime itself says of a program that was built without build information: the
    /// version alone.
    pub(super) fn of_runtime(elf: &Elf) -> Result<Option<Self>, Refusal> {
        let version = build_version(elf)?;
        Ok(version.map(|go_version| Self {
            go_version,
            ..Self::default()
        }))
    }

    fn parse(go_version: String, modules: &str) -> Self {
        let mut info = Self {
            go_version,
            ..Self::default()
        };
        for line in modules.lines() {
            match line.split_once('\t') {
                Some(("path", path)) => path.clone_into(&mut info.main_package),
                Some(("build", setting)) => {
                    if let Some((key, value)) = setting.split_once('=') {
                        info.settings
                            .push((key.to_owned(), value.trim_matches('"').to_owned()));
                    }
                }
                _ => {}
            }
        }
        info
    }
}

/// The module text stands between two 16-byte markers.
fn strip_sentinels(text: &[u8]) -> &[u8] {
    if text.len() >= 33 && text[text.len() - 17] == b'\n' {
        &text[16..text.len() - 16]
    } else {
        &[]
    }
}

fn find(elf: &Elf) -> Option<ImageAddr> {
    if let Some(section) = elf.section(".go.buildinfo") {
        let at = ImageAddr(section.addr);
        if elf.get(at, MAGIC.len())?.as_ref() == MAGIC {
            return Some(at);
        }
    }
    // Section headers may be gone: it lies at the start of the first writable segment.
    let segment = elf.segments.iter().find(|s| s.writable)?;
    let len = usize::try_from(segment.file_size).ok()?.min(MAX_SCAN);
    let bytes = elf.get(ImageAddr(segment.addr), len)?;
    let skip = bytes.chunks(ALIGN).position(|chunk| {
        chunk.starts_with(&MAGIC[..MAGIC.len().min(chunk.len())]) && chunk.len() == ALIGN
    })?;
    Some(ImageAddr(segment.addr).offset((skip * ALIGN) as u64))
}

fn inline_string(elf: &Elf, at: ImageAddr) -> Option<(Vec<u8>, ImageAddr)> {
    let (mut len, mut shift, mut next) = (0_usize, 0, at);
    loop {
        let byte = *elf.get(next, 1)?.first()?;
        next = next.offset(1);
        len |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            break;
        }
        shift += 7;
        if shift > 28 {
            return None;
        }
    }
    if len > MAX_STRING {
        return None;
    }
    Some((elf.get(next, len)?.into_owned(), next.offset(len as u64)))
}

fn string_header(elf: &Elf, at: ImageAddr) -> Option<Vec<u8>> {
    let data = elf.pointer(at)?;
    let len = usize::try_from(elf.u64(at.offset(8))?).ok()?;
    if len > MAX_STRING {
        return None;
    }
    Some(elf.get(data, len)?.into_owned())
}
