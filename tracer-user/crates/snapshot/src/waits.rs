//! Joins goroutines and the queues they stand in: what each waits on, and who waits on each object.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Goroutine, ObjectId, ObjectKind, ObjectState, Operation, Stack, SyncObject, Target, WaitOn,
    caller::{SyncCall, sync_call},
    fields::Fields,
    gaps::{Gap, Gaps},
    object_state, operation, stopped_timers,
    sudog::Sudog,
};
use ids::TargetAddr;
use image::{WaitKind, WaitReason};
use memory::{CachedMemory, Gather, MemoryExt as _, ReadError};

/// How many objects are read at once.
const OBJECTS_CHUNK: usize = 16 << 10;
/// Most queue entries read that belong to no goroutine known to wait.
const STRANGERS_LIMIT: usize = 1 << 16;
/// Offset of `notify` in `sync.Cond`, the same in every Go version.
const COND_NOTIFY: u64 = 16;

/// One goroutine's place in one queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Index into the snapshot's goroutines.
    pub(super) goroutine: u32,
    pub(super) sudog: Sudog,
}

/// What an entry means. There may be millions.
#[derive(Debug, Clone, Copy)]
struct Resolved {
    /// Index into the snapshot's goroutines.
    goroutine: u32,
    /// The entry's own address.
    at: TargetAddr,
    wait: WaitOn,
    /// The next in the same queue.
    next: TargetAddr,
}

/// Fills `waits_on` and refines `wait_reason` of `goroutines`, and returns the objects.
pub(super) fn join(
    target: &Target,
    goroutines: &mut [Goroutine],
    entries: Vec<Entry>,
    gaps: &mut Gaps,
) -> Result<FxHashMap<TargetAddr, SyncObject>, ReadError> {
    let mut channels = Channels::read(target, goroutines, &entries)?;
    channels.find_directions(target, goroutines, &entries)?;
    let mut calls = SyncCalls::default();
    let mut resolved = Vec::with_capacity(entries.len());
    let mut unknown = FxHashSet::default();
    for entry in &entries {
        let goroutine = &mut goroutines[entry.goroutine as usize];
        let Some(reason) = goroutine.wait_reason else {
            continue;
        };
        let wait = if reason.kind() == WaitKind::Channel {
            match channels.wait(reason, &entry.sudog) {
                Some(wait) => wait,
                None => {
                    unknown.insert(entry.goroutine);
                    continue;
                }
            }
        } else {
            let by_stack = calls.of(target, &goroutine.stack);
            let call = operation::operation(reason, by_stack);
            goroutine.wait_reason = Some(operation::refined_reason(reason, call));
            sync_wait(&entry.sudog, call)
        };
        let next = match wait.object.kind {
            ObjectKind::Channel | ObjectKind::Cond => entry.sudog.next,
            _ => entry.sudog.wait_link,
        };
        goroutine.waits_on.push(wait);
        resolved.push(Resolved {
            goroutine: entry.goroutine,
            at: entry.sudog.at,
            wait,
            next,
        });
    }
    drop(entries);
    // Half a select would look blocked where its other half is not: all cases or none.
    resolved.retain(|r: &Resolved| !unknown.contains(&r.goroutine));
    for goroutine in unknown {
        goroutines[goroutine as usize].waits_on.clear();
    }
    for goroutine in goroutines.iter_mut() {
        // There may be millions, with room for more than they wait on.
        goroutine.waits_on.shrink_to_fit();
    }
    note_unknown(goroutines, gaps);
    let mut objects = collect(goroutines, resolved);
    read_states(target, &mut objects, &mut channels, gaps)?;
    Ok(objects)
}

fn sync_wait(sudog: &Sudog, call: SyncCall) -> WaitOn {
    if call == SyncCall::CondWait {
        return WaitOn {
            object: ObjectId {
                addr: sudog.elem.back(COND_NOTIFY),
                kind: ObjectKind::Cond,
            },
            operation: Operation::CondWait,
        };
    }
    operation::behind_semaphore(sudog.elem, call)
}

fn note_unknown(goroutines: &[Goroutine], gaps: &mut Gaps) {
    for goroutine in goroutines {
        let expects = goroutine.wait_reason.is_some_and(|reason| {
            matches!(
                reason.kind(),
                WaitKind::Channel | WaitKind::Semaphore | WaitKind::Cond
            )
        });
        if expects && goroutine.waits_on.is_empty() {
            gaps.note(Gap::UnknownObject, || {
                format!("goroutine {}", goroutine.goid)
            });
        }
    }
}

