//! The program's variables by name, and what their parts refer to.

use std::ops::ControlFlow;

use object::{LittleEndian, elf, pod};

use super::{Image, TypePart, elf::Elf, layout};
use ids::ImageAddr;

/// Bytes of `Elf64_Sym`.
const SYMBOL: u64 = 24;
/// Longer names are none.
const MAX_NAME: usize = 1024;

/// A variable of the program, as the symbol table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name with its package: `main.registry`.
    pub name: String,
    /// Its first byte.
    pub begins: ImageAddr,
}

/// A symbol of a variable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    /// Where its name lies in the table of names.
    name: u32,
    /// `STT_OBJECT`, or `STT_NOTYPE` of what assembly and C lay down without a type.
    kind: u8,
    pub(super) begins: u64,
    pub(super) size: u64,
}

impl Image {
    /// The variable that `at` lies in; `None` where no symbol says so. Goes through the whole table.
    #[must_use]
    pub fn variable(&self, at: ImageAddr) -> Option<Variable> {
        let found = smallest_symbol(&self.elf, at)?;
        Some(Variable {
            name: name_of(&self.elf, found.name)?,
            begins: ImageAddr(found.begins),
        })
    }

    /// The part of `variable` at `at`, as the debug information has it. Goes through all of that.
    #[must_use]
    pub fn part_of_variable(&self, variable: &Variable, at: ImageAddr) -> Option<TypePart> {
        let name = &*variable.name;
        let offset = at.0.checked_sub(variable.begins.0)?;
        layout::part_of_variable((self, &self.elf), (package(name)?, name), offset)
    }
}

/// `a.org/b/c` of `a.org/b/c.name`.
fn package(name: &str) -> Option<&str> {
    let last = name.rfind('/').map_or(0, |at| at + 1);
    let end = name.get(last..)?.find('.')? + last;
    name.get(..end)
}

/// The typed symbol that says most of `at`.
fn smallest_symbol(elf: &Elf, at: ImageAddr) -> Option<Symbol> {
    let mut found: Option<Symbol> = None;
    each_symbol_at(elf, at, |symbol| {
        let is_better = found.is_none_or(|found| symbol.size < found.size);
        if symbol.kind == elf::STT_OBJECT && is_better {
            found = Some(symbol);
        }
    })?;
    found
}

/// Hands over every symbol of a variable that covers `at`. `None` without a symbol table, or when it
/// cannot be read.
pub(super) fn each_symbol_at(elf: &Elf, at: ImageAddr, mut each: impl FnMut(Symbol)) -> Option<()> {
    let table = elf.sections.iter().find(|s| s.kind == elf::SHT_SYMTAB)?;
    let len = table.size / SYMBOL * SYMBOL;
    let mut look = |symbol: &elf::Sym64<LittleEndian>| {
        let (begins, size) = (
            symbol.st_value.get(LittleEndian),
            symbol.st_size.get(LittleEndian),
        );
        let kind = symbol.st_info & 0xf;
        let is_variable = matches!(kind, elf::STT_OBJECT | elf::STT_NOTYPE);
        if is_variable && at.0.wrapping_sub(begins) < size {
            let name = symbol.st_name.get(LittleEndian);
            each(Symbol {
                name,
                kind,
                begins,
                size,
            });
        }
    };
    let read = elf.file().scan(table.offset, len, SYMBOL, |_, piece| {
        let count = piece.len() / SYMBOL as usize;
        if let Ok((symbols, _)) = pod::slice_from_bytes(piece, count) {
            symbols.iter().for_each(&mut look);
        }
        ControlFlow::Continue(())
    });
    read.ok()
}

fn name_of(elf: &Elf, at: u32) -> Option<String> {
    let table = elf.sections.iter().find(|s| s.kind == elf::SHT_SYMTAB)?;
    let names = elf.sections.get(table.link as usize)?;
    let left = names.size.checked_sub(u64::from(at))?;
    let len = usize::try_from(left).ok()?.min(MAX_NAME);
    let bytes = elf.file().tail(names.offset + u64::from(at), len)?;
    let text = bytes.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::package;

    #[test]
    fn a_package_ends_at_the_first_dot_behind_its_path() {
        assert_eq!(package("main.registry"), Some("main"));
        assert_eq!(package("a.org/b/c.name"), Some("a.org/b/c"));
        assert_eq!(package("main.f.x"), Some("main"));
        assert_eq!(package("nothing"), None);
    }
}
