//! Who has a process's past: we, or the thread that looks at the process.

use crate::{
    inspect::History,
    timeline::{Event, Parked},
};

/// Most events kept for a past that is away.
const MOST_EVENTS: usize = 4096;

/// A process's past, or what has come for it meanwhile.
pub enum HistorySlot {
    /// It is here.
    Here(Box<History>),
    /// An inspection has it.
    Away(Box<Mail>),
}

/// What came while a past was away.
#[derive(Default)]
pub struct Mail {
    events: Vec<Event>,
    parked: Option<Vec<Parked>>,
    /// What a walk of the heap found.
    walk: Option<History>,
    /// Whether somebody waits for a lock.
    urgent: bool,
}

impl HistorySlot {
    /// Of a process that nobody has looked at.
    pub fn new() -> Self {
        Self::Here(Box::new(History::walked_elsewhere()))
    }

    /// The past, unless it is away.
    pub fn here(&mut self) -> Option<&mut History> {
        match self {
            Self::Here(past) => Some(past),
            Self::Away(_) => None,
        }
    }

    /// Gives the past away; `None` when it is away already.
    pub fn lend(&mut self) -> Option<History> {
        match std::mem::replace(self, Self::Away(Box::default())) {
            Self::Here(past) => Some(*past),
            away @ Self::Away(_) => {
                *self = away;
                None
            }
        }
    }

    /// Takes the past back, with all that has come for it. Whether the next inspection has something to
    /// tell of a walk.
    pub fn take_back(&mut self, mut past: History) -> bool {
        let mail = match std::mem::replace(self, Self::new()) {
            Self::Away(mail) => mail,
            Self::Here(_) => Box::default(),
        };
        if let Some(parked) = mail.parked {
            past.state.apply_parked(parked);
        }
        for event in mail.events {
            past.state.apply(event);
        }
        let tells = mail.walk.is_some_and(|walk| past.take_walk(walk));
        *self = Self::Here(Box::new(past));
        tells
    }

    /// Takes in an event.
    pub fn apply(&mut self, event: Event) {
        match self {
            Self::Here(past) => past.state.apply(event),
            Self::Away(mail) if mail.events.len() < MOST_EVENTS => mail.events.push(event),
            Self::Away(mail) => {
                let dropped = mail.events.iter().chain([&event]);
                let count = dropped.map(records).sum();
                mail.events = vec![Event::Lost { count }];
            }
        }
    }

    /// Takes in who is parked, of a process in which somebody waits for a lock.
    pub fn apply_parked(&mut self, parked: Vec<Parked>) {
        match self {
            Self::Here(past) => past.state.apply_parked(parked),
            Self::Away(mail) => {
                // Who was woken before is not among them.
                mail.events
                    .retain(|event| !matches!(event, Event::Woken { .. }));
                mail.parked = Some(parked);
                mail.urgent = true;
            }
        }
    }

    /// Takes in what a walk of the heap found. Whether the next inspection has something to tell of that.
    pub fn take_walk(&mut self, walk: History) -> bool {
        match self {
            Self::Here(past) => past.take_walk(walk),
            Self::Away(mail) => {
                mail.walk = Some(walk);
                false
            }
        }
    }

    /// Whether it is away.
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }

    /// Whether somebody came to wait for a lock while the past was away.
    pub fn is_awaited(&self) -> bool {
        match self {
            Self::Here(_) => false,
            Self::Away(mail) => mail.urgent,
        }
    }
}

/// How many records are lost with an event.
const fn records(event: &Event) -> u64 {
    match event {
        Event::Lost { count } => *count,
        Event::Parked(_) | Event::Woken { .. } | Event::LockHint { .. } => 1,
    }
}

#[cfg(test)]
mod tests {
    use rustc_hash::FxHashMap;

    use super::*;
    use crate::timeline::{Schedule, Why};
    use ids::{LoadBias, Pid, TargetAddr};
    use image::WaitReason;
    use snapshot::{SamplingOutcome, Snapshot};

    const SECOND: u64 = 1_000_000_000;

    fn nobody(taken_ns: u64) -> Snapshot {
        Snapshot {
            pid: Pid(1),
            taken_ns,
            bias: LoadBias(0),
            goroutines: Vec::new(),
            objects: FxHashMap::default(),
            threads: Vec::new(),
            scheduler: None,
            incomplete: Vec::new(),
            sampling: SamplingOutcome::default(),
        }
    }

    #[test]
    fn what_comes_while_the_past_is_away_is_not_lost() {
        let mut custody = HistorySlot::new();
        let past = custody.lend().unwrap();
        assert!(custody.lend().is_none() && custody.here().is_none());
        assert!(!custody.is_awaited());
        custody.apply_parked(vec![Parked {
            g: TargetAddr(7),
            reason: WaitReason::MutexLock,
            at_ns: SECOND,
        }]);
        assert!(custody.is_awaited());
        custody.take_back(past);
        let state = &mut custody.here().unwrap().state;
        state.apply_snapshot(&mut nobody(SECOND / 2));
        let why = state.needs_look(2 * SECOND, &Schedule::default());
        assert_eq!(why, Some(Why::LockWait));
    }

    #[test]
    fn more_events_than_are_kept_count_as_lost() {
        let mut custody = HistorySlot::new();
        let past = custody.lend().unwrap();
        custody.apply(Event::Lost { count: 10 });
        for at_ns in 0..MOST_EVENTS as u64 {
            custody.apply(Event::LockHint { at_ns });
        }
        // There is room again.
        custody.apply(Event::LockHint { at_ns: SECOND });
        custody.take_back(past);
        let lost = 10 + MOST_EVENTS as u64;
        assert_eq!(custody.here().unwrap().state.lost(), lost);
    }
}
