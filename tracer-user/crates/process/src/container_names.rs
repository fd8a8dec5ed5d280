//! What Kubernetes calls a container.

use std::collections::BTreeMap;

/// Who a container is to Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerNames {
    /// Its pod's namespace.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// The container's name within the pod; not known until the kubelet has reported its id.
    pub container: Option<String>,
    /// The node.
    pub node: String,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// Whether the pod lets itself be traced (annotation `gostuck.dev/trace`).
    pub traced: bool,
}
