//! The daemon where no probe tells who waits for a lock.

use std::ffi::OsStr;

use libtest_mimic::Trial;

use crate::{
    go::Flavour,
    running::{Daemon, GOSTUCK, Running, built, dying_with_us, get, wait_for},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "glances: without probes a lock cycle does not wait for the next routine look",
        &["setpriv"],
        a_cycle_does_not_wait_for_the_interval,
    )]
}

fn a_cycle_does_not_wait_for_the_interval() -> Result<(), String> {
    let program = built("bench/waits", Flavour::Pie)?;
    let (target, address) = Running::ready_at(&mut dying_with_us(program.as_os_str()))?;
    let mut command = dying_with_us(OsStr::new(GOSTUCK));
    // No routine look but the first, and no walk, comes to its help.
    command.args(["run", "--no-probes", "--no-reach", "--interval", "1h"]);
    let daemon = Daemon::start_by(command)?;
    let before = daemon.listed(target.pid())?;
    assert_eq!(before["findings"]["proven"], 0, "{before:#}");
    get(&address, "/deadlock").ok_or("no answer from the target")?;
    wait_for("the lock cycle", || {
        let listed = daemon.listed(target.pid())?;
        Ok((listed["findings"]["proven"] == 1).then_some(()))
    })
}
