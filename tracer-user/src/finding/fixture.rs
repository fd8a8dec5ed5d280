//! Processes made by hand, for the tests of this room.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::site::{Site, Symbols};
use graph::{HolderSet, Need};
use holders::{Certainty, Evidence, Held, LockHolders, PendingRelease, ReleaseKind};
use ids::{Goid, ImageAddr, LoadBias, Pid, TargetAddr, Tid};
use image::WaitReason;
use process::{ProcessKey, StartTime};
use snapshot::{
    ChannelElement, Goroutine, InnermostPc, MutexState, ObjectId, ObjectKind, ObjectState,
    Operation, SamplingOutcome, Scheduler, Snapshot, Stack, StackFrame, Status, SyncObject, Thread,
    ThreadState, WaitOn, WaitSince,
};

/// When the fixtures' snapshots are taken.
pub(crate) const NOW_NS: u64 = 1_000_000_000_000;

/// A process: its snapshot, and what the release analysis says of it.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) snapshot: Snapshot,
    pub(crate) holders: FxHashMap<TargetAddr, LockHolders>,
    pub(crate) pending: FxHashMap<Goid, Vec<PendingRelease>>,
}

pub(crate) const KEY: ProcessKey = ProcessKey {
    pid: Pid(4242),
    start_time: StartTime(99),
};

impl Process {
    pub(crate) fn new() -> Self {
        Self {
            snapshot: Snapshot {
                pid: KEY.pid,
                taken_ns: NOW_NS,
                bias: LoadBias(0),
                goroutines: Vec::new(),
                objects: FxHashMap::default(),
                threads: vec![thread(1, ThreadState::Idle)],
                scheduler: Some(Scheduler {
                    gomaxprocs: 4,
                    m_count: 5,
                    idle: 4,
                    idle_locked: 0,
                    system: 1,
                    is_cgo: false,
                    has_extra_m: false,
                    is_library: false,
                    panicking: false,
                    timers: 0,
                }),
                incomplete: Vec::new(),
                sampling: SamplingOutcome::default(),
            },
            holders: FxHashMap::default(),
            pending: FxHashMap::default(),
        }
    }

    pub(crate) fn scheduler(&mut self) -> &mut Scheduler {
        self.snapshot.scheduler.as_mut().expect("set by new")
    }

    pub(crate) fn thread(&mut self, state: ThreadState) -> &mut Thread {
        let tid = u32::try_from(self.snapshot.threads.len()).unwrap() + 1;
        self.snapshot.threads.push(thread(tid, state));
        self.snapshot.threads.last_mut().expect("just pushed")
    }

    pub(crate) fn goroutine(&mut self, goid: u64) -> &mut Goroutine {
        let found = self.snapshot.goroutines.iter_mut();
        found
            .into_iter()
            .find(|g| g.goid == Goid(goid))
            .expect("a goroutine of this process")
    }

    fn put(&mut self, goroutine: Goroutine) -> &mut Goroutine {
        let goid = goroutine.goid;
        let goroutines = &mut self.snapshot.goroutines;
        goroutines.retain(|g| g.goid != goid);
        goroutines.push(goroutine);
        goroutines.sort_by_key(|g| g.goid);
        self.goroutine(goid.0)
    }

    /// A goroutine that is not parked.
    pub(crate) fn runs(&mut self, goid: u64, status: Status) -> &mut Goroutine {
        self.put(Goroutine {
            status,
            wait_reason: None,
            ..goroutine(goid)
        })
    }

    /// A parked goroutine. Its stack says `main.wait`, its creator `main.start`.
    pub(crate) fn parks(
        &mut self,
        goid: u64,
        reason: WaitReason,
        waits_on: &[WaitOn],
    ) -> &mut Goroutine {
        for wait in waits_on {
            if let Some(object) = self.snapshot.objects.get_mut(&wait.object.addr) {
                object.waiters.push(Goid(goid));
            }
        }
        self.put(Goroutine {
            wait_reason: Some(reason),
            waits_on: waits_on.to_vec(),
            ..goroutine(goid)
        })
    }

    fn wait_on(&self, operation: Operation, addr: u64) -> WaitOn {
        let addr = TargetAddr(addr);
        WaitOn {
            object: self.snapshot.objects[&addr].id,
            operation,
        }
    }

    pub(crate) fn waits(
        &mut self,
        goid: u64,
        reason: WaitReason,
        operation: Operation,
        object: u64,
    ) -> &mut Goroutine {
        let wait = self.wait_on(operation, object);
        self.parks(goid, reason, &[wait])
    }

