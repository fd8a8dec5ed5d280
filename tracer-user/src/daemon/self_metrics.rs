//! Metrics about gostuck itself.

use std::{fmt, sync::atomic::AtomicU64, time::SystemTime};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

use probes::Irregularities;
use resources::descriptors;

/// How an inspection of a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was read.
    Whole,
    /// Something could not be read.
    Partial,
    /// Nothing could be said.
    Failed,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Attaching probes.
    Attach,
    /// Looking at a process.
    Inspection,
    /// Reading an executable.
    Image,
    /// Finding processes.
    Discover,
    /// Answering a request.
    Http,
    /// There were no file descriptors left.
    Descriptors,
    /// A fault of gostuck's own: something panicked.
    Fault,
}

/// Why a client of the listener was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// Its place was given to another one.
    GaveWay,
    /// It took too long to send its next request, or to take its answer.
    Late,
    /// There was no place for its request.
    NoPlace,
}

/// Whether a Go process is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traced {
    /// It is.
    Watched,
    /// It cannot be.
    Untraceable,
    /// Its memory or its executable does not answer.
    Unresponsive,
}

/// A family told apart by one label with few values.
type ByLabel<M> = Family<[(&'static str, &'static str); 1], M>;

/// The counters of the daemon. Clones count together.
#[derive(Debug, Clone)]
pub struct SelfMetrics {
    events: ByLabel<Counter>,
    events_lost: Counter,
    irregularities: ByLabel<Counter>,
    snapshots: ByLabel<Counter>,
    snapshot_duration: Histogram,
    errors: ByLabel<Counter>,
    turned_away: ByLabel<Counter>,
    processes: ByLabel<Gauge>,
    unprobed: Gauge<u64, AtomicU64>,
    lost_threads: Gauge<u64, AtomicU64>,
    refused: ByLabel<Counter>,
    probes_attached: Gauge<u64, AtomicU64>,
    probes_usable: Gauge<u64, AtomicU64>,
}

impl Default for SelfMetrics {
    fn default() -> Self {
        Self {
            events: Family::default(),
            events_lost: Counter::default(),
            irregularities: Family::default(),
            snapshots: Family::default(),
            snapshot_duration: Histogram::new(exponential_buckets(1e-4, 4.0, 10)),
            errors: Family::default(),
            turned_away: Family::default(),
            processes: Family::default(),
            unprobed: Gauge::default(),
            lost_threads: Gauge::default(),
            refused: Family::default(),
            probes_attached: Gauge::default(),
            probes_usable: Gauge::default(),
        }
    }
}

