//! Colour.

use std::fmt;

/// Whether to colour, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// ANSI colours.
    Colour,
    /// Plain text.
    Plain,
}

/// What a piece of text is, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A heading.
    Heading,
    /// A proven finding.
    Proven,
    /// A suspected finding.
    Suspected,
    /// All is well.
    Good,
    /// Less important: addresses, places in other people's code.
    Faint,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Heading => "1",
            Self::Proven => "1;31",
            Self::Suspected => "1;33",
            Self::Good => "32",
            Self::Faint => "2",
        }
    }
}

impl Paint {
    /// `text` in `style`.
    #[must_use]
    pub const fn style<T: fmt::Display>(self, style: Style, text: T) -> Painted<T> {
        Painted {
            paint: self,
            style,
            text,
        }
    }
}

/// A text with its style.
#[derive(Debug)]
pub struct Painted<T> {
    paint: Paint,
    style: Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.paint {
            Paint::Plain => write!(f, "{}", self.text),
            Paint::Colour => write!(f, "\x1b[{}m{}\x1b[0m", self.style.code(), self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Paint, Style};

    #[test]
    fn plain_text_stays_plain() {
        assert_eq!(Paint::Plain.style(Style::Proven, "x").to_string(), "x");
        assert_eq!(
            Paint::Colour.style(Style::Proven, "x").to_string(),
            "\x1b[1;31mx\x1b[0m"
        );
    }
}