    /// `goid` waits in `Mutex.Lock`.
    pub(crate) fn locks(&mut self, goid: u64, mutex: u64) -> &mut Goroutine {
        self.waits(goid, WaitReason::MutexLock, Operation::Lock, mutex)
    }

    pub(crate) fn selects(&mut self, goid: u64, cases: &[(Operation, u64)]) -> &mut Goroutine {
        let waits: Vec<_> = cases.iter().map(|&(op, c)| self.wait_on(op, c)).collect();
        self.parks(goid, WaitReason::Select, &waits)
    }

    fn object(&mut self, addr: u64, kind: ObjectKind, state: ObjectState) {
        let addr = TargetAddr(addr);
        let waiters = match self.snapshot.objects.get(&addr) {
            Some(object) => object.waiters.clone(),
            None => Vec::new(),
        };
        self.snapshot.objects.insert(
            addr,
            SyncObject {
                id: ObjectId { addr, kind },
                state: Some(state),
                waiters,
            },
        );
    }

    pub(crate) fn channel(&mut self, addr: u64, len: u64, cap: u64) {
        let state = ObjectState::Channel {
            len,
            cap,
            closed: false,
            timer: false,
            stopped: false,
            element: element(8),
        };
        self.object(addr, ObjectKind::Channel, state);
    }

    /// A `chan struct{}`, as contexts close it.
    pub(crate) fn closing_channel(&mut self, addr: u64) {
        let state = ObjectState::Channel {
            len: 0,
            cap: 0,
            closed: false,
            timer: false,
            stopped: false,
            element: element(0),
        };
        self.object(addr, ObjectKind::Channel, state);
    }

    pub(crate) fn timer_channel(&mut self, addr: u64) {
        let state = ObjectState::Channel {
            len: 0,
            cap: 1,
            closed: false,
            timer: true,
            stopped: false,
            element: element(24),
        };
        self.object(addr, ObjectKind::Channel, state);
    }

    /// The channel of a timer that is stopped.
    pub(crate) fn stopped_timer_channel(&mut self, addr: u64) {
        self.timer_channel(addr);
        let object = self.snapshot.objects.get_mut(&TargetAddr(addr));
        if let Some(ObjectState::Channel { stopped, .. }) = object.and_then(|o| o.state.as_mut()) {
            *stopped = true;
        }
    }

    /// A mutex that one of `candidates` holds.
    pub(crate) fn mutex(
        &mut self,
        addr: u64,
        locked: bool,
        candidates: &[u64],
    ) -> &mut LockHolders {
        let state = ObjectState::Mutex(mutex_state(locked));
        self.object(addr, ObjectKind::Mutex, state);
        self.hold(addr, ReleaseKind::Unlock, candidates)
    }

    /// An RWMutex held by `readers`, with `writer` waiting for them to leave.
    pub(crate) fn rwmutex(&mut self, addr: u64, readers: &[u64], writer: Option<u64>) {
        let count = i32::try_from(readers.len()).unwrap();
        let state = ObjectState::RwMutex {
            writer: mutex_state(writer.is_some()),
            readers: count,
            writer_pending: writer.is_some(),
            reader_wait: if writer.is_some() { count } else { 0 },
        };
        self.object(addr, ObjectKind::RwMutex, state);
        let candidates: Vec<u64> = writer.into_iter().collect();
        self.hold(addr, ReleaseKind::WriteUnlock, &candidates);
        self.hold(addr, ReleaseKind::ReadUnlock, readers);
    }

    pub(crate) fn wait_group(&mut self, addr: u64, counter: i32, owed: &[u64], complete: bool) {
        let state = ObjectState::WaitGroup {
            counter,
            waiters: 1,
        };
        self.object(addr, ObjectKind::WaitGroup, state);
        let holders = self.hold(addr, ReleaseKind::Done, owed);
        holders.exclusive.need = Need::All;
        holders.exclusive.complete = complete;
    }

    /// Goroutine `goid` will perform `kind` on `object`.
    pub(crate) fn will(&mut self, goid: u64, kind: ReleaseKind, object: u64) {
        let releases = self.pending.entry(Goid(goid)).or_default();
        releases.push(release(object, kind));
    }

    /// As `will`, by a frame that goes on only when the one that waits has returned.
    pub(crate) fn will_at_its_end(&mut self, goid: u64, kind: ReleaseKind, object: u64) {
        self.will(goid, kind, object);
        let last = self.pending.get_mut(&Goid(goid)).and_then(|r| r.last_mut());
        last.expect("just put there").evidence.frame = 2;
    }

