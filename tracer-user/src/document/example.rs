//! A small document for the tests of the renderers: two goroutines that hold each other's mutex,
//! and three idle workers.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Address, Clock, Document, Frame, ImageFacts, Members, Overview, Process, Symbols};
use crate::finding::{self, Diagnosis, FindingId, FindingKind, Verdict};
use graph::{self, HolderSet, Need};
use holders::{
    Acquisition, Certainty, Evidence, Held, LockHolders, PendingRelease, ReleaseKind, Taken,
};
use ids::{Goid, ImageAddr, LoadBias, Pid, TargetAddr, Tid};
use image::WaitReason;
use process::{ProcessKey, StartTime};
use snapshot::{
    self, InnermostPc, MutexState, ObjectId, ObjectKind, ObjectState, Operation, SamplingOutcome,
    Scheduler, Snapshot, Stack, StackFrame, Status, SyncObject, Thread, ThreadState, WaitOn,
    WaitSince,
};

const MUTEX_A: TargetAddr = TargetAddr(0xc0_0001_4000);
const MUTEX_B: TargetAddr = TargetAddr(0xc0_0001_4008);
const CHANNEL: TargetAddr = TargetAddr(0xc0_0002_0060);
const NOW_NS: u64 = 1_000_000_000_000;

/// Functions at pc 0x1000, 0x2000, …
struct Table;

impl Symbols for Table {
    fn lines(&self, pc: ImageAddr, _: bool) -> Vec<Frame> {
        let lines: &[(&str, &str, u32, bool)] = match pc.0 {
            0x1000 => &[("runtime.gopark", "/go/src/runtime/proc.go", 461, false)],
            0x2000 => &[
                ("sync.(*Mutex).lockSlow", "/go/src/sync/mutex.go", 171, true),
                ("sync.(*Mutex).Lock", "/go/src/sync/mutex.go", 90, false),
            ],
            0x3000 => &[("main.transfer", "/src/bank/main.go", 31, false)],
            0x4000 => &[(
                "example.com/bank/pool.(*Pool).worker",
                "/src/bank/pool.go",
                12,
                false,
            )],
            0x5000 => &[("main.main", "/src/bank/main.go", 50, false)],
            _ => &[],
        };
        lines
            .iter()
            .map(|&(function, file, line, inlined)| Frame {
                function: function.into(),
                file: file.into(),
                line,
                pc: Address(pc.0),
                inlined,
            })
            .collect()
    }

    fn frame_lines(&self, stack: &Stack, index: usize) -> Vec<Frame> {
        self.lines(stack.frames[index].pc, true)
    }
}

fn stack(pcs: &[u64]) -> Arc<Stack> {
    Arc::new(Stack {
        frames: pcs
            .iter()
            .map(|&pc| StackFrame {
                pc: ImageAddr(pc),
                sp_offset: 0,
                fp_offset: 0,
            })
            .collect(),
        truncated: false,
        innermost: InnermostPc::ReturnAddress,
    })
}

fn goroutine(
    goid: u64,
    reason: WaitReason,
    wait: (TargetAddr, ObjectKind, Operation),
    stack: &Arc<Stack>,
) -> snapshot::Goroutine {
    snapshot::Goroutine {
        goid: Goid(goid),
        g: TargetAddr(0xc0_0000_0000 + goid * 0x200),
        status: Status::Waiting,
        wait_reason: Some(reason),
        since: WaitSince::Exact(NOW_NS - 192_000_000_000),
        waits_on: vec![WaitOn {
            object: ObjectId {
                addr: wait.0,
                kind: wait.1,
            },
            operation: wait.2,
        }],
        parent: Some(Goid(1)),
        created_at: Some(ImageAddr(0x5000)),
        start: ImageAddr(0x3000),
        system: false,
        parks: None,
        thread: None,
        locked_to_thread: false,
        stack_bounds: (TargetAddr(0), TargetAddr(0)),
        sp: TargetAddr(0),
        stack: Arc::clone(stack),
        sampled: None,
    }
}

fn mutex(addr: TargetAddr, waiter: u64) -> SyncObject {
    SyncObject {
        id: ObjectId {
            addr,
            kind: ObjectKind::Mutex,
        },
        state: Some(ObjectState::Mutex(MutexState::from(1 | 1 << 3))),
        waiters: vec![Goid(waiter)],
    }
}

