//! Programs that run as long as a test, and how to ask them.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// How long to wait for what has to come: long, since the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A program that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program; what it says on standard error goes to the file `log`.
pub fn start(program: &str, arguments: &[String], log: Option<&Path>) -> Running {
    let log = log.map_or_else(Stdio::null, |path| {
        File::create(path).expect("a log file").into()
    });
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", program])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    Running(child.unwrap_or_else(|error| panic!("cannot start {program}: {error}")))
}

/// A port that nobody listens on, and that no other test was given.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().expect("no test panics in here");
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        if given.insert(port) {
            return port;
        }
    }
}

/// Starts a server on a free port, on another one when it ends at once: some connection may have
/// taken the port meanwhile. `arguments` are made for the port.
pub fn start_server(
    program: &str,
    arguments: impl Fn(u16) -> Vec<String>,
    log: Option<&Path>,
) -> (Running, u16) {
    for _ in 0..5 {
        let port = free_port();
        let mut server = start(program, &arguments(port), log);
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (server, port);
            }
            if server.0.try_wait().expect("a child of ours").is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    panic!("{program} does not start");
}

/// The body of what a server answers, where that is no error.
pub fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

/// What `look` finds at last.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(300));
    }
}

/// Whether a program is installed.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
