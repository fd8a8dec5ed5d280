//! Growth without end: goroutines by the `go` statement that made them, and threads.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;

use super::{
    creation_site::{CreationSite, CreationSites, Handed},
    identity::Identity,
    model::{Finding, FindingKind, Group},
    phrase::count,
    site::Symbols,
    thread_sites,
    trend::Trend,
};
use process::ProcessKey;
use snapshot::{Goroutine, Snapshot};

/// Most looks remembered: so many of the latest, and as many spread over the window.
const LOOKS: usize = 60;
/// Looks older than this are forgotten, unless asked otherwise: a leak of one goroutine a minute shows.
pub const GROWTH_WINDOW: Duration = Duration::from_secs(60 * 60);
/// Most creation sites remembered of one inspection, those with most goroutines.
const SITES: usize = 32;

/// What has to hold before growth is told of: enough looks over enough time, nearly every later
/// look above every earlier one, and enough gained.
const LEAST_LOOKS: usize = 5;
const LEAST_SPAN_NS: u64 = 10 * 1_000_000_000;
const LEAST_STEADINESS: f64 = 0.9;
const LEAST_GAIN: u64 = 20;

/// The counts of one process over the last looks.
#[derive(Debug)]
pub struct Growth {
    /// The latest looks: what grows fast shows at once.
    looks: VecDeque<Arc<Counts>>,
    /// Looks at a distance from each other: what grows slowly shows, too.
    spread: VecDeque<Arc<Counts>>,
    creation_sites: CreationSites,
    window: Duration,
}

impl Default for Growth {
    fn default() -> Self {
        Self::over(GROWTH_WINDOW)
    }
}

#[derive(Debug)]
struct Counts {
    at_ns: u64,
    goroutines: u64,
    threads: u64,
    sites: FxHashMap<CreationSite, u64>,
    /// Whether sites with few goroutines are missing in `sites`.
    cut: bool,
}

/// How the goroutines of one creation site grow.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteGrowth {
    /// Where they come from.
    pub site: CreationSite,
    /// How many there are now.
    pub count: u64,
    /// How many more a minute.
    pub per_minute: f64,
    /// For how long their number was seen to rise, in nanoseconds.
    pub over_ns: u64,
}

impl Growth {
    /// Growth over the last `window`.
    #[must_use]
    pub fn over(window: Duration) -> Self {
        Self {
            looks: VecDeque::new(),
            spread: VecDeque::new(),
            creation_sites: CreationSites::default(),
            window,
        }
    }

