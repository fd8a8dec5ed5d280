//! The server over real connections.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::sleep,
};

use super::{Access, Hosts, Service};
use crate::{
    daemon::{
        health::Health,
        process_table::{self, ProcessTable},
        self_metrics::SelfMetrics,
    },
    document::example,
    export::{metrics::Metrics, on_demand::OnDemand, view::View},
};
use ids::Pid;
use process::ProcessKey;

struct Server {
    address: SocketAddr,
    board: Arc<ProcessTable>,
    on_demand: Arc<OnDemand>,
    _stop: oneshot::Sender<()>,
}

async fn start(access: Access) -> Server {
    let on_demand = Arc::new(OnDemand::default());
    let board = Arc::new(ProcessTable::with_viewers(Arc::clone(&on_demand) as _));
    let (key, entry) = process_table::example::entry();
    board.show(key, entry);
    // As if it had been looked at while somebody watched.
    assert!(on_demand.views.watch(key, false).1);
    let view = View::of(example::overview(), Duration::ZERO);
    on_demand.views.keep(key, Arc::new(view));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = oneshot::channel::<()>();
    let service = Service {
        board: Arc::clone(&board),
        on_demand: Arc::clone(&on_demand),
        metrics: Metrics::new(Arc::clone(&board), &SelfMetrics::default()),
        health: Arc::new(Health::default()),
        access,
        hosts: Hosts::new(address, Vec::new()),
        certificate: None,
        own: SelfMetrics::default(),
    };
    tokio::spawn(answer_documents(Arc::clone(&on_demand)));
    tokio::spawn(service.serve(listener, async {
        let _ = stopping.await;
    }));
    Server {
        address,
        board,
        on_demand,
        _stop: stop,
    }
}

/// Has the example for whoever asks for a document, as the supervisor would.
async fn answer_documents(on_demand: Arc<OnDemand>) {
    loop {
        let wanted = on_demand.documents.take_wanted();
        if let Some(key) = wanted.filter(|key| key.pid == Pid(4711)) {
            let document = example::document();
            on_demand
                .documents
                .answer_with(key, &document, Duration::ZERO);
        }
        sleep(Duration::from_millis(10)).await;
    }
}

