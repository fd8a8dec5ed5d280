//! What programmers call a cycle of a certain form.

use super::index::SnapshotIndex;
use graph::{Cycle, Edge};
use ids::{Goid, TargetAddr};
use snapshot::{Goroutine, Operation};

/// The form of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A goroutine calls `Do` in the function that the same `Do` runs.
    OnceWithinItself(Goid, TargetAddr),
    /// A goroutine that has read-locked an RWMutex waits to lock it.
    Upgrade(Goid, TargetAddr),
    /// A goroutine waits for what it holds itself.
    Alone(Goid, TargetAddr),
    /// A goroutine sends to a channel from which nobody else was seen to receive.
    OwnReceiver(Goid, TargetAddr),
    /// A goroutine read-locks again what it has read-locked, and a writer waits in between.
    RecursiveRead {
        /// Who has read-locked it and does so again.
        reader: Goid,
        /// Who waits for the readers to leave.
        writer: Goid,
        /// The lock.
        lock: TargetAddr,
    },
    /// None of these.
    Ring,
}

/// The form of `cycle`.
pub(super) fn shape(scene: &SnapshotIndex<'_>, cycle: &Cycle) -> Shape {
    let wants = |edge: &Edge| {
        let waits = scene.goroutine(edge.from).map(|g| &g.waits_on[..]);
        let mut waits = waits.unwrap_or_default().iter();
        let wait = waits.find(|wait| wait.object.addr == edge.object);
        wait.map(|wait| wait.operation)
    };
    match cycle.edges.get(..cycle.core).unwrap_or_default() {
        [edge] => {
            let goroutine = scene.goroutine(edge.from);
            if goroutine.is_some_and(|g| is_in_once(scene, g)) {
                Shape::OnceWithinItself(edge.from, edge.object)
            } else if wants(edge) == Some(Operation::DrainReaders) {
                Shape::Upgrade(edge.from, edge.object)
            } else if wants(edge) == Some(Operation::Send) {
                Shape::OwnReceiver(edge.from, edge.object)
            } else {
                Shape::Alone(edge.from, edge.object)
            }
        }
        [a, b] if a.object == b.object => {
            let ring = |reader: &Edge, writer: &Edge| Shape::RecursiveRead {
                reader: reader.from,
                writer: writer.from,
                lock: a.object,
            };
            match (wants(a), wants(b)) {
                (Some(Operation::ReadLock), Some(Operation::DrainReaders)) => ring(a, b),
                (Some(Operation::DrainReaders), Some(Operation::ReadLock)) => ring(b, a),
                _ => Shape::Ring,
            }
        }
        _ => Shape::Ring,
    }
}

/// Whether it is a `sync.Once` that took the lock for which `g` waits.
fn is_in_once(scene: &SnapshotIndex<'_>, g: &Goroutine) -> bool {
    let locks = |function: &str| {
        function.starts_with("runtime.")
            || function.starts_with("internal/sync.")
            || function.starts_with("sync.runtime_")
            || function.starts_with("sync.(*Mutex).")
    };
    let caller = scene.functions(g).find(|function| !locks(function));
    caller.is_some_and(|function| &*function == "sync.(*Once).doSlow")
}
