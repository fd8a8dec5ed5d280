//! What a check is: one thing of this machine, what was found, and what its lack costs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// How good what was found is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All that gostuck can use.
    Good,
    /// Works, with the stated cost.
    Limited,
    /// Some commands cannot work.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, in a word or two.
    pub subject: &'static str,
    /// How good it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What that costs the user; `None` when good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What to type or change; `None` when good or when nothing helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// All is well.
    pub fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self {
            subject,
            state: State::Good,
            found: found.into(),
            cost: None,
            remedy: None,
        }
    }

    /// Works, at a price.
    pub fn limited(subject: &'static str, found: impl Into<String>, cost: &str) -> Self {
        Self {
            state: State::Limited,
            cost: Some(cost.to_owned()),
            ..Self::good(subject, found)
        }
    }

    /// Something does not work.
    pub fn missing(subject: &'static str, found: impl Into<String>, cost: &str) -> Self {
        Self {
            state: State::Missing,
            ..Self::limited(subject, found, cost)
        }
    }

    /// The same, with what to do about it.
    pub fn remedy(mut self, remedy: &str) -> Self {
        self.remedy = Some(remedy.to_owned());
        self
    }
}

/// The files that the kernel answers questions with, below a root so that tests can fake them.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The machine gostuck runs on.
    pub fn real() -> Self {
        Self {
            root: PathBuf::from("/"),
        }
    }

    /// A machine whose `/proc` and `/sys` lie below `root`.
    #[cfg(test)]
    pub fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Where `path` (without leading slash) lies.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Whether `path` is there, as far as we may see.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The text of a small kernel file, without surrounding white space.
    pub fn text(&self, path: &str) -> io::Result<String> {
        fs::read_to_string(self.path(path)).map(|text| text.trim().to_owned())
    }

    /// A kernel file that holds one number.
    pub fn number(&self, path: &str) -> Option<i64> {
        self.text(path).ok()?.parse().ok()
    }

    /// Whether a file system of type `kind` is mounted at `at` (absolute), by `/proc/self/mounts`.
    pub fn is_mounted(&self, kind: &str, at: &Path) -> bool {
        let mounts = self.text("proc/self/mounts").unwrap_or_default();
        mounts.lines().any(|line| {
            let mut fields = line.split(' ').skip(1);
            fields.next().map(Path::new) == Some(at) && fields.next() == Some(kind)
        })
    }
}