impl Server {
    async fn request(&self, path: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// The whole answer, status line and headers included.
    async fn get(&self, path: &str, headers: &str) -> String {
        let mut answer = Vec::new();
        let mut stream = self.request(path, headers).await;
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

const HOST: &str = "Host: localhost\r\n";

#[tokio::test]
async fn the_last_look_is_served_in_groups_with_its_age() {
    let server = start(Access::Open).await;
    let path = "/api/v1/processes/4711";
    let overview = server.get(&format!("{path}?view=groups"), HOST).await;
    assert!(overview.starts_with("HTTP/1.1 200"), "{overview}");
    assert!(overview.contains("age: 0\r\n"), "{overview}");
    assert!(overview.contains(r#""groups_total":2"#), "{overview}");
    assert!(!overview.contains("content-encoding"), "{overview}");
    let gzip = format!("{HOST}Accept-Encoding: gzip\r\n");
    let short = server.get(&format!("{path}?view=groups"), &gzip).await;
    assert!(short.contains("content-encoding: gzip\r\n"));
    let page = server.get(&format!("{path}?group=0&limit=2"), HOST).await;
    assert!(page.contains(r#""total":3,"offset":0"#), "{page}");
    let named = server.get(&format!("{path}?goroutines=18,19"), HOST).await;
    assert!(named.contains(r#""total":2"#), "{named}");
    let none = server.get(&format!("{path}?group=7"), HOST).await;
    assert!(none.starts_with("HTTP/1.1 404"), "{none}");
    let gone = server.get("/api/v1/processes/1?view=groups", HOST).await;
    assert!(gone.starts_with("HTTP/1.1 404"), "{gone}");
    let other = server.get(&format!("{path}?view=cubes"), HOST).await;
    assert!(other.starts_with("HTTP/1.1 400"), "{other}");
}

#[tokio::test]
async fn the_list_and_a_document_are_served() {
    let server = start(Access::Open).await;
    let list = server.get("/api/v1/processes", HOST).await;
    assert!(list.starts_with("HTTP/1.1 200"), "{list}");
    assert!(list.contains(r#""schema":"gostuck/1""#), "{list}");
    assert!(list.contains(r#""key":"4711-100""#), "{list}");
    assert!(list.contains(r#""mode":"events""#), "{list}");
    let document = server.get("/api/v1/processes/4711", HOST).await;
    assert!(document.contains(r#""kind":"lock-cycle""#), "{document}");
    let dot = server.get("/api/v1/processes/4711?format=dot", HOST).await;
    assert!(dot.contains("digraph gostuck"), "{dot}");
    let missing = server.get("/api/v1/processes/1", HOST).await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    let bad = server.get("/api/v1/processes/..%2f1", HOST).await;
    assert!(bad.starts_with("HTTP/1.1 400"), "{bad}");
}

#[tokio::test]
async fn the_api_wants_the_token_and_the_rest_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "correct horse battery\n").unwrap();
    let server = start(Access::Token(super::Token::read(&file).unwrap())).await;
    for path in [
        "/api/v1/processes",
        "/api/v1/processes/4711",
        "/api/v1/events",
    ] {
        let answer = server.get(path, HOST).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let token = format!("{HOST}Authorization: {scheme} correct horse battery\r\n");
        let answer = server.get("/api/v1/processes", &token).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    for path in ["/", "/app.js", "/app.css", "/metrics", "/healthz"] {
        let answer = server.get(path, HOST).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn readiness_and_the_content_policy_are_told() {
    let server = start(Access::Open).await;
    assert!(
        server
            .get("/readyz", HOST)
            .await
            .starts_with("HTTP/1.1 503")
    );
    let page = server.get("/", HOST).await;
    assert!(
        page.contains("content-security-policy: default-src 'none'"),
        "{page}"
    );
    let metrics = "Host: [::1]:9102\r\nAccept: application/openmetrics-text\r\n";
    let metrics = server.get("/metrics", metrics).await;
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
}

#[tokio::test]
async fn other_hosts_and_pages_of_others_get_nothing_and_all_answers_are_closed_to_them() {
    let server = start(Access::Open).await;
    for path in ["/", "/metrics", "/healthz", "/readyz", "/api/v1/processes"] {
        for (headers, status) in [
            (HOST, ""),
            ("Host: evil.example\r\n", "403"),
            ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", "403"),
            ("Host: localhost\r\nSec-Fetch-Site: same-origin\r\n", ""),
        ] {
            let answer = server.get(path, headers).await;
            let refused = answer.starts_with("HTTP/1.1 403");
            assert_eq!(refused, status == "403", "{path} {headers}: {answer}");
            assert!(
                answer.contains("x-content-type-options: nosniff\r\n"),
                "{answer}"
            );
            let policy = "cross-origin-resource-policy: same-origin\r\n";
            assert!(answer.contains(policy), "{answer}");
        }
    }
    let missing = server.get("/nothing", HOST).await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    assert!(missing.contains("nosniff"), "{missing}");
}

#[tokio::test]
async fn a_document_is_compressed_for_those_who_take_that() {
    let server = start(Access::Open).await;
    let headers = format!("{HOST}Accept-Encoding: gzip\r\n");
    let answer = server.get("/api/v1/processes/4711", &headers).await;
    assert!(answer.contains("content-encoding: gzip\r\n"), "{answer}");
    assert!(answer.contains("age: 0\r\n"), "{answer}");
    let profile = server
        .get("/api/v1/processes/4711?format=pprof", &headers)
        .await;
    assert!(profile.starts_with("HTTP/1.1 200"), "{profile}");
    assert!(!profile.contains("content-encoding"), "{profile}");
}

#[tokio::test]
async fn who_goes_away_is_not_waited_for() {
    let server = start(Access::Open).await;
    let (key, entry) = process_table::example::entry();
    // Nobody looks at this one.
    let key = ProcessKey { pid: Pid(7), ..key };
    server.board.show(key, entry);
    let documents = &server.on_demand.documents;
    let client = server.request("/api/v1/processes/7", HOST).await;
    while !documents.is_awaited(key) {
        sleep(Duration::from_millis(10)).await;
    }
    drop(client);
    while documents.is_awaited(key) {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn changes_of_the_list_are_streamed() {
    let server = start(Access::Open).await;
    let mut stream = server.request("/api/v1/events", HOST).await;
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("event: processes") || !seen.contains("4711-100") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the stream ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    let (key, _) = process_table::example::entry();
    server.board.remove(key);
    while !seen.contains(r#""processes":[]"#) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the stream ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}
