//! `gostuck top`: the processes of this host in the terminal.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};

use super::{
    Failure,
    ending::{self, Ending},
    heap_walk_options,
    percent::share,
};
use crate::{
    daemon::{
        health::Health,
        kubernetes::Pods,
        probe_manager::{ProbeManager, Settings},
        process_table::ProcessTable,
        self_metrics::SelfMetrics,
        supervisor::{self, Selection, Shared, Supervisor},
        watchdog::{Subject, Watchdog},
    },
    document::Document,
    export::terminal::{Action, View},
    finding::{self},
    inspect::{InspectError, Inspector},
};
use ids::Pid;
use process::ImageLimits;
use resources::descriptors;

const AFTER_HELP: &str = "\
Examples:
  sudo gostuck top
  sudo gostuck top --command shop

AGO says when a process was last looked at.

Keys: arrows or j/k select, Enter opens a process, Tab changes between findings, goroutines and
threads, Enter on goroutines shows their stack, Esc goes back, r refreshes, q quits.";

/// How often the open process is looked at, and the list drawn anew.
const REFRESH: Duration = Duration::from_secs(2);
/// How long to wait for a key before drawing again.
const FRAME: Duration = Duration::from_millis(100);

/// Options of `gostuck top`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// Report a wait as suspected once it has lasted this long, where nothing proves a deadlock
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    stuck_after: Duration,
    /// How often to look at a process, where the budget allows
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// CPU budget as a share of one CPU: for the probes of each process, and for all inspections together
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    budget: f64,
    /// Place no probes: look at intervals only
    #[arg(long)]
    no_probes: bool,
    /// Never walk a heap for goroutines that nobody can wake any more
    #[arg(long)]
    no_reach: bool,
    #[command(flatten)]
    selection: Selection,
}

/// Shows the processes until the user quits.
///
/// # Errors
/// [`Failure`] without a terminal.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::with_next_step(
            anyhow::anyhow!("top needs a terminal"),
            "use `gostuck ps`, or `gostuck inspect PID`",
        ));
    }
    let ending = Ending::watch(None)?;
    descriptors::raise_limit_or_say();
    let inspector = Inspector::new(finding::Options {
        stuck_after: options.stuck_after,
        reach: heap_walk_options::of_many(options.no_reach),
        images: ImageLimits::of_daemon(None),
        budget: heap_walk_options::budget_of_daemon(),
        ..finding::Options::default()
    });
    let shared = Shared {
        inspector: Arc::new(inspector.until(ending.cancellation())),
        board: Arc::new(ProcessTable::default()),
        own: SelfMetrics::default(),
        pods: Arc::new(Pods::of_node(None)),
        health: Arc::new(Health::default()),
        stop: ending.cancellation(),
        attendance: Watchdog::default(),
    };
    let probing = ProbeManager::start(
        Settings {
            wanted: !options.no_probes,
            budget: options.budget,
        },
        shared.own.clone(),
    );
    let supervisor = Supervisor::new(
        shared.clone(),
        probing,
        supervisor::Options {
            interval: options.interval,
            stuck_after: options.stuck_after,
            growth_window: finding::GROWTH_WINDOW,
            budget: options.budget,
            selection: options.selection.clone(),
        },
    )?;
    let looking = thread::Builder::new()
        .name("gostuck-fleet".to_owned())
        .spawn(|| supervisor.run())?;
    let opened = Opened::start(Arc::clone(&shared.inspector), shared.attendance.clone())?;
    let mut terminal = ratatui::try_init()?;
    let outcome = show(&mut terminal, &shared, opened);
    ratatui::restore();
    shared.stop.request();
    ending::join(looking)?;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

fn show(terminal: &mut DefaultTerminal, shared: &Shared, mut opened: Opened) -> io::Result<()> {
    let mut view = View::default();
    while !shared.stop.is_requested() {
        let entries = shared.board.entries();
        let listed = entries.iter().map(|entry| entry.listed_now()).collect();
        view.set_processes(listed);
        opened.turn(&mut view);
        terminal.draw(|frame| view.draw(frame))?;
        if !event::poll(FRAME)? {
            continue;
        }
        let Event::Key(key) = event::read()? else {
            continue;
        };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match view.on_key(key) {
            Action::None => {}
            Action::Open(pid) => opened.open(Some(pid)),
            Action::Close => opened.open(None),
            Action::Refresh => opened.looked = None,
            Action::Quit => return Ok(()),
        }
    }
    Ok(())
}

/// One inspection of the process that is open.
fn look(
    inspector: &Arc<Inspector>,
    attendance: &Watchdog,
    pid: Pid,
) -> Result<Document, InspectError> {
    let subject = Subject {
        pid,
        owner: None,
        file: None,
    };
    let inspector = Arc::clone(inspector);
    let look = attendance.have_done(subject, move || inspector.look(pid))?;
    look.map(|look| Document::new(&look))
}

/// The process that is open, looked at beside the drawing: keys work meanwhile.
struct Opened {
    pid: Option<Pid>,
    wanted: Sender<Pid>,
    said: Receiver<(Pid, Result<Document, InspectError>)>,
    /// Whether an inspection is under way.
    busy: bool,
    /// When the last inspection of it ended.
    looked: Option<Instant>,
}

impl Opened {
    fn start(inspector: Arc<Inspector>, attendance: Watchdog) -> io::Result<Self> {
        let (wanted, pids) = channel();
        let (say, said) = channel();
        thread::Builder::new()
            .name("gostuck-opened".to_owned())
            .spawn(move || {
                for pid in pids {
                    let look = look(&inspector, &attendance, pid);
                    if say.send((pid, look)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            pid: None,
            wanted,
            said,
            busy: false,
            looked: None,
        })
    }

    fn open(&mut self, pid: Option<Pid>) {
        (self.pid, self.looked) = (pid, None);
    }

    /// Shows what was said of the process, and has it looked at when that is due.
    fn turn(&mut self, view: &mut View) {
        for (pid, said) in self.said.try_iter() {
            self.busy = false;
            if self.pid != Some(pid) {
                continue;
            }
            self.looked = Some(Instant::now());
            match said {
                Ok(document) => view.set_document(Arc::new(document)),
                Err(error) => view.set_trouble(error.to_string()),
            }
        }
        let due = self.looked.is_none_or(|at| at.elapsed() >= REFRESH);
        if let Some(pid) = self.pid.filter(|_| due && !self.busy) {
            // The thread ends only after us.
            self.busy = self.wanted.send(pid).is_ok();
        }
    }
}
