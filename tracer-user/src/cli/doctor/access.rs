//! What this user may do: capabilities, ptrace scope, pid namespace.

use std::fs;

use super::check::{Check, Host};
use sampling::{SamplingError, may_sample_others};

/// The capabilities that matter here, by number (`include/uapi/linux/capability.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Capability {
    DacReadSearch = 2,
    SysPtrace = 19,
    SysAdmin = 21,
    Perfmon = 38,
    Bpf = 39,
}

/// A set of capabilities as `/proc/self/status` prints it.
#[derive(Debug, Clone, Copy)]
struct Capabilities(u64);

impl Capabilities {
    /// The effective set of this process, or the empty set where `/proc` does not say.
    fn effective(host: &Host) -> Self {
        let status = host.text("proc/self/status").unwrap_or_default();
        let bits = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        Self(bits.unwrap_or(0))
    }

    const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u64) != 0
    }
}

/// Inode of the first pid namespace (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// All checks of this file.
pub fn checks(host: &Host) -> Vec<Check> {
    let capabilities = Capabilities::effective(host);
    vec![
        reading(capabilities),
        other_users_files(capabilities),
        probing(capabilities),
        sampling(host, capabilities, may_sample_others()),
        ptrace_scope(host, capabilities),
        pid_namespace(host),
    ]
}

fn reading(capabilities: Capabilities) -> Check {
    const SUBJECT: &str = "reading targets";
    if capabilities.has(Capability::SysPtrace) {
        Check::good(SUBJECT, "CAP_SYS_PTRACE")
    } else {
        Check::limited(
            SUBJECT,
            "no CAP_SYS_PTRACE",
            "only your own processes can be inspected",
        )
        .remedy("run as root, or: setcap cap_sys_ptrace,cap_dac_read_search,cap_bpf,cap_perfmon+ep $(command -v gostuck)")
    }
}

fn other_users_files(capabilities: Capabilities) -> Check {
    const SUBJECT: &str = "reading images";
    if capabilities.has(Capability::DacReadSearch) {
        Check::good(SUBJECT, "CAP_DAC_READ_SEARCH")
    } else {
        Check::limited(
            SUBJECT,
            "no CAP_DAC_READ_SEARCH",
            "executables that this user may not read cannot be analysed",
        )
        .remedy("run as root, or add the capability")
    }
}

fn probing(capabilities: Capabilities) -> Check {
    const SUBJECT: &str = "probing targets";
    let admin = capabilities.has(Capability::SysAdmin);
    let fine_grained = capabilities.has(Capability::Bpf) && capabilities.has(Capability::Perfmon);
    match (admin, fine_grained) {
        (true, _) => Check::good(SUBJECT, "CAP_SYS_ADMIN"),
        (false, true) => Check::good(SUBJECT, "CAP_BPF and CAP_PERFMON (enough for uprobe_multi)"),
        (false, false) => Check::missing(
            SUBJECT,
            "neither CAP_BPF with CAP_PERFMON nor CAP_SYS_ADMIN",
            "no probes: watch and run look at intervals instead; ps and inspect are not affected",
        )
        .remedy("run as root, or add CAP_BPF and CAP_PERFMON"),
    }
}

/// Samples of threads that run. `tried` is what became of one of a thread of our own.
fn sampling(host: &Host, capabilities: Capabilities, tried: Result<(), SamplingError>) -> Check {
    const SUBJECT: &str = "seeing who runs";
    const COST: &str = "a goroutine that computes with a lock held is not seen";
    let admin = capabilities.has(Capability::Perfmon) || capabilities.has(Capability::SysAdmin);
    let paranoid = host.number("proc/sys/kernel/perf_event_paranoid");
    match tried {
        Ok(()) if admin => Check::good(SUBJECT, "CAP_PERFMON"),
        Ok(()) => Check::limited(
            SUBJECT,
            format!(
                "kernel.perf_event_paranoid is {}",
                paranoid.map_or_else(|| "not known".to_owned(), |level| level.to_string())
            ),
            "only goroutines of your own processes are seen while they run",
        )
        .remedy("run as root, or add CAP_PERFMON"),
        Err(error @ SamplingError::NotPermitted { .. }) => {
            Check::limited(SUBJECT, error.to_string(), COST)
                .remedy("run as root, or add CAP_PERFMON, or: sysctl kernel.perf_event_paranoid=2")
        }
        Err(error) => Check::limited(SUBJECT, error.to_string(), COST),
    }
}

