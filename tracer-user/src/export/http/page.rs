//! The web page: three files built from `web/`, compiled in.

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

const INDEX: &[u8] = include_bytes!("../../../web/dist/index.html");
const SCRIPT: &[u8] = include_bytes!("../../../web/dist/app.js");
const STYLE: &[u8] = include_bytes!("../../../web/dist/app.css");

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page's files. They hold nothing of any process and need no token.
pub fn routes() -> Router {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", INDEX)))
        .route(
            "/app.js",
            get(async || file("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route(
            "/app.css",
            get(async || file("text/css; charset=utf-8", STYLE)),
        )
}

fn file(media_type: &'static str, content: &'static [u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}
