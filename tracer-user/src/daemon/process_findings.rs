//! One process followed from look to look: what appeared, what cleared, what grows.

use std::{collections::BTreeMap, time::SystemTime};

use rustc_hash::FxHashSet;

use crate::{
    daemon::{
        process_metrics::ProcessMetrics,
        process_table::{
            Findings, GrowthRates, LevelChanges, Mode, Probed, ProcessEntry, ProcessSummary,
        },
    },
    document::{Clock, ImageFacts, Process as Facts},
    finding::{Change, Finding, FindingKind, FindingTracker, Growth, Readiness, Verdict},
    inspect::Inspection,
};
use ids::Goid;
use image::Image;
use process::Process;
use resources::clock::monotonic_ns;

/// Most creation sites whose growth is told; the rest is added up as `other`.
const TOLD_SITES: usize = 10;

/// A process over time.
#[derive(Debug, Default)]
pub struct ProcessFindings {
    life: FindingTracker,
    growth: Growth,
    readiness: Readiness,
    threads_created: u64,
}

impl ProcessFindings {
    /// One that forgets looks older than `growth_window`.
    pub fn new(growth: Growth) -> Self {
        Self {
            growth,
            ..Self::default()
        }
    }

    /// Takes in an inspection: adds what only time shows to its findings, dates them, and tells what is
    /// new.
    pub fn take(&mut self, look: &mut Inspection) -> Vec<Change> {
        let diagnosis = &mut look.diagnosis;
        self.growth.add(&diagnosis.snapshot, &*look.image);
        self.growth
            .tell_of_leaks(&diagnosis.snapshot, &*look.image, &mut diagnosis.findings);
        let growing = self
            .growth
            .findings(diagnosis.process, &diagnosis.snapshot, &*look.image);
        let leaking = leaking(&diagnosis.findings);
        let growing = growing.into_iter();
        let news = growing.filter(|growth| !is_told_as_leak(growth, &leaking));
        diagnosis.findings.extend(news);
        let starved = self
            .readiness
            .update(diagnosis.process, &diagnosis.snapshot, &*look.image);
        diagnosis.findings.extend(starved);
        self.life
            .update(&mut diagnosis.findings, diagnosis.snapshot.taken_ns)
    }

    /// The findings of the last inspection.
    pub fn standing(&self) -> impl Iterator<Item = &Finding> {
        self.life.standing()
    }

    /// What the process table shows after `look`, with what the probes tell.
    pub fn entry(
        &mut self,
        look: &Inspection,
        probed: Probed,
        stuck_after_ns: u64,
    ) -> ProcessEntry {
        let diagnosis = &look.diagnosis;
        let snapshot = &diagnosis.snapshot;
        let facts = ImageFacts::new(&look.image, snapshot);
        let clock = Clock::at(snapshot.taken_ns);
        let process = Facts::new(&look.process, facts, look.cpu_limit, snapshot, &clock);
        let mut figures = ProcessMetrics::new(snapshot, &diagnosis.findings, stuck_after_ns);
        // The newest thread may have ended since; the count never goes back.
        self.threads_created = self.threads_created.max(figures.threads_created);
        figures.threads_created = self.threads_created;
        let number = |verdict| {
            let findings = diagnosis.findings.iter();
            findings
                .filter(|finding| finding.verdict == verdict && finding.cause.is_none())
                .count()
        };
        let rates = self.rates(look);
        let mut entry = ProcessEntry {
            listed: ProcessSummary {
                goroutines_total: process.goroutines,
                threads_total: process.threads,
                process,
                findings: Findings {
                    proven: number(Verdict::Proven),
                    suspected: number(Verdict::Suspected),
                },
                mode: Mode::Unprobed,
                cost_ratio: None,
                // Whole numbers, so that noise does not count as a change of the list.
                last_look_seconds_ago: None,
                growth_per_minute: self.growth.goroutines_per_minute().map(f64::round),
            },
            figures,
            rates,
            detector_armed: diagnosis.detector.as_ref().map(|detector| detector.armed),
            waits: BTreeMap::new(),
            over_budget: false,
            switches: LevelChanges::default(),
            looked_at: Some(SystemTime::now()),
            found_at: SystemTime::now(),
        };
        probed.write_to(&mut entry);
        entry
    }

    fn rates(&self, look: &Inspection) -> GrowthRates {
        let mut goroutines_by_site = BTreeMap::new();
        if let Some(all) = self.growth.goroutines_per_minute() {
            goroutines_by_site.insert(String::new(), all);
        }
        let sites = self.growth.sites();
        for (position, site) in sites.iter().enumerate() {
            let name = if position < TOLD_SITES {
                site.site.place(&*look.image)
            } else {
                "other".to_owned()
            };
            *goroutines_by_site.entry(name).or_default() += site.per_minute;
        }
        GrowthRates {
            goroutines_by_site,
            threads: self.growth.threads_per_minute(),
            overhead: None,
        }
    }
}

/// The goroutines that are proven to leak.
fn leaking(findings: &[Finding]) -> FxHashSet<Goid> {
    let leaks = findings.iter().filter(|finding| {
        finding.kind == FindingKind::Unreachable && finding.verdict == Verdict::Proven
    });
    leaks.flat_map(Finding::concerned).copied().collect()
}

/// Whether most of the goroutines that grow in number are `leaking`: of these it is told already how fast
/// they do.
fn is_told_as_leak(growth: &Finding, leaking: &FxHashSet<Goid>) -> bool {
    let growing = growth.concerned();
    let told = growing.iter().filter(|goid| leaking.contains(goid)).count();
    told * 2 > growing.len()
}

/// What the process table shows of a process before the first inspection.
pub fn entry_of_unseen(
    process: &Process,
    image: &Image,
    probed: Probed,
    found_at: SystemTime,
) -> ProcessEntry {
    let facts = Facts::unread(process, image, &Clock::at(monotonic_ns()));
    entry_of(facts, probed, found_at)
}

/// What the process table shows of a process of which nothing can be read.
pub fn entry_of_silent(process: &Process, probed: Probed, found_at: SystemTime) -> ProcessEntry {
    let facts = Facts::silent(process, &Clock::at(monotonic_ns()));
    entry_of(facts, probed, found_at)
}

fn entry_of(process: Facts, probed: Probed, found_at: SystemTime) -> ProcessEntry {
    let mut entry = ProcessEntry {
        listed: ProcessSummary {
            process,
            goroutines_total: 0,
            threads_total: 0,
            findings: Findings::default(),
            mode: Mode::Unprobed,
            cost_ratio: None,
            growth_per_minute: None,
            last_look_seconds_ago: None,
        },
        figures: ProcessMetrics::default(),
        rates: GrowthRates::default(),
        detector_armed: None,
        waits: BTreeMap::new(),
        over_budget: false,
        switches: LevelChanges::default(),
        looked_at: None,
        found_at,
    };
    probed.write_to(&mut entry);
    entry
}
