//! The threads of a process as the kernel lists them.

use super::{ProcessError, proc::handle};
use crate::ids::{Pid, Tid};

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
    fn every_letter_has_a_meaning() {
        assert_eq!(TaskState::from('R'), TaskState::Running);
        assert_eq!(TaskState::from('D'), TaskState::DiskSleep);
        assert_eq!(TaskState::from('t'), TaskState::Stopped);
        assert_eq!(TaskState::from('?'), TaskState::Other);
    }
}
