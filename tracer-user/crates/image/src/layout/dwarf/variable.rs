//! The types of the program's variables, as the debug information has them: only far enough to get to
//! type descriptors, which say the rest.

use gimli::{AttributeValue, DebugInfo, DwAt, EntriesTreeNode, LittleEndian, UnitOffset};

use super::{
    RUNTIME, text,
    units::{Slice, Units},
};
use crate::{
    Image,
    elf::Elf,
    type_part::{Refers, TypePart},
};
use ids::ImageAddr;

/// `DW_AT_go_runtime_type` (`cmd/internal/dwarf/dwarf.go`): where the type's descriptor lies, if the
/// program has one; from Go 1.26 on, counted from the first of them.
const GO_RUNTIME_TYPE: DwAt = DwAt(0x2904);
/// Deeper nesting than is followed.
const MAX_DEPTH: usize = 32;
/// A type that the program has no descriptor of.
const UNTYPED: Refers = Refers::ToInsides("a value of a type without a descriptor");

type Entry<'a> = gimli::DebuggingInformationEntry<'a, 'a, Slice<'a>>;

/// The part at `offset` of the variable called `name`, of the package `package`, that refers to something.
pub(crate) fn part(
    (image, elf): (&Image, &Elf),
    (package, name): (&str, &str),
    offset: u64,
) -> Option<TypePart> {
    let mut units = Units::open(elf).ok()??;
    let mut of = None;
    while of.is_none() {
        let (_, unit) = units.next(package.as_bytes()).ok()??;
        of = type_of(&mut units, &unit, name).ok()?;
    }
    let of = of?;
    // The linker puts all types there. They may lie before the variable.
    let mut units = Units::open(elf).ok()??;
    loop {
        let (begins, unit) = units.next(RUNTIME).ok()??;
        let end = begins + unit.len() as u64;
        if (begins..end).contains(&of) {
            let types = Types {
                image,
                begins,
                unit: &unit,
            };
            return types.part(&mut units, of, offset);
        }
    }
}

/// Where the type of the variable `name` lies in the debug information.
fn type_of(units: &mut Units<'_>, unit: &[u8], name: &str) -> gimli::Result<Option<u64>> {
    let info = DebugInfo::new(unit, LittleEndian);
    let Some(header) = info.units().next()? else {
        return Ok(None);
    };
    let Some(abbreviations) = units.abbreviations(header.debug_abbrev_offset().0) else {
        return Ok(None);
    };
    let mut tree = header.entries_tree(&abbreviations, None)?;
    let mut children = tree.root()?.children();
    while let Some(child) = children.next()? {
        let entry = child.entry();
        if entry.tag() == gimli::DW_TAG_variable
            && text(units, entry.attr_value(gimli::DW_AT_name)?).as_deref() == Some(name)
        {
            return Ok(reference(entry));
        }
    }
    Ok(None)
}

/// The unit that has the types.
struct Types<'a> {
    image: &'a Image,
    /// Where it begins in the debug information.
    begins: u64,
    unit: &'a [u8],
}

impl Types<'_> {
    fn part(&self, units: &mut Units<'_>, of: u64, offset: u64) -> Option<TypePart> {
        let info = DebugInfo::new(self.unit, LittleEndian);
        let header = info.units().next().ok()??;
        let abbreviations = units.abbreviations(header.debug_abbrev_offset().0)?;
        let (mut of, mut offset) = (of, offset);
        let mut path = String::new();
        for _ in 0..MAX_DEPTH {
            let mut tree = header
                .entries_tree(&abbreviations, Some(self.at(of)?))
                .ok()?;
            let node = tree.root().ok()?;
            if let Some(descriptor) = self.descriptor(node.entry()) {
                let part = self.image.type_part(descriptor, offset)?;
                path.push_str(&part.path);
                return Some(TypePart { path, ..part });
            }
            match node.entry().tag() {
                gimli::DW_TAG_typedef => of = reference(node.entry())?,
                gimli::DW_TAG_structure_type => {
                    let (name, member, begins) = member_at(units, node, offset).ok()??;
                    path.push('.');
                    path.push_str(&name);
                    (of, offset) = (member, offset - begins);
                }
                gimli::DW_TAG_pointer_type if offset == 0 => {
                    let to = reference(node.entry())?;
                    let entry = |at| header.entry(&abbreviations, at).ok();
                    let refers = self.descriptor_of(to, entry).map_or(UNTYPED, Refers::To);
                    return Some(TypePart { path, refers });
                }
                _ => return None,
            }
        }
        None
    }

    /// Where in the unit something lies of which is known where in the debug information it does.
    fn at(&self, of: u64) -> Option<UnitOffset> {
        Some(UnitOffset(
            usize::try_from(of.checked_sub(self.begins)?).ok()?,
        ))
    }

    /// The descriptor of the type that lies at `of`, or of the one that it is another name of.
    fn descriptor_of<'e>(
        &self,
        of: u64,
        entry: impl Fn(UnitOffset) -> Option<Entry<'e>>,
    ) -> Option<ImageAddr> {
        let mut of = of;
        for _ in 0..MAX_DEPTH {
            let entry = entry(self.at(of)?)?;
            if let Some(descriptor) = self.descriptor(&entry) {
                return Some(descriptor);
            }
            if entry.tag() != gimli::DW_TAG_typedef {
                return None;
            }
            of = reference(&entry)?;
        }
        None
    }

    /// The descriptor of a type, if the program has it.
    fn descriptor(&self, entry: &Entry<'_>) -> Option<ImageAddr> {
        let at = match entry.attr_value(GO_RUNTIME_TYPE).ok()?? {
            AttributeValue::Addr(at) if at > 0 => at,
            _ => return None,
        };
        let types = &self.image.module().types;
        match types.contains(&ImageAddr(at)) {
            true => Some(ImageAddr(at)),
            false => types.start.0.checked_add(at).map(ImageAddr),
        }
    }
}

/// The member of a struct that `offset` lies in: its name, where its type lies, and where it begins.
fn member_at(
    units: &mut Units<'_>,
    of: EntriesTreeNode<'_, '_, '_, Slice<'_>>,
    offset: u64,
) -> gimli::Result<Option<(String, u64, u64)>> {
    let mut found = None;
    let mut members = of.children();
    while let Some(member) = members.next()? {
        let member = member.entry();
        let begins = member
            .attr_value(gimli::DW_AT_data_member_location)?
            .and_then(|value| value.udata_value());
        let Some(begins) = begins.filter(|begins| *begins <= offset) else {
            continue;
        };
        let name = text(units, member.attr_value(gimli::DW_AT_name)?);
        if let Some((name, of)) = name.zip(reference(member)) {
            found = Some((name, of, begins));
        }
    }
    Ok(found)
}

/// The type that an entry refers to.
fn reference(entry: &Entry<'_>) -> Option<u64> {
    match entry.attr_value(gimli::DW_AT_type).ok()?? {
        AttributeValue::DebugInfoRef(at) => u64::try_from(at.0).ok(),
        _ => None,
    }
}
