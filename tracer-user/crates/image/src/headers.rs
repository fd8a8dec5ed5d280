//! The headers of an ELF file: what lies where.

use object::{LittleEndian, elf, pod};

use super::file::{FileBytes, MAX_HEADERS, MAX_NAMES, Refusal};

const LE: LittleEndian = LittleEndian;
/// Bytes of `Elf64_Ehdr`, `Elf64_Phdr` and `Elf64_Shdr`.
const FILE_HEADER: usize = 64;
const SEGMENT_HEADER: u64 = 56;
const SECTION_HEADER: u64 = 64;
/// Longer names than any section has that is asked for.
const MAX_NAME: usize = 64;

/// One entry of the program headers.
#[derive(Debug, Clone, Copy)]
pub struct SegmentHeader {
    /// `PT_LOAD` and so on.
    pub kind: u32,
    /// `PF_W` and so on.
    pub flags: u32,
    pub addr: u64,
    pub offset: u64,
    pub file_size: u64,
}

/// One entry of the section table.
#[derive(Debug, Clone)]
pub struct Section {
    /// Cut off after 64 bytes.
    pub name: String,
    /// `SHT_SYMTAB` and so on.
    pub kind: u32,
    /// `SHF_COMPRESSED` and so on.
    pub flags: u64,
    pub addr: u64,
    pub offset: u64,
    pub size: u64,
    /// The section that this one refers to.
    pub link: u32,
}

/// The headers of a 64-bit little-endian file.
#[derive(Debug)]
pub struct Headers {
    /// `EM_X86_64` and so on.
    pub machine: u16,
    /// `ET_DYN` and so on.
    pub kind: u16,
    pub segments: Vec<SegmentHeader>,
    pub sections: Vec<Section>,
}

impl Headers {
    /// Reads them.
    ///
    /// # Errors
    /// [`Refusal`] when it is no such file, or one of its tables is too long or was never written.
    pub fn read(bytes: &FileBytes) -> Result<Self, Refusal> {
        let header = file_header(bytes)?;
        // Tables too long for the header's own fields are counted in the first section's
        // (elf(5), `e_phnum`, `e_shnum`, `e_shstrndx`).
        let first = first_section(bytes, &header)?;
        let counts = Counts::of(&header, first.as_ref());
        Ok(Self {
            sections: sections(bytes, &header, &counts)?,
            ..Self::with_segments(bytes, &header, &counts)?
        })
    }

    /// Likewise of a file whose section table is not as it should be: without it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn of_segments(bytes: &FileBytes) -> Result<Self, Refusal> {
        let header = file_header(bytes)?;
        Self::with_segments(bytes, &header, &Counts::of(&header, None))
    }

    fn with_segments(
        bytes: &FileBytes,
        header: &FileHeader,
        counts: &Counts,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            machine: header.e_machine.get(LE),
            kind: header.e_type.get(LE),
            segments: segments(bytes, header, counts)?,
            sections: Vec::new(),
        })
    }

    /// The section called `name`.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }
}

type FileHeader = elf::FileHeader64<LittleEndian>;
type SectionHeader = elf::SectionHeader64<LittleEndian>;
type ProgramHeader = elf::ProgramHeader64<LittleEndian>;

fn file_header(bytes: &FileBytes) -> Result<FileHeader, Refusal> {
    let header = bytes.get(0, FILE_HEADER).unwrap_or_default();
    let (header, _) =
        pod::from_bytes::<FileHeader>(&header).map_err(|()| Refusal::unfit("it is no ELF file"))?;
    let ident = &header.e_ident;
    if ident.magic != elf::ELFMAG {
        return Err(Refusal::unfit("it is no ELF file"));
    }
    if ident.class != elf::ELFCLASS64 || ident.data != elf::ELFDATA2LSB {
        return Err(Refusal::unfit("it is no 64-bit little-endian ELF file"));
    }
    Ok(*header)
}

/// How many entries the tables have.
struct Counts {
    segments: u64,
    sections: u64,
    /// Which section has the names of all.
    names: u32,
}

impl Counts {
    fn of(header: &FileHeader, first: Option<&SectionHeader>) -> Self {
        let segments = header.e_phnum.get(LE);
        let sections = header.e_shnum.get(LE);
        let names = header.e_shstrndx.get(LE);
        Self {
            segments: match first {
                Some(first) if segments == elf::PN_XNUM => u64::from(first.sh_info.get(LE)),
                _ => u64::from(segments),
            },
            sections: match first {
                Some(first) if sections == 0 => first.sh_size.get(LE),
                Some(_) => u64::from(sections),
                None => 0,
            },
            names: match first {
                Some(first) if names == elf::SHN_XINDEX => first.sh_link.get(LE),
                _ => u32::from(names),
            },
        }
    }
}

