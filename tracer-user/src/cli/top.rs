//! `gostuck top`: the processes of this host in the terminal.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
    fleet::{self, Fleet, Selection, Shared},
    percent::share,
    probing::{Probing, Settings},
    walking,
};
use crate::{
    export::{
        board::Board,
        document::Document,
        http::Health,
        metrics::Own,
        terminal::{Action, View},
    },
    finding::{self, Looker},
    ids::Pid,
    process::Pods,
};

const AFTER_HELP: &str = "\
Examples:
  sudo gostuck top
  sudo gostuck top --command shop

Keys: arrows or j/k select, Enter opens a process, Tab changes between findings, goroutines and
threads, Enter on goroutines shows their stack, Esc goes back, r refreshes, q quits.";

/// How often the open process is looked at, and the list drawn anew.
const REFRESH: Duration = Duration::from_secs(2);
/// How long to wait for a key before drawing again.
const FRAME: Duration = Duration::from_millis(250);

/// Options of `gostuck top`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// From when on a wait is told of, without proof of a deadlock
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    stuck_after: Duration,
    /// How often to look at a process, where the budget allows
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// What tracing may cost, as a share of one CPU: probes each process, and looks at all of them
    /// gostuck
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
    let shared = Shared {
        looker: Arc::new(Looker::new(finding::Options {
            stuck_after: options.stuck_after,
            reach: walking::of_many(options.no_reach),
            ..finding::Options::default()
        })),
        board: Arc::new(Board::default()),
        own: Own::default(),
        pods: Arc::new(Pods::of_node(None)),
        health: Arc::new(Health::default()),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let probing = Probing::start(
        Settings {
            wanted: !options.no_probes,
            budget: options.budget,
        },
        shared.own.clone(),
    );
    let fleet = Fleet::new(
        shared.clone(),
        probing,
        fleet::Options {
            interval: options.interval,
            stuck_after: options.stuck_after,
            budget: options.budget,
            selection: options.selection.clone(),
        },
    )?;
    let looking = thread::Builder::new()
        .name("gostuck-fleet".to_owned())
        .spawn(|| fleet.run())?;
    let mut terminal = ratatui::try_init()?;
    let outcome = show(&mut terminal, &shared);
    ratatui::restore();
    shared.stop.store(true, Ordering::Relaxed);
    if looking.join().is_err() {
        return Err(anyhow::anyhow!("the looking side broke off").into());
    }
    outcome?;
    Ok(ExitCode::SUCCESS)
}

fn show(terminal: &mut DefaultTerminal, shared: &Shared) -> io::Result<()> {
    let mut view = View::default();
    let mut open: Option<Pid> = None;
    let mut looked = None;
    loop {
        let entries = shared.board.entries();
        let listed = entries.iter().map(|entry| entry.listed.clone()).collect();
        view.set_processes(listed);
        let due = looked.is_none_or(|at: Instant| at.elapsed() >= REFRESH);
        if let Some(pid) = open.filter(|_| due) {
            look(shared, pid, &mut view);
            looked = Some(Instant::now());
        }
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
            Action::Open(pid) => {
                open = Some(pid);
                looked = None;
            }
            Action::Close => open = None,
            Action::Refresh => looked = None,
            Action::Quit => return Ok(()),
        }
    }
}

fn look(shared: &Shared, pid: Pid, view: &mut View) {
    match shared.looker.look(pid) {
        Ok(look) => view.set_document(Arc::new(Document::new(&look))),
        Err(error) => view.set_trouble(error.to_string()),
    }
}
