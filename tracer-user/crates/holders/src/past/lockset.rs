//! What a goroutine has taken and not given back, by all its frames together.

use std::collections::BTreeMap;

use super::{
    super::{
        frames::{Standing, Words},
        model::{Acquisition, ReleaseKind, Taken as Certainty},
        sites::LockKind,
    },
    resolve::{Incoming, Resolver},
    stacks::{Frame, Stacks},
    summary::{self, Arrival, Number, Summary},
};
use ids::{ImageAddr, TargetAddr};
use memory::{Memory, MemoryExt as _};
use snapshot::StackFrame;

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
pub fn of_goroutine(stacks: &Stacks<'_>, standing: &Standing<'_>, depth: Depth) -> Vec<Taking> {
    let memory = standing.words();
    let mut walk = Walk {
        standing,
        memory: &memory,
        depth,
        lockset: Lockset::new(),
    };
    walk.frames(&stacks.frames(standing));
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

/// What one frame has done on one path.
struct Done {
    held: Vec<(LockKind, TargetAddr, ImageAddr, bool)>,
    released: Vec<(LockKind, Option<TargetAddr>)>,
    unknown_code: bool,
}

impl<'a> Walk<'a> {
    /// From the outermost frame inwards: in the order in which they were called.
    fn frames(&mut self, frames: &[Frame]) {
        // Those that are followed anew may ask for more than what is known of them at large.
        let matters = |frame: &Frame| frame.matters || self.depth != Depth::Summaries;
        let last = frames.iter().position(|frame| frame.matters);
        let Some(last) = last else {
            return;
        };
        let visited: Vec<bool> = frames.iter().map(matters).collect();
        let mut incoming = Incoming::default();
        let mut entered = None;
        for (number, this) in frames.iter().enumerate().skip(last).rev() {
            let own = entered.take();
            if visited.get(number) != Some(&true) {
                incoming = Incoming::default();
                continue;
            }
            let Some(frame) = self.frame(this) else {
                return;
            };
            let anew = self.anew(this, own, &incoming);
            let Some(summary) = anew.as_ref().or(this.summary.as_deref()) else {
                self.doubt_all();
                incoming = Incoming::default();
                continue;
            };
            let inner = number.checked_sub(1).and_then(|inner| frames.get(inner));
            let inner = inner.filter(|_| this.called);
            entered = inner.map(|inner| self.entered(inner));
            let nothing = Incoming::default();
            let outgoing = entered.as_ref().unwrap_or(&nothing);
            let arrivals = self.arrivals(summary, frame, this.runs_deferred);
            let resolvers = self.resolvers((summary, frame), &arrivals, (&incoming, outgoing));
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

    fn frame(&self, this: &Frame) -> Option<&'a StackFrame> {
        let standing = self.standing;
        standing.goroutine().stack.frames.get(this.index)
    }

    /// What a function has done, followed with what it was called with: its `own` frame may have been
    /// asked already.
    fn anew(&self, this: &Frame, own: Option<Incoming>, incoming: &Incoming) -> Option<Summary> {
        let summary = this
            .summary
            .as_ref()
            .filter(|summary| self.depth != Depth::Summaries && summary.touches_locks());
        summary?;
        let routine = this.routine.as_ref()?;
        let process = (self.memory as &dyn Memory, self.standing.bias());
        let own = own.unwrap_or_else(|| self.entered(this));
        let known = own.or(incoming);
        let apart = self.depth == Depth::Rounds;
        let code = self.standing.code();
        summary::in_process(code, process, &known, (routine, this.at), apart)
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

    /// What the function of a frame was called with, as far as its own frame says.
    fn entered(&self, this: &Frame) -> Incoming {
        let nothing = Incoming::default();
        let (Some(summary), Some(frame)) = (&this.summary, self.frame(this)) else {
            return nothing;
        };
        let arrivals = self.arrivals(summary, frame, this.runs_deferred);
        let resolvers = self.resolvers((summary, frame), &arrivals, (&nothing, &nothing));
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
