//! The tracer: one set of programs and maps for all targets of a host.

use std::{collections::hash_map::Entry, io, path::Path, sync::Arc, time::Duration};

use aya::Ebpf;
use aya_log::EbpfLogger;
use rustc_hash::{FxHashMap, FxHashSet};
use tracer_common::{Park, Record, flags, park_slot};

use super::{
    attachment::{AttachMethod, ProgramFacts, Programs},
    calibration::{self, HitCost},
    closing::Closer,
    error::ProbeError,
    event::Event,
    governor::Level,
    image_file::{FileKey, ImageFile},
    image_probes::{Attacher, ImageProbes},
    load,
    maps::Maps,
    options::Options,
    park_table::{self, ParkedWait},
    ring::{self, Waiter},
    statistics::{Statistics, TargetStatistics, WaitHistogram},
    target::describe,
};
use ids::Pid;
use image::{Image, WaitReason};
use resources::clock::monotonic_ns;

struct Traced {
    image: Arc<Image>,
    file: FileKey,
    slot: u32,
    /// Whether the BPF programs have been told that its park and wake probes are attached.
    told_probing: bool,
}

/// The loaded programs, their maps, and what they are attached to. Dropping it detaches all.
pub struct Probes {
    options: Options,
    ebpf: Ebpf,
    programs: Programs,
    closer: Closer,
    maps: Maps,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    traced: FxHashMap<Pid, Traced>,
    images: FxHashMap<FileKey, ImageProbes>,
    free_slots: Vec<u32>,
    /// Slots of former targets, whose park table entries are still there.
    left_slots: FxHashSet<u32>,
}

impl Probes {
    /// Loads programs and maps; attaches nothing but the process tracepoints.
    ///
    /// # Errors
    /// [`ProbeError`] says which privilege or kernel feature is missing.
    pub fn load(options: Options) -> Result<Self, ProbeError> {
        let mut ebpf = load::object(&options)?;
        let programs = Programs::load(&mut ebpf, &options)?;
        let logger = options.log.then(|| load::logger(&mut ebpf)).flatten();
        Ok(Self {
            logger,
            maps: Maps::take(&mut ebpf, options.park_entries)?,
            traced: FxHashMap::default(),
            images: FxHashMap::default(),
            free_slots: (0..options.targets.min(1 << 15)).rev().collect(),
            left_slots: FxHashSet::default(),
            ebpf,
            programs,
            closer: Closer::default(),
            options,
        })
    }

    /// How probes are attached on this kernel.
    #[must_use]
    pub const fn method(&self) -> AttachMethod {
        self.programs.method()
    }

