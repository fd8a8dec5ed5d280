//! What a goroutine has taken and not given back, by all its frames together.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        code::Routine,
        frames::{Role, Standing, Words, role},
        model::{Acquisition, ReleaseKind, Taken as Certainty},
        sites::LockKind,
    },
    Pasts,
    resolve::{Incoming, Resolver},
    summary::{self, Arrival, Number, Summary},
};
use crate::{
    ids::{ImageAddr, TargetAddr},
    memory::{Memory, MemoryExt as _},
    snapshot::{InnermostPc, StackFrame},
};

/// Frames looked at, from the innermost.
const MAX_FRAMES: usize = 256;

/// A lock that a goroutine has taken and not given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// The lock.
    pub object: TargetAddr,
    /// What would give it back.
    pub release: ReleaseKind,
    /// Where it was taken, and how certain that is.
    pub acquisition: Acquisition,
}

/// What has been taken, with where and how certainly.
pub type Lockset = BTreeMap<(LockKind, TargetAddr), Acquisition>;

/// How a goroutine's past is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// By what is known of its functions whatever they were called with.
    Summaries,
    /// Each function anew, with what it was called with and memory as it is now: which functions were
    /// called through interfaces, and which elements of arrays were meant.
    Memory,
    /// The same, with the rounds of loops kept apart as far as that goes.
    Rounds,
}

/// What the goroutine at `standing` has taken and not given back.
pub fn of_goroutine(pasts: &Pasts, standing: &Standing<'_>, depth: Depth) -> Vec<Taking> {
    let memory = standing.words();
    let mut walk = Walk {
        standing,
        memory: &memory,
        depth,
        lockset: Lockset::new(),
    };
    let followed = walk.followed(pasts);
    walk.frames(&followed);
    let takings = walk.lockset.into_iter();
    takings
        .filter_map(|((kind, object), acquisition)| {
            Some(Taking {
                object,
                release: release_of(kind)?,
                acquisition,
            })
        })
        .collect()
}

const fn release_of(kind: LockKind) -> Option<ReleaseKind> {
    match kind {
        LockKind::Mutex => Some(ReleaseKind::Unlock),
        LockKind::Write => Some(ReleaseKind::WriteUnlock),
        LockKind::Read => Some(ReleaseKind::ReadUnlock),
        LockKind::Promise => None,
    }
}

struct Walk<'a> {
    standing: &'a Standing<'a>,
    memory: &'a Words<'a>,
    depth: Depth,
    lockset: Lockset,
}

/// A frame of a function that has been followed.
struct Followed<'a> {
    index: usize,
    frame: &'a StackFrame,
    /// The instruction that it is at, by index.
    at: u32,
    /// What the function has done; `None` if that was too much to follow.
    summary: Option<Arc<Summary>>,
    /// Whether it waits in its call of `deferreturn`.
    runs_deferred: bool,
    /// Whether the frame inside is one of a function that it called itself.
    called: bool,
    /// What it was called with, as far as its own frame says.
    entered: Incoming,
}

/// What one frame has done on one path.
struct Done {
    held: Vec<(LockKind, TargetAddr, ImageAddr, bool)>,
    released: Vec<(LockKind, Option<TargetAddr>)>,
    unknown_code: bool,
}

