//! A thousand connections that are of no use to anybody, and those who need an answer meanwhile.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    http, json,
    process::Process,
    wait::for_some,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    time::timeout,
};

use crate::{GOSTUCK, trial};

/// How many hostile connections there are.
const HOSTILE: usize = 1_000;
/// For how long they go on.
const SIEGE: Duration = Duration::from_secs(40);
/// A bound that a loaded machine keeps, and a scraper's patience is above.
const IN_TIME: Duration = Duration::from_secs(5);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "listener: a thousand hostile connections keep no scrape and no probe waiting",
            a_thousand_hostile_connections_keep_nobody_waiting,
        ),
        trial(
            "listener: clients that do not read their documents hold up no others",
            slow_readers_hold_up_no_others,
        ),
        trial(
            "listener: a name is answered that --allow-host gives",
            a_name_is_answered_that_is_allowed,
        ),
    ]
}

/// What a hostile connection does.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Sends a header, a byte now and then.
    Header,
    /// Asks whether the daemon works, again and again.
    KeepAlive,
    /// Asks for events and never reads any.
    Stream,
    /// Announces a body and never sends it.
    Body,
    /// Asks for the metrics and never reads them.
    Scrape,
}

const KINDS: [Kind; 5] = [
    Kind::Header,
    Kind::KeepAlive,
    Kind::Stream,
    Kind::Body,
    Kind::Scrape,
];

const ENDLESS_HEADER: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";

/// One hostile connection, made again whenever it is cut.
struct Hostile {
    kind: Kind,
    stream: Option<TcpStream>,
    step: usize,
}

impl Hostile {
    /// Does the next thing. Whether the connection was cut by now.
    fn go_on(&mut self, address: SocketAddr) -> bool {
        let fresh = self.stream.is_none();
        if fresh {
            let connected = TcpStream::connect_timeout(&address, Duration::from_millis(200));
            let Ok(stream) = connected else { return false };
            if stream.set_nonblocking(true).is_err() {
                return false;
            }
            (self.stream, self.step) = (Some(stream), 0);
        }
        let Some(stream) = &mut self.stream else {
            return false;
        };
        let host = "HTTP/1.1\r\nHost: localhost\r\n";
        let sent = match (self.kind, fresh) {
            (Kind::Header, _) => {
                let byte = ENDLESS_HEADER.get(self.step).copied().unwrap_or(b'x');
                stream.write(&[byte]).map(|_| ())
            }
            (Kind::KeepAlive, _) => {
                let read = read_what_is_there(stream);
                read.and_then(|()| write!(stream, "GET /healthz {host}\r\n"))
            }
            (Kind::Stream, true) => write!(stream, "GET /api/v1/events {host}\r\n"),
            (Kind::Body, true) => {
                write!(
                    stream,
                    "POST /metrics {host}Content-Length: 1000000\r\n\r\n"
                )
            }
            (Kind::Scrape, true) => write!(stream, "GET /metrics {host}\r\n"),
            // Whether it was cut shows when it sends.
            (Kind::Stream | Kind::Body | Kind::Scrape, false) => stream.write(b"x").map(|_| ()),
        };
        self.step += 1;
        let cut = sent.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock);
        if cut {
            self.stream = None;
        }
        cut
    }
}

