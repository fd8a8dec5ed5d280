//! The representations that a document is served in.

use std::io::{self, Write};

use serde::Deserialize;

use crate::{
    document::Document,
    export::{dot, folded, grouped, json, pprof, text},
};

/// A representation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The document itself.
    #[default]
    Json,
    /// The document with each stack once.
    Groups,
    /// As `gostuck inspect` prints it.
    Text,
    /// The wait graph for Graphviz.
    Dot,
    /// Folded stacks.
    Folded,
    /// A goroutine profile, compressed by gzip.
    Pprof,
}

impl Format {
    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Groups => "application/json",
            Self::Text | Self::Folded => "text/plain; charset=utf-8",
            Self::Dot => "text/vnd.graphviz",
            Self::Pprof => "application/octet-stream",
        }
    }

    /// Writes `document` in it.
    pub(super) fn write(self, out: &mut impl Write, document: &Document) -> io::Result<()> {
        match self {
            Self::Json => json::write(out, document),
            Self::Groups => grouped::write(out, document),
            Self::Text => {
                let options = text::Options {
                    paint: text::Paint::Plain,
                    width: 100,
                    all: false,
                };
                text::write(out, document, options)
            }
            Self::Dot => dot::write(out, document),
            Self::Folded => folded::write(out, document),
            Self::Pprof => pprof::write(out, document),
        }
    }
}
