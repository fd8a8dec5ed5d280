//! The tracer: one set of programs and maps for all targets of a host.

use std::{
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, RingBuf},
    programs::RawTracePoint,
};
use rustc_hash::FxHashMap;
use tokio::io::{Interest, unix::AsyncFd};
use tracer_common::{
    CLASSES, Histogram, HostCounters, Park, Record, Target, TargetCounters, WaitClass,
    histogram_key, park_slot,
};

use super::{
    attachment::{AttachMethod, ImageProbes, Programs},
    calibration::{self, HitCost},
    error::ProbeError,
    event::Event,
    object::OBJECT,
    park_table::{self, ParkedWait},
    statistics::{Statistics, TargetStatistics, WaitHistogram},
    target::{class_name, describe},
    wire::Wire,
};
use crate::{
    ids::Pid,
    image::{Image, WaitReason},
};

/// How the tracer is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Processes traced at once at most.
    pub targets: u32,
    /// Goroutines of all targets together in the park table; one target may have half of it.
    pub park_entries: u32,
    /// Size of the ring buffer, a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// Records wait so long for the reader at most.
    pub delay: Duration,
    /// Waits that last at least so long give a [`Event::Woken`]; shorter ones only a count in the
    /// histogram.
    pub send_wakes_from: Duration,
    /// Give a [`Event::Parked`] for every park. Costs a record a park.
    pub send_parks: bool,
    /// How to attach; `None` takes the best the kernel has.
    pub method: Option<AttachMethod>,
    /// Whether to tell of processes that start and end.
    pub processes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            targets: 1024,
            park_entries: 1 << 18,
            ring_bytes: 1 << 20,
            delay: Duration::from_millis(50),
            send_wakes_from: Duration::from_secs(1),
            send_parks: false,
            method: None,
            processes: true,
        }
    }
}

/// Identity of an image's file: device and inode.
type FileKey = (u64, u64);

struct Traced {
    image: Arc<Image>,
    file: FileKey,
    slot: u32,
}

/// The loaded programs, their maps, and what they are attached to. Dropping it detaches all.
pub struct Probes {
    options: Options,
    ebpf: Ebpf,
    programs: Programs,
    targets: HashMap<MapData, u32, Wire<Target>>,
    parks: MapData,
    histograms: PerCpuHashMap<MapData, u32, Wire<Histogram>>,
    counters: PerCpuArray<MapData, Wire<TargetCounters>>,
    host: PerCpuArray<MapData, Wire<HostCounters>>,
    ring: RingBuf<MapData>,
    readable: Option<AsyncFd<OwnedFd>>,
    traced: FxHashMap<Pid, Traced>,
    images: FxHashMap<FileKey, ImageProbes>,
    free_slots: Vec<u32>,
}

impl Probes {
    /// Loads programs and maps; attaches nothing but the process tracepoints.
    ///
    /// # Errors
    /// [`ProbeError`] says which privilege or kernel feature is missing.
    pub fn load(options: Options) -> Result<Self, ProbeError> {
        let wake_from = u64::from(options.ring_bytes / 4);
        let mut ebpf = EbpfLoader::new()
            .override_global("WAKE_FROM_BYTES", &wake_from, true)
            .map_max_entries("TARGETS", options.targets)
            .map_max_entries("COUNTERS", options.targets)
            .map_max_entries("HISTOGRAMS", options.targets.saturating_mul(CLASSES as u32))
            .map_max_entries("PARKS", options.park_entries)
            .map_max_entries("EVENTS", options.ring_bytes)
            .load(OBJECT)
            .map_err(load_error)?;
        let programs = Programs::load(&mut ebpf, options.method)?;
        if options.processes {
            for (name, tracepoint) in [
                ("process_exec", "sched_process_exec"),
                ("process_exit", "sched_process_exit"),
            ] {
                attach_tracepoint(&mut ebpf, name, tracepoint)?;
            }
        }
        let Map::HashMap(parks) = take(&mut ebpf, "PARKS")? else {
            return Err(ProbeError::Missing("PARKS"));
        };
        Ok(Self {
            targets: typed("TARGETS", take(&mut ebpf, "TARGETS")?)?,
            parks,
            histograms: typed("HISTOGRAMS", take(&mut ebpf, "HISTOGRAMS")?)?,
            counters: typed("COUNTERS", take(&mut ebpf, "COUNTERS")?)?,
            host: typed("HOST", take(&mut ebpf, "HOST")?)?,
            ring: typed("EVENTS", take(&mut ebpf, "EVENTS")?)?,
            readable: None,
            traced: FxHashMap::default(),
            images: FxHashMap::default(),
            free_slots: (0..options.targets.min(1 << 15)).rev().collect(),
            ebpf,
            programs,
            options,
        })
    }

