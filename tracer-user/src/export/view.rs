//! What the page shows of one process: the daemon's last inspection of it, in groups.
//!
//! Looks are kept of those processes only that somebody watches. Viewers make none of their own: a
//! look that one of them wants is made by the supervisor, in its turn, and serves all others.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use tokio::sync::watch;

use super::json;
use crate::{
    document::{Member, Members, Overview, SCHEMA, StackGroup},
    inspect::Inspection,
};
use ids::{Goid, Pid};
use process::ProcessKey;

/// How long a process counts as watched after somebody asked for it.
const WATCHED: Duration = Duration::from_secs(60);
/// Most processes that looks are kept of; whoever was asked for longest ago makes room.
const MAX_KEPT: usize = 8;
/// An inspection that a viewer wants is made this long after the last one at the earliest,
const LEAST_BETWEEN: Duration = Duration::from_secs(1);
/// and so many times as long as that took: viewers cost 5 % of a CPU at most.
const COST_SHARE: u32 = 20;
/// Most goroutines in one answer.
pub const MAX_PAGE: usize = 1_000;

/// One inspection of one process, as it is served.
#[derive(Debug)]
pub struct View {
    overview: Overview,
    members: Members,
    looked: Instant,
    cost: Duration,
    plain: OnceLock<Bytes>,
    compressed: OnceLock<Bytes>,
}

/// Goroutines of one inspection that were asked for.
#[derive(Debug, Serialize)]
pub struct GoroutinePage {
    schema: &'static str,
    taken: String,
    /// How many there are, on this page or not.
    total: usize,
    /// How many come before the first one of this page.
    offset: usize,
    /// Their groups.
    groups: Vec<StackGroup>,
    goroutines: Vec<Member>,
}

impl View {
    /// What `look`, which took `cost` of CPU time, saw just now.
    #[must_use]
    pub fn new(look: &Inspection, cost: Duration) -> Self {
        Self::of(Overview::new(look), cost)
    }

    /// Likewise of an inspection that is described already.
    #[must_use]
    pub fn of((overview, members): (Overview, Members), cost: Duration) -> Self {
        Self {
            overview,
            members,
            looked: Instant::now(),
            cost,
            plain: OnceLock::new(),
            compressed: OnceLock::new(),
        }
    }

    /// How long ago the inspection was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.looked.elapsed()
    }

    /// Whether another inspection may be made because a viewer wants it.
    fn may_be_renewed(&self) -> bool {
        self.age() >= LEAST_BETWEEN.max(self.cost * COST_SHARE)
    }

    /// The overview as JSON, written once; compressed by gzip or not.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json(&self, gzip: bool) -> io::Result<Bytes> {
        let cell = if gzip { &self.compressed } else { &self.plain };
        if let Some(known) = cell.get() {
            return Ok(known.clone());
        }
        let plain = json::to_vec(&self.overview)?;
        let bytes = Bytes::from(if gzip { compressed(&plain)? } else { plain });
        Ok(cell.get_or_init(|| bytes).clone())
    }

    /// `limit` goroutines of a group after the first `offset`; `None` when there is no such group.
    #[must_use]
    pub fn of_group(&self, group: usize, offset: usize, limit: usize) -> Option<GoroutinePage> {
        let total = self.overview.groups.get(group)?.count;
        let members = self.members.of_group(group);
        let members = members.skip(offset).take(limit.min(MAX_PAGE));
        Some(self.page(members.collect(), total, offset))
    }

    /// The goroutines that have these ids, as far as they are there.
    #[must_use]
    pub fn of_ids(&self, ids: &[Goid]) -> GoroutinePage {
        let known = ids.iter().filter_map(|id| self.members.get(*id));
        let members: Vec<Member> = known.take(MAX_PAGE).collect();
        let total = members.len();
        self.page(members, total, 0)
    }

    fn page(&self, goroutines: Vec<Member>, total: usize, offset: usize) -> GoroutinePage {
        let mut groups: Vec<usize> = goroutines.iter().map(|member| member.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let groups = groups.into_iter();
        GoroutinePage {
            schema: SCHEMA,
            taken: self.overview.taken.clone(),
            total,
            offset,
            groups: groups
                .filter_map(|group| self.overview.groups.get(group).cloned())
                .collect(),
            goroutines,
        }
    }
}

/// `plain`, compressed by gzip.
///
/// # Errors
/// None in practice: memory is written to.
pub fn compressed(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(plain)?;
    out.finish()
}

/// The processes that are watched, and the last inspection of each.
#[derive(Debug)]
pub struct Views {
    watched: Mutex<BTreeMap<Pid, Watched>>,
    /// Counts the inspections that have been kept.
    kept: watch::Sender<u64>,
}

#[derive(Debug)]
struct Watched {
    key: ProcessKey,
    asked: Instant,
    /// Whether a viewer waits for an inspection.
    wanted: bool,
    view: Option<Arc<View>>,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            watched: Mutex::default(),
            kept: watch::Sender::new(0),
        }
    }
}

