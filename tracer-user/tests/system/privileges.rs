//! The commands with exactly the privileges of the systemd unit: four capabilities, no root.

use std::{fs, path::Path, process::Command};

use libtest_mimic::Trial;

use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    json,
    process::{Process, quiet},
    wait::for_some,
};
use tracer_user::probes::has_multi_links;

use crate::{GOSTUCK, trial};

/// `nobody` and another, neither with any rights.
const OURS: &str = "65534";
const THEIRS: &str = "65533";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "privileges: four capabilities without root suffice",
            &["setpriv"],
            four_capabilities_without_root_suffice,
        ),
        trial(
            "privileges: the daemon of root gives up all but what tracing takes",
            &[],
            the_daemon_of_root_gives_up_the_others,
        ),
    ]
}

/// Bits of CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON and CAP_BPF.
const KEPT: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39;
/// Those of CAP_SYS_ADMIN and CAP_SYS_RESOURCE, for attaching by perf events.
const KEPT_FOR_PERF: u64 = 1 << 21 | 1 << 24;
/// That of CAP_SYS_NICE, kept where RLIMIT_NICE cannot be raised.
const KEPT_PERHAPS: u64 = 1 << 23;

/// What the daemon of root keeps on this kernel.
fn kept() -> Result<u64> {
    let multi = has_multi_links().map_err(|error| error.to_string())?;
    Ok(if multi { KEPT } else { KEPT | KEPT_FOR_PERF })
}

/// Waits until `daemon` has attached probes.
fn attaches(daemon: &Daemon) -> Result {
    for_some("attached probes", || {
        let number = daemon.value("gostuck_probes_attached");
        Ok(number.filter(|number| *number != 0.0).map(drop))
    })
}

fn the_daemon_of_root_gives_up_the_others() -> Result {
    let target = Process::run(&newest("abba", Flavour::Pie)?)?;
    let daemon = Daemon::run(GOSTUCK, &[])?;
    // It still finds, reads and probes.
    let listed = daemon.listed(target.pid())?;
    assert_eq!(listed["findings"]["proven"], 1, "{listed:#}");
    attaches(&daemon)?;
    let kept = kept()?;
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid()));
    for thread in threads.map_err(|error| error.to_string())?.flatten() {
        let status = fs::read_to_string(thread.path().join("status"));
        let status = status.map_err(|error| error.to_string())?;
        let field = |name: &str| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            line.map(str::trim).unwrap_or_default().to_owned()
        };
        let set = |name: &str| u64::from_str_radix(&field(name), 16).unwrap_or(u64::MAX);
        assert_eq!(field("NoNewPrivs:"), "1", "{status}");
        for name in ["CapPrm:", "CapEff:", "CapBnd:"] {
            assert_eq!(set(name) & !(kept | KEPT_PERHAPS), 0, "{status}");
        }
        assert_eq!(set("CapEff:") & kept, kept, "{status}");
        assert_eq!([set("CapAmb:"), set("CapInh:")], [0, 0], "{status}");
    }
    Ok(())
}

/// The capabilities of the unit, as setpriv writes them.
fn granted() -> Result<String> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/gostuck.service");
    let unit = fs::read_to_string(unit).map_err(|error| error.to_string())?;
    let mut lines = unit.lines();
    let bounding = lines.find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = bounding.ok_or("no CapabilityBoundingSet")?.split(' ');
    let added = names.map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()));
    Ok(format!("-all{}", added.collect::<String>()))
}

/// Without root, and with nothing but what the unit grants.
fn restricted(program: &Path) -> Result<Command> {
    let granted = granted()?;
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            OURS,
            "--regid",
            OURS,
            "--clear-groups",
            "--no-new-privs",
        ])
        .args(["--pdeathsig", "KILL"])
        .args(["--bounding-set", &granted, "--inh-caps", &granted])
        .args(["--ambient-caps", &granted])
        .arg(program);
    Ok(command)
}

fn said(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = restricted(program)?.args(arguments).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(format!("{arguments:?}: {}: {text}{errors}", output.status))
    }
}

fn four_capabilities_without_root_suffice() -> Result {
    // Where everybody may execute it.
    let folder = tempfile::tempdir_in("/tmp").map_err(|error| error.to_string())?;
    let gostuck = folder.path().join("gostuck");
    let shop = folder.path().join("shop");
    for (from, to) in [
        (Path::new(GOSTUCK), &gostuck),
        (&newest("abba", Flavour::Pie)?, &shop),
    ] {
        fs::copy(from, to).map_err(|error| error.to_string())?;
    }
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), open).map_err(|error| error.to_string())?;
    let mut others = quiet("setpriv");
    others
        .args(["--reuid", THEIRS, "--regid", THEIRS, "--clear-groups"])
        .args(["--pdeathsig", "KILL"])
        .arg(&shop);
    let target = Process::ready(&mut others)?;
    let pid = target.pid().to_string();
    // Nor may the file be readable: that is what CAP_DAC_READ_SEARCH is for.
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&shop, closed).map_err(|error| error.to_string())?;

    let list = said(&gostuck, &["ps", "--format", "json"])?;
    let list = json(&list)?;
    let rows = list["processes"].as_array().or(list.as_array());
    let mut rows = rows.ok_or_else(|| list.to_string())?.iter();
    assert!(rows.any(|row| row["pid"] == target.pid()), "{list:#}");
    let document = json(&said(&gostuck, &["inspect", "--format", "json", &pid])?)?;
    assert_eq!(document["findings"][0]["verdict"], "proven", "{document:#}");
    let seen = said(&gostuck, &["watch", "--for", "3s", &pid])?;
    assert!(seen.contains("deadlock"), "{seen}");

    let mut command = restricted(&gostuck)?;
    command.args(["run", "--interval", "1s", "--budget", "50%"]);
    let daemon = Daemon::start(command)?;
    let listed = daemon.listed(target.pid())?;
    assert_eq!(listed["findings"]["proven"], 1, "{listed:#}");
    attaches(&daemon)
}
