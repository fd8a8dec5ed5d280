//! `gostuck run`: the daemon.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use clap::Args;
use tokio::net::TcpListener;

use super::{
    Failure,
    ending::{self, Ending},
    heap_walk_options,
    percent::share,
};
use crate::{
    daemon::{
        health::Health,
        kubernetes::{Pods, follow},
        privileges::keep_only_needed,
        probe_manager::{ProbeManager, Settings},
        process_table::ProcessTable,
        self_metrics::SelfMetrics,
        service_manager::ServiceManager,
        supervisor::{self, Selection, Shared, Supervisor},
        watchdog::{Watchdog, keep_within},
    },
    export::{
        http::{Access, Certificate, Hosts, Service, Token},
        metrics::Metrics,
        on_demand::OnDemand,
    },
    finding::{self},
    inspect::Inspector,
};
use process::{ImageLimits, own_memory_limit};
use resources::descriptors;

const AFTER_HELP: &str = "\
Examples:
  sudo gostuck run                              metrics at http://127.0.0.1:9102/metrics
  sudo gostuck run --listen 0.0.0.0:9102 --allow-remote --token-file /etc/gostuck/token
  sudo gostuck run --command shop --command cart
  sudo gostuck run --namespace shop --label app=cart    (where $NODE_NAME is set)

Serves /metrics, /healthz, /readyz, the web page at /, and the JSON API: /api/v1/processes,
/api/v1/processes/PID, /api/v1/events (docs/json.md, docs/metrics.md). The API shows stacks:
function names, files and addresses of every traced program.

SIGTERM and SIGINT end it cleanly, a second one at once.";

/// Where the daemon listens when it is not told to listen elsewhere.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9102);

/// Options of `gostuck run`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value_t = LISTEN)]
    listen: SocketAddr,
    /// Allow to listen beyond this machine
    #[arg(long)]
    allow_remote: bool,
    /// Answer also to requests that name this host, as a scrape of http://NAME:9102/metrics does. On a
    /// loopback address only localhost and addresses are answered otherwise. Can be given several times
    #[arg(long = "allow-host", value_name = "NAME")]
    allow_hosts: Vec<String>,
    /// File with the bearer token that the API asks for (its first line, 16 bytes at least);
    /// /metrics, /healthz, /readyz and the page's own files need none
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the certificate chain (PEM): serve by TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// File with the certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Name of this Kubernetes node, whose pods the API server is asked for; $NODE_NAME says it too
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// CPU budget as a share of one CPU: for the probes of each process, and for all inspections together
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share)]
    budget: f64,
    /// Report a wait as suspected once it has lasted this long, where nothing proves a deadlock
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    stuck_after: Duration,
    /// Over which time growth is judged
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    growth_window: Duration,
    /// How often to look at a process, where the budget allows
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Place no probes: look at intervals only
    #[arg(long)]
    no_probes: bool,
    /// Never walk a heap for goroutines that nobody can wake any more
    #[arg(long)]
    no_reach: bool,
    #[command(flatten)]
    selection: Selection,
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// [`Failure`] when the listener cannot be opened or the token not be read.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    if !options.listen.ip().is_loopback() && !options.allow_remote {
        return Err(Failure::with_next_step(
            anyhow::anyhow!("{} can be reached from other machines", options.listen),
            "add --allow-remote, and --token-file: the API shows the stacks of every program",
        ));
    }
    let token = options.token_file.as_deref().map(token).transpose()?;
    let certificate = certificate(options)?;
    let access = Access::new(token);
    descriptors::raise_limit_or_say();
    if let Err(error) = keep_only_needed(options.listen.port()) {
        tracing::warn!(%error, "cannot give up privileges that tracing does not take");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(daemon(options, access, certificate));
    // What is read of files for Kubernetes and of names is not waited for.
    runtime.shutdown_background();
    outcome
}

