//! One program: started, looked at again and again, and compared.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testing::{
    Result,
    go::Toolchain,
    process::{self, Process},
};
use tracer_user::{
    document::Document,
    finding::Options,
    ids::Pid,
    inspect::{History, Inspector},
};

use crate::{
    build::{self, Flavour},
    compare::{Fault, compare},
    generate::{self, Program},
    shadow::Table,
    tally::Tally,
};

/// Goroutines that are dead for so long are to be proven stuck.
const SETTLED: Duration = Duration::from_secs(1);
/// How long a goroutine of a healthy program may take to move on, so that a proof is known to be wrong.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks, so that the program gets on on a machine with few CPUs.
const PAUSE: Duration = Duration::from_millis(5);

/// What to watch and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) seed: u64,
    pub(crate) toolchain: Toolchain,
    pub(crate) flavour: Flavour,
    /// Looks at most.
    pub(crate) looks: u64,
    /// Time at most, from the first look on.
    pub(crate) time: Duration,
    /// Where programs that show a fault are kept.
    pub(crate) failures: PathBuf,
}

/// A running program, ended when dropped.
#[derive(Debug)]
struct Running {
    process: Process,
    table: PathBuf,
}

impl Running {
    fn start(executable: &Path, program: &Program) -> Result<Self> {
        let table = executable.with_file_name("table");
        Table::create(&table, program)?;
        let errors = fs::File::create(executable.with_file_name("stderr"))
            .map_err(|error| error.to_string())?;
        let mut command = process::quiet(executable);
        let process = Process::ready(command.arg(&table).stderr(errors))?;
        Ok(Self { process, table })
    }

    fn table(&self, program: &Program) -> Result<Table> {
        Table::read(&self.table, program)
    }

    /// Says how the program ended, if it did.
    fn ended(&mut self) -> Option<String> {
        let status = self.process.ended().ok()??;
        let errors = fs::read_to_string(self.table.with_file_name("stderr")).unwrap_or_default();
        let errors: String = errors.chars().take(2000).collect();
        Some(format!("the program ended by itself: {status}\n{errors}"))
    }
}

/// Generates, builds and watches the program of `job`, in `folder`.
///
/// # Errors
/// What is wrong with the program itself, or why it could not be looked at.
pub(crate) fn watch(job: &Job, folder: &Path) -> Result<Tally> {
    let target = generate::Target {
        minor: job.toolchain.minor,
        cgo: job.flavour.cgo,
    };
    let program = generate::program(job.seed, target);
    let named = |why: String| {
        format!(
            "seed {}, Go {}, {}: {why}",
            job.seed,
            job.toolchain.version,
            job.flavour.name()
        )
    };
    let executable = build::build(job.toolchain, &program, job.flavour, folder).map_err(named)?;
    let running = Running::start(&executable, &program).map_err(named)?;
    let mut watcher = Watcher {
        job,
        program: &program,
        running,
        folder,
        tally: Tally::default(),
        dead_since: HashMap::new(),
    };
    watcher.tally.programs = 1;
    watcher.looks().map_err(named)?;
    Ok(watcher.tally)
}

struct Watcher<'j> {
    job: &'j Job,
    program: &'j Program,
    running: Running,
    folder: &'j Path,
    tally: Tally,
    /// When each unit was first seen dead.
    dead_since: HashMap<usize, Instant>,
}

