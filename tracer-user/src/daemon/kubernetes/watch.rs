//! The watch on the API server that keeps [`Pods`] current.

use std::{pin::pin, time::Duration};

use k8s_openapi::api::core::v1;
use kube::{
    Api, Client, Config,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use tokio::time::sleep;
use tokio_stream::StreamExt as _;

use super::{Change, Pods, pod::Pod};

/// How long to wait before asking again who the API server is.
const PAUSE: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Pods of one answer while listing.
const PAGE: u32 = 200;

/// Follows the pods of the node until dropped; reconnects, with growing pauses, as often as it
/// takes. Returns at once when there is no node.
pub async fn follow(pods: &Pods) {
    let Some(node) = &pods.node else {
        return;
    };
    loop {
        match client().await {
            Ok(client) => watch(pods, node, client).await,
            Err(error) => {
                tracing::warn!(%error, "no Kubernetes API server: containers go by their ids");
            }
        }
        sleep(PAUSE).await;
    }
}

/// A client by the service account of this pod, or by `KUBECONFIG`.
async fn client() -> Result<Client, kube::Error> {
    let config = Config::infer().await;
    let mut config = config.map_err(kube::Error::InferConfig)?;
    config.connect_timeout = Some(CONNECT_LIMIT);
    Client::try_from(config)
}

async fn watch(pods: &Pods, node: &str, client: Client) {
    let of_node = watcher::Config::default()
        .fields(&format!("spec.nodeName={node}"))
        .page_size(PAGE);
    let pods_of_all: Api<v1::Pod> = Api::all(client);
    let mut events = pin!(watcher(pods_of_all, of_node).default_backoff());
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if let Some(change) = change(event) {
                    pods.apply(change);
                }
                if failing {
                    tracing::info!("the Kubernetes API server answers again");
                }
                failing = false;
            }
            Err(error) if !failing => {
                tracing::warn!(%error, "cannot watch the pods of this node; trying on");
                failing = true;
            }
            Err(error) => tracing::debug!(%error, "cannot watch the pods of this node"),
        }
    }
}

fn change(event: watcher::Event<v1::Pod>) -> Option<Change> {
    Some(match event {
        watcher::Event::Init => Change::ListBegins,
        watcher::Event::InitApply(pod) => Change::ProcessSummary(Pod::new(pod)?),
        watcher::Event::InitDone => Change::ListEnds,
        watcher::Event::Apply(pod) => Change::Present(Pod::new(pod)?),
        watcher::Event::Delete(pod) => Change::Gone(Pod::new(pod)?),
    })
}
