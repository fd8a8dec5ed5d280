//! Probes on the processes that are followed: attached, kept within the budget, and read, on a
//! thread of their own. `watch`, the daemon and the terminal view follow through it.
//!
//! Where there can be no probes, the rest works nevertheless: everything here is then empty, and
//! [`ProbeManager::trouble`] says why.

mod governed;
mod news;
mod switch;
mod tracker;

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use self::tracker::ProbeTracker;
pub use self::{news::ProbeUpdates, switch::Switch};
use crate::{
    daemon::{
        process_table::{LevelChanges, Mode},
        self_metrics::SelfMetrics,
    },
    timeline::Parked,
};
use ids::Pid;
use image::Image;
use probes::{Budget, ImageFile, Interrupter, Options, ProbeError, Probes, WaitHistogram};

/// How to probe.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether to probe at all.
    pub wanted: bool,
    /// What probes may cost a process, as a share of one CPU.
    pub budget: f64,
}

/// How a process is probed now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbeStatus {
    /// By which means its waits are known.
    pub mode: Mode,
    /// What the probes cost it lately, as a share of one CPU; `None` without probes.
    pub cost_ratio: Option<f64>,
    /// Whether they are off because they cost too much.
    pub over_budget: bool,
    /// How often they came off for that, and back.
    pub switches: LevelChanges,
}

/// The probes, if there are any. Dropping it detaches them all.
pub struct ProbeManager {
    work: Result<Work, String>,
}

/// The thread that reads, and what it shares.
struct Work {
    desk: Arc<Desk>,
    interrupter: Interrupter,
    thread: Option<JoinHandle<()>>,
}

struct Desk {
    tracker: Mutex<ProbeTracker>,
    news: Condvar,
    stop: AtomicBool,
}

impl Desk {
    fn tracker(&self) -> MutexGuard<'_, ProbeTracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProbeManager {
    /// Loads and calibrates the probes; where that fails, says so on the log, once.
    pub fn start(settings: Settings, own: SelfMetrics) -> Self {
        if !settings.wanted {
            return Self::none("not wanted".to_owned());
        }
        match Work::start(settings, own) {
            Ok(work) => Self { work: Ok(work) },
            Err(error) => {
                tracing::warn!(%error, "NO PROBES: processes are looked at by intervals only");
                Self::none(error.to_string())
            }
        }
    }

    const fn none(why: String) -> Self {
        Self { work: Err(why) }
    }

    /// Why there are no probes; `None` when there are.
    pub fn trouble(&self) -> Option<&str> {
        self.work.as_ref().err().map(String::as_str)
    }

    fn tracker(&self) -> Option<MutexGuard<'_, ProbeTracker>> {
        self.work.as_ref().ok().map(|work| work.desk.tracker())
    }

    /// Attaches to a process that runs `image` from the file at `exe`. One that is probed already
    /// stays so; one that could not be attached to is not tried again.
    pub fn attach(&self, pid: Pid, exe: &Path, image: &Arc<Image>) {
        if self.work.is_ok() {
            self.attach_to(pid, ImageFile::of_image(exe, image), image);
        }
    }

    /// Likewise from `file`, which was opened before: waits for nothing that serves it.
    pub fn attach_to(&self, pid: Pid, file: Result<ImageFile, ProbeError>, image: &Arc<Image>) {
        if let Some(mut tracker) = self.tracker() {
            tracker.attach(pid, file, image);
        }
    }

    /// Whether processes that start and that end are told of.
    pub const fn tells_of_processes(&self) -> bool {
        self.work.is_ok()
    }

    /// Ends the probing of a process.
    pub fn detach(&self, pid: Pid) {
        if let Some(mut tracker) = self.tracker() {
            tracker.detach(pid);
        }
    }

    /// How a process is probed now.
    pub fn standing(&self, pid: Pid) -> ProbeStatus {
        self.tracker().map_or(
            ProbeStatus {
                mode: Mode::Snapshots,
                cost_ratio: None,
                over_budget: false,
                switches: LevelChanges::default(),
            },
            |tracker| tracker.standing(pid),
        )
    }

    /// How long the waits of a process lasted, by reason.
    pub fn histograms(&self, pid: Pid) -> Vec<WaitHistogram> {
        let tracker = self.tracker();
        tracker.map_or_else(Vec::new, |tracker| tracker.histograms(pid))
    }

    /// Who is parked for longer than a moment in a process; `None` when probes cannot tell.
    pub fn parked(&self, pid: Pid) -> Option<Vec<Parked>> {
        self.tracker()?.parked(pid)
    }

    /// What has happened since this was last asked, after waiting for it no longer than `at_most`.
    pub fn wait_for_news(&self, at_most: Duration) -> ProbeUpdates {
        let Ok(work) = &self.work else {
            thread::sleep(at_most);
            return ProbeUpdates::default();
        };
        let nothing = |tracker: &mut ProbeTracker| tracker.news.is_empty();
        let tracker = work.desk.tracker();
        let waited = work.desk.news.wait_timeout_while(tracker, at_most, nothing);
        let (mut tracker, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut tracker.news)
    }

    /// What has happened since this was last asked.
    pub fn news(&self) -> ProbeUpdates {
        self.tracker()
            .map(|mut tracker| std::mem::take(&mut tracker.news))
            .unwrap_or_default()
    }
}

impl Work {
    fn start(settings: Settings, own: SelfMetrics) -> Result<Self, ProbeError> {
        let mut probes = Probes::load(Options {
            log: tracing::enabled!(target: "gostuck_ebpf", tracing::Level::DEBUG),
            ..Options::default()
        })?;
        let cost = probes.calibrate()?;
        tracing::info!(method = ?probes.method(), hit = ?cost.per_hit(), "probes loaded");
        let no_thread = |source| ProbeError::Call {
            call: "starting the thread that reads events",
            subject: "gostuck-probes".to_owned(),
            source,
        };
        let waiter = probes.waiter().map_err(no_thread)?;
        let interrupter = waiter.interrupter();
        let tracker = ProbeTracker::new(probes, cost, Budget(settings.budget), own);
        let desk = Arc::new(Desk {
            tracker: Mutex::new(tracker),
            news: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let shared = Arc::clone(&desk);
        let read = move || {
            while !shared.stop.load(Ordering::Relaxed) {
                let (rest, delay) = {
                    let tracker = shared.tracker();
                    (tracker.rest(), tracker.delay())
                };
                if waiter.wait(rest) {
                    // Ends early when the ring buffer fills.
                    waiter.wait(delay);
                }
                let mut tracker = shared.tracker();
                tracker.tick();
                if !tracker.news.is_empty() {
                    shared.news.notify_all();
                }
            }
        };
        let thread = thread::Builder::new()
            .name("gostuck-probes".to_owned())
            .spawn(read)
            .map_err(no_thread)?;
        Ok(Self {
            desk,
            interrupter,
            thread: Some(thread),
        })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.desk.stop.store(true, Ordering::Relaxed);
        self.interrupter.interrupt();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads events ended");
        }
    }
}
