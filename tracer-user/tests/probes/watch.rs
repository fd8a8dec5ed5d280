//! A `gostuck watch` in the background.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command},
};

use serde_json::Value;
use tracer_user::ids::Pid;

use super::{json_schema, traces::until};

/// The watch, ended when dropped.
pub struct Watch {
    child: Child,
    printed: PathBuf,
    _directory: tempfile::TempDir,
}

impl Watch {
    /// Starts one that has its probes on `pid`.
    pub fn start(pid: Pid) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (printed, log) = (
            directory.path().join("printed"),
            directory.path().join("log"),
        );
        let child = Command::new(env!("CARGO_BIN_EXE_gostuck"))
            .args(["-v", "watch", "--format", "json", &pid.to_string()])
            .stdout(fs::File::create(&printed).unwrap())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let watch = Self {
            child,
            printed,
            _directory: directory,
        };
        until("the watch has its probes in place", || {
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
            let wrong = json_schema::violations("/$defs/watch_line", &line);
            assert!(wrong.is_empty(), "{wrong:?} in {line}");
            line
        });
        lines
            .filter(|line| line["event"] == "probes")
            .map(|line| line["mode"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
