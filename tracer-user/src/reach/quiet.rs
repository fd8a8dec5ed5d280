//! Whether the target ran at all during a look: if no thread did, what was read is one moment.

use std::{collections::BTreeMap, fs, io};

use crate::ids::{Pid, Tid};

/// How often each thread has been taken off its CPU.
///
/// A thread that runs between two looks either still runs (its state is `R`) or has been switched
/// out since, which counts (`/proc/PID/task/TID/status`, `voluntary_ctxt_switches`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    switches: BTreeMap<Tid, u64>,
    running: bool,
}

impl Activity {
    /// Reads it.
    ///
    /// # Errors
    /// When the process is gone or must not be looked at.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let mut activity = Self {
            switches: BTreeMap::new(),
            running: false,
        };
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            let Some(tid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            match fs::read_to_string(entry.path().join("status")) {
                Ok(status) => activity.add(Tid(tid), &status),
                // A thread that exits is one that ran.
                Err(_) => activity.running = true,
            }
        }
        Ok(activity)
    }

    fn add(&mut self, tid: Tid, status: &str) {
        let mut switches = 0_u64;
        let mut counted = false;
        for line in status.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match key {
                "State" => self.running |= value.starts_with('R'),
                "voluntary_ctxt_switches" | "nonvoluntary_ctxt_switches" => {
                    counted = true;
                    switches = switches.wrapping_add(value.parse().unwrap_or(0));
                }
                _ => {}
            }
        }
        self.running |= !counted;
        self.switches.insert(tid, switches);
    }

    /// Whether nothing ran from `self`, which was read first, to `later`.
    #[must_use]
    pub fn none_until(&self, later: &Self) -> bool {
        !self.running && !later.running && self.switches == later.switches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(status: &str) -> Activity {
        let mut activity = Activity {
            switches: BTreeMap::new(),
            running: false,
        };
        activity.add(Tid(1), status);
        activity
    }

    #[test]
    fn a_switch_or_a_running_thread_is_activity() {
        let asleep = "State:\tS (sleeping)\nvoluntary_ctxt_switches:\t7\n\
                      nonvoluntary_ctxt_switches:\t1\n";
        let before = activity(asleep);
        assert!(before.none_until(&activity(asleep)));
        assert!(!before.none_until(&activity(&asleep.replace('7', "8"))));
        assert!(!before.none_until(&activity(&asleep.replace("\tS", "\tR"))));
        assert!(!before.none_until(&activity("State:\tS (sleeping)\n")));
    }

    #[test]
    fn a_process_that_looks_at_itself_is_running() {
        let own = Activity::of(Pid(std::process::id())).unwrap();
        assert!(!own.none_until(&own));
    }
}
