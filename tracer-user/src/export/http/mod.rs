//! The daemon's HTTP side: metrics, health, JSON API, event stream, web page.
//!
//! It only reads the process table and asks for looks. Connections, requests and inspections are limited, so that
//! clients, slow or many, cannot hold up the tracing, and nobody can keep those out who ask whether the
//! daemon works or for its metrics.

mod access;
mod connection;
mod document;
mod door;
mod events;
mod page;
mod places;
mod scrape;
mod server;
mod tls;
mod view;

use std::{io, net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};

pub use access::{Access, Token};
pub use door::Hosts;
pub use server::ConnectionError;
pub use tls::{Certificate, TlsError};

use super::{json, metrics::Metrics, on_demand::OnDemand};
use crate::daemon::{health::Health, process_table::ProcessTable, self_metrics::SelfMetrics};
use resources::descriptors;

/// Longest request body: nothing we serve takes any.
const BODY_LIMIT: usize = 1 << 10;

/// What is served.
pub struct Service {
    /// The processes.
    pub board: Arc<ProcessTable>,
    /// What clients ask for of single processes.
    pub on_demand: Arc<OnDemand>,
    /// The metrics.
    pub metrics: Metrics,
    /// Whether the daemon works.
    pub health: Arc<Health>,
    /// Who may read the API.
    pub access: Access,
    /// Which hosts requests may name.
    pub hosts: Hosts,
    /// What the listener proves itself with; without it, connections are not encrypted.
    pub certificate: Option<Certificate>,
    /// Where clients that are turned away are counted.
    pub own: SelfMetrics,
}

/// What the API reads.
#[derive(Debug, Clone)]
struct Api {
    board: Arc<ProcessTable>,
    on_demand: Arc<OnDemand>,
}

impl FromRef<Api> for Arc<ProcessTable> {
    fn from_ref(api: &Api) -> Self {
        Self::clone(&api.board)
    }
}

impl Service {
    fn routes(self) -> Router {
        // A place is taken last: it may be another one's.
        let place = middleware::from_fn_with_state(self.own, door::take_place);
        let api = Router::new()
            .route("/api/v1/processes", get(processes))
            .route("/api/v1/processes/{pid}", get(document::document))
            .route("/api/v1/events", get(events::events))
            .with_state(Api {
                board: self.board,
                on_demand: self.on_demand,
            })
            .layer(place.clone())
            .layer(middleware::from_fn_with_state(self.access, access::guard));
        let open = Router::new()
            .route("/healthz", get(alive))
            .route("/readyz", get(ready))
            .with_state(self.health)
            .merge(scrape::routes(self.metrics))
            .merge(page::routes())
            .layer(place);
        let hosts = Arc::new(self.hosts);
        api.merge(open)
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(middleware::from_fn_with_state(hosts, door::pass))
    }

    /// Serves the client `peer` over one `stream`, which need not be a socket, until either hangs up.
    ///
    /// # Errors
    /// When what the client sends is no HTTP, or the stream breaks.
    pub async fn serve_one<S>(self, stream: S, peer: IpAddr) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        server::serve_one(stream, peer, self.routes()).await
    }

    /// Serves on `listener` until `stop` resolves, and a little longer for those being served.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let server = server::Server {
            certificate: self.certificate.clone(),
            own: self.own.clone(),
            routes: self.routes(),
        };
        server.serve(listener, stop).await
    }
}

async fn processes(State(board): State<Arc<ProcessTable>>) -> Response {
    match json::to_vec(&board.list()) {
        Ok(list) => ([(header::CONTENT_TYPE, "application/json")], list).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the list of processes");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn alive(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the supervisor does not answer\n",
        )
    }
}

/// Ready without probes, too: looks by intervals find the same, only later.
async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    if !health.is_ready() {
        let said = "finding processes\n".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, said);
    }
    if health.has_shortage() {
        let limit = descriptors::limit();
        let said = format!(
            "no file descriptors left (the limit is {limit}): raise the hard limit of gostuck\n"
        );
        return (StatusCode::SERVICE_UNAVAILABLE, said);
    }
    let unseen = health.unseen();
    if unseen > 0 {
        let said = format!("processes not inspected yet: {unseen}\n");
        return (StatusCode::SERVICE_UNAVAILABLE, said);
    }
    let said = match health.no_probes() {
        Some(why) => format!("ready, by intervals only: no probes: {why}\n"),
        None => "ready\n".to_owned(),
    };
    (StatusCode::OK, said)
}

#[cfg(test)]
mod tests;
