//! Which functions have a name: eight bytes for each.

use std::{hash::Hasher as _, ops::ControlFlow};

use rustc_hash::FxHasher;

use super::{FUNCTION_ENTRY, PcLineTable};
use crate::{elf::Elf, file::Refusal};

/// Most functions that are looked at for one name: assembly has two of one, and few others have the
/// same hash.
const MAX_ALIKE: usize = 64;

/// The functions by the hashes of their names.
#[derive(Debug, Default)]
pub(super) struct NameIndex(Vec<(u32, u32)>);

impl NameIndex {
    /// Reads all names once, and keeps none.
    pub(super) fn read(elf: &Elf, table: &PcLineTable) -> Result<Self, Refusal> {
        let count = u64::from(table.function_count);
        if !elf.file().keeps(count * size_of::<(u32, u32)>() as u64) {
            return Err(Refusal::NoMemory);
        }
        let mut index = Vec::with_capacity(table.function_count as usize);
        let Some(offset) = elf.file_offset(table.functions) else {
            return Ok(Self(index));
        };
        let mut refused = None;
        let len = count * FUNCTION_ENTRY;
        elf.file()
            .scan(offset.0, len, FUNCTION_ENTRY, |at, piece| {
                let first = u32::try_from((at - offset.0) / FUNCTION_ENTRY).unwrap_or(u32::MAX);
                let entries = piece.as_chunks::<8>().0.iter();
                for (number, entry) in (first..table.function_count).zip(entries) {
                    let record = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
                    match table.name_of_record(elf, record) {
                        Ok(Some(name)) => index.push((hash(&name), number)),
                        Ok(None) => {}
                        Err(refusal) => {
                            refused = Some(refusal);
                            return ControlFlow::Break(());
                        }
                    }
                }
                ControlFlow::Continue(())
            })?;
        if let Some(refusal) = refused {
            return Err(refusal);
        }
        index.sort_unstable();
        Ok(Self(index))
    }

    /// The functions that may be called `name`.
    pub(super) fn alike(&self, name: &str) -> impl Iterator<Item = u32> {
        let wanted = hash(name.as_bytes());
        let start = self.0.partition_point(|(hash, _)| *hash < wanted);
        let alike = self.0[start..]
            .iter()
            .take_while(move |(hash, _)| *hash == wanted);
        alike.map(|(_, number)| *number).take(MAX_ALIKE)
    }
}

fn hash(name: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}
