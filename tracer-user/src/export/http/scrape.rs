//! `/metrics`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::export::metrics::{Format, Metrics};

/// How long the metrics are served again as they were: many who ask cost as much as one.
const SHARED_FOR: Duration = Duration::from_millis(250);

/// The metrics, and what was last told of them.
struct Scrapes {
    metrics: Metrics,
    last: Mutex<Vec<Scrape>>,
}

/// The metrics at a moment, in one format.
struct Scrape {
    format: Format,
    at: Instant,
    text: Bytes,
}

/// The route of `metrics`.
pub fn routes(metrics: Metrics) -> Router {
    let scrapes = Arc::new(Scrapes {
        metrics,
        last: Mutex::default(),
    });
    Router::new()
        .route("/metrics", get(scrape))
        .with_state(scrapes)
}

impl Scrapes {
    fn encode(&self, format: Format) -> Result<Bytes, std::fmt::Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|scrape| scrape.at.elapsed() < SHARED_FOR);
        if let Some(known) = last.iter().find(|scrape| scrape.format == format) {
            return Ok(known.text.clone());
        }
        let text = Bytes::from(self.metrics.encode(format)?);
        last.push(Scrape {
            format,
            at: Instant::now(),
            text: text.clone(),
        });
        Ok(text)
    }
}

async fn scrape(State(scrapes): State<Arc<Scrapes>>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept);
    match scrapes.encode(format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot encode the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
