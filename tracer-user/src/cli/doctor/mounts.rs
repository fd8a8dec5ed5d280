//! The kernel's file systems: tracefs for process starts, bpffs.

use std::path::Path;

use super::check::{Check, Host};

/// Where tracefs is found, newest place first.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// All checks of this file.
pub fn checks(host: &Host) -> Vec<Check> {
    vec![tracefs(host), bpffs(host)]
}

fn tracefs(host: &Host) -> Check {
    const SUBJECT: &str = "tracefs";
    const EXEC: &str = "events/sched/sched_process_exec/id";
    let mounted = TRACEFS
        .into_iter()
        .find(|place| host.is_mounted("tracefs", Path::new(place)));
    match mounted {
        Some(place) if host.has(&format!("{}/{EXEC}", &place[1..])) => Check::good(SUBJECT, place),
        Some(place) => Check::limited(
            SUBJECT,
            format!("{place}, without the exec tracepoint (or not readable by this user)"),
            "new processes are found by looking every few seconds, not as they start",
        ),
        None => Check::limited(
            SUBJECT,
            "not mounted",
            "new processes are found by looking every few seconds, not as they start",
        )
        .remedy("mount -t tracefs tracefs /sys/kernel/tracing"),
    }
}

fn bpffs(host: &Host) -> Check {
    const SUBJECT: &str = "bpffs";
    let place = "/sys/fs/bpf";
    if host.is_mounted("bpf", Path::new(place)) {
        Check::good(SUBJECT, place)
    } else {
        // Nothing is pinned: probes live and die with the process that attached them.
        Check::good(SUBJECT, "not mounted, not needed: gostuck pins nothing")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::tracefs;
    use crate::cli::doctor::check::{Host, State};

    #[test]
    fn tracefs_counts_only_when_mounted_and_readable() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        assert_eq!(tracefs(&host).state, State::Limited);
        fs::create_dir_all(host.path("proc/self")).unwrap();
        fs::write(
            host.path("proc/self/mounts"),
            "tracefs /sys/kernel/tracing tracefs rw,nosuid 0 0\n",
        )
        .unwrap();
        assert_eq!(tracefs(&host).state, State::Limited);
        let event = host.path("sys/kernel/tracing/events/sched/sched_process_exec");
        fs::create_dir_all(&event).unwrap();
        fs::write(event.join("id"), "308\n").unwrap();
        assert_eq!(tracefs(&host).state, State::Good);
    }
}
