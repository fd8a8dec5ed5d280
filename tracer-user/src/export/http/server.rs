//! Accepting connections, and speaking HTTP over them, encrypted or not.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    connection::Connection,
    places::{Full, Places, Seat},
    tls::Certificate,
};
use crate::daemon::self_metrics::{SelfMetrics, TurnedAway};

/// How long a client may take for the header of a request, and to begin the next one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to shake hands.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open connections may take to finish when the daemon stops.
const FAREWELL: Duration = Duration::from_millis(100);
/// How long to wait when the process or the host has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long those that have just come are read before there may be a place for the next one.
const ARRIVAL_PAUSE: Duration = Duration::from_millis(5);
/// Longest header of a request, and the most that is kept of an answer to be sent.
const BUFFER: usize = 64 << 10;

/// What all connections are served by.
#[derive(Clone)]
pub struct Server {
    /// What is answered.
    pub routes: Router,
    /// What the listener proves itself with; without it, connections are not encrypted.
    pub certificate: Option<Certificate>,
    /// Where connections that were broken off are counted.
    pub own: SelfMetrics,
}

impl Server {
    /// Serves on `listener` until `stop` resolves, and a little longer for those being served.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let places = Places::default();
        let (stopping, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = arrival(&listener, &places) => {
                    let (stream, seat) = accepted?;
                    connections.spawn(self.clone().connection(stream, seat, stopped.clone()));
                }
            }
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        // There may be none left who hears it.
        let _ = stopping.send(true);
        let finished = async { while connections.join_next().await.is_some() {} };
        // Event streams never end by themselves.
        let _ = timeout(FAREWELL, finished).await;
        Ok(())
    }

    async fn connection(self, stream: TcpStream, seat: Arc<Seat>, stopped: watch::Receiver<bool>) {
        let own = self.own.clone();
        let connection = Connection::new(stream, Arc::clone(&seat));
        tokio::select! {
            biased;
            () = seat.wanted() => own.count_turned_away(TurnedAway::GaveWay),
            served = self.shake_and_speak(connection, &seat, stopped) => {
                let Err(error) = served else { return };
                tracing::debug!(%error, "a connection broke off");
                if error.is_late() {
                    own.count_turned_away(TurnedAway::Late);
                }
            }
        }
    }

    async fn shake_and_speak(
        self,
        connection: Connection,
        seat: &Arc<Seat>,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), ConnectionError> {
        let Some(certificate) = self.certificate else {
            return speak(connection, seat, self.routes, stopped).await;
        };
        let shaken = timeout(HANDSHAKE_TIMEOUT, certificate.acceptor().accept(connection)).await;
        let late = |_| ConnectionError::Handshake(io::ErrorKind::TimedOut.into());
        let stream = shaken.map_err(late)?.map_err(ConnectionError::Handshake)?;
        speak(stream, seat, self.routes, stopped).await
    }
}

/// Serves the client `peer` over one stream that is there already.
pub async fn serve_one<S>(stream: S, peer: IpAddr, routes: Router) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    // The only one there is has a place.
    let Ok(seat) = Places::default().arrive(peer) else {
        return Ok(());
    };
    let (_stopping, stopped) = watch::channel(false);
    speak(stream, &seat, routes, stopped).await
}

/// Why a connection broke off.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The client shook no hands.
    #[error("no TLS handshake: {0}")]
    Handshake(#[source] io::Error),
    /// It spoke no HTTP, or hung up.
    #[error("no HTTP: {0}")]
    Http(#[from] hyper::Error),
}

impl ConnectionError {
    /// Whether the client took too long.
    fn is_late(&self) -> bool {
        let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        match self {
            Self::Handshake(error) => timed_out(error),
            Self::Http(error) => {
                let source = std::error::Error::source(error);
                let source = source.and_then(|source| source.downcast_ref::<io::Error>());
                error.is_timeout() || source.is_some_and(timed_out)
            }
        }
    }
}

/// The next connection, with a place. While there is none, those that come wait in the kernel.
async fn arrival(listener: &TcpListener, places: &Places) -> io::Result<(TcpStream, Arc<Seat>)> {
    let (stream, peer) = accept(listener).await?;
    loop {
        match places.arrive(peer) {
            Ok(seat) => return Ok((stream, seat)),
            Err(Full) => sleep(ARRIVAL_PAUSE).await,
        }
    }
}

async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, IpAddr)> {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Ok((stream, peer.ip())),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            // The connection is gone again.
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying on");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Answers one request after another.
async fn speak<S>(
    stream: S,
    seat: &Arc<Seat>,
    routes: Router,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(seat));
        hyper::service::Service::call(&routes, request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => return Ok(served?),
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}
