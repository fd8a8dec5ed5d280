//! Which processes of this host run Go programs.

use rustc_hash::FxHashMap;

use super::{FileIdentity, Process, ProcessError};
use ids::Pid;
use image::is_go;

/// Most processes looked at: the kernel's own upper bound (`PID_MAX_LIMIT`).
const PROCESS_LIMIT: usize = 1 << 22;
/// Most executables remembered; the memory is emptied when it is full.
const REMEMBERED_LIMIT: usize = 16 << 10;

/// Whether an executable was built by Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoCheck {
    /// It has Go's build information.
    Go,
    /// It has none.
    Other,
}

/// Finds Go processes; remembers which executables are Go's so that a repeated scan opens only new
/// ones.
#[derive(Debug, Default)]
pub struct GoProcesses {
    remembered: FxHashMap<FileIdentity, GoCheck>,
}

impl GoProcesses {
    /// A scanner that knows no executable yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The Go processes that run now, by ascending pid, and what went wrong with others: processes
    /// that could not be looked at for want of permission, for example. Those that end during the
    /// scan and the kernel's own threads are left out silently.
    pub fn scan(&mut self) -> (Vec<Process>, Vec<ProcessError>) {
        let mut found = Vec::new();
        let mut failed = Vec::new();
        for pid in all_pids() {
            match Process::open(pid).and_then(|process| Ok((self.check(&process)?, process))) {
                Ok((GoCheck::Go, process)) => found.push(process),
                Ok((GoCheck::Other, _))
                | Err(ProcessError::Gone(_) | ProcessError::Zombie(_) | ProcessError::Kernel(_)) => {
                }
                Err(error) => failed.push(error),
            }
        }
        (found, failed)
    }

    /// Whether `process` executes a Go program.
    ///
    /// # Errors
    /// [`ProcessError`] when its executable cannot be opened.
    pub fn check(&mut self, process: &Process) -> Result<GoCheck, ProcessError> {
        if let Some(known) = self.remembered.get(&process.exe.file) {
            return Ok(*known);
        }
        let path = process.exe_for_us();
        let file = std::fs::File::open(&path)
            .map_err(|error| ProcessError::from_io(&error, process.pid(), "exe"))?;
        let check = if is_go(file, &path) {
            GoCheck::Go
        } else {
            GoCheck::Other
        };
        if self.remembered.len() >= REMEMBERED_LIMIT {
            self.remembered.clear();
        }
        self.remembered.insert(process.exe.file, check);
        Ok(check)
    }
}

/// The pids in `/proc`, ascending.
#[must_use]
pub fn all_pids() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut pids: Vec<Pid> = entries
        .take(PROCESS_LIMIT)
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid))
        .collect();
    pids.sort_unstable();
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rust_program_is_not_go() {
        let own = Process::open(Pid(std::process::id())).unwrap();
        let mut scanner = GoProcesses::new();
        assert_eq!(scanner.check(&own).unwrap(), GoCheck::Other);
        assert!(all_pids().contains(&own.pid()));
        let (found, _) = scanner.scan();
        assert!(found.iter().all(|process| process.key != own.key));
    }
}
