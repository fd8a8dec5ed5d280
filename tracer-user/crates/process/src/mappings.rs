//! What is mapped where in a process, and which pages are its own.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    ops::Range,
    os::unix::fs::FileExt as _,
};

use ids::Pid;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Most mappings looked at; Linux allows 65,530 unless told otherwise.
const MAX_MAPPINGS: usize = 256 << 10;
/// Most memory whose pages are asked for one by one (8 GiB: 16 MiB of answers). What reserves more
/// than that without using it, as a race detector does, is not asked for.
const MAX_SURVEYED: u64 = 8 << 30;
/// Pages asked for at once.
const ENTRIES: usize = 16 << 10;
/// In `/proc/PID/pagemap` (Documentation/admin-guide/mm/pagemap.rst): in memory, swapped out, and a
/// page of a file or shared.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;

/// A range of addresses that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Where it lies.
    pub range: Range<u64>,
    /// Whether it can be written.
    pub writable: bool,
    /// What it holds where nobody has written.
    pub backing: Backing,
}

/// What a page of a mapping holds that nobody has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// Zeroes.
    Zero,
    /// What the executable has from this offset on.
    Executable {
        /// In the file.
        offset: u64,
    },
    /// What another file has.
    File,
    /// What others may write: it is shared, or the kernel's.
    Shared,
}

/// The mappings of a process that can be read, and its own pages in them.
#[derive(Debug, Default)]
pub struct Mappings {
    /// By ascending address.
    pub mappings: Vec<Mapping>,
    /// Ranges of pages that are neither as in a file nor untouched; `None` when too much is mapped
    /// to say.
    pub own: Option<Vec<Range<u64>>>,
}

impl Mappings {
    /// Reads which mappings `pid` has; its pages are not asked for.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let executable = fs::read_link(format!("/proc/{pid}/exe"))?;
        let executable = executable.to_string_lossy();
        let maps = BufReader::new(File::open(format!("/proc/{pid}/maps"))?);
        Self::read(maps, &executable)
    }

    /// Reads the lines of `/proc/PID/maps` of a process that runs the file `executable`.
    ///
    /// # Errors
    /// When `maps` cannot be read.
    pub fn read(maps: impl BufRead, executable: &str) -> io::Result<Self> {
        let mut mappings = Vec::new();
        for line in maps.split(b'\n').take(MAX_MAPPINGS) {
            let line = line?;
            mappings.extend(parse(&String::from_utf8_lossy(&line), executable));
        }
        Ok(Self {
            mappings,
            own: None,
        })
    }

    /// Reads which mappings and which pages of its own `pid` has.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn with_own_pages(pid: Pid) -> io::Result<Self> {
        let mut this = Self::of(pid)?;
        let sizes = this.mappings.iter().map(|m| m.range.end - m.range.start);
        if sizes.sum::<u64>() > MAX_SURVEYED {
            return Ok(this);
        }
        let pagemap = File::open(format!("/proc/{pid}/pagemap"))?;
        let mut own: Vec<Range<u64>> = Vec::new();
        for mapping in &this.mappings {
            own_pages(&pagemap, mapping, &mut own)?;
        }
        this.own = Some(own);
        Ok(this)
    }

    /// Bytes of its own pages, where they are known.
    #[must_use]
    pub fn own_bytes(&self) -> Option<u64> {
        let own = self.own.as_ref()?.iter();
        Some(own.map(|range| range.end - range.start).sum())
    }

    /// The mapping that holds `at`.
    #[must_use]
    pub fn get(&self, at: u64) -> Option<&Mapping> {
        let after = self.mappings.partition_point(|m| m.range.start <= at);
        let mapping = self.mappings.get(after.checked_sub(1)?)?;
        (at < mapping.range.end).then_some(mapping)
    }
}