    /// How probes are attached on this kernel.
    #[must_use]
    pub const fn method(&self) -> AttachMethod {
        self.programs.method()
    }

    /// Makes `pid`, which runs `image` from the file at `exe` (`/proc/PID/exe` will do), a target.
    /// A process that is one already stays one.
    ///
    /// # Errors
    /// [`ProbeError`]; the process is no target then.
    pub fn attach(&mut self, pid: Pid, exe: &Path, image: &Arc<Image>) -> Result<(), ProbeError> {
        if self.traced.contains_key(&pid) {
            return Ok(());
        }
        let sites = image.probe_sites();
        for (site, function) in [
            (sites.park, "runtime.gopark"),
            (sites.ready, "runtime.ready"),
        ] {
            if site.is_none() {
                let path = exe.to_owned();
                return Err(ProbeError::NoSite { path, function });
            }
        }
        let metadata = exe.metadata().map_err(|source| ProbeError::Image {
            path: exe.to_owned(),
            source,
        })?;
        let file = (metadata.dev(), metadata.ino());
        let limit = self.options.targets;
        let slot = self
            .free_slots
            .pop()
            .ok_or(ProbeError::TooManyTargets { limit })?;
        let traced = Traced {
            image: Arc::clone(image),
            file,
            slot,
        };
        self.traced.insert(pid, traced);
        let attached = self.begin(pid, exe, image, file, slot);
        if attached.is_err() {
            // The attachment's error says more than one of the clean-up would.
            let _ = self.detach(pid);
        }
        attached
    }

    fn begin(
        &mut self,
        pid: Pid,
        exe: &Path,
        image: &Image,
        file: FileKey,
        slot: u32,
    ) -> Result<(), ProbeError> {
        let sites = image.probe_sites();
        let target = describe(image, exe, &sites, slot, &self.options)?;
        self.clear_counters(slot)?;
        self.targets
            .insert(pid.0, Wire(target), 0)
            .map_err(in_map("TARGETS"))?;
        self.images
            .entry(file)
            .or_insert_with(|| ImageProbes::new(sites))
            .add(&self.programs, &mut self.ebpf, pid, exe)
    }

    /// Ends the tracing of a process, running or gone; nothing when it is no target.
    ///
    /// # Errors
    /// [`ProbeError`] of a map that misbehaves; the process is no target in any case.
    pub fn detach(&mut self, pid: Pid) -> Result<(), ProbeError> {
        let Some(traced) = self.traced.remove(&pid) else {
            return Ok(());
        };
        let mut result = Ok(());
        if let Some(image) = self.images.get_mut(&traced.file) {
            result = image.remove(&self.programs, &mut self.ebpf, pid);
            if image.is_empty() {
                self.images.remove(&traced.file);
            }
        }
        // Gone already when attaching failed half-way.
        let _ = self.targets.remove(&pid.0);
        self.clear_slot(traced.slot)?;
        self.free_slots.push(traced.slot);
        result
    }

    /// Switches the park and wake probes of a target, as its governor says.
    ///
    /// # Errors
    /// [`ProbeError`] when the process is no target or attaching fails.
    pub fn set_probing(&mut self, pid: Pid, probing: bool) -> Result<(), ProbeError> {
        let traced = self.traced.get(&pid).ok_or(ProbeError::NotATarget(pid))?;
        let (file, slot) = (traced.file, traced.slot);
        let image = self
            .images
            .get_mut(&file)
            .ok_or(ProbeError::NotATarget(pid))?;
        image.switch(&self.programs, &mut self.ebpf, pid, probing)?;
        if !probing {
            // What is in the table ages unseen from here on.
            self.clear_parks(slot)?;
        }
        Ok(())
    }

