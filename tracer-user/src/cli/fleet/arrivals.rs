//! Processes come and go: what the probes tell of them, and what a look around finds.

use std::time::Instant;

use super::{Choice, Fleet, Member};
use crate::{
    cli::probing::News,
    export::{document::command, metrics::Traced},
    ids::Pid,
    process::{Process, ProcessKey, StartTime},
    state::Event,
};

impl Fleet {
    /// Takes in what the probes tell.
    pub(super) fn hear(&mut self, news: News) {
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
            if let Some(process) = self.discovery.started(pid) {
                self.found(process);
            }
        }
        for (pid, event) in news.events {
            if let Some(member) = self.member_of(pid) {
                // A glance tells more of that, and costs less than the look that a hint leads to.
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
                    self.lookers.hurry(key);
                }
            }
        }
    }

    fn key_of(&self, pid: Pid) -> Option<ProcessKey> {
        let at = |start_time| ProcessKey { pid, start_time };
        let mut keys = self
            .members
            .range(at(StartTime(0))..=at(StartTime(u64::MAX)));
        keys.next_back().map(|(key, _)| *key)
    }

    fn member_of(&mut self, pid: Pid) -> Option<&mut Member> {
        let key = self.key_of(pid)?;
        self.members.get_mut(&key)
    }

    pub(super) fn discover(&mut self, now: Instant) {
        let seen = self.discovery.look_around(now, &self.members);
        for key in seen.gone {
            self.remove(key);
        }
        for process in seen.started {
            self.found(process);
        }
        let failing = self.members.values().filter(|m| m.failures > 0).count();
        let own = &self.shared.own;
        own.set_processes(Traced::Watched, self.members.len() - failing);
        own.set_processes(Traced::Untraceable, seen.failed + failing);
    }

    fn found(&mut self, mut process: Process) {
        if self.members.contains_key(&process.key) {
            return;
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
        let member = Member::new(
            self.found,
            now + self.pace.settling(),
            now + self.pace.settled(),
        );
        self.found += 1;
        self.members.insert(process.key, member);
    }

    pub(super) fn remove(&mut self, key: ProcessKey) {
        if self.members.remove(&key).is_some() {
            tracing::info!(pid = %key.pid, "gone");
        }
        if self.key_of(key.pid).is_none() {
            self.probing.detach(key.pid);
        }
        self.shared.board.remove(key);
    }
}
