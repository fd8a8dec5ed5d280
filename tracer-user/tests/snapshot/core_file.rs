//! The same snapshot from a core file as from the live process.

use std::{process::Command, sync::Arc};

use libtest_mimic::Trial;
use testing::{
    go::{Flavour, NEWEST},
    trials::{Need, trial},
};
use tracer_user::{
    image::Image,
    memory::CoreMemory,
    snapshot::{Snapshot, Target, take},
};

use crate::running::{Running, build};

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Root, Need::Go(NEWEST), Need::Program("gcore")];
    let flavours = [Flavour::Plain, Flavour::Pie].into_iter();
    let trials = flavours.map(|flavour| {
        let name = format!("a core file says what the live process does, {flavour}");
        trial(&name, &needs, move || {
            a_core_file_says_what_the_live_process_does(flavour);
        })
    });
    trials.collect()
}

fn a_core_file_says_what_the_live_process_does(flavour: Flavour) {
    let directory = tempfile::tempdir().unwrap();
    let program = build(NEWEST, "states.go", flavour);
    let running = Running::start(&program, &[]);
    let live = running.target();
    let stem = directory.path().join("core");
    let gcore = Command::new("gcore")
        .arg("-o")
        .arg(&stem)
        .arg(live.pid.to_string())
        .output()
        .unwrap();
    assert!(gcore.status.success(), "{gcore:?}");
    let core = CoreMemory::open(&stem.with_extension(live.pid.to_string())).unwrap();
    assert_eq!(core.process().pid, live.pid);
    assert_eq!(core.executable_path(), Some(program.as_path()));
    let image = Arc::new(Image::open(&program).unwrap());
    let dead = Target::of_core(core, image, &program).unwrap();
    assert_eq!(dead.bias, live.bias);
    compare(&take(&live).unwrap(), &take(&dead).unwrap());
}

fn compare(live: &Snapshot, dead: &Snapshot) {
    assert!(dead.incomplete.is_empty(), "{:?}", dead.incomplete);
    assert_eq!(dead.threads.len(), live.threads.len());
    assert_eq!(dead.goroutines.len(), live.goroutines.len());
    for (live, dead) in live.goroutines.iter().zip(&dead.goroutines) {
        assert_eq!(dead.goid, live.goid);
        // gdb's stop may wake what waits in the kernel; what is parked stays as it is.
        if live.status.is_parked() && dead.status.is_parked() {
            assert_eq!(dead.waits_on, live.waits_on, "goroutine {}", live.goid);
            assert_eq!(dead.stack, live.stack, "goroutine {}", live.goid);
        }
    }
    assert_eq!(dead.objects, live.objects);
}
