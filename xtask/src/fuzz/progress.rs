//! What libFuzzer says.

use std::{fmt, path::PathBuf, time::Duration};

/// How far a fuzzer has come, by the lines that it writes.
#[derive(Debug, Default)]
pub(super) struct Progress {
    runs: u64,
    covered: u64,
    corpus: u64,
    per_second: u64,
    /// The file with the input that broke something.
    pub(super) artifact: Option<PathBuf>,
    /// What was said last, and the first thing that went wrong.
    last: String,
    panic: Vec<String>,
}

impl Progress {
    /// Reads one line.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix('#') {
            self.read_counts(counts);
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.artifact = Some(PathBuf::from(path));
        } else if let Some(runs) = line.strip_prefix("stat::number_of_executed_units:") {
            self.runs = runs.trim().parse().unwrap_or(self.runs);
        } else if let Some(speed) = line.strip_prefix("stat::average_exec_per_sec:") {
            self.per_second = speed.trim().parse().unwrap_or(self.per_second);
        } else {
            self.read_words(line);
        }
    }

    fn read_words(&mut self, line: &str) {
        let begins = line.contains("panicked at")
            || line.contains("were asked for")
            || line.contains("ERROR: libFuzzer");
        // The line after `panicked at` says why.
        let goes_on = self.panic.len() == 1 && self.panic[0].contains("panicked at");
        if (begins && self.panic.is_empty()) || (goes_on && !begins) {
            self.panic.push(line.trim().to_owned());
        }
        if !line.trim().is_empty() {
            self.last = line.trim().to_owned();
        }
    }

    fn read_counts(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        if let Some(runs) = words.next().and_then(|word| word.parse().ok()) {
            self.runs = runs;
        }
        while let Some(word) = words.next() {
            let field = match word {
                "cov:" => &mut self.covered,
                "corp:" => &mut self.corpus,
                "exec/s:" => &mut self.per_second,
                _ => continue,
            };
            let value = words.next().unwrap_or_default();
            let value = value.split('/').next().unwrap_or_default();
            *field = value.parse().unwrap_or(*field);
        }
    }

    /// What went wrong, in its own words.
    pub(super) fn said(&self) -> String {
        if self.panic.is_empty() {
            self.last.clone()
        } else {
            self.panic.join(" ")
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs ({} a second), {} places reached, {} inputs",
            self.runs, self.per_second, self.covered, self.corpus
        )
    }
}

/// A time as people read it.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_libfuzzer_writes() {
        let mut progress = Progress::default();
        for line in [
            "INFO: Seed: 123",
            "#1024\tpulse  cov: 8123 ft: 30123 corp: 512/13Kb lim: 4096 exec/s: 231 rss: 150Mb",
            "",
            "thread '<unnamed>' panicked at tracer-user/src/x.rs:1:2:",
            "attempt to add with overflow",
            "==7== ERROR: libFuzzer: deadly signal",
            "artifact_prefix='/f/'; Test unit written to /f/memory-crash-1",
        ] {
            progress.read(line);
        }
        let said = progress.to_string();
        assert!(
            said.starts_with("1024 runs (231 a second), 8123 places"),
            "{said}"
        );
        assert!(said.ends_with("512 inputs"), "{said}");
        assert_eq!(progress.artifact, Some(PathBuf::from("/f/memory-crash-1")));
        let why = progress.said();
        assert!(
            why.ends_with("x.rs:1:2: attempt to add with overflow"),
            "{why}"
        );
    }
}
