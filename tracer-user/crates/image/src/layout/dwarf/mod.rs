//! Struct layouts, and the types of variables, from the image's own debug information. It is inflated and
//! read unit by unit, and only one is ever in memory.

mod section;
mod units;
mod variable;

use std::collections::BTreeMap;

use gimli::{DebugInfo, LittleEndian};

use self::units::{Slice, Units};
use super::{
    super::{elf::Elf, file::Refusal},
    StructOffsets,
    fields::{ALSO_WANTED, WANTED},
};
use resources::cancellation::is_cut;

pub(crate) use variable::part as part_of_variable;

/// The unit that has all types, the runtime's structs among them.
const RUNTIME: &[u8] = b"runtime";

/// The wanted structs of the runtime; `None` when the image has no usable DWARF.
pub(super) fn read(elf: &Elf) -> Result<Option<StructOffsets>, Refusal> {
    let Some(mut units) = Units::open(elf)? else {
        return Ok(None);
    };
    let mut found = StructOffsets::new();
    while found.len() < WANTED.len() + ALSO_WANTED.len() {
        match units.next(RUNTIME) {
            // A broken unit says nothing about the others.
            Ok(Some((_, unit))) => drop(read_unit(&mut units, &unit, &mut found)),
            Ok(None) => break,
            Err(_) if is_cut() => return Err(Refusal::Cut),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((!found.is_empty()).then_some(found))
}

fn read_unit(units: &mut Units<'_>, unit: &[u8], found: &mut StructOffsets) -> gimli::Result<()> {
    let info = DebugInfo::new(unit, LittleEndian);
    let Some(header) = info.units().next()? else {
        return Ok(());
    };
    let offset = header.debug_abbrev_offset().0;
    let Some(abbreviations) = units.abbreviations(offset) else {
        return Ok(());
    };
    let mut tree = header.entries_tree(&abbreviations, None)?;
    let mut children = tree.root()?.children();
    while let Some(child) = children.next()? {
        let entry = child.entry();
        if entry.tag() != gimli::DW_TAG_structure_type {
            continue;
        }
        let Some(name) = text(units, entry.attr_value(gimli::DW_AT_name)?) else {
            continue;
        };
        let mut known = WANTED.iter().chain(ALSO_WANTED);
        let Some((_, wanted)) = known.find(|(struct_name, _)| *struct_name == name) else {
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
            let Some(field) = text(units, member.attr_value(gimli::DW_AT_name)?) else {
                continue;
            };
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

fn text(units: &mut Units<'_>, value: Option<gimli::AttributeValue<Slice<'_>>>) -> Option<String> {
    let text = units.text(&value?)?;
    Some(String::from_utf8_lossy(&text).into_owned())
}