impl<'a> Walk<'a> {
    /// From the outermost frame inwards: in the order in which they were called.
    fn frames(&mut self, followed: &[Followed<'a>]) {
        let nothing = Incoming::default();
        let mut incoming = Incoming::default();
        for (number, this) in followed.iter().enumerate().rev() {
            let anew = self.anew(this, &incoming);
            let Some(summary) = anew.as_ref().or(this.summary.as_deref()) else {
                self.doubt_all();
                incoming = Incoming::default();
                continue;
            };
            let inner = number.checked_sub(1).and_then(|inner| followed.get(inner));
            let inner = inner.filter(|_| this.called);
            let outgoing = inner.map_or(&nothing, |inner| &inner.entered);
            let arrivals = self.arrivals(summary, this.frame, this.runs_deferred);
            let resolvers = self.resolvers((summary, this.frame), &arrivals, (&incoming, outgoing));
            if summary.touches_locks() {
                let done: Vec<Done> = resolvers.iter().map(done).collect();
                self.apply(this.index, &done);
            }
            let passed = passed_on(&resolvers);
            incoming = if this.called {
                passed
            } else {
                Incoming::default()
            };
        }
    }

    /// What a function has done, followed with what it was called with.
    fn anew(&self, this: &Followed<'a>, incoming: &Incoming) -> Option<Summary> {
        let summary = this
            .summary
            .as_ref()
            .filter(|summary| self.depth != Depth::Summaries && summary.touches_locks());
        summary?;
        let code = self.standing.code();
        let routine = code.routine(this.frame.pc)?;
        let process = (self.memory as &dyn Memory, self.standing.bias());
        let known = this.entered.or(incoming);
        let apart = self.depth == Depth::Rounds;
        summary::in_process(code, process, &known, (&routine, this.at), apart)
    }

    fn resolvers<'r>(
        &self,
        (summary, frame): (&'r Summary, &StackFrame),
        arrivals: &[&'r Arrival],
        (incoming, outgoing): (&'r Incoming, &'r Incoming),
    ) -> Vec<Resolver<'r>>
    where
        'a: 'r,
    {
        let resolver = |arrival: &&'r Arrival| Resolver {
            summary,
            arrival,
            memory: self.memory,
            bias: self.standing.bias(),
            frame: self.standing.sp().wrapping_add(frame.fp_offset),
            incoming,
            outgoing,
        };
        arrivals.iter().map(resolver).collect()
    }

    /// The frames whose functions' pasts matter, from the innermost outwards.
    fn followed(&self, pasts: &Pasts) -> Vec<Followed<'a>> {
        let code = self.standing.code();
        let stack = &self.standing.goroutine().stack;
        let frames = &stack.frames;
        let mut followed: Vec<Followed<'a>> = Vec::new();
        // What was sampled is in the middle of its innermost function, and waits for nothing.
        let mut innermost = self.standing.goroutine().sampled.is_none();
        let mut inside: Option<(Arc<Routine>, Role)> = None;
        for (index, frame) in frames.iter().enumerate().take(MAX_FRAMES) {
            let routine = code.routine(frame.pc);
            let role = routine.as_ref().map(|r| role(&r.function.name, innermost));
            innermost &= role == Some(Role::Wait);
            if role == Some(Role::End) {
                break;
            }
            if matches!(role, None | Some(Role::Code)) {
                let inner = inside.as_ref();
                let is_exact = index == 0 && stack.innermost == InnermostPc::Exact;
                let at = routine
                    .as_ref()
                    .and_then(|r| instruction(r, frame, inner, is_exact));
                let summary = routine
                    .as_ref()
                    .and_then(|routine| pasts.before(code, routine, at?));
                let is = |role| inner.is_some_and(|(_, inner)| *inner == role);
                let mut this = Followed {
                    index,
                    frame,
                    at: at.unwrap_or(0),
                    summary,
                    runs_deferred: is(Role::RunsDeferred),
                    called: is(Role::Code),
                    entered: Incoming::default(),
                };
                this.entered = self.entered(&this);
                followed.push(this);
            }
            inside = routine.zip(role);
        }
        followed
    }

    /// What the function of a frame was called with, as far as its own frame says.
    fn entered(&self, this: &Followed<'a>) -> Incoming {
        let nothing = Incoming::default();
        let Some(summary) = &this.summary else {
            return nothing;
        };
        let arrivals = self.arrivals(summary, this.frame, this.runs_deferred);
        let resolvers = self.resolvers((summary, this.frame), &arrivals, (&nothing, &nothing));
        let said: Vec<Incoming> = resolvers.iter().map(Resolver::entered_with).collect();
        agreed(&said)
    }

