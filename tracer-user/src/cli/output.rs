//! What commands print: formats, colour, width.

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::{Args, ValueEnum};
use terminal_size::{Width, terminal_size_of};

use super::{Failure, changes};
use crate::{
    document::Document,
    export::{
        dot, folded, grouped, json, pprof,
        text::{self, Paint},
    },
    inspect::Inspection,
};

/// How to print a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// What a person reads: findings, goroutines by stack, threads
    Text,
    /// Schema gostuck/1 (docs/json.md)
    Json,
    /// The same with each stack once, for many goroutines (docs/json.md)
    Groups,
    /// The wait graph for Graphviz: pipe it to `dot -Tsvg`
    Dot,
    /// One stack a line with its count, for flame-graph tools
    Folded,
    /// A profile for `go tool pprof`, with labels for reason and finding
    Pprof,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Options of commands that print for people.
#[derive(Debug, Clone, Copy, Args)]
#[group(skip)]
pub struct Options {
    /// When to colour
    #[arg(long, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,
}

impl Options {
    /// Whether to colour standard output.
    pub fn paint(self) -> Paint {
        let colour = match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        if colour { Paint::Colour } else { Paint::Plain }
    }
}

/// Columns of the terminal on standard output; 80 where it is none.
pub fn width() -> usize {
    const NARROWEST: usize = 40;
    const WIDEST: usize = 120;
    if !io::stdout().is_terminal() {
        return 80;
    }
    terminal_size_of(io::stdout()).map_or(80, |(Width(columns), _)| {
        usize::from(columns).clamp(NARROWEST, WIDEST)
    })
}

/// Options of commands that print one inspection.
#[derive(Debug, Clone, Copy, Args)]
#[group(skip)]
pub struct Report {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print every goroutine with its whole stack
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    options: Options,
}

impl Report {
    /// Refuses to write a binary format on a terminal; before an inspection is made in vain.
    pub fn check(self) -> Result<(), Failure> {
        if self.format == Format::Pprof && io::stdout().is_terminal() {
            return Err(Failure::with_next_step(
                anyhow::anyhow!("a profile is binary and would garble the terminal"),
                "write it to a file: --format pprof > goroutines.pb.gz",
            ));
        }
        Ok(())
    }

    /// How the findings of several inspections are printed as they appear and clear.
    pub fn of_changes(self) -> Result<changes::Report, Failure> {
        match self.format {
            Format::Text | Format::Json => Ok(changes::Report::new(
                self.format == Format::Json,
                false,
                self.options.paint(),
            )),
            Format::Groups | Format::Dot | Format::Folded | Format::Pprof => {
                Err(Failure::with_next_step(
                    anyhow::anyhow!("this format shows one moment, and the file holds a series"),
                    "use --format text or --format json",
                ))
            }
        }
    }

    /// Prints `look` on standard output.
    pub fn print(self, look: &Inspection) -> io::Result<()> {
        let text = text::Options {
            paint: self.options.paint(),
            width: width(),
            all: self.all,
        };
        let mut out = BufWriter::new(io::stdout().lock());
        print(&mut out, &Document::new(look), self.format, text)?;
        out.flush()
    }
}

/// Prints `document` on `out`.
fn print(
    out: &mut impl Write,
    document: &Document,
    format: Format,
    options: text::Options,
) -> io::Result<()> {
    match format {
        Format::Text => text::write(out, document, options),
        Format::Json => {
            json::write(&mut *out, document)?;
            writeln!(out)
        }
        Format::Groups => {
            grouped::write(&mut *out, document)?;
            writeln!(out)
        }
        Format::Dot => dot::write(out, document),
        Format::Folded => folded::write(out, document),
        Format::Pprof => pprof::write(out, document),
    }
}
