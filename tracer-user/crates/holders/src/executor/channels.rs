//! Channels and condition variables: what a path does with them explains, but proves nothing.

use super::{super::model::ReleaseKind, Executor, State, value::Value};
use ids::ImageAddr;

/// Cases of one select statement at most (`runtime/select.go`: 1 << 16).
const MAX_CASES: u64 = 256;

impl Executor<'_> {
    /// A channel or condition variable is used: worth telling, but it changes no path.
    pub(super) fn mention(
        &mut self,
        state: &State,
        site: ImageAddr,
        kind: ReleaseKind,
        object: Value,
    ) {
        if let Some(object) = self.object_at(object) {
            self.sight(state, site, kind, object);
        }
    }

    /// `selectgo(cas0, order0, pc0, nsends, nrecvs, block)` (`runtime/select.go`): sends first.
    /// A case is a channel and where its element lies (`scase`).
    pub(super) fn select(&mut self, state: &mut State, site: ImageAddr) {
        let Some(cases) = self.argument(state, 0).term().map(Value::of) else {
            return;
        };
        let count = |i| {
            let count = self.number(self.argument(state, i));
            count.unwrap_or(0).min(MAX_CASES)
        };
        let (sends, receives) = (count(3), count(4));
        for case in 0..sends + receives {
            let case_at = cases.displaced(16 * case);
            let channel = self.load(state, case_at, 8);
            let kind = if case < sends {
                ReleaseKind::Send
            } else {
                ReleaseKind::Receive
            };
            self.mention(state, site, kind, channel);
            if kind == ReleaseKind::Receive {
                let element = self.load(state, case_at.displaced(8), 8);
                self.doubt_object(state, element);
            }
        }
    }
}
