//! Probes on the watched processes: exact beginnings of waits, and how long waits lasted. Where
//! they cannot be had, looks alone must do.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use crate::{
    finding::{Look, Past},
    ids::Pid,
    probes::{Budget, Governor, HitCost, Options, Probes, Switch, WaitHistogram},
    state::{Event, Parked},
};

/// Waits shorter than this are not worth dating: the next look finds them gone.
const DATED_FROM: Duration = Duration::from_millis(100);

/// The probes, if there are any.
pub struct Probing {
    probes: Option<(Probes, HitCost)>,
    budget: f64,
    governed: FxHashMap<Pid, Governed>,
}

struct Governed {
    governor: Governor,
    at: Instant,
}

impl Probing {
    /// Loads the probes; says on the log why there are none.
    pub fn start(wanted: bool, budget: f64) -> Self {
        let load = || -> Result<_, crate::probes::ProbeError> {
            let mut probes = Probes::load(Options {
                processes: false,
                ..Options::default()
            })?;
            let cost = probes.calibrate()?;
            Ok((probes, cost))
        };
        let probes = wanted.then(load).and_then(|loaded| {
            loaded
                .inspect_err(|error| tracing::warn!(%error, "no probes: looking at intervals"))
                .ok()
        });
        Self {
            probes,
            budget,
            governed: FxHashMap::default(),
        }
    }

    /// Attaches to the process of a look, if that is not done yet, and keeps its cost within the
    /// budget.
    pub fn follow(&mut self, look: &Look) {
        let Some((probes, cost)) = &mut self.probes else {
            return;
        };
        let pid = look.process.pid();
        if let Some(governed) = self.governed.get_mut(&pid) {
            governed.look(probes, pid);
            return;
        }
        match probes.attach(pid, &look.process.exe_for_us(), &look.image) {
            Ok(()) => tracing::info!(%pid, "probes attached"),
            Err(error) => tracing::warn!(%pid, %error, "no probes on this process"),
        }
        // One that could not be attached is not tried again.
        let governed = Governed {
            governor: Governor::new(Budget(self.budget), *cost),
            at: Instant::now(),
        };
        self.governed.insert(pid, governed);
    }

    /// Tells `past` since when the goroutines of `pid` are parked.
    pub fn date(&mut self, pid: Pid, past: &mut Past) {
        let Some((probes, _)) = &mut self.probes else {
            return;
        };
        // Nothing but long waits matters here; what ended is in the histograms.
        probes.drain();
        let Ok(waits) = probes.long_waits(DATED_FROM) else {
            return;
        };
        for wait in waits.into_iter().filter(|wait| wait.pid == pid) {
            past.state.apply(Event::Parked(Parked {
                g: wait.g,
                reason: wait.reason,
                at_ns: wait.since_ns,
            }));
        }
    }

    /// How long the waits of all processes lasted, by reason.
    pub fn histograms(&self) -> BTreeMap<Pid, Vec<WaitHistogram>> {
        let Some((probes, _)) = &self.probes else {
            return BTreeMap::new();
        };
        let of = |pid: &Pid| Some((*pid, probes.histograms(*pid).ok()?));
        self.governed.keys().filter_map(of).collect()
    }
}

impl Governed {
    fn look(&mut self, probes: &mut Probes, pid: Pid) {
        let Ok(statistics) = probes.target_statistics(pid) else {
            return;
        };
        let switch = self.governor.look(statistics.hits(), self.at.elapsed());
        self.at = Instant::now();
        let Some(switch) = switch else {
            return;
        };
        let probing = switch == Switch::On;
        tracing::info!(%pid, probing, "budget");
        if let Err(error) = probes.set_probing(pid, probing) {
            tracing::warn!(%pid, %error, "cannot switch probes");
        }
    }
}