/// One line of `/proc/PID/maps`; `None` when nothing can be read there.
fn parse(line: &str, executable: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    let rights = fields.next()?.as_bytes();
    let offset = u64::from_str_radix(fields.next()?, 16).ok()?;
    let inode = fields.nth(1)?;
    let path = fields.next().unwrap_or_default().trim();
    let readable = rights.first() == Some(&b'r');
    if !readable || start >= end || !start.is_multiple_of(PAGE) || !end.is_multiple_of(PAGE) {
        return None;
    }
    let backing = if rights.get(3) != Some(&b'p') || path.starts_with("[v") {
        Backing::Shared
    } else if inode == "0" {
        Backing::Zero
    } else if path == executable {
        Backing::Executable { offset }
    } else {
        Backing::File
    };
    Some(Mapping {
        range: start..end,
        writable: rights.get(1) == Some(&b'w'),
        backing,
    })
}

/// Adds the pages of `mapping` that are the process's own.
fn own_pages(pagemap: &File, mapping: &Mapping, own: &mut Vec<Range<u64>>) -> io::Result<()> {
    let mut bytes = vec![0; ENTRIES * 8];
    let mut at = mapping.range.start;
    while at < mapping.range.end {
        let left = usize::try_from((mapping.range.end - at) / PAGE).unwrap_or(usize::MAX);
        let asked = left.min(ENTRIES) * 8;
        let read = pagemap.read_at(&mut bytes[..asked], at / PAGE * 8)?;
        // The kernel's own page at the end of the address space has no entry.
        if read < 8 {
            return Ok(());
        }
        for entry in bytes[..read].chunks_exact(8) {
            let entry = entry.try_into().map_or(0, u64::from_le_bytes);
            let kept = entry & (PRESENT | SWAPPED) != 0;
            let of_file = entry & OF_FILE != 0;
            if kept && (!of_file || matches!(mapping.backing, Backing::Shared | Backing::Zero)) {
                match own.last_mut() {
                    Some(last) if last.end == at => last.end += PAGE,
                    _ => own.push(at..at + PAGE),
                }
            }
            at += PAGE;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let of = |line| parse(line, "/bin/shop");
        let line = "00400000-00402000 r-xp 00001000 fd:01 77     /bin/shop";
        let text = of(line).unwrap();
        assert_eq!(text.range, 0x40_0000..0x40_2000);
        assert_eq!(text.backing, Backing::Executable { offset: 0x1000 });
        assert!(!text.writable);
        let backing = |line| of(line).map(|m| (m.backing, m.writable));
        assert_eq!(
            backing("c000000000-c000400000 rw-p 00000000 00:00 0 "),
            Some((Backing::Zero, true))
        );
        assert_eq!(
            backing("7f0000000000-7f0000001000 r--p 00000000 fd:01 8 /lib/a b.so"),
            Some((Backing::File, false))
        );
        assert_eq!(
            backing("7f0000000000-7f0000001000 rw-s 00000000 fd:01 9 /dev/shm/x"),
            Some((Backing::Shared, true))
        );
        assert_eq!(
            backing("7ffc0000-7ffc2000 r--p 00000000 00:00 0 [vvar]"),
            Some((Backing::Shared, false))
        );
        assert_eq!(backing("c000400000-c004000000 ---p 00000000 00:00 0"), None);
        assert_eq!(backing("nonsense"), None);
        assert_eq!(backing("2000-1000 rw-p 00000000 00:00 0"), None);
    }

    #[test]
    fn what_was_written_is_ones_own() {
        let own_word = Box::new(std::process::id());
        let pid = Pid(*own_word);
        let mappings = Mappings::with_own_pages(pid).unwrap();
        let at = std::ptr::from_ref(&*own_word) as u64;
        assert!(mappings.get(at).unwrap().writable);
        let own = mappings.own.as_ref().unwrap();
        assert!(own.iter().any(|range| range.contains(&at)));
        assert!(mappings.own_bytes().unwrap() > 0);
        let code = lines_are_read as fn() as usize as u64;
        let mapping = mappings.get(code).unwrap();
        assert!(matches!(mapping.backing, Backing::Executable { .. }));
        assert!(!own.iter().any(|range| range.contains(&code)));
        assert!(mappings.get(8).is_none());
    }
}
