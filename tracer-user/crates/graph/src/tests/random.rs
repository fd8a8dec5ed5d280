//! Small random graphs.

use proptest::prelude::*;

use super::*;

/// Goroutines are numbered from 1 to below this, holders that are not listed beyond.
pub(super) const GOIDS: u64 = 12;

pub(super) fn any_disposition() -> impl Strategy<Value = Disposition> {
    let holder_set = (
        prop::collection::vec(1..GOIDS + 2, 0..4),
        any::<bool>(),
        prop::bool::weighted(0.9),
    );
    prop_oneof![
        1 => Just(Disposition::Live),
        1 => Just(Disposition::Blocked(Requirement::Never)),
        2 => prop::collection::vec(0_u64..6, 1..3).prop_map(|objects| {
            Disposition::Blocked(Requirement::Signal {
                objects: objects.into_iter().map(TargetAddr).collect(),
            })
        }),
        6 => (0x10_u64..0x18, holder_set).prop_map(|(object, (holders, one, complete))| {
            Disposition::Blocked(Requirement::Release {
                object: TargetAddr(object),
                holders: Arc::new(HolderSet {
                    holders: holders.into_iter().map(Goid).collect(),
                    need: if one { Need::OneOf } else { Need::All },
                    complete,
                    unseen: Vec::new(),
                }),
            })
        }),
    ]
}

pub(super) fn any_nodes() -> impl Strategy<Value = Vec<GoroutineNode>> {
    prop::collection::vec(any_disposition(), 0..GOIDS as usize).prop_map(|dispositions| {
        dispositions
            .into_iter()
            .zip(1..)
            .map(|(disposition, goid)| node(goid, disposition))
            .collect()
    })
}