    /// Whether the park and wake probes of a target are attached.
    #[must_use]
    pub fn is_probing(&self, pid: Pid) -> bool {
        self.traced
            .get(&pid)
            .and_then(|traced| self.images.get(&traced.file))
            .is_some_and(|image| image.is_probing(pid))
    }

    /// The events that wait in the ring buffer, oldest first.
    pub fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        // Bounded, so that a flood of events does not keep the caller here.
        let most = self.options.ring_bytes as usize / size_of::<Record>();
        while events.len() < most {
            let Some(item) = self.ring.next() else { break };
            let Some(record) = Record::from_bytes(&item) else {
                continue;
            };
            let traced = &self.traced;
            let reason = |pid, number| reason_in(traced, pid, number);
            events.extend(Event::decode(&record, reason));
        }
        events
    }

    /// Waits for events and returns them: when the ring buffer is a quarter full or after
    /// [`Options::delay`], and possibly none. Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// When the ring buffer's descriptor cannot be waited on.
    pub async fn next_batch(&mut self) -> io::Result<Vec<Event>> {
        if self.readable.is_none() {
            let descriptor = self.ring.as_fd().try_clone_to_owned()?;
            // SAFETY: the descriptor is owned by the AsyncFd and stays open as long as it.
            let watched =
                unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
            self.readable = Some(watched);
        }
        if let Some(readable) = &self.readable {
            let wait = tokio::time::timeout(self.options.delay, readable.readable());
            if let Ok(guard) = wait.await {
                guard?.clear_ready();
            }
        }
        Ok(self.drain())
    }

    /// The goroutines of all targets that have been parked for at least `age`, by the park table.
    ///
    /// # Errors
    /// [`ProbeError::Call`] when the table cannot be read.
    pub fn long_waits(&self, age: Duration) -> Result<Vec<ParkedWait>, ProbeError> {
        let latest = monotonic_ns().saturating_sub(age.as_nanos().try_into().unwrap_or(u64::MAX));
        let by_slot: FxHashMap<u32, (Pid, &Image)> = self
            .traced
            .iter()
            .map(|(pid, traced)| (traced.slot, (*pid, &*traced.image)))
            .collect();
        let mut waits = Vec::new();
        let visit = |key: u64, park: &Park| {
            if park.since_ns == 0 || park.since_ns > latest {
                return;
            }
            let Some((pid, image)) = by_slot.get(&park_slot(key)) else {
                return;
            };
            let reason = image.wait_reason(park.reason);
            waits.extend(park_table::wait_of(key, park, *pid, reason));
        };
        park_table::scan(self.parks_fd(), self.options.park_entries, visit).map_err(in_parks)?;
        Ok(waits)
    }

    /// Counts that belong to no single target.
    ///
    /// # Errors
    /// [`ProbeError::Map`].
    pub fn statistics(&self) -> Result<Statistics, ProbeError> {
        let cpus = self.host.get(&0, 0).map_err(in_map("HOST"))?;
        Ok(Statistics::of(cpus.iter().map(|cpu| &cpu.0)))
    }

    /// Counts of one target.
    ///
    /// # Errors
    /// [`ProbeError`] when the process is no target or the map misbehaves.
    pub fn target_statistics(&self, pid: Pid) -> Result<TargetStatistics, ProbeError> {
        let traced = self.traced.get(&pid).ok_or(ProbeError::NotATarget(pid))?;
        let cpus = self
            .counters
            .get(&traced.slot, 0)
            .map_err(in_map("COUNTERS"))?;
        Ok(TargetStatistics::of(cpus.iter().map(|cpu| &cpu.0)))
    }

    /// How long goroutines of one target waited, by reason; reasons without waits are left out.
    ///
    /// # Errors
    /// [`ProbeError`] when the process is no target or the map misbehaves.
    pub fn histograms(&self, pid: Pid) -> Result<Vec<WaitHistogram>, ProbeError> {
        let traced = self.traced.get(&pid).ok_or(ProbeError::NotATarget(pid))?;
        let mut all = Vec::new();
        for class in WaitClass::MEASURED {
            match self
                .histograms
                .get(&histogram_key(traced.slot, class as u8), 0)
            {
                Ok(cpus) => {
                    let cpus = cpus.iter().map(|cpu| &cpu.0);
                    all.push(WaitHistogram::of(class_name(class), cpus));
                }
                Err(MapError::KeyNotFound) => {}
                Err(source) => return Err(in_map("HISTOGRAMS")(source)),
            }
        }
        Ok(all)
    }

    /// Measures what a hit costs here, on a private function of this program.
    ///
    /// # Errors
    /// [`ProbeError`] when that function cannot be probed.
    pub fn calibrate(&mut self) -> Result<HitCost, ProbeError> {
        calibration::measure(&self.programs, &mut self.ebpf)
    }

    fn parks_fd(&self) -> BorrowedFd<'_> {
        self.parks.fd().as_fd()
    }

    fn clear_parks(&self, slot: u32) -> Result<(), ProbeError> {
        park_table::clear_slot(self.parks_fd(), self.options.park_entries, slot).map_err(in_parks)
    }

    fn clear_slot(&mut self, slot: u32) -> Result<(), ProbeError> {
        for class in WaitClass::MEASURED {
            // Most classes have no entry.
            let _ = self.histograms.remove(&histogram_key(slot, class as u8));
        }
        self.clear_parks(slot)
    }

    fn clear_counters(&mut self, slot: u32) -> Result<(), ProbeError> {
        let cpus = aya::util::nr_cpus().map_err(|(_, source)| ProbeError::Call {
            call: "counting CPUs",
            subject: "/sys/devices/system/cpu/possible".into(),
            source,
        })?;
        let zeros = vec![Wire(TargetCounters::default()); cpus];
        let zeros =
            aya::maps::PerCpuValues::try_from(zeros).map_err(|source| ProbeError::Call {
                call: "clearing counters",
                subject: "COUNTERS".into(),
                source,
            })?;
        self.counters
            .set(slot, zeros, 0)
            .map_err(in_map("COUNTERS"))
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock of events.
fn monotonic_ns() -> u64 {
    let Ok(now) = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC) else {
        return 0;
    };
    u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000
        + u64::try_from(now.tv_nsec()).unwrap_or(0)
}

