//! How long tests took, as they say themselves: see `testing::times`.

use std::{fs, path::PathBuf, process::Command};

use testing::times::TIMES;

use crate::paths;

/// How many of them are told.
const SLOWEST: usize = 20;

/// The times of the tests that one command runs.
#[derive(Debug)]
pub(super) struct Times(PathBuf);

impl Times {
    /// Has the tests that `cargo` runs tell their times.
    pub(super) fn of(cargo: &mut Command) -> Self {
        let file = paths::target().join("tmp/test-times");
        let _ = file.parent().map(fs::create_dir_all);
        let _ = fs::remove_file(&file);
        cargo.env(TIMES, &file);
        Self(file)
    }

    /// Prints the slowest.
    pub(super) fn print(&self) {
        let lines = fs::read_to_string(&self.0).unwrap_or_default();
        let slowest = slowest(&lines);
        if !slowest.is_empty() {
            println!("\nThe slowest tests, in seconds:");
        }
        for (seconds, name) in slowest {
            println!("{seconds:7.1}  {name}");
        }
    }
}

fn slowest(lines: &str) -> Vec<(f64, &str)> {
    let times = lines.lines().filter_map(|line| {
        let (seconds, name) = line.split_once('\t')?;
        Some((seconds.parse().ok()?, name))
    });
    let mut times: Vec<(f64, &str)> = times.collect();
    times.sort_by(|one, other| other.0.total_cmp(&one.0));
    times.truncate(SLOWEST);
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_come_first() {
        let mut lines = "0.5\tprobes: a\n12.0\tsystem: b\n".to_owned();
        lines.push_str(&"0.1\tx: c\n".repeat(30));
        let slowest = slowest(&lines);
        assert_eq!(slowest[..2], [(12.0, "system: b"), (0.5, "probes: a")]);
        assert_eq!(slowest.len(), SLOWEST);
    }
}
