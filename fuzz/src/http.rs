//! The daemon's HTTP side: the input is what a client sends over one connection, after one byte that says how the
//! daemon was started.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    runtime::{Builder, Runtime},
    time::timeout,
};
use tracer_user::{
    daemon::{
        health::Health,
        process_metrics::ProcessMetrics,
        process_table::{
            Findings, GrowthRates, LevelChanges, Mode, ProcessEntry, ProcessSummary, ProcessTable,
        },
        self_metrics::SelfMetrics,
    },
    document::Document,
    export::{
        http::{Access, Hosts, Service, Token},
        metrics::Metrics,
        on_demand::OnDemand,
        view::View,
    },
    inspect::Inspection,
};

use crate::{moment::base, temporary::Temporary};

/// In the first byte of an input: a token is asked for.
const WITH_TOKEN: u8 = 1;
/// In the first byte: it listens beyond the loopback address.
const BEYOND_LOOPBACK: u8 = 2;
/// The token.
const TOKEN: &[u8] = b"0123456789abcdef\n";
/// How long nothing has to come before the client takes it that nothing will.
const SILENCE: Duration = Duration::from_millis(10);
/// After so long an answer is overdue whatever was asked.
const OVERDUE: Duration = Duration::from_secs(20);
/// Bytes under way in each direction.
const BUFFER: usize = 64 << 10;

/// What is served, made once.
struct Served {
    look: Inspection,
    board: Arc<ProcessTable>,
    on_demand: Arc<OnDemand>,
    token: Token,
    runtime: Runtime,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let served = served();
    served.unwrap_or_else(|error| panic!("nothing can be served: {error:#}"))
});

fn served() -> anyhow::Result<Served> {
    let look = base().look.clone();
    let on_demand = Arc::new(OnDemand::default());
    let board = Arc::new(ProcessTable::with_viewers(Arc::clone(&on_demand) as _));
    board.show(look.process.key, entry(&look));
    let file = Temporary::new(&[TOKEN])?;
    Ok(Served {
        token: Token::read(&file.path())?,
        runtime: Builder::new_current_thread().enable_all().build()?,
        look,
        board,
        on_demand,
    })
}

fn entry(look: &Inspection) -> ProcessEntry {
    let process = Document::new(look).process;
    let (snapshot, findings) = (&look.diagnosis.snapshot, &look.diagnosis.findings);
    ProcessEntry {
        listed: ProcessSummary {
            goroutines_total: process.goroutines,
            threads_total: process.threads,
            process,
            findings: Findings::default(),
            mode: Mode::Events,
            cost_ratio: Some(0.001),
            growth_per_minute: Some(0.0),
            last_look_seconds_ago: None,
        },
        figures: ProcessMetrics::new(snapshot, findings, 1_000_000_000),
        rates: GrowthRates::default(),
        detector_armed: Some(false),
        waits: [].into(),
        over_budget: false,
        switches: LevelChanges::default(),
        looked_at: Some(SystemTime::UNIX_EPOCH),
        found_at: SystemTime::UNIX_EPOCH,
    }
}

/// Has a client send `input`.
pub(crate) fn run(input: &[u8]) {
    let served = &*SERVED;
    let Some((how, sent)) = input.split_first() else {
        return;
    };
    let key = served.look.process.key;
    // Whoever asks gets what there is at once.
    let _ = served.on_demand.views.watch(key, false);
    let view = View::new(&served.look, Duration::ZERO);
    served.on_demand.views.keep(key, Arc::new(view));
    let host = if how & BEYOND_LOOPBACK == 0 {
        Ipv4Addr::LOCALHOST
    } else {
        Ipv4Addr::new(10, 0, 0, 1)
    };
    let own = SelfMetrics::default();
    let service = Service {
        board: Arc::clone(&served.board),
        on_demand: Arc::clone(&served.on_demand),
        metrics: Metrics::new(Arc::clone(&served.board), &own),
        health: Arc::new(Health::default()),
        access: Access::new((how & WITH_TOKEN != 0).then(|| served.token.clone())),
        hosts: Hosts::new(SocketAddr::from((host, 9102)), vec!["node-7".to_owned()]),
        certificate: None,
        own,
    };
    served.runtime.block_on(async {
        let (client, server) = duplex(BUFFER);
        let serving = service.serve_one(server, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let talk = async { tokio::join!(serving, talk(client, sent), hand_over(served)) };
        let done = timeout(OVERDUE, talk).await;
        assert!(done.is_ok(), "no end after {OVERDUE:?}");
    });
}

/// Sends `bytes`, reads whatever comes, and hangs up when nothing comes any more.
async fn talk(client: DuplexStream, bytes: &[u8]) {
    let (mut answers, mut requests) = tokio::io::split(client);
    let reading = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(Ok(1..)) = timeout(SILENCE, answers.read(&mut buffer)).await {}
    };
    // A server that hangs up first need not take all of it.
    let sending = async { requests.write_all(bytes).await.ok() };
    let _ = tokio::join!(reading, timeout(SILENCE, sending));
}

/// Hands over a look, as the tracing side would, if a document is asked for.
async fn hand_over(served: &Served) {
    for _ in 0..4 {
        tokio::task::yield_now().await;
        if let Some(key) = served.on_demand.documents.take_wanted() {
            let look = served.look.clone();
            served
                .on_demand
                .documents
                .hand_over(key, look, Duration::ZERO);
        }
    }
}

/// Requests for everything there is.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let pid = SERVED.look.process.pid();
    let paths = [
        "/",
        "/app.js",
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/v1/processes",
        "/api/v1/events",
        "/api/v1/processes/PID",
        "/api/v1/processes/PID?format=pprof",
        "/api/v1/processes/PID?format=text",
        "/api/v1/processes/PID?view=groups&fresh=true",
        "/api/v1/processes/PID?group=0&offset=1&limit=2",
        "/api/v1/processes/PID?goroutines=1,17,%31%38",
        "/nothing",
    ];
    let headers = "Host: localhost:9102\r\nAccept-Encoding: br, gzip;q=0.5\r\n";
    let authorised = "Authorization: Bearer 0123456789abcdef\r\nSec-Fetch-Site: same-origin\r\n";
    let request = |path: &str| {
        let path = path.replace("PID", &pid.to_string());
        let close = "Connection: close\r\n";
        format!("GET {path} HTTP/1.1\r\n{headers}{authorised}{close}\r\n")
    };
    let with = |how: u8, text: &str| [&[how][..], text.as_bytes()].concat();
    let each = paths.iter().enumerate();
    let each = each.map(|(how, path)| with((how % 4) as u8, &request(path)));
    let body = "POST / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let two = format!(
        "GET /healthz HTTP/1.1\r\n{headers}\r\n{}",
        request("/metrics")
    );
    let open = "GET /metrics HTTP/1.0\r\nHost: node-7\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    each.chain([with(0, body), with(0, &two), with(2, open)])
        .collect()
}
