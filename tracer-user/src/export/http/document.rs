//! `/api/v1/processes/PID`: a look at one process for one client, streamed while it is written. What
//! is served of looks that all clients share is in [`view`](super::view).

use std::{
    io::{self, BufWriter, Write},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use serde::Deserialize;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;

use super::view::{self, Question};
use crate::{
    export::{board::Board, document::Document, dot, folded, pprof, text},
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
    board: Arc<Board>,
    turns: Arc<Semaphore>,
}

impl Looking {
    /// Limits `looks` at the processes of `board`.
    pub fn new(looks: Arc<dyn Looks>, board: Arc<Board>) -> Self {
        Self {
            looks,
            board,
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

    /// Writes the document, compressed by gzip or not.
    fn write_encoded(self, mut out: impl Write, document: &Document, gzip: bool) -> io::Result<()> {
        if gzip {
            let mut encoder = GzEncoder::new(out, Compression::fast());
            self.write(&mut encoder, document)?;
            return encoder.finish()?.flush();
        }
        self.write(&mut out, document)?;
        out.flush()
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
    Query(question): Query<Question>,
    headers: HeaderMap,
) -> Response {
    if question.is_of_view() {
        return view::view(&looking.board, Pid(pid), &question, &headers).await;
    }
    let gzip = format != Format::Pprof && view::accepts_gzip(&headers);
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
        let out = BufWriter::with_capacity(CHUNK, Chunks(chunks));
        if let Err(error) = format.write_encoded(out, &document, gzip) {
            tracing::debug!(pid, %error, "a client went away during a document");
        }
    });
    match looked.await {
        Ok(Ok(())) => {
            let headers = [(header::CONTENT_TYPE, format.content_type())];
            let body = Body::from_stream(ReceiverStream::new(body));
            let mut response = (headers, body).into_response();
            view::encoded(response.headers_mut(), gzip);
            response
        }
        Ok(Err(refusal)) => refused(refusal),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the look broke off\n").into_response(),
    }
}

/// Tells a client why there is nothing to see.
pub(super) fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::NotFound(why) => (StatusCode::NOT_FOUND, why + "\n").into_response(),
        Refusal::Failed(why) => (StatusCode::INTERNAL_SERVER_ERROR, why + "\n").into_response(),
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
