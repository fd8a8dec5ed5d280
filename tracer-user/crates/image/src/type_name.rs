//! Names of Go types, out of the type descriptors that the linker lays down.

use std::sync::Arc;

use super::Image;
use ids::ImageAddr;

/// `abi.Type` (`internal/abi/type.go`, `runtime._type` before Go 1.21) up to `Str`: the same in
/// every version.
const TYPE_LEN: usize = 48;
const TFLAG: usize = 20;
const STR: usize = 40;
/// `abi.TFlagExtraStar`: the name has a `*` in front that does not belong to it.
const EXTRA_STAR: u8 = 1 << 1;
/// Longer names are cut: those of literal struct types know no bound.
const MAX_NAME: usize = 80;

impl Image {
    /// How Go writes the type whose descriptor lies at `at`: `os.Signal`, `struct {}`. `None` for
    /// what is no type descriptor of the image, for example one made by `reflect`.
    #[must_use]
    pub fn type_name(&self, at: ImageAddr) -> Option<Arc<str>> {
        let types = &self.module().types;
        if !types.contains(&at) {
            return None;
        }
        let descriptor = self.bytes(at, TYPE_LEN)?;
        let flags = *descriptor.get(TFLAG)?;
        let offset = descriptor.get(STR..STR + 4)?.try_into().ok()?;
        let offset = u64::try_from(i32::from_le_bytes(offset)).ok()?;
        let name = types.start.0.checked_add(offset).map(ImageAddr)?;
        let text = self.type_text(name)?;
        let text = match text.strip_prefix('*') {
            Some(rest) if flags & EXTRA_STAR != 0 => rest,
            _ => &text,
        };
        (!text.is_empty()).then(|| text.into())
    }

    /// The text of the `abi.Name` at `at`: a byte of flags, the length as a varint, the text.
    pub(super) fn type_text(&self, at: ImageAddr) -> Option<String> {
        let types = &self.module().types;
        if !types.contains(&at) {
            return None;
        }
        let head = self.bytes(at, 3)?;
        let (len, start) = match *head.as_ref() {
            [_, len, _] if len < 0x80 => (usize::from(len), 2),
            [_, low, high] if high < 0x80 => (usize::from(low & 0x7f) | usize::from(high) << 7, 3),
            _ => return None,
        };
        let text = self.bytes(at.offset(start), len.min(MAX_NAME))?;
        let mut text = String::from_utf8_lossy(&text).into_owned();
        if len > MAX_NAME {
            text.push('…');
        }
        Some(text)
    }
}