/// The operations of package sync, by stack: few stacks, many goroutines.
#[derive(Default)]
struct SyncCalls {
    known: FxHashMap<*const Stack, SyncCall>,
}

impl SyncCalls {
    /// `stack` stays alive as long as the goroutines do, so its address names it.
    fn of(&mut self, target: &Target, stack: &Arc<Stack>) -> SyncCall {
        *self
            .known
            .entry(Arc::as_ptr(stack))
            .or_insert_with(|| sync_call(&target.image, stack))
    }
}

/// The channels, and in which queue each entry stands.
struct Channels {
    states: FxHashMap<TargetAddr, Channel>,
    directions: FxHashMap<TargetAddr, Operation>,
}

pub(super) struct Channel {
    pub(super) state: ObjectState,
    element_type: TargetAddr,
    /// The timer that sends on it; nil where none does.
    pub(super) timer: TargetAddr,
    first_receiver: TargetAddr,
    first_sender: TargetAddr,
}

impl Channels {
    fn read(
        target: &Target,
        goroutines: &[Goroutine],
        entries: &[Entry],
    ) -> Result<Self, ReadError> {
        let is_channel = |entry: &&Entry| {
            let reason = goroutines[entry.goroutine as usize].wait_reason;
            reason.is_some_and(|reason| reason.kind() == WaitKind::Channel)
        };
        let mut addresses: Vec<_> = entries
            .iter()
            .filter(is_channel)
            .map(|entry| entry.sudog.channel)
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let layout = target.image.layout();
        let len = object_state::len(ObjectKind::Channel, layout);
        let mut states = FxHashMap::default();
        states.reserve(addresses.len());
        let mut gather = Gather::new();
        for chunk in addresses.chunks(OBJECTS_CHUNK) {
            let ranges: Vec<_> = chunk.iter().map(|at| (*at, len)).collect();
            gather.read(&*target.memory, &ranges)?;
            for (index, addr) in chunk.iter().enumerate() {
                let Some(bytes) = gather.get(index) else {
                    continue;
                };
                let kind = ObjectKind::Channel;
                let id = ObjectId { addr: *addr, kind };
                let channel = Channel {
                    state: object_state::decode(id, bytes, layout),
                    element_type: Fields(bytes).addr(layout.hchan.elemtype),
                    timer: layout
                        .hchan
                        .timer
                        .map_or(TargetAddr(0), |timer| Fields(bytes).addr(timer)),
                    first_receiver: Fields(bytes).addr(layout.hchan.recvq),
                    first_sender: Fields(bytes).addr(layout.hchan.sendq),
                };
                states.insert(*addr, channel);
            }
        }
        let mut channels = Self {
            states,
            directions: FxHashMap::default(),
        };
        channels.name_elements(target);
        stopped_timers::mark(target, &mut channels.states)?;
        Ok(channels)
    }

    /// Few types, many channels.
    fn name_elements(&mut self, target: &Target) {
        let mut names: FxHashMap<TargetAddr, Option<Arc<str>>> = FxHashMap::default();
        for channel in self.states.values_mut() {
            let at = channel.element_type;
            if let ObjectState::Channel { element, .. } = &mut channel.state {
                let name = names
                    .entry(at)
                    .or_insert_with(|| target.image.type_name(at.in_image(target.bias)));
                element.type_name.clone_from(name);
            }
        }
    }

    /// Walks the queues of every channel of a select. A select's case tells neither its direction nor
    /// its queue; the channel does.
    fn find_directions(
        &mut self,
        target: &Target,
        goroutines: &[Goroutine],
        entries: &[Entry],
    ) -> Result<(), ReadError> {
        let selects = entries.iter().filter(|entry| {
            let reason = goroutines[entry.goroutine as usize].wait_reason;
            reason.is_some_and(|reason| {
                reason.kind() == WaitKind::Channel && operation::direction(reason).is_none()
            })
        });
        let selected: FxHashSet<TargetAddr> = selects.map(|entry| entry.sudog.channel).collect();
        let next: FxHashMap<TargetAddr, TargetAddr> = entries
            .iter()
            .filter(|entry| selected.contains(&entry.sudog.channel))
            .map(|entry| (entry.sudog.at, entry.sudog.next))
            .collect();
        let memory = CachedMemory::new(&*target.memory);
        let next_offset = target.image.layout().sudog.next;
        let mut strangers = 0;
        for channel in selected.iter().filter_map(|at| self.states.get(at)) {
            for (first, operation) in [
                (channel.first_receiver, Operation::Receive),
                (channel.first_sender, Operation::Send),
            ] {
                let mut at = first;
                // A loop ends at the first entry seen before.
                while !at.is_nil() && self.directions.insert(at, operation).is_none() {
                    at = match next.get(&at) {
                        Some(next) => *next,
                        // Of a goroutine that ran while it was looked at.
                        None if strangers < STRANGERS_LIMIT => {
                            strangers += 1;
                            match memory.read_addr(at.offset(next_offset)) {
                                Ok(next) => next,
                                Err(error) if error.is_final() => return Err(error),
                                Err(_) => break,
                            }
                        }
                        None => break,
                    };
                }
            }
        }
        Ok(())
    }

