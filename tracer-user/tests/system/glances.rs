//! The daemon where no probe tells who waits for a lock.

use libtest_mimic::Trial;
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    http,
    process::{Process, quiet},
    wait::for_some,
};

use crate::{GOSTUCK, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "glances: without probes a lock cycle does not wait for the next routine look",
        &[],
        a_cycle_does_not_wait_for_the_interval,
    )]
}

fn a_cycle_does_not_wait_for_the_interval() -> Result {
    let program = newest("bench/waits", Flavour::Pie)?;
    let target = Process::run(&program)?;
    let mut command = quiet(GOSTUCK);
    // No routine look but the first, and no walk, comes to its help.
    command.args(["run", "--no-probes", "--no-reach", "--interval", "1h"]);
    let daemon = Daemon::start(command)?;
    let before = daemon.listed(target.pid())?;
    assert_eq!(before["findings"]["proven"], 0, "{before:#}");
    http::get(target.address(), "/deadlock").ok_or("no answer from the target")?;
    for_some("the lock cycle", || {
        let listed = daemon.listed(target.pid())?;
        Ok((listed["findings"]["proven"] == 1).then_some(()))
    })
}
