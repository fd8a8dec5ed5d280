//! Metrics about processes, encoded from the process table at each scrape: a process that left the process table
//! leaves the metrics with it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue},
    metrics::MetricType,
};

use crate::daemon::{
    found_findings::FoundSeries,
    labels::{Identity, Label},
    process_metrics::ProcessMetrics,
    process_table::{GrowthRates, LevelChanges, Mode, ProcessEntry, ProcessTable},
    wait_histogram::WaitHistogram,
};

/// Encodes what the process table shows.
#[derive(Debug)]
pub struct Processes(pub Arc<ProcessTable>);

/// All processes of one identity.
#[derive(Default)]
struct Merged {
    figures: ProcessMetrics,
    rates: GrowthRates,
    cpu_limit: Option<f64>,
    armed: Option<bool>,
    waits: BTreeMap<&'static str, WaitHistogram>,
    events_mode: bool,
    over_budget: bool,
    switches: LevelChanges,
    /// In seconds since 1970.
    last_look: Option<f64>,
    /// In seconds; of the process that was not looked at for longest.
    age: f64,
    info: Vec<Label>,
}

impl Merged {
    fn add(&mut self, entry: &ProcessEntry) {
        let process = &entry.listed.process;
        self.figures.merge(&entry.figures);
        self.rates.merge(&entry.rates);
        self.cpu_limit = match (self.cpu_limit, process.cpu_limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.armed = match (self.armed, entry.detector_armed) {
            (Some(a), Some(b)) => Some(a && b),
            (a, b) => a.or(b),
        };
        for (reason, waits) in &entry.waits {
            self.waits.entry(reason).or_default().merge(waits);
        }
        self.events_mode |= entry.listed.mode == Mode::Events;
        self.over_budget |= entry.over_budget;
        self.switches.merge(entry.switches);
        let since = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let looked = entry.looked_at.map(|at| since(at).as_secs_f64());
        self.last_look = self.last_look.into_iter().chain(looked).reduce(f64::max);
        self.age = self.age.max(entry.age().as_secs_f64());
        let yes = |value| if value { "true" } else { "false" };
        self.info = vec![
            Label::new("go_version", process.image.go_version.raw()),
            Label::new("cgo", yes(process.image.cgo)),
            Label::new("stripped", yes(process.image.stripped)),
        ];
    }
}

type Everyone = BTreeMap<Identity, Merged>;

impl Collector for Processes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut everyone = Everyone::new();
        for entry in self.0.entries() {
            let identity = Identity::of(&entry.listed.process);
            everyone.entry(identity).or_default().add(&entry);
        }
        info(&mut encoder, &everyone)?;
        goroutines(&mut encoder, &everyone)?;
        findings(&mut encoder, &everyone)?;
        threads(&mut encoder, &everyone)?;
        tracing(&mut encoder, &everyone)?;
        switches(&mut encoder, &everyone)?;
        waits(&mut encoder, &everyone)?;
        found(&mut encoder, &self.0.found())
    }
}

/// Encodes one gauge family: for each identity the values that `of` gives.
fn gauge<V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    everyone: &Everyone,
    (name, help): (&str, &str),
    of: impl Fn(&Merged) -> Vec<(Vec<Label>, V)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (identity, merged) in everyone {
        for (labels, value) in of(merged) {
            family
                .encode_family(&identity.with(labels))?
                .encode_gauge(&value)?;
        }
    }
    Ok(())
}

/// The values of a map whose keys are the values of label `key`.
fn labelled<V: Copy>(key: &'static str, map: &BTreeMap<&'static str, V>) -> Vec<(Vec<Label>, V)> {
    map.iter()
        .map(|(value, number)| (vec![Label::new(key, value)], *number))
        .collect()
}

/// One value without labels of its own, if there is one.
fn single<V>(value: Option<V>) -> Vec<(Vec<Label>, V)> {
    value.map(|value| (Vec::new(), value)).into_iter().collect()
}

fn info(encoder: &mut DescriptorEncoder<'_>, everyone: &Everyone) -> fmt::Result {
    let name = ("gostuck_process_info", "Always 1: what the image says");
    gauge(encoder, everyone, name, |m| vec![(m.info.clone(), 1_u64)])
}

fn goroutines(encoder: &mut DescriptorEncoder<'_>, everyone: &Everyone) -> fmt::Result {
    let name = ("gostuck_goroutines", "User goroutines by state");
    gauge(encoder, everyone, name, |m| {
        labelled("state", &m.figures.goroutines)
    })?;
    let name = (
        "gostuck_waiting_goroutines",
        "Waiting user goroutines by the runtime's wait reason",
    );
    gauge(encoder, everyone, name, |m| {
        labelled("reason", &m.figures.waiting)
    })?;
    let name = (
        "gostuck_stuck_goroutines",
        "Goroutines that have waited for another goroutine longer than the threshold",
    );
    gauge(encoder, everyone, name, |m| {
        labelled("reason", &m.figures.stuck)
    })?;
    let name = (
        "gostuck_oldest_wait_seconds",
        "Age of the oldest wait by reason",
    );
    gauge(encoder, everyone, name, |m| {
        labelled("reason", &m.figures.oldest_wait)
    })?;
    let name = (
        "gostuck_goroutine_growth_per_minute",
        "Slope of the goroutine count; site empty is the whole process",
    );
    gauge(encoder, everyone, name, |m| {
        m.rates
            .goroutines_by_site
            .iter()
            .map(|(site, slope)| (vec![Label::new("site", site)], *slope))
            .collect()
    })
}

