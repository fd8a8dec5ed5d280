//! Who may read what: the bearer token, and protection against web pages of others.

use std::{fs, io, net::SocketAddr, path::Path};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{self, InvalidHeaderValue},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};

/// Shortest token accepted: shorter ones can be guessed.
const TOKEN_MIN: usize = 16;

/// What the API asks of a request.
#[derive(Clone)]
pub enum Access {
    /// A bearer token.
    Token(Token),
    /// Nothing but coming to this machine by address or as `localhost`: a page whose name is made
    /// to point here (DNS rebinding) says another `Host`.
    Local,
    /// Nothing: listening beyond this machine was asked for explicitly.
    Open,
}

/// A bearer token. Never printed.
#[derive(Clone)]
pub struct Token(Vec<u8>);

impl Token {
    /// Reads the token from the first line of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or the token is shorter than 16 bytes.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let token = text.lines().next().unwrap_or_default().trim();
        if token.len() < TOKEN_MIN {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the token is shorter than {TOKEN_MIN} bytes"),
            ));
        }
        Ok(Self(token.as_bytes().to_vec()))
    }

    /// What a client offers it by, as its header `Authorization`.
    ///
    /// # Errors
    /// When it has bytes that no header may have.
    pub fn header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", &self.0[..]].concat())?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Whether `offered` is this token; takes as long for a near miss as for a far one.
    fn matches(&self, offered: &[u8]) -> bool {
        let differing = self
            .0
            .iter()
            .zip(offered)
            .fold(0, |differing, (a, b)| differing | (a ^ b));
        offered.len() == self.0.len() && differing == 0
    }
}

impl Access {
    /// What suits a listener at `address`.
    #[must_use]
    pub fn new(token: Option<Token>, address: SocketAddr) -> Self {
        match token {
            Some(token) => Self::Token(token),
            None if address.ip().is_loopback() => Self::Local,
            None => Self::Open,
        }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        match self {
            Self::Open => Ok(()),
            Self::Local if is_local_host(headers) => Ok(()),
            Self::Local => Err((
                StatusCode::FORBIDDEN,
                "this listener answers to localhost and addresses only\n",
            )),
            Self::Token(token) => {
                let offered = headers
                    .get(header::AUTHORIZATION)
                    .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
                if offered.is_some_and(|offered| token.matches(offered)) {
                    Ok(())
                } else {
                    Err((StatusCode::UNAUTHORIZED, "a bearer token is needed\n"))
                }
            }
        }
    }
}

/// Whether the request's `Host` is `localhost` or an address: neither can be made to point
/// elsewhere by a name server.
fn is_local_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || literal.parse::<std::net::IpAddr>().is_ok()
}

/// Refuses requests without the right to read the API.
pub async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    match access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err((StatusCode::UNAUTHORIZED, text)) => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            text,
        )
            .into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

    use super::{Access, Token};

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn only_the_whole_token_opens() {
        let access = Access::Token(Token(b"0123456789abcdef".to_vec()));
        let status = |value| access.check(&headers(header::AUTHORIZATION, value)).err();
        let Access::Token(token) = &access else {
            unreachable!("made above");
        };
        let offered = HeaderMap::from_iter([(header::AUTHORIZATION, token.header().unwrap())]);
        assert!(access.check(&offered).is_ok());
        assert!(status("Bearer 0123456789abcdef").is_none());
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeff",
            "Bearer ",
        ] {
            assert_eq!(
                status(wrong).unwrap().0,
                StatusCode::UNAUTHORIZED,
                "{wrong}"
            );
        }
        assert!(access.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_rebound_name_is_refused() {
        let check = |host| Access::Local.check(&headers(header::HOST, host)).is_ok();
        assert!(check("localhost:9102"));
        assert!(check("127.0.0.1:9102"));
        assert!(check("[::1]:9102"));
        assert!(!check("evil.example:9102"));
        assert!(!check("localhost.evil.example"));
        assert!(Access::Local.check(&HeaderMap::new()).is_err());
    }
}
