//! The pclntab: which function covers a pc, and the tables of each function
//! (`runtime/symtab.go`, `cmd/link/internal/ld/pcln.go`).

mod function;
mod header;
mod names;
mod remembered;

use std::{borrow::Cow, ops::Range, sync::Arc};

pub use function::{Function, Record};
use header::MAGIC_1_18;

use self::{header::Header, names::NameIndex, remembered::Remembered};
use super::{
    elf::Elf,
    file::Refusal,
    moduledata::{Candidate, ModuleData},
    pc_value::{Run, Runs},
};
use ids::ImageAddr;

/// Longest name, in bytes; of a longer one this much is read.
const MAX_NAME: usize = 16 << 10;
const NO_FUNCDATA: u32 = u32::MAX;
/// Bytes of an entry of the function table.
const FUNCTION_ENTRY: u64 = 8;
/// More functions than any program has: the largest known have some hundred thousand.
const MAX_FUNCTIONS: u64 = 4 << 20;
/// More functions of one name than there are: assembly has two.
const MAX_OF_ONE_NAME: usize = 8;
/// The piece in which byte-wise decoders are served.
const TAIL: usize = 4 << 10;

/// Where the table's parts are.
#[derive(Debug)]
pub(super) struct PcLineTable {
    magic: u32,
    quantum: u8,
    function_count: u32,
    text: ImageAddr,
    name_table: ImageAddr,
    cu_table: ImageAddr,
    file_table: ImageAddr,
    pc_table: ImageAddr,
    functions: ImageAddr,
    gofunc: ImageAddr,
    by_name: NameIndex,
    decoded: Remembered<Function>,
    files: Remembered<Arc<str>>,
}

impl PcLineTable {
    /// Finds the table and the module that points to it. `gofunc` is the offset of
    /// `moduledata.gofunc` in this Go version.
    pub(super) fn find(elf: &Elf, gofunc: u64) -> Result<(Self, ModuleData), Refusal> {
        let named = header::named(elf);
        let found = match Self::one_of(elf, &named, gofunc)? {
            Some(found) => Some(found),
            None => Self::one_of(elf, &header::scanned(elf)?, gofunc)?,
        };
        found.ok_or_else(|| Refusal::unfit("no table found that a runtime.moduledata points to"))
    }

    fn one_of(
        elf: &Elf,
        headers: &[Header],
        gofunc: u64,
    ) -> Result<Option<(Self, ModuleData)>, Refusal> {
        if headers.is_empty() {
            return Ok(None);
        }
        let candidate = |header: &Header| Candidate {
            pclntab: header.at,
            funcnametab: header.at.offset(header.words[3]),
        };
        let tables: Vec<_> = headers.iter().map(candidate).collect();
        let Some((index, module)) = ModuleData::find(elf, &tables, gofunc)? else {
            return Ok(None);
        };
        Ok(Some((Self::new(elf, headers[index], &module)?, module)))
    }

    fn new(elf: &Elf, header: Header, module: &ModuleData) -> Result<Self, Refusal> {
        let Header {
            at,
            magic,
            quantum,
            words,
        } = header;
        let (count, functions) = (words[0], at.offset(words[7]));
        let room = elf.room(functions);
        let len = count.saturating_mul(FUNCTION_ENTRY);
        if count > MAX_FUNCTIONS || len > room {
            return Err(Refusal::unfit(format!(
                "{count} functions are more than the file holds"
            )));
        }
        if let Some(offset) = elf.file_offset(functions) {
            let what = "table of functions";
            elf.file().check_table(what, offset.0, len, room)?;
        }
        let mut table = Self {
            magic,
            quantum,
            function_count: u32::try_from(count).unwrap_or(0),
            // pcHeader.textStart is unused and 0 since Go 1.26.
            text: module.text.start,
            name_table: at.offset(words[3]),
            cu_table: at.offset(words[4]),
            file_table: at.offset(words[5]),
            pc_table: at.offset(words[6]),
            functions,
            gofunc: module.gofunc,
            by_name: NameIndex::default(),
            decoded: Remembered::default(),
            files: Remembered::default(),
        };
        table.by_name = NameIndex::read(elf, &table)?;
        Ok(table)
    }

    pub(super) fn function_count(&self) -> u32 {
        self.function_count
    }

    /// The entry of function `index`, or the end of the text for one past the last.
    fn entry(&self, elf: &Elf, index: u32) -> Option<ImageAddr> {
        let offset = elf.u32(self.functions.offset(8 * u64::from(index)))?;
        Some(self.text.offset(u64::from(offset)))
    }

