//! Processes come and go: what the probes tell of them, and what a scan finds.

use std::time::Instant;

use super::{Choice, Supervisor, TrackedProcess, discovery::Ran, member, pace::CpuBudget};
use crate::{
    daemon::{probe_manager::ProbeUpdates, self_metrics::Traced},
    document::command,
    timeline::Event,
};
use ids::Pid;
use process::{Process, ProcessError, ProcessKey};

impl Supervisor {
    /// Takes in what the probes tell.
    pub(super) fn hear(&mut self, news: ProbeUpdates) {
        if news.missed {
            self.discovery.look_at_all();
        }
        for (pid, _) in news.exited {
            self.discovery.forget(pid);
            if let Some(key) = self.key_of(pid) {
                self.remove(key);
            }
        }
        for pid in news.started {
            // It is another program now, if it was followed before it could be probed.
            if let Some(key) = self.key_of(pid) {
                self.remove(key);
            }
            self.discovery.started(pid);
            self.open(pid);
        }
        for (pid, event) in news.events {
            if let Some(member) = self.member_of(pid) {
                // A glance tells more of that, and costs less than the inspection that a hint leads to.
                let told = member.can_glance && matches!(event, Event::LockHint { .. });
                if !told {
                    member.past.apply(event);
                }
            }
        }
        for (pid, parked) in news.parked {
            let Some(key) = self.key_of(pid) else {
                continue;
            };
            if let Some(member) = self.members.get_mut(&key) {
                member.past.apply_parked(parked);
                if member.looked.is_none() {
                    member.due = Instant::now();
                }
                if member.past.is_awaited() {
                    self.pool.hurry(key);
                }
            }
        }
    }

    pub(super) fn key_of(&self, pid: Pid) -> Option<ProcessKey> {
        member::key_of(&self.members, pid)
    }

    fn member_of(&mut self, pid: Pid) -> Option<&mut TrackedProcess> {
        let key = self.key_of(pid)?;
        self.members.get_mut(&key)
    }

    pub(super) fn discover(&mut self, now: Instant) {
        let seen = self.discovery.look_around(now, &self.members);
        for key in seen.gone {
            self.remove(key);
        }
        for pid in seen.unknown {
            self.open(pid);
        }
        self.count_processes();
    }

    /// Says how many processes are watched, and how many cannot be.
    pub(super) fn count_processes(&self) {
        let members = self.members.values();
        let silent = members.clone().filter(|m| m.is_silent()).count();
        let failing = members.filter(|m| m.failures > 0 && !m.is_silent()).count();
        let own = &self.shared.own;
        own.set_processes(Traced::Watched, self.members.len() - failing - silent);
        own.set_processes(Traced::Untraceable, self.discovery.failed() + failing);
        own.set_processes(Traced::Unresponsive, silent);
    }

    /// What runs as `pid` was found out.
    pub(super) fn opened(&mut self, pid: Pid, opened: Result<Option<Box<Process>>, ProcessError>) {
        match self.discovery.opened(pid, opened) {
            Ran::Go(process) => self.found(*process),
            Ran::Other => {
                if let Some(key) = self.key_of(pid) {
                    self.remove(key);
                }
            }
            Ran::Unknown => {}
        }
    }

    /// A Go process runs. One that is a member already, and executes what it did, stays so.
    pub(super) fn found(&mut self, mut process: Process) {
        if let Some(old) = self.key_of(process.pid()) {
            if self.runs(old, &process) {
                return;
            }
            // That it ended, or executed another program, got lost: its probes lie on the old one.
            self.remove(old);
        }
        let selection = &self.options.selection;
        match selection.choose_named(&mut process, &self.shared.pods) {
            Choice::Follow => {}
            Choice::Leave => return,
            Choice::Later => {
                self.discovery.forget(process.pid());
                return;
            }
        }
        tracing::info!(pid = %process.pid(), command = %command(&process), "found");
        let now = Instant::now();
        let member = TrackedProcess::new(
            self.found,
            &process,
            (
                now + self.pace.settling(),
                now + self.pace.settled(self.firsts.has_any(now)),
            ),
            CpuBudget::with_reserves(self.early_budget / 2.0, now),
            self.options.growth_window,
        );
        self.found += 1;
        self.members.insert(process.key, member);
        self.share_early_budget(now);
    }

    /// Half of what looks before their time may cost is for all, the other half evenly each one's own.
    fn share_early_budget(&mut self, now: Instant) {
        let number = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let own = self.early_budget / 2.0 / f64::from(number.max(1));
        for member in self.members.values_mut() {
            member.savings.set_budget(own, now);
        }
    }

    /// Whether the member `key` still executes what it did, by `now`: `exec` keeps pid and start time.
    pub(super) fn runs(&self, key: ProcessKey, now: &Process) -> bool {
        let member = self.members.get(&key);
        now.key == key
            && member.is_some_and(|member| member.process.exe.file.same_inode(&now.exe.file))
    }

    /// A process has ended, or executes another program.
    pub(super) fn remove(&mut self, key: ProcessKey) {
        if let Some(member) = self.members.get(&key) {
            member.name.log_end(member.followed.standing());
        }
        self.leave(key);
    }

    /// A process is followed no more.
    pub(super) fn leave(&mut self, key: ProcessKey) {
        if self.members.remove(&key).is_some() {
            self.share_early_budget(Instant::now());
            tracing::info!(pid = %key.pid, "gone");
        }
        if self.key_of(key.pid).is_none() {
            self.probing.detach(key.pid);
        }
        self.shared.board.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::supervisor::fixture::{process, supervisor};

    fn members(supervisor: &Supervisor) -> Vec<(ProcessKey, u64)> {
        let members = supervisor.members.iter();
        members.map(|(key, member)| (*key, member.serial)).collect()
    }

    #[test]
    fn who_executes_another_program_unseen_is_another_member() {
        let mut supervisor = supervisor();
        let (old, new) = (process(7, 1, 100), process(7, 1, 200));
        supervisor.found(old.clone());
        supervisor.found(old.clone());
        assert_eq!(members(&supervisor), [(old.key, 0)]);
        supervisor.found(new.clone());
        assert_eq!(members(&supervisor), [(new.key, 1)]);
    }

    #[test]
    fn who_has_the_pid_of_one_that_ended_unseen_takes_its_place() {
        let mut supervisor = supervisor();
        let (old, new) = (process(7, 1, 100), process(7, 2, 100));
        supervisor.found(old);
        supervisor.found(new.clone());
        assert_eq!(members(&supervisor), [(new.key, 1)]);
    }
}
