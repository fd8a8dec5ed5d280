//! Goroutines that run, seen without stopping them: samples of their threads, joined with a snapshot.
//!
//! The snapshot is taken after the samples. What a sampled goroutine had then, others that the
//! snapshot finds waiting since before could not get from it afterwards without moving; the other
//! way round it could give a lock away between the snapshot and its sample, and look innocent.
//!
//! A thread changes its goroutine at any time, so a sample counts for a goroutine only if it shows
//! that one itself: the register that Go keeps the current `g` in names it (in assembly, which may
//! use the register otherwise, the stack pointer must do), the stack pointer lies on its stack as the
//! `g` says after the sample, and the stack unwinds to its first function.

use std::{fmt, sync::Arc};

use rustc_hash::FxHashMap;

use super::{
    Goroutine, InnermostPc, Motion, Snapshot, Stack, Status, Target,
    g_record::GRecord,
    unwind::{Start, Unwinder, Unwound},
};
use ids::{Goid, TargetAddr, Tid};
use memory::MemoryExt as _;
use sampling::{
    Reception, SamplingError, SamplingLimits, ThreadOutcome, ThreadSample, UserRegisters,
    sample_threads,
};

/// Functions within which the stack pointer goes over to another stack, so that nothing can be
/// unwound.
const SWITCHES: &[&str] = &[
    "runtime.gogo",
    "runtime.mcall",
    "runtime.systemstack",
    "runtime.morestack",
    "runtime.morestack_noctxt",
    "runtime.asmcgocall",
    "runtime.cgocallback",
    "runtime.rt0_go",
];

/// A running goroutine at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningSample {
    /// Its registers; the program counter is the instruction that was about to run.
    pub registers: UserRegisters,
    /// Its stack from the stack pointer on, at most to its upper bound.
    pub stack: Vec<u8>,
    /// When, on `CLOCK_MONOTONIC` in nanoseconds: shortly before the snapshot.
    pub at_ns: u64,
}

/// What sampling the running goroutines of a snapshot came to.
#[derive(Debug, Clone, Default)]
pub struct SamplingOutcome {
    /// Those that were seen.
    pub sampled: Vec<Goid>,
    /// Those that were not, and why.
    pub unseen: Vec<(Goid, WhyUnseen)>,
}

impl SamplingOutcome {
    /// Why `goid` could not be seen; `None` when it was, or was not looked for.
    #[must_use]
    pub fn why_unseen(&self, goid: Goid) -> Option<&WhyUnseen> {
        let mut unseen = self.unseen.iter();
        unseen.find_map(|(unseen, why)| (*unseen == goid).then_some(why))
    }
}

/// Why a running goroutine could not be seen.
#[derive(Debug, Clone)]
pub enum WhyUnseen {
    /// The runtime did not say which thread runs it.
    NoThread,
    /// Its thread was on no CPU, or in the kernel, as long as it was watched.
    NotOnCpu,
    /// Its thread ran something else: the runtime's own code, C, another goroutine.
    Elsewhere,
    /// More run than are sampled at once.
    TooMany,
    /// It did not run when the others were sampled.
    Since,
    /// Its thread could not be sampled.
    Failed(Arc<SamplingError>),
}

