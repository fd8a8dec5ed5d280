//! What a daemon knows of the processes of this host: asked over its JSON API.

use std::{error::Error, io, net::SocketAddr, time::Duration};

use axum::{
    body::{self, Body},
    http::{Request, StatusCode, header},
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};

use crate::{daemon::process_table::Mode, export::http::Token};

/// How long a connection may take: on this host, no time.
const CONNECT: Duration = Duration::from_millis(300);
/// How long the answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Longest answer: some hundred bytes for each of ten thousand processes.
const ANSWER_BYTES: usize = 16 << 20;

/// How the daemon follows one process.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Followed {
    /// `PID-STARTTIME`, as in [`crate::document::Process::key`].
    pub key: String,
    /// By which means.
    pub mode: Mode,
    /// What its probes cost it, as a share of one CPU.
    pub cost_ratio: Option<f64>,
    /// How long ago it was looked at.
    #[serde(default)]
    pub last_look_seconds_ago: Option<u64>,
}

/// The part of the list of processes that is of use here.
#[derive(Deserialize)]
struct List {
    processes: Vec<Followed>,
}

/// Why a daemon did not tell.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is none.
    #[error("no daemon answers at {address}: {source}")]
    Absent {
        /// Where it was looked for.
        address: SocketAddr,
        /// Why the connection failed.
        source: io::Error,
    },
    /// It wants a token, or another one.
    #[error("the daemon at {0} wants its token (--token-file)")]
    Token(SocketAddr),
    /// What listens there does not speak as a daemon of this version without TLS does.
    #[error("what listens at {address} does not answer as a gostuck daemon without TLS: {why}")]
    Strange {
        /// Where it listens.
        address: SocketAddr,
        /// What was wrong.
        why: String,
    },
}

/// The processes that the daemon at `address` follows.
///
/// # Errors
/// [`AskError`]; also when the answer takes longer than two seconds.
pub fn followed(address: SocketAddr, token: Option<&Token>) -> Result<Vec<Followed>, AskError> {
    let absent = |source| AskError::Absent { address, source };
    let strange = |why| AskError::Strange { address, why };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(absent)?;
    runtime.block_on(async {
        let connection = timeout(CONNECT, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(absent)?;
        let answer = timeout(ANSWER, get(connection, address, token)).await;
        let (status, bytes) = answer
            .map_err(|_| strange("it is silent".to_owned()))?
            .map_err(|error| strange(error.to_string()))?;
        match status {
            StatusCode::OK => serde_json::from_slice::<List>(&bytes)
                .map(|list| list.processes)
                .map_err(|error| strange(error.to_string())),
            StatusCode::UNAUTHORIZED => Err(AskError::Token(address)),
            status => Err(strange(format!("status {}", status.as_u16()))),
        }
    })
}

async fn get(
    connection: TcpStream,
    address: SocketAddr,
    token: Option<&Token>,
) -> Result<(StatusCode, body::Bytes), Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(connection)).await?;
    // It ends with the runtime; what breaks it is told by the request.
    tokio::spawn(connection);
    let mut request = Request::get("/api/v1/processes").header(header::HOST, address.to_string());
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, token.header()?);
    }
    let response = sender.send_request(request.body(Body::empty())?).await?;
    let status = response.status();
    let body = body::to_bytes(Body::new(response.into_body()), ANSWER_BYTES).await?;
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// What is made of `answer`, given by whoever listens.
    fn ask(answer: &'static str) -> Result<Vec<Followed>, AskError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listening = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            // The request is shorter than this.
            let _ = connection.read(&mut [0; 4096]);
            connection.write_all(answer.as_bytes()).unwrap();
        });
        let said = followed(address, None);
        listening.join().unwrap();
        said
    }

    #[test]
    fn fields_that_are_not_asked_for_are_left_alone() {
        let said = ask(
            "HTTP/1.1 200 OK\r\n\r\n{\"schema\":\"gostuck/1\",\"processes\":[\
             {\"key\":\"7-100\",\"pid\":7,\"mode\":\"snapshots\",\"cost_ratio\":0.0012,\
             \"last_look_seconds_ago\":22}]}",
        );
        let expected = Followed {
            key: "7-100".to_owned(),
            mode: Mode::Snapshots,
            cost_ratio: Some(0.0012),
            last_look_seconds_ago: Some(22),
        };
        assert_eq!(said.unwrap(), [expected]);
    }

    #[test]
    fn who_wants_a_token_or_talks_strangely_is_told_of() {
        let refused = ask("HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap_err();
        assert!(matches!(refused, AskError::Token(_)), "{refused}");
        for answer in [
            "",
            "SSH-2.0-OpenSSH_9.2p1\r\n",
            "HTTP/1.1 200 OK\r\n\r\n<html>",
            "HTTP/1.1 200 OK\r\n\r\n{\"processes\":[{\"key\":\"7-100\",\"mode\":\"magic\"}]}",
            "HTTP/1.1 404 Not Found\r\n\r\n",
        ] {
            let strange = ask(answer).unwrap_err();
            assert!(matches!(strange, AskError::Strange { .. }), "{strange}");
            assert!(!strange.to_string().contains('\n'), "{strange}");
        }
    }

    #[test]
    fn where_nobody_listens_there_is_no_daemon() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let absent = followed(address.unwrap(), None).unwrap_err();
        assert!(matches!(absent, AskError::Absent { .. }), "{absent}");
    }
}