fn holders(object: TargetAddr, holder: u64) -> LockHolders {
    let set = HolderSet {
        holders: vec![Goid(holder)],
        need: Need::OneOf,
        complete: true,
        unseen: Vec::new(),
    };
    LockHolders {
        object,
        candidates: vec![(
            Goid(holder),
            PendingRelease {
                object,
                kind: ReleaseKind::Unlock,
                certainty: Certainty::Certain,
                evidence: Evidence {
                    frame: 2,
                    site: ImageAddr(0x3000),
                    held: Held::Deferred,
                },
                acquired: Some(Acquisition {
                    frame: 2,
                    site: ImageAddr(0x3000),
                    taken: Taken::OnEveryPath,
                }),
            },
        )],
        exclusive: set.clone(),
        readers: set.clone(),
        any_reader: set,
        doubts: Vec::new(),
    }
}

/// The snapshot behind the document.
pub fn snapshot() -> Snapshot {
    let lock = stack(&[0x1000, 0x2000, 0x3000]);
    let idle = stack(&[0x1000, 0x4000]);
    let on = |addr| (addr, ObjectKind::Mutex, Operation::Lock);
    let receive = (CHANNEL, ObjectKind::Channel, Operation::Receive);
    Snapshot {
        pid: Pid(4711),
        taken_ns: NOW_NS,
        bias: LoadBias(0),
        goroutines: vec![
            goroutine(18, WaitReason::MutexLock, on(MUTEX_B), &lock),
            goroutine(19, WaitReason::MutexLock, on(MUTEX_A), &lock),
            goroutine(20, WaitReason::ChanReceive, receive, &idle),
            goroutine(21, WaitReason::ChanReceive, receive, &idle),
            goroutine(22, WaitReason::ChanReceive, receive, &idle),
        ],
        objects: FxHashMap::from_iter([
            (MUTEX_A, mutex(MUTEX_A, 19)),
            (MUTEX_B, mutex(MUTEX_B, 18)),
        ]),
        threads: vec![Thread {
            tid: Some(Tid(4711)),
            m: Some(0),
            goroutine: None,
            state: ThreadState::Idle,
            locked: false,
            spinning: false,
            extra: false,
        }],
        scheduler: Some(Scheduler {
            gomaxprocs: 8,
            m_count: 5,
            idle: 3,
            idle_locked: 0,
            system: 1,
            is_cgo: true,
            has_extra_m: true,
            is_library: false,
            panicking: false,
            timers: 0,
        }),
        incomplete: Vec::new(),
        sampling: SamplingOutcome::default(),
    }
}

/// The finding in it.
pub fn cycle() -> finding::Finding {
    let edge = |from, object, to| graph::Edge {
        from: Goid(from),
        object,
        to: Goid(to),
    };
    finding::Finding {
        id: FindingId(0x1234),
        kind: FindingKind::LockCycle,
        verdict: Verdict::Proven,
        goroutines: vec![Goid(18), Goid(19)],
        all: Arc::default(),
        count: 2,
        group: None,
        objects: vec![MUTEX_B, MUTEX_A],
        edges: vec![edge(18, MUTEX_B, 19), edge(19, MUTEX_A, 18)],
        summary: "2 goroutines hold each other's locks and can never run again".to_owned(),
        story: vec!["Goroutine 18 waits for the mutex that goroutine 19 holds.".to_owned()],
        doubts: Vec::new(),
        since_ns: Some(NOW_NS - 192_000_000_000),
        waiting_behind: 0,
        cause: None,
    }
}

/// The document.
pub fn document() -> Document {
    let (process, diagnosis, clock) = look();
    Document::with(process, &diagnosis, &Table, &clock)
}

/// The same look in groups.
pub fn overview() -> (Overview, Members) {
    let (process, diagnosis, clock) = look();
    Overview::with(process, &diagnosis, &Table, &clock)
}

fn look() -> (Process, Diagnosis, Clock) {
    let snapshot = Arc::new(snapshot());
    let clock = Clock::fixed(NOW_NS);
    let diagnosis = Diagnosis {
        process: ProcessKey {
            pid: Pid(4711),
            start_time: StartTime(100),
        },
        holders: [(MUTEX_A, 18), (MUTEX_B, 19)]
            .map(|(addr, holder)| (addr, holders(addr, holder)))
            .into_iter()
            .collect(),
        pending: FxHashMap::default(),
        verdicts: graph::Verdicts::default(),
        findings: vec![cycle()],
        detector: finding::detector(&snapshot),
        incomplete: Vec::new(),
        reach_walked: false,
        nodes: Vec::new(),
        snapshot,
    };
    let process = Process {
        key: "4711-100".to_owned(),
        pid: Pid(4711),
        start_time: Some(clock.wall_text(0)),
        uptime_seconds: Some(1_000),
        file: None,
        command: "bank".into(),
        exe: "/usr/bin/bank".into(),
        image: ImageFacts {
            go_version: "go1.27.3".into(),
            cgo: true,
            stripped: true,
        },
        gomaxprocs: Some(8),
        cpu_limit: Some(2.0),
        threads: 1,
        goroutines: 5,
        identity: None,
    };
    (process, diagnosis, clock)
}