    /// What the entry means; `None` for a select's case that stands in no queue of its channel,
    /// which has just been served or belongs to another moment.
    fn wait(&self, reason: WaitReason, sudog: &Sudog) -> Option<WaitOn> {
        let operation = match operation::direction(reason) {
            Some(direction) => direction,
            None => *self.directions.get(&sudog.at)?,
        };
        let kind = ObjectKind::Channel;
        let addr = sudog.channel;
        (!addr.is_nil()).then_some(WaitOn {
            object: ObjectId { addr, kind },
            operation,
        })
    }
}

/// The objects with their waiters in queue order.
fn collect(
    goroutines: &[Goroutine],
    mut resolved: Vec<Resolved>,
) -> FxHashMap<TargetAddr, SyncObject> {
    resolved.sort_by_key(|r| (r.wait.object, r.goroutine));
    let by_object = || resolved.chunk_by(|a, b| a.wait.object == b.wait.object);
    let mut objects = FxHashMap::default();
    objects.reserve(by_object().count());
    for group in by_object() {
        let id = group[0].wait.object;
        let goid = |index: u32| goroutines[index as usize].goid;
        let waiters = match group {
            [only] => vec![goid(only.goroutine)],
            _ => in_queue_order(group).map(goid).collect(),
        };
        objects.insert(
            id.addr,
            SyncObject {
                id,
                state: None,
                waiters,
            },
        );
    }
    objects
}

/// The goroutines of one object's `group`: each queue from its first entry on, queues (receivers
/// and senders, readers and writers) in the order of their first goroutine.
fn in_queue_order(group: &[Resolved]) -> impl Iterator<Item = u32> {
    let place: FxHashMap<TargetAddr, usize> = group
        .iter()
        .enumerate()
        .map(|(index, r)| (r.at, index))
        .collect();
    let followers: FxHashSet<TargetAddr> = group.iter().map(|r| r.next).collect();
    let mut taken = vec![false; group.len()];
    let mut order = Vec::with_capacity(group.len());
    let starts = (0..group.len()).filter(|i| !followers.contains(&group[*i].at));
    // Whatever is left after the queues stands in a torn one: as it comes.
    for start in starts.chain(0..group.len()) {
        let mut at = Some(start);
        while let Some(index) = at.filter(|index| !taken[*index]) {
            taken[index] = true;
            order.push(group[index].goroutine);
            at = place.get(&group[index].next).copied();
        }
    }
    let mut seen = FxHashSet::default();
    // A select may stand in one channel's queues several times.
    order
        .into_iter()
        .filter(move |goroutine| seen.insert(*goroutine))
}

fn read_states(
    target: &Target,
    objects: &mut FxHashMap<TargetAddr, SyncObject>,
    channels: &mut Channels,
    gaps: &mut Gaps,
) -> Result<(), ReadError> {
    let layout = target.image.layout();
    let mut missing = Vec::new();
    for object in objects.values_mut() {
        match channels.states.remove(&object.id.addr) {
            Some(channel) if object.id.kind == ObjectKind::Channel => {
                object.state = Some(channel.state);
            }
            _ => missing.push(object.id),
        }
    }
    let mut gather = Gather::new();
    for chunk in missing.chunks(OBJECTS_CHUNK) {
        let ranges: Vec<_> = chunk
            .iter()
            .map(|id| (id.addr, object_state::len(id.kind, layout)))
            .collect();
        gather.read(&*target.memory, &ranges)?;
        for (index, id) in chunk.iter().enumerate() {
            match (gather.get(index), objects.get_mut(&id.addr)) {
                (Some(bytes), Some(object)) => {
                    object.state = Some(object_state::decode(*id, bytes, layout));
                }
                _ => gaps.note(Gap::UnreadableObject, || format!("object at {}", id.addr)),
            }
        }
    }
    Ok(())
}
