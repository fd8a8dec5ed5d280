//! Who may read the API: the bearer token.

use std::{fs, io, path::Path};

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

/// What comes before the token.
const SCHEME: &[u8] = b"Bearer ";

/// What the API asks of a request.
#[derive(Clone)]
pub enum Access {
    /// A bearer token.
    Token(Token),
    /// Nothing: it is read on this machine, or listening beyond it was asked for explicitly.
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
        let mut value = HeaderValue::from_bytes(&[SCHEME, &self.0[..]].concat())?;
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
    /// What suits a listener with that `token`, if any.
    #[must_use]
    pub fn new(token: Option<Token>) -> Self {
        token.map_or(Self::Open, Self::Token)
    }

    /// Whether a request with these headers may read the API.
    fn allows(&self, headers: &HeaderMap) -> bool {
        let Self::Token(token) = self else {
            return true;
        };
        let offered = headers.get(header::AUTHORIZATION);
        offered.is_some_and(|offered| {
            // The scheme's case does not count (RFC 9110, 11.1).
            offered
                .as_bytes()
                .split_at_checked(SCHEME.len())
                .is_some_and(|(scheme, offered)| {
                    scheme.eq_ignore_ascii_case(SCHEME) && token.matches(offered)
                })
        })
    }
}

/// Refuses requests without the right to read the API.
pub async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    if access.allows(request.headers()) {
        return next.run(request).await;
    }
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer")],
        "a bearer token is needed\n",
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{Access, Token};

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token(b"0123456789abcdef".to_vec());
        let offered = token.header().unwrap();
        let access = Access::new(Some(token));
        let allows = |value| access.allows(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]));
        assert!(allows(offered));
        let allows = |value| allows(HeaderValue::from_static(value));
        assert!(allows("Bearer 0123456789abcdef"));
        assert!(allows("bearer 0123456789abcdef"));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeff",
            "Bearer 0123456789ABCDEF",
            "Basic 0123456789abcdef",
            "Bearer ",
            "",
        ] {
            assert!(!allows(wrong), "{wrong}");
        }
        assert!(!access.allows(&HeaderMap::new()));
        assert!(Access::new(None).allows(&HeaderMap::new()));
    }
}