fn reason_in(traced: &FxHashMap<Pid, Traced>, pid: Pid, number: u8) -> WaitReason {
    traced.get(&pid).map_or(WaitReason::Unknown, |traced| {
        traced.image.wait_reason(number)
    })
}

fn in_parks(source: io::Error) -> ProbeError {
    ProbeError::Call {
        call: "reading the park table",
        subject: "PARKS".into(),
        source,
    }
}

fn in_map(map: &'static str) -> impl Fn(MapError) -> ProbeError {
    move |source| ProbeError::Map { map, source }
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, ProbeError> {
    ebpf.take_map(name).ok_or(ProbeError::Missing(name))
}

fn typed<M: TryFrom<Map, Error = MapError>>(name: &'static str, map: Map) -> Result<M, ProbeError> {
    M::try_from(map).map_err(in_map(name))
}

fn attach_tracepoint(
    ebpf: &mut Ebpf,
    program: &'static str,
    tracepoint: &str,
) -> Result<(), ProbeError> {
    let found: &mut RawTracePoint = ebpf
        .program_mut(program)
        .ok_or(ProbeError::Missing(program))?
        .try_into()
        .map_err(|source| ProbeError::Program { program, source })?;
    found
        .load()
        .and_then(|()| found.attach(tracepoint))
        .map(|_| ())
        .map_err(|source| ProbeError::Program { program, source })
}

/// Tells a missing privilege from a broken object.
fn load_error(error: EbpfError) -> ProbeError {
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(at) = cause {
        if let Some(io) = at.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::PermissionDenied
        {
            return ProbeError::NoPrivilege;
        }
        cause = at.source();
    }
    ProbeError::Load(error)
}
