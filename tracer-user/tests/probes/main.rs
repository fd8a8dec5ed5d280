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
mod load;
mod loss;
mod sharing;
mod traces;
mod watch;

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use libtest_mimic::{Arguments, Trial};
use testing::{
    go::{self, Flavour, NEWEST, Toolchain},
    paths,
    trials::{self, Need},
    wait::until,
};

use load::Load;
use tracer_user::{
    image::Image,
    probes::{Options, Probes},
};

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

/// A test that needs root and the newest Go.
fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    trials::trial(name, &[Need::Root, Need::Go(NEWEST)], test)
}

/// One such test for each of some Go versions.
fn trials_of(
    versions: &[&'static str],
    name: &str,
    test: fn(&'static str),
) -> impl Iterator<Item = Trial> {
    versions.iter().map(move |&version| {
        let title = format!("{name}, Go {version}");
        trials::trial(&title, &[Need::Root, Need::Go(version)], move || {
            test(version)
        })
    })
}

/// A built program of a test's own, as probes on it are the kernel's on its file; its image, and its
/// folder. No other has its name, so that no daemon of another test follows it.
fn program(version: &'static str) -> (tempfile::TempDir, PathBuf, Arc<Image>) {
    let source = paths::workspace().join("tracer-user/tests/probes/load.go");
    let built = go::built(Toolchain::of(version), &source, "load", Flavour::Stripped);
    let directory = tempfile::tempdir().unwrap();
    static BUILT: AtomicU32 = AtomicU32::new(0);
    let number = BUILT.fetch_add(1, Ordering::Relaxed);
    let path = directory.path().join(format!("load-{number}"));
    fs::copy(built.unwrap(), &path).unwrap();
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
/// Waits until no wait of `load` is counted any more, and returns how many were. A program that another
/// test starts has our links until it executes, and for so long the kernel keeps them.
fn waits_when_off(probes: &Probes, load: &mut Load) -> u64 {
    until("its probes are off", || {
        let before = channel_waits(probes, load);
        load.pingpong(20);
        channel_waits(probes, load) == before
    });
    channel_waits(probes, load)
}

fn channel_waits(probes: &Probes, load: &Load) -> u64 {
    let histograms = probes.histograms(load.pid()).unwrap();
    histograms
        .iter()
        .filter(|h| h.reason.starts_with("chan"))
        .map(|h| h.count())
        .sum()
}
