//! Whole documents for clients of the API.
//!
//! A client makes no inspection of its own. What it asks for is told to the supervisor, which makes an inspection
//! in its turn and on the process's account, and hands it over; one thread writes the document in the
//! formats that are asked for, and all who ask share it. The next inspection comes when so much time has
//! passed as makes that a small share of a CPU; until then the last document is served again. When
//! nobody waits any more, no inspection is made.

mod format;
mod spool;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    time::{Instant as Deadline, timeout_at},
};

pub use format::Format;
pub use spool::{Spool, SpoolError};

use crate::{document::Document, inspect::Inspection};
use process::ProcessKey;
use resources::clock::own_cpu_time;

/// How long a client waits for a document.
const PATIENCE: Duration = Duration::from_secs(10);
/// An inspection is made this long after the last one of the same process at the earliest,
const LEAST_BETWEEN: Duration = Duration::from_secs(1);
/// and so many times as long as that and the writing took: 5 % of a CPU at most.
const COST_SHARE: u32 = 20;
/// How long a document is kept after the next one could be made.
const KEPT: Duration = Duration::from_secs(10);
/// How long an inspection that was wanted is waited for, before another process has its turn.
const MAX_LOOK: Duration = Duration::from_secs(30);

/// Why there is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The process is not there, or not any more.
    Gone,
    /// There is none yet.
    NotYet {
        /// When it makes sense to ask again.
        retry_after: Duration,
    },
    /// The process could not be looked at, or the document not be written.
    Failed(String),
}

/// The documents that are asked for, and those that there are.
#[derive(Debug)]
pub struct Documents {
    desk: Mutex<Desk>,
    /// Counts what has changed on the desk.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Desk {
    processes: BTreeMap<ProcessKey, Asked>,
    /// The process whose look is under way or being written, and since when.
    under_way: Option<(ProcessKey, Instant)>,
}

/// What is asked of one process, and what there is.
#[derive(Debug)]
struct Asked {
    /// How many wait for each format.
    waiting: BTreeMap<Format, usize>,
    /// Since when somebody waits without a break.
    since: Instant,
    written: BTreeMap<Format, Result<Arc<Spool>, SpoolError>>,
    /// Why the last inspection failed, and when.
    failed: Option<(String, Instant)>,
    /// Whether the process is not there any more.
    gone: bool,
    /// When the next inspection may be made.
    next: Instant,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            desk: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Desk {
    /// The process that an inspection is wanted of: the one that somebody has waited for longest.
    fn take_wanted(&mut self, now: Instant) -> Option<ProcessKey> {
        self.processes
            .retain(|_, asked| !asked.waiting.is_empty() || now < asked.next + KEPT);
        let under_way = self.under_way.filter(|(_, since)| now < *since + MAX_LOOK);
        if under_way.is_some() {
            return None;
        }
        let wanted = self.processes.iter();
        let wanted = wanted.filter(|(_, asked)| asked.is_wanted(now));
        let key = *wanted.min_by_key(|(_, asked)| asked.since)?.0;
        self.under_way = Some((key, now));
        Some(key)
    }
}

impl Asked {
    fn new(now: Instant) -> Self {
        Self {
            waiting: BTreeMap::new(),
            since: now,
            written: BTreeMap::new(),
            failed: None,
            gone: false,
            next: now,
        }
    }

    fn is_wanted(&self, now: Instant) -> bool {
        !self.waiting.is_empty() && !self.gone && self.next <= now
    }

    /// What a client gets that has waited since `asked`; `None` while it has to wait.
    fn answer(&self, format: Format, asked: Instant) -> Option<Result<Arc<Spool>, Refusal>> {
        let failed = self.failed.as_ref().filter(|(_, at)| *at >= asked);
        if let Some((why, _)) = failed {
            return Some(Err(Refusal::Failed(why.clone())));
        }
        if self.gone {
            return Some(Err(Refusal::Gone));
        }
        match self.written.get(&format)? {
            Ok(spool) => {
                let fresh = spool.looked() >= asked || Instant::now() < self.next;
                fresh.then(|| Ok(Arc::clone(spool)))
            }
            Err(error) => {
                let fresh = Instant::now() < self.next;
                fresh.then(|| Err(Refusal::Failed(error.to_string())))
            }
        }
    }

    /// What a client gets that cannot wait any longer.
    fn answer_late(&self, format: Format) -> Result<Arc<Spool>, Refusal> {
        if let Some(Ok(spool)) = self.written.get(&format) {
            return Ok(Arc::clone(spool));
        }
        let next = self.next.saturating_duration_since(Instant::now());
        Err(Refusal::NotYet {
            retry_after: next.max(LEAST_BETWEEN),
        })
    }
}

impl Documents {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// The document of a process in `format`: the last one while it is fresh, else the next one.
    ///
    /// # Errors
    /// [`Refusal`]; also when there is none after ten seconds.
    pub async fn get(&self, key: ProcessKey, format: Format) -> Result<Arc<Spool>, Refusal> {
        let asked = Instant::now();
        let until = Deadline::now() + PATIENCE;
        let mut changed = self.changed.subscribe();
        let _waiting = Waiting::new(self, key, format);
        loop {
            changed.mark_unchanged();
            {
                let desk = self.desk();
                let known = desk.processes.get(&key).ok_or(Refusal::Gone)?;
                if let Some(answer) = known.answer(format, asked) {
                    return answer;
                }
                if Deadline::now() >= until {
                    return known.answer_late(format);
                }
            }
            // When it is too late, what there is will do.
            let _ = timeout_at(until, changed.changed()).await;
        }
    }

