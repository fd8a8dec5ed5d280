//! Writing lines and functions.

use std::fmt::Write as _;

use super::{Shadow, Writer};

impl Writer {
    pub(super) fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}{text}", "\t".repeat(self.indent));
    }

    pub(super) fn open(&mut self, text: &str) {
        self.line(text);
        self.indent += 1;
    }

    pub(super) fn close(&mut self, text: &str) {
        self.indent -= 1;
        self.line(text);
    }

    /// Closes a block and opens the next one, as `} else {` does.
    pub(super) fn turn(&mut self, text: &str) {
        self.indent -= 1;
        self.line(text);
        self.indent += 1;
    }

    /// A line of the shadow table's: left out in bare programs.
    pub(super) fn shadow(&mut self, text: &str) {
        if self.shadow == Shadow::Full {
            self.line(text);
        }
    }

    pub(super) fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    /// A condition that holds once in `n` times; never where the goroutine has to reach its end.
    pub(super) fn odds(&mut self, n: usize) -> String {
        if self.certain {
            self.unlikely()
        } else {
            format!("g.odds({n})")
        }
    }

    /// A condition that never holds, which cannot be seen from the code around it.
    pub(super) fn unlikely(&mut self) -> String {
        self.random
            .of(&["never()", "w.closed() != nil", "w.odd()", "g == nil"])
            .to_owned()
    }

    /// Writes a function of its own, whatever is being written just now.
    pub(super) fn function(&mut self, header: &str, body: &mut dyn FnMut(&mut Self)) {
        let outer = std::mem::take(&mut self.text);
        let indent = std::mem::replace(&mut self.indent, 0);
        if self.random.chance(3) {
            self.line("//go:noinline");
        }
        self.open(&format!("func {header} {{"));
        body(self);
        self.close("}");
        let written = std::mem::replace(&mut self.text, outer);
        self.indent = indent;
        self.functions.push_str(&written);
        self.functions.push('\n');
    }
}
