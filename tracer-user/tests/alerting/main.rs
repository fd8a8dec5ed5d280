//! The whole way to a pager: a Go program deadlocks, the daemon sees it, a real Prometheus scrapes
//! the daemon and fires the alert, and a real Alertmanager sends it, under the process's name; also
//! when the program is gone by the time of the scrape.

#[allow(
    dead_code,
    reason = "each test binary uses its own part of the shared module"
)]
#[path = "../support/go.rs"]
mod go;
mod servers;
mod webhook;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use servers::{Running, get, on_path, start, start_server, wait_for};
use webhook::Webhook;

/// Daemon, Alertmanager and Prometheus, until the test ends.
struct Monitoring {
    folder: tempfile::TempDir,
    webhook: Webhook,
    daemon_port: u16,
    alertmanager_port: u16,
    servers: Vec<Running>,
}

impl Monitoring {
    /// Starts the daemon, which follows every Go process of the machine, and Alertmanager.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (daemon, daemon_port) = start_server(
            env!("CARGO_BIN_EXE_gostuck"),
            |port| {
                let listen = format!("127.0.0.1:{port}");
                ["run", "--listen", &listen].map(str::to_owned).into()
            },
            Some(&folder.path().join("log")),
        );
        let (webhook, webhook_port) = Webhook::listen();
        let config = write(
            &folder.path().join("alertmanager.yml"),
            &format!(
                "route: {{receiver: pager, group_by: ['...'], group_wait: 0s, group_interval: 1s}}\n\
                 receivers: [{{name: pager, webhook_configs: [{{url: 'http://127.0.0.1:{webhook_port}/'}}]}}]\n"
            ),
        );
        let (alertmanager, alertmanager_port) = start_server(
            "prometheus-alertmanager",
            |port| {
                vec![
                    format!("--config.file={config}"),
                    format!("--storage.path={}", folder.path().join("alerts").display()),
                    format!("--web.listen-address=127.0.0.1:{port}"),
                    "--cluster.listen-address=".into(),
                ]
            },
            None,
        );
        Self {
            folder,
            webhook,
            daemon_port,
            alertmanager_port,
            servers: vec![daemon, alertmanager],
        }
    }

    /// Starts Prometheus with these alert rules.
    fn scrape(&mut self, rules: &str, interval: &str) {
        let path = self.folder.path();
        let rules = write(&path.join("rules.yml"), rules);
        let (daemon, alertmanager) = (self.daemon_port, self.alertmanager_port);
        let config = write(
            &path.join("prometheus.yml"),
            &format!(
                "global: {{scrape_interval: {interval}, evaluation_interval: 1s}}\n\
                 rule_files: ['{rules}']\n\
                 scrape_configs: [{{job_name: gostuck, static_configs: [{{targets: ['127.0.0.1:{daemon}']}}]}}]\n\
                 alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n"
            ),
        );
        let (prometheus, _) = start_server(
            "prometheus",
            |port| {
                vec![
                    format!("--config.file={config}"),
                    format!("--storage.tsdb.path={}", path.join("data").display()),
                    format!("--web.listen-address=127.0.0.1:{port}"),
                ]
            },
            None,
        );
        self.servers.push(prometheus);
    }

    /// Names of the alerts about a process that were sent with a status, each as often as it was.
    fn sent(&self, pid: &str, status: &str) -> Vec<String> {
        let alerts = self.webhook.about(pid).into_iter();
        let alerts = alerts.filter(|alert| alert["status"] == status);
        let names = alerts.map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned));
        names.map(Option::unwrap_or_default).collect()
    }

    /// What the daemon's log says of a process: the first line about it with `what`.
    fn logged(&self, pid: &str, what: &str) -> Option<String> {
        let log = fs::read_to_string(self.folder.path().join("log")).expect("the daemon's log");
        let pid = format!(" pid={pid} ");
        let mut lines = log.lines();
        let line = lines.find(|line| line.contains(&pid) && line.contains(what));
        line.map(str::to_owned)
    }
}

/// Writes a file. Its path as text.
fn write(path: &Path, text: &str) -> String {
    fs::write(path, text).expect("written");
    path.display().to_string()
}

