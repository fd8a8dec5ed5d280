//! Placing the probes on a process, having it looked at, and showing what that tells.

use std::time::{Duration, Instant};

use super::{
    Choice, Supervisor,
    errands::{self, Errand, Prepared},
    inspection_pool::Done,
    log::Name,
    member::{TrackedProcess, probed},
    pace::{self, Pace},
    todo::{Request, Urgency},
};
use crate::{
    daemon::{
        process_findings::entry_of_unseen,
        process_table::Probed,
        self_metrics::{ErrorKind, Outcome},
        watchdog::Subject,
    },
    finding::Change,
    inspect::{InspectError, Inspection},
};
use process::{Owner, ProcessKey};

/// When it is seen again whether a file has been read that is being read for another process.
const AGAIN: Duration = Duration::from_millis(100);

impl Supervisor {
    /// Places the probes on new processes: before the first inspection, so that no wait falls between the
    /// two.
    pub(super) fn probe_new(&mut self, now: Instant) {
        let due = |member: &TrackedProcess| member.probe_due.is_some_and(|due| due <= now);
        let members = self.members.iter_mut().filter(|(_, member)| due(member));
        let new: Vec<ProcessKey> = members
            .map(|(key, member)| {
                member.probe_due = None;
                *key
            })
            .collect();
        for key in new {
            self.probe(key);
        }
    }

    /// Has it found out what the process executes.
    fn probe(&mut self, key: ProcessKey) {
        let Some(member) = self.members.get(&key) else {
            return;
        };
        let (process, serial) = (Box::new(member.process.clone()), member.serial);
        let subject = Subject {
            pid: key.pid,
            owner: Some(Owner::of(&process)),
            file: Some(process.exe.file),
        };
        if !self.may_be_visited(key, &subject) {
            return;
        }
        let file = process.exe.file;
        let is_being_read =
            |member: &TrackedProcess| member.is_being_read && member.process.exe.file == file;
        let is_read_for_another = self.members.values().any(is_being_read);
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        if is_read_for_another {
            // What is found there serves this one, too.
            let again = Instant::now() + AGAIN;
            member.probe_due = Some(again);
            member.due = member.due.max(again);
            return;
        }
        member.is_being_read = true;
        let of = errands::TrackedProcess { key, serial };
        self.errands.send(Errand::Prepare(of, process));
    }

    /// Places the probes on the process, and lists it, though nothing is known of it yet. What is wrong
    /// with an image the inspection will tell. Reading a file that no other process runs costs, too: the
    /// process pays `cost` once it was looked at.
    pub(super) fn prepared(
        &mut self,
        of: errands::TrackedProcess,
        prepared: Option<Box<Prepared>>,
        cost: Duration,
    ) {
        let key = of.key;
        let member = self.members.get_mut(&key);
        let Some(member) = member.filter(|member| member.serial == of.serial) else {
            return;
        };
        member.is_being_read = false;
        member.owed = cost;
        let Some(prepared) = prepared else {
            return;
        };
        let Prepared {
            mut process,
            image,
            file,
        } = *prepared;
        self.probing.attach_to(key.pid, file, &image);
        if member.is_unseen() {
            self.shared.pods.name(&mut process);
            let probed = probed(&self.probing, key.pid);
            member.probed = Some(probed.clone());
            let entry = entry_of_unseen(&process, &image, probed, member.found);
            self.shared.board.show(key, entry);
        }
    }

    /// Has a process looked at.
    pub(super) fn look(&mut self, key: ProcessKey, urgency: Urgency) {
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        let cpu_time = pace::cpu_time_of(key.pid);
        if !member.may_be_looked_at() {
            return;
        }
        let rests = member.is_idle(cpu_time) && urgency == Urgency::Routine;
        if rests && member.looked.is_some_and(|at| !self.pace.is_stale(at)) {
            member.due = Instant::now() + self.pace.idle();
            return;
        }
        let owner = Owner::of(&member.process);
        let subject = Subject {
            pid: key.pid,
            owner: Some(owner.clone()),
            file: None,
        };
        if !self.may_be_visited(key, &subject) {
            return;
        }
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        if let Some(mut past) = member.past.lend() {
            if let Some(parked) = self.probing.parked(key.pid) {
                past.state.apply_parked(parked);
            }
            member.cpu_time = cpu_time;
            let order = Request {
                key,
                serial: member.serial,
                urgency,
                early: member.due > Instant::now(),
                costly: member.is_costly(key.pid),
            };
            self.pool.begin(order, owner, past);
        }
    }

    /// Has those processes looked at now that viewers wait for.
    pub(super) fn heed_viewers(&mut self) {
        let board = &self.shared.board;
        let wanted = board.viewers().take_wanted();
        for key in wanted {
            let Some(member) = self.members.get_mut(&key) else {
                self.shared.board.viewers().forget(key);
                continue;
            };
            if member.past.here().is_some() {
                self.look(key, Urgency::Urgent);
            } else if self.is_glanced_at(key) {
                // That takes no time: the next turn looks.
                self.shared.board.viewers().postpone(key);
            } else {
                self.pool.hurry(key);
            }
        }
    }

    /// Takes in the inspections that have been made.
    pub(super) fn take_looks(&mut self) {
        let done: Vec<Done> = self.pool.done().collect();
        for done in done {
            self.take_look(done);
        }
    }