/// Reads what has come by now; an error when the other side is gone.
fn read_what_is_there(stream: &mut TcpStream) -> io::Result<()> {
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// All hostile connections, on a thread of their own until dropped.
struct Siege {
    over: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    cut: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Siege {
    fn lay(address: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (open, cut) = (Arc::default(), Arc::default());
        let (until, opened, cuts) = (Arc::clone(&over), Arc::clone(&open), Arc::clone(&cut));
        let thread = thread::spawn(move || {
            let mut hostile: Vec<Hostile> = (0..HOSTILE)
                .map(|number| Hostile {
                    kind: KINDS[number % KINDS.len()],
                    stream: None,
                    step: 0,
                })
                .collect();
            while !until.load(Ordering::Relaxed) {
                for one in &mut hostile {
                    let cut = usize::from(one.go_on(address));
                    AtomicUsize::fetch_add(&cuts, cut, Ordering::Relaxed);
                }
                let open = hostile.iter().filter(|one| one.stream.is_some()).count();
                AtomicUsize::store(&opened, open, Ordering::Relaxed);
                thread::sleep(Duration::from_secs(1));
            }
        });
        Self {
            over,
            open,
            cut,
            thread: Some(thread),
        }
    }
}

impl Drop for Siege {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Has room for the files of this test.
fn raise_file_limit() -> Result {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|error| error.to_string())
}

fn a_thousand_hostile_connections_keep_nobody_waiting() -> Result {
    raise_file_limit()?;
    let daemon = Daemon::run(
        GOSTUCK,
        &["--no-probes", "--command", "nobody-has-this-name"],
    )?;
    let address = SocketAddr::from(([127, 0, 0, 1], daemon.port()));
    let siege = Siege::lay(address);
    for_some("the hostile connections", || {
        let open = siege.open.load(Ordering::Relaxed);
        Ok((open > HOSTILE / 2).then_some(()))
    })?;
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut answers = 0;
    while begun.elapsed() < SIEGE {
        for path in ["/healthz", "/metrics", "/readyz", "/api/v1/processes", "/"] {
            let asked = Instant::now();
            let answer = daemon.get(path);
            let took = asked.elapsed();
            slowest = slowest.max(took);
            answers += 1;
            if answer.is_none() || took > IN_TIME {
                return Err(format!(
                    "{path}: {answer:?} after {took:?}, answer {answers}"
                ));
            }
        }
        thread::sleep(Duration::from_millis(300));
    }
    let cut = siege.cut.load(Ordering::Relaxed);
    println!("{answers} answers, the slowest after {slowest:?}; {cut} connections were cut");
    assert!(cut > 0, "nobody was cut");
    // Whoever comes from elsewhere gets its share of the event streams, too.
    first_event(address, [127, 0, 0, 2].into())?;
    let metrics = daemon.get("/metrics").ok_or("no metrics")?;
    assert!(
        metrics.contains("gostuck_http_turned_away_total{reason=\"gave-way\"}"),
        "{metrics}"
    );
    let files = fs::read_dir(format!("/proc/{}/fd", daemon.pid()));
    let files = files.map_err(|error| error.to_string())?.count();
    assert!(files < 450, "{files} files are open");
    drop(siege);
    Ok(())
}

/// Asks for events from the address `from`, and waits for the first one.
fn first_event(address: SocketAddr, from: IpAddr) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let asked = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let mut stream = socket.connect(address).await?;
        let request = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("event: processes") {
            if stream.read_buf(&mut seen).await? == 0 {
                return Err(io::Error::other(
                    String::from_utf8_lossy(&seen).into_owned(),
                ));
            }
        }
        Ok(())
    };
    let answer = runtime.block_on(async { timeout(IN_TIME, asked).await });
    let answer = answer.map_err(|_| "no event in time".to_owned())?;
    answer.map_err(|error| format!("no event: {error}"))
}

fn slow_readers_hold_up_no_others() -> Result {
    let target = Process::run(&newest("leak-many", Flavour::Plain)?)?;
    let daemon = Daemon::run(GOSTUCK, &["--no-probes"])?;
    daemon.listed(target.pid())?;
    let path = format!("/api/v1/processes/{}", target.pid());
    let address = format!("127.0.0.1:{}", daemon.port());
    let mut slow = Vec::new();
    for _ in 0..8 {
        let stream = TcpStream::connect(&address).map_err(|error| error.to_string())?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (&stream)
            .write_all(request.as_bytes())
            .map_err(|error| error.to_string())?;
        slow.push(stream);
    }
    for format in ["json", "text", "folded", "json"] {
        let body = for_some("a document", || {
            Ok(http::get(&address, &format!("{path}?format={format}")))
        })?;
        if format == "json" {
            let document = json(&body)?;
            assert_eq!(document["process"]["pid"], target.pid());
        }
        assert!(!body.is_empty(), "{format}");
    }
    drop(slow);
    Ok(())
}

fn a_name_is_answered_that_is_allowed() -> Result {
    let options = [
        "--no-probes",
        "--command",
        "nobody-has-this-name",
        "--allow-host",
        "node-7.example",
    ];
    let daemon = Daemon::run(GOSTUCK, &options)?;
    let status = |host: &str, path: &str| -> Result<String> {
        let address = ("127.0.0.1", daemon.port());
        let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .map_err(|error| error.to_string())?;
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        read.map_err(|error| error.to_string())?;
        Ok(answer.lines().next().unwrap_or_default().to_owned())
    };
    for path in ["/metrics", "/healthz", "/api/v1/processes"] {
        assert!(
            status("node-7.example:9102", path)?.contains("200"),
            "{path}"
        );
        assert!(status("127.0.0.1", path)?.contains("200"), "{path}");
        assert!(status("evil.example", path)?.contains("403"), "{path}");
    }
    Ok(())
}
