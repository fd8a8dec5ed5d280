//! Which package a function belongs to.

/// Whether a package of the standard library defines the function: first elements of import paths as
/// `go list std` has them in Go 1.27.
#[must_use]
pub fn is_standard_library(name: &str) -> bool {
    const ROOTS: [&str; 49] = [
        "archive",
        "bufio",
        "bytes",
        "cmp",
        "compress",
        "container",
        "context",
        "crypto",
        "database",
        "debug",
        "embed",
        "encoding",
        "errors",
        "expvar",
        "flag",
        "fmt",
        "go",
        "hash",
        "html",
        "image",
        "index",
        "internal",
        "io",
        "iter",
        "log",
        "maps",
        "math",
        "mime",
        "net",
        "os",
        "path",
        "plugin",
        "reflect",
        "regexp",
        "runtime",
        "slices",
        "sort",
        "strconv",
        "strings",
        "structs",
        "sync",
        "syscall",
        "testing",
        "text",
        "time",
        "unicode",
        "unique",
        "unsafe",
        "weak",
    ];
    let root_end = name.find(['/', '.']).unwrap_or(name.len());
    name.get(..root_end)
        .is_some_and(|root| ROOTS.binary_search(&root).is_ok())
}

/// Whether the function is of a package of the standard library whose locks are its own: neither does
/// it return with a lock of its caller's taken, nor does it release one.
#[must_use]
pub fn keeps_locks_to_itself(name: &str) -> bool {
    is_standard_library(name) && !matches!(package(name), "sync" | "internal/sync")
}

/// The import path of the package that defines the function `name`.
#[must_use]
pub fn package(name: &str) -> &str {
    let last_slash = name
        .find('[')
        .map_or(name, |end| &name[..end])
        .rfind('/')
        .map_or(0, |i| i + 1);
    let dot = name[last_slash..]
        .find('.')
        .map_or(name.len(), |i| last_slash + i);
    &name[..dot]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_functions() {
        assert_eq!(package("net/http.(*conn).serve"), "net/http");
        assert_eq!(package("example.com/a/b.F"), "example.com/a/b");
        assert_eq!(package("main.Map[go.shape.struct { a/b.T }].Get"), "main");
        assert!(is_standard_library("net/http.(*conn).serve"));
        assert!(is_standard_library("fmt.Println"));
        assert!(!is_standard_library("main.main"));
        assert!(!is_standard_library("example.com/fmt.Println"));
    }
}
