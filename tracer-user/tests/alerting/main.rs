//! The whole way to a pager: a Go program deadlocks, the daemon sees it, a real Prometheus scrapes
//! the daemon and fires the alert, a real Alertmanager has it under the process's name, and it
//! resolves once the program is gone.

#[allow(
    dead_code,
    reason = "each test binary uses its own part of the shared module"
)]
#[path = "support/go.rs"]
mod go;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &str, arguments: &[String]) -> Running {
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", program])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
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
fn start_server(program: &str, arguments: impl Fn(u16) -> Vec<String>) -> (Running, u16) {
    for _ in 0..5 {
        let port = free_port();
        let mut server = start(program, &arguments(port));
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

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(300));
    }
}

/// The rules as shipped, but without their patience: a test cannot wait for half a minute.
fn impatient_rules(folder: &Path) -> std::path::PathBuf {
    let shipped =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/gostuck.rules.yml");
    let rules = fs::read_to_string(shipped).expect("the shipped rules");
    let path = folder.join("rules.yml");
    fs::write(&path, rules.replace("for: 30s", "for: 1s")).expect("rules written");
    path
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[test]
fn a_deadlock_fires_an_alert_that_names_the_process_and_resolves() {
    let able = nix::unistd::geteuid().is_root()
        && on_path("prometheus")
        && on_path("prometheus-alertmanager");
    if !able {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must have root, Prometheus and Alertmanager"
        );
        println!(
            "test a_deadlock_fires_an_alert ... ignored, needs root, prometheus and prometheus-alertmanager"
        );
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let toolchain = go::installed()
        .pop()
        .expect("a Go toolchain: run `cargo xtask setup`");
    let program = go::build(&toolchain, "abba", go::Flavour::Stripped).expect("the program builds");
    let mut target = start(&program.display().to_string(), &[]);
    let pid = target.0.id().to_string();

    let gostuck = env!("CARGO_BIN_EXE_gostuck");
    let listen = |port| vec!["run".into(), "--listen".into(), format!("127.0.0.1:{port}")];
    let (_daemon, daemon_port) = start_server(gostuck, listen);
    let alertmanager_config = folder.path().join("alertmanager.yml");
    fs::write(
        &alertmanager_config,
        "route: {receiver: none, group_wait: 0s}\nreceivers: [{name: none}]\n",
    )
    .expect("written");
    let (_alertmanager, alertmanager_port) = start_server("prometheus-alertmanager", |port| {
        vec![
            format!("--config.file={}", alertmanager_config.display()),
            format!("--storage.path={}", folder.path().join("alerts").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=".into(),
        ]
    });
    let config = folder.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: ['{}']\n\
         scrape_configs: [{{job_name: gostuck, static_configs: [{{targets: ['127.0.0.1:{daemon_port}']}}]}}]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager_port}']}}]}}]}}\n",
        impatient_rules(folder.path()).display()
    );
    fs::write(&config, text).expect("written");
    let _prometheus = start_server("prometheus", |port| {
        vec![
            format!("--config.file={}", config.display()),
            format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ]
    });

    let active = || -> Option<Vec<Value>> {
        let body = get(alertmanager_port, "/api/v2/alerts?active=true")?;
        let alerts: Vec<Value> = serde_json::from_str(&body).ok()?;
        Some(
            alerts
                .into_iter()
                .filter(|a| a["labels"]["alertname"] == "GoProvenDeadlock")
                .collect(),
        )
    };
    let alert = wait_for("the alert", || {
        active()?
            .into_iter()
            .find(|alert| alert["labels"]["pid"] == pid.as_str())
    });
    let summary = alert["annotations"]["summary"].as_str().unwrap_or_default();
    assert!(summary.starts_with("2 goroutines of "), "{summary}");
    assert!(summary.contains(&format!("(pid {pid})")), "{summary}");
    assert!(
        alert["labels"]["command"]
            .as_str()
            .is_some_and(|c| c.contains("abba")),
        "{alert}"
    );

    target.0.kill().expect("the program is ours");
    target.0.wait().expect("it ends");
    wait_for("the alert's end", || {
        active()?
            .iter()
            .all(|a| a["labels"]["pid"] != pid.as_str())
            .then_some(())
    });
}

#[test]
fn promtool_likes_the_metrics() {
    if !nix::unistd::geteuid().is_root() || !on_path("promtool") {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must have root and promtool"
        );
        println!("test promtool_likes_the_metrics ... ignored, needs root and promtool");
        return;
    }
    let (_daemon, port) = start_server(env!("CARGO_BIN_EXE_gostuck"), |port| {
        vec!["run".into(), "--listen".into(), format!("127.0.0.1:{port}")]
    });
    wait_for("readiness", || get(port, "/readyz"));
    let metrics = wait_for("metrics", || get(port, "/metrics"));
    assert!(metrics.contains("gostuck_build_info"), "{metrics}");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    promtool
        .stdin
        .take()
        .expect("piped")
        .write_all(metrics.as_bytes())
        .expect("written");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "promtool: {said}"
    );
}
