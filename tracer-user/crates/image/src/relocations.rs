//! What the loader of a position-independent executable stores where (`R_*_RELATIVE`).

use std::ops::ControlFlow;

use object::{LittleEndian, elf, pod};

use super::{
    elf::Arch,
    file::{FileBytes, ImageBounds, Refusal},
    headers::Headers,
};

/// Bytes of `Elf64_Rela`.
const ENTRY: u64 = 24;

/// Pointers that the loader stores, before the bias, by where it stores them.
#[derive(Debug, Default)]
pub struct Relocations {
    /// Position-independent executables are linked at 0, and none is 4 GiB long.
    by_place: Vec<(u32, u32)>,
}

impl Relocations {
    /// Reads them from all the file's tables.
    pub fn read(
        bytes: &FileBytes,
        headers: &Headers,
        arch: Arch,
        bounds: &ImageBounds,
    ) -> Result<Self, Refusal> {
        let tables = headers.sections.iter().filter(|s| s.kind == elf::SHT_RELA);
        let total = tables
            .clone()
            .fold(0_u64, |sum, s| sum.saturating_add(s.size));
        let what = "table of relocations";
        let wanted = match arch {
            Arch::Amd64 => elf::R_X86_64_RELATIVE,
            Arch::Arm64 => elf::R_AARCH64_RELATIVE,
        };
        let mut by_place = Vec::new();
        for table in tables {
            // Together they count, and each has to be there.
            let most = bounds.relocations.saturating_sub(total - table.size);
            bytes.check_table(what, table.offset, table.size, most)?;
            let room = table.size / ENTRY;
            if !bytes.keeps(room * size_of::<(u32, u32)>() as u64) {
                return Err(Refusal::NoMemory);
            }
            by_place.reserve_exact(usize::try_from(room).unwrap_or(0));
            bytes.scan(table.offset, room * ENTRY, ENTRY, |_, piece| {
                by_place.extend(entries(piece).filter_map(|entry| {
                    let place = u32::try_from(entry.r_offset.get(LittleEndian)).ok()?;
                    let target = u32::try_from(entry.r_addend.get(LittleEndian)).ok()?;
                    (entry.r_type(LittleEndian, false) == wanted).then_some((place, target))
                }));
                ControlFlow::Continue(())
            })?;
        }
        // The last one of a place holds; the sort keeps their order.
        by_place.sort_by_key(|(place, _)| *place);
        by_place.shrink_to_fit();
        Ok(Self { by_place })
    }

    /// What is stored at `place`.
    pub fn at(&self, place: u64) -> Option<u64> {
        let place = u32::try_from(place).ok()?;
        let behind = self.by_place.partition_point(|(at, _)| *at <= place);
        let (at, target) = self.by_place.get(behind.checked_sub(1)?)?;
        (*at == place).then_some(u64::from(*target))
    }

    /// All places with what is stored there.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let wide = |(place, target): &(u32, u32)| (u64::from(*place), u64::from(*target));
        self.by_place.iter().map(wide)
    }
}

fn entries(piece: &[u8]) -> impl Iterator<Item = &elf::Rela64<LittleEndian>> {
    let whole = piece.len() / ENTRY as usize;
    let entries = pod::slice_from_bytes(piece, whole);
    entries
        .map(|(entries, _)| entries)
        .unwrap_or_default()
        .iter()
}