impl fmt::Display for WhyUnseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThread => f.write_str("its thread is not known"),
            Self::NotOnCpu => f.write_str("its thread got no CPU, or was in the kernel"),
            Self::Elsewhere => f.write_str("its thread ran the runtime's own code, or C"),
            Self::TooMany => f.write_str("too many run"),
            Self::Since => f.write_str("it has only just begun to run"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

/// Samples of running goroutines, to be joined with a later snapshot.
#[derive(Debug)]
pub struct RunningSamples {
    seen: FxHashMap<Goid, Seen>,
    unseen: FxHashMap<Goid, WhyUnseen>,
}

/// Samples the threads of those user goroutines of `snapshot` that run. Finds nobody in a target that
/// has stopped.
#[must_use]
pub fn sample_running(
    target: &Target,
    snapshot: &Snapshot,
    limits: &SamplingLimits,
) -> RunningSamples {
    let mut wanted = Wanted::of(target, snapshot);
    let mut tids: Vec<Tid> = wanted.tids.iter().flatten().copied().collect();
    tids.sort_unstable();
    tids.dedup();
    let sampling = sample_threads(target.pid, &tids, limits, |sample| wanted.receive(sample));
    let threads = sampling.threads.into_iter().collect();
    wanted.outcome(&refusal(threads))
}

impl RunningSamples {
    /// Whether nobody was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Gives the goroutines of `snapshot` that still run the stacks that they had, and notes in
    /// [`Snapshot::sampling`] who was seen and who was not. They keep their status: they run on, and
    /// the stack is as of a moment.
    pub fn join(mut self, snapshot: &mut Snapshot) {
        let mut outcome = SamplingOutcome::default();
        for g in snapshot.goroutines.iter_mut().filter(|g| is_wanted(g)) {
            let seen = self.seen.remove(&g.goid).filter(|seen| seen.g == g.g);
            if let Some(seen) = seen {
                outcome.sampled.push(g.goid);
                g.sp = seen.sample.registers.sp();
                g.stack = seen.stack;
                g.stack_bounds = seen.bounds;
                g.sampled = Some(Arc::new(seen.sample));
            } else {
                let why = self.unseen.remove(&g.goid).unwrap_or(WhyUnseen::Since);
                outcome.unseen.push((g.goid, why));
            }
        }
        snapshot.sampling = outcome;
    }
}

/// Whether a running user goroutine of `snapshot` has no stack.
#[must_use]
pub fn wants_samples(snapshot: &Snapshot) -> bool {
    snapshot.goroutines.iter().any(is_wanted)
}

fn is_wanted(g: &Goroutine) -> bool {
    !g.system && g.status == Status::Running && g.stack.frames.is_empty()
}

/// Why threads gave nothing.
struct Refusal {
    threads: FxHashMap<Tid, WhyUnseen>,
    /// What holds of every thread.
    of_all: Option<WhyUnseen>,
}

fn refusal(threads: FxHashMap<Tid, ThreadOutcome>) -> Refusal {
    let mut of_all = None;
    let why = |(tid, outcome)| {
        let why = match outcome {
            ThreadOutcome::NotOnCpu => WhyUnseen::NotOnCpu,
            ThreadOutcome::Taken | ThreadOutcome::Refused => WhyUnseen::Elsewhere,
            ThreadOutcome::Failed(error) => {
                let is_of_all = error.is_of_all();
                let failed = WhyUnseen::Failed(Arc::new(error));
                if is_of_all {
                    of_all = Some(failed.clone());
                }
                failed
            }
        };
        (tid, why)
    };
    let threads = threads.into_iter().map(why).collect();
    Refusal { threads, of_all }
}

impl Refusal {
    fn why(&self, tid: Tid) -> WhyUnseen {
        let known = self.threads.get(&tid).or(self.of_all.as_ref());
        known.cloned().unwrap_or(WhyUnseen::TooMany)
    }
}

/// The goroutines to be seen.
struct Wanted<'t> {
    target: &'t Target,
    unwinder: Unwinder,
    goroutines: Vec<(Goid, TargetAddr)>,
    /// The kernel's thread of each.
    tids: Vec<Option<Tid>>,
    seen: FxHashMap<Goid, Seen>,
}

/// A goroutine that was seen.
#[derive(Debug)]
struct Seen {
    g: TargetAddr,
    sample: RunningSample,
    stack: Arc<Stack>,
    bounds: (TargetAddr, TargetAddr),
}

impl<'t> Wanted<'t> {
    fn of(target: &'t Target, snapshot: &Snapshot) -> Self {
        let goroutines = snapshot.goroutines.iter();
        let runs = matches!(target.motion, Motion::Running);
        let running: Vec<&Goroutine> = goroutines.filter(|g| runs && is_wanted(g)).collect();
        let threads = process::threads_by_own_id(target.pid).unwrap_or_default();
        let tid = |g: &&Goroutine| threads.get(&g.thread?).copied();
        Self {
            target,
            unwinder: Unwinder::default(),
            tids: running.iter().map(tid).collect(),
            goroutines: running.iter().map(|g| (g.goid, g.g)).collect(),
            seen: FxHashMap::default(),
        }
    }

