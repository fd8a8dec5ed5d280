//! Who the containers of this node are to Kubernetes, as the API server tells it.
//!
//! Nothing waits for the API server: until it has answered, and where it never does, containers go
//! by their ids.

mod pod;
mod watch;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

pub use self::watch::follow;
use pod::Pod;
use process::{Container, Process};

/// Most pods remembered. A kubelet runs 110 unless told otherwise.
const PODS_LIMIT: usize = 4096;
/// How long the first answer of the API server is waited for before pods count as unknown.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pods of one node.
#[derive(Debug)]
pub struct Pods {
    node: Option<String>,
    /// When the API server was first asked.
    since: Instant,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Whether the API server has listed them all once.
    complete: bool,
    pods: FxHashMap<String, Arc<Pod>>,
    /// What a list that is under way has told so far.
    arriving: FxHashMap<String, Arc<Pod>>,
}

/// A change that the API server tells.
#[derive(Debug)]
enum Change {
    /// A list begins; what it does not name is gone.
    ListBegins,
    /// A pod of that list.
    ProcessSummary(Pod),
    /// The list is complete.
    ListEnds,
    /// A pod that is new or different.
    Present(Pod),
    /// A pod that is gone.
    Gone(Pod),
}

impl Pods {
    /// The pods of the node `node`; without one, none: this is not Kubernetes.
    #[must_use]
    pub fn of_node(node: Option<String>) -> Self {
        Self {
            node,
            since: Instant::now(),
            known: RwLock::default(),
        }
    }

    /// Whether everything is known that can be expected: names may still appear otherwise.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.node.is_none() || self.read().complete || self.since.elapsed() >= PATIENCE
    }

    /// Writes into `process` who its container is, as far as known by now.
    pub fn name(&self, process: &mut Process) {
        if let (Some(node), Some(container)) = (&self.node, &mut process.container) {
            container.names = self
                .pod_of(container)
                .map(|pod| Arc::new(pod.names(&container.id, node)));
        }
    }

    fn pod_of(&self, container: &Container) -> Option<Arc<Pod>> {
        let known = self.read();
        let by_uid = container.pod.as_ref();
        let by_uid = by_uid.and_then(|uid| known.pods.get(uid.as_str()));
        // Some cgroup drivers name the container only; a mirror pod has another UID.
        let mut pods = known.pods.values();
        by_uid
            .or_else(|| pods.find(|pod| pod.is(container)))
            .map(Arc::clone)
    }

    fn apply(&self, change: Change) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::ListBegins => known.arriving.clear(),
            Change::ProcessSummary(pod) => add(&mut known.arriving, pod),
            Change::ListEnds => {
                known.pods = std::mem::take(&mut known.arriving);
                known.complete = true;
            }
            Change::Present(pod) => add(&mut known.pods, pod),
            Change::Gone(pod) => {
                known.pods.remove(&pod.uid);
            }
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(pods: &mut FxHashMap<String, Arc<Pod>>, pod: Pod) {
    if pods.len() < PODS_LIMIT || pods.contains_key(&pod.uid) {
        pods.insert(pod.uid.clone(), Arc::new(pod));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use process::{ContainerId, ContainerRuntime, PodUid};

    const UID: &str = "8dbc5577-d0e2-4706-8787-57d52c03ddf2";

    fn pod(uid: &str, name: &str, container: &str) -> Pod {
        let pod = json!({
            "metadata": {"uid": uid, "namespace": "shop", "name": name},
            "status": {"containerStatuses": [{
                "name": "main",
                "containerID": format!("containerd://{container}"),
                "image": "", "imageID": "", "ready": true, "restartCount": 0,
            }]},
        });
        Pod::new(serde_json::from_value(pod).unwrap()).unwrap()
    }

    fn container(uid: Option<&str>, id: &str) -> Container {
        Container {
            runtime: ContainerRuntime::Containerd,
            id: ContainerId::parse(id).unwrap(),
            pod: uid.map(|uid| PodUid::in_component(&format!("pod{uid}")).unwrap()),
            names: None,
        }
    }

    fn name_of(pods: &Pods, container: &Container) -> Option<String> {
        Some(pods.pod_of(container)?.names(&container.id, "n").pod)
    }

    #[test]
    fn a_container_is_known_by_its_pod_or_by_its_id() {
        let pods = Pods::of_node(Some("n".to_owned()));
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        pods.apply(Change::Present(pod(UID, "cart-0", &a)));
        assert_eq!(name_of(&pods, &container(Some(UID), &b)).unwrap(), "cart-0");
        assert_eq!(name_of(&pods, &container(None, &a)).unwrap(), "cart-0");
        assert_eq!(name_of(&pods, &container(None, &b)), None);
        pods.apply(Change::Gone(pod(UID, "cart-0", &a)));
        assert_eq!(name_of(&pods, &container(None, &a)), None);
    }

    #[test]
    fn a_new_list_replaces_the_old_when_it_is_complete() {
        let pods = Pods::of_node(Some("n".to_owned()));
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        assert!(!pods.is_settled());
        pods.apply(Change::Present(pod("1", "old", &a)));
        pods.apply(Change::ListBegins);
        pods.apply(Change::ProcessSummary(pod("2", "new", &b)));
        assert_eq!(name_of(&pods, &container(None, &a)).unwrap(), "old");
        pods.apply(Change::ListEnds);
        assert_eq!(name_of(&pods, &container(None, &a)), None);
        assert_eq!(name_of(&pods, &container(None, &b)).unwrap(), "new");
        assert!(pods.is_settled());
    }

    #[test]
    fn pods_are_bounded() {
        let pods = Pods::of_node(Some("n".to_owned()));
        for number in 0..PODS_LIMIT + 10 {
            pods.apply(Change::Present(pod(
                &number.to_string(),
                "p",
                &"a".repeat(64),
            )));
        }
        assert_eq!(pods.read().pods.len(), PODS_LIMIT);
    }
}