impl Views {
    /// The last inspection of the process `key`, which counts as watched from now on. Where there is none, or
    /// with `fresh` another one may be made, that is wanted from now on; whether it is.
    #[must_use]
    pub fn watch(&self, key: ProcessKey, fresh: bool) -> (Option<Arc<View>>, bool) {
        let mut watched = self.watched();
        let now = Instant::now();
        if !watched.contains_key(&key.pid) && watched.len() >= MAX_KEPT {
            let oldest = watched.iter().min_by_key(|(_, known)| known.asked);
            if let Some(pid) = oldest.map(|(pid, _)| *pid) {
                watched.remove(&pid);
            }
        }
        let known = watched.entry(key.pid).or_insert_with(|| Watched {
            key,
            asked: now,
            wanted: false,
            view: None,
        });
        if known.key != key {
            (known.key, known.view) = (key, None);
        }
        known.asked = now;
        let view = known.view.as_ref();
        let wanted = view.is_none_or(|view| fresh && view.may_be_renewed());
        known.wanted |= wanted;
        (view.cloned(), wanted)
    }

    /// The processes of which an inspection is wanted, each told of once.
    #[must_use]
    pub fn take_wanted(&self) -> Vec<ProcessKey> {
        let mut watched = self.watched();
        let wanted = watched.values_mut().filter(|known| known.wanted);
        wanted
            .map(|known| {
                known.wanted = false;
                known.key
            })
            .collect()
    }

    /// The inspection that was wanted could not be begun: it still is.
    pub fn want(&self, key: ProcessKey) {
        let mut watched = self.watched();
        if let Some(known) = watched.get_mut(&key.pid).filter(|known| known.key == key) {
            known.wanted = true;
        }
    }

    /// Wakes whenever an inspection has been kept.
    #[must_use]
    pub fn kept(&self) -> watch::Receiver<u64> {
        self.kept.subscribe()
    }

    /// Whether looks at the process `key` are to be kept. Forgets those that nobody asks for any more.
    #[must_use]
    pub fn is_watched(&self, key: ProcessKey) -> bool {
        let mut watched = self.watched();
        watched.retain(|_, known| known.asked.elapsed() < WATCHED);
        watched.get(&key.pid).is_some_and(|known| known.key == key)
    }

    /// Keeps an inspection of the process `key`, if that is watched.
    pub fn keep(&self, key: ProcessKey, view: Arc<View>) {
        let mut watched = self.watched();
        if let Some(known) = watched.get_mut(&key.pid).filter(|known| known.key == key) {
            (known.view, known.wanted) = (Some(view), false);
        }
        drop(watched);
        self.kept.send_modify(|count| *count += 1);
    }

    /// Forgets the process `key`, which has ended.
    pub fn forget(&self, key: ProcessKey) {
        let mut watched = self.watched();
        watched.retain(|_, known| known.key != key);
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<Pid, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::document::example;
    use process::StartTime;

    fn view() -> Arc<View> {
        Arc::new(View::of(example::overview(), Duration::ZERO))
    }

    fn key(pid: u32, start: u64) -> ProcessKey {
        ProcessKey {
            pid: Pid(pid),
            start_time: StartTime(start),
        }
    }

    #[test]
    fn looks_are_kept_of_watched_processes_only() {
        let views = Views::default();
        views.keep(key(1, 1), view());
        assert!(!views.is_watched(key(1, 1)));
        assert!(views.watch(key(1, 1), false).0.is_none());
        assert!(views.is_watched(key(1, 1)));
        assert_eq!(views.take_wanted(), [key(1, 1)]);
        assert!(views.take_wanted().is_empty());
        views.keep(key(1, 1), view());
        // It was made just now.
        let (kept, wanted) = views.watch(key(1, 1), true);
        assert!(kept.is_some() && !wanted);
        assert!(views.take_wanted().is_empty());
        // Another process has the pid by now.
        views.keep(key(1, 2), view());
        assert!(views.watch(key(1, 2), false).0.is_none());
        for pid in 2..20 {
            assert!(views.watch(key(pid, 1), false).0.is_none());
        }
        assert!(!views.is_watched(key(1, 2)));
        assert!(views.watched().len() <= MAX_KEPT);
        views.forget(key(19, 1));
        assert!(!views.is_watched(key(19, 1)));
    }

    #[test]
    fn it_is_compressed_when_asked_for() {
        let view = view();
        let plain = view.json(false).unwrap();
        let mut inflated = Vec::new();
        let compressed = view.json(true).unwrap();
        GzDecoder::new(&compressed[..])
            .read_to_end(&mut inflated)
            .unwrap();
        assert_eq!(inflated, plain);
        assert!(compressed.len() < plain.len());
    }

    #[test]
    fn goroutines_come_in_pages() {
        let view = view();
        let whole = view.of_group(0, 0, 100).unwrap();
        assert_eq!((whole.total, whole.goroutines.len()), (3, 3));
        let rest = view.of_group(0, 1, 1).unwrap();
        assert_eq!(rest.goroutines, whole.goroutines[1..2]);
        assert!(view.of_group(9, 0, 100).is_none());
        let named = view.of_ids(&[Goid(19), Goid(77)]);
        assert_eq!(named.goroutines.len(), 1);
        assert_eq!(named.groups.len(), 1);
    }
}