    /// Takes `sample` for the goroutine that it shows, be it that of its thread or another one.
    fn receive(&mut self, sample: ThreadSample) -> Reception {
        let Some((goid, seen)) = self.recognise(sample) else {
            return Reception::Again;
        };
        self.seen.entry(goid).or_insert(seen);
        Reception::Taken
    }

    fn recognise(&mut self, sample: ThreadSample) -> Option<(Goid, Seen)> {
        let named = sample.registers.goroutine();
        let by_register = self.goroutines.iter().find(|(_, g)| *g == named);
        if let Some((goid, g)) = by_register.copied() {
            return self.see(goid, g, sample);
        }
        let thread = self.tids.iter().position(|tid| *tid == Some(sample.tid))?;
        let (goid, g) = *self.goroutines.get(thread)?;
        self.see(goid, g, sample)
    }

    /// `sample`, if it shows the goroutine `goid`.
    fn see(&mut self, goid: Goid, g: TargetAddr, sample: ThreadSample) -> Option<(Goid, Seen)> {
        let (lo, hi) = self.stack_now(goid, g)?;
        let ThreadSample {
            registers,
            mut stack,
            time_ns,
            ..
        } = sample;
        let sp = registers.sp();
        if sp < lo || sp >= hi {
            return None;
        }
        let size = usize::try_from(hi.0 - sp.0).unwrap_or(usize::MAX);
        stack.truncate(size);
        let frames = self.unwind(&registers, &stack, stack.len() < size)?;
        let seen = Seen {
            g,
            stack: frames,
            bounds: (lo, hi),
            sample: RunningSample {
                registers,
                stack,
                at_ns: time_ns,
            },
        };
        Some((goid, seen))
    }

    /// Where the stack of `goid` lies now; `None` when it has ended.
    fn stack_now(&self, goid: Goid, g: TargetAddr) -> Option<(TargetAddr, TargetAddr)> {
        let layout = self.target.image.layout();
        let len = GRecord::len(layout);
        let bytes = self.target.memory.read_vec(g, len, len).ok()?;
        let record = GRecord::decode(&bytes, layout).ok()?;
        let lives = record.goid == goid && record.status.is_some() && record.check(g).is_ok();
        lives.then_some((record.stack_lo, record.stack_hi))
    }

    /// The frames of `stack`, to the first function unless it `is_cut`.
    fn unwind(
        &mut self,
        registers: &UserRegisters,
        stack: &[u8],
        is_cut: bool,
    ) -> Option<Arc<Stack>> {
        let (image, bias) = (&self.target.image, self.target.bias);
        let function = image.function_at(registers.pc().in_image(bias))?;
        if SWITCHES.contains(&&*function.name) {
            return None;
        }
        let start = Start {
            pc: registers.pc(),
            sp: registers.sp(),
            lr: registers.link(),
            innermost: InnermostPc::Exact,
        };
        match self.unwinder.unwind(image, bias, start, stack, true) {
            Unwound::Done(stack) if !stack.frames.is_empty() && (is_cut || !stack.truncated) => {
                Some(stack)
            }
            Unwound::Done(_) | Unwound::NeedsMore => None,
        }
    }

    /// Who was seen, and why the others were not.
    fn outcome(self, refusal: &Refusal) -> RunningSamples {
        let unseen = self.goroutines.iter().zip(&self.tids);
        let unseen = unseen.filter(|((goid, _), _)| !self.seen.contains_key(goid));
        RunningSamples {
            unseen: unseen
                .map(|((goid, _), tid)| {
                    let why = tid.map_or(WhyUnseen::NoThread, |tid| refusal.why(tid));
                    (*goid, why)
                })
                .collect(),
            seen: self.seen,
        }
    }
}
