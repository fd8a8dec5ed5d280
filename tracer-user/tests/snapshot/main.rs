//! Snapshots of real Go programs, compared with what the programs say of themselves.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod core_file;
mod detector;
mod dump;
mod hostile;
mod running;

use libtest_mimic::{Arguments, Trial};
use testing::{
    go::{Flavour, VERSIONS},
    trials::{self, Need},
};
use tracer_user::{
    ids::{Goid, TargetAddr},
    image::Image,
    snapshot::{Goroutine, ObjectKind, ObjectState, Operation, Snapshot, take},
};

use dump::{DumpedFrame, DumpedGoroutine};
use running::{Running, build};

fn main() {
    let mut trials = Vec::new();
    for version in VERSIONS {
        trials.push(trial(
            version,
            "stacks, states and parents are those of the program's own dump",
            || stacks_states_and_parents_are_those_of_the_dump(version),
        ));
        for flavour in [Flavour::Plain, Flavour::Pie] {
            let name = format!("every wait leads to its object, {flavour}");
            trials.push(trial(version, &name, move || {
                every_wait_leads_to_its_object(version, flavour);
            }));
        }
    }
    trials.extend(core_file::trials());
    trials.extend(detector::trials());
    trials.extend(hostile::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// A test of one Go version, which needs root, too.
fn trial(version: &'static str, name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    let title = format!("{name}, Go {version}");
    trials::trial(&title, &[Need::Root, Need::Go(version)], test)
}

/// Runs `check` on `states.go` built by `version`.
fn with_states(
    version: &'static str,
    flavour: Flavour,
    check: impl FnOnce(&Running, &Image, &Snapshot),
) {
    let running = Running::start(&build(version, "states.go", flavour), &[]);
    let target = running.target();
    let snapshot = take(&target).unwrap();
    check(&running, &target.image, &snapshot);
}

fn stacks_states_and_parents_are_those_of_the_dump(version: &'static str) {
    with_states(version, Flavour::Plain, |running, image, snapshot| {
        let dumped = dump::parse(&running.output());
        assert!(
            dumped.len() >= 24,
            "{version}: {} in the dump",
            dumped.len()
        );
        for expected in dumped {
            compare(version, image, snapshot, &expected);
        }
        assert!(
            snapshot.incomplete.is_empty(),
            "{version}: {:?}",
            snapshot.incomplete
        );
    });
}

fn compare(version: &str, image: &Image, snapshot: &Snapshot, expected: &DumpedGoroutine) {
    let context = format!(
        "{version}: goroutine {} [{}]",
        expected.goid, expected.state
    );
    let Some(goroutine) = find(snapshot, expected.goid) else {
        panic!("{context} is not in the snapshot");
    };
    if expected.state != "syscall" && expected.state != "runnable" {
        let reason = goroutine.wait_reason.unwrap().as_str();
        // Before Go 1.24 the runtime itself says less than the stack does.
        if expected.state != "semacquire" {
            assert_eq!(reason, expected.state, "{context}");
        }
    }
    assert_eq!(goroutine.locked_to_thread, expected.locked, "{context}");
    if expected.parent.is_some() {
        assert_eq!(
            goroutine.parent.map(|goid| goid.0),
            expected.parent,
            "{context}"
        );
    }
    let creator = goroutine.created_at.map(|pc| {
        image
            .symbolize(pc, true)
            .last()
            .unwrap()
            .function
            .to_string()
    });
    assert_eq!(creator, expected.created_by, "{context}");
    assert!(!goroutine.stack.truncated, "{context}");
    let mut frames = shown_frames(image, goroutine);
    // What the compiler wraps around the call of a go statement with arguments is not dumped.
    if frames
        .last()
        .is_some_and(|frame| frame.function.starts_with("main.main."))
    {
        frames.pop();
    }
    match expected.elided {
        None => assert_eq!(frames, expected.frames, "{context}"),
        Some(head) => {
            let tail = expected.frames.len() - head;
            assert_eq!(frames[..head], expected.frames[..head], "{context}");
            assert_eq!(
                frames[frames.len() - tail..],
                expected.frames[head..],
                "{context}"
            );
        }
    }
}

fn find(snapshot: &Snapshot, goid: u64) -> Option<&Goroutine> {
    snapshot.goroutines.iter().find(|g| g.goid == Goid(goid))
}

/// The frames that a dump shows: not the runtime's own, unless exported (`runtime.showframe`).
fn shown_frames(image: &Image, goroutine: &Goroutine) -> Vec<DumpedFrame> {
    let stack = &goroutine.stack;
    (0..stack.frames.len())
        .flat_map(|index| stack.symbolize(image, index))
        .filter(|frame| match frame.function.strip_prefix("runtime.") {
            Some(name) => name.starts_with(char::is_uppercase),
            None => true,
        })
        .map(|frame| DumpedFrame {
            function: frame.function.to_string(),
            file: frame.file.to_string(),
            line: frame.line,
        })
        .collect()
}

fn every_wait_leads_to_its_object(version: &'static str, flavour: Flavour) {
    with_states(version, flavour, |running, image, snapshot| {
        check_objects(&format!("{version} {flavour}"), running, image, snapshot);
    });
}

fn check_objects(context: &str, running: &Running, image: &Image, snapshot: &Snapshot) {
    use {ObjectKind as Kind, Operation as Op};
    let expected = [
        ("main.lockMutex", "mutex", Kind::Mutex, vec![Op::Lock; 2]),
        (
            "main.writeQueue",
            "readHeld",
            Kind::RwMutex,
            vec![Op::Lock, Op::DrainReaders],
        ),
        (
            "main.readBehind",
            "writeHeld",
            Kind::RwMutex,
            vec![Op::ReadLock],
        ),
        ("main.waitGroup", "group", Kind::WaitGroup, vec![Op::Wait]),
        ("main.waitCond", "cond", Kind::Cond, vec![Op::CondWait; 2]),
        ("main.receive", "empty", Kind::Channel, vec![Op::Receive]),
        ("main.send", "full", Kind::Channel, vec![Op::Send]),
        ("main.onTimer", "timer", Kind::Channel, vec![Op::Receive]),
    ];
    for (function, name, kind, operations) in expected {
        let address = TargetAddr(running.address(name));
        let mut found = Vec::new();
        for goroutine in started_by(image, snapshot, function) {
            for wait in &goroutine.waits_on {
                assert_eq!(wait.object.addr, address, "{context}: {function}");
                assert_eq!(wait.object.kind, kind, "{context}: {function}");
                found.push(wait.operation);
            }
        }
        found.sort_by_key(|operation| *operation as u8);
        assert_eq!(found, operations, "{context}: {function}");
        let object = snapshot.objects.get(&address);
        let object = object.unwrap_or_else(|| panic!("{context}: no object {name}"));
        assert!(object.state.is_some(), "{context}: {name}");
        for goroutine in started_by(image, snapshot, function) {
            assert!(
                object.waiters.contains(&goroutine.goid),
                "{context}: {name}"
            );
        }
    }
    check_select(context, running, image, snapshot);
    check_states(context, running, snapshot);
}

fn check_select(context: &str, running: &Running, image: &Image, snapshot: &Snapshot) {
    let select = started_by(image, snapshot, "main.selectTwo");
    let mut waits: Vec<_> = select[0]
        .waits_on
        .iter()
        .map(|wait| (wait.object.addr.0, wait.operation == Operation::Receive))
        .collect();
    waits.sort_unstable();
    let mut expected = vec![
        (running.address("first"), true),
        (running.address("second"), false),
        (running.address("full"), false),
    ];
    expected.sort_unstable();
    assert_eq!(waits, expected, "{context}: select");
}

fn check_states(context: &str, running: &Running, snapshot: &Snapshot) {
    let state = |name: &str| {
        snapshot.objects[&TargetAddr(running.address(name))]
            .state
            .clone()
    };
    let Some(ObjectState::Mutex(mutex)) = state("mutex") else {
        panic!("{context}: mutex is {:?}", state("mutex"));
    };
    assert!(mutex.locked && mutex.waiters == 2, "{context}: {mutex:?}");
    let Some(ObjectState::RwMutex {
        writer,
        readers,
        writer_pending,
        reader_wait,
    }) = state("readHeld")
    else {
        panic!("{context}: readHeld is {:?}", state("readHeld"));
    };
    assert!(
        writer.locked && writer.waiters == 1,
        "{context}: {writer:?}"
    );
    assert_eq!(
        (readers, writer_pending, reader_wait),
        (1, true, 1),
        "{context}"
    );
    let group = ObjectState::WaitGroup {
        counter: 2,
        waiters: 1,
    };
    assert_eq!(state("group"), Some(group), "{context}");
    let locker = TargetAddr(running.address("condLock"));
    assert_eq!(
        state("cond"),
        Some(ObjectState::Cond { waiters: 2, locker }),
        "{context}"
    );
    assert!(
        matches!(
            state("full"),
            Some(ObjectState::Channel {
                len: 3,
                cap: 3,
                closed: false,
                timer: false,
                ..
            })
        ),
        "{context}: {:?}",
        state("full")
    );
}

fn started_by<'s>(image: &Image, snapshot: &'s Snapshot, function: &str) -> Vec<&'s Goroutine> {
    let starts: Vec<_> = image
        .functions_named(function)
        .iter()
        .map(|f| f.entry)
        .collect();
    assert!(!starts.is_empty(), "no function {function}");
    let of = |g: &&Goroutine| starts.contains(&g.start);
    snapshot.goroutines.iter().filter(of).collect()
}