    fn hold(&mut self, addr: u64, kind: ReleaseKind, candidates: &[u64]) -> &mut LockHolders {
        for &goid in candidates {
            self.will(goid, kind, addr);
        }
        let set = |need| HolderSet {
            holders: Vec::new(),
            need,
            complete: true,
            unseen: Vec::new(),
        };
        let goids: Vec<Goid> = candidates.iter().copied().map(Goid).collect();
        let holders = self
            .holders
            .entry(TargetAddr(addr))
            .or_insert_with(|| LockHolders {
                object: TargetAddr(addr),
                candidates: Vec::new(),
                exclusive: set(Need::OneOf),
                readers: set(Need::All),
                any_reader: HolderSet {
                    complete: false,
                    ..set(Need::OneOf)
                },
                doubts: Vec::new(),
            });
        holders.candidates.retain(|(_, r)| r.kind != kind);
        let found = goids.iter().map(|&g| (g, release(addr, kind)));
        holders.candidates.extend(found);
        match kind {
            ReleaseKind::ReadUnlock => holders.readers.holders = goids,
            _ => holders.exclusive.holders = goids,
        }
        holders
    }
}

fn mutex_state(locked: bool) -> MutexState {
    MutexState {
        locked,
        woken: false,
        starving: false,
        waiters: 1,
    }
}

fn release(object: u64, kind: ReleaseKind) -> PendingRelease {
    PendingRelease {
        object: TargetAddr(object),
        kind,
        certainty: Certainty::Certain,
        evidence: Evidence {
            frame: 1,
            site: ImageAddr(RELEASE_PC),
            held: Held::Continuation,
        },
        acquired: None,
    }
}

fn thread(tid: u32, state: ThreadState) -> Thread {
    Thread {
        tid: Some(Tid(tid)),
        m: Some(tid.into()),
        goroutine: None,
        state,
        locked: false,
        spinning: false,
        extra: false,
    }
}

const GOPARK_PC: u64 = 0x10;
const WAIT_PC: u64 = 0x20;
const START_PC: u64 = 0x30;
const RELEASE_PC: u64 = 0x40;
/// Where coroutines start.
pub(crate) const CORO_START_PC: u64 = 0x50;

/// A stack whose innermost user frame is at `pc`.
pub(crate) fn stack(pc: u64) -> Arc<Stack> {
    let frame = |pc, depth| StackFrame {
        pc: ImageAddr(pc),
        sp_offset: depth,
        fp_offset: depth + 0x20,
    };
    Arc::new(Stack {
        frames: vec![frame(GOPARK_PC, 0), frame(pc, 0x20)],
        truncated: false,
        innermost: InnermostPc::ReturnAddress,
    })
}

/// What is known of the stack of a goroutine that runs.
pub(crate) fn no_stack() -> Arc<Stack> {
    Arc::new(Stack {
        frames: Vec::new(),
        truncated: true,
        innermost: InnermostPc::ReturnAddress,
    })
}

fn goroutine(goid: u64) -> Goroutine {
    let lo = 0xc000_0000 + goid * 0x1000;
    Goroutine {
        goid: Goid(goid),
        g: TargetAddr(0xc100_0000 + goid * 0x200),
        status: Status::Waiting,
        wait_reason: None,
        since: WaitSince::Exact(NOW_NS - 250_000_000_000),
        waits_on: Vec::new(),
        parks: Some(7),
        parent: (goid != 1).then_some(Goid(1)),
        created_at: (goid != 1).then_some(ImageAddr(START_PC)),
        start: ImageAddr(0x100),
        system: false,
        thread: None,
        locked_to_thread: false,
        stack_bounds: (TargetAddr(lo), TargetAddr(lo + 0x1000)),
        sp: TargetAddr(lo + 0x800),
        stack: stack(WAIT_PC),
        sampled: None,
    }
}

/// Symbols of the fixtures: four functions of main, and a line for every other pc.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table;

impl Symbols for Table {
    fn sites(&self, pc: ImageAddr, _is_return_address: bool) -> Vec<Site> {
        let site = |function: &str, file: &str, line| {
            vec![Site {
                function: function.into(),
                file: file.into(),
                line,
            }]
        };
        match pc.0 {
            GOPARK_PC => site("runtime.gopark", "/go/src/runtime/proc.go", 435),
            WAIT_PC => site("main.wait", "/src/main.go", 10),
            START_PC => site("main.start", "/src/main.go", 20),
            RELEASE_PC => site("main.wait", "/src/main.go", 12),
            CORO_START_PC => site("runtime.corostart", "/go/src/runtime/coro.go", 66),
            line => site("main.at", "/src/main.go", u32::try_from(line).unwrap_or(0)),
        }
    }
}

fn element(size: u16) -> ChannelElement {
    ChannelElement {
        size,
        type_name: None,
    }
}
