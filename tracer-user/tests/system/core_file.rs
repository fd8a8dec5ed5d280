//! `gostuck inspect --core`: what a core file proves, is what two looks at the live process prove.

use std::{
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use libtest_mimic::Trial;
use nix::sys::{
    resource::{RLIM_INFINITY, Resource, setrlimit},
    signal::Signal,
};
use serde_json::Value;
use testing::{
    Result,
    go::{Flavour, NEWEST, newest},
    json,
    process::{Process, output, quiet, stdout},
    trials::{self, Need},
};

use crate::{GOSTUCK, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern");
    let to_files = pattern.is_ok_and(|pattern| pattern.trim() == "core");
    vec![
        trial(
            "gcore's file tells what the live process does",
            &["gcore"],
            gcores_file_tells_what_the_live_process_does,
        ),
        trial(
            "another build than the core's is refused",
            &["gcore"],
            another_build_is_refused,
        ),
        trials::trial(
            "a core of the kernel tells the cycle",
            &[
                Need::Root,
                Need::Go(NEWEST),
                Need::Machine("core files beside their programs", to_files),
            ],
            a_core_of_the_kernel_tells_the_cycle,
        ),
    ]
}

/// Kind, verdict and goroutines of each finding.
pub(crate) fn findings(document: &Value) -> Vec<(Value, Value, Value)> {
    let findings = document["findings"].as_array().into_iter().flatten();
    findings
        .map(|finding| {
            let field = |name: &str| finding[name].clone();
            (field("kind"), field("verdict"), field("goroutines"))
        })
        .collect()
}

fn inspect_core(core: &Path, more: &[&str]) -> Result<Value> {
    let core = core.display().to_string();
    let arguments = [&["inspect", "--format", "json", "--core", &core], more].concat();
    json(&stdout(GOSTUCK, &arguments)?)
}

fn gcore(target: &Process, folder: &Path) -> Result<PathBuf> {
    let stem = folder.join("core");
    let pid = target.pid().to_string();
    stdout("gcore", &["-o".as_ref(), stem.as_os_str(), pid.as_ref()])?;
    Ok(stem.with_extension(pid))
}

fn gcores_file_tells_what_the_live_process_does() -> Result {
    for (name, flavour) in [
        ("queue-behind-cycle", Flavour::Pie),
        ("range-unclosed", Flavour::Stripped),
    ] {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let target = Process::run(&newest(name, flavour)?)?;
        let pid = target.pid().to_string();
        let live = json(&stdout(GOSTUCK, &["inspect", "--format", "json", &pid])?)?;
        let core = gcore(&target, folder.path())?;
        drop(target);
        let dead = inspect_core(&core, &[])?;
        if findings(&live).is_empty() || findings(&dead) != findings(&live) {
            return Err(format!(
                "{name}, {flavour}: {live:#}\nin the core: {dead:#}"
            ));
        }
        assert_eq!(dead["process"]["pid"].to_string(), pid);
        assert_eq!(dead["process"]["file"], core.display().to_string());
        assert_eq!(dead["process"]["start_time"], Value::Null);
        assert_eq!(dead["process"]["exe"], live["process"]["exe"]);
        let text = stdout(
            GOSTUCK,
            &["inspect".as_ref(), "--core".as_ref(), core.as_os_str()],
        )?;
        if !text.contains("as of 20") {
            return Err(text);
        }
    }
    Ok(())
}

fn another_build_is_refused() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let target = Process::run(&newest("abba", Flavour::Plain)?)?;
    let core = gcore(&target, folder.path())?;
    drop(target);
    let (core, other) = (
        core.display().to_string(),
        newest("abba", Flavour::Stripped)?,
    );
    let other = other.display().to_string();
    let refused = output(GOSTUCK, &["inspect", "--core", &core, "--exe", &other])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    if refused.status.code() == Some(1) && said.contains("is not what the process executed") {
        Ok(())
    } else {
        Err(format!("{}: {said}", refused.status))
    }
}

fn a_core_of_the_kernel_tells_the_cycle() -> Result {
    for flavour in [Flavour::Plain, Flavour::Pie] {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let program = newest("abba", flavour)?;
        let mut command = quiet(&program);
        command
            .current_dir(folder.path())
            .env("GOTRACEBACK", "crash")
            .stdout(Stdio::piped());
        // SAFETY: between fork and exec only setrlimit is called, which is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY).map_err(Into::into)
            });
        }
        let mut target = Process::ready(&mut command)?;
        target.signal(Signal::SIGQUIT)?;
        let status = target.wait()?;
        let cores = std::fs::read_dir(folder.path()).map_err(|error| error.to_string())?;
        let core = cores.filter_map(|entry| Some(entry.ok()?.path())).next();
        let core = core.ok_or_else(|| format!("no core file, signal {:?}", status.signal()))?;
        let program = program.display().to_string();
        let document = inspect_core(&core, &["--exe", &program])?;
        let cycle = findings(&document)
            .into_iter()
            .find(|(kind, verdict, goroutines)| {
                kind == "lock-cycle"
                    && verdict == "proven"
                    && goroutines.as_array().is_some_and(|list| list.len() == 2)
            });
        if cycle.is_none() {
            return Err(format!("{flavour}: {document:#}"));
        }
    }
    Ok(())
}
