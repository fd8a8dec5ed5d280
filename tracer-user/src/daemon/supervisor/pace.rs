//! How often processes are looked at: as often as asked, as long as that stays within the budget,
//! and seldom while they do nothing.

use std::time::{Duration, Instant};

use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd,
};

use crate::timeline::Schedule;
use ids::Pid;

/// Processes younger than this are left alone: most of them are gone by then.
const SETTLING: Duration = Duration::from_millis(250);
/// Processes that are still there then are looked at.
const SETTLED: Duration = Duration::from_millis(750);
/// Likewise while so many start that their first inspections cost too much.
const CROWDED: Duration = Duration::from_secs(10);
/// More than this is not counted of what a first inspection costs: its process pays for the rest itself.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// An inspection that costs more than this takes long.
const COSTLY: Duration = Duration::from_millis(250);
/// Walks may cost at once what the budget allows in so long a time.
const SAVINGS: Duration = Duration::from_secs(200);
/// Likewise looks at new processes, and inspections because somebody waits for a lock: they are rare, and
/// should not have to wait.
const RESERVES: Duration = Duration::from_secs(1000);
/// A process that does not run is looked at this often nevertheless: waits grow old.
const LONGEST_IDLE: Duration = Duration::from_secs(60);
/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// CPU time that looks may cost: saved up, and spent.
#[derive(Debug, Clone, Copy)]
pub struct CpuBudget {
    budget: f64,
    /// Most seconds of CPU time that are saved up.
    most: f64,
    /// Seconds of CPU time; negative when too much was spent.
    saved: f64,
    at: Instant,
}

impl CpuBudget {
    /// Full savings for walks, which nobody needs at once, where they may cost the share `budget` of
    /// one CPU.
    pub fn new(budget: f64, now: Instant) -> Self {
        Self::of(budget, SAVINGS, now)
    }

    /// Likewise for looks that are needed at once.
    pub fn with_reserves(budget: f64, now: Instant) -> Self {
        Self::of(budget, RESERVES, now)
    }

    fn of(budget: f64, savings: Duration, now: Instant) -> Self {
        let most = budget * savings.as_secs_f64();
        Self {
            budget,
            most,
            saved: most,
            at: now,
        }
    }

    /// What comes in changes from now on, and with it what is saved up at most.
    pub fn set_budget(&mut self, budget: f64, now: Instant) {
        self.has_any(now);
        self.most *= budget / self.budget;
        self.saved = self.saved.min(self.most);
        self.budget = budget;
    }

    /// Whether anything is left.
    pub fn has_any(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.saved = (self.saved + passed * self.budget).min(self.most);
        self.saved > 0.0
    }

    /// An inspection cost so much.
    pub fn spend(&mut self, cost: Duration) {
        self.saved -= cost.as_secs_f64();
    }
}

/// The pace of inspections.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    interval: Duration,
    budget: f64,
}

impl Pace {
    /// One inspection an `interval`, unless that costs more than the share `budget` of one CPU.
    pub const fn new(interval: Duration, budget: f64) -> Self {
        Self { interval, budget }
    }

    /// When a new process is probed.
    pub const fn settling(&self) -> Duration {
        SETTLING
    }

    /// When a new process is looked at first, unless somebody in it waits for a lock before; `can`:
    /// the first inspections of others left something for that.
    pub const fn settled(&self, can: bool) -> Duration {
        if can { SETTLED } else { CROWDED }
    }

    /// What of the cost of a first inspection all new processes pay for together.
    pub fn of_first_look(cost: Duration) -> Duration {
        cost.min(FIRST_LOOK)
    }

    /// Whether an inspection that cost so much took long.
    pub fn is_costly(cost: Duration) -> bool {
        cost > COSTLY
    }

    /// The share of one CPU that looks at one process may take, where an inspection of each costs what
    /// `costs` says. Nobody gets more than he needs for an inspection an interval, and what is left is
    /// shared evenly among those who need more: a process slows down itself, and no other.
    pub fn share(&self, costs: impl IntoIterator<Item = Duration>) -> f64 {
        let interval = self.interval.as_secs_f64().max(f64::MIN_POSITIVE);
        let mut needs: Vec<f64> = costs
            .into_iter()
            .map(|cost| cost.as_secs_f64() / interval)
            .collect();
        needs.sort_unstable_by(f64::total_cmp);
        let mut left = self.budget;
        for (taken, need) in needs.iter().enumerate() {
            let even = left / count(needs.len() - taken);
            if *need > even {
                return even;
            }
            left -= need;
        }
        self.budget
    }

    /// When to look again after an inspection that cost `cost`, where looks may take the `share` of a CPU.
    pub fn after(&self, cost: Duration, share: f64) -> Duration {
        let affordable = cost.as_secs_f64() / share.max(f64::MIN_POSITIVE);
        self.interval
            .max(Duration::from_secs_f64(affordable.min(3600.0)))
    }

    /// How long after an inspection that cost `cost` a hint that somebody may wait for a lock leads to
    /// another: busy servers give hints all the time. The share of a CPU that this may take comes
    /// out of the savings.
    pub fn after_hint(&self, cost: Duration) -> Duration {
        const SHARE: u32 = 50;
        Schedule::default()
            .hint_gap
            .max(cost * SHARE)
            .min(self.interval.max(LONGEST_IDLE))
    }

    /// Likewise where somebody has come to wait for a lock for long, after so many inspections in a row
    /// for that reason which found nothing new: at once, unless the process does so all the time.
    pub fn after_lock_wait(&self, cost: Duration, fruitless: u32) -> Duration {
        let soon = Schedule::default().least_gap;
        let doubled = soon.saturating_mul(1 << fruitless.min(10));
        doubled.min(self.after_hint(cost))
    }

