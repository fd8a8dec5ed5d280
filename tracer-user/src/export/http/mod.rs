//! The daemon's HTTP side: metrics, health, JSON API, event stream, web page.
//!
//! It only reads the board and asks for looks. Connections, requests and looks are limited, so that
//! clients, slow or many, cannot hold up the tracing.

mod access;
mod connection;
mod document;
mod events;
mod health;
mod page;
mod tls;
mod view;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
    serve::Listener,
};
use tokio::{net::TcpListener, time::timeout};

pub use access::{Access, Token};
pub use document::{Looks, Refusal};
pub use health::Health;
pub use tls::{Certificate, TlsError};

use super::{
    board::{Board, ProcessList},
    metrics::{Format, Metrics},
};
use crate::descriptors;

/// Longest request body: nothing we serve takes any.
const BODY_LIMIT: usize = 1 << 10;
/// How long open connections may take to finish when the daemon stops.
const FAREWELL: Duration = Duration::from_millis(100);

/// What is served.
pub struct Service {
    /// The processes.
    pub board: Arc<Board>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Looks at processes.
    pub looks: Arc<dyn Looks>,
    /// Whether the daemon works.
    pub health: Arc<Health>,
    /// Who may read the API.
    pub access: Access,
    /// What the listener proves itself with; without it, connections are not encrypted.
    pub certificate: Option<Certificate>,
}

impl Service {
    fn routes(self) -> Router {
        let api = Router::new()
            .route("/api/v1/processes", get(processes))
            .route("/api/v1/events", get(events::events))
            .with_state(Arc::clone(&self.board))
            .merge(
                Router::new()
                    .route("/api/v1/processes/{pid}", get(document::document))
                    .with_state(document::Looking::new(self.looks, self.board)),
            )
            .layer(middleware::from_fn_with_state(self.access, access::guard));
        Router::new()
            .route("/metrics", get(metrics))
            .with_state(self.metrics)
            .merge(
                Router::new()
                    .route("/healthz", get(alive))
                    .route("/readyz", get(ready))
                    .with_state(self.health),
            )
            .merge(api)
            .merge(page::routes())
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
    }

    /// Serves on `listener` until `stop` resolves, and a little longer for those being served.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let certificate = self.certificate.clone();
        let listener = connection::LimitedListener::new(listener);
        match certificate {
            None => serve(listener, self.routes(), stop).await,
            Some(certificate) => {
                let listener = tls::TlsListener::new(listener, certificate);
                serve(listener, self.routes(), stop).await
            }
        }
    }
}

async fn serve<L: Listener<Addr = SocketAddr>>(
    listener: L,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopped, stopping) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, routes).with_graceful_shutdown(async {
        stop.await;
        // The receiver waits for this below; it cannot be gone while the server runs.
        let _ = stopped.send(());
    });
    let mut serving = std::pin::pin!(serving.into_future());
    tokio::select! {
        ended = &mut serving => return ended,
        _ = stopping => {}
    }
    // Event streams never end by themselves.
    timeout(FAREWELL, serving).await.unwrap_or(Ok(()))
}

async fn processes(State(board): State<Arc<Board>>) -> Json<ProcessList> {
    Json(board.list())
}

async fn metrics(State(metrics): State<Arc<Metrics>>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept);
    match metrics.encode(format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot encode the metrics");
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
            "the tracing side is silent\n",
        )
    }
}

/// Ready without probes, too: looks by intervals find the same, only later.
async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    if !health.is_ready() {
        let said = "looking around\n".to_owned();
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
        let said = format!("processes that nobody has looked at yet: {unseen}\n");
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
