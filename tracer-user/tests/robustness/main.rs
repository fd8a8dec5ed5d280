//! End to end, by the real binary: targets that end, change, hide or lie. Whatever they do, there is
//! an answer or one clear line, and never a panic, a hang, or a word about the wrong process.

mod access;
mod changing;
mod crowd;
mod files;
#[path = "../support/go.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod go;
mod gostuck;
mod queues;
mod target;
mod versions;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

type Test = fn() -> Result<(), String>;

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
    let arguments = Arguments::from_args();
    if go::installed().is_empty() {
        eprintln!("no Go toolchain: run `cargo xtask setup --all-go`");
        return ExitCode::from(101);
    }
    // Reading other processes, changing the user and choosing pids need root.
    let root = nix::unistd::geteuid().is_root();
    let trials = TESTS.map(|(name, test)| {
        Trial::test(name, move || test().map_err(Failed::from)).with_ignored_flag(!root)
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}
