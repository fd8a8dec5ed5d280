//! JSON as it is printed and served: every text exactly as it is, and nothing of it that could steer a
//! terminal or reorder what is around it.

use std::io::{self, Write};

use serde::Serialize;

use crate::target_text::is_harmful;

/// Writes `value` in one line.
///
/// # Errors
/// When `out` cannot be written, or `value` cannot be told as JSON.
pub fn write(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    Ok(serde_json::to_writer(Escaping(out), value)?)
}

/// Writes `value` for people.
///
/// # Errors
/// Like [`write`].
pub fn write_pretty(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    Ok(serde_json::to_writer_pretty(Escaping(out), value)?)
}

/// `value` in one line.
///
/// # Errors
/// When `value` cannot be told as JSON.
pub fn to_vec(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(128);
    write(&mut out, value)?;
    Ok(out)
}

/// `value` in one line of text.
///
/// # Errors
/// Like [`to_vec`].
pub fn to_string(value: &impl Serialize) -> io::Result<String> {
    String::from_utf8(to_vec(value)?).map_err(io::Error::other)
}

/// Writes those characters as `\u` and digits that JSON allows in strings as they are, though they are
/// harmful. Outside of strings JSON has none of them.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Pieces of text come whole.
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        let mut done = 0;
        for (at, character) in text.char_indices() {
            // Line breaks are between strings; inside they are escaped by now.
            if character >= '\x7f' && is_harmful(character) {
                self.0.write_all(&bytes[done..at])?;
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(self.0, "\\u{unit:04x}")?;
                }
                done = at + character.len_utf8();
            }
        }
        self.0.write_all(&bytes[done..])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_as_they_are_and_harm_nobody() {
        let text = "main.\u{1b}[2J\r\n\u{7f}\u{9b}世界\u{202e}\u{2066}\u{feff}.f";
        for json in [to_string(&[text]).unwrap(), {
            let mut out = Vec::new();
            write_pretty(&mut out, &[text]).unwrap();
            String::from_utf8(out).unwrap()
        }] {
            let harmful = |c: char| c != '\n' && is_harmful(c);
            assert!(!json.contains(harmful), "{json:?}");
            assert!(
                json.contains(r"\u001b[2J\r\n\u007f\u009b世界\u202e\u2066\ufeff.f"),
                "{json}"
            );
            let read: Vec<String> = serde_json::from_str(&json).unwrap();
            assert_eq!(read, [text]);
        }
    }
}
