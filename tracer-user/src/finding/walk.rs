//! What a heap walk adds to a diagnosis.

use graph::{GoroutineNode, Verdicts};
use ids::{Goid, TargetAddr};
use reach::{Certainty, Prover};

/// Solves wait graphs by walking the target's heap for what live goroutines can reach.
pub trait HeapWalker {
    /// Walks, and solves the graph of `nodes`; goroutines that are not listed count as live. `uses` says
    /// which objects goroutines are going to use by their code: those that are live reach them.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    fn solve(
        &mut self,
        nodes: &[GoroutineNode],
        uses: &[(Goid, TargetAddr)],
    ) -> Result<Walked, String>;

    /// Bytes of stacks and heap that nobody keeps but `goroutines`, from the last walk.
    fn retained_bytes(&mut self, goroutines: &[Goid]) -> Option<u64>;
}

/// What a heap walk found out.
#[derive(Debug, Clone)]
pub struct Walked {
    /// Who can never run again.
    pub verdicts: Verdicts,
    /// Why the walk is no proof: the target changed too fast. `None`: it is.
    pub unsettled: Option<String>,
}

/// By the walks of [`reach`].
impl HeapWalker for Prover<'_> {
    fn solve(
        &mut self,
        nodes: &[GoroutineNode],
        uses: &[(Goid, TargetAddr)],
    ) -> Result<Walked, String> {
        self.add_uses(uses);
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
        Some(retained.stack_bytes.saturating_add(retained.heap_bytes))
    }
}
