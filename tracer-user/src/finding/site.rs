//! Places in the target's source: where a goroutine waits, and where it was created.

use std::{borrow::Cow, fmt, sync::Arc};

use holders::{is_standard_library, package};
use ids::ImageAddr;
use image::Image;

/// A place in the target's source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    /// The function with its package path, for example `net/http.(*conn).serve`.
    pub function: Arc<str>,
    /// The file as the compiler recorded it.
    pub file: Arc<str>,
    /// The line, from 1; 0 when not known.
    pub line: u32,
}

impl Site {
    /// `bank.go:42`.
    pub(super) fn line_text(&self) -> String {
        let file = self.file.rsplit('/').next().unwrap_or_default();
        format!("{file}:{}", self.line)
    }
}

impl fmt::Display for Site {
    /// `main.transfer (bank.go:42)`: short enough for a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = without_type_arguments(written(&self.function));
        let file = self.file.rsplit('/').next().unwrap_or_default();
        match (file, self.line) {
            ("", _) => f.write_str(&function),
            (file, 0) => write!(f, "{function} ({file})"),
            (file, line) => write!(f, "{function} ({file}:{line})"),
        }
    }
}

/// The function in which that stands which the compiler made `function` of: deferred calls become
/// `main.f.deferwrap1`.
pub(super) fn written(function: &str) -> &str {
    let (outer, wrapper) = function.rsplit_once('.').unwrap_or((function, ""));
    let number = wrapper.strip_prefix("deferwrap").unwrap_or("?");
    match number.bytes().all(|b| b.is_ascii_digit()) {
        true => outer,
        false => function,
    }
}

/// A function's name without what its type parameters stand for: `main.(*rwMap[…]).Get`.
#[must_use]
pub fn without_type_arguments(function: &str) -> Cow<'_, str> {
    if !function.contains('[') {
        return Cow::Borrowed(function);
    }
    let mut short = String::with_capacity(function.len());
    let mut depth = 0_u32;
    for c in function.chars() {
        match c {
            '[' if depth == 0 => {
                short.push_str("[…]");
                depth = 1;
            }
            '[' => depth += 1,
            ']' if depth > 0 => depth -= 1,
            c if depth == 0 => short.push(c),
            _ => {}
        }
    }
    Cow::Owned(short)
}

/// Who turns program counters into places: an image, or a table in tests.
pub trait Symbols {
    /// The places of `pc`, innermost inlined call first; empty when nothing is known of it.
    fn sites(&self, pc: ImageAddr, is_return_address: bool) -> Vec<Site>;
}

impl Symbols for Image {
    fn sites(&self, pc: ImageAddr, is_return_address: bool) -> Vec<Site> {
        let frames = self.symbolize(pc, is_return_address).into_iter();
        frames
            .map(|frame| Site {
                function: frame.function,
                file: frame.file,
                line: frame.line,
            })
            .collect()
    }
}

/// Whether `function` only carries out a wait that another function asked for: the runtime, the
/// `sync` packages, and the layers of the standard library between a program and a system call.
#[must_use]
pub fn is_plumbing(function: &str) -> bool {
    let package = package(function);
    let first = package.split('/').next().unwrap_or_default();
    matches!(first, "runtime" | "sync" | "internal" | "syscall" | "iter")
        || matches!(
            package,
            "time" | "reflect" | "os" | "io" | "net" | "bufio" | "crypto/tls" | "type:" | "go"
        )
}

/// Whether a `go` statement in `function` runs what others have handed over, as in
/// `sync.(*WaitGroup).Go`, `net/http.(*Server).Serve` or `errgroup.(*Group).Go`: the standard library
/// and the pools that are in wide use.
pub(super) fn starts_for_others(function: &str) -> bool {
    let package = package(function);
    is_standard_library(function)
        || package.ends_with("/errgroup")
        || POOLS.iter().any(|pool| package.starts_with(pool))
}

/// Packages whose goroutines run what they are given.
const POOLS: [&str; 5] = [
    "github.com/sourcegraph/conc",
    "github.com/panjf2000/ants",
    "github.com/alitto/pond",
    "github.com/gammazero/workerpool",
    "github.com/cloudwego/gopkg/concurrency",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plumbing_is_what_waits_on_behalf_of_others() {
        for function in [
            "runtime.gopark",
            "internal/poll.(*FD).Read",
            "sync.(*RWMutex).RLock",
            "net.(*conn).Read",
            "time.Sleep",
        ] {
            assert!(is_plumbing(function), "{function}");
        }
        for function in [
            "main.f",
            "net/http.(*conn).serve",
            "github.com/x/sync.F",
            "runtimes.F",
        ] {
            assert!(!is_plumbing(function), "{function}");
        }
    }

    #[test]
    fn the_standard_library_and_pools_start_goroutines_for_others() {
        for function in [
            "sync.(*WaitGroup).Go",
            "net/http.(*Server).Serve",
            "time.goFunc",
            "golang.org/x/sync/errgroup.(*Group).Go",
            "github.com/panjf2000/ants/v2.(*goWorker).run",
        ] {
            assert!(starts_for_others(function), "{function}");
        }
        for function in [
            "main.main",
            "example.com/a.F",
            "app/worker.Start",
            "synced.F",
        ] {
            assert!(!starts_for_others(function), "{function}");
        }
    }

    #[test]
    fn type_arguments_are_left_out() {
        for (function, expected) in [
            ("main.(*rwMap[...]).Get", "main.(*rwMap[…]).Get"),
            ("main.Map[[]int,map[string]a/b.T].F", "main.Map[…].F"),
            ("main.f", "main.f"),
            ("main.f]", "main.f]"),
        ] {
            assert_eq!(without_type_arguments(function), expected);
        }
    }

    #[test]
    fn deferred_calls_stand_where_they_are_written() {
        assert_eq!(written("main.(*pool).add.deferwrap1"), "main.(*pool).add");
        assert_eq!(written("main.deferwrapper"), "main.deferwrapper");
        assert_eq!(written("main.f.func1"), "main.f.func1");
    }

    #[test]
    fn a_site_reads_like_a_place() {
        let site = |file: &str, line| Site {
            function: "main.f".into(),
            file: file.into(),
            line,
        };
        assert_eq!(
            site("/home/me/bank.go", 42).to_string(),
            "main.f (bank.go:42)"
        );
        assert_eq!(site("", 0).to_string(), "main.f");
    }
}
