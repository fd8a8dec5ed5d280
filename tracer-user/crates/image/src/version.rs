//! Go versions.

use std::{cmp::Ordering, fmt};

/// A Go toolchain's version, ordered by its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoVersion {
    /// 1 for every Go so far.
    pub major: u32,
    /// 27 of go1.27.3.
    pub minor: u32,
    /// 3 of go1.27.3; 0 for release candidates and development versions.
    pub patch: u32,
    /// As the build information spells it, for example `go1.26.6 X:goroutineleakprofile`.
    pub raw: String,
}

impl GoVersion {
    /// Reads `go1.27.3`, `go1.27rc1`, `go1.26.6 X:…`, `devel go1.28-…`.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let at = raw.find("go1.")?;
        let mut numbers = raw.get(at + 2..)?.split('.').map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            (part[..digits].parse::<u32>().ok(), digits == part.len())
        });
        let (major, _) = numbers.next()?;
        let (minor, whole) = numbers.next()?;
        let patch = if whole {
            numbers.next().and_then(|(n, _)| n)
        } else {
            None
        };
        Some(Self {
            major: major?,
            minor: minor?,
            patch: patch.unwrap_or(0),
            raw: raw.to_owned(),
        })
    }

    /// Whether this is Go 1.`minor` or later.
    #[must_use]
    pub fn at_least(&self, minor: u32) -> bool {
        (self.major, self.minor) >= (1, minor)
    }
}

impl Ord for GoVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch, &self.raw).cmp(&(
            other.major,
            other.minor,
            other.patch,
            &other.raw,
        ))
    }
}

impl PartialOrd for GoVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(raw: &str) -> Option<(u32, u32, u32)> {
        GoVersion::parse(raw).map(|v| (v.major, v.minor, v.patch))
    }

    #[test]
    fn reads_every_spelling() {
        assert_eq!(numbers("go1.27.3"), Some((1, 27, 3)));
        assert_eq!(numbers("go1.19"), Some((1, 19, 0)));
        assert_eq!(numbers("go1.27rc1"), Some((1, 27, 0)));
        assert_eq!(numbers("go1.26.6 X:goroutineleakprofile"), Some((1, 26, 6)));
        assert_eq!(numbers("go1.26.6-X:goroutineleakprofile"), Some((1, 26, 6)));
        assert_eq!(numbers("devel go1.28-abcdef Tue"), Some((1, 28, 0)));
        assert_eq!(numbers("gccgo"), None);
        assert_eq!(numbers(""), None);
    }
}