fn findings(encoder: &mut DescriptorEncoder<'_>, everyone: &Everyone) -> fmt::Result {
    let name = (
        "gostuck_deadlocked_goroutines",
        "Goroutines that a proven finding names: they never run again",
    );
    gauge(encoder, everyone, name, |m| {
        single(Some(m.figures.deadlocked))
    })?;
    let name = ("gostuck_findings", "Findings that stand now");
    gauge(encoder, everyone, name, |m| {
        m.figures
            .findings
            .iter()
            .map(|((kind, verdict), number)| {
                let labels = vec![
                    Label::new("kind", kind.as_str()),
                    Label::new("verdict", verdict.as_str()),
                ];
                (labels, *number)
            })
            .collect()
    })
}

/// Encodes what has been found, in processes that are gone, too.
fn found(encoder: &mut DescriptorEncoder<'_>, series: &[FoundSeries]) -> fmt::Result {
    // In OpenMetrics a counter of this name would be of the family `gostuck_findings`, which is the
    // gauge's; the older format calls it a counter.
    let mut family = encoder.encode_descriptor(
        "gostuck_findings_total",
        "Findings that there have been",
        None,
        MetricType::Unknown,
    )?;
    for FoundSeries { labels, number, .. } in series {
        family.encode_family(labels)?.encode_gauge(number)?;
    }
    let mut family = encoder.encode_descriptor(
        "gostuck_last_finding_timestamp_seconds",
        "When the last of them was found",
        None,
        MetricType::Gauge,
    )?;
    for FoundSeries { labels, last, .. } in series {
        family.encode_family(labels)?.encode_gauge(last)?;
    }
    Ok(())
}

fn threads(encoder: &mut DescriptorEncoder<'_>, everyone: &Everyone) -> fmt::Result {
    let name = ("gostuck_threads", "Threads by what they do");
    gauge(encoder, everyone, name, |m| {
        labelled("state", &m.figures.threads)
    })?;
    let name = ("gostuck_pinned_threads", "Threads held by LockOSThread");
    gauge(encoder, everyone, name, |m| single(Some(m.figures.pinned)))?;
    let name = (
        "gostuck_thread_growth_per_minute",
        "Slope of the thread count",
    );
    gauge(encoder, everyone, name, |m| single(m.rates.threads))?;
    let name = ("gostuck_gomaxprocs", "GOMAXPROCS");
    gauge(encoder, everyone, name, |m| single(m.figures.gomaxprocs))?;
    let name = ("gostuck_cpu_limit_cores", "CPUs that the cgroup allows");
    gauge(encoder, everyone, name, |m| single(m.cpu_limit))?;
    let name = (
        "gostuck_deadlock_detector_armed",
        "1 when Go's own deadlock detector could fire, else 0",
    );
    gauge(encoder, everyone, name, |m| single(m.armed.map(u64::from)))?;
    let mut family = encoder.encode_descriptor(
        "gostuck_threads_created",
        "Threads that the runtime has made since the process started",
        None,
        MetricType::Counter,
    )?;
    for (identity, merged) in everyone {
        family
            .encode_family(&identity.with([]))?
            .encode_counter::<Vec<Label>, _, u64>(&merged.figures.threads_created, None)?;
    }
    Ok(())
}

fn tracing(encoder: &mut DescriptorEncoder<'_>, everyone: &Everyone) -> fmt::Result {
    let name = (
        "gostuck_target_mode",
        "1 for the mode that the process is in",
    );
    gauge(encoder, everyone, name, |m| {
        [("events", m.events_mode), ("snapshots", !m.events_mode)]
            .map(|(mode, is)| (vec![Label::new("mode", mode)], u64::from(is)))
            .into()
    })?;
    let name = (
        "gostuck_overhead_ratio",
        "What the probes cost the process, as a share of one CPU",
    );
    gauge(encoder, everyone, name, |m| single(m.rates.overhead))?;
    let name = (
        "gostuck_over_budget",
        "1 while probes are off because they cost more than the budget",
    );
    gauge(encoder, everyone, name, |m| {
        single(Some(u64::from(m.over_budget)))
    })?;
    let name = (
        "gostuck_last_look_timestamp_seconds",
        "When the process was last read",
    );
    gauge(encoder, everyone, name, |m| single(m.last_look))?;
    let name = (
        "gostuck_inspection_age_seconds",
        "Time since the process was last read, or since it was found",
    );
    gauge(encoder, everyone, name, |m| single(Some(m.age)))
}

fn switches(encoder: &mut DescriptorEncoder<'_>, everyone: &Everyone) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "gostuck_probe_switches",
        "How often the budget took probes off the process and put them back",
        None,
        MetricType::Counter,
    )?;
    for (identity, merged) in everyone {
        let LevelChanges {
            to_events,
            to_snapshots,
        } = merged.switches;
        for (to, number) in [("events", to_events), ("snapshots", to_snapshots)] {
            family
                .encode_family(&identity.with([Label::new("to", to)]))?
                .encode_counter::<Vec<Label>, _, u64>(&number, None)?;
        }
    }
    Ok(())
}

fn waits(encoder: &mut DescriptorEncoder<'_>, everyone: &Everyone) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "gostuck_wait_seconds",
        "Waits that ended, as the probes saw them",
        None,
        MetricType::Histogram,
    )?;
    for (identity, merged) in everyone {
        for (reason, waits) in &merged.waits {
            family
                .encode_family(&identity.with([Label::new("reason", reason)]))?
                .encode_histogram::<Vec<Label>>(
                    waits.sum_seconds(),
                    waits.count(),
                    &waits.buckets(),
                    None,
                )?;
        }
    }
    Ok(())
}
