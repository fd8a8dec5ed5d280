//! The whole way to a pager: a Go program deadlocks, the daemon sees it, a real Prometheus scrapes
//! the daemon and fires the alert, and a real Alertmanager sends it, under the process's name; also
//! when the program is gone by the time of the scrape.

mod servers;
mod webhook;

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Arguments;
use testing::{
    daemon::Daemon,
    go::{Flavour, NEWEST, newest},
    paths,
    process::Process,
    trials::{Need, trial},
    wait::for_some,
};

use servers::start_server;
use webhook::Webhook;

fn main() {
    let needs = [
        Need::Root,
        Need::Go(NEWEST),
        Need::Program("prometheus"),
        Need::Program("prometheus-alertmanager"),
    ];
    let trials = vec![
        trial(
            "a deadlock fires an alert that names the process and resolves",
            &needs,
            a_deadlock_fires_an_alert_that_names_the_process_and_resolves,
        ),
        trial(
            "a deadlocked process that is killed before the scrape fires the alert once",
            &needs,
            a_deadlocked_process_that_is_killed_before_the_scrape_fires_the_alert_once,
        ),
        trial(
            "promtool likes the metrics",
            &[Need::Root, Need::Program("promtool")],
            promtool_likes_the_metrics,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// What `look` finds at last.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for_some(what, || Ok(look())).unwrap_or_else(|error| panic!("{error}"))
}

/// The daemon, which follows every Go process of the machine.
fn daemon() -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gostuck"));
    command.arg("run");
    Daemon::start(command).expect("the daemon")
}

/// Daemon, Alertmanager and Prometheus, until the test ends.
struct Monitoring {
    folder: tempfile::TempDir,
    webhook: Webhook,
    daemon: Daemon,
    alertmanager_port: u16,
    servers: Vec<Process>,
}

impl Monitoring {
    /// Starts the daemon and Alertmanager.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (webhook, webhook_port) = Webhook::listen();
        let config = write(
            &folder.path().join("alertmanager.yml"),
            &format!(
                "route: {{receiver: pager, group_by: ['...'], group_wait: 0s, group_interval: 1s}}\n\
                 receivers: [{{name: pager, webhook_configs: [{{url: 'http://127.0.0.1:{webhook_port}/'}}]}}]\n"
            ),
        );
        let (alertmanager, alertmanager_port) = start_server("prometheus-alertmanager", |port| {
            vec![
                format!("--config.file={config}"),
                format!("--storage.path={}", folder.path().join("alerts").display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--cluster.listen-address=".into(),
            ]
        });
        Self {
            folder,
            webhook,
            daemon: daemon(),
            alertmanager_port,
            servers: vec![alertmanager],
        }
    }

    /// Starts Prometheus with these alert rules.
    fn scrape(&mut self, rules: &str, interval: &str) {
        let path = self.folder.path();
        let rules = write(&path.join("rules.yml"), rules);
        let (daemon, alertmanager) = (self.daemon.port(), self.alertmanager_port);
        let config = write(
            &path.join("prometheus.yml"),
            &format!(
                "global: {{scrape_interval: {interval}, evaluation_interval: 1s}}\n\
                 rule_files: ['{rules}']\n\
                 scrape_configs: [{{job_name: gostuck, static_configs: [{{targets: ['127.0.0.1:{daemon}']}}]}}]\n\
                 alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n"
            ),
        );
        let (prometheus, _) = start_server("prometheus", |port| {
            vec![
                format!("--config.file={config}"),
                format!("--storage.tsdb.path={}", path.join("data").display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ]
        });
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
        let log = self.daemon.log();
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
    let shipped = paths::workspace().join("deploy/prometheus/gostuck.rules.yml");
    fs::read_to_string(shipped).expect("the shipped rules")
}

/// Starts a program in which two goroutines wait for each other's locks as soon as it runs.
fn deadlocking() -> Process {
    let program = newest("abba", Flavour::Stripped).expect("the program");
    Process::run(&program).expect("the program runs")
}

fn a_deadlock_fires_an_alert_that_names_the_process_and_resolves() {
    // A test cannot wait for as long as an alert stands.
    let impatient = rules().replace("[5m]", "[5s]").replace("15 * 60", "5");
    let mut monitoring = Monitoring::start();
    monitoring.scrape(&impatient, "1s");
    let mut target = deadlocking();
    let pid = target.pid().to_string();
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

    target.kill().expect("the program is ours");
    wait_for("the alert's end", || {
        monitoring.sent(&pid, "resolved").pop()
    });
}

fn a_deadlocked_process_that_is_killed_before_the_scrape_fires_the_alert_once() {
    let mut monitoring = Monitoring::start();
    let mut target = deadlocking();
    let pid = target.pid().to_string();
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
    target.kill().expect("the program is ours");
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

fn promtool_likes_the_metrics() {
    let daemon = daemon();
    wait_for("readiness", || daemon.get("/readyz"));
    let metrics = wait_for("metrics", || daemon.get("/metrics"));
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
