//! `/api/v1/processes/PID`: the whole document of one process, as [`Documents`] has it. What is served
//! of inspections in groups is in [`view`](super::view).
//!
//! [`Documents`]: crate::export::documents::Documents

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    Api,
    view::{self, Question},
};
use crate::{
    export::documents::{Format, Refusal, Spool},
    target_text::clean,
};
use ids::Pid;

#[derive(Debug, Default, Deserialize)]
pub struct Options {
    #[serde(default)]
    format: Format,
}

/// Answers one request.
pub async fn document(
    State(api): State<Api>,
    Path(pid): Path<u32>,
    Query(Options { format }): Query<Options>,
    Query(question): Query<Question>,
    headers: HeaderMap,
) -> Response {
    let pid = Pid(pid);
    if question.is_of_view() {
        return view::view(&api, pid, &question, &headers).await;
    }
    let Some(key) = api.board.key_of(pid) else {
        return not_found(pid);
    };
    match api.on_demand.documents.get(key, format).await {
        Ok(spool) => answer(&spool, view::accepts_gzip(&headers)),
        Err(Refusal::Gone) => not_found(pid),
        Err(Refusal::NotYet { retry_after }) => {
            let seconds = HeaderValue::from(retry_after.as_secs().saturating_add(1));
            let text = "it cannot be looked at yet, try again\n";
            let headers = [(header::RETRY_AFTER, seconds)];
            (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
        }
        Err(Refusal::Failed(why)) => {
            let why = format!("{}\n", clean(&why));
            (StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
        }
    }
}

fn answer(spool: &Spool, accepts_gzip: bool) -> Response {
    let profile = spool.format() == Format::Pprof;
    let body = if accepts_gzip || profile {
        Body::from(spool.compressed())
    } else {
        Body::from_stream(tokio_stream::iter(spool.plain()))
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static(spool.format().content_type());
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::AGE, HeaderValue::from(spool.age().as_secs()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A profile is a compressed file by itself.
    view::encoded(headers, accepts_gzip && !profile);
    response
}

/// Tells a client that there is nothing to see.
pub(super) fn not_found(pid: Pid) -> Response {
    let why = format!("no Go process {pid} is traced here\n");
    (StatusCode::NOT_FOUND, why).into_response()
}
