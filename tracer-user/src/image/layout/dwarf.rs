//! Struct layouts from the image's own debug information.

use std::{borrow::Cow, collections::BTreeMap};

use gimli::{EndianSlice, LittleEndian, Reader as _};
use object::{Object as _, ObjectSection as _};

use super::{
    super::elf::Elf,
    StructOffsets,
    fields::{ALSO_WANTED, WANTED},
};

type Slice<'data> = EndianSlice<'data, LittleEndian>;

/// Larger debug sections than any Go program has.
const MAX_SECTION: u64 = 2 << 30;

/// The wanted structs of the runtime; `None` when the image has no usable DWARF.
pub(super) fn read(elf: &Elf) -> Option<StructOffsets> {
    let cache = elf.reader();
    let file = object::File::parse(&cache).ok()?;
    let load = |id: gimli::SectionId| -> Result<Cow<'_, [u8]>, object::Error> {
        match file.section_by_name(id.name()) {
            Some(section) if section.size() <= MAX_SECTION => section.uncompressed_data(),
            _ => Ok(Cow::Borrowed(&[])),
        }
    };
    file.section_by_name(".debug_info")
        .or_else(|| file.section_by_name(".zdebug_info"))?;
    let sections = gimli::DwarfSections::load(load).ok()?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let mut found = StructOffsets::new();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        // A broken unit says nothing about the others.
        let _ = read_unit(&dwarf, header, &mut found);
        if found.len() == WANTED.len() + ALSO_WANTED.len() {
            break;
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The runtime's types are in units called `runtime`: the linker makes one a text section.
fn read_unit(
    dwarf: &gimli::Dwarf<Slice<'_>>,
    header: gimli::UnitHeader<Slice<'_>>,
    found: &mut StructOffsets,
) -> gimli::Result<()> {
    let unit = dwarf.unit(header)?;
    let is_runtime = unit
        .name
        .is_some_and(|name| name.to_slice().is_ok_and(|bytes| &*bytes == b"runtime"));
    if !is_runtime {
        return Ok(());
    }
    let unit = unit.unit_ref(dwarf);
    let mut tree = unit.entries_tree(None)?;
    let mut children = tree.root()?.children();
    while let Some(child) = children.next()? {
        let entry = child.entry();
        if entry.tag() != gimli::DW_TAG_structure_type {
            continue;
        }
        let Some(name) = entry.attr_value(gimli::DW_AT_name)? else {
            continue;
        };
        let name = unit.attr_string(name)?.to_string_lossy().into_owned();
        let Some((_, wanted)) = WANTED
            .iter()
            .chain(ALSO_WANTED)
            .find(|(struct_name, _)| *struct_name == name)
        else {
            continue;
        };
        let mut fields = BTreeMap::new();
        if let Some(size) = entry
            .attr_value(gimli::DW_AT_byte_size)?
            .and_then(|v| v.udata_value())
        {
            fields.insert("size".to_owned(), size);
        }
        let mut members = child.children();
        while let Some(member) = members.next()? {
            let member = member.entry();
            let Some(field) = member.attr_value(gimli::DW_AT_name)? else {
                continue;
            };
            let field = unit.attr_string(field)?.to_string_lossy().into_owned();
            let offset = member
                .attr_value(gimli::DW_AT_data_member_location)?
                .and_then(|value| value.udata_value());
            if let Some(offset) = offset.filter(|_| wanted.contains(&&*field)) {
                fields.insert(field, offset);
            }
        }
        found.insert(name, fields);
    }
    Ok(())
}
