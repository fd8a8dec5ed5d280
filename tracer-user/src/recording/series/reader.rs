//! Reading a series: every number is checked before anything is allocated by it.

use std::{
    io::{BufRead, Read as _, Write},
    sync::Arc,
};

use flate2::{CrcReader, bufread::GzDecoder};
use serde::de::DeserializeOwned;

use super::file::{END, Entry, MOMENT, NAME, TOLD};
use crate::recording::{
    file::{EXECUTABLE_LIMIT, FormatError, HEADER_LIMIT, copy, name, number},
    subject::{Moment, Subject},
};
use memory::{PAGE, PAGES_LIMIT, Pages};

/// Most records of a file.
const RECORDS_LIMIT: u64 = 1 << 17;

/// Reads a series.
pub struct Reader<R: BufRead> {
    pub(super) from: CrcReader<GzDecoder<R>>,
    /// The pages of the last moment.
    pub(super) before: Arc<Pages>,
    pub(super) records: u64,
    pub(super) ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Begins to read; the executable, where it is part of the file, goes to `executable`.
    ///
    /// # Errors
    /// [`FormatError`] says what was wrong.
    pub fn begin(
        mut from: R,
        executable: &mut dyn Write,
    ) -> Result<(Self, Subject, bool), FormatError> {
        name(&mut from, NAME, b"gostuck series")?;
        let mut this = Self {
            from: CrcReader::new(GzDecoder::new(from)),
            before: Arc::default(),
            records: 0,
            ended: false,
        };
        let subject = this.json()?;
        let len = number(&mut this.from, "bytes of executable", EXECUTABLE_LIMIT)?;
        copy(&mut this.from, len, executable)?;
        this.check()?;
        Ok((this, subject, len > 0))
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// [`FormatError`] says what was wrong; nothing more can be read then.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, FormatError> {
        if self.ended {
            return Ok(None);
        }
        self.records += 1;
        if self.records > RECORDS_LIMIT {
            let (what, size) = ("records", self.records);
            return Err(FormatError::TooMuch { what, size });
        }
        let entry = match number(&mut self.from, "kind of record", u64::MAX)? {
            END => None,
            MOMENT => {
                let moment: Moment = self.json()?;
                let mut pages = self.pages()?;
                if moment.lacking {
                    pages.set_lacking();
                }
                self.before = Arc::new(pages);
                Some(Entry::Moment(moment, Arc::clone(&self.before)))
            }
            TOLD => Some(Entry::Told(self.json()?)),
            _ => return Err(FormatError::Broken("a record is of no known kind")),
        };
        self.check()?;
        if entry.is_none() {
            self.ended = true;
            // Only at its end does the stream compare its own checksum.
            if self.from.read(&mut [0])? != 0 {
                return Err(FormatError::Broken("something follows the end"));
            }
        }
        Ok(entry)
    }

    pub(super) fn pages(&mut self) -> Result<Pages, FormatError> {
        let mut pages = Pages::default();
        for _ in 0..number(&mut self.from, "pages", PAGES_LIMIT as u64)? {
            let base = number(&mut self.from, "address", u64::MAX)?;
            let page = if base & 1 == 0 {
                let mut page = Box::new([0; PAGE]);
                self.from.read_exact(&mut page[..])?;
                page
            } else {
                let known = self.before.get(base & !1).cloned();
                known.ok_or(FormatError::Broken("a page is as it never was"))?
            };
            if !pages.add(base & !1, page) {
                return Err(FormatError::Broken("a page has no address of a page"));
            }
        }
        Ok(pages)
    }

    fn json<T: DeserializeOwned>(&mut self) -> Result<T, FormatError> {
        let len = number(&mut self.from, "bytes of text", HEADER_LIMIT)?;
        let mut text = Vec::new();
        copy(&mut self.from, len, &mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn check(&mut self) -> Result<(), FormatError> {
        let sum = u64::from(self.from.crc().sum());
        if number(&mut self.from, "checksum", u64::MAX)? == sum {
            Ok(())
        } else {
            Err(FormatError::Broken("a checksum is wrong"))
        }
    }
}
