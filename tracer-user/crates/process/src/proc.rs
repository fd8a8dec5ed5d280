//! One process as `/proc/PID` shows it.

use std::{
    io::Read as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    CgroupMembership, Container, Executable, FileIdentity, ProcessError, Task,
    executable::executable, tasks,
};
use ids::{LoadBias, Pid, Tid};

/// Longest command line kept, in bytes; the rest is cut off.
const CMDLINE_LIMIT: usize = 8 << 10;
/// `AT_ENTRY` in the auxiliary vector (`include/uapi/linux/auxvec.h`).
const AT_ENTRY: u64 = 9;
/// Offset of `e_entry` in a 64-bit ELF header.
const E_ENTRY_OFFSET: u64 = 24;
/// Longest auxiliary vector looked at, in bytes (Linux writes about 350).
const AUXV_LIMIT: u64 = 4 << 10;

/// When a process started: clock ticks after boot (`/proc/PID/stat`, field 22).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StartTime(pub u64);

/// A process for ever: pids are reused, pid and start time together are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessKey {
    /// The pid.
    pub pid: Pid,
    /// When it started.
    pub start_time: StartTime,
}

/// A process, with what does not change while it runs one executable.
#[derive(Debug, Clone)]
pub struct Process {
    /// Which.
    pub key: ProcessKey,
    /// The kernel's short name of its main thread.
    pub comm: String,
    /// Its arguments, lossily decoded and cut off after 8 KiB.
    pub cmdline: Vec<String>,
    /// What it executes.
    pub exe: Executable,
    /// Real user id.
    pub uid: u32,
    /// Its cgroups.
    pub cgroups: CgroupMembership,
    /// The container it runs in.
    pub container: Option<Container>,
}

/// What a core file or a recording says of its process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Departed {
    /// Its pid; 0 when that is not said.
    pub pid: Pid,
    /// Its real user id.
    pub uid: u32,
    /// The kernel's short name of it.
    pub comm: String,
    /// Its arguments, as far as they are there.
    pub arguments: Vec<String>,
}

impl Process {
    /// Looks at the process that has `pid` now.
    ///
    /// # Errors
    /// [`ProcessError`], for example when there is none or the kernel refuses.
    pub fn open(pid: Pid) -> Result<Self, ProcessError> {
        let handle = handle(pid)?;
        let stat = handle
            .stat()
            .map_err(|e| ProcessError::from_proc(e, pid, "stat"))?;
        let key = ProcessKey {
            pid,
            start_time: StartTime(stat.starttime),
        };
        if has_ended(&stat) {
            return Err(ProcessError::Zombie(pid));
        }
        // PF_KTHREAD (include/linux/sched.h).
        if stat.flags & 0x0020_0000 != 0 {
            return Err(ProcessError::Kernel(pid));
        }
        let uid = real_user(&handle, pid)?;
        let exe = executable(&handle, pid)?;
        let cgroups = CgroupMembership::read(&handle).unwrap_or_default();
        Ok(Self {
            key,
            comm: stat.comm,
            cmdline: cmdline(&handle),
            exe,
            uid,
            container: Container::of(&cgroups),
            cgroups,
        })
    }

    /// What the kernel alone says of the process that has `pid` now: nothing of its memory is read,
    /// and nothing of its executable, so the identity of that file is not known and its arguments are
    /// not there.
    ///
    /// # Errors
    /// [`ProcessError`], for example when there is none.
    pub fn glimpse(pid: Pid) -> Result<Self, ProcessError> {
        let handle = handle(pid)?;
        let stat = handle
            .stat()
            .map_err(|e| ProcessError::from_proc(e, pid, "stat"))?;
        let cgroups = CgroupMembership::read(&handle).unwrap_or_default();
        Ok(Self {
            key: ProcessKey {
                pid,
                start_time: StartTime(stat.starttime),
            },
            comm: stat.comm,
            cmdline: Vec::new(),
            exe: Executable {
                path: handle.exe().unwrap_or_default(),
                deleted: false,
                file: FileIdentity::UNKNOWN,
            },
            uid: real_user(&handle, pid)?,
            container: Container::of(&cgroups),
            cgroups,
        })
    }

    /// Whether it is what [`Process::glimpse`] gave.
    #[must_use]
    pub fn is_glimpse(&self) -> bool {
        self.exe.file == FileIdentity::UNKNOWN
    }

