//! The maps of the BPF programs, with their types.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd},
};

use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues},
};
use rustc_hash::FxHashSet;
use tracer_common::{
    Histogram, HostCounters, Park, Target, TargetCounters, WaitClass, histogram_key,
};

use super::{
    error::ProbeError,
    park_table,
    ring::Ring,
    statistics::{Statistics, TargetStatistics, WaitHistogram},
    target::class_name,
    wire::Wire,
};
use ids::Pid;

/// The maps.
pub(super) struct Maps {
    targets: HashMap<MapData, u32, Wire<Target>>,
    parks: MapData,
    park_entries: u32,
    histograms: PerCpuHashMap<MapData, u32, Wire<Histogram>>,
    counters: PerCpuArray<MapData, Wire<TargetCounters>>,
    host: PerCpuArray<MapData, Wire<HostCounters>>,
    pub ring: Ring,
    zeros: PerCpuValues<Wire<TargetCounters>>,
}

impl Maps {
    /// Takes them from the loaded object. To be called after all programs are loaded.
    pub fn take(ebpf: &mut Ebpf, park_entries: u32) -> Result<Self, ProbeError> {
        let Map::HashMap(parks) = take(ebpf, "PARKS")? else {
            return Err(ProbeError::Missing("PARKS"));
        };
        Ok(Self {
            targets: typed("TARGETS", take(ebpf, "TARGETS")?)?,
            parks,
            park_entries,
            histograms: typed("HISTOGRAMS", take(ebpf, "HISTOGRAMS")?)?,
            counters: typed("COUNTERS", take(ebpf, "COUNTERS")?)?,
            host: typed("HOST", take(ebpf, "HOST")?)?,
            ring: Ring::new(typed("EVENTS", take(ebpf, "EVENTS")?)?),
            zeros: zeros()?,
        })
    }

    /// Enters a target with counters at zero.
    pub fn enter(&mut self, pid: Pid, target: Target) -> Result<(), ProbeError> {
        let zeros = self.zeros.iter().copied().collect::<Vec<_>>();
        let zeros = PerCpuValues::try_from(zeros).map_err(no_counters)?;
        self.counters
            .set(target.slot, zeros, 0)
            .map_err(in_map("COUNTERS"))?;
        self.set_target(pid, target)
    }

    /// Changes a target that has been entered. The BPF programs may write a word of it meanwhile,
    /// which is lost then: none of them need be exact.
    pub fn change(&mut self, pid: Pid, change: impl FnOnce(&mut Target)) -> Result<(), ProbeError> {
        let mut target = self.target(pid)?;
        change(&mut target);
        self.set_target(pid, target)
    }

    fn set_target(&mut self, pid: Pid, target: Target) -> Result<(), ProbeError> {
        self.targets
            .insert(pid.0, Wire(target), 0)
            .map_err(in_map("TARGETS"))
    }

    /// What the BPF programs know of a target.
    pub fn target(&self, pid: Pid) -> Result<Target, ProbeError> {
        let target = self.targets.get(&pid.0, 0).map_err(in_map("TARGETS"))?;
        Ok(target.0)
    }

    /// Removes a target with its histograms; its park table entries stay until
    /// [`Maps::clear_parks`].
    pub fn leave(&mut self, pid: Pid, slot: u32) {
        // Neither need be there: attaching may have failed, and most classes have no waits.
        let _ = self.targets.remove(&pid.0);
        for class in WaitClass::MEASURED {
            let _ = self.histograms.remove(&histogram_key(slot, class as u8));
        }
    }

    fn parks_fd(&self) -> BorrowedFd<'_> {
        self.parks.fd().as_fd()
    }

    /// Removes the park table entries of some slots.
    pub fn clear_parks(&self, slots: &FxHashSet<u32>) -> Result<(), ProbeError> {
        park_table::clear(self.parks_fd(), self.park_entries, slots).map_err(in_parks)
    }

    /// Calls `visit` with every entry of the park table.
    pub fn each_park(&self, visit: impl FnMut(u64, &Park)) -> Result<(), ProbeError> {
        park_table::scan(self.parks_fd(), self.park_entries, visit).map_err(in_parks)
    }

    /// Counts that belong to no single target.
    pub fn statistics(&self) -> Result<Statistics, ProbeError> {
        let cpus = self.host.get(&0, 0).map_err(in_map("HOST"))?;
        let mut statistics = Statistics::of(cpus.iter().map(|cpu| &cpu.0));
        statistics.irregularities.undecodable_records = self.ring.undecodable();
        Ok(statistics)
    }

    /// Counts of the target of one slot.
    pub fn target_statistics(&self, slot: u32) -> Result<TargetStatistics, ProbeError> {
        let cpus = self.counters.get(&slot, 0).map_err(in_map("COUNTERS"))?;
        Ok(TargetStatistics::of(cpus.iter().map(|cpu| &cpu.0)))
    }

    /// Durations of the waits of the target of one slot.
    pub fn histograms(&self, slot: u32) -> Result<Vec<WaitHistogram>, ProbeError> {
        let mut all = Vec::new();
        for class in WaitClass::MEASURED {
            match self.histograms.get(&histogram_key(slot, class as u8), 0) {
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
}

fn zeros() -> Result<PerCpuValues<Wire<TargetCounters>>, ProbeError> {
    let cpus = aya::util::nr_cpus().map_err(|(_, source)| ProbeError::Call {
        call: "counting CPUs",
        subject: "/sys/devices/system/cpu/possible".into(),
        source,
    })?;
    PerCpuValues::try_from(vec![Wire(TargetCounters::default()); cpus]).map_err(no_counters)
}

fn no_counters(source: io::Error) -> ProbeError {
    ProbeError::Call {
        call: "clearing counters",
        subject: "COUNTERS".into(),
        source,
    }
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
