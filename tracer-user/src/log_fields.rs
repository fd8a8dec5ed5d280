//! How messages and fields of log lines are written.

use std::fmt::{self, Debug, Write as _};

use tracing::field::Field;
use tracing_subscriber::{
    field::MakeExt as _,
    fmt::{FormatFields, format},
};

use crate::target_text::CleanWriter;

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