impl Watcher<'_> {
    /// Looks until a false proof, in turn freshly and at a process that was seen before.
    fn looks(&mut self) -> Result {
        let looker = Inspector::new(Options::default());
        let mut past = History::default();
        let pid = Pid(self.running.process.pid());
        let begun = Instant::now();
        while self.tally.looks < self.job.looks && begun.elapsed() < self.job.time {
            let before = self.running.table(self.program)?;
            let settled = self.settled(&before);
            let fresh = self.tally.looks.is_multiple_of(2);
            let look = if fresh {
                looker.look(pid)
            } else {
                looker.reinspect(pid, &mut past)
            };
            let look = match look {
                Ok(look) => look,
                Err(error) => return Err(self.running.ended().unwrap_or(error.to_string())),
            };
            let after = self.running.table(self.program)?;
            let document =
                serde_json::to_value(Document::new(&look)).map_err(|error| error.to_string())?;
            self.tally.looks += 1;
            let comparison = compare(self.program, &document, &before, &after);
            self.tally.holders += comparison.holders;
            if fresh {
                self.recall(&settled, &comparison.proven);
            }
            for fault in &comparison.faults {
                if self.fault(fault, &document, &before, &after)? {
                    return Ok(());
                }
            }
            if let Some(end) = self.running.ended() {
                return Err(end);
            }
            if let Some(goid) = after.risen() {
                return Err(format!("goroutine {goid} was to be dead and went on"));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Goroutines that have been dead for long enough, each with its unit.
    fn settled(&mut self, table: &Table) -> Vec<(u64, usize)> {
        let now = Instant::now();
        for unit in 0..self.program.units.len() {
            if table.is_dead(unit) {
                self.dead_since.entry(unit).or_insert(now);
            }
        }
        let mut dead = table.dead();
        dead.retain(|(_, unit)| {
            let since = self.dead_since.get(unit);
            since.is_some_and(|since| now.duration_since(*since) > SETTLED)
        });
        dead
    }

    fn recall(&mut self, settled: &[(u64, usize)], proven: &[u64]) {
        for (goid, unit) in settled {
            let kind = self.program.units[*unit];
            let of = self.tally.recall.entry(kind).or_default();
            of.dead += 1;
            of.proven += u64::from(proven.contains(goid));
        }
    }

    /// Counts `fault` and keeps the program; returns whether nothing more is to be learnt from it.
    fn fault(
        &mut self,
        fault: &Fault,
        document: &Value,
        before: &Table,
        after: &Table,
    ) -> Result<bool> {
        match fault {
            Fault::Proof { finding, alive } => {
                let Some(moved) = self.moved_on(alive, after)? else {
                    return Ok(false);
                };
                self.tally.false_proofs += 1;
                let kind = finding["kind"].as_str().unwrap_or("unknown").to_owned();
                let summary = finding["summary"].as_str().unwrap_or_default();
                let what = format!(
                    "FALSE PROOF in look {}: {kind}: {summary}\n{moved}",
                    self.tally.looks
                );
                *self.tally.false_kinds.entry(kind).or_default() += 1;
                self.keep(&what, finding, document, before, after)?;
                Ok(true)
            }
            Fault::Holder {
                lock,
                named,
                truth,
                object,
            } => {
                self.tally.wrong_holders += 1;
                if self.tally.wrong_holders == 1 {
                    let what = format!(
                        "WRONG HOLDER in look {}: goroutine {named} is said to hold {} for certain: {truth}",
                        self.tally.looks, self.program.locks[*lock]
                    );
                    self.keep(&what, object, document, before, after)?;
                }
                Ok(false)
            }
        }
    }

    /// Waits until one of `alive` has moved since `then`, and says so; `None` when all of them have
    /// come to their ends instead.
    fn moved_on(&mut self, alive: &[u64], then: &Table) -> Result<Option<String>> {
        let begun = Instant::now();
        loop {
            let now = self.running.table(self.program)?;
            for goid in alive {
                let progress = |table: &Table| Some(table.row(table.slot_of(*goid)?).progress());
                let (was, is) = (progress(then), progress(&now));
                if is != was {
                    return Ok(Some(format!(
                        "but goroutine {goid} went on ({was:?} to {is:?} after {:?})",
                        begun.elapsed()
                    )));
                }
            }
            if alive.iter().all(|goid| now.death_of(*goid).is_some()) {
                return Ok(None);
            }
            if let Some(end) = self.running.ended() {
                return Err(end);
            }
            if begun.elapsed() > PATIENCE {
                return Ok(Some(format!(
                    "UNCONFIRMED: none of {alive:?} moved within {PATIENCE:?}: not in the table, or the program is not as healthy as it is meant to be"
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Puts the program aside, with a report.
    fn keep(
        &mut self,
        what: &str,
        detail: &Value,
        document: &Value,
        before: &Table,
        after: &Table,
    ) -> Result {
        let Job {
            seed, toolchain, ..
        } = self.job;
        let flavour = self.job.flavour.name();
        let kind = if what.starts_with("FALSE") {
            "proof"
        } else {
            "holder"
        };
        let kept = self
            .job
            .failures
            .join(format!("{kind}-{seed}-{}-{flavour}", toolchain.version));
        let mut report = format!(
            "{what}\nseed {seed}, Go {}, {flavour}\n\n{detail:#}\n\n",
            toolchain.version
        );
        for (name, table) in [("before", before), ("after", after)] {
            let _ = writeln!(report, "The table {name} the look:");
            report.push_str(&describe(self.program, table));
        }
        let write = |name: &str, text: &str| {
            fs::write(kept.join(name), text).map_err(|error| error.to_string())
        };
        fs::create_dir_all(&kept).map_err(|error| error.to_string())?;
        write("report.txt", &report)?;
        write("document.json", &format!("{document:#}"))?;
        for name in ["main.go", "go.mod"] {
            fs::copy(self.folder.join(name), kept.join(name)).map_err(|error| error.to_string())?;
        }
        self.tally.kept.push(format!(
            "{what}\n  seed {seed}, Go {}, {flavour}: {}",
            toolchain.version,
            kept.display()
        ));
        Ok(())
    }
}

/// The rows of goroutines that say something, in words.
fn describe(program: &Program, table: &Table) -> String {
    let mut text = String::new();
    for slot in 0..program.rows {
        let row = table.row(slot);
        if row.goid() == 0 {
            continue;
        }
        let role = program.goroutines.get(slot).map_or("short-lived", |r| r);
        let held = (0..program.locks.len()).filter(|lock| row.holds(*lock));
        let held: Vec<&str> = held.map(|lock| program.locks[lock].as_str()).collect();
        let wants = row.wants().and_then(|lock| program.locks.get(lock));
        let _ = writeln!(
            text,
            "  goroutine {}, {role}, state {}, progress {}, holds {held:?}, wants {wants:?}",
            row.goid(),
            row.state(),
            row.progress()
        );
    }
    let owners: BTreeMap<&str, u64> = (0..program.locks.len())
        .filter_map(|lock| {
            let owner = table.lock(lock).owner()?;
            Some((program.locks[lock].as_str(), table.row(owner).goid()))
        })
        .collect();
    let _ = writeln!(text, "  owners {owners:?}\n");
    text
}