/// The token that the daemon asks for and its clients offer.
///
/// # Errors
/// [`Failure`] when it cannot be read or is too short.
pub fn token(path: &Path) -> Result<Token, Failure> {
    Token::read(path).map_err(|error| {
        Failure::with_next_step(
            anyhow::anyhow!("cannot use {}: {error}", path.display()),
            "write a random token there, for example: openssl rand -hex 32",
        )
    })
}

fn certificate(options: &Options) -> Result<Option<Certificate>, Failure> {
    let (Some(certificate), Some(key)) = (&options.tls_cert, &options.tls_key) else {
        return Ok(None);
    };
    let read = Certificate::read(certificate, key);
    read.map(Some).map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        Failure::with_next_step(
            anyhow::Error::from(error).context(format!("cannot use {certificate} with {key}")),
            "both are PEM files, and the key is the certificate's own",
        )
    })
}

async fn daemon(
    options: &Options,
    access: Access,
    certificate: Option<Certificate>,
) -> Result<ExitCode, Failure> {
    // Before anything slow: a signal that comes early must not be lost.
    let mut ending = Ending::watch(None)?;
    let listener = TcpListener::bind(options.listen).await.map_err(|error| {
        Failure::with_next_step(
            anyhow::anyhow!("cannot listen on {}: {error}", options.listen),
            "choose another --listen ADDR:PORT, or end whoever uses it",
        )
    })?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let pods = Arc::new(Pods::of_node(node(options)));
    let naming = Arc::clone(&pods);
    tokio::spawn(async move { follow(&naming).await });
    let memory = own_memory_limit();
    let inspector = Inspector::new(finding::Options {
        stuck_after: options.stuck_after,
        reach: heap_walk_options::of_many(options.no_reach),
        budget: heap_walk_options::budget_of_daemon(),
        images: ImageLimits::of_daemon(memory),
        ..finding::Options::default()
    });
    let on_demand = Arc::new(OnDemand::default());
    let shared = Shared {
        pods,
        inspector: Arc::new(inspector.until(ending.cancellation())),
        board: Arc::new(ProcessTable::with_viewers(Arc::clone(&on_demand) as _)),
        own: SelfMetrics::default(),
        health: Arc::new(Health::default()),
        stop: ending.cancellation(),
        attendance: Watchdog::default(),
    };
    if let Some(limit) = memory {
        keep_within(limit, shared.attendance.clone(), ending.cancellation())?;
    }
    let service = Service {
        board: Arc::clone(&shared.board),
        on_demand,
        metrics: Metrics::new(Arc::clone(&shared.board), &shared.own),
        health: Arc::clone(&shared.health),
        access,
        hosts: Hosts::new(options.listen, options.allow_hosts.clone()),
        certificate,
        own: shared.own.clone(),
    };
    let probing = ProbeManager::start(
        Settings {
            wanted: !options.no_probes,
            budget: options.budget,
        },
        shared.own.clone(),
    );
    let supervisor = Supervisor::new(
        shared.clone(),
        probing,
        supervisor::Options {
            interval: options.interval,
            stuck_after: options.stuck_after,
            growth_window: options.growth_window,
            budget: options.budget,
            selection: options.selection.clone(),
        },
    )?;
    let manager = ServiceManager::of_environment();
    let health = Arc::clone(&shared.health);
    let tracing_side = thread::Builder::new()
        .name("gostuck-fleet".to_owned())
        .spawn(|| supervisor.run())?;
    if let Some(manager) = &manager {
        manager.ready();
    }
    let alive = async {
        match &manager {
            Some(manager) => manager.watch(health).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        served = service.serve(listener, async move { ending.asked().await }) => served?,
        () = alive => {}
    }
    if let Some(manager) = &manager {
        manager.stopping();
    }
    // If that takes too long, the kernel takes the probes off.
    ending::join(tracing_side)?;
    tracing::info!("ended");
    Ok(ExitCode::SUCCESS)
}

fn node(options: &Options) -> Option<String> {
    let by_variable = || std::env::var("NODE_NAME").ok();
    let node = options.node.clone().or_else(by_variable);
    node.filter(|name| !name.is_empty())
}
