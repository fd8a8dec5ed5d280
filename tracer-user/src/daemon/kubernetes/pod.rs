//! What is kept of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{self, ContainerStatus};

use process::{Container, ContainerId, ContainerNames};

/// The annotation of a pod that keeps tracing away from it when it says `"false"`.
const TRACE_ANNOTATION: &str = "gostuck.dev/trace";
/// The kubelet gives a static pod the digest of its manifest for a UID, which shows in cgroup
/// paths; its mirror on the API server tells it so (`kubernetesConfigHashAnnotation`,
/// pkg/kubelet/types/pod_update.go).
const STATIC_POD_UID: &str = "kubernetes.io/config.hash";
/// Most containers and labels kept of one pod.
const ITEMS_LIMIT: usize = 256;
/// Longest name kept (DNS subdomains have 253 characters, label values 63).
const NAME_LIMIT: usize = 253;

/// A pod, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) uid: String,
    static_uid: Option<String>,
    namespace: String,
    name: String,
    labels: BTreeMap<String, String>,
    traced: bool,
    /// Names of its containers by their ids.
    containers: BTreeMap<String, String>,
}

impl Pod {
    /// What matters of `pod`; `None` when it lacks a UID, which no pod of an API server does.
    pub(super) fn new(pod: v1::Pod) -> Option<Self> {
        let metadata = pod.metadata;
        let annotations = metadata.annotations.unwrap_or_default();
        let status = pod.status.unwrap_or_default();
        let lists = [
            status.container_statuses,
            status.init_container_statuses,
            status.ephemeral_container_statuses,
        ];
        let containers = lists.into_iter().flatten().flatten();
        Some(Self {
            uid: bounded(metadata.uid?),
            static_uid: annotations.get(STATIC_POD_UID).cloned().map(bounded),
            namespace: bounded(metadata.namespace.unwrap_or_default()),
            name: bounded(metadata.name.unwrap_or_default()),
            labels: metadata
                .labels
                .unwrap_or_default()
                .into_iter()
                .take(ITEMS_LIMIT)
                .map(|(key, value)| (bounded(key), bounded(value)))
                .collect(),
            traced: annotations
                .get(TRACE_ANNOTATION)
                .is_none_or(|value| value.trim() != "false"),
            containers: containers.filter_map(container).take(ITEMS_LIMIT).collect(),
        })
    }

    /// Whether `container` is one of its.
    pub(super) fn is(&self, container: &Container) -> bool {
        let uid = container.pod.as_ref().map(process::PodUid::as_str);
        self.containers.contains_key(container.id.as_str())
            || (uid.is_some() && self.static_uid.as_deref() == uid)
    }

    /// The names of its container `id`, on `node`.
    pub(super) fn names(&self, id: &ContainerId, node: &str) -> ContainerNames {
        ContainerNames {
            namespace: self.namespace.clone(),
            pod: self.name.clone(),
            container: self.containers.get(id.as_str()).cloned(),
            node: node.to_owned(),
            labels: self.labels.clone(),
            traced: self.traced,
        }
    }
}

/// Id and name of a container: `containerID` is `RUNTIME://ID`, and absent before it was started.
fn container(status: ContainerStatus) -> Option<(String, String)> {
    let id = status.container_id?;
    let (_, id) = id.split_once("://")?;
    let id = ContainerId::parse(id)?;
    Some((id.as_str().to_owned(), bounded(status.name)))
}

fn bounded(text: String) -> String {
    match text.char_indices().nth(NAME_LIMIT) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use process::{ContainerRuntime, PodUid};

    fn pod(json: serde_json::Value) -> Pod {
        Pod::new(serde_json::from_value(json).unwrap()).unwrap()
    }

    #[test]
    fn names_come_from_metadata_and_status() {
        let id = "0123456789abcdef".repeat(4);
        let status = |name: &str, id: serde_json::Value| {
            json!({"name": name, "containerID": id, "image": "", "imageID": "",
                "ready": true, "restartCount": 0})
        };
        let pod = pod(json!({
            "metadata": {
                "uid": "u", "namespace": "shop", "name": "cart-0",
                "labels": {"app": "cart"},
                "annotations": {TRACE_ANNOTATION: "false"},
            },
            "status": {
                "containerStatuses": [status("new", json!(null)), status("main", json!(format!("cri-o://{id}")))],
                "initContainerStatuses": [status("odd", json!("cri-o://../../etc"))],
            },
        }));
        let names = pod.names(&ContainerId::parse(&id).unwrap(), "node-a");
        assert_eq!(names.namespace, "shop");
        assert_eq!(names.pod, "cart-0");
        assert_eq!(names.container.as_deref(), Some("main"));
        assert_eq!(names.node, "node-a");
        assert_eq!(names.labels["app"], "cart");
        assert!(!names.traced);
        assert_eq!(pod.containers.len(), 1);
    }

    #[test]
    fn a_static_pod_is_known_by_the_digest_of_its_manifest() {
        let digest = "0123456789abcdef0123456789abcdef";
        let mirror = pod(json!({"metadata": {
            "uid": "another", "name": "etcd", "annotations": {STATIC_POD_UID: digest},
        }}));
        let container = Container {
            runtime: ContainerRuntime::Containerd,
            id: ContainerId::parse(&"a".repeat(64)).unwrap(),
            pod: PodUid::in_component(&format!("pod{digest}")),
            names: None,
        };
        assert!(mirror.is(&container));
        assert!(mirror.traced);
    }

    #[test]
    fn names_are_bounded() {
        let long = pod(json!({"metadata": {"uid": "u", "name": "ä".repeat(10_000)}}));
        assert_eq!(long.name.chars().count(), NAME_LIMIT);
    }
}
