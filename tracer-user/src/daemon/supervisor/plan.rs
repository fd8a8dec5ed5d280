//! Which processes are looked at next: a decision on facts alone.

use std::time::Instant;

use super::todo::Urgency;
use process::ProcessKey;

/// A member that may be looked at: its past is here.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// The process.
    pub key: ProcessKey,
    /// The order in which members were found.
    pub serial: u64,
    /// When it was last looked at.
    pub looked: Option<Instant>,
    /// When it is to be looked at.
    pub due: Instant,
    /// Whether somebody waits for a lock, and an inspection for that reason can be afforded.
    pub urgent: bool,
    /// Likewise for something else that makes an inspection worth while before its time.
    pub early: bool,
    /// Whether an inspection takes long.
    pub costly: bool,
}

/// How many more inspections of one kind may be asked for now.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Looks that end soon.
    pub quick: usize,
    /// Looks that take long.
    pub costly: usize,
}

/// The inspections to begin at `now`, the first one first: where somebody waits for a lock, then members
/// that nobody has looked at, then those whose last inspection is the oldest. An inspection that takes long has a
/// place of its own, so that it holds up none that does not.
pub fn next(
    candidates: impl IntoIterator<Item = Candidate>,
    now: Instant,
    (mut urgent, mut routine): (Room, Room),
) -> Plan {
    let mut due: Vec<Candidate> = candidates
        .into_iter()
        .filter(|candidate| candidate.urgent || candidate.early || candidate.due <= now)
        .collect();
    // `None` is less than any time.
    due.sort_unstable_by_key(|one| (!one.urgent, one.looked, one.serial));
    let mut plan = Plan::default();
    for one in due {
        let (room, urgency) = match one.urgent {
            true => (&mut urgent, Urgency::Urgent),
            false => (&mut routine, Urgency::Routine),
        };
        let room = match one.costly {
            true => &mut room.costly,
            false => &mut room.quick,
        };
        if *room > 0 {
            *room -= 1;
            plan.looks.push((one.key, urgency));
        } else {
            plan.crowded = true;
        }
    }
    plan
}

/// What to begin.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Looks, the first one first.
    pub looks: Vec<(ProcessKey, Urgency)>,
    /// Whether more are due than there is room for.
    pub crowded: bool,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use ids::Pid;
    use process::StartTime;

    const ROOM: Room = Room {
        quick: 2,
        costly: 1,
    };

    fn candidate(pid: u32, now: Instant) -> Candidate {
        Candidate {
            key: ProcessKey {
                pid: Pid(pid),
                start_time: StartTime(1),
            },
            serial: u64::from(pid),
            looked: Some(now),
            due: now,
            urgent: false,
            early: false,
            costly: false,
        }
    }

    fn pids(candidates: impl IntoIterator<Item = Candidate>, now: Instant) -> Vec<u32> {
        let plan = next(candidates, now, (ROOM, ROOM));
        plan.looks.iter().map(|(key, _)| key.pid.0).collect()
    }

    #[test]
    fn those_never_looked_at_come_first_and_then_the_oldest_looks() {
        let start = Instant::now();
        let now = start + Duration::from_secs(60);
        let at = |pid, seconds| Candidate {
            looked: Some(start + Duration::from_secs(seconds)),
            ..candidate(pid, now)
        };
        let never = Candidate {
            looked: None,
            ..candidate(9, now)
        };
        assert_eq!(pids([at(1, 30), at(2, 10), never], now), [9, 2]);
        let later = Candidate {
            due: now + Duration::from_secs(1),
            ..at(3, 0)
        };
        assert_eq!(pids([later, at(1, 30)], now), [1]);
    }

    #[test]
    fn a_wait_for_a_lock_goes_before_all_and_needs_no_room_of_others() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let urgent = Candidate {
            due: later,
            urgent: true,
            ..candidate(7, now)
        };
        let others = (1..=5).map(|pid| candidate(pid, now));
        let plan = next(others.chain([urgent]), now, (ROOM, ROOM));
        assert_eq!(plan.looks[0], (urgent.key, Urgency::Urgent));
        assert_eq!(plan.looks.len(), 3);
        assert!(plan.crowded);
    }

    #[test]
    fn looks_that_take_long_take_no_place_of_those_that_do_not() {
        let now = Instant::now();
        let costly = |pid| Candidate {
            costly: true,
            looked: None,
            ..candidate(pid, now)
        };
        let all = [costly(1), costly(2), costly(3), candidate(4, now)];
        assert_eq!(pids(all, now), [1, 4]);
        let urgent = all.map(|one| Candidate {
            urgent: true,
            ..one
        });
        assert_eq!(pids(urgent, now), [1, 4]);
    }

    #[test]
    fn an_early_look_that_is_worth_while_is_a_routine_look() {
        let now = Instant::now();
        let early = Candidate {
            due: now + Duration::from_secs(60),
            early: true,
            ..candidate(1, now)
        };
        let plan = next([early], now, (ROOM, ROOM));
        assert_eq!(plan.looks, [(early.key, Urgency::Routine)]);
    }
}
