//! What commands say beside their results.

use std::{fmt::Display, io::Write as _};

/// Writes a line to standard error. Whoever reads it may have gone: that is no reason to fail.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
