//! A section of debug information as a stream, inflated where it is compressed.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use object::{LittleEndian, elf, pod};

use crate::{
    elf::Elf,
    file::{FileBytes, Refusal},
    headers::Section,
};
use resources::cancellation::is_cut;

/// Bytes of `Elf64_Chdr`.
const COMPRESSION_HEADER: u64 = 24;
/// The piece in which the file is read.
const PIECE: usize = 64 << 10;

/// The contents of a section, from its beginning on.
pub(super) enum Stream<'elf> {
    Plain(Pieces<'elf>),
    Inflated(Box<ZlibDecoder<Pieces<'elf>>>),
}

impl<'elf> Stream<'elf> {
    /// The section called `name`; `None` when there is none. It may have `most` bytes, inflated.
    pub(super) fn open(elf: &'elf Elf, name: &str, most: u64) -> Result<Option<Self>, Refusal> {
        let Some(section) = elf.section(name) else {
            return Ok(None);
        };
        let file = elf.file();
        file.check_table(name, section.offset, section.size, most)?;
        let pieces = |skip: u64| Pieces {
            file,
            at: section.offset + skip,
            end: section.offset + section.size,
            piece: Vec::new(),
            used: 0,
        };
        if section.flags & u64::from(elf::SHF_COMPRESSED) == 0 {
            return Ok(Some(Self::Plain(pieces(0))));
        }
        let inflated = inflated_size(file, section)?;
        if inflated > most {
            let claim = format!(
                "its {name} claims {} inflated, and {} is the most that is read",
                crate::file::Size(inflated),
                crate::file::Size(most)
            );
            return Err(Refusal::unfit(claim));
        }
        let inflating = ZlibDecoder::new(pieces(COMPRESSION_HEADER));
        Ok(Some(Self::Inflated(Box::new(inflating))))
    }

    /// All that is left, if that is no more than `most` bytes.
    pub(super) fn rest(self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(pieces) => pieces.read(into),
            Self::Inflated(inflating) => inflating.read(into),
        }
    }
}

/// What a compressed section says its size is, inflated; by the only method that is known.
fn inflated_size(file: &FileBytes, section: &Section) -> Result<u64, Refusal> {
    let header = file.glance(section.offset, COMPRESSION_HEADER as usize)?;
    let header = header.filter(|_| section.size >= COMPRESSION_HEADER);
    let header = header.unwrap_or_default();
    let header = pod::from_bytes::<elf::CompressionHeader64<LittleEndian>>(&header);
    let Ok((header, _)) = header else {
        return Err(Refusal::unfit("its debug information is cut off"));
    };
    if header.ch_type.get(LittleEndian) != elf::ELFCOMPRESS_ZLIB {
        return Err(Refusal::unfit(
            "its debug information is not compressed by zlib",
        ));
    }
    Ok(header.ch_size.get(LittleEndian))
}

/// A part of the file, read piece by piece.
pub(super) struct Pieces<'elf> {
    file: &'elf FileBytes,
    at: u64,
    end: u64,
    piece: Vec<u8>,
    used: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() {
            if is_cut() {
                // Not `Interrupted`: whoever reads would go on.
                return Err(io::Error::other("cut short"));
            }
            let len = usize::try_from(self.end - self.at)
                .unwrap_or(PIECE)
                .min(PIECE);
            let piece = self
                .file
                .table("debug information", self.at, len as u64, PIECE as u64);
            self.piece = piece.map_err(io::Error::other)?;
            self.at += len as u64;
            self.used = 0;
        }
        let len = into.len().min(self.piece.len() - self.used);
        into[..len].copy_from_slice(&self.piece[self.used..self.used + len]);
        self.used += len;
        Ok(len)
    }
}
