//! Goroutines as folded stacks, the input of flame-graph tools: one line a group, frames from the
//! outermost to the innermost, then the state, then the count.

use std::io::{self, Write};

use super::groups::groups;
use crate::{document::Document, target_text::TargetText};

/// Prints `document` as folded stacks.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, document: &Document) -> io::Result<()> {
    for group in groups(document) {
        for frame in group.stack().iter().rev() {
            write!(out, "{};", plain(&frame.function))?;
        }
        writeln!(out, "[{}] {}", group.state(), group.members.len())?;
    }
    Ok(())
}

/// `;` is the format's own.
fn plain(function: &TargetText) -> String {
    function.clean().replace(';', "_")
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::document::example;

    #[test]
    fn one_line_a_group() {
        let mut out = Vec::new();
        write(&mut out, &example::document()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "example.com/bank/pool.(*Pool).worker;runtime.gopark;[chan receive] 3\n\
             main.transfer;sync.(*Mutex).Lock;sync.(*Mutex).lockSlow;runtime.gopark;\
             [sync.Mutex.Lock] 2\n"
        );
    }
}