/// The rules as shipped.
fn rules() -> String {
    let shipped =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/gostuck.rules.yml");
    fs::read_to_string(shipped).expect("the shipped rules")
}

/// Whether everything that a test needs is there.
fn can_run(test: &str) -> bool {
    let able = nix::unistd::geteuid().is_root()
        && on_path("prometheus")
        && on_path("prometheus-alertmanager");
    assert!(
        able || std::env::var_os("CI").is_none(),
        "CI must have root, Prometheus and Alertmanager"
    );
    if !able {
        println!("test {test} ... ignored, needs root, prometheus and prometheus-alertmanager");
    }
    able
}

/// A program in which two goroutines wait for each other's locks as soon as it runs.
fn deadlocking() -> PathBuf {
    let toolchain = go::installed()
        .pop()
        .expect("a Go toolchain: run `cargo xtask setup`");
    go::build(&toolchain, "abba", go::Flavour::Stripped).expect("the program builds")
}

#[test]
fn a_deadlock_fires_an_alert_that_names_the_process_and_resolves() {
    if !can_run("a_deadlock_fires_an_alert_that_names_the_process_and_resolves") {
        return;
    }
    let program = deadlocking();
    // A test cannot wait for as long as an alert stands.
    let impatient = rules().replace("[5m]", "[5s]").replace("15 * 60", "5");
    let mut monitoring = Monitoring::start();
    monitoring.scrape(&impatient, "1s");
    let mut target = start(&program.display().to_string(), &[], None);
    let pid = target.0.id().to_string();
    let alert = wait_for("the alert", || {
        monitoring.webhook.about(&pid).into_iter().next()
    });
    let (labels, annotations) = (&alert["labels"], &alert["annotations"]);
    assert_eq!(labels["alertname"], "GoProvenDeadlock", "{alert}");
    assert_eq!(labels["severity"], "critical", "{alert}");
    let command = labels["command"].as_str();
    assert!(command.is_some_and(|c| c.contains("abba")), "{alert}");
    let summary = annotations["summary"].as_str().unwrap_or_default();
    assert!(summary.starts_with("Deadlock in "), "{summary}");
    assert!(summary.contains(&format!("(pid {pid})")), "{summary}");

    target.0.kill().expect("the program is ours");
    target.0.wait().expect("it ends");
    wait_for("the alert's end", || {
        monitoring.sent(&pid, "resolved").pop()
    });
}

#[test]
fn a_deadlocked_process_that_is_killed_before_the_scrape_fires_the_alert_once() {
    if !can_run("a_deadlocked_process_that_is_killed_before_the_scrape_fires_the_alert_once") {
        return;
    }
    let program = deadlocking();
    let mut monitoring = Monitoring::start();
    let mut target = start(&program.display().to_string(), &[], None);
    let pid = target.0.id().to_string();
    let locked_up = Instant::now();
    let found = wait_for("the finding", || monitoring.logged(&pid, "found: "));
    for part in [
        "abba",
        "verdict=proven",
        "kind=lock-cycle",
        "story=\"Goroutine ",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
    // As a liveness check does it.
    let killed_after = Duration::from_secs(20);
    thread::sleep(killed_after.saturating_sub(locked_up.elapsed()));
    target.0.kill().expect("the program is ours");
    target.0.wait().expect("it ends");
    wait_for("the process's end", || {
        monitoring.logged(&pid, "ended with its process: ")
    });

    // The first scrape comes when the gauges are gone.
    monitoring.scrape(&rules(), "5s");
    wait_for("the alert", || monitoring.sent(&pid, "firing").pop());
    // More scrapes and evaluations do not send it again.
    thread::sleep(Duration::from_secs(12));
    assert_eq!(monitoring.sent(&pid, "firing"), ["GoProvenDeadlock"]);
    assert!(monitoring.sent(&pid, "resolved").is_empty());
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
    let (_daemon, port) = start_server(
        env!("CARGO_BIN_EXE_gostuck"),
        |port| vec!["run".into(), "--listen".into(), format!("127.0.0.1:{port}")],
        None,
    );
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
