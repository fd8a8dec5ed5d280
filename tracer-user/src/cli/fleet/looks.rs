//! Placing the probes on a process, having it looked at, and showing what that tells.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Choice, Fleet,
    log::Name,
    lookers::Done,
    member::{Member, probed},
    pace::{self, Pace},
    todo::{Order, Urgency},
};
use crate::{
    cli::{
        failure::{is_gone, is_shortage},
        follow::entry_of_unseen,
    },
    clock::own_cpu_time,
    export::{
        board::Probed,
        metrics::{ErrorKind, Outcome},
        view::View,
    },
    finding::{Change, Look, LookError},
    process::{Process, ProcessKey},
};

impl Fleet {
    /// Places the probes on new processes: before the first look, so that no wait falls between the
    /// two.
    pub(super) fn probe_new(&mut self, now: Instant) {
        let due = |member: &Member| member.probe_due.is_some_and(|due| due <= now);
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

    /// Places the probes on the process, and lists it, though nothing is known of it yet.
    fn probe(&mut self, key: ProcessKey) {
        let Ok(mut process) = Process::open(key.pid) else {
            return;
        };
        if process.key != key {
            return;
        }
        let before = own_cpu_time();
        let image = self.shared.looker.image_of(&process);
        // Reading a file that no other process runs costs, too; the process pays once it was looked at.
        if let Some(member) = self.members.get_mut(&key) {
            member.owed = own_cpu_time().saturating_sub(before);
        }
        // What is wrong with an image the look will tell.
        if let Ok(image) = image {
            self.probing.attach(key.pid, &process.exe_for_us(), &image);
            let member = self.members.get_mut(&key).filter(|m| m.is_unseen());
            if let Some(member) = member {
                self.shared.pods.name(&mut process);
                let probed = probed(&self.probing, key.pid);
                member.probed = Some(probed.clone());
                let entry = entry_of_unseen(&process, &image, probed, member.found);
                self.shared.board.show(key, entry);
            }
        }
    }

    /// Has a process looked at.
    pub(super) fn look(&mut self, key: ProcessKey, urgency: Urgency) {
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        let cpu_time = pace::cpu_time_of(key.pid);
        let rests = member.is_idle(cpu_time) && urgency == Urgency::Routine;
        if rests && member.looked.is_some_and(|at| !self.pace.is_stale(at)) {
            member.due = Instant::now() + self.pace.idle();
            return;
        }
        if let Some(mut past) = member.past.lend() {
            if let Some(parked) = self.probing.parked(key.pid) {
                past.state.apply_parked(parked);
            }
            member.cpu_time = cpu_time;
            let order = Order {
                key,
                serial: member.serial,
                urgency,
                early: member.due > Instant::now(),
                costly: member.is_costly(key.pid),
            };
            self.lookers.begin(order, past);
        }
    }

    /// Has those processes looked at now that viewers wait for.
    pub(super) fn heed_viewers(&mut self) {
        let board = &self.shared.board;
        let mut wanted = board.views.take_wanted();
        wanted.extend(board.documents.take_wanted());
        for key in wanted {
            let Some(member) = self.members.get_mut(&key) else {
                self.shared.board.documents.forget(key);
                continue;
            };
            if member.past.here().is_some() {
                self.look(key, Urgency::Urgent);
            } else {
                self.lookers.hurry(key);
            }
        }
    }

    /// Takes in the looks that have been made.
    pub(super) fn take_looks(&mut self) {
        let done: Vec<Done> = self.lookers.done().collect();
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
            // The next look tells of it, even where nobody has moved.
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
        mut look: Look,
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
        let watched = self.shared.board.views.is_watched(key);
        member.fruitless = match urgency {
            Urgency::Urgent if !news && watched => member.fruitless,
            Urgency::Urgent if !news => member.fruitless.saturating_add(1),
            Urgency::Urgent | Urgency::Routine => 0,
        };
        if watched {
            let view = Arc::new(View::new(&look, cost));
            self.shared.board.views.keep(key, view);
        }
        if self.shared.looker.has_memory_to_walk(&look.diagnosis) {
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
        self.shared.board.documents.hand_over(key, look, cost);
    }

    /// Shows what the probes tell where that has changed since the last look.
    pub(super) fn show_probed(&mut self) {
        for (key, member) in &mut self.members {
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

    fn failed(&mut self, key: ProcessKey, error: &LookError) {
        if is_gone(error) {
            self.remove(key);
            return;
        }
        if self.shared.stop.is_requested() {
            return;
        }
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        if is_shortage(error) {
            member.due = Instant::now() + self.pace.after_failures(1);
            return;
        }
        if member.failures == 0 {
            tracing::warn!(pid = %key.pid, %error, "cannot look at the process");
        }
        self.shared.own.count_error(ErrorKind::Look);
        member.failures = member.failures.saturating_add(1);
        member.due = Instant::now() + self.pace.after_failures(member.failures);
        self.shared.board.documents.fail(key, error.to_string());
        self.shared.board.remove(key);
    }
}