    /// Remembers the counts of an inspection.
    pub fn add(&mut self, snapshot: &Snapshot, symbols: &dyn Symbols) {
        let counts = Arc::new(Counts::of(snapshot, &mut self.creation_sites, symbols));
        let window_ns = u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX);
        let distance_ns = window_ns / LOOKS as u64;
        let last = self.spread.back();
        if last.is_none_or(|last| counts.at_ns.saturating_sub(last.at_ns) >= distance_ns) {
            remember(&mut self.spread, Arc::clone(&counts), window_ns);
        }
        remember(&mut self.looks, counts, window_ns);
    }

    /// How the number of user goroutines changes a minute.
    #[must_use]
    pub fn goroutines_per_minute(&self) -> Option<f64> {
        self.trend(|look| Some(look.goroutines))
            .map(|t| t.per_minute)
    }

    /// How the number of threads changes a minute.
    #[must_use]
    pub fn threads_per_minute(&self) -> Option<f64> {
        self.trend(|look| Some(look.threads)).map(|t| t.per_minute)
    }

    /// The creation sites whose goroutines grow without end, fastest first.
    #[must_use]
    pub fn sites(&self) -> Vec<SiteGrowth> {
        let Some(last) = self.looks.back() else {
            return Vec::new();
        };
        let mut growing: Vec<SiteGrowth> = last
            .sites
            .iter()
            .filter_map(|(site, &count)| {
                let (trend, over_ns) = self.grows(|look| look.at_site(site))?;
                Some(SiteGrowth {
                    site: site.clone(),
                    count,
                    per_minute: trend.per_minute,
                    over_ns,
                })
            })
            .collect();
        growing.sort_by(|a, b| {
            let faster = b.per_minute.total_cmp(&a.per_minute);
            faster.then(a.site.cmp(&b.site))
        });
        growing
    }

    /// What grows without end. `snapshot` is the inspection that was added last.
    #[must_use]
    pub fn findings(
        &self,
        process: ProcessKey,
        snapshot: &Snapshot,
        symbols: &dyn Symbols,
    ) -> Vec<Finding> {
        let growing = self.sites();
        let mut members = members(snapshot, symbols, &growing);
        let mut findings: Vec<Finding> = growing
            .iter()
            .map(|growth| {
                let members = members.remove(&growth.site).unwrap_or_default();
                self.of_site(process, symbols, growth, &members)
            })
            .collect();
        findings.extend(self.of_threads(process, snapshot, symbols));
        findings
    }

    /// Writes into leaks how fast the goroutines of their creation site grow. `snapshot` is the inspection
    /// that was added last, and that the findings are of.
    pub fn tell_of_leaks(
        &mut self,
        snapshot: &Snapshot,
        symbols: &dyn Symbols,
        findings: &mut [Finding],
    ) {
        let sites = self.sites();
        if sites.is_empty() {
            return;
        }
        for finding in findings {
            if finding.kind != FindingKind::Unreachable {
                continue;
            }
            let Some(group) = &mut finding.group else {
                continue;
            };
            let example = snapshot.goroutine(group.example);
            let creation_sites = &mut self.creation_sites;
            let site = example.and_then(|g| creation_sites.of(g, symbols, &mut Handed::default()));
            let Some(growth) = sites.iter().find(|s| Some(&s.site) == site.as_ref()) else {
                continue;
            };
            group.per_minute = Some(growth.per_minute);
            finding.story.push(format!(
                "There are {:.0} more every minute.",
                growth.per_minute
            ));
        }
    }

    fn of_site(
        &self,
        process: ProcessKey,
        symbols: &dyn Symbols,
        growth: &SiteGrowth,
        members: &[&Goroutine],
    ) -> Finding {
        let kind = FindingKind::GoroutineGrowth;
        let SiteGrowth { site, .. } = growth;
        let mut id = Identity::new(process, kind).number(site.created_at.0);
        if let Some(runs) = &site.runs {
            id = id.text(runs);
        }
        let id = id.id();
        Finding {
            count: growth.count,
            group: members.first().map(|oldest| Group {
                blocked_at: None,
                created_at: symbols.sites(site.created_at, true).into_iter().next(),
                example: oldest.goid,
                oldest_ns: None,
                newest_ns: None,
                retained_bytes: None,
                per_minute: Some(growth.per_minute),
            }),
            summary: format!(
                "{} created at {}, and {:.0} more every minute",
                count(growth.count, "goroutine"),
                site.place(symbols),
                growth.per_minute
            ),
            story: vec![format!(
                "Over the last {} the number only rose. If nothing ends these goroutines, memory \
                 runs out; look at what they wait for.",
                super::phrase::duration(growth.over_ns)
            )],
            doubts: vec!["a busy program may just be warming up".to_owned()],
            ..Finding::new(kind, id).of(members.iter().map(|g| g.goid).collect())
        }
    }

    fn of_threads(
        &self,
        process: ProcessKey,
        snapshot: &Snapshot,
        symbols: &dyn Symbols,
    ) -> Option<Finding> {
        let (trend, _) = self.grows(|look| Some(look.threads))?;
        let kind = FindingKind::ThreadGrowth;
        let threads = self.looks.back()?.threads;
        Some(Finding {
            count: threads,
            summary: format!(
                "{}, and {:.0} more every minute",
                count(threads, "thread"),
                trend.per_minute
            ),
            story: thread_sites::story(snapshot, symbols),
            doubts: vec!["a busy program may just be warming up".to_owned()],
            ..Finding::new(kind, Identity::new(process, kind).id())
        })
    }

    fn trend(&self, of: impl Fn(&Counts) -> Option<u64>) -> Option<Trend> {
        Trend::of(&counts(&self.looks, of))
    }

    /// The trend of a count that grows steadily, and over how many nanoseconds; else nothing.
    fn grows(&self, of: impl Fn(&Counts) -> Option<u64>) -> Option<(Trend, u64)> {
        grows(&counts(&self.looks, &of)).or_else(|| grows(&counts(&self.spread, &of)))
    }
}

/// Adds an inspection, and forgets those that are too many or too old.
fn remember(looks: &mut VecDeque<Arc<Counts>>, counts: Arc<Counts>, window_ns: u64) {
    let oldest = counts.at_ns.saturating_sub(window_ns);
    while looks.len() >= LOOKS || looks.front().is_some_and(|look| look.at_ns < oldest) {
        looks.pop_front();
    }
    looks.push_back(counts);
}

fn counts(looks: &VecDeque<Arc<Counts>>, of: impl Fn(&Counts) -> Option<u64>) -> Vec<(u64, u64)> {
    let counts = looks.iter();
    counts
        .filter_map(|look| Some((look.at_ns, of(look)?)))
        .collect()
}

fn grows(counts: &[(u64, u64)]) -> Option<(Trend, u64)> {
    let (first, last) = (counts.first()?, counts.last()?);
    let gained = last.1.saturating_sub(first.1);
    let over_ns = last.0.saturating_sub(first.0);
    if counts.len() < LEAST_LOOKS
        || over_ns < LEAST_SPAN_NS
        || gained < LEAST_GAIN.max(first.1 / 10)
    {
        return None;
    }
    let trend = Trend::of(counts)?;
    let steady = trend.steadiness >= LEAST_STEADINESS && trend.per_minute > 0.0;
    steady.then_some((trend, over_ns))
}

