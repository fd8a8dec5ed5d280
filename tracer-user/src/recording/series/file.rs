//! The file format of series, version 1: a line that names it, then one gzip stream of records.
//!
//! Numbers are 64-bit little-endian. First stand length and text of the subject (JSON), and length
//! and bytes of the executable (0 when it was left out). Each record begins with its kind: a moment
//! (length and text of its JSON, the number of its pages, and for each its address and its 4096
//! bytes; with the lowest bit of the address set it is as in the moment before, and there are no
//! bytes), what was told since the last record (length and text of JSON), or the end. After each
//! record stands the CRC 32 of everything before, so that what is cut short or damaged is noticed
//! where it is.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use flate2::{Compression, CrcWriter, write::GzEncoder};
use serde::{Deserialize, Serialize};

use crate::{
    recording::{
        file::copy,
        subject::{Moment, Subject},
    },
    timeline::{Event, Parked},
};
use memory::Pages;

/// The first line of a file.
pub(super) const NAME: &[u8] = b"gostuck series 1\n";

/// A kind of record.
pub(super) const END: u64 = 0;
/// A kind of record.
pub(super) const MOMENT: u64 = 1;
/// A kind of record.
pub(super) const TOLD: u64 = 2;

/// What the probes told since the last record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Who was parked for longer than a moment at the end of it; `None` without probes.
    pub parked: Option<Vec<Parked>>,
}

/// Something in a series.
#[derive(Debug)]
pub enum Entry {
    /// A moment, with the memory that an inspection of it reads.
    Moment(Moment, Arc<Pages>),
    /// What happened before the next.
    Told(Told),
}

/// Writes a series.
pub struct Writer<W: Write> {
    out: CrcWriter<GzEncoder<W>>,
    /// The pages of the last moment.
    before: Pages,
}

impl<W: Write> Writer<W> {
    /// Begins a series. `executable` is its length and its bytes, where it is to be part of it.
    ///
    /// # Errors
    /// When `out` cannot be written, or the executable is shorter than said.
    pub fn begin(
        mut out: W,
        subject: &Subject,
        executable: Option<(u64, &mut dyn Read)>,
    ) -> io::Result<Self> {
        out.write_all(NAME)?;
        let mut this = Self {
            out: CrcWriter::new(GzEncoder::new(out, Compression::fast())),
            before: Pages::default(),
        };
        this.json(subject)?;
        match executable {
            Some((len, bytes)) => {
                this.number(len)?;
                copy(&mut { bytes }, len, &mut this.out)?;
            }
            None => this.number(0)?,
        }
        this.close()?;
        Ok(this)
    }

