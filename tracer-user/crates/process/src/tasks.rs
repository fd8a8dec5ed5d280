//! The threads of a process as the kernel lists them.

use rustc_hash::FxHashMap;

use super::{ProcessError, proc::handle};
use ids::{Pid, Tid};

/// Most threads looked at in one process; the kernel's own default limit is far below.
const TASK_LIMIT: usize = 1 << 20;

/// One thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub tid: Tid,
    /// Its name.
    pub comm: String,
    /// What the scheduler says of it.
    pub state: TaskState,
}

/// The kernel's state of a thread (`/proc/PID/task/TID/stat`, field 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// `R`: on a CPU or ready for one.
    Running,
    /// `S`: in an interruptible sleep, a futex for example.
    Sleeping,
    /// `D`: in an uninterruptible sleep, usually for a disk.
    DiskSleep,
    /// `T` or `t`: stopped by a signal or a debugger.
    Stopped,
    /// `Z` or `X`: ended.
    Dead,
    /// Anything else.
    Other,
}

impl From<char> for TaskState {
    fn from(letter: char) -> Self {
        match letter {
            'R' => Self::Running,
            'S' | 'I' => Self::Sleeping,
            'D' => Self::DiskSleep,
            'T' | 't' => Self::Stopped,
            'Z' | 'X' => Self::Dead,
            _ => Self::Other,
        }
    }
}

/// The threads of `pid`, by ascending id. Threads that end while they are listed are left out.
pub(super) fn list(pid: Pid) -> Result<Vec<Task>, ProcessError> {
    let tasks = handle(pid)?
        .tasks()
        .map_err(|e| ProcessError::from_proc(e, pid, "task"))?;
    let mut found: Vec<Task> = tasks
        .take(TASK_LIMIT)
        .filter_map(|task| {
            let task = task.ok()?;
            let stat = task.stat().ok()?;
            Some(Task {
                tid: Tid(u32::try_from(task.tid).ok()?),
                comm: stat.comm,
                state: stat.state.into(),
            })
        })
        .collect();
    found.sort_by_key(|task| task.tid);
    Ok(found)
}

/// The ids of the threads of `pid`, ascending: one directory read however many there are.
///
/// # Errors
/// [`ProcessError`] when the process is gone.
pub fn task_ids(pid: Pid) -> Result<Vec<Tid>, ProcessError> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task"))
        .map_err(|error| ProcessError::from_io(&error, pid, "task"))?;
    let mut ids: Vec<Tid> = entries
        .take(TASK_LIMIT)
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Tid))
        .collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The threads of `pid` by the ids that they have for themselves: those of the innermost pid
/// namespace, which a process in a container takes for its own (`NSpid`, `proc_pid_status(5)`).
/// Threads that end meanwhile are left out.
///
/// # Errors
/// [`ProcessError`] when the process is gone.
pub fn threads_by_own_id(pid: Pid) -> Result<FxHashMap<Tid, Tid>, ProcessError> {
    let threads = task_ids(pid)?;
    let status = |tid: Tid| std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status"));
    let main = status(Tid(pid.0)).map_err(|error| ProcessError::from_io(&error, pid, "status"))?;
    if own_id(&main).is_none_or(|own| own.0 == pid.0) {
        return Ok(threads.into_iter().map(|tid| (tid, tid)).collect());
    }
    let own = |tid: Tid| own_id(&status(tid).ok()?);
    Ok(threads
        .into_iter()
        .filter_map(|tid| Some((own(tid)?, tid)))
        .collect())
}

/// The last number of `NSpid`.
fn own_id(status: &str) -> Option<Tid> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok().map(Tid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_its_own_main_thread() {
        let pid = Pid(std::process::id());
        let tasks = list(pid).unwrap();
        assert!(tasks.iter().any(|task| task.tid.0 == pid.0));
        assert!(tasks.is_sorted_by_key(|task| task.tid));
        assert!(task_ids(pid).unwrap().contains(&Tid(pid.0)));
    }

    #[test]
    fn threads_are_known_by_what_they_call_themselves() {
        let pid = Pid(std::process::id());
        let threads = threads_by_own_id(pid).unwrap();
        let own = nix::unistd::gettid().as_raw().unsigned_abs();
        assert_eq!(threads.get(&Tid(own)), Some(&Tid(own)));
        assert_eq!(own_id("Name:\tx\nNSpid:\t4711\t42\t7\n"), Some(Tid(7)));
        assert_eq!(own_id("Name:\tx\n"), None);
    }

    #[test]
    fn every_letter_has_a_meaning() {
        assert_eq!(TaskState::from('R'), TaskState::Running);
        assert_eq!(TaskState::from('D'), TaskState::DiskSleep);
        assert_eq!(TaskState::from('t'), TaskState::Stopped);
        assert_eq!(TaskState::from('?'), TaskState::Other);
    }
}
