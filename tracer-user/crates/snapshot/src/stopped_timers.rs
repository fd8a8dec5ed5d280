//! Timers that are not going to send on the channels that goroutines wait for.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{ObjectState, Target, TimerHeap, TimerLayout, fields::Fields, waits::Channel};
use ids::TargetAddr;
use memory::{Gather, ReadError};

/// How many timers are read at once.
const CHUNK: usize = 16 << 10;

/// Marks the channels among `channels` that belong to a timer which does not run.
pub(super) fn mark(
    target: &Target,
    channels: &mut FxHashMap<TargetAddr, Channel>,
) -> Result<(), ReadError> {
    mark_synchronous(target, channels)?;
    mark_asynchronous(target, channels)
}

/// Since Go 1.23 a channel names its timer. One that is not going to fire has no time to do so
/// (`timer.stop`, `timer.unlockAndRun` in `runtime/time.go`).
fn mark_synchronous(
    target: &Target,
    channels: &mut FxHashMap<TargetAddr, Channel>,
) -> Result<(), ReadError> {
    let timers = channels.values_mut();
    let mut timers: Vec<&mut Channel> = timers.filter(|c| !c.timer.is_nil()).collect();
    let when = target.image.layout().timer.when;
    let mut gather = Gather::new();
    for chunk in timers.chunks_mut(CHUNK) {
        let ranges: Vec<_> = chunk.iter().map(|c| (c.timer.offset(when), 8)).collect();
        gather.read(&*target.memory, &ranges)?;
        for (index, channel) in chunk.iter_mut().enumerate() {
            let time = gather.get(index).map(|bytes| Fields(bytes).u64(0));
            if let ObjectState::Channel { stopped, .. } = &mut channel.state {
                *stopped = time == Some(0);
            }
        }
    }
    Ok(())
}

/// Until Go 1.22, and after with `GODEBUG=asynctimerchan=1`, a timer's channel is one like any other:
/// a `chan time.Time` with room for one (`time.NewTimer`, `time.NewTicker`). It is the argument of its
/// timer, which is in the heap of a P as long as it runs.
fn mark_asynchronous(
    target: &Target,
    channels: &mut FxHashMap<TargetAddr, Channel>,
) -> Result<(), ReadError> {
    if !channels.values().any(is_asynchronous) {
        return Ok(());
    }
    let Some(all_ps) = target.image.globals().allp else {
        return Ok(());
    };
    let heap = TimerHeap {
        all_ps: all_ps.in_target(target.bias),
    };
    let timers = match heap.timers(&*target.memory, &TimerLayout::of(target.image.layout())) {
        Ok(timers) if timers.unreadable == 0 => timers,
        Err(error) if error.is_final() => return Err(error),
        // Nothing is said of timers that could not be read.
        _ => return Ok(()),
    };
    let armed = timers.pending.iter().filter(|timer| timer.armed);
    let armed: FxHashSet<TargetAddr> = armed.map(|timer| TargetAddr(timer.argument[1])).collect();
    for (at, channel) in channels {
        if is_asynchronous(channel)
            && let ObjectState::Channel { stopped, .. } = &mut channel.state
        {
            *stopped = !armed.contains(at);
        }
    }
    Ok(())
}

/// Whether it is, by its looks, the channel of a timer that does not know of it.
fn is_asynchronous(channel: &Channel) -> bool {
    matches!(
        &channel.state,
        ObjectState::Channel { timer: false, cap: 1, len: 0, closed: false, element, .. }
            if element.type_name.as_deref() == Some("time.Time")
    )
}