    pub(super) fn at(&self, elf: &Elf, pc: ImageAddr) -> Option<Function> {
        if pc < self.entry(elf, 0)? || pc >= self.entry(elf, self.function_count)? {
            return None;
        }
        let (mut low, mut high) = (0, self.function_count);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.entry(elf, middle)? <= pc {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.function(elf, low)
    }

    /// The functions called `name`: none, one, or two where assembly has both ABIs.
    pub(super) fn named(&self, elf: &Elf, name: &str) -> Vec<Function> {
        self.by_name
            .alike(name)
            .filter_map(|index| self.function(elf, index))
            .filter(|f| &*f.name == name)
            .take(MAX_OF_ONE_NAME)
            .collect()
    }

    /// The name in the record at `offset` from the functions. Nothing of the file is kept for it.
    fn name_of_record(&self, elf: &Elf, offset: u32) -> Result<Option<Cow<'_, [u8]>>, Refusal> {
        let record = self.functions.offset(u64::from(offset));
        let Some(name) = elf.glance(record.offset(4), 4)? else {
            return Ok(None);
        };
        let Ok(name) = <[u8; 4]>::try_from(&*name).map(u32::from_le_bytes) else {
            return Ok(None);
        };
        let at = self.name_table.offset(u64::from(name));
        for most in [64, 1024, MAX_NAME] {
            let Some(mut bytes) = elf.glance(at, most)? else {
                return Ok(None);
            };
            if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
                bytes.truncate(end);
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }

    fn record(&self, elf: &Elf, index: u32) -> Option<ImageAddr> {
        let offset = elf.u32(self.functions.offset(8 * u64::from(index) + 4))?;
        Some(self.functions.offset(u64::from(offset)))
    }

    /// Function `index`, decoded once.
    pub(super) fn function(&self, elf: &Elf, index: u32) -> Option<Function> {
        if index >= self.function_count {
            return None;
        }
        if let Some(function) = self.decoded.get(index) {
            return Some(function);
        }
        let function = Function(Arc::new(self.decode(elf, index)?));
        let offsets = function.pcdata.len() + function.funcdata.len();
        let bytes = size_of::<Record>() + function.name.len() + 4 * offsets;
        self.decoded.insert(index, function.clone(), bytes);
        Some(function)
    }

    fn decode(&self, elf: &Elf, index: u32) -> Option<Record> {
        let at = self.record(elf, index)?;
        let word = |i: u64| elf.u32(at.offset(4 * i));
        let fixed = if self.magic == MAGIC_1_18 { 9 } else { 10 };
        let flags = elf.get(at.offset(4 * fixed), 4)?;
        let pcdata_count = word(7)?.min(64);
        let funcdata_count = u32::from(flags[3]).min(64);
        let pcdata: Option<Vec<_>> = (0..pcdata_count)
            .map(|i| word(fixed + 1 + u64::from(i)))
            .collect();
        let behind = fixed + 1 + u64::from(pcdata_count);
        let funcdata: Option<Vec<_>> = (0..funcdata_count)
            .map(|i| word(behind + u64::from(i)))
            .collect();
        Some(Record {
            index,
            entry: self.entry(elf, index)?,
            end: self.entry(elf, index + 1)?,
            name: self.name(elf, word(1)?)?,
            args: word(2)?.cast_signed(),
            defer_return: word(3)?,
            pcsp: word(4)?,
            pcfile: word(5)?,
            pcln: word(6)?,
            cu_offset: word(8)?,
            start_line: if fixed == 10 { word(9)? } else { 0 },
            func_id: flags[0],
            flag: flags[1],
            pcdata: pcdata?,
            funcdata: funcdata?,
        })
    }

    pub(super) fn name(&self, elf: &Elf, offset: u32) -> Option<Arc<str>> {
        let bytes = c_string(elf, self.name_table.offset(u64::from(offset)))?;
        Some(String::from_utf8_lossy(&bytes).into())
    }

    fn runs<'elf>(
        &self,
        elf: &'elf Elf,
        table: u32,
    ) -> Option<Runs<impl Iterator<Item = u8> + use<'elf>>> {
        if table == 0 {
            return None;
        }
        let bytes = bytes_from(elf, self.pc_table.offset(u64::from(table)));
        Some(Runs::new(bytes, self.quantum))
    }

    fn value(&self, elf: &Elf, f: &Function, table: u32, pc: ImageAddr) -> Option<i32> {
        let offset = pc.0.checked_sub(f.entry.0)?;
        self.runs(elf, table)?.at(offset)
    }

    /// Bytes between the stack pointer and the return address at `pc` (`pcsp`).
    pub(super) fn sp_delta(&self, elf: &Elf, f: &Function, pc: ImageAddr) -> Option<u64> {
        u64::try_from(self.value(elf, f, f.pcsp, pc)?).ok()
    }

    pub(super) fn pcdata(
        &self,
        elf: &Elf,
        f: &Function,
        table: usize,
        pc: ImageAddr,
    ) -> Option<i32> {
        self.value(elf, f, *f.pcdata.get(table)?, pc)
    }

    /// All runs of one pcdata table.
    pub(super) fn pcdata_runs(
        &self,
        elf: &Elf,
        f: &Function,
        table: usize,
    ) -> Vec<(Range<ImageAddr>, i32)> {
        let Some(runs) = f.pcdata.get(table).and_then(|&t| self.runs(elf, t)) else {
            return Vec::new();
        };
        let mut start = f.entry;
        let span = f.end.0.saturating_sub(f.entry.0);
        runs.take_while(|run| run.end <= span.saturating_add(64))
            .map(|Run { end, value }| {
                let range = start..f.entry.offset(end);
                start = range.end;
                (range, value)
            })
            .collect()
    }

    pub(super) fn funcdata(&self, f: &Function, index: usize) -> Option<ImageAddr> {
        let offset = *f.funcdata.get(index)?;
        (offset != NO_FUNCDATA).then(|| self.gofunc.offset(u64::from(offset)))
    }

    /// File and line at `pc`, innermost where calls were inlined.
    pub(super) fn file_line(
        &self,
        elf: &Elf,
        f: &Function,
        pc: ImageAddr,
    ) -> Option<(Arc<str>, u32)> {
        let file = u32::try_from(self.value(elf, f, f.pcfile, pc)?).ok()?;
        let line = u32::try_from(self.value(elf, f, f.pcln, pc)?).ok()?;
        let slot = u64::from(f.cu_offset) + u64::from(file);
        let offset = elf.u32(self.cu_table.offset(4 * slot))?;
        if let Some(name) = self.files.get(offset) {
            return Some((name, line));
        }
        let bytes = c_string(elf, self.file_table.offset(u64::from(offset)))?;
        let name: Arc<str> = String::from_utf8_lossy(&bytes).into();
        self.files.insert(offset, Arc::clone(&name), name.len());
        Some((name, line))
    }

    /// Entry `index` of an inline tree at `tree`: the inlined function's name and the pc, relative
    /// to the entry, that stands for its call (`runtime.inlinedCall`).
    pub(super) fn inlined_call(
        &self,
        elf: &Elf,
        tree: ImageAddr,
        index: u32,
    ) -> Option<(Arc<str>, u32)> {
        // Go 1.20 and later: funcID u8, 3 bytes pad, nameOff, parentPc, startLine.
        // Go 1.18 and 1.19: parent i16, funcID u8, pad, file, line, nameOff, parentPc.
        let (size, name, parent_pc) = if self.magic == MAGIC_1_18 {
            (20, 12, 16)
        } else {
            (16, 4, 8)
        };
        let at = tree.offset(size * u64::from(index));
        let name = self.name(elf, elf.u32(at.offset(name))?)?;
        Some((name, elf.u32(at.offset(parent_pc))?))
    }
}

/// All bytes from `at` on, to the end of the segment.
fn bytes_from(elf: &Elf, at: ImageAddr) -> impl Iterator<Item = u8> + use<'_> {
    let mut next = at;
    let mut tail: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut used = 0;
    std::iter::from_fn(move || {
        if used == tail.len() {
            tail = elf.tail(next, TAIL)?;
            next = next.offset(tail.len() as u64);
            used = 0;
        }
        used += 1;
        tail.get(used - 1).copied()
    })
}

fn c_string(elf: &Elf, at: ImageAddr) -> Option<Vec<u8>> {
    let tail = elf.tail(at, TAIL)?;
    if let Some(end) = tail.iter().position(|&b| b == 0) {
        return Some(tail[..end].into());
    }
    let bytes = bytes_from(elf, at).take(MAX_NAME);
    Some(bytes.take_while(|&b| b != 0).collect())
}