/// The goroutines of each of the `growing` sites, in order.
fn members<'a>(
    snapshot: &'a Snapshot,
    symbols: &dyn Symbols,
    growing: &[SiteGrowth],
) -> FxHashMap<CreationSite, Vec<&'a Goroutine>> {
    let mut members: FxHashMap<CreationSite, Vec<&Goroutine>> = FxHashMap::default();
    if growing.is_empty() {
        return members;
    }
    members.extend(
        growing
            .iter()
            .map(|growth| (growth.site.clone(), Vec::new())),
    );
    let (mut creation_sites, mut handed) = (CreationSites::default(), Handed::default());
    for goroutine in &snapshot.goroutines {
        if let Some(site) = creation_sites.of(goroutine, symbols, &mut handed)
            && let Some(members) = members.get_mut(&site)
        {
            members.push(goroutine);
        }
    }
    members
}

impl Counts {
    fn of(snapshot: &Snapshot, creation_sites: &mut CreationSites, symbols: &dyn Symbols) -> Self {
        let mut sites: FxHashMap<CreationSite, u64> = FxHashMap::default();
        let mut handed = Handed::default();
        let mut goroutines = 0;
        for goroutine in snapshot.goroutines.iter().filter(|g| !g.system) {
            goroutines += 1;
            if let Some(site) = creation_sites.of(goroutine, symbols, &mut handed) {
                *sites.entry(site).or_default() += 1;
            }
        }
        let cut = sites.len() > SITES;
        if cut {
            let mut most: Vec<(u64, CreationSite)> = sites
                .into_iter()
                .map(|(site, count)| (count, site))
                .collect();
            most.sort_unstable_by(|a, b| b.cmp(a));
            most.truncate(SITES);
            sites = most
                .into_iter()
                .map(|(count, site)| (site, count))
                .collect();
        }
        Self {
            at_ns: snapshot.taken_ns,
            goroutines,
            threads: snapshot.threads.iter().filter(|t| t.tid.is_some()).count() as u64,
            sites,
            cut,
        }
    }

    /// The count at a site; `None` when it may have been left out.
    fn at_site(&self, site: &CreationSite) -> Option<u64> {
        let known = self.sites.get(site).copied();
        known.or((!self.cut).then_some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::Growth;
    use crate::finding::{
        Finding, FindingId, FindingKind, Group,
        fixture::{KEY, Process, Table},
    };
    use ids::Goid;
    use snapshot::Status;

    fn look(goroutines: u64, at_seconds: u64) -> Process {
        let mut process = Process::new();
        for goid in 0..goroutines {
            process.runs(goid + 10, Status::Runnable);
        }
        process.snapshot.taken_ns = at_seconds * 1_000_000_000;
        process
    }

    fn findings(counts: impl Iterator<Item = u64>) -> Vec<FindingKind> {
        let mut growth = Growth::default();
        let mut last = look(0, 0);
        for (at, goroutines) in counts.enumerate() {
            last = look(goroutines, 2 * at as u64);
            growth.add(&last.snapshot, &Table);
        }
        let findings = growth.findings(KEY, &last.snapshot, &Table);
        findings.into_iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn a_leak_is_told_and_a_plateau_is_not() {
        assert_eq!(
            findings((0..20).map(|i| 100 + 10 * i)),
            [FindingKind::GoroutineGrowth]
        );
        assert_eq!(findings((0..20).map(|i| (20 * i).min(100))), []);
        assert_eq!(findings((0..20).map(|i| 100 + i % 7)), []);
    }

    #[test]
    fn one_goroutine_a_minute_shows_within_the_hour() {
        let mut growth = Growth::default();
        let mut told_after_minutes = None;
        for at in 0..3600 / 5 {
            let minutes = at * 5 / 60;
            let last = look(100 + minutes, 5 * at);
            growth.add(&last.snapshot, &Table);
            if !growth.findings(KEY, &last.snapshot, &Table).is_empty() {
                told_after_minutes.get_or_insert(minutes);
            }
        }
        assert_eq!(told_after_minutes, Some(20));
    }

    #[test]
    fn two_looks_are_too_few() {
        assert_eq!(findings([100, 1_000].into_iter()), []);
    }

    #[test]
    fn a_leak_at_a_growing_site_says_how_fast_it_grows() {
        let mut growth = Growth::default();
        let mut last = look(0, 0);
        for at in 0..20 {
            last = look(100 + 10 * at, 2 * at);
            growth.add(&last.snapshot, &Table);
        }
        let mut leak = Finding::new(FindingKind::Unreachable, FindingId(1));
        leak.group = Some(Group {
            blocked_at: None,
            created_at: None,
            example: Goid(10),
            oldest_ns: None,
            newest_ns: None,
            retained_bytes: None,
            per_minute: None,
        });
        let mut findings = [leak];
        growth.tell_of_leaks(&last.snapshot, &Table, &mut findings);
        let [leak] = findings;
        let per_minute = leak.group.and_then(|group| group.per_minute);
        assert!((per_minute.unwrap() - 300.0).abs() < 1.0, "{per_minute:?}");
        assert_eq!(leak.story, ["There are 300 more every minute."]);
    }
}
