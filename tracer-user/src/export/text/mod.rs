//! A document as text: what a person wants at 3 a.m. Findings first, then goroutines by stack, then
//! threads and Go's own detector.

mod explain;
mod findings;
mod header;
mod paint;
mod stacks;
mod threads;

use std::io::{self, Write};

pub use crate::document::words::{
    ago, brief, count, duration, place, short_function, short_path, wrap,
};
pub use explain::explanation;
pub use findings::{finding, kind, with_stacks as finding_with_stacks, write as findings};
pub use paint::{Paint, Painted, Style};
pub use stacks::one_at_margin as goroutine;
pub use threads::write as threads;

use crate::document::Document;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether to colour.
    pub paint: Paint,
    /// Columns to wrap paragraphs at.
    pub width: usize,
    /// Every goroutine with its whole stack, instead of groups.
    pub all: bool,
}

/// Prints `document`.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, document: &Document, options: Options) -> io::Result<()> {
    header::write(out, document, options)?;
    let printed = &mut stacks::Printed::default();
    findings::write_once(out, document, printed, options)?;
    if options.all {
        stacks::write_all(out, document, options)?;
    } else {
        stacks::write_groups(out, document, printed, options)?;
    }
    threads::write(out, document, options)?;
    incomplete(out, document, options)
}

/// Most missing things listed one by one.
const INCOMPLETE_LIMIT: usize = 10;

fn incomplete(out: &mut impl Write, document: &Document, options: Options) -> io::Result<()> {
    if document.incomplete.is_empty() {
        return Ok(());
    }
    let number = document.incomplete.len();
    let heading = format!("Not read ({number})");
    writeln!(out, "\n{}", options.paint.style(Style::Heading, heading))?;
    let limit = if options.all {
        number
    } else {
        INCOMPLETE_LIMIT
    };
    for missing in document.incomplete.iter().take(limit) {
        writeln!(out, "  {}: {}", missing.what, missing.why)?;
    }
    if number > limit {
        writeln!(out, "  and {} more (--all prints them)", number - limit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Options, Paint, write};
    use crate::document::example;

    fn text(all: bool) -> String {
        let options = Options {
            paint: Paint::Plain,
            width: 80,
            all,
        };
        let mut out = Vec::new();
        write(&mut out, &example::document(), options).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn findings_come_first_then_groups_then_threads() {
        let text = text(false);
        let at = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("{part:?} in {text}"))
        };
        assert!(at("bank (pid 4711)") < at("PROVEN: lock cycle, for 3 m 12 s"));
        assert!(at("PROVEN") < at("goroutine 18 [sync.Mutex.Lock, 3 m 12 s]  lock 0xc000014008"));
        assert!(at("goroutine 18 [") < at("5 goroutines at 2 places"));
        assert!(at("      3 chan receive, oldest 3 m 12 s") < at("1 thread: 1 idle"));
        assert!(
            at("GOMAXPROCS 8, its cgroup allows 2 CPUs") < at("Go's own detector: cannot fire")
        );
    }

    #[test]
    fn groups_start_where_the_program_called_the_lock() {
        let text = text(false);
        assert!(
            text.contains("sync.(*Mutex).Lock  sync/mutex.go:90"),
            "{text}"
        );
        assert!(text.contains("main.transfer  bank/main.go:31"), "{text}");
        assert!(!text.contains("runtime.gopark"), "{text}");
    }

    #[test]
    fn all_prints_every_goroutine_with_every_frame() {
        let text = text(true);
        assert_eq!(text.matches("goroutine 20 [chan receive").count(), 1);
        assert!(
            text.contains("runtime.gopark  /go/src/runtime/proc.go:461"),
            "{text}"
        );
    }

    #[test]
    fn lines_fit_the_terminal() {
        for line in text(false).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
