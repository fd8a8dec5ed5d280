//! The file format, version 1: a line that names it, then one gzip stream, whose own checksum (CRC
//! 32) says whether all of it is there.
//!
//! In the stream, numbers are 64-bit little-endian: length and text of the header (JSON), length
//! and bytes of the executable (0 when it was left out), the number of pages, and for each its
//! address and its 4096 bytes. Files come from elsewhere: every length is checked before anything
//! is allocated by it.

use std::io::{self, BufRead, Read, Write};

use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use super::subject::{Moment, Subject};
use memory::{PAGE, PAGES_LIMIT, Pages};

/// The first line of a file.
const NAME: &[u8] = b"gostuck recording 1\n";
/// Longest header: a thread takes about 12 KiB of it at worst.
pub(super) const HEADER_LIMIT: u64 = 256 << 20;
/// Largest executable.
pub(super) const EXECUTABLE_LIMIT: u64 = 2 << 30;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It is none.
    #[error("it is no recording of gostuck")]
    NotOne,
    /// It was made by another version.
    #[error("its format is not version 1")]
    OtherVersion,
    /// A number in it is beyond all measure.
    #[error("{what} of {size} are too many")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How many.
        size: u64,
    },
    /// Something in it contradicts itself.
    #[error("{0}")]
    Broken(&'static str),
    /// Its header is not understood.
    #[error("its header: {0}")]
    Header(#[from] serde_json::Error),
    /// It is cut short, or its checksum is wrong.
    #[error("it is cut short or damaged: {0}")]
    Damaged(#[from] io::Error),
}

/// What the file says of the process besides its memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The process.
    #[serde(flatten)]
    pub subject: Subject,
    /// The moment.
    #[serde(flatten)]
    pub moment: Moment,
}

/// Writes a recording. `executable` is its length and its bytes, where it is to be part of it.
///
/// # Errors
/// When `out` cannot be written, or the executable is shorter than said.
pub fn write(
    mut out: impl Write,
    header: &Header,
    executable: Option<(u64, &mut dyn Read)>,
    pages: &Pages,
) -> io::Result<()> {
    out.write_all(NAME)?;
    let mut out = GzEncoder::new(out, Compression::fast());
    let header = serde_json::to_vec(header)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let (len, mut bytes): (u64, Box<dyn Read>) = match executable {
        Some((len, bytes)) => (len, Box::new(bytes)),
        None => (0, Box::new(io::empty())),
    };
    out.write_all(&len.to_le_bytes())?;
    if io::copy(&mut bytes.by_ref().take(len), &mut out)? != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    out.write_all(&(pages.len() as u64).to_le_bytes())?;
    for (base, page) in pages.iter() {
        out.write_all(&base.to_le_bytes())?;
        out.write_all(&page[..])?;
    }
    out.finish()?.flush()
}

/// Reads a recording; the executable, where it is part of it, goes to `executable`.
///
/// # Errors
/// [`FormatError`] says what was wrong.
pub fn read(
    mut from: impl BufRead,
    executable: &mut dyn Write,
) -> Result<(Header, bool, Pages), FormatError> {
    name(&mut from, NAME, b"gostuck recording")?;
    let mut stream = GzDecoder::new(from);
    let len = number(&mut stream, "bytes of header", HEADER_LIMIT)?;
    let mut text = Vec::new();
    copy(&mut stream, len, &mut text)?;
    let header = serde_json::from_slice(&text)?;
    let len = number(&mut stream, "bytes of executable", EXECUTABLE_LIMIT)?;
    copy(&mut stream, len, executable)?;
    let mut pages = Pages::default();
    for _ in 0..number(&mut stream, "pages", PAGES_LIMIT as u64)? {
        let base = number(&mut stream, "address", u64::MAX)?;
        let mut page = Box::new([0; PAGE]);
        stream.read_exact(&mut page[..])?;
        if !pages.add(base, page) {
            return Err(FormatError::Broken("a page has no address of a page"));
        }
    }
    // Only at its end does the stream compare its checksum.
    if stream.read(&mut [0])? != 0 {
        return Err(FormatError::Broken("something follows the last page"));
    }
    Ok((header, len > 0, pages))
}

/// Reads the first line of a file, which must be `expected`; it begins with `any_version` whatever
/// the version.
pub(super) fn name(
    from: &mut impl Read,
    expected: &[u8],
    any_version: &[u8],
) -> Result<(), FormatError> {
    let mut name = vec![0; expected.len()];
    from.read_exact(&mut name)
        .map_err(|_| FormatError::NotOne)?;
    if name == expected {
        Ok(())
    } else if name.starts_with(any_version) {
        Err(FormatError::OtherVersion)
    } else {
        Err(FormatError::NotOne)
    }
}

pub(super) fn number(
    stream: &mut impl Read,
    what: &'static str,
    limit: u64,
) -> Result<u64, FormatError> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    let size = u64::from_le_bytes(bytes);
    if size > limit {
        return Err(FormatError::TooMuch { what, size });
    }
    Ok(size)
}