    /// What the kernel made of the uprobe programs.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn programs(&self) -> io::Result<Vec<ProgramFacts>> {
        self.programs.facts(&self.ebpf)
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
        self.attach_to(pid, ImageFile::of_image(exe, image)?, image)
    }

    /// As [`Probes::attach`], where the process runs the image from `file`: waits for nothing that
    /// serves it.
    ///
    /// # Errors
    /// [`ProbeError`]; the process is no target then.
    pub fn attach_to(
        &mut self,
        pid: Pid,
        file: ImageFile,
        image: &Arc<Image>,
    ) -> Result<(), ProbeError> {
        if self.traced.contains_key(&pid) {
            return Ok(());
        }
        let sites = image.probe_sites();
        for (site, function) in [
            (sites.park, "runtime.gopark"),
            (sites.ready, "runtime.ready"),
        ] {
            if site.is_none() {
                let path = file.name().to_owned();
                return Err(ProbeError::NoSite { path, function });
            }
        }
        let slot = self.take_slot()?;
        let traced = Traced {
            image: Arc::clone(image),
            file: file.key(),
            slot,
            told_probing: true,
        };
        self.traced.insert(pid, traced);
        let attached = self.begin(pid, image, file, slot);
        if attached.is_err() {
            // The attachment's error says more than one of the clean-up would.
            let _ = self.detach(pid);
        }
        attached
    }

    fn take_slot(&mut self) -> Result<u32, ProbeError> {
        if self.free_slots.is_empty() {
            self.sweep()?;
        }
        let limit = self.options.targets;
        let slot = self.free_slots.pop();
        slot.ok_or(ProbeError::TooManyTargets { limit })
    }

    fn begin(
        &mut self,
        pid: Pid,
        image: &Image,
        file: ImageFile,
        slot: u32,
    ) -> Result<(), ProbeError> {
        let sites = image.probe_sites();
        let target = describe(image, file.name(), &sites, slot, &self.options)?;
        self.maps.enter(pid, target)?;
        let key = file.key();
        if let Entry::Vacant(place) = self.images.entry(key) {
            place.insert(ImageProbes::new(file, sites));
            self.meet_twins(key)?;
        }
        self.settle(key, |image, attacher| image.set(attacher, pid, Level::All))
    }

    /// Has the processes of all files that may be `file` probed each for itself.
    fn meet_twins(&mut self, file: FileKey) -> Result<(), ProbeError> {
        let mut twins: Vec<FileKey> = self.images.keys().copied().collect();
        twins.retain(|other| other.may_be(file));
        if twins.len() < 2 {
            return Ok(());
        }
        let mut result = Ok(());
        for twin in twins {
            let met = self.settle(twin, |image, attacher| image.has_twin(attacher));
            result = result.and(met);
        }
        result
    }

    /// Changes the probes on one image, and tells the BPF programs of the processes whose park and wake
    /// probes came or went by that.
    fn settle(
        &mut self,
        file: FileKey,
        change: impl FnOnce(&mut ImageProbes, &mut Attacher<'_>) -> Result<(), ProbeError>,
    ) -> Result<(), ProbeError> {
        let Some(image) = self.images.get_mut(&file) else {
            return Ok(());
        };
        let mut attacher = Attacher {
            programs: &self.programs,
            ebpf: &mut self.ebpf,
            closer: &self.closer,
        };
        let changed = change(image, &mut attacher);
        let mut off = FxHashSet::default();
        for pid in image.members() {
            let Some(traced) = self.traced.get_mut(&pid) else {
                continue;
            };
            let probing = image.is_probing(pid);
            if traced.told_probing == probing {
                continue;
            }
            tell_probing(&mut self.maps, pid, probing)?;
            traced.told_probing = probing;
            if !probing {
                off.insert(traced.slot);
            }
        }
        if !off.is_empty() {
            // What is in the table ages unseen from here on.
            self.maps.clear_parks(&off)?;
        }
        changed
    }

    /// Ends the tracing of a process, running or gone; nothing when it is no target.
    ///
    /// # Errors
    /// [`ProbeError`] when the probes of the image's other processes cannot be set anew; the
    /// process is no target in any case.
    pub fn detach(&mut self, pid: Pid) -> Result<(), ProbeError> {
        let Some(traced) = self.traced.remove(&pid) else {
            return Ok(());
        };
        let result = self.settle(traced.file, |image, attacher| image.remove(attacher, pid));
        if self
            .images
            .get(&traced.file)
            .is_some_and(ImageProbes::is_empty)
        {
            self.images.remove(&traced.file);
        }
        self.maps.leave(pid, traced.slot);
        self.left_slots.insert(traced.slot);
        result
    }

    /// Clears the park table of the entries of former targets: one pass for all that have been
    /// detached since the last time. To be called now and then.
    ///
    /// # Errors
    /// [`ProbeError::Call`] when the table cannot be read.
    pub fn sweep(&mut self) -> Result<(), ProbeError> {
        if self.left_slots.is_empty() {
            return Ok(());
        }
        self.maps.clear_parks(&self.left_slots)?;
        self.free_slots.extend(self.left_slots.drain());
        Ok(())
    }

    /// Sets which probes a target has, as its governor says.
    ///
    /// # Errors
    /// [`ProbeError`] when the process is no target or attaching fails.
    pub fn set_level(&mut self, pid: Pid, level: Level) -> Result<(), ProbeError> {
        let traced = self.traced.get_mut(&pid);
        let traced = traced.ok_or(ProbeError::NotATarget(pid))?;
        let file = traced.file;
        if level == Level::All && !traced.told_probing {
            // Before the probes are there: a park takes the semaphore from what was seen of the lock.
            tell_probing(&mut self.maps, pid, true)?;
            traced.told_probing = true;
        }
        self.settle(file, |image, attacher| image.set(attacher, pid, level))
    }

    /// When somebody in a target last came to wait for a lock, perhaps, on `CLOCK_MONOTONIC` in
    /// nanoseconds; 0 when nobody ever did. Of targets without park and wake probes no event tells
    /// that.
    ///
    /// # Errors
    /// [`ProbeError::Map`] when the process is no target.
    pub fn lock_hint_ns(&self, pid: Pid) -> Result<u64, ProbeError> {
        Ok(self.maps.target(pid)?.lock_hint_ns)
    }

    /// Whether the park and wake probes of a target are attached.
    #[must_use]
    pub fn is_probing(&self, pid: Pid) -> bool {
        self.traced
            .get(&pid)
            .and_then(|traced| self.images.get(&traced.file))
            .is_some_and(|image| image.is_probing(pid))
    }

    /// How many uprobes are in place.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.images.values().map(ImageProbes::attached).sum()
    }

    /// The events that wait in the ring buffer, oldest first; logs what the programs log.
    pub fn drain(&mut self) -> Vec<Event> {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        let most = self.options.ring_bytes as usize / size_of::<Record>();
        let mut events = Vec::new();
        let traced = &self.traced;
        let reason = |pid, number| reason_in(traced, pid, number);
        ring::drain(&mut self.maps.ring, most, |record| {
            events.extend(Event::decode(record, reason));
        });
        events
    }

    /// Something to wait for events with.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn waiter(&self) -> io::Result<Waiter> {
        Waiter::new(&self.maps.ring)
    }

    /// The goroutines of all targets that have been parked for at least `age`, by the park table.
    ///
    /// # Errors
    /// [`ProbeError::Call`] when the table cannot be read.
    pub fn long_waits(&self, age: Duration) -> Result<Vec<ParkedWait>, ProbeError> {
        let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let latest_ns = monotonic_ns().saturating_sub(age_ns);
        let by_slot: FxHashMap<u32, (Pid, &Image)> = self
            .traced
            .iter()
            .map(|(pid, traced)| (traced.slot, (*pid, &*traced.image)))
            .collect();
        let mut waits = Vec::new();
        self.maps.each_park(|key, park: &Park| {
            if park.since_ns == 0 || park.since_ns > latest_ns {
                return;
            }
            let Some((pid, image)) = by_slot.get(&park_slot(key)) else {
                return;
            };
            let reason = image.wait_reason(park.reason);
            waits.extend(park_table::wait_of(key, park, *pid, reason));
        })?;
        Ok(waits)
    }

    /// Counts that belong to no single target.
    ///
    /// # Errors
    /// [`ProbeError::Map`].
    pub fn statistics(&self) -> Result<Statistics, ProbeError> {
        self.maps.statistics()
    }

    /// Counts of one target.
    ///
    /// # Errors
    /// [`ProbeError`] when the process is no target or the map misbehaves.
    pub fn target_statistics(&self, pid: Pid) -> Result<TargetStatistics, ProbeError> {
        self.maps.target_statistics(self.slot_of(pid)?)
    }

    /// How long goroutines of one target waited, by reason; reasons without waits are left out.
    ///
    /// # Errors
    /// [`ProbeError`] when the process is no target or the map misbehaves.
    pub fn histograms(&self, pid: Pid) -> Result<Vec<WaitHistogram>, ProbeError> {
        self.maps.histograms(self.slot_of(pid)?)
    }

    fn slot_of(&self, pid: Pid) -> Result<u32, ProbeError> {
        let traced = self.traced.get(&pid);
        traced
            .map(|traced| traced.slot)
            .ok_or(ProbeError::NotATarget(pid))
    }

    /// Measures what a hit costs here, by hitting the very programs of park and wake from a private
    /// function of this program.
    ///
    /// # Errors
    /// [`ProbeError`] when that function cannot be probed.
    pub fn calibrate(&mut self) -> Result<HitCost, ProbeError> {
        let slot = self.take_slot()?;
        let us = Pid(std::process::id());
        let cost = self
            .maps
            .enter(us, calibration::target(slot))
            .and_then(|()| calibration::measure(&self.programs, &mut self.ebpf));
        self.maps.leave(us, slot);
        self.left_slots.insert(slot);
        cost
    }
}

impl Drop for Probes {
    /// Takes off all probes at once, and waits until they are off.
    fn drop(&mut self) {
        let images = std::mem::take(&mut self.images);
        let links = images.into_values().flat_map(ImageProbes::into_links);
        self.closer.close_last(links);
    }
}

/// Tells the BPF programs whether a target's park and wake probes are attached.
fn tell_probing(maps: &mut Maps, pid: Pid, probing: bool) -> Result<(), ProbeError> {
    maps.change(pid, |target| {
        if probing {
            target.flags &= !flags::WAITS_OFF;
        } else {
            target.flags |= flags::WAITS_OFF;
            target.park_entries = 0;
        }
    })
}

fn reason_in(traced: &FxHashMap<Pid, Traced>, pid: Pid, number: u8) -> WaitReason {
    traced.get(&pid).map_or(WaitReason::Unknown, |traced| {
        traced.image.wait_reason(number)
    })
}