    /// When to check again whether an idle process has run.
    pub const fn idle(&self) -> Duration {
        self.interval
    }

    /// Whether a process whose last inspection was at `last_look` has gone without one for too long.
    pub fn is_stale(&self, last_look: Instant) -> bool {
        last_look.elapsed() >= LONGEST_IDLE
    }

    /// When to try again after so many failures in a row.
    pub fn after_failures(&self, failures: u32) -> Duration {
        let doubled = self.interval.saturating_mul(1 << failures.min(10));
        doubled.min(LONGEST_PAUSE)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no host has more processes than a double counts"
)]
fn count(number: usize) -> f64 {
    number as f64
}

/// The CPU time of a process, to the nanosecond. Equal twice: it has not run in between.
pub fn cpu_time_of(pid: Pid) -> Option<Duration> {
    let clock = clock_getcpuclockid(unistd::Pid::from_raw(pid.0.cast_signed())).ok()?;
    clock_gettime(clock).ok().map(Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dear_looks_are_seldom() {
        let pace = Pace::new(Duration::from_secs(5), 0.01);
        let ms = Duration::from_millis;
        assert_eq!(pace.after(ms(1), 0.01), Duration::from_secs(5));
        assert_eq!(pace.after(ms(400), 0.01), Duration::from_secs(40));
    }

    #[test]
    fn a_process_whose_looks_cost_much_slows_down_itself_and_no_other() {
        let pace = Pace::new(Duration::from_secs(5), 0.01);
        let ms = Duration::from_millis;
        let costs = [ms(2_000), ms(5), ms(5), ms(10), ms(1_000)];
        let share = pace.share(costs);
        // Those at an interval take 4 ms a second together, and the two others the rest.
        assert!((share - 0.003).abs() < 1e-9, "{share}");
        assert_eq!(pace.after(ms(10), share), Duration::from_secs(5));
        assert!(pace.after(ms(2_000), share) > Duration::from_secs(600));
        let spent: f64 = costs
            .iter()
            .map(|cost| cost.as_secs_f64() / pace.after(*cost, share).as_secs_f64())
            .sum();
        assert!((spent - 0.01).abs() < 1e-9, "{spent}");
    }

    #[test]
    fn many_cheap_processes_share_the_budget_evenly() {
        let pace = Pace::new(Duration::from_secs(5), 0.01);
        let ms = Duration::from_millis;
        let share = pace.share(vec![ms(2); 100]);
        assert_eq!(pace.after(ms(2), share), Duration::from_secs(20));
        assert!((pace.share([]) - 0.01).abs() < 1e-9);
    }

    #[test]
    fn who_has_an_allowance_of_his_own_needs_none_of_all() {
        let start = Instant::now();
        let (mut all, mut own) = (
            CpuBudget::with_reserves(0.01, start),
            CpuBudget::with_reserves(0.001, start),
        );
        all.spend(Duration::from_secs(60));
        assert!(!all.has_any(start));
        assert!(own.has_any(start));
        own.set_budget(0.000_1, start);
        own.spend(Duration::from_millis(99));
        assert!(own.has_any(start));
        own.spend(Duration::from_millis(2));
        assert!(!own.has_any(start));
    }

    #[test]
    fn savings_last_for_a_burst_and_come_back_at_the_budget() {
        let start = Instant::now();
        let mut allowance = CpuBudget::new(0.01, start);
        allowance.spend(Duration::from_millis(1_900));
        assert!(allowance.has_any(start));
        allowance.spend(Duration::from_millis(600));
        assert!(!allowance.has_any(start + Duration::from_secs(49)));
        assert!(allowance.has_any(start + Duration::from_secs(51)));
    }

    #[test]
    fn hints_lead_to_dear_looks_less_often() {
        let pace = Pace::new(Duration::from_secs(5), 0.01);
        let ms = Duration::from_millis;
        assert_eq!(pace.after_hint(ms(3)), ms(500));
        assert_eq!(pace.after_hint(ms(200)), ms(10_000));
        assert_eq!(pace.after_hint(ms(9_000)), LONGEST_IDLE);
    }

    #[test]
    fn waits_for_locks_lead_to_looks_at_once_unless_they_are_common() {
        let pace = Pace::new(Duration::from_secs(5), 0.01);
        let ms = Duration::from_millis;
        assert_eq!(pace.after_lock_wait(ms(200), 0), ms(500));
        assert_eq!(pace.after_lock_wait(ms(200), 2), ms(2_000));
        assert_eq!(pace.after_lock_wait(ms(200), 9), ms(10_000));
        assert_eq!(pace.after_lock_wait(ms(3), 9), ms(500));
    }

    #[test]
    fn failures_double_the_pause_up_to_a_limit() {
        let pace = Pace::new(Duration::from_secs(5), 0.01);
        assert_eq!(pace.after_failures(1), Duration::from_secs(10));
        assert_eq!(pace.after_failures(60), LONGEST_PAUSE);
    }

    #[test]
    fn a_process_that_runs_is_seen_to_run() {
        let own = Pid(std::process::id());
        let before = cpu_time_of(own).unwrap();
        let after = std::iter::repeat_with(|| cpu_time_of(own).unwrap()).find(|now| *now != before);
        assert!(after > Some(before));
        // `PID_MAX_LIMIT` (include/linux/threads.h): no process has it.
        assert!(cpu_time_of(Pid(1 << 22)).is_none());
    }
}