/// `process_vm_readv` passes the same check as a ptrace attach, Yama's included
/// (`security/yama/yama_lsm.c`).
fn ptrace_scope(host: &Host, capabilities: Capabilities) -> Check {
    const SUBJECT: &str = "ptrace scope";
    let may_trace = capabilities.has(Capability::SysPtrace);
    match host.number("proc/sys/kernel/yama/ptrace_scope") {
        None => Check::good(SUBJECT, "Yama is not in this kernel"),
        Some(0) => Check::good(SUBJECT, "0: no restriction"),
        Some(3) => Check::missing(
            SUBJECT,
            "3: nobody may attach",
            "no memory of any process can be read: inspect, watch and run cannot work",
        )
        .remedy("set kernel.yama.ptrace_scope=1 in /etc/sysctl.d and reboot"),
        Some(scope) if may_trace => {
            Check::good(SUBJECT, format!("{scope}: CAP_SYS_PTRACE passes it"))
        }
        Some(scope) => Check::limited(
            SUBJECT,
            format!("{scope}: restricted"),
            "without CAP_SYS_PTRACE only children of gostuck (watch -- COMMAND) can be read",
        )
        .remedy("run as root, or: sysctl kernel.yama.ptrace_scope=0"),
    }
}

fn pid_namespace(host: &Host) -> Check {
    const SUBJECT: &str = "pid namespace";
    match fs::read_link(host.path("proc/self/ns/pid")) {
        Ok(namespace) if namespace.as_os_str() == FIRST_PID_NAMESPACE => {
            Check::good(SUBJECT, "the host's")
        }
        Ok(_) => Check::limited(
            SUBJECT,
            "a container's",
            "only the processes of this container are seen",
        )
        .remedy("run with the host's pid namespace (docker --pid=host, Kubernetes hostPID: true)"),
        Err(error) => Check::limited(
            SUBJECT,
            error.to_string(),
            "cannot tell which processes are seen",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Capabilities, Capability, SamplingError, probing, ptrace_scope, sampling};
    use crate::cli::doctor::check::{Host, State};

    fn set(capabilities: &[Capability]) -> Capabilities {
        Capabilities(capabilities.iter().map(|&c| 1 << c as u64).sum())
    }

    #[test]
    fn capabilities_are_read_from_status() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        assert!(!Capabilities::effective(&host).has(Capability::Bpf));
        fs::create_dir_all(host.path("proc/self")).unwrap();
        fs::write(
            host.path("proc/self/status"),
            "Name:\tgostuck\nCapEff:\t000000c000080004\n",
        )
        .unwrap();
        let found = Capabilities::effective(&host);
        for capability in [
            Capability::Bpf,
            Capability::Perfmon,
            Capability::SysPtrace,
            Capability::DacReadSearch,
        ] {
            assert!(found.has(capability), "{capability:?}");
        }
        assert!(!found.has(Capability::SysAdmin));
    }

    #[test]
    fn probing_needs_both_fine_capabilities_or_admin() {
        assert_eq!(probing(set(&[Capability::Bpf])).state, State::Missing);
        let both = [Capability::Bpf, Capability::Perfmon];
        assert_eq!(probing(set(&both)).state, State::Good);
        assert_eq!(probing(set(&[Capability::SysAdmin])).state, State::Good);
    }

    #[test]
    fn sampling_names_the_privilege_that_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        fs::create_dir_all(host.path("proc/sys/kernel")).unwrap();
        fs::write(host.path("proc/sys/kernel/perf_event_paranoid"), "2\n").unwrap();
        let perfmon = set(&[Capability::Perfmon]);
        assert_eq!(sampling(&host, perfmon, Ok(())).state, State::Good);
        let own = sampling(&host, set(&[]), Ok(()));
        assert_eq!(own.state, State::Limited);
        assert_eq!(own.found, "kernel.perf_event_paranoid is 2");
        let refused = SamplingError::NotPermitted { paranoid: Some(3) };
        let refused = sampling(&host, set(&[]), Err(refused));
        assert!(refused.found.contains("CAP_PERFMON"), "{refused:?}");
        assert!(refused.remedy.is_some());
    }

    #[test]
    fn the_strictest_ptrace_scope_stops_even_root() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::below(root.path());
        let all = Capabilities(u64::MAX);
        assert_eq!(ptrace_scope(&host, all).state, State::Good);
        fs::create_dir_all(host.path("proc/sys/kernel/yama")).unwrap();
        let file = host.path("proc/sys/kernel/yama/ptrace_scope");
        fs::write(&file, "1\n").unwrap();
        assert_eq!(ptrace_scope(&host, all).state, State::Good);
        assert_eq!(ptrace_scope(&host, set(&[])).state, State::Limited);
        fs::write(&file, "3\n").unwrap();
        assert_eq!(ptrace_scope(&host, all).state, State::Missing);
    }
}
