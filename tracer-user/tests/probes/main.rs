//! Probes on real Go programs, by themselves and under the daemon. Without root, or without the Go
//! versions they need, they are listed as ignored.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod attaching;
mod committed;
mod counting;
mod daemon;
mod hints;
#[path = "../support/json_schema.rs"]
mod json_schema;
mod load;
mod loss;
mod served;
mod sharing;
mod traces;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use libtest_mimic::{Arguments, Trial};

use load::Load;
use tracer_user::{
    image::Image,
    probes::{Options, Probes},
};

/// The Go that most tests use.
const NEWEST: &str = "1.27.3";

fn main() {
    let arguments = Arguments::from_args();
    let trials = [
        counting::trials(),
        attaching::trials(),
        committed::trials(),
        sharing::trials(),
        traces::trials(),
        daemon::trials(),
        hints::trials(),
        loss::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}

/// A test that needs root and some Go versions.
fn trial(name: &str, versions: &[&str], test: fn()) -> Trial {
    let possible = nix::unistd::geteuid().is_root() && versions.iter().all(|v| load::has_go(v));
    let run = move || {
        test();
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(!possible)
}

/// A built program, its image, and its folder.
fn program(version: &str) -> (tempfile::TempDir, PathBuf, Arc<Image>) {
    let directory = tempfile::tempdir().unwrap();
    let path = load::build(version, directory.path());
    let image = Arc::new(Image::open(&path).unwrap());
    (directory, path, image)
}

fn attach(probes: &mut Probes, load: &Load, image: &Arc<Image>) {
    let exe = PathBuf::from(format!("/proc/{}/exe", load.pid()));
    probes.attach(load.pid(), &exe, image).unwrap();
}

fn small() -> Options {
    Options {
        targets: 64,
        park_entries: 1 << 12,
        ..Options::default()
    }
}

/// Everything is sent, with room for 63 records.
fn tiny_ring() -> Options {
    Options {
        ring_bytes: 4096,
        send_parks: true,
        send_wakes_from: Duration::ZERO,
        processes: false,
        ..small()
    }
}

/// Waits of the channels of a ping-pong.
fn channel_waits(probes: &Probes, load: &Load) -> u64 {
    let histograms = probes.histograms(load.pid()).unwrap();
    histograms
        .iter()
        .filter(|h| h.reason.starts_with("chan"))
        .map(|h| h.count())
        .sum()
}