    fn take_look(&mut self, done: Done) {
        let (order, cost, took) = (done.order, done.cost, done.took);
        tracing::debug!(?order, ?cost, ?took, "looked");
        let key = order.key;
        let now = Instant::now();
        let others = self.members.iter().filter(|(other, _)| **other != key);
        let share = self.pace.share(others.map(|(_, m)| m.cost).chain([cost]));
        let for_all = self.savings.has_any(now);
        if order.early && for_all {
            self.savings.spend(cost);
        }
        let member = self.members.get_mut(&key);
        let Some(member) = member.filter(|member| member.serial == order.serial) else {
            return;
        };
        if order.early && !for_all {
            member.savings.spend(cost);
        }
        if member.looked.is_none() {
            self.firsts.spend(Pace::of_first_look(cost + member.owed));
        }
        member.can_glance = done.past.can_glance();
        let walked = member.past.take_back(done.past);
        member.cost = cost.max(Duration::from_micros(1));
        member.looked = Some(done.began);
        let owed = std::mem::take(&mut member.owed);
        member.due = now + self.pace.after(cost + owed, share);
        if walked {
            // The next inspection tells of it, even where nobody has moved.
            (member.due, member.cpu_time) = (Instant::now(), None);
        }
        let seconds = took.as_secs_f64();
        match done.outcome {
            Ok(look) if !self.runs(key, &look.process) => {
                // The pid went to another process, or it executes another program and that got lost;
                // discovery finds what runs now.
                self.discovery.forget(key.pid);
                self.remove(key);
            }
            Ok(mut look) => {
                let (pods, selection) = (&self.shared.pods, &self.options.selection);
                if selection.choose_named(&mut look.process, pods) == Choice::Leave {
                    // Its pod has other labels now, or opted out.
                    self.leave(key);
                } else {
                    self.show(key, look, order.urgency, (seconds, cost));
                }
            }
            Err(error) => {
                self.shared.own.count_look(Outcome::Failed, seconds);
                self.failed(key, &error);
            }
        }
    }

    fn show(
        &mut self,
        key: ProcessKey,
        mut look: Inspection,
        urgency: Urgency,
        (seconds, cost): (f64, Duration),
    ) {
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        let whole = look.diagnosis.incomplete.is_empty();
        let outcome = if whole {
            Outcome::Whole
        } else {
            Outcome::Partial
        };
        self.shared.own.count_look(outcome, seconds);
        member.failures = 0;
        let changes = member.followed.take(&mut look);
        let news = changes
            .iter()
            .any(|change| matches!(change, Change::Appeared(_)));
        let watched = self.shared.board.viewers().is_watched(key);
        member.fruitless = match urgency {
            Urgency::Urgent if !news && watched => member.fruitless,
            Urgency::Urgent if !news => member.fruitless.saturating_add(1),
            Urgency::Urgent | Urgency::Routine => 0,
        };
        if self.shared.inspector.has_memory_to_walk(&look.diagnosis) {
            member.walk_if_due(key, &look.diagnosis, &mut self.walks);
        }
        let stuck_after = self.options.stuck_after.as_nanos();
        let stuck_after_ns = u64::try_from(stuck_after).unwrap_or(u64::MAX);
        let probed = probed(&self.probing, key.pid);
        member.probed = Some(probed.clone());
        let entry = member.followed.entry(&look, probed, stuck_after_ns);
        member.name = Name::of(&look.process);
        for change in &changes {
            let board = &self.shared.board;
            let counted = change
                .standing()
                .is_some_and(|finding| board.count(&entry.listed.process, finding));
            member.name.log(change, counted);
        }
        self.shared.board.show(key, entry);
        self.shared.board.viewers().inspected(key, look, cost);
    }

    /// Shows what the probes tell where that has changed since the last inspection.
    pub(super) fn show_probed(&mut self) {
        let answering = self.members.iter_mut().filter(|(_, m)| !m.is_silent());
        for (key, member) in answering {
            let standing = self.probing.standing(key.pid);
            let same = |shown: &Probed| {
                shown.mode == standing.mode
                    && shown.cost_ratio == standing.cost_ratio
                    && shown.over_budget == standing.over_budget
                    && shown.switches == standing.switches
            };
            if member.probed.as_ref().is_some_and(|shown| !same(shown)) {
                let now = probed(&self.probing, key.pid);
                member.probed = Some(now.clone());
                self.shared.board.show_probed(*key, now);
            }
        }
    }

    fn failed(&mut self, key: ProcessKey, error: &InspectError) {
        if error.is_gone() {
            self.remove(key);
            return;
        }
        if self.shared.stop.is_requested() {
            return;
        }
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        if error.is_shortage() {
            member.due = Instant::now() + self.pace.after_failures(1);
            return;
        }
        if member.failures == 0 {
            tracing::warn!(pid = %key.pid, %error, "cannot look at the process");
        }
        self.shared.own.count_error(match error {
            InspectError::Broken => ErrorKind::Fault,
            _ => ErrorKind::Inspection,
        });
        member.failures = member.failures.saturating_add(1);
        member.due = Instant::now() + self.pace.after_failures(member.failures);
        self.shared.board.viewers().failed(key, &error.to_string());
        self.shared.board.remove(key);
    }
}
