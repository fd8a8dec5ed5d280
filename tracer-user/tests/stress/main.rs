//! Looks again and again at healthy programs that do nasty things with locks, while they run: none of
//! their goroutines may ever be proven stuck. A verdict comes out of two looks at a moving target,
//! so each pair of looks is another chance to be wrong.
//!
//! Each installed Go gets `GOSTUCK_STRESS_SECONDS` (by default 10) shared by all programs. Needs Go
//! toolchains and root.

#[path = "../support/go.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod go;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use tracer_user::{
    finding::{Options, Verdict},
    ids::Pid,
    inspect::{History, Inspector},
};

use go::{Flavour, Toolchain};

/// The programs, below `programs/`.
const PROGRAMS: [(&str, Flavour); 6] = [
    ("healthy/locks", Flavour::Plain),
    ("healthy/patterns", Flavour::Stripped),
    ("healthy/services", Flavour::Plain),
    ("healthy/native", Flavour::Cgo),
    ("healthy/locks", Flavour::NoOptimisation),
    ("healthy-locks", Flavour::Stripped),
];
/// How long one Go version is tried by default.
const SECONDS: u64 = 10;
/// How long a program may take to say READY.
const START_LIMIT: Duration = Duration::from_secs(30);

fn main() {
    let arguments = Arguments::from_args();
    let root = nix::unistd::geteuid().is_root();
    let toolchains = go::installed();
    if toolchains.is_empty() {
        eprintln!("no Go toolchain: run `cargo xtask setup --all-go`");
        std::process::exit(101);
    }
    let trials = toolchains.into_iter().map(|toolchain| {
        Trial::test(format!("Go {}", toolchain.version), move || {
            stress(&toolchain).map_err(Failed::from)
        })
        // Reading another process's memory needs root or a lenient ptrace scope.
        .with_ignored_flag(!root)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn stress(toolchain: &Toolchain) -> Result<(), String> {
    let asked = std::env::var("GOSTUCK_STRESS_SECONDS").ok();
    let seconds = asked.and_then(|n| n.parse().ok()).unwrap_or(SECONDS);
    let each = Duration::from_secs(seconds) / u32::try_from(PROGRAMS.len()).unwrap_or(1);
    let mut total = Tally::default();
    for (name, flavour) in PROGRAMS {
        let program = go::build(toolchain, name, flavour)?;
        let looks = watch(&program, each).map_err(|why| format!("{name}, {flavour}: {why}"))?;
        if looks.made == 0 {
            return Err(format!("{name}, {flavour}: no look succeeded"));
        }
        total.made += looks.made;
        total.suspicious += looks.suspicious;
    }
    println!(
        "Go {}: {} looks, {} of which suspected something, none proved anything",
        toolchain.version, total.made, total.suspicious
    );
    Ok(())
}

#[derive(Default)]
struct Tally {
    made: u64,
    /// Looks with a suspicion that only a further look could clear.
    suspicious: u64,
}

/// A running program, ended when dropped.
struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path) -> Result<Target, String> {
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start: {error}"))?;
    let output = child.stdout.take().ok_or("no output")?;
    let target = Target(child);
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let _ = ready.send(lines.any(|line| line == "READY"));
    });
    match is_ready.recv_timeout(START_LIMIT) {
        Ok(true) => Ok(target),
        _ => Err("the program never said READY".into()),
    }
}

/// Looks at `program` for `time`, in turn through one looker and at a process that it has seen
/// before.
fn watch(program: &Path, time: Duration) -> Result<Tally, String> {
    let target = start(program)?;
    let pid = Pid(target.0.id());
    let looker = Inspector::new(Options::default());
    let mut past = History::default();
    let mut tally = Tally::default();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let look = match tally.made % 2 {
            0 => looker.look(pid),
            _ => looker.reinspect(pid, &mut past),
        };
        let diagnosis = look.map_err(|error| error.to_string())?.diagnosis;
        let proven: Vec<_> = diagnosis
            .findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::Proven)
            .collect();
        if !proven.is_empty() {
            return Err(format!("after {} looks: {proven:#?}", tally.made));
        }
        tally.made += 1;
        tally.suspicious += u64::from(!diagnosis.findings.is_empty());
    }
    Ok(tally)
}
