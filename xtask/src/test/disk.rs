//! Whether the disk can hold what the tests build: full, the compiler panics in the middle.

use nix::sys::statvfs::statvfs;

use crate::paths;

/// What a clean clone's tests write: the build, and the Go programs of all versions.
const NEEDED: u64 = 10 << 30;

/// Says so when less than [`NEEDED`] is free. Only said: what an earlier run built is not built again.
pub(crate) fn warn_when_short() {
    let place = paths::workspace();
    let Ok(disk) = statvfs(place) else {
        return;
    };
    if let Some(warning) = warning(disk.blocks_available() * disk.fragment_size()) {
        eprintln!("warning: {}: {warning}", place.display());
    }
}

fn warning(free_bytes: u64) -> Option<String> {
    (free_bytes < NEEDED).then(|| {
        format!(
            "{} MiB of the disk are free, and the tests of a clean clone write up to {} MiB: \
             free some",
            free_bytes >> 20,
            NEEDED >> 20
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_short_disk_is_told() {
        assert_eq!(warning(NEEDED), None);
        let short = warning(3 << 30).expect("short");
        assert!(short.contains("3072 MiB of the disk are free"), "{short}");
    }
}
