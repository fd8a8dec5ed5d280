//! What is said of Go's own deadlock detector, on programs in which it is known to keep silent.

use std::time::{Duration, Instant};

use tracer_user::snapshot::{Detector, take};

use crate::go_program::{Link, Running, build, toolchain};

/// How long a program may take to come to rest.
const SETTLING: Duration = Duration::from_secs(10);

#[test]
fn the_reason_for_its_silence_is_the_true_one() {
    for version in ["1.19.8", "1.27.3"] {
        let Some(go) = toolchain(version) else { return };
        let directory = tempfile::tempdir().unwrap();
        let program = build(&go, "detector.go", Link::Plain, directory.path());
        for (argument, armed, reason) in [
            ("timer", false, "1 timer set"),
            ("network", false, "1 thread waiting for the network"),
            ("signal", false, "1 thread in a system call"),
            ("read", false, "1 thread in a system call"),
            ("busy", true, "goroutines are running"),
        ] {
            let detector = settled(&Running::start(&program, &[argument]), reason);
            assert!(
                detector.reason.contains(reason),
                "{version} {argument}: {detector:?}"
            );
            assert_eq!(detector.armed, armed, "{version} {argument}: {detector:?}");
            let terms = detector.terms.unwrap();
            assert!(
                terms.running() > terms.run0 || terms.timers > 0,
                "{terms:?}"
            );
        }
    }
}

/// The detector once its reason contains `expected`, or as it is after a while.
fn settled(running: &Running, expected: &str) -> Detector {
    let target = running.target();
    let started = Instant::now();
    loop {
        let detector = Detector::of(&take(&target).unwrap());
        if detector.reason.contains(expected) || started.elapsed() > SETTLING {
            return detector;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
