//! The daemon over many short lives: docs/performance.md, "Churn".

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    ended::Ended,
    http,
    numbers::{mebibytes, of, percent},
    page::Section,
    program::{self, Running},
    tool,
    used::used,
};
use crate::command::step;

const LISTEN: &str = "127.0.0.1:19104";
/// How long processes live, in turns: too short to be probed, probed, and looked at.
const LIVES: [Duration; 3] = [
    Duration::from_millis(60),
    Duration::from_millis(700),
    Duration::from_millis(3_500),
];
/// What the daemon may cost: enough for probes on the process that makes goroutines to stay.
const BUDGET: &str = "20%";

/// How much of what, in how long a time.
#[derive(Debug, Clone, Copy)]
struct Amount {
    processes: usize,
    goroutines: usize,
    length: Duration,
    rows: u32,
}

pub(crate) fn run(quick: bool) -> Result<()> {
    let amount = if quick {
        Amount {
            processes: 250,
            goroutines: 250_000,
            length: Duration::from_secs(15),
            rows: 3,
        }
    } else {
        Amount {
            processes: 10_000,
            goroutines: 10_000_000,
            length: Duration::from_secs(3_600),
            rows: 12,
        }
    };
    let mut section = Section::new(
        "Churn",
        &format!(
            "`cargo xtask bench churn`, as root. Go 1.27.3 processes with twenty parked goroutines start one \
             after another and are killed after 0.06 s, 0.7 s or 3.5 s, while another process makes \
             goroutines that wait for a channel and end. `gostuck run --budget {BUDGET}` follows them all; \
             its memory is resident memory, its files are open file descriptors.",
        ),
    );
    let gostuck = tool::gostuck()?;
    let waits = program::build("bench/waits")?;
    let parked = program::build("bench/parked")?;
    let maker = Running::start(&mut Command::new(waits))?;
    let daemon = Ended(
        Command::new(&gostuck)
            .args(["run", "--budget", BUDGET, "--listen", LISTEN])
            .args(["--command", "bench-waits", "--command", "bench-parked"])
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the daemon")?,
    );
    thread::sleep(Duration::from_secs(4));
    let rows = churn(&maker, &daemon, &parked, amount)?;
    let metrics = String::from_utf8_lossy(&http::get(LISTEN, "/metrics")?).into_owned();
    let total = |name: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>()
    };
    section.table(
        &[
            "after",
            "processes ended",
            "goroutines made",
            "memory",
            "files",
            "CPU since the row before",
        ],
        &rows,
    );
    section.text(&format!(
        "At the end {} looks had been made, {} events had been read, and {} records were lost. A while \
         later {} process was followed: the one that still ran.",
        total("gostuck_snapshots_total"),
        total("gostuck_events_total"),
        total("gostuck_events_lost_total"),
        followed()?,
    ));
    section.publish(quick)
}

/// Starts and ends everything; a row of figures now and then.
fn churn(
    maker: &Running,
    daemon: &Ended,
    parked: &Path,
    amount: Amount,
) -> Result<Vec<Vec<String>>> {
    step(&format!(
        "{} processes and {} goroutines in {:.0?}",
        amount.processes, amount.goroutines, amount.length
    ));
    let address = maker.address.clone();
    let path = format!(
        "/spawn?n={}&ms={}",
        amount.goroutines,
        amount.length.as_millis()
    );
    let goroutines = thread::spawn(move || http::get(&address, &path));
    let started = Instant::now();
    let every = amount.length / u32::try_from(amount.processes)?;
    let mut lives = Lives::default();
    let mut rows = Vec::new();
    let mut last = (started, used(daemon.0.id())?);
    for row in 1..=amount.rows {
        let end = started + amount.length * row / amount.rows;
        while Instant::now() < end {
            lives.end_due();
            let begun = u32::try_from(lives.begun)?;
            if lives.begun < amount.processes && started + every * begun <= Instant::now() {
                lives.begin(parked)?;
            } else {
                thread::sleep(Duration::from_millis(10));
            }
        }
        let (now, uses) = (Instant::now(), used(daemon.0.id())?);
        let share = of(uses.cpu.saturating_sub(last.1.cpu)) / of(now - last.0);
        last = (now, uses);
        let made = http::get(&maker.address, "/spawned")?;
        let cells = vec![
            format!("{:.0} s", of(now - started)),
            lives.ended.to_string(),
            String::from_utf8_lossy(&made).trim().to_owned(),
            mebibytes(uses.resident),
            files(daemon)?.to_string(),
            percent(share),
        ];
        step(&cells.join(", "));
        rows.push(cells);
    }
    let made = goroutines.join();
    made.map_err(|_| anyhow::anyhow!("the request broke off"))??;
    Ok(rows)
}

/// The short-lived processes.
#[derive(Default)]
struct Lives {
    begun: usize,
    ended: usize,
    /// By length of life, the next to end first.
    running: [VecDeque<(Instant, Ended)>; LIVES.len()],
}

impl Lives {
    fn begin(&mut self, program: &Path) -> Result<()> {
        let which = self.begun % LIVES.len();
        let child = Command::new(program)
            .arg("20")
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a process")?;
        self.running[which].push_back((Instant::now() + LIVES[which], Ended(child)));
        self.begun += 1;
        Ok(())
    }

    fn end_due(&mut self) {
        let now = Instant::now();
        for running in &mut self.running {
            while running.front().is_some_and(|(due, _)| *due <= now) {
                running.pop_front();
                self.ended += 1;
            }
        }
    }
}

fn files(daemon: &Ended) -> Result<usize> {
    let path = PathBuf::from(format!("/proc/{}/fd", daemon.0.id()));
    Ok(fs::read_dir(path)?.count())
}

/// How many processes the daemon follows once those that ended have been noticed.
fn followed() -> Result<usize> {
    thread::sleep(Duration::from_secs(15));
    let list = http::get(LISTEN, "/api/v1/processes")?;
    let list: serde_json::Value = serde_json::from_slice(&list)?;
    Ok(list["processes"].as_array().map_or(0, Vec::len))
}
