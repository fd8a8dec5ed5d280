//! What the kernel can do: version, uprobes, BPF.

use std::{io, str::FromStr};

use super::check::{Check, Host};
use probes::has_multi_links;

/// A kernel's version as far as features follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32, u32);

impl FromStr for Release {
    type Err = std::num::ParseIntError;

    /// Reads the `6.18` of `6.18.44-1-amd64`.
    fn from_str(release: &str) -> Result<Self, Self::Err> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Ok(Self(
            numbers.next().unwrap_or_default().parse()?,
            numbers.next().unwrap_or_default().parse()?,
        ))
    }
}

/// BPF ring buffers (commit 457f44363a88).
const RING_BUFFER: Release = Release(5, 8);
/// Cookies and links on perf uprobes (commit 82e6b1eee6a8).
const COOKIES: Release = Release(5, 15);

const SNAPSHOTS_ONLY: &str = "no probes: watch and run look at intervals instead, so waits \
    shorter than the interval are not seen and durations are exact to the interval only";

/// All checks of this file.
pub fn checks(host: &Host) -> Vec<Check> {
    let release = host.text("proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        version(&release),
        architecture(std::env::consts::ARCH),
        uprobes(host),
        uprobe_multi(has_multi_links()),
        btf(host),
        jit(host),
        lockdown(host),
    ]
}

fn version(release: &str) -> Check {
    const SUBJECT: &str = "kernel";
    let found = format!("Linux {release}");
    match Release::from_str(release) {
        Ok(version) if version >= COOKIES => Check::good(SUBJECT, found),
        Ok(version) if version >= RING_BUFFER => Check::limited(
            SUBJECT,
            found,
            "attaching is slower: no probe cookies before 5.15",
        ),
        Ok(_) => Check::missing(SUBJECT, found, SNAPSHOTS_ONLY)
            .remedy("use Linux 5.8 or later for probes; ps and inspect work as they are"),
        Err(_) => Check::limited(
            SUBJECT,
            found,
            "unknown version: features are tried as needed",
        ),
    }
}

fn architecture(arch: &'static str) -> Check {
    const SUBJECT: &str = "architecture";
    if arch == "x86_64" {
        Check::good(SUBJECT, arch)
    } else {
        Check::missing(SUBJECT, arch, "only x86-64 targets can be traced")
    }
}

fn uprobes(host: &Host) -> Check {
    const SUBJECT: &str = "uprobes";
    if host.has("sys/bus/event_source/devices/uprobe/type") {
        Check::good(SUBJECT, "the kernel has them")
    } else {
        Check::missing(SUBJECT, "not in this kernel", SNAPSHOTS_ONLY)
            .remedy("boot a kernel with CONFIG_UPROBE_EVENTS=y")
    }
}

fn uprobe_multi(tried: io::Result<bool>) -> Check {
    const SUBJECT: &str = "uprobe links";
    match tried {
        Ok(true) => Check::good(SUBJECT, "uprobe_multi, with a sound process filter"),
        Ok(false) => Check::limited(
            SUBJECT,
            "none that are sound (all kernels from Linux 6.10 have them): one perf event a uprobe",
            "needs CAP_SYS_ADMIN, and detaching takes about 0.1 s a probe",
        ),
        Err(error) => Check::limited(
            SUBJECT,
            format!("cannot be tried: {error}"),
            "this user may load no BPF program, so none is attached",
        )
        .remedy("run as root, or with CAP_BPF and CAP_PERFMON"),
    }
}

fn btf(host: &Host) -> Check {
    const SUBJECT: &str = "kernel BTF";
    if host.has("sys/kernel/btf/vmlinux") {
        Check::good(SUBJECT, "/sys/kernel/btf/vmlinux")
    } else {
        // Our programs read user memory only and carry no CO-RE relocations.
        Check::good(SUBJECT, "absent, not needed")
    }
}

fn jit(host: &Host) -> Check {
    const SUBJECT: &str = "BPF compiler";
    match host.number("proc/sys/net/core/bpf_jit_enable") {
        Some(0) => Check::limited(SUBJECT, "off", "every probe hit costs several times more")
            .remedy("sysctl net.core.bpf_jit_enable=1"),
        Some(_) => Check::good(SUBJECT, "on"),
        // Absent where CONFIG_BPF_JIT_ALWAYS_ON leaves no choice, or unreadable without root.
        None => Check::good(
            SUBJECT,
            "no switch to see (always on, or hidden from this user)",
        ),
    }
}

fn lockdown(host: &Host) -> Check {
    const SUBJECT: &str = "lockdown";
    let Ok(modes) = host.text("sys/kernel/security/lockdown") else {
        return Check::good(SUBJECT, "none");
    };
    let mode = modes
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("unknown", |(mode, _)| mode);
    if mode == "confidentiality" {
        Check::missing(SUBJECT, mode, SNAPSHOTS_ONLY)
            .remedy("boot with lockdown=integrity, or without lockdown")
    } else {
        Check::good(SUBJECT, mode)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use super::{Release, lockdown, uprobe_multi, version};
    use crate::cli::doctor::check::{Host, State};

    #[test]
    fn versions_are_compared_as_numbers() {
        let release = |text: &str| text.parse::<Release>().unwrap();
        assert!(release("5.15.0-91-generic") < release("6.1.0-18-amd64"));
        assert!(release("6.18.44") > release("6.6-rc1"));
        assert!("unknown".parse::<Release>().is_err());
    }

    #[test]
    fn old_kernels_cost_something() {
        assert_eq!(version("4.19.0").state, State::Missing);
        assert_eq!(version("5.10.0-8-amd64").state, State::Limited);
        assert_eq!(version("6.1.0").state, State::Good);
    }

    #[test]
    fn links_are_what_was_tried() {
        assert_eq!(uprobe_multi(Ok(true)).state, State::Good);
        assert_eq!(uprobe_multi(Ok(false)).state, State::Limited);
        let refused = uprobe_multi(Err(io::ErrorKind::PermissionDenied.into()));
        assert!(
            refused.found.starts_with("cannot be tried: "),
            "{refused:?}"
        );
        assert!(refused.remedy.is_some());
    }

    #[test]
    fn lockdown_is_the_bracketed_mode() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        assert_eq!(lockdown(&host).state, State::Good);
        fs::create_dir_all(host.path("sys/kernel/security")).unwrap();
        let file = host.path("sys/kernel/security/lockdown");
        fs::write(&file, "none [integrity] confidentiality\n").unwrap();
        assert_eq!(lockdown(&host).found, "integrity");
        fs::write(&file, "none integrity [confidentiality]\n").unwrap();
        assert_eq!(lockdown(&host).state, State::Missing);
    }
}
