//! A node with neighbours that are costly to look at: how soon the daemon finds a deadlock in a small
//! process. docs/performance.md, "A node with costly neighbours".

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use super::{
    ended::Ended,
    http,
    numbers::{mebibytes, of, percent, seconds},
    page::Section,
    program::{self, Running},
    tool,
    used::used,
};
use crate::command::step;

/// The port that the measured daemon listens on, beside the usual one.
const LISTEN: &str = "127.0.0.1:19103";
/// How often the daemon is asked.
const STEP: Duration = Duration::from_millis(20);
/// What does not come in so long a time does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How large the node is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Goroutines that the leaking process has leaked
    #[arg(long, default_value_t = 200_000)]
    leaked: u32,
    /// Leaking processes
    #[arg(long, default_value_t = 1)]
    leaking: u32,
    /// Idle HTTP connections in the gateway's pool
    #[arg(long, default_value_t = 120)]
    connections: u32,
    /// Small processes that run all the time
    #[arg(long, default_value_t = 6)]
    small: u32,
    /// Processes that keep a CPU busy
    #[arg(long, default_value_t = 0)]
    busy: u32,
    /// Short-lived processes that start each second, each of which ends after three
    #[arg(long, default_value_t = 0)]
    churn: u32,
    /// A hundred processes with two million goroutines in all, two busy CPUs, and three more processes
    /// that start each second: --leaked 200000 --leaking 10 --small 87 --busy 2 --churn 3
    #[arg(long, conflicts_with_all = ["leaked", "leaking", "small", "busy", "churn"])]
    large: bool,
    /// Measure this gostuck, as it was built, instead of a release build
    #[arg(long, value_name = "FILE")]
    gostuck: Option<PathBuf>,
    /// Deadlocks, each in a small process of its own
    #[arg(long, default_value_t = 40)]
    rounds: u32,
}

impl Options {
    fn sized(&self, quick: bool) -> Self {
        let mut options = self.clone();
        if options.large {
            (options.leaked, options.leaking) = (200_000, 10);
            (options.small, options.busy, options.churn) = (87, 2, 3);
        }
        if quick {
            (options.leaked, options.rounds) = (20_000, 3);
        }
        options
    }
}

/// How long a short-lived process lives.
const SHORT: Duration = Duration::from_secs(3);