    /// The process that an inspection is wanted of now, told once. One inspection of a time is wanted, of all
    /// processes.
    #[must_use]
    pub fn take_wanted(&self) -> Option<ProcessKey> {
        self.desk().take_wanted(Instant::now())
    }

    /// Takes an inspection of the process `key`, which took `cost` of CPU time, if somebody waits for its
    /// document. It is written on a thread of its own.
    pub fn hand_over(self: &Arc<Self>, key: ProcessKey, look: Inspection, cost: Duration) {
        if !self.desk().claim(key) {
            return;
        }
        let (documents, looked) = (Arc::clone(self), Instant::now());
        let writer = thread::Builder::new().name("gostuck-writes".to_owned());
        let writing = writer.spawn(move || {
            let before = own_cpu_time();
            let document = Document::new(&look);
            drop(look);
            documents.write(key, &document, looked);
            documents.written(key, cost + own_cpu_time().saturating_sub(before));
        });
        if let Err(error) = writing {
            self.fail(key, format!("no thread to write the document: {error}"));
        }
    }

    /// Writes the document in all formats that somebody waits for.
    fn write(&self, key: ProcessKey, document: &Document, looked: Instant) {
        let wanted: Vec<Format> = {
            let desk = self.desk();
            let asked = desk.processes.get(&key);
            asked.map_or_else(Vec::new, |asked| asked.waiting.keys().copied().collect())
        };
        let written: Vec<_> = wanted
            .into_iter()
            .map(|format| {
                let spool = Spool::write(document, format, looked).map(Arc::new);
                (format, spool)
            })
            .collect();
        if let Some(asked) = self.desk().processes.get_mut(&key) {
            asked.written.clear();
            asked.written.extend(written);
            asked.failed = None;
        }
    }

    /// The inspection of the process `key` is dealt with, at a cost of so much CPU time.
    fn written(&self, key: ProcessKey, cost: Duration) {
        let mut desk = self.desk();
        desk.under_way = None;
        if let Some(asked) = desk.processes.get_mut(&key) {
            asked.next = Instant::now() + LEAST_BETWEEN.max(cost * COST_SHARE);
        }
        drop(desk);
        self.tell();
    }

    /// Writes `document` as if an inspection of the process `key` had been handed over, at that `cost`.
    #[cfg(test)]
    pub(super) fn answer_with(&self, key: ProcessKey, document: &Document, cost: Duration) {
        self.write(key, document, Instant::now());
        self.written(key, cost);
    }

    /// Whether somebody waits for the document of the process `key`.
    #[cfg(test)]
    pub(super) fn is_awaited(&self, key: ProcessKey) -> bool {
        let desk = self.desk();
        let asked = desk.processes.get(&key);
        asked.is_some_and(|asked| !asked.waiting.is_empty())
    }

    /// The process `key` could not be looked at.
    pub fn fail(&self, key: ProcessKey, why: String) {
        let mut desk = self.desk();
        desk.under_way.take_if(|(under_way, _)| *under_way == key);
        let Some(asked) = desk.processes.get_mut(&key) else {
            return;
        };
        let now = Instant::now();
        asked.failed = Some((why, now));
        asked.next = now + LEAST_BETWEEN;
        drop(desk);
        self.tell();
    }

    /// Forgets the process `key`, which has ended.
    pub fn forget(&self, key: ProcessKey) {
        let mut desk = self.desk();
        desk.under_way.take_if(|(under_way, _)| *under_way == key);
        if let Some(asked) = desk.processes.get_mut(&key) {
            asked.gone = true;
            asked.written.clear();
            drop(desk);
            self.tell();
        }
    }
}

impl Desk {
    /// Whether the inspection of `key` that is under way is still waited for. If not, others have their turn.
    fn claim(&mut self, key: ProcessKey) -> bool {
        if self.under_way.is_none_or(|(known, _)| known != key) {
            return false;
        }
        let asked = self.processes.get(&key);
        let awaited = asked.is_some_and(|asked| !asked.waiting.is_empty());
        if !awaited {
            self.under_way = None;
        }
        awaited
    }
}

/// One client that waits, until dropped.
struct Waiting<'a> {
    documents: &'a Documents,
    key: ProcessKey,
    format: Format,
}

impl<'a> Waiting<'a> {
    fn new(documents: &'a Documents, key: ProcessKey, format: Format) -> Self {
        let now = Instant::now();
        let mut desk = documents.desk();
        let asked = desk.processes.entry(key).or_insert_with(|| Asked::new(now));
        if asked.waiting.is_empty() {
            (asked.since, asked.gone) = (now, false);
        }
        *asked.waiting.entry(format).or_default() += 1;
        drop(desk);
        Self {
            documents,
            key,
            format,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut desk = self.documents.desk();
        let Some(asked) = desk.processes.get_mut(&self.key) else {
            return;
        };
        if let Some(number) = asked.waiting.get_mut(&self.format) {
            *number -= 1;
            if *number == 0 {
                asked.waiting.remove(&self.format);
            }
        }
    }
}

#[cfg(test)]
mod tests;
