//! Durations, counts, places and paragraphs as a person reads them.

use std::time::Duration;

use crate::{document::Frame, finding::without_type_arguments, target_text::TargetText};

/// `1.25 %` of 0.0125.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// A duration by its two largest units: `3.2 s`, `42 s`, `3 m 12 s`, `4 h 10 m`, `3 d 4 h`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above; a float to integer cast saturates"
    )]
    let whole = seconds as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} m")
    } else if minutes > 0 {
        format!("{minutes} m {} s", whole % 60)
    } else {
        format!("{whole} s")
    }
}

/// A duration that may be far below a second: `1.0 µs`, `131 µs`, `4.2 ms`, else as [`duration`].
#[must_use]
pub fn brief(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    let (number, unit) = if seconds < 1e-3 {
        (seconds * 1e6, "µs")
    } else if seconds < 1.0 {
        (seconds * 1e3, "ms")
    } else {
        return duration(seconds);
    };
    if number < 10.0 {
        format!("{number:.1} {unit}")
    } else {
        format!("{number:.0} {unit}")
    }
}

/// How long ago something was: `22 s ago`, `4 m ago`; `-` of what never was.
#[must_use]
pub fn ago(seconds: Option<u64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds @ 0..120) => format!("{seconds} s ago"),
        Some(seconds @ 120..7_200) => format!("{} m ago", seconds / 60),
        Some(seconds) => format!("{} h ago", seconds / 3_600),
    }
}

/// `1 goroutine`, `2 goroutines`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// The last two parts of a path: enough to find the file, short enough for a line.
#[must_use]
pub fn short_path(path: &TargetText) -> TargetText {
    let path = path.raw();
    let mut separators = path.rmatch_indices('/');
    separators.next();
    separators
        .next()
        .map_or(path, |(at, _)| path.get(at + 1..).unwrap_or(path))
        .into()
}

/// A function without the path of its package and without type arguments: `http.(*conn).serve` of
/// `net/http.(*conn).serve`.
#[must_use]
pub fn short_function(function: &TargetText) -> TargetText {
    let function = function.raw();
    // A generic's type arguments may hold slashes of their own.
    let end = function.find('[').unwrap_or(function.len());
    let package_end = function.get(..end).and_then(|head| head.rfind('/'));
    let name = package_end.map_or(function, |at| function.get(at + 1..).unwrap_or(function));
    without_type_arguments(name).into()
}

/// `file.go:31` of a frame, shortened unless `full`.
#[must_use]
pub fn place(frame: &Frame, full: bool) -> String {
    if frame.file.is_empty() {
        return String::new();
    }
    if full {
        format!("{}:{}", frame.file, frame.line)
    } else {
        format!("{}:{}", short_path(&frame.file), frame.line)
    }
}

/// `text`, clean, in lines of at most `width` columns, broken at spaces. Longer words stay whole.
#[must_use]
pub fn wrap(text: &TargetText, width: usize) -> Vec<String> {
    let text = text.clean();
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut columns = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if columns > 0 && columns + 1 + length > width {
            lines.push(std::mem::take(&mut line));
            columns = 0;
        }
        if columns > 0 {
            line.push(' ');
            columns += 1;
        }
        line.push_str(word);
        columns += length;
    }
    if columns > 0 {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{brief, duration, short_function, short_path, wrap};

    #[test]
    fn durations_use_two_units() {
        let cases = [
            (0.25, "0.2 s"),
            (9.96, "10.0 s"),
            (42.9, "42 s"),
            (192.0, "3 m 12 s"),
            (15_000.0, "4 h 10 m"),
            (273_600.0, "3 d 4 h"),
            (f64::NAN, "?"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn brief_durations_have_a_unit_of_their_size() {
        let cases = [
            (1_024, "1.0 µs"),
            (131_072, "131 µs"),
            (4_194_304, "4.2 ms"),
            (536_870_912, "537 ms"),
            (1_073_741_824, "1.1 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(brief(Duration::from_nanos(ns)), text, "{ns}");
        }
    }

    #[test]
    fn names_are_shortened_without_losing_the_reader() {
        assert_eq!(
            short_path(&"/home/me/shop/cart/cart.go".into()),
            "cart/cart.go"
        );
        assert_eq!(short_path(&"main.go".into()), "main.go");
        assert_eq!(
            short_function(&"net/http.(*conn).serve".into()),
            "http.(*conn).serve"
        );
        assert_eq!(
            short_function(&"example.com/a/pool.Get[go.shape.*example.com/b.T]".into()),
            "pool.Get[…]"
        );
    }

    #[test]
    fn paragraphs_break_at_spaces() {
        assert_eq!(wrap(&"one two three".into(), 7), ["one two", "three"]);
        assert_eq!(wrap(&"unbreakable word".into(), 5), ["unbreakable", "word"]);
        assert!(wrap(&"  ".into(), 5).is_empty());
    }
}
