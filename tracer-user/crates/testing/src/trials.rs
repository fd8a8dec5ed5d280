//! Tests that say what they cannot do without, and are skipped by name where that is missing.
//!
//! `cargo xtask test --ci` fails for a skipped test whose needs this machine meets; it reads them from
//! the name.

use std::{collections::BTreeSet, fmt};

use libtest_mimic::{Failed, Trial};
use nix::unistd::geteuid;

use crate::{Result, go::Toolchain, paths, times::Clock};

/// What a test cannot do without.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Reading another process's memory, loading BPF programs.
    Root,
    /// One of [`crate::go::VERSIONS`].
    Go(&'static str),
    /// A program on PATH.
    Program(&'static str),
    /// Something that a machine has or has not, in words, and whether this one does.
    Machine(&'static str, bool),
}

impl Need {
    /// Reports whether this machine has it.
    pub fn is_met(&self) -> bool {
        match self {
            Self::Root => geteuid().is_root(),
            Self::Go(version) => Toolchain::of(version).is_installed(),
            Self::Program(name) => paths::on_path(name).is_some(),
            Self::Machine(_, has) => *has,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Go(version) => write!(f, "Go {version}"),
            Self::Program(name) | Self::Machine(name, _) => f.write_str(name),
        }
    }
}

/// What the function of a test returns.
pub trait Outcome {
    /// Returns it in the test harness's terms.
    ///
    /// # Errors
    /// When the test has failed.
    fn into_result(self) -> std::result::Result<(), Failed>;
}

impl Outcome for () {
    fn into_result(self) -> std::result::Result<(), Failed> {
        Ok(())
    }
}

impl Outcome for Result {
    fn into_result(self) -> std::result::Result<(), Failed> {
        self.map_err(Failed::from)
    }
}

/// Returns a test that runs `run`, or is skipped with `needs` that are not met in its name.
pub fn trial<O: Outcome>(
    name: &str,
    needs: &[Need],
    run: impl FnOnce() -> O + Send + 'static,
) -> Trial {
    let missing: BTreeSet<String> = needs
        .iter()
        .filter(|need| !need.is_met())
        .map(Need::to_string)
        .collect();
    let missing: Vec<String> = missing.into_iter().collect();
    let title = match missing[..] {
        [] => name.to_owned(),
        _ => format!("{name} (needs {})", missing.join(", ")),
    };
    let clock_name = name.to_owned();
    let timed = move || {
        let _clock = Clock::start(clock_name);
        run().into_result()
    };
    Trial::test(title, timed).with_ignored_flag(!missing.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_stands_in_the_name() {
        let met = Need::Machine("air", true);
        let here = trial("breathes", std::slice::from_ref(&met), || ());
        assert_eq!((here.name(), here.has_ignored_flag()), ("breathes", false));
        let needs = [
            met,
            Need::Program("/none"),
            Need::Machine("two moons", false),
        ];
        let there = trial("jumps", &needs, || ());
        assert_eq!(there.name(), "jumps (needs /none, two moons)");
        assert!(there.has_ignored_flag());
    }
}
