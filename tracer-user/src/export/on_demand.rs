//! What clients of the API have the daemon inspect for them: the views of the page, and whole documents.

use std::{sync::Arc, time::Duration};

use super::{
    documents::Documents,
    view::{View, Views},
};
use crate::{daemon::viewers::Viewers, inspect::Inspection};
use process::ProcessKey;

/// The views and documents that are asked for.
#[derive(Debug, Default)]
pub struct OnDemand {
    /// The last inspections of those processes that somebody watches.
    pub views: Views,
    /// Documents of those processes that somebody asks for.
    pub documents: Arc<Documents>,
}

impl Viewers for OnDemand {
    fn take_wanted(&self) -> Vec<ProcessKey> {
        let mut wanted = self.views.take_wanted();
        wanted.extend(self.documents.take_wanted());
        wanted
    }

    fn postpone(&self, key: ProcessKey) {
        self.views.want(key);
    }

    fn is_watched(&self, key: ProcessKey) -> bool {
        self.views.is_watched(key)
    }

    fn inspected(&self, key: ProcessKey, inspection: Inspection, cost: Duration) {
        if self.views.is_watched(key) {
            self.views.keep(key, Arc::new(View::new(&inspection, cost)));
        }
        self.documents.hand_over(key, inspection, cost);
    }

    fn failed(&self, key: ProcessKey, why: &str) {
        self.documents.fail(key, why.to_owned());
    }

    fn forget(&self, key: ProcessKey) {
        self.views.forget(key);
        self.documents.forget(key);
    }
}
