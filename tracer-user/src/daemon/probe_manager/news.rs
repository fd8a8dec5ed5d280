//! What probes tell those who follow processes.

use rustc_hash::FxHashSet;

use super::Switch;
use crate::timeline::{Event, Parked};
use ids::Pid;
use probes::WaitHistogram;

/// Most events kept for somebody who does not ask.
const MOST_EVENTS: usize = 1 << 16;
/// Most switches of probes that are kept for somebody who does not ask.
const MOST_SWITCHES: usize = 1 << 12;
/// Most started processes kept; a scan of `/proc` finds the others.
const MOST_STARTED: usize = 1 << 14;

/// What has happened.
#[derive(Debug, Default)]
pub struct ProbeUpdates {
    /// Processes that executed a program, Go or not.
    pub started: FxHashSet<Pid>,
    /// Probed processes that ended or execute another program now, with how long their waits
    /// lasted.
    pub exited: Vec<(Pid, Vec<WaitHistogram>)>,
    /// Processes in which somebody waits for a lock, with everyone who is parked there for longer
    /// than a moment.
    pub parked: Vec<(Pid, Vec<Parked>)>,
    /// Events of followed processes.
    pub events: Vec<(Pid, Event)>,
    /// What governors did to the probes of processes.
    pub switches: Vec<(Pid, Switch)>,
    /// Whether there was more, that got lost: processes may have started and ended unseen.
    pub missed: bool,
}

impl ProbeUpdates {
    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.started.is_empty()
            && self.exited.is_empty()
            && self.parked.is_empty()
            && self.events.is_empty()
            && self.switches.is_empty()
            && !self.missed
    }

    /// Adds a process that executed a program.
    pub fn start(&mut self, pid: Pid) {
        if self.started.len() < MOST_STARTED {
            self.started.insert(pid);
        } else {
            self.missed = true;
        }
    }

    /// Adds what a governor did. The log has it, too, so what nobody asks for is left out.
    pub fn switch(&mut self, pid: Pid, switch: Switch) {
        if self.switches.len() < MOST_SWITCHES {
            self.switches.push((pid, switch));
        }
    }

    /// Adds an event. False when there are too many.
    pub fn tell(&mut self, pid: Pid, event: Event) -> bool {
        let room = self.events.len() < MOST_EVENTS;
        if room {
            self.events.push((pid, event));
        }
        room
    }
}