    /// The process that left a core file or a recording; it executed `path`, of which we have the
    /// copy `exe`. When it started is not known, nor where it belonged.
    #[must_use]
    pub fn departed(process: &Departed, path: PathBuf, exe: FileIdentity) -> Self {
        Self {
            key: ProcessKey {
                pid: process.pid,
                start_time: StartTime::default(),
            },
            comm: process.comm.clone(),
            cmdline: process.arguments.clone(),
            exe: Executable {
                path,
                deleted: false,
                file: exe,
            },
            uid: process.uid,
            cgroups: CgroupMembership::default(),
            container: None,
        }
    }

    /// The pid.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.key.pid
    }

    /// A path that opens the executable from our own mount namespace, deleted or not.
    #[must_use]
    pub fn exe_for_us(&self) -> PathBuf {
        Path::new("/proc")
            .join(self.key.pid.to_string())
            .join("exe")
    }

    /// Whether the process still runs, and still runs the same executable (`exec` keeps pid and
    /// start time).
    ///
    /// # Errors
    /// [`ProcessError::Gone`] or [`ProcessError::Replaced`] when not.
    pub fn check_same(&self) -> Result<(), ProcessError> {
        let pid = self.key.pid;
        let handle = handle(pid)?;
        let stat = handle
            .stat()
            .map_err(|e| ProcessError::from_proc(e, pid, "stat"))?;
        if stat.starttime != self.key.start_time.0 {
            return Err(ProcessError::Replaced(pid));
        }
        if has_ended(&stat) {
            return Err(ProcessError::Gone(pid));
        }
        if executable(&handle, pid)?.file.same_inode(&self.exe.file) {
            Ok(())
        } else {
            Err(ProcessError::Replaced(pid))
        }
    }

    /// What the loader added to the addresses of the executable.
    ///
    /// The kernel tells the program's entry point as loaded in the auxiliary vector; the file tells
    /// it as linked. Unlike `/proc/PID/maps` that is short however many mappings there are, and
    /// holds for deleted files and overlay mounts, whose device numbers disagree with `stat`.
    ///
    /// # Errors
    /// [`ProcessError`] when the kernel refuses or the process is gone.
    pub fn load_bias(&self) -> Result<LoadBias, ProcessError> {
        let pid = self.key.pid;
        let handle = handle(pid)?;
        let mut auxv = Vec::new();
        handle
            .open_relative("auxv")
            .map_err(|e| ProcessError::from_proc(e, pid, "auxv"))?
            .take(AUXV_LIMIT)
            .read_to_end(&mut auxv)
            .map_err(|e| ProcessError::from_io(&e, pid, "auxv"))?;
        let loaded = auxv_entry(&auxv, AT_ENTRY).ok_or(ProcessError::Gone(pid))?;
        let mut linked = [0; 8];
        handle
            .open_relative("exe")
            .map_err(|e| ProcessError::from_proc(e, pid, "exe"))?
            .read_exact_at(&mut linked, E_ENTRY_OFFSET)
            .map_err(|e| ProcessError::from_io(&e, pid, "exe"))?;
        Ok(LoadBias(loaded.wrapping_sub(u64::from_le_bytes(linked))))
    }

    /// Its threads as the kernel lists them now.
    ///
    /// # Errors
    /// [`ProcessError`] when the process is gone.
    pub fn tasks(&self) -> Result<Vec<Task>, ProcessError> {
        tasks::list(self.key.pid)
    }
}

/// Whether a process is a zombie: it has no executable left, and no memory either.
const fn has_ended(stat: &procfs::process::Stat) -> bool {
    matches!(stat.state, 'Z' | 'X')
}

pub(super) fn handle(pid: Pid) -> Result<procfs::process::Process, ProcessError> {
    let number = i32::try_from(pid.0).map_err(|_| ProcessError::Gone(pid))?;
    procfs::process::Process::new(number).map_err(|e| ProcessError::from_proc(e, pid, "directory"))
}

/// The real user id of a process. Not the owner of its directory: that is root for processes that do not
/// let themselves be dumped. `/proc/TID` exists for every thread although it is not listed: tell the user.
fn real_user(handle: &procfs::process::Process, pid: Pid) -> Result<u32, ProcessError> {
    let status = handle
        .status()
        .map_err(|e| ProcessError::from_proc(e, pid, "status"))?;
    match u32::try_from(status.tgid) {
        Ok(tgid) if tgid != pid.0 => Err(ProcessError::Thread {
            thread: Tid(pid.0),
            process: Pid(tgid),
        }),
        _ => Ok(status.ruid),
    }
}

