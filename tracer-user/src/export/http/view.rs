//! `/api/v1/processes/PID?view=groups`, `?group=` and `?goroutines=`: the daemon's last inspection in groups,
//! and single goroutines of it on request.
//!
//! The header `Age` says how many seconds old the inspection is. `fresh=true` asks for another inspection, which
//! all viewers then get; where the last one was dear or just now, that one is served again.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{Api, document::not_found};
use crate::export::{
    json,
    view::{MAX_PAGE, View, compressed},
};
use ids::{Goid, Pid};

/// What a client asks for, of the last inspection.
#[derive(Debug, Default, Deserialize)]
pub struct Question {
    view: Option<Shape>,
    group: Option<usize>,
    /// Ids, separated by commas.
    goroutines: Option<String>,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
    #[serde(default)]
    fresh: bool,
}

/// The shapes that an inspection is served in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Shape {
    Groups,
}

impl Question {
    /// Whether it is about the last inspection, and not one for this client alone.
    pub const fn is_of_view(&self) -> bool {
        self.view.is_some() || self.group.is_some() || self.goroutines.is_some()
    }
}

/// How long a request waits for an inspection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers one request.
pub async fn view(api: &Api, pid: Pid, question: &Question, headers: &HeaderMap) -> Response {
    let view = match current(api, pid, question.fresh).await {
        Ok(view) => view,
        Err(response) => return response,
    };
    let gzip = accepts_gzip(headers);
    let json = match &question.goroutines {
        Some(ids) => {
            let ids = ids.split(',').filter_map(|id| id.trim().parse().ok());
            let ids: Vec<Goid> = ids.map(Goid).take(MAX_PAGE).collect();
            written(&view.of_ids(&ids), gzip)
        }
        None => match question.group {
            Some(group) => {
                let limit = question.limit.unwrap_or(MAX_PAGE);
                match view.of_group(group, question.offset, limit) {
                    Some(page) => written(&page, gzip),
                    None => return (StatusCode::NOT_FOUND, "no such group\n").into_response(),
                }
            }
            None => view.json(gzip),
        },
    };
    match json {
        Ok(json) => answer(json, &view, gzip),
        Err(error) => {
            tracing::error!(%error, "cannot write a look");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn written(page: &impl serde::Serialize, gzip: bool) -> std::io::Result<Bytes> {
    let plain = json::to_vec(page)?;
    Ok(Bytes::from(if gzip { compressed(&plain)? } else { plain }))
}

fn answer(json: Bytes, view: &View, gzip: bool) -> Response {
    let mut response = Body::from(json).into_response();
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::AGE, HeaderValue::from(view.age().as_secs()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    encoded(headers, gzip);
    response
}

/// Says in `headers` how the body is encoded.
pub fn encoded(headers: &mut HeaderMap, gzip: bool) {
    let vary = HeaderValue::from_static("accept-encoding");
    headers.insert(header::VARY, vary);
    if gzip {
        let gzip = HeaderValue::from_static("gzip");
        headers.insert(header::CONTENT_ENCODING, gzip);
    }
}

/// Whether the client takes answers that are compressed by gzip (RFC 9110, 12.5.3).
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let name = name.trim();
        let weight = weight.trim().trim_start_matches("q=").trim();
        let refused = weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0);
        (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
    })
}

/// The last inspection of the process that has `pid` now; the next one where there is none, or that is
/// wanted and may be.
async fn current(api: &Api, pid: Pid, fresh: bool) -> Result<Arc<View>, Response> {
    let mut kept = api.on_demand.views.kept();
    let until = Instant::now() + PATIENCE;
    // The inspection that is too old for this client.
    let mut old = None;
    loop {
        let Some(key) = api.board.key_of(pid) else {
            return Err(not_found(pid));
        };
        kept.mark_unchanged();
        let (view, wanted) = api.on_demand.views.watch(key, fresh && old.is_none());
        let late = Instant::now() >= until;
        match view {
            Some(view) if wanted && old.is_none() && !late => old = Some(view),
            Some(view) if late || old.as_ref().is_none_or(|old| !Arc::ptr_eq(old, &view)) => {
                return Ok(view);
            }
            None if late => {
                let text = "it has not been looked at yet, try again\n";
                return Err((StatusCode::SERVICE_UNAVAILABLE, text).into_response());
            }
            _ => {}
        }
        // When it is too late, what there is will do.
        let _ = timeout_at(until, kept.changed()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_is_accepted() {
        let accepts = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
        };
        assert!(accepts("gzip, deflate, br"));
        assert!(accepts("br;q=1.0, GZIP;q=0.5"));
        assert!(accepts("*"));
        assert!(!accepts("gzip;q=0, br"));
        assert!(!accepts("identity"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
