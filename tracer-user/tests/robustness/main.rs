//! End to end, by the real binary: targets that end, change, hide or lie. Whatever they do, there is
//! an answer or one clear line, and never a panic, a hang, or a word about the wrong process.

mod access;
mod changing;
mod crowd;
mod files;
mod gostuck;
mod queues;
mod target;
mod versions;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use testing::{
    Result,
    go::{NEWEST, OLDEST},
    trials::{Need, trial},
};

type Test = fn() -> Result;

const TESTS: [(&str, Test); 16] = [
    ("ends while it is read", changing::ends_while_read),
    ("starts while it is read", changing::starts_while_read),
    (
        "becomes another program while it is watched",
        changing::execs_while_watched,
    ),
    ("its pid is used again", changing::pid_used_again),
    ("hundreds of short lives under run", crowd::short_lives),
    ("a hundred thousand goroutines", crowd::many_goroutines),
    (
        "twice as many waiting take twice the memory",
        queues::in_proportion,
    ),
    ("deleted while it runs", files::deleted),
    ("replaced while it runs", files::replaced),
    ("truncated or broken files", files::truncated),
    ("no permission", access::denied),
    ("no such process", access::no_such_process),
    ("not a Go program", access::not_go),
    ("a version not known yet", versions::newer),
    (
        "a version not known yet, of another layout",
        versions::newer_of_another_layout,
    ),
    ("versions that are not supported", versions::unsupported),
];

fn main() -> ExitCode {
    if let Some(done) = queues::meter() {
        return done;
    }
    // Reading other processes, changing the user and choosing pids need root.
    let needs = [Need::Root, Need::Go(NEWEST), Need::Go(OLDEST)];
    let trials = TESTS.map(|(name, test)| trial(name, &needs, test));
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}
