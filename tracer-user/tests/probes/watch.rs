//! A `gostuck watch` in the background.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use testing::{process::Process, schema, wait::until};
use tracer_user::ids::Pid;

/// The watch, ended when dropped.
pub struct Watch {
    _process: Process,
    printed: PathBuf,
    _directory: tempfile::TempDir,
}

impl Watch {
    /// Starts one that has its probes on `pid`.
    pub fn start(pid: Pid) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [printed, log] = ["printed", "log"].map(|name| directory.path().join(name));
        let mut command = Command::new(env!("CARGO_BIN_EXE_gostuck"));
        command
            .args(["-v", "watch", "--format", "json", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(fs::File::create(&printed).unwrap())
            .stderr(fs::File::create(&log).unwrap());
        let watch = Self {
            _process: Process::start(&mut command).unwrap(),
            printed,
            _directory: directory,
        };
        until("the watch's probes in place", || {
            let log = fs::read_to_string(&log).unwrap();
            log.contains("probes attached")
        });
        watch
    }

    /// The modes that it says the process came into, in order.
    pub fn modes(&self) -> Vec<String> {
        let printed = fs::read_to_string(&self.printed).unwrap();
        // The last line may not be whole yet.
        let whole = printed.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let wrong = schema::violations("/$defs/watch_line", &line);
            assert!(wrong.is_empty(), "{wrong:?} in {line}");
            line
        });
        lines
            .filter(|line| line["event"] == "probes")
            .map(|line| line["mode"].as_str().unwrap().to_owned())
            .collect()
    }
}
