//! `/api/v1/processes/PID`: a look at one process, streamed while it is written.

use std::{
    io::{self, BufWriter, Write},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    export::{document::Document, dot, folded, pprof, text},
    ids::Pid,
};

/// Most looks that clients can have under way.
const LOOKS_AT_ONCE: usize = 2;
/// How long a request waits for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(10);
/// Bytes gathered before they are handed to the connection.
const CHUNK: usize = 64 << 10;

/// Why there is no document.
#[derive(Debug)]
pub enum Refusal {
    /// No such Go process.
    NotFound(String),
    /// It could not be read.
    Failed(String),
}

/// Looks at processes for clients of the API.
pub trait Looks: Send + Sync {
    /// The document of the process that has `pid` now. Blocks.
    ///
    /// # Errors
    /// [`Refusal`], in words for the client.
    fn document(&self, pid: Pid) -> Result<Document, Refusal>;
}

/// The looks with their limit.
#[derive(Clone)]
pub struct Looking {
    looks: Arc<dyn Looks>,
    turns: Arc<Semaphore>,
}

impl Looking {
    /// Limits `looks`.
    pub fn new(looks: Arc<dyn Looks>) -> Self {
        Self {
            looks,
            turns: Arc::new(Semaphore::new(LOOKS_AT_ONCE)),
        }
    }
}

/// The representation that a client asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Json,
    Text,
    Dot,
    Folded,
    Pprof,
}

#[derive(Debug, Default, Deserialize)]
pub struct Options {
    #[serde(default)]
    format: Format,
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text | Self::Folded => "text/plain; charset=utf-8",
            Self::Dot => "text/vnd.graphviz",
            Self::Pprof => "application/octet-stream",
        }
    }

    fn write(self, out: &mut impl Write, document: &Document) -> io::Result<()> {
        match self {
            Self::Json => Ok(serde_json::to_writer(out, document)?),
            Self::Text => {
                let options = text::Options {
                    paint: text::Paint::Plain,
                    width: 100,
                    all: false,
                };
                text::write(out, document, options)
            }
            Self::Dot => dot::write(out, document),
            Self::Folded => folded::write(out, document),
            Self::Pprof => pprof::write(out, document),
        }
    }
}

/// Answers one request.
pub async fn document(
    State(looking): State<Looking>,
    Path(pid): Path<u32>,
    Query(Options { format }): Query<Options>,
) -> Response {
    let turn = timeout(TURN_LIMIT, Arc::clone(&looking.turns).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        let text = "too many looks under way, try again\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let (outcome, looked) = oneshot::channel();
    let (chunks, body) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let document = match looking.looks.document(Pid(pid)) {
            Ok(document) => document,
            Err(refusal) => return drop(outcome.send(Err(refusal))),
        };
        if outcome.send(Ok(())).is_err() {
            return;
        }
        let mut out = BufWriter::with_capacity(CHUNK, Chunks(chunks));
        if let Err(error) = format.write(&mut out, &document).and_then(|()| out.flush()) {
            tracing::debug!(pid, %error, "a client went away during a document");
        }
    });
    match looked.await {
        Ok(Ok(())) => {
            let headers = [(header::CONTENT_TYPE, format.content_type())];
            (headers, Body::from_stream(ReceiverStream::new(body))).into_response()
        }
        Ok(Err(Refusal::NotFound(why))) => (StatusCode::NOT_FOUND, why + "\n").into_response(),
        Ok(Err(Refusal::Failed(why))) => {
            (StatusCode::INTERNAL_SERVER_ERROR, why + "\n").into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the look broke off\n").into_response(),
    }
}

/// Hands what is written to a connection, waiting while the client is slow.
struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
