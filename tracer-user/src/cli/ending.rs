//! How commands end: by SIGINT, SIGTERM or at their time, whatever they are at. A second signal ends
//! them at once.

use std::{
    future, io, process,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::sleep,
};

use super::Failure;
use resources::{
    cancellation::{Cancellation, Lifeline},
    scheduling::all_as_usual,
};

/// What shells add to the number of a signal that ended a command.
const BY_SIGNAL: i32 = 128;
/// How often it is seen whether a process has ended.
const STEP: Duration = Duration::from_millis(50);
/// How long what is under way may take to end by itself; after that it is left behind.
const GRACE: Duration = Duration::from_millis(100);
/// Likewise where probes are taken off: as long as a thread waits in the kernel for a process that does
/// not answer, the kernel does not do it for us.
const TAKING_OFF: Duration = Duration::from_millis(700);

/// Tells when the command is to end.
#[derive(Debug, Clone)]
pub struct Ending {
    cancellation: Cancellation,
    told: watch::Receiver<bool>,
}

impl Ending {
    /// From now on signals, and the end of `limit`, ask the command to end.
    ///
    /// # Errors
    /// When there can be no thread that waits for them.
    pub fn watch(limit: Option<Duration>) -> io::Result<Self> {
        let (tell, told) = watch::channel(false);
        let cancellation = Cancellation::default();
        let ending = Self {
            cancellation: cancellation.clone(),
            told,
        };
        let (ready, outcome) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("gostuck-signals".to_owned())
            .spawn(move || {
                let runtime = match Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                runtime.block_on(async {
                    let mut signals = match Signals::new() {
                        Ok(signals) => signals,
                        Err(error) => return drop(ready.send(Err(error))),
                    };
                    let _ = ready.send(Ok(()));
                    tokio::select! {
                        _ = signals.next() => {}
                        () = after(limit) => {}
                    }
                    cancellation.request();
                    let _ = tell.send(true);
                    let signal = signals.next().await;
                    process::exit(BY_SIGNAL + signal.as_raw_value());
                });
            })?;
        let broke_off = |_| io::Error::other("the thread that waits for signals ended");
        outcome.recv().map_err(broke_off)??;
        Ok(ending)
    }

    /// What ends looks when the command is to end.
    pub fn cancellation(&self) -> Cancellation {
        self.cancellation.clone()
    }

    /// Resolves when what is under way has had its time to end by itself.
    pub async fn overdue(&mut self) {
        self.asked().await;
        sleep(GRACE).await;
    }

    /// Whether the command is to end.
    pub fn is_asked(&self) -> bool {
        self.cancellation.is_requested()
    }

    /// Resolves when the command is to end.
    pub async fn asked(&mut self) {
        if self.told.wait_for(|told| *told).await.is_err() {
            // The thread tells before it ends.
            future::pending::<()>().await;
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }
}

async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => future::pending().await,
    }
}

/// Waits for a thread of a command that is to end, unless that takes too long.
///
/// # Errors
/// When the thread broke off.
pub fn join(thread: JoinHandle<()>) -> Result<(), Failure> {
    all_as_usual();
    let end = Instant::now() + TAKING_OFF;
    while !thread.is_finished() {
        if end <= Instant::now() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(1));
    }
    let broke_off =
        |_| anyhow::anyhow!("the supervisor ended: a fault in gostuck, please report it");
    Ok(thread.join().map_err(broke_off)?)
}

/// Resolves when the process has ended; never where the kernel does not tell.
pub async fn ended(process: Option<&Lifeline>) {
    let Some(process) = process else {
        return future::pending().await;
    };
    while !process.has_ended() {
        sleep(STEP).await;
    }
}
