//! Which processes are followed.

use clap::Args;

use crate::{export::document::command, process::Process};

/// Which Go processes to follow; all of them without any of these. Several of one option widen the
/// choice, different options narrow it.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
#[command(next_help_heading = "Which processes")]
pub struct Selection {
    /// Only processes with this command name (base name of the executable's first argument)
    #[arg(long = "command", value_name = "NAME")]
    commands: Vec<String>,
    /// Only processes of this numeric user id
    #[arg(long = "user", value_name = "UID")]
    users: Vec<u32>,
    /// Only processes whose cgroup path contains this text, for example a slice or a pod's id
    #[arg(long = "cgroup", value_name = "TEXT")]
    cgroups: Vec<String>,
}

impl Selection {
    /// Whether `process` is one of them.
    pub fn takes(&self, process: &Process) -> bool {
        let command = command(process);
        let by_command = self.commands.is_empty() || self.commands.contains(&command);
        let by_user = self.users.is_empty() || self.users.contains(&process.uid);
        let by_cgroup =
            self.cgroups.is_empty() || self.cgroups.iter().any(|text| in_cgroup(process, text));
        by_command && by_user && by_cgroup
    }
}

fn in_cgroup(process: &Process, text: &str) -> bool {
    let mut paths = process.cgroups.paths();
    paths.any(|path| path.to_string_lossy().contains(text))
}
