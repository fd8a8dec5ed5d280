//! What gostuck says about itself: `tracing` on standard error.

use std::{
    fmt::{self, Debug, Write as _},
    io::{self, IsTerminal},
};

use clap::{ArgAction, Args};
use tracing::field::Field;
use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    fmt::{FormatFields, format},
};

use crate::target_text::CleanWriter;

/// The environment variable that overrides `-v` and `-q`.
const VARIABLE: &str = "GOSTUCK_LOG";

/// How much to log.
#[derive(Debug, Clone, Copy, Args)]
#[group(skip)]
pub struct Options {
    /// Log more on standard error: -v what is done, -vv details, -vvv everything.
    /// GOSTUCK_LOG sets it by module, for example GOSTUCK_LOG=info,tracer_user::probes=debug
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl Options {
    const fn directive(self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error",
            (false, 0) => "warn",
            (false, 1) => "info",
            (false, 2) => "debug",
            (false, _) => "trace",
        }
    }

    /// Starts logging for the rest of the process, unless it would write over a view that fills the
    /// terminal.
    pub fn start(self, fills_terminal: bool) {
        if fills_terminal && io::stderr().is_terminal() {
            return;
        }
        let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| self.directive().into());
        // A second start (tests) keeps the first subscriber.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .fmt_fields(clean_fields())
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .try_init();
    }
}

/// How messages and fields are written: clean, all of them, since any may quote what others chose. So
/// an event is one line, and steers no terminal.
pub fn clean_fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    format::debug_fn(clean_field).delimited(" ")
}

fn clean_field(out: &mut format::Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let name = field.name();
    if name == "message" {
        return write!(CleanWriter(out), "{value:?}");
    }
    // Where a message of the `log` crate comes from, its target says.
    if name.starts_with("log.") {
        return Ok(());
    }
    if out.has_ansi_escapes() {
        write!(out, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
    } else {
        write!(out, "{name}=")?;
    }
    write!(CleanWriter(out), "{value:?}")
}
