//! What the type descriptors of an image say of the parts of a value: which field lies at an offset, and
//! what it refers to.

use super::Image;
use ids::ImageAddr;

/// `abi.Type` (`internal/abi/type.go`, `runtime._type` before Go 1.21), the same in Go 1.19 to 1.27.
const TYPE_LEN: u64 = 48;
const KIND: u64 = 23;
/// `abi.KindMask`.
const KIND_MASK: u8 = 0x1f;
// `abi.Kind`.
const ARRAY: u8 = 17;
const CHAN: u8 = 18;
const FUNC: u8 = 19;
const INTERFACE: u8 = 20;
const MAP: u8 = 21;
const POINTER: u8 = 22;
const SLICE: u8 = 23;
const STRING: u8 = 24;
const STRUCT: u8 = 25;
const UNSAFE_POINTER: u8 = 26;
/// `abi.ArrayType.Elem`, `abi.PtrType.Elem`, `abi.SliceType.Elem`: first behind the `abi.Type`.
const ELEMENT: u64 = TYPE_LEN;
/// `abi.StructType.Fields`, `abi.InterfaceType.Methods`: a slice behind a pointer.
const LIST: u64 = TYPE_LEN + 8;
/// `abi.StructField`: name, type, offset.
const FIELD_LEN: u64 = 24;
/// More fields than are looked through.
const MAX_FIELDS: u64 = 4096;
/// Deeper nesting than is followed.
const MAX_DEPTH: usize = 32;

/// A part of a value that may refer to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePart {
    /// How Go writes it behind the name of the value: `.subscribers[3].ch`; empty for the value itself.
    pub path: String,
    /// What it refers to.
    pub refers: Refers,
}

/// What a part of a value refers to, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refers {
    /// A value of the type with this descriptor.
    To(ImageAddr),
    /// Any number of such values, one behind the other.
    ToElements(ImageAddr),
    /// What the word before it says: it is the second word of an interface, with or without methods.
    ToDynamic {
        /// Whether the interface has no methods: then the word before it is the type.
        empty: bool,
    },
    /// Something whose layout no type descriptor tells, in words: `a map`.
    ToInsides(&'static str),
}

impl Image {
    /// The part of a value of the type at `at` that lies at `offset` and refers to something; `None`
    /// where there is none, or `at` is no type descriptor of the image.
    #[must_use]
    pub fn type_part(&self, at: ImageAddr, offset: u64) -> Option<TypePart> {
        let (mut at, mut offset) = (at, offset);
        let mut path = String::new();
        for _ in 0..MAX_DEPTH {
            let refers = match (self.type_kind(at)?, offset) {
                (STRUCT, _) => {
                    let (name, of, begins) = self.field_at(at, offset)?;
                    path.push('.');
                    path.push_str(&name);
                    (at, offset) = (of, offset - begins);
                    continue;
                }
                (ARRAY, _) => {
                    let element = self.pointer(at.offset(ELEMENT))?;
                    let (index, rest) = self.index(element, offset)?;
                    path.push_str(&format!("[{index}]"));
                    (at, offset) = (element, rest);
                    continue;
                }
                (POINTER, 0) => Refers::To(self.pointer(at.offset(ELEMENT))?),
                (SLICE, 0) => Refers::ToElements(self.pointer(at.offset(ELEMENT))?),
                (INTERFACE, 8) => Refers::ToDynamic {
                    empty: self.word(at.offset(LIST + 8))? == 0,
                },
                (CHAN, 0) => Refers::ToInsides("a channel"),
                (FUNC, 0) => Refers::ToInsides("a function"),
                (MAP, 0) => Refers::ToInsides("a map"),
                (STRING, 0) => Refers::ToInsides("a string"),
                (UNSAFE_POINTER, 0) => Refers::ToInsides("memory of no type"),
                _ => return None,
            };
            return Some(TypePart { path, refers });
        }
        None
    }

    /// Likewise of values of the type at `element`, one behind the other.
    #[must_use]
    pub fn element_part(&self, element: ImageAddr, offset: u64) -> Option<TypePart> {
        let (index, rest) = self.index(element, offset)?;
        let part = self.type_part(element, rest)?;
        Some(TypePart {
            path: format!("[{index}]{}", part.path),
            ..part
        })
    }

    /// What an interface refers to whose dynamic type is the one at `at`: a value that is a pointer is in
    /// the interface itself, others lie elsewhere (`abi.KindDirectIface`).
    #[must_use]
    pub fn dynamic_value(&self, at: ImageAddr) -> Option<Refers> {
        match self.type_kind(at)? {
            POINTER | CHAN | FUNC | MAP | UNSAFE_POINTER => Some(self.type_part(at, 0)?.refers),
            _ => Some(Refers::To(at)),
        }
    }

    fn type_kind(&self, at: ImageAddr) -> Option<u8> {
        if !self.module().types.contains(&at) {
            return None;
        }
        Some(self.bytes(at.offset(KIND), 1)?.first()? & KIND_MASK)
    }

    /// Which of the elements in a row `offset` lies in, and where in it.
    fn index(&self, element: ImageAddr, offset: u64) -> Option<(u64, u64)> {
        self.type_kind(element)?;
        let size = self.word(element).filter(|size| *size > 0)?;
        Some((offset / size, offset % size))
    }

    /// The field of the struct type at `at` that `offset` lies in: its name, its type and where it begins.
    fn field_at(&self, at: ImageAddr, offset: u64) -> Option<(String, ImageAddr, u64)> {
        let fields = self.pointer(at.offset(LIST))?;
        let count = self.word(at.offset(LIST + 8))?.min(MAX_FIELDS);
        let mut found = None;
        for index in 0..count {
            let field = fields.offset(index * FIELD_LEN);
            let begins = self.word(field.offset(16))?;
            if begins > offset {
                break;
            }
            found = Some((field, begins));
        }
        let (field, begins) = found?;
        let name = self.type_text(self.pointer(field)?)?;
        Some((name, self.pointer(field.offset(8))?, begins))
    }

    fn word(&self, at: ImageAddr) -> Option<u64> {
        let bytes = self.bytes(at, 8)?;
        Some(u64::from_le_bytes(bytes.as_ref().try_into().ok()?))
    }
}