    /// Adds a moment. Answers how many of its pages were not as before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn moment(&mut self, moment: &Moment, pages: Pages) -> io::Result<usize> {
        self.number(MOMENT)?;
        self.json(moment)?;
        self.number(pages.len() as u64)?;
        let mut changed = 0;
        for (base, page) in pages.iter() {
            if self.before.get(base) == Some(page) {
                self.number(base | 1)?;
            } else {
                changed += 1;
                self.number(base)?;
                self.out.write_all(&page[..])?;
            }
        }
        self.before = pages;
        self.close()?;
        Ok(changed)
    }

    /// Adds what was told.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn told(&mut self, told: &Told) -> io::Result<()> {
        self.number(TOLD)?;
        self.json(told)?;
        self.close()
    }

    /// Ends the series; gives back what it was written to.
    ///
    /// # Errors
    /// When the end cannot be written.
    pub fn end(mut self) -> io::Result<W> {
        self.number(END)?;
        self.close()?;
        let mut out = self.out.into_inner().finish()?;
        out.flush()?;
        Ok(out)
    }

    fn number(&mut self, number: u64) -> io::Result<()> {
        self.out.write_all(&number.to_le_bytes())
    }

    fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(value)?;
        self.number(text.len() as u64)?;
        self.out.write_all(&text)
    }

    /// What has been written so far can be read even if nothing follows.
    fn close(&mut self) -> io::Result<()> {
        let sum = u64::from(self.out.crc().sum());
        self.number(sum)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use flate2::{CrcReader, bufread::GzDecoder};

    use super::{super::reader::Reader, *};
    use crate::recording::file::{FormatError, HEADER_LIMIT};
    use ids::TargetAddr;
    use image::WaitReason;
    use memory::PAGE;

    fn subject() -> Subject {
        Subject {
            made_by: "0.1.0".to_owned(),
            pid: 4711,
            uid: 0,
            comm: "shop".to_owned(),
            command: None,
            executable: "/bin/shop".to_owned(),
            load_bias: 0x1000,
        }
    }

    fn moment(monotonic_ns: u64) -> Moment {
        Moment {
            taken_ns: 1,
            monotonic_ns,
            held_ns: 3,
            threads: Vec::new(),
            lacking: false,
        }
    }

    fn pages(contents: &[u8]) -> Pages {
        let mut pages = Pages::default();
        for (number, byte) in (1..).zip(contents) {
            pages.add(number << 12, Box::new([*byte; PAGE]));
        }
        pages
    }

    fn told() -> Told {
        Told {
            events: vec![Event::Lost { count: 1 }],
            parked: Some(vec![Parked {
                g: TargetAddr(0xc0),
                reason: WaitReason::MutexLock,
                at_ns: 7,
            }]),
        }
    }

    fn series() -> Vec<u8> {
        let mut file = Vec::new();
        let executable: &mut dyn Read = &mut &b"\x7fELF"[..];
        let mut writer = Writer::begin(&mut file, &subject(), Some((4, executable))).unwrap();
        assert_eq!(writer.moment(&moment(10), pages(&[1, 2, 3])).unwrap(), 3);
        writer.told(&told()).unwrap();
        assert_eq!(writer.moment(&moment(20), pages(&[1, 9])).unwrap(), 1);
        writer.end().unwrap();
        file
    }

    /// Everything in `file` as text, to compare.
    fn read(file: &[u8]) -> Result<Vec<String>, FormatError> {
        let mut executable = Vec::new();
        let (mut reader, subject, embedded) = Reader::begin(file, &mut executable)?;
        let mut all = vec![format!("{subject:?} {embedded} {executable:?}")];
        while let Some(entry) = reader.next_entry()? {
            all.push(match entry {
                Entry::Moment(moment, pages) => {
                    let pages: Vec<_> = pages.iter().map(|(at, page)| (at, page[7])).collect();
                    format!("{moment:?} {pages:?}")
                }
                Entry::Told(told) => format!("{told:?}"),
            });
        }
        Ok(all)
    }

    #[test]
    fn what_was_written_is_read() {
        let all = read(&series()).unwrap();
        assert_eq!(all.len(), 4);
        assert!(all[0].ends_with("true [127, 69, 76, 70]"), "{}", all[0]);
        assert!(all[1].ends_with("[(4096, 1), (8192, 2), (12288, 3)]"));
        assert_eq!(all[2], format!("{:?}", told()));
        assert!(all[3].ends_with("[(4096, 1), (8192, 9)]"), "{}", all[3]);
    }

    #[test]
    fn cut_short_or_damaged_files_are_refused_and_what_came_before_is_read() {
        let (file, whole) = (series(), read(&series()).unwrap());
        for len in 0..file.len() {
            assert!(read(&file[..len]).is_err(), "{len}");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            // A few bits mean nothing: gzip's time and system, and what fills up the last byte.
            if let Ok(all) = read(&damaged) {
                assert_eq!(all, whole, "byte {at}");
            }
        }
        let (mut reader, ..) = Reader::begin(&file[..file.len() - 1], &mut io::sink()).unwrap();
        for _ in 0..3 {
            assert!(reader.next_entry().unwrap().is_some());
        }
        assert!(reader.next_entry().is_err());
    }

    #[test]
    fn neither_lengths_nor_references_are_believed() {
        let stream = |numbers: &[u64]| {
            let file = NAME.to_vec();
            let mut writer = Writer {
                out: CrcWriter::new(GzEncoder::new(file, Compression::fast())),
                before: Pages::default(),
            };
            writer.json(&subject()).unwrap();
            writer.number(0).unwrap();
            writer.close().unwrap();
            for number in numbers {
                writer.number(*number).unwrap();
            }
            let file = writer.out.into_inner().finish().unwrap();
            read(&file).unwrap_err().to_string()
        };
        assert!(stream(&[TOLD, u64::MAX]).contains("bytes of text"));
        assert!(stream(&[TOLD, HEADER_LIMIT]).contains("cut short"));
        assert!(stream(&[9]).contains("no known kind"));
        assert!(stream(&[END, 0]).contains("checksum is wrong"));
        let pages = |numbers: &[u64]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            let mut out = GzEncoder::new(Vec::new(), Compression::fast());
            out.write_all(&bytes).unwrap();
            let file = out.finish().unwrap();
            let mut reader = Reader {
                from: CrcReader::new(GzDecoder::new(&file[..])),
                before: Arc::default(),
                records: 0,
                ended: false,
            };
            reader.pages().unwrap_err().to_string()
        };
        assert!(pages(&[u64::MAX]).contains("pages of"));
        assert!(pages(&[1, 0x1001]).contains("as it never was"));
        assert!(pages(&[1, 0x1000]).contains("cut short"));
    }
}
