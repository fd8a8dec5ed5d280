//! What the notes of a core file say of the process, its threads and its mapped files.

use std::{iter, path::PathBuf};

use object::elf;

use super::MAPPINGS_LIMIT;
use crate::ThreadRegisters;
use ids::{Pid, TargetAddr, Tid};
use process::Departed;

/// Most threads looked at.
const THREADS_LIMIT: usize = 1 << 18;
/// `AT_ENTRY` in the auxiliary vector (`include/uapi/linux/auxvec.h`).
const AT_ENTRY: u64 = 9;
/// Offset of `pr_pid` in `struct elf_prstatus` on 64-bit machines (`include/linux/elfcore.h`).
const PRSTATUS_PID: usize = 32;
/// Offset of `pr_reg` in it, and how many bytes they are (`ELF_NGREG` words).
const PRSTATUS_REGISTERS: usize = 112;
#[cfg(target_arch = "x86_64")]
const REGISTERS_BYTES: usize = 27 * 8;
#[cfg(not(target_arch = "x86_64"))]
const REGISTERS_BYTES: usize = 34 * 8;
/// The vector registers of the thread whose `NT_PRSTATUS` came last.
const NT_X86_XSTATE: u32 = 0x202;
/// Longest set of vector registers kept (AMX state is below 11 KiB).
const VECTOR_LIMIT: usize = 16 << 10;
/// Offsets in `struct elf_prpsinfo` on 64-bit machines (`include/linux/elfcore.h`).
const PRPSINFO_UID: usize = 16;
const PRPSINFO_PID: usize = 24;
const PRPSINFO_COMM: std::ops::Range<usize> = 40..56;
const PRPSINFO_ARGUMENTS: std::ops::Range<usize> = 56..136;
/// A piece of a file that was mapped (`NT_FILE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappedFile {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) path: PathBuf,
}

/// What the notes say.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) process: Departed,
    pub(super) threads: Vec<ThreadRegisters>,
    pub(super) entry: Option<TargetAddr>,
}

impl Notes {
    pub(super) fn add(&mut self, kind: u32, desc: &[u8], mapped: &mut Vec<MappedFile>) {
        match kind {
            elf::NT_PRSTATUS if self.threads.len() < THREADS_LIMIT => {
                self.threads.extend(thread(desc));
            }
            NT_X86_XSTATE => {
                if let Some(thread) = self.threads.last_mut() {
                    thread.words.extend(words(desc.iter().take(VECTOR_LIMIT)));
                }
            }
            elf::NT_PRPSINFO => self.process = process(desc).unwrap_or_default(),
            elf::NT_AUXV => {
                let mut pairs = desc.chunks_exact(16);
                let entry = pairs.find(|pair| u64_at(pair, 0) == Some(AT_ENTRY));
                self.entry = entry.and_then(|pair| u64_at(pair, 8)).map(TargetAddr);
            }
            elf::NT_FILE => *mapped = mapped_files(desc).unwrap_or_default(),
            _ => {}
        }
    }
}

/// `NT_PRSTATUS`: one thread and its general registers.
fn thread(desc: &[u8]) -> Option<ThreadRegisters> {
    let tid = Tid(u32_at(desc, PRSTATUS_PID)?);
    let general = desc.get(PRSTATUS_REGISTERS..PRSTATUS_REGISTERS + REGISTERS_BYTES)?;
    ThreadRegisters::new(tid, words(general.iter()).collect())
}

/// `NT_PRPSINFO`: the process, and the first 79 bytes of its arguments.
fn process(desc: &[u8]) -> Option<Departed> {
    let text = |range| {
        let bytes: &[u8] = desc.get(range)?;
        let end = bytes.iter().position(|byte| *byte == 0);
        let bytes = &bytes[..end.unwrap_or(bytes.len())];
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    Some(Departed {
        pid: Pid(u32_at(desc, PRPSINFO_PID)?),
        uid: u32_at(desc, PRPSINFO_UID)?,
        comm: text(PRPSINFO_COMM)?,
        arguments: text(PRPSINFO_ARGUMENTS)?
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    })
}

fn words<'d>(bytes: impl Iterator<Item = &'d u8>) -> impl Iterator<Item = u64> {
    let mut bytes = bytes.copied();
    iter::from_fn(move || {
        let mut word = [0; 8];
        for byte in &mut word {
            *byte = bytes.next()?;
        }
        Some(u64::from_le_bytes(word))
    })
}

/// `NT_FILE`: count, page size, then start, end and page offset of each, then their names.
fn mapped_files(desc: &[u8]) -> Option<Vec<MappedFile>> {
    let count = usize::try_from(u64_at(desc, 0)?).ok()?.min(MAPPINGS_LIMIT);
    let page = u64_at(desc, 8)?;
    let names = desc.get(16 + 24 * count..)?;
    let mut names = names.split(|byte| *byte == 0);
    (0..count)
        .map(|index| {
            let word = |field: usize| u64_at(desc, 16 + 24 * index + 8 * field);
            Some(MappedFile {
                start: word(0)?,
                end: word(1)?,
                offset: word(2)?.checked_mul(page)?,
                path: path(names.next()?),
            })
        })
        .collect()
}

/// A mapped file's path. The kernel marks an unlinked file (`d_path`, fs/d_path.c); another may lie
/// there now, which the first page tells.
fn path(name: &[u8]) -> PathBuf {
    let text = String::from_utf8_lossy(name);
    PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(word))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
    Some(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_files_are_listed_with_their_names() {
        let mut desc: Vec<u8> = [1_u64, 4096, 0x40_0000, 0x40_1000, 2]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        desc.extend_from_slice(b"/bin/x (deleted)\0");
        let expected = MappedFile {
            start: 0x40_0000,
            end: 0x40_1000,
            offset: 8192,
            path: "/bin/x".into(),
        };
        assert_eq!(mapped_files(&desc), Some(vec![expected]));
        desc[0] = 200;
        assert_eq!(mapped_files(&desc), None);
    }
}
