//! What pending timers will release: `time.AfterFunc(d, mu.Unlock)`. No goroutine is there yet that
//! could be asked.

use rustc_hash::FxHashSet;

use super::{
    code::{Callee, Code},
    executor::{Cells, Decide, Effects, Executor, Sighting, Surroundings, Trace, Value, World},
    model::{Certainty, Evidence, PendingRelease, ReleaseKind},
    packages::is_standard_library,
};
use ids::{ImageAddr, TargetAddr};
use memory::{Memory, MemoryExt as _, ReadError};
use snapshot::{Target, TimerHeap, TimerLayout};

/// Different functions looked into at most.
const MAX_FUNCTIONS: usize = 4096;
/// A stack for functions that have none yet: no program has memory there.
const STACK: std::ops::Range<u64> = 0x7fff_ffff_0000_0000..0x7fff_ffff_0001_0000;
/// What is left open when something could not be read: any lock may be released.
const ANY: [ReleaseKind; 3] = [
    ReleaseKind::Unlock,
    ReleaseKind::WriteUnlock,
    ReleaseKind::ReadUnlock,
];

/// What the functions of the timers that are pending may release of what they do not take first.
pub fn releases(code: &Code, memory: &dyn Memory, target: &Target) -> Vec<PendingRelease> {
    let Ok((functions, complete)) = functions(code, memory, target) else {
        return ANY.map(unknown).into();
    };
    let (own, library): (Vec<TargetAddr>, Vec<TargetAddr>) = functions
        .into_iter()
        .partition(|function| is_programs(code, memory, target, *function));
    let (mut found, known) = followed(code, memory, target, &own);
    // What these give back without a name is their own.
    let (of_library, _) = followed(code, memory, target, &library);
    found.extend(of_library.into_iter().filter(|r| !r.object.is_nil()));
    if !(complete && known) {
        found.extend(ANY.map(unknown));
    }
    found
}

/// What `functions` release, and whether all that they do could be followed.
fn followed(
    code: &Code,
    memory: &dyn Memory,
    target: &Target,
    functions: &[TargetAddr],
) -> (Vec<PendingRelease>, bool) {
    let trace = Trace::off();
    let around = Surroundings::new((memory, target.bias), code, STACK, (STACK.end, &[]));
    let world = World::new(around, STACK.end, &trace);
    let mut executor = Executor::new(code, target.bias, world, Decide::AsThingsStand);
    let mut known = true;
    for function in functions {
        let outcome = executor.run_closure(
            0,
            Value::exact(function.0),
            STACK.end - 4096,
            (Effects::default(), &Cells::default()),
        );
        let ends = outcome.exits.iter().map(|exit| &*exit.effects);
        let mut ends = ends.chain(&outcome.loops);
        known &= !outcome.exhausted && !ends.any(|end| end.unknown_code);
        known &= entered(code, memory, target, *function).is_some();
    }
    let seen = executor.seen.iter();
    let found = seen.map(|(&(kind, object), sighting)| release(kind, object, Some(sighting)));
    (found.collect(), known)
}

/// Whether the closure at `function` is of the program itself: of the standard library's own, those of
/// contexts and connections, it is known that they give back no lock of the program.
fn is_programs(code: &Code, memory: &dyn Memory, target: &Target, function: TargetAddr) -> bool {
    let callee = entered(code, memory, target, function);
    callee.is_none_or(|callee| !is_standard_library(&callee.function.name))
}

/// The function that the closure at `function` runs.
fn entered(
    code: &Code,
    memory: &dyn Memory,
    target: &Target,
    function: TargetAddr,
) -> Option<Callee> {
    let entry = memory.read_addr(function).ok()?;
    code.callee(entry.in_image(target.bias))
}

/// The functions given to `time.AfterFunc`, and whether these are all.
fn functions(
    code: &Code,
    memory: &dyn Memory,
    target: &Target,
) -> Result<(FxHashSet<TargetAddr>, bool), ReadError> {
    let image = code.image();
    let mut functions = FxHashSet::default();
    let Some(all_ps) = image.globals().allp else {
        return Ok((functions, false));
    };
    let heap = TimerHeap {
        all_ps: all_ps.in_target(target.bias),
    };
    let timers = heap.timers(memory, &TimerLayout::of(image.layout()))?;
    let mut complete = timers.unreadable == 0;
    for timer in timers.pending {
        let callee = entered(code, memory, target, timer.function);
        // `goFunc` in `time/sleep.go` runs what its argument, a `func()`, is.
        if callee.is_some_and(|callee| &*callee.function.name == "time.goFunc") {
            complete &= functions.len() < MAX_FUNCTIONS;
            if complete {
                functions.insert(TargetAddr(timer.argument[1]));
            }
        }
    }
    Ok((functions, complete))
}

fn unknown(kind: ReleaseKind) -> PendingRelease {
    release(kind, TargetAddr(0), None)
}

fn release(kind: ReleaseKind, object: TargetAddr, sighting: Option<&Sighting>) -> PendingRelease {
    PendingRelease {
        object,
        kind,
        certainty: Certainty::Possible,
        evidence: Evidence {
            frame: 0,
            site: sighting.map_or(ImageAddr(0), |s| s.site),
            held: super::model::Held::Deferred,
        },
        acquired: None,
    }
}
