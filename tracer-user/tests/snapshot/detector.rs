//! What is said of Go's own deadlock detector, on programs in which it is known to keep silent.

use std::time::{Duration, Instant};

use tracer_user::{
    finding::{Detector, detector},
    snapshot::take,
};

use crate::go_program::{Link, Running, build, toolchain};

/// How long a program may take to come to rest.
const SETTLING: Duration = Duration::from_secs(10);

#[test]
fn the_reason_for_its_silence_is_the_true_one() {
    for version in ["1.19.8", "1.27.3"] {
        let Some(go) = toolchain(version) else { return };
        let directory = tempfile::tempdir().unwrap();
        let program = build(&go, "detector.go", Link::Plain, directory.path());
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
