//! Code that changes no lock for good.

use super::{LOCKS, Writer};

impl Writer {
    /// One such statement, in which locks may be taken and released.
    pub(super) fn noise(&mut self, free: &[usize], depth: usize) {
        let flag = self.random.below(8);
        let count = self.random.below(5);
        match self.random.below(9) {
            0 => self.line("t.sum += n * 3"),
            1 => self.line("t.text = fmt.Sprint(t.sum, n)"),
            2 => self.line("t.names[t.text] = n"),
            3 => self.line(&format!("t.ring[{count}] <- n; <-t.ring[{count}]")),
            4 if depth < 5 => {
                self.open(&format!("if t.flags[{flag}] {{"));
                self.block(free, depth + 2);
                self.close("} else {");
                self.indent += 1;
                self.block(free, depth + 2);
                self.close("}");
            }
            5 if depth < 5 => {
                self.open(&format!("switch t.counts[{count}] {{"));
                for case in 0..6 {
                    self.line(&format!("case {case}:"));
                    self.line(&format!("\tt.sum ^= {}", case + 3));
                }
                self.line("default:");
                self.line("\tt.text += \"x\"");
                self.close("}");
            }
            6 if depth < 3 && self.function > 0 && free.len() == LOCKS => {
                let callee = self.random.below(self.function);
                self.line(&format!("f{callee}(t, n+1)"));
            }
            7 => {
                self.open(&format!("if n == {} {{", 1000 + count));
                self.line("panic(\"never\")");
                self.close("}");
            }
            _ => self.line("n++"),
        }
    }
}
