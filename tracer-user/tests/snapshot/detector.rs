//! What is said of Go's own deadlock detector, on programs in which it is known to keep silent.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use testing::go::{Flavour, NEWEST, OLDEST};
use tracer_user::{
    finding::{Detector, detector},
    snapshot::take,
};

use crate::{
    running::{Running, build},
    trial,
};

/// How long a program may take to come to rest.
const SETTLING: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    let trials = [OLDEST, NEWEST].map(|version| {
        trial(
            version,
            "the reason for its silence is the true one",
            || {
                the_reason_for_its_silence_is_the_true_one(version);
            },
        )
    });
    trials.into()
}

fn the_reason_for_its_silence_is_the_true_one(version: &'static str) {
    let program = build(version, "detector.go", Flavour::Plain);
    for (argument, reason) in [
        ("timer", "a thread waits for the timer of goroutine"),
        ("network", "a thread watches the network for goroutine"),
        ("signal", "is in a system call"),
        ("read", "is in a system call"),
        ("busy", "something still runs"),
    ] {
        let detector = settled(&Running::start(&program, &[argument]), reason);
        assert!(
            detector.reason.contains(reason),
            "{version} {argument}: {detector:?}"
        );
        assert!(detector.armed, "{version} {argument}: {detector:?}");
        assert!(!detector.fires, "{version} {argument}: {detector:?}");
        assert!(
            detector.run > detector.run0 || detector.terms.timers > 0,
            "{version} {argument}: {detector:?}"
        );
    }
}

/// The detector once its reason contains `expected`, or as it is after a while.
fn settled(running: &Running, expected: &str) -> Detector {
    let target = running.target();
    let started = Instant::now();
    loop {
        let detector = detector(&take(&target).unwrap()).unwrap();
        if detector.reason.contains(expected) || started.elapsed() > SETTLING {
            return detector;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
