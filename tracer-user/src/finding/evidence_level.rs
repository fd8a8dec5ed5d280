//! How far the evidence for a verdict goes.

use super::model::Verdict;

/// What the deadness of some goroutines rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Two inspections agree, and nobody concerned moved between them.
    TwoLooks,
    /// It was all read of one moment: the process had stopped for ever.
    OneMoment,
    /// One inspection says so.
    OneLook,
    /// It holds only if nobody acts on the objects but those who were seen to.
    SeenActors,
}

impl Proof {
    pub(super) const fn verdict(self) -> Verdict {
        match self {
            Self::TwoLooks | Self::OneMoment => Verdict::Proven,
            Self::OneLook | Self::SeenActors => Verdict::Suspected,
        }
    }

    /// What is missing for proof.
    pub(super) fn doubts(self) -> Vec<String> {
        match self {
            Self::TwoLooks | Self::OneMoment => Vec::new(),
            Self::OneLook => vec!["seen in one look only".to_owned()],
            Self::SeenActors => {
                vec!["somebody who was not seen may still act on these objects".to_owned()]
            }
        }
    }
}
