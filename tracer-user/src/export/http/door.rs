//! What every request passes before it is answered, and every answer on its way out: whether it came
//! from where it may, and a place for it.

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Extension, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use hyper::body::{Frame, SizeHint};

use super::places::{Full, Kind, Seat, Sitting};
use crate::daemon::self_metrics::{SelfMetrics, TurnedAway};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// When to try again where there is no place, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Which hosts a request may name: a page whose name is made to point here (DNS rebinding) says
/// another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Addresses, `localhost` and these names.
    Local(Vec<String>),
    /// Any: listening beyond this machine was asked for explicitly.
    Any,
}

impl Hosts {
    /// What suits a listener at `address` that is asked by `names`, too.
    #[must_use]
    pub fn new(address: SocketAddr, names: Vec<String>) -> Self {
        if address.ip().is_loopback() || !names.is_empty() {
            Self::Local(names)
        } else {
            Self::Any
        }
    }

    /// Whether what `headers` say of the host is among them. No name server makes an address or
    /// `localhost` point elsewhere.
    fn allow(&self, headers: &HeaderMap) -> bool {
        let Self::Local(names) = self else {
            return true;
        };
        let host = headers.get(header::HOST);
        let Some(host) = host.and_then(|host| host.to_str().ok()) else {
            return false;
        };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || literal.parse::<IpAddr>().is_ok()
            || names.iter().any(|known| name.eq_ignore_ascii_case(known))
    }
}

/// Whether a browser asks on behalf of a page of others, other than to open our page itself, which
/// holds nothing of any process.
fn is_of_another_page(uri: &Uri, headers: &HeaderMap) -> bool {
    let is = |name, values: &[&str]| {
        let value: Option<&HeaderValue> = headers.get(name);
        value.is_some_and(|value| values.iter().any(|known| value == known))
    };
    let opens_ours = uri.path() == "/" && is(SEC_FETCH_MODE, &["navigate"]);
    is(SEC_FETCH_SITE, &["cross-site", "same-site"]) && !opens_ours
}

fn check(hosts: &Hosts, request: &Request) -> Result<(), &'static str> {
    if !hosts.allow(request.headers()) {
        return Err(
            "this listener answers to localhost, addresses and the names that --allow-host gives\n",
        );
    }
    if is_of_another_page(request.uri(), request.headers()) {
        return Err("pages of others get no answers here\n");
    }
    Ok(())
}

/// Lets a request pass, or says why not.
pub async fn pass(
    State(hosts): State<Arc<Hosts>>,
    Extension(seat): Extension<Arc<Seat>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match check(&hosts, &request) {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, why).into_response(),
    };
    let headers = response.headers_mut();
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    if !seat.may_stay() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Has a request answered at a place of its kind. It is to have passed all else by then: its place may
/// be another one's.
pub async fn take_place(
    State(own): State<SelfMetrics>,
    Extension(seat): Extension<Arc<Seat>>,
    request: Request,
    next: Next,
) -> Response {
    match seat.enter(Kind::of(request.uri().path())) {
        Ok(place) => {
            let response = next.run(request).await;
            response.map(|body| Body::new(Held::new(body, place)))
        }
        Err(Full) => {
            own.count_turned_away(TurnedAway::NoPlace);
            no_place()
        }
    }
}

fn no_place() -> Response {
    let headers = [
        (header::RETRY_AFTER, RETRY_AFTER),
        (header::CONNECTION, HeaderValue::from_static("close")),
    ];
    let text = "too many clients, try again\n";
    (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
}

/// The body of an answer, whose connection has a place until the end of it.
struct Held {
    body: Body,
    place: Option<Sitting>,
}

impl Held {
    fn new(body: Body, place: Sitting) -> Self {
        let place = Some(place).filter(|_| !body.is_end_stream());
        Self { body, place }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) {
            self.place = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        HeaderMap::from_iter(pairs.map(|(name, value)| (name, HeaderValue::from_static(value))))
    }

    #[test]
    fn a_rebound_name_is_refused() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 9102));
        let hosts = Hosts::new(loopback, vec!["node-7.example".to_owned()]);
        let allows = |host| hosts.allow(&headers(&[(header::HOST, host)]));
        assert!(allows("localhost:9102") && allows("LOCALHOST"));
        assert!(allows("127.0.0.1:9102") && allows("[::1]:9102"));
        assert!(allows("Node-7.example:9102"));
        assert!(!allows("evil.example:9102"));
        assert!(!allows("localhost.evil.example"));
        assert!(!hosts.allow(&HeaderMap::new()));
        let beyond = SocketAddr::from(([10, 0, 0, 1], 9102));
        let any = Hosts::new(beyond, Vec::new());
        assert!(any.allow(&headers(&[(header::HOST, "node-7.example")])));
    }

    #[test]
    fn pages_of_others_may_open_ours_and_nothing_else() {
        let check = |path: &'static str, site, mode| {
            let headers = headers(&[(SEC_FETCH_SITE, site), (SEC_FETCH_MODE, mode)]);
            is_of_another_page(&Uri::from_static(path), &headers)
        };
        for path in ["/metrics", "/api/v1/processes", "/app.js"] {
            assert!(check(path, "cross-site", "no-cors"), "{path}");
            assert!(check(path, "same-site", "cors"), "{path}");
            assert!(check(path, "cross-site", "navigate"), "{path}");
            assert!(!check(path, "same-origin", "cors"), "{path}");
            assert!(!check(path, "none", "navigate"), "{path}");
        }
        assert!(!check("/", "cross-site", "navigate"));
        assert!(check("/", "cross-site", "no-cors"));
        assert!(!is_of_another_page(
            &Uri::from_static("/metrics"),
            &HeaderMap::new()
        ));
    }
}
