//! Text that others chose: names, paths, arguments and types of targets, and what errors quote of
//! them.
//!
//! Anybody who may start a program chooses these, line breaks and escape sequences included. Printed
//! as they are, they forge lines of a log, steer a terminal, or reorder what a reader sees. So they
//! are kept as [`TargetText`], which has no way to a printer but a clean one, and what is printed from
//! other types passes [`clean`] or [`CleanWriter`] at the one door of its kind.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    sync::Arc,
};

use serde::{Serialize, Serializer};

/// Whether a character does something else to its surroundings than stand there: controls the
/// terminal, breaks the line, or reorders or hides text.
#[must_use]
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Marks of direction, embeddings, overrides and isolates (Unicode annex 9).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Separators of lines and paragraphs, and what is not shown at all.
            | '\u{2028}' | '\u{2029}' | '\u{200b}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// `text` with each harmful character replaced by U+FFFD.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.contains(is_harmful) {
        Cow::Owned(text.replace(is_harmful, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Passes on what is written to it, clean.
#[derive(Debug)]
pub struct CleanWriter<W>(pub W);

impl<W: fmt::Write> fmt::Write for CleanWriter<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&clean(text))
    }
}

/// A text that others chose. Its `Display` is clean; it serialises as it is.
/// Clones share it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetText(Arc<str>);

impl TargetText {
    /// The text as it is, to be compared, measured or cut. What is printed of it goes through a
    /// `TargetText` again.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, clean.
    #[must_use]
    pub fn clean(&self) -> Cow<'_, str> {
        clean(&self.0)
    }
}

impl fmt::Display for TargetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.clean())
    }
}

/// As a literal that has no harmful character either.
impl fmt::Debug for TargetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(CleanWriter(f), "{:?}", self.0)
    }
}

impl Serialize for TargetText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<Arc<str>> for TargetText {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl From<String> for TargetText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for TargetText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<Cow<'_, str>> for TargetText {
    fn from(text: Cow<'_, str>) -> Self {
        Self(text.into())
    }
}

impl PartialEq<str> for TargetText {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for TargetText {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "main.\x1b[2J\r\nf\u{9b}\u{202e}\u{2066}\u{200b}";

    #[test]
    fn what_is_printed_harms_nobody_and_what_is_told_is_exact() {
        let text = TargetText::from(HOSTILE);
        let shown = "main.\u{fffd}[2J\u{fffd}\u{fffd}f\u{fffd}\u{fffd}\u{fffd}\u{fffd}";
        assert_eq!(text.to_string(), shown);
        assert_eq!(format!("{text:>26}|"), format!("{shown:>26}|"));
        assert!(!format!("{text:?}").contains(is_harmful));
        assert_eq!(text.raw(), HOSTILE);
        let told = serde_json::to_string(&text).unwrap();
        assert_eq!(serde_json::from_str::<String>(&told).unwrap(), HOSTILE);
    }

    #[test]
    fn names_of_all_languages_stay_as_they_are() {
        for name in [
            "main.世界·f",
            "pkg.(*T[go.shape.int]).Naïve",
            "имя",
            "שם",
            "👩‍🚀",
        ] {
            assert_eq!(TargetText::from(name).to_string(), name);
        }
    }

    #[test]
    fn a_writer_cleans_whatever_passes_it() {
        let mut out = String::new();
        write!(CleanWriter(&mut out), "{HOSTILE} {:?} {}", '\x07', 7).unwrap();
        assert!(!out.contains(is_harmful) && out.ends_with(" 7"), "{out}");
    }
}