/// The arguments; empty when they cannot be read (a zombie has none).
fn cmdline(handle: &procfs::process::Process) -> Vec<String> {
    let mut bytes = Vec::new();
    let Ok(file) = handle.open_relative("cmdline") else {
        return Vec::new();
    };
    if file
        .take(CMDLINE_LIMIT as u64)
        .read_to_end(&mut bytes)
        .is_err()
    {
        return Vec::new();
    }
    split_arguments(&bytes)
}

fn split_arguments(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes
        .split(|byte| *byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect()
}

/// The value of `wanted` in an auxiliary vector: pairs of 64-bit words, ended by `AT_NULL`.
fn auxv_entry(auxv: &[u8], wanted: u64) -> Option<u64> {
    auxv.chunks_exact(16)
        .map(|pair| {
            let word = |at: usize| pair[at..at + 8].try_into().map(u64::from_le_bytes);
            (word(0).unwrap_or(0), word(8).unwrap_or(0))
        })
        .take_while(|(key, _)| *key != 0)
        .find_map(|(key, value)| (key == wanted).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Process {
        Process::open(Pid(std::process::id())).unwrap()
    }

    #[test]
    fn sees_itself() {
        let own = own();
        assert_eq!(own.exe.path, std::env::current_exe().unwrap());
        assert!(!own.exe.deleted);
        assert!(own.exe.file.size > 0);
        assert!(!own.cmdline.is_empty());
        own.check_same().unwrap();
    }

    #[test]
    fn the_bias_maps_a_function_of_ours_to_executable_memory() {
        let bias = own().load_bias().unwrap();
        assert_eq!(bias.0 % 4096, 0);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let first = maps
            .lines()
            .find(|line| line.ends_with(own().exe.path.to_str().unwrap()))
            .unwrap();
        let base = u64::from_str_radix(first.split('-').next().unwrap(), 16).unwrap();
        // Rust tests are PIE, linked at 0.
        assert_eq!(bias.0, base);
    }

    #[test]
    fn a_process_that_ended_is_gone_and_another_start_time_is_another_process() {
        let mut child = std::process::Command::new("sleep")
            .arg("10")
            .spawn()
            .unwrap();
        let mut process = Process::open(Pid(child.id())).unwrap();
        process.check_same().unwrap();
        process.key.start_time.0 += 1;
        assert!(matches!(
            process.check_same(),
            Err(ProcessError::Replaced(_))
        ));
        process.key.start_time.0 -= 1;
        child.kill().unwrap();
        let zombie = loop {
            match Process::open(process.pid()) {
                // While it dies, its files go before it is a zombie.
                Ok(_) | Err(ProcessError::Gone(_)) => std::thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert!(matches!(zombie, ProcessError::Zombie(_)), "{zombie}");
        child.wait().unwrap();
        assert!(matches!(process.check_same(), Err(ProcessError::Gone(_))));
        assert!(matches!(
            Process::open(Pid(u32::MAX)),
            Err(ProcessError::Gone(_))
        ));
    }

    #[test]
    fn a_thread_is_told_from_its_process() {
        let (send, receive) = std::sync::mpsc::channel();
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            send.send(nix::unistd::gettid().as_raw()).unwrap();
            wait.recv().ok();
        });
        let tid = receive.recv().unwrap().cast_unsigned();
        let error = Process::open(Pid(tid)).unwrap_err();
        stop.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!(
            error.to_string(),
            format!("{tid} is a thread of process {}", std::process::id())
        );
    }

    #[test]
    fn a_deleted_executable_is_still_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sleeper");
        std::fs::copy("/bin/sleep", &path).unwrap();
        let mut child = std::process::Command::new(&path).arg("10").spawn().unwrap();
        std::fs::remove_file(&path).unwrap();
        let process = Process::open(Pid(child.id())).unwrap();
        let readable = std::fs::read(process.exe_for_us()).is_ok();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process.exe.deleted);
        assert_eq!(process.exe.path, path);
        assert!(readable);
    }

    #[test]
    fn arguments_and_auxiliary_vectors_are_split() {
        assert_eq!(split_arguments(b"a\0\0b c\0"), ["a", "", "b c"]);
        assert!(split_arguments(b"").is_empty());
        let words = [6_u64, 4096, AT_ENTRY, 77, 0, 0, AT_ENTRY, 1];
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(auxv_entry(&bytes, AT_ENTRY), Some(77));
        assert_eq!(auxv_entry(&bytes[..20], AT_ENTRY), None);
        assert_eq!(auxv_entry(&bytes, 3), None);
    }
}