/// The first entry of the section table; `None` when there is no table.
fn first_section(bytes: &FileBytes, header: &FileHeader) -> Result<Option<SectionHeader>, Refusal> {
    let offset = header.e_shoff.get(LE);
    if offset == 0 {
        return Ok(None);
    }
    if u64::from(header.e_shentsize.get(LE)) != SECTION_HEADER {
        return Err(Refusal::unfit(
            "its section table has entries of another size",
        ));
    }
    let entry = bytes.get(offset, SECTION_HEADER as usize);
    let entry = entry.as_deref().map(pod::from_bytes::<SectionHeader>);
    match entry {
        Some(Ok((first, _))) => Ok(Some(*first)),
        _ => Err(Refusal::unfit(
            "its section table goes beyond the end of the file",
        )),
    }
}

fn segments(
    bytes: &FileBytes,
    header: &FileHeader,
    counts: &Counts,
) -> Result<Vec<SegmentHeader>, Refusal> {
    let offset = header.e_phoff.get(LE);
    if offset == 0 || counts.segments == 0 {
        return Ok(Vec::new());
    }
    if u64::from(header.e_phentsize.get(LE)) != SEGMENT_HEADER {
        return Err(Refusal::unfit("its program headers are of another size"));
    }
    let what = "table of program headers";
    let (len, most) = (
        counts.segments * SEGMENT_HEADER,
        MAX_HEADERS * SEGMENT_HEADER,
    );
    let table = bytes.table(what, offset, len, most)?;
    let entries = pod::slice_from_all_bytes::<ProgramHeader>(&table).unwrap_or_default();
    let segments = entries.iter().map(|entry| SegmentHeader {
        kind: entry.p_type.get(LE),
        flags: entry.p_flags.get(LE),
        addr: entry.p_vaddr.get(LE),
        offset: entry.p_offset.get(LE),
        // A header may promise more than the file holds.
        file_size: {
            let left = bytes.len().saturating_sub(entry.p_offset.get(LE));
            entry.p_filesz.get(LE).min(left)
        },
    });
    Ok(segments.collect())
}

fn sections(
    bytes: &FileBytes,
    header: &FileHeader,
    counts: &Counts,
) -> Result<Vec<Section>, Refusal> {
    let len = counts.sections.saturating_mul(SECTION_HEADER);
    if len == 0 {
        return Ok(Vec::new());
    }
    let most = MAX_HEADERS * SECTION_HEADER;
    let table = bytes.table("section table", header.e_shoff.get(LE), len, most)?;
    let entries = pod::slice_from_all_bytes::<SectionHeader>(&table).unwrap_or_default();
    let names = entries.get(counts.names as usize);
    let names = match names.filter(|names| names.sh_type.get(LE) == elf::SHT_STRTAB) {
        Some(names) => {
            let (offset, len) = (names.sh_offset.get(LE), names.sh_size.get(LE));
            bytes.table("table of section names", offset, len, MAX_NAMES)?
        }
        None => Vec::new(),
    };
    let sections = entries.iter().map(|entry| Section {
        name: name_at(&names, entry.sh_name.get(LE)),
        kind: entry.sh_type.get(LE),
        flags: entry.sh_flags.get(LE),
        addr: entry.sh_addr.get(LE),
        offset: entry.sh_offset.get(LE),
        size: entry.sh_size.get(LE),
        link: entry.sh_link.get(LE),
    });
    Ok(sections.collect())
}

/// The text at `offset` of a table of names.
fn name_at(names: &[u8], offset: u32) -> String {
    let rest = names.get(offset as usize..).unwrap_or_default();
    let rest = &rest[..rest.len().min(MAX_NAME)];
    let end = rest.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::file::{ImageBounds, SharedMemory};

    fn read(content: &[u8], len: u64) -> Result<Headers, Refusal> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file.as_file().set_len(len).unwrap();
        let (bounds, shared) = (ImageBounds::DAEMON, SharedMemory::default());
        let bytes = FileBytes::new(file.reopen().unwrap(), file.path(), &bounds, &shared);
        Headers::read(&bytes?)
    }

    fn refusal(content: &[u8], len: u64) -> String {
        read(content, len).unwrap_err().to_string()
    }

    #[test]
    fn reads_those_of_this_very_program() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let headers = read(&own, own.len() as u64).unwrap();
        assert!(headers.section(".text").is_some_and(|text| text.size > 0));
        assert!(headers.segments.iter().any(|s| s.kind == elf::PT_LOAD));
    }

    #[test]
    fn says_what_is_wrong_with_a_table() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(refusal(b"", 0).contains("no ELF"));
        assert!(refusal(&own[..64], 64).contains("beyond the end"));
        // `e_shnum` 0 and the number in the first section's size, which was never written else.
        let mut sparse = own[..8192].to_vec();
        sparse[0x28..0x30].copy_from_slice(&4096_u64.to_le_bytes());
        sparse[0x3c..0x3e].fill(0);
        sparse[4096..8192].fill(0);
        sparse[4096 + 32..4096 + 40].copy_from_slice(&10_800_000_u64.to_le_bytes());
        let said = refusal(&sparse, 700 << 20);
        assert!(said.contains("its section table claims 691 MB"), "{said}");
    }
}
