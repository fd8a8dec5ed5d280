//! What stands for `kubernetes` in a build without that feature: containers go by their ids.

use process::Process;

/// The pods of one node, of which nothing is known.
#[derive(Debug)]
pub struct Pods {
    node: Option<String>,
}

impl Pods {
    /// The pods of the node `node`; without one, none: this is not Kubernetes.
    #[must_use]
    pub const fn of_node(node: Option<String>) -> Self {
        Self { node }
    }

    /// Whether everything is known that can be expected: it is.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        true
    }

    /// Leaves `process` as it is.
    pub const fn name(&self, _process: &mut Process) {}
}

/// Says, on a node of Kubernetes, that nobody is going to be asked.
pub async fn follow(pods: &Pods) {
    if pods.node.is_some() {
        tracing::warn!("built without the feature `kubernetes`: containers go by their ids");
    }
}
