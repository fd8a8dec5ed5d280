//! What goroutines do with locks and without: time, and control flow that changes nothing.

use super::Writer;

impl Writer {
    /// Something that takes a little time.
    pub(super) fn dwell(&mut self) {
        let micros = self.random.of(&[50, 300, 1000, 3000]);
        self.dwell_for(micros, 2);
    }

    /// Something that takes 50 ms to 1.5 s.
    pub(super) fn dwell_long(&mut self) {
        let millis = self.random.of(&[50, 120, 250, 600, 1500]);
        self.dwell_for(millis * 1000, if self.small { 5 } else { 3 });
    }

    fn dwell_for(&mut self, micros: usize, computing: usize) {
        if self.random.below(6) < computing {
            let how = self.random.of(&["compute", "compute", "hash"]);
            return self.line(&format!("g.{how}({micros} * time.Microsecond)"));
        }
        let how = match self.random.below(if self.target.cgo { 10 } else { 8 }) {
            0..=2 => "nap",
            3 => "system",
            4 => "network",
            5 => "piped",
            6 => "timed",
            7 => {
                self.answers = true;
                "ask"
            }
            _ => "native",
        };
        // Sockets and pipes are told milliseconds in a byte.
        let micros = match how {
            "network" | "piped" => micros.min(240_000),
            _ => micros,
        };
        self.line(&format!("g.{how}({micros} * time.Microsecond)"));
    }

    /// One statement that leaves locks alone.
    pub(super) fn noise(&mut self) {
        match self.random.below(12) {
            0 => self.line("use()"),
            1 => {
                let n = self.random.between(1, 3);
                let name = self.name("i");
                self.open(&format!("for {name} := 0; {name} < {n}; {name}++ {{"));
                self.dwell_for(50, 2);
                self.close("}");
            }
            2 => {
                let odds = self.odds(3);
                self.open(&format!("if {odds} {{"));
                self.dwell();
                self.turn("} else {");
                self.line("w.n += 2");
                self.close("}");
            }
            3 => {
                self.open("switch g.rand() % 3 {");
                self.line("case 0:");
                self.line("\tuse()");
                self.line("case 1:");
                self.line("\tg.hash(1000)");
                self.line("default:");
                self.line("\tw.n += 4");
                self.close("}");
            }
            4 => {
                let unlikely = self.unlikely();
                self.open(&format!("if {unlikely} {{"));
                self.line("panic(errBusy)");
                self.close("}");
            }
            5 => {
                self.open("select {");
                self.line("case <-nothing:");
                self.line("\tpanic(errClosed)");
                self.line("default:");
                self.close("}");
            }
            6 => self.line("defer use()"),
            7 => {
                let label = self.name("search");
                let name = self.name("i");
                self.text.push_str(&format!("{label}:\n"));
                self.open(&format!("for {name} := 0; ; {name}++ {{"));
                self.open("for range w.cells {");
                self.open(&format!("if {name} > 1 {{"));
                self.line(&format!("break {label}"));
                self.close("}");
                self.line(&format!("continue {label}"));
                self.close("}");
                self.close("}");
            }
            8 => self.line("g.step()"),
            9 => self.line("runtime.Gosched()"),
            _ => self.dwell(),
        }
    }
}
