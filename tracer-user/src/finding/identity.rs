//! Finding ids: the same condition keeps its id over looks and over restarts of ours.

use super::model::{FindingId, FindingKind};
use ids::{Goid, TargetAddr};
use process::ProcessKey;

/// Builds an id from what makes a finding itself. The hash is FNV-1a (64 bit), whose values, unlike
/// those of std's hashers, are fixed for ever.
pub(super) struct Identity(u64);

impl Identity {
    pub(super) fn new(process: ProcessKey, kind: FindingKind) -> Self {
        Self(0xcbf2_9ce4_8422_2325)
            .number(process.pid.0.into())
            .number(process.start_time.0)
            .text(kind.as_str())
    }

    pub(super) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    /// Goroutines in any order.
    pub(super) fn goroutines(self, goids: &[Goid]) -> Self {
        let mut goids = goids.to_vec();
        goids.sort_unstable();
        let this = self.number(goids.len() as u64);
        goids.into_iter().fold(this, |this, g| this.number(g.0))
    }

    /// Objects in any order.
    pub(super) fn objects(self, objects: &[TargetAddr]) -> Self {
        let mut objects = objects.to_vec();
        objects.sort_unstable();
        let this = self.number(objects.len() as u64);
        objects.into_iter().fold(this, |this, o| this.number(o.0))
    }

    pub(super) fn id(self) -> FindingId {
        FindingId(self.0)
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Pid;
    use process::StartTime;

    fn key(start: u64) -> ProcessKey {
        ProcessKey {
            pid: Pid(42),
            start_time: StartTime(start),
        }
    }

    fn id(start: u64, goids: &[u64]) -> FindingId {
        let goids: Vec<_> = goids.iter().copied().map(Goid).collect();
        Identity::new(key(start), FindingKind::LockCycle)
            .goroutines(&goids)
            .id()
    }

    #[test]
    fn order_of_members_does_not_matter_but_the_process_does() {
        assert_eq!(id(1, &[7, 8]), id(1, &[8, 7]));
        assert_ne!(id(1, &[7, 8]), id(2, &[7, 8]));
        assert_ne!(id(1, &[7, 8]), id(1, &[7, 9]));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // FNV-1a test vector: "foobar".
        assert_eq!(
            Identity(0xcbf2_9ce4_8422_2325).bytes(b"foobar").0,
            0x8594_4171_f739_67e8
        );
    }
}