impl SelfMetrics {
    /// Counts `number` ring-buffer records of a type.
    pub fn count_events(&self, r#type: &'static str, number: u64) {
        self.events
            .get_or_create(&[("type", r#type)])
            .inc_by(number);
    }

    /// Counts records that the kernel had to drop.
    pub fn count_lost(&self, number: u64) {
        self.events_lost.inc_by(number);
    }

    /// Says what the probes have not seen, or seen in vain, since they were loaded.
    pub fn set_irregularities(&self, totals: &Irregularities) {
        for (kind, total) in [
            ("foreign-hit", totals.foreign_hits),
            ("unseen-wake", totals.unseen_wakes),
            ("unmeasured-wait", totals.unmeasured_waits),
            ("failed-read", totals.failed_reads),
            ("undecodable-record", totals.undecodable_records),
        ] {
            let counter = self.irregularities.get_or_create(&[("kind", kind)]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    /// Counts an inspection of a process.
    pub fn count_look(&self, outcome: Outcome, seconds: f64) {
        let outcome = match outcome {
            Outcome::Whole => "ok",
            Outcome::Partial => "partial",
            Outcome::Failed => "failed",
        };
        self.snapshots.get_or_create(&[("outcome", outcome)]).inc();
        self.snapshot_duration.observe(seconds);
    }

    /// Counts something that went wrong.
    pub fn count_error(&self, kind: ErrorKind) {
        let kind = match kind {
            ErrorKind::Attach => "attach",
            ErrorKind::Inspection => "look",
            ErrorKind::Image => "image",
            ErrorKind::Discover => "discover",
            ErrorKind::Http => "http",
            ErrorKind::Descriptors => "descriptors",
            ErrorKind::Fault => "fault",
        };
        self.errors.get_or_create(&[("kind", kind)]).inc();
    }

    /// Counts a client of the listener that was turned away.
    pub fn count_turned_away(&self, why: TurnedAway) {
        let why = match why {
            TurnedAway::GaveWay => "gave-way",
            TurnedAway::Late => "late",
            TurnedAway::NoPlace => "no-place",
        };
        self.turned_away.get_or_create(&[("reason", why)]).inc();
    }

    /// Says how many Go processes there are.
    pub fn set_processes(&self, state: Traced, number: usize) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let state = match state {
            Traced::Watched => "watched",
            Traced::Untraceable => "untraceable",
            Traced::Unresponsive => "unresponsive",
        };
        self.processes
            .get_or_create(&[("state", state)])
            .set(number);
    }

    /// Says how many followed processes could not be probed, and are looked at by intervals.
    pub fn set_unprobed(&self, number: usize) {
        self.unprobed.set(number as u64);
    }

    /// Says how many threads of ours wait for targets that do not answer.
    pub fn set_lost_threads(&self, number: usize) {
        self.lost_threads.set(number as u64);
    }

    /// Counts a process that was not looked at because others like it do not answer; `why` is one of
    /// few words.
    pub fn count_refused(&self, why: &'static str) {
        self.refused.get_or_create(&[("why", why)]).inc();
    }

    /// Says how many uprobes are in place.
    pub fn set_probes_attached(&self, number: u64) {
        self.probes_attached.set(number);
    }

    /// Says whether probes can be had at all.
    pub fn set_probes_usable(&self, usable: bool) {
        self.probes_usable.set(u64::from(usable));
    }

    /// Enters all of them into `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let build = [
            ("version", env!("CARGO_PKG_VERSION")),
            (
                "revision",
                option_env!("GOSTUCK_REVISION").unwrap_or_default(),
            ),
        ];
        registry.register("gostuck_build", "This gostuck", Info::new(build.to_vec()));
        registry.register(
            "gostuck_events",
            "Ring-buffer records read",
            self.events.clone(),
        );
        registry.register(
            "gostuck_events_lost",
            "Records that the kernel had to drop",
            self.events_lost.clone(),
        );
        registry.register(
            "gostuck_probe_irregularities",
            "What probes did not see, or saw in vain",
            self.irregularities.clone(),
        );
        registry.register(
            "gostuck_snapshots",
            "Looks at processes",
            self.snapshots.clone(),
        );
        registry.register(
            "gostuck_snapshot_duration_seconds",
            "How long a look took",
            self.snapshot_duration.clone(),
        );
        registry.register("gostuck_errors", "What went wrong", self.errors.clone());
        registry.register(
            "gostuck_http_turned_away",
            "Clients of the listener that were turned away",
            self.turned_away.clone(),
        );
        registry.register(
            "gostuck_processes",
            "Go processes seen",
            self.processes.clone(),
        );
        registry.register(
            "gostuck_processes_unprobed",
            "Followed processes that could not be probed, and are looked at by intervals",
            self.unprobed.clone(),
        );
        registry.register(
            "gostuck_lost_threads",
            "Threads of gostuck that wait for targets whose memory or executable does not answer",
            self.lost_threads.clone(),
        );
        registry.register(
            "gostuck_processes_refused",
            "Processes not looked at because others like them do not answer",
            self.refused.clone(),
        );
        registry.register(
            "gostuck_probes_attached",
            "Uprobes in place",
            self.probes_attached.clone(),
        );
        registry.register(
            "gostuck_probes_usable",
            "1 when probes can be had; 0 when all processes are looked at by intervals",
            self.probes_usable.clone(),
        );
        registry.register_collector(Box::new(OwnProcess {
            started: SystemTime::now(),
        }));
    }
}

/// What the kernel says of this process, under the names that Prometheus clients share.
#[derive(Debug)]
struct OwnProcess {
    started: SystemTime,
}

impl Collector for OwnProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let cpu = ConstCounter::new(cpu_seconds());
        let help = "CPU time of gostuck";
        let metric = cpu.metric_type();
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, metric)?)?;
        let memory = ConstGauge::new(resident_bytes());
        let help = "Memory of gostuck";
        let metric = memory.metric_type();
        let name = "process_resident_memory_bytes";
        memory.encode(encoder.encode_descriptor(name, help, None, metric)?)?;
        for (name, help, number) in [
            (
                "process_open_fds",
                "File descriptors of gostuck",
                open_descriptors(),
            ),
            (
                "process_max_fds",
                "File descriptors that gostuck may have",
                descriptors::limit() as u64,
            ),
        ] {
            let gauge = ConstGauge::new(number);
            let metric = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, metric)?)?;
        }
        let since = self.started.duration_since(SystemTime::UNIX_EPOCH);
        let started = ConstGauge::new(since.map_or(0.0, |since| since.as_secs_f64()));
        let help = "When gostuck started";
        let metric = started.metric_type();
        let name = "process_start_time_seconds";
        started.encode(encoder.encode_descriptor(name, help, None, metric)?)
    }
}

fn cpu_seconds() -> f64 {
    use nix::sys::{
        resource::{UsageWho, getrusage},
        time::{TimeVal, TimeValLike as _},
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of CPU time stay below 2^53"
    )]
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        seconds(usage.user_time()) + seconds(usage.system_time())
    })
}

fn open_descriptors() -> u64 {
    let open = std::fs::read_dir("/proc/self/fd");
    // One of them is that of the folder itself.
    open.map_or(0, |open| open.count().saturating_sub(1) as u64)
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * procfs::page_size()
}
