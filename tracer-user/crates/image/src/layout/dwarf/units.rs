//! The compilation units of one name, one after the other; the others are passed over. The linker makes
//! one of each package and text section; that of the runtime has the types of all.

use std::{
    io::{self, Read as _},
    sync::Arc,
};

use gimli::{DebugAbbrev, DebugInfo, EndianSlice, LittleEndian};

use super::section::Stream;
use crate::{elf::Elf, file::Refusal};

/// Longest unit that is read: that of the runtime has a megabyte or two.
const MAX_UNIT: u64 = 32 << 20;
/// Longest table of abbreviations.
const MAX_ABBREVIATIONS: u64 = 4 << 20;
/// Longest table of texts, where a tool moved them there: the Go compiler writes them in place.
const MAX_TEXTS: u64 = 32 << 20;
/// What of a unit is read to see what it is called.
const BEGINNING: u64 = 4 << 10;
/// More units than packages and C files of any program.
const MAX_UNITS: u32 = 1 << 18;
/// Bytes of abbreviations that are decoded, all units together.
const MAX_DECODED: u64 = 256 << 20;

pub(super) type Slice<'data> = EndianSlice<'data, LittleEndian>;

/// The debug information that the units are read with.
pub(super) struct Units<'elf> {
    elf: &'elf Elf,
    info: Stream<'elf>,
    abbreviations: Vec<u8>,
    texts: Option<Vec<u8>>,
    /// How much of the section has been passed.
    passed: u64,
    units_left: u32,
    decodable: u64,
    /// The abbreviations that were decoded last: those of all Go's units are the same.
    decoded: Option<(usize, Arc<gimli::Abbreviations>)>,
}

impl<'elf> Units<'elf> {
    /// `None` when the file has no debug information.
    pub(super) fn open(elf: &'elf Elf) -> Result<Option<Self>, Refusal> {
        let most = elf.bounds.debug_information;
        let info = Stream::open(elf, ".debug_info", most)?;
        let abbreviations = Stream::open(elf, ".debug_abbrev", MAX_ABBREVIATIONS)?;
        let (Some(info), Some(abbreviations)) = (info, abbreviations) else {
            return Ok(None);
        };
        Ok(Some(Self {
            elf,
            info,
            abbreviations: abbreviations.rest(MAX_ABBREVIATIONS)?,
            texts: None,
            passed: 0,
            units_left: MAX_UNITS,
            decodable: MAX_DECODED,
            decoded: None,
        }))
    }

    /// The next unit called `wanted`, whole, and where it begins; `None` at the end.
    pub(super) fn next(&mut self, wanted: &[u8]) -> io::Result<Option<(u64, Vec<u8>)>> {
        while self.units_left > 0 {
            self.units_left -= 1;
            let Some((mut unit, len)) = self.header()? else {
                return Ok(None);
            };
            let begins = self.passed;
            self.passed = begins.saturating_add(unit.len() as u64).saturating_add(len);
            let beginning = len.min(BEGINNING);
            (&mut self.info).take(beginning).read_to_end(&mut unit)?;
            let left = len - beginning;
            if len <= MAX_UNIT && self.is_called(&unit, wanted) {
                (&mut self.info).take(left).read_to_end(&mut unit)?;
                return Ok(Some((begins, unit)));
            }
            let passed = io::copy(&mut (&mut self.info).take(left), &mut io::sink())?;
            if passed < left {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The length of the next unit, as bytes and as what they say.
    fn header(&mut self) -> io::Result<Option<(Vec<u8>, u64)>> {
        let mut bytes = vec![0; 4];
        match self.info.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let short = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if short < 0xffff_fff0 {
            return Ok(Some((bytes, u64::from(short))));
        }
        // Lengths of 64 bits are marked so; what else is there is not in use (DWARF 7.2.2).
        if short != u32::MAX {
            return Ok(None);
        }
        let mut long = [0; 8];
        self.info.read_exact(&mut long)?;
        bytes.extend_from_slice(&long);
        Ok(Some((bytes, u64::from_le_bytes(long))))
    }

    /// Whether the unit that begins with `beginning` is called `wanted`.
    fn is_called(&mut self, beginning: &[u8], wanted: &[u8]) -> bool {
        let name = self.name(beginning).ok().flatten();
        name.is_some_and(|name| name == wanted)
    }

    fn name(&mut self, beginning: &[u8]) -> gimli::Result<Option<Vec<u8>>> {
        // The length says more than is here; that of what is here serves as well.
        let mut cut = beginning.to_vec();
        let long = cut.get(..4) == Some(&[0xff; 4]);
        let rest = cut.len() as u64 - if long { 12 } else { 4 };
        match long {
            true => cut[4..12].copy_from_slice(&rest.to_le_bytes()),
            false => cut[..4].copy_from_slice(&(rest as u32).to_le_bytes()),
        }
        let info = DebugInfo::new(&cut, LittleEndian);
        let Some(header) = info.units().next()? else {
            return Ok(None);
        };
        let Some(abbreviations) = self.abbreviations(header.debug_abbrev_offset().0) else {
            return Ok(None);
        };
        let mut entries = header.entries(&abbreviations);
        let Some((_, root)) = entries.next_dfs()? else {
            return Ok(None);
        };
        let value = root.attr_value(gimli::DW_AT_name)?;
        Ok(value.and_then(|value| self.text(&value)))
    }

    /// The abbreviations at `offset`; `None` when they cannot be decoded, or too much was.
    pub(super) fn abbreviations(&mut self, offset: usize) -> Option<Arc<gimli::Abbreviations>> {
        if self.decoded.as_ref().is_none_or(|(at, _)| *at != offset) {
            let cost = self.abbreviations.len().saturating_sub(offset) as u64;
            self.decodable = self.decodable.checked_sub(cost)?;
            let table = DebugAbbrev::new(&self.abbreviations, LittleEndian);
            let decoded = table.abbreviations(gimli::DebugAbbrevOffset(offset)).ok()?;
            self.decoded = Some((offset, Arc::new(decoded)));
        }
        let (_, abbreviations) = self.decoded.as_ref()?;
        Some(Arc::clone(abbreviations))
    }

    /// A text, wherever it is.
    pub(super) fn text(&mut self, value: &gimli::AttributeValue<Slice<'_>>) -> Option<Vec<u8>> {
        match value {
            gimli::AttributeValue::String(text) => Some(text.slice().to_vec()),
            gimli::AttributeValue::DebugStrRef(offset) => {
                let texts = match &self.texts {
                    Some(texts) => texts,
                    None => self.texts.insert(read_texts(self.elf)),
                };
                let texts = gimli::DebugStr::new(texts, LittleEndian);
                let text = texts.get_str(*offset).ok()?;
                Some(text.slice().to_vec())
            }
            _ => None,
        }
    }
}

/// Empty when there are none, or too many.
fn read_texts(elf: &Elf) -> Vec<u8> {
    let stream = Stream::open(elf, ".debug_str", MAX_TEXTS).ok().flatten();
    stream
        .and_then(|stream| stream.rest(MAX_TEXTS).ok())
        .unwrap_or_default()
}