/// Has short-lived processes start and end until it is dropped.
struct Churn {
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Churn {
    fn start(program: &Path, each_second: u32) -> Self {
        let over = Arc::new(AtomicBool::new(each_second == 0));
        let is_over = Arc::clone(&over);
        let program = program.to_owned();
        let pause = Duration::from_secs(1) / each_second.max(1);
        let thread = thread::spawn(move || {
            let mut living = VecDeque::new();
            while !is_over.load(Ordering::Relaxed) {
                let started = Command::new(&program).stdout(Stdio::null()).spawn();
                living.extend(started.ok().map(|child| (Instant::now(), Ended(child))));
                while living
                    .front()
                    .is_some_and(|(since, _)| since.elapsed() > SHORT)
                {
                    living.pop_front();
                }
                thread::sleep(pause);
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends what it has started.
            let _ = thread.join();
        }
    }
}

/// What one small process had to wait for, in seconds.
#[derive(Debug)]
struct Round {
    /// From its start until it is in the list.
    listed: f64,
    /// From then until it has been looked at.
    looked: f64,
    /// From the deadlock until that is proven.
    proven: f64,
}

pub(crate) fn run(options: &Options, quick: bool) -> Result<()> {
    let options = &options.sized(quick);
    let gostuck = options.gostuck.clone().map_or_else(tool::gostuck, Ok)?;
    let waits = program::build("bench/waits")?;
    let neighbour = program::build("bench/node")?;
    step("starting the neighbours");
    let small = (0..options.small.max(1))
        .map(|_| Running::start(&mut Command::new(&waits)))
        .collect::<Result<Vec<_>>>()?;
    let server = small.first().context("no small process")?.address.clone();
    let start = |arguments: &[&str]| Running::start(Command::new(&neighbour).args(arguments));
    let mut neighbours = vec![start(&[
        "gateway",
        &server,
        &options.connections.to_string(),
    ])?];
    for _ in 0..options.leaking {
        neighbours.push(start(&["leak", &options.leaked.to_string()])?);
    }
    for _ in 0..options.busy {
        neighbours.push(start(&["busy"])?);
    }
    let churn = Churn::start(&waits, options.churn);
    let began = Instant::now();
    let daemon = Ended(
        Command::new(&gostuck)
            .args(["run", "--listen", LISTEN])
            .args(["--command", "bench-waits", "--command", "bench-node"])
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the daemon")?,
    );
    let ready = until("the daemon to be ready", || {
        Ok(http::get(LISTEN, "/readyz").is_ok())
    })?;
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        let round = round(&waits)?;
        step(&format!("round {number}: {round:?}"));
        rounds.push(round);
    }
    let used = used(daemon.0.id())?;
    let share = of(used.cpu) / of(began.elapsed());
    drop((neighbours, churn));
    let (title, command) = match options.large {
        false => ("A node with costly neighbours", "bench node"),
        true => ("A node with a hundred processes", "bench node --large"),
    };
    let what = format!(
        "`cargo xtask {command}`, as root. Beside the processes of the first line the daemon runs with its \
         defaults. Each round starts one more small server, waits until the daemon has looked at it, has two \
         of its goroutines lock each other out, and asks the daemon every 20 ms until it calls that proven.",
    );
    let mut section = Section::new(title, &what);
    section.text(&format!(
        "{} with {} leaked goroutines, a gateway with {} idle HTTP connections in its pool, {} small \
         servers, {} that keep a CPU busy, {} that start each second and end after three; {} rounds. `/readyz` after {}; CPU of the daemon over the run, its \
         start included: {}; resident at the end: {}.",
        processes(options.leaking),
        options.leaked,
        options.connections,
        options.small,
        options.busy,
        options.churn,
        options.rounds,
        seconds(ready),
        percent(share),
        mebibytes(used.resident),
    ));
    if options.gostuck.is_some() {
        section.text("Measured with the gostuck that `--gostuck` named, not with a release build.");
    }
    let row = |what: &str, of: fn(&Round) -> f64| {
        let mut times: Vec<f64> = rounds.iter().map(of).collect();
        times.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| {
            let place = (times.len() * percent).div_ceil(100).max(1) - 1;
            seconds(times.get(place).copied().unwrap_or_default())
        };
        vec![what.to_owned(), at(50), at(99), at(100)]
    };
    section.table(
        &["", "p50", "p99", "max"],
        &[
            row("from its start until it is listed", |round| round.listed),
            row("from then until it has been looked at", |round| {
                round.looked
            }),
            row("from the deadlock until it is proven", |round| round.proven),
        ],
    );
    section.publish(quick)
}

fn round(waits: &Path) -> Result<Round> {
    let target = Running::start(&mut Command::new(waits))?;
    let pid = target.pid();
    let listed = until("a new process to be listed", || Ok(listed(pid)?.is_some()))?;
    let looked = until("a new process to be looked at", || {
        Ok(listed_field(pid, "/last_look_seconds_ago")?.is_some())
    })?;
    // Not always at the same moment after a look.
    thread::sleep(Duration::from_millis(u64::from(pid % 20) * 100));
    let locked = http::get(&target.address, "/deadlock")?;
    let locked: u64 = String::from_utf8_lossy(&locked).trim().parse()?;
    until("a deadlock to be proven", || {
        Ok(listed_field(pid, "/findings/proven")?.is_some_and(|number| number > 0))
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Round {
        listed,
        looked,
        proven: of(now.saturating_sub(Duration::from_nanos(locked))),
    })
}

/// How many seconds pass until `is` holds.
fn until(what: &str, is: impl Fn() -> Result<bool>) -> Result<f64> {
    let began = Instant::now();
    while !is()? {
        if began.elapsed() > PATIENCE {
            bail!("waited for {what} in vain");
        }
        thread::sleep(STEP);
    }
    Ok(of(began.elapsed()))
}

/// The process in the daemon's list.
fn listed(pid: u32) -> Result<Option<Value>> {
    let list: Value = serde_json::from_slice(&http::get(LISTEN, "/api/v1/processes")?)?;
    let processes = list["processes"].as_array().into_iter().flatten();
    let mut processes = processes.filter(|process| process["pid"] == pid);
    Ok(processes.next().cloned())
}

fn listed_field(pid: u32, pointer: &str) -> Result<Option<u64>> {
    let listed = listed(pid)?;
    Ok(listed.and_then(|process| process.pointer(pointer)?.as_u64()))
}

fn processes(number: u32) -> String {
    match number {
        1 => "A process".to_owned(),
        _ => format!("{number} processes"),
    }
}