/// Copies exactly `len` bytes; nothing is allocated before it has arrived.
pub(super) fn copy(
    stream: &mut impl Read,
    len: u64,
    to: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    if io::copy(&mut stream.take(len), to)? != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::subject::RecordedThread, *};

    fn header() -> Header {
        Header {
            subject: Subject {
                made_by: "0.1.0".to_owned(),
                pid: 4711,
                uid: 0,
                comm: "shop".to_owned(),
                command: Some("./shop".to_owned()),
                executable: "/bin/shop".to_owned(),
                load_bias: 0x1000,
            },
            moment: Moment {
                taken_ns: 1,
                monotonic_ns: 2,
                held_ns: 3,
                threads: vec![RecordedThread {
                    tid: 4712,
                    sp: 0x7fff,
                    words: vec![1, 2, 3],
                }],
                lacking: true,
            },
        }
    }

    fn recording() -> Vec<u8> {
        let mut pages = Pages::default();
        for number in 1..4_u8 {
            pages.add(u64::from(number) << 12, Box::new([number; PAGE]));
        }
        let mut file = Vec::new();
        let executable: &mut dyn Read = &mut &b"\x7fELF"[..];
        write(&mut file, &header(), Some((4, executable)), &pages).unwrap();
        file
    }

    #[test]
    fn what_was_written_is_read() {
        let mut executable = Vec::new();
        let (read_header, embedded, pages) = read(&recording()[..], &mut executable).unwrap();
        assert_eq!(read_header, header());
        assert!(embedded);
        assert_eq!(executable, b"\x7fELF");
        assert_eq!(pages.len(), 3);
    }

    #[test]
    fn cut_short_or_damaged_files_are_refused() {
        let file = recording();
        for len in 0..file.len() {
            assert!(read(&file[..len], &mut io::sink()).is_err(), "{len}");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            // A few bits mean nothing: gzip's time and system, and what fills up the last byte.
            let mut executable = Vec::new();
            if let Ok((read_header, _, pages)) = read(&damaged[..], &mut executable) {
                assert_eq!(read_header, header(), "byte {at}");
                assert_eq!(
                    (pages.len(), &executable[..]),
                    (3, &b"\x7fELF"[..]),
                    "byte {at}"
                );
            }
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        let stream = |numbers: &[u64]| {
            let mut file = NAME.to_vec();
            let mut out = GzEncoder::new(&mut file, Compression::fast());
            for number in numbers {
                out.write_all(&number.to_le_bytes()).unwrap();
            }
            out.finish().unwrap();
            read(&file[..], &mut io::sink()).unwrap_err().to_string()
        };
        assert!(stream(&[u64::MAX]).contains("bytes of header"));
        assert!(stream(&[HEADER_LIMIT]).contains("cut short"));
        let other = read(&b"gostuck recording 9\n"[..], &mut io::sink()).unwrap_err();
        assert!(matches!(other, FormatError::OtherVersion));
    }
}