    /// The paths that may have led to a frame like the goroutine's: as many calls are deferred, and
    /// the frame holds what the path wrote.
    fn arrivals<'s>(
        &self,
        summary: &'s Summary,
        frame: &StackFrame,
        runs_deferred: bool,
    ) -> Vec<&'s Arrival> {
        let at = |offset| self.standing.sp().wrapping_add(offset);
        let (sp, fp) = (at(frame.sp_offset), at(frame.fp_offset));
        let records = self.standing.deferred.iter().filter(|r| r.sp == sp);
        let left = records.count() + usize::from(runs_deferred);
        if summary.most_deferred.is_some_and(|most| left > most) {
            return Vec::new();
        }
        let fits = |arrival: &&Arrival| {
            arrival.deferred == left
                && arrival.fixed.iter().all(|&(offset, bits, mask)| {
                    let at = TargetAddr(fp.wrapping_add_signed(offset));
                    let word = self.memory.read_u64(at);
                    word.is_ok_and(|word| word & mask == bits & mask)
                })
        };
        let fitting: Vec<&Arrival> = summary.arrivals.iter().filter(fits).collect();
        if fitting.is_empty() {
            return summary.arrivals.iter().collect();
        }
        fitting
    }

    /// Takes in what a frame has done, as far as all its paths agree.
    fn apply(&mut self, index: usize, done: &[Done]) {
        if done.is_empty() {
            return self.doubt_all();
        }
        for ((kind, object), acquisition) in &mut self.lockset {
            for path in done {
                let given_back = |known: &Option<TargetAddr>| match known {
                    Some(known) => known == object,
                    None => false,
                };
                let mut released = path.released.iter().filter(|(k, _)| k == kind);
                let unknown = path
                    .released
                    .iter()
                    .any(|(k, at)| k == kind && at.is_none());
                let taken = if released.any(|(_, at)| given_back(at)) {
                    Certainty::OnSomePaths
                } else if unknown || path.unknown_code {
                    Certainty::BeforeUnknownCode
                } else {
                    Certainty::OnEveryPath
                };
                acquisition.taken = acquisition.taken.min(taken);
            }
        }
        let on_every_path = |kind, object| {
            let on = |path: &Done| path.held.iter().any(|h| (h.0, h.1) == (kind, object));
            done.iter().all(on)
        };
        for &(kind, object, site, doubted) in done.iter().flat_map(|path| &path.held) {
            let taken = match (on_every_path(kind, object), doubted) {
                (true, false) => Certainty::OnEveryPath,
                (true, true) => Certainty::BeforeUnknownCode,
                (false, _) => Certainty::OnSomePaths,
            };
            let acquisition = Acquisition {
                frame: index,
                site,
                taken,
            };
            let known = self.lockset.entry((kind, object)).or_insert(acquisition);
            if known.frame == index {
                known.taken = known.taken.min(taken);
                if known.site != site {
                    known.site = ImageAddr(0);
                }
            } else if known.taken < taken {
                *known = acquisition;
            }
        }
    }

    fn doubt_all(&mut self) {
        for acquisition in self.lockset.values_mut() {
            acquisition.taken = acquisition.taken.min(Certainty::BeforeUnknownCode);
        }
    }
}

/// Whether the function `name` interrupts its caller between two instructions instead of being called.
fn interrupts(name: &str) -> bool {
    matches!(name, "runtime.asyncPreempt" | "runtime.sigpanic")
}

fn done(resolver: &Resolver<'_>) -> Done {
    let arrival = resolver.arrival;
    let object = |number: Number| resolver.object(number);
    let held = arrival.held.iter().filter_map(|taken| {
        let at = object(taken.at)?;
        let alias = |alias: &Number| object(*alias).is_none_or(|alias| alias == at);
        let doubted = taken.doubted || taken.aliases.iter().any(alias);
        Some((taken.kind, at, taken.site, doubted))
    });
    let released = arrival
        .released
        .iter()
        .map(|(kind, at)| (*kind, object(*at)));
    Done {
        held: held.collect(),
        released: released.collect(),
        unknown_code: arrival.unknown_code,
    }
}

/// What all paths say that the call was given.
fn passed_on(resolvers: &[Resolver<'_>]) -> Incoming {
    let passed = |resolver: &Resolver<'_>| Incoming {
        arguments: (resolver.arrival.arguments.iter())
            .map(|number| resolver.number(*number))
            .collect(),
        closure: resolver.number(resolver.arrival.closure),
    };
    let said: Vec<Incoming> = resolvers.iter().map(passed).collect();
    agreed(&said)
}

/// What all that say anything say.
fn agreed(said: &[Incoming]) -> Incoming {
    let agreed = |of: &dyn Fn(&Incoming) -> Option<u64>| {
        let mut words = said.iter().filter_map(of);
        let first = words.next()?;
        words.all(|word| word == first).then_some(first)
    };
    let count = said.first().map_or(0, |one| one.arguments.len());
    Incoming {
        arguments: (0..count)
            .map(|index| agreed(&|one| *one.arguments.get(index)?))
            .collect(),
        closure: agreed(&|one| one.closure),
    }
}

/// The call, or the instruction, that `frame` of `routine` is at; `inner` is the frame inside,
/// `is_exact` says that it was seen between two instructions.
fn instruction(
    routine: &Routine,
    frame: &StackFrame,
    inner: Option<&(Arc<Routine>, Role)>,
    is_exact: bool,
) -> Option<u32> {
    let interrupted = is_exact || inner.is_some_and(|(inner, _)| interrupts(&inner.function.name));
    let next = routine.body.index_of(frame.pc)?;
    next.checked_sub(u32::from(!interrupted))
}
