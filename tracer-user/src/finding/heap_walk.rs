//! The heap walk as a diagnosis uses it.

use super::{HeapWalker, Walked};
use crate::{
    graph::GoroutineNode,
    ids::Goid,
    reach::{Certainty, Prover},
};

impl HeapWalker for Prover<'_> {
    fn solve(&mut self, nodes: &[GoroutineNode]) -> Result<Walked, String> {
        let proof = self.prove(nodes).map_err(|error| error.to_string())?;
        Ok(Walked {
            verdicts: proof.verdicts,
            unsettled: match proof.certainty {
                Certainty::Unsettled { why } => Some(why),
                Certainty::Exact | Certainty::Settled { .. } => None,
            },
        })
    }

    fn retained_bytes(&mut self, goroutines: &[Goid]) -> Option<u64> {
        let retained = self.retained(goroutines).ok()?;
        Some(retained.stack_bytes + retained.heap_bytes)
    }
}
