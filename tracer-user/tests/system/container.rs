//! Containers of podman: targets in them, and the daemon itself in one, with the root file system,
//! capabilities and system call filter that the chart gives it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use serde_json::Value;
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    json,
    process::{Process, stdout},
};

use crate::{GOSTUCK, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let tools = ["podman", "runc"];
    vec![
        trial(
            "container: a target in one is found, told apart and symbolised",
            &tools,
            a_target_in_one_is_found,
        ),
        trial(
            "container: the daemon works in one, with what the chart grants",
            &tools,
            the_daemon_works_in_one,
        ),
    ]
}

/// One container, removed with its storage at the end of the test.
struct Container {
    storage: tempfile::TempDir,
}

/// Limits at the most that an unprivileged host allows; podman's own default is higher.
const LIMITS: [&str; 4] = ["--ulimit", "nofile=512:512", "--ulimit", "nproc=512:512"];

impl Container {
    fn new() -> Result<Self> {
        let storage = tempfile::tempdir().map_err(|error| error.to_string())?;
        for folder in ["proc", "dev", "sys", "tmp", "etc"] {
            let path = storage.path().join("rootfs").join(folder);
            fs::create_dir_all(path).map_err(|error| error.to_string())?;
        }
        Ok(Self { storage })
    }

    /// A copy of `file` as `name` in its root folder.
    fn add(&self, file: &Path, name: &str) -> Result {
        let copied = fs::copy(file, self.storage.path().join("rootfs").join(name));
        copied.map(drop).map_err(|error| error.to_string())
    }

    fn podman(&self) -> Command {
        let folder = |name: &str| self.storage.path().join(name);
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(folder("storage"))
            .arg("--runroot")
            .arg(folder("run"))
            .args(["--storage-driver", "vfs", "--runtime", "runc"])
            .args(["--cgroup-manager", "cgroupfs"]);
        command
    }

    /// `podman run` up to the root file system; options and the command are to follow.
    fn run(&self, options: &[&str], program: &str) -> Command {
        let mut command = self.podman();
        command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .args(["run", "--name", "one"])
            .args(LIMITS)
            .args(options)
            .arg("--rootfs")
            .arg(self.storage.path().join("rootfs"))
            .arg(program);
        command
    }

    fn inspect(&self) -> Result<Value> {
        let output = self.podman().args(["inspect", "one"]).output();
        let output = output.map_err(|error| error.to_string())?;
        Ok(json(&String::from_utf8_lossy(&output.stdout))?[0].clone())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.podman().args(["rm", "-f", "-t", "0", "one"]).output();
    }
}

fn a_target_in_one_is_found() -> Result {
    let container = Container::new()?;
    container.add(&newest("abba", Flavour::Stripped)?, "shop")?;
    let target = Process::ready(&mut container.run(&["--network", "none"], "/shop"))?;
    let about = container.inspect()?;
    let pid = about["State"]["Pid"].to_string();
    let document = json(&stdout(GOSTUCK, &["inspect", "--format", "json", &pid])?)?;
    let process = &document["process"];
    assert_eq!(
        process["identity"]["container_id"], about["Id"],
        "{process:#}"
    );
    assert_eq!(process["exe"], "/shop");
    let finding = &document["findings"][0];
    assert_eq!(finding["verdict"], "proven", "{document:#}");
    let summary = finding["summary"].as_str().unwrap_or_default();
    assert!(summary.contains("main.lockBoth (main.go:"), "{summary}");
    let list = stdout(GOSTUCK, &["ps"])?;
    let short = about["Id"]
        .as_str()
        .and_then(|id| id.get(..12))
        .unwrap_or("?");
    let mut lines = list.lines();
    let line = lines.find(|line| line.trim_start().starts_with(&format!("{pid} ")));
    assert!(line.is_some_and(|line| line.contains(short)), "{list}");
    drop(target);
    Ok(())
}

fn the_daemon_works_in_one() -> Result {
    let container = Container::new()?;
    container.add(Path::new(GOSTUCK), "gostuck")?;
    let target = Process::run(&newest("abba", Flavour::Pie)?)?;
    // As deploy/helm/gostuck/templates/daemonset.yaml; the libraries are those of a test build.
    let options = [
        "--pid=host",
        "--network=host",
        "--read-only",
        "--security-opt=no-new-privileges",
        "--cap-drop=all",
        "--cap-add=BPF,PERFMON,SYS_PTRACE,DAC_READ_SEARCH",
        "--volume=/lib:/lib:ro",
        "--volume=/lib64:/lib64:ro",
        "--volume=/usr/lib:/usr/lib:ro",
    ];
    let mut command = container.run(&options, "/gostuck");
    command.args(["run", "--interval", "1s", "--budget", "50%"]);
    let daemon = Daemon::start(command)?;
    let listed = daemon.listed(target.pid())?;
    assert_eq!(listed["findings"]["proven"], 1, "{listed:#}");
    let about = container.inspect()?;
    let status = fs::read_to_string(format!("/proc/{}/status", about["State"]["Pid"]));
    let status = status.map_err(|error| error.to_string())?;
    let filtered = status.lines().any(|line| line == "Seccomp:\t2");
    assert!(filtered && status.contains("NoNewPrivs:\t1"), "{status}");
    Ok(())
}
