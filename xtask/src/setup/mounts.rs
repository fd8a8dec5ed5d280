//! tracefs and bpffs, which a minimal machine does not mount.

use std::{fs, path::Path};

use nix::mount::{MsFlags, mount};

use crate::command::{is_root, step};

/// Mounts what is missing. Not being able to is no error: `gostuck doctor` tells what it costs.
pub(crate) fn mount_all() {
    for (kind, at) in [("tracefs", "/sys/kernel/tracing"), ("bpf", "/sys/fs/bpf")] {
        if is_mounted(at) {
            step(&format!("{kind}: mounted on {at}"));
        } else if !is_root() {
            step(&format!(
                "{kind}: not mounted (needs root: mount -t {kind} none {at})"
            ));
        } else if !Path::new(at).is_dir() {
            step(&format!("{kind}: this kernel has no {at}"));
        } else {
            match mount(Some("none"), at, Some(kind), MsFlags::empty(), None::<&str>) {
                Ok(()) => step(&format!("{kind}: mounted on {at} now")),
                Err(error) => step(&format!("{kind}: cannot be mounted on {at}: {error}")),
            }
        }
    }
}

fn is_mounted(at: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(at))
}
