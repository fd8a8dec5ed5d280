//! Names and choice of pods, as an API server tells them that lists and watches as the real one.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    process::Process,
    wait::for_some,
};

use crate::{GOSTUCK, trial};

const NODE: &str = "node-a";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "kubernetes: containers are named and pods opt out",
            &[],
            containers_are_named_and_pods_opt_out,
        ),
        trial(
            "kubernetes: without an API server containers go by their ids",
            &[],
            without_an_api_server_containers_go_by_their_ids,
        ),
    ]
}

/// An API server that knows nothing but pods. The first watch breaks off, so that the daemon has to
/// come back.
struct ApiServer {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    pods: Mutex<Vec<Value>>,
    events: Mutex<VecDeque<Value>>,
    changed: Condvar,
    requests: Mutex<Vec<String>>,
}

impl ApiServer {
    fn start(pods: Vec<Value>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let shared = Arc::new(Shared {
            pods: Mutex::new(pods),
            ..Shared::default()
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Ok(Self {
            address: format!("http://{address}"),
            shared,
        })
    }

    /// Tells those who watch of a changed pod.
    fn modify(&self, pod: Value) {
        let event = json!({"type": "MODIFIED", "object": pod});
        lock(&self.shared.events).push_back(event);
        self.shared.changed.notify_all();
    }

    fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut request = String::new();
        reader
            .read_line(&mut request)
            .ok()
            .filter(|read| *read > 0)?;
        let mut header = String::new();
        while reader.read_line(&mut header).ok()? > 2 {
            header.clear();
        }
        let path = request.split(' ').nth(1)?.to_owned();
        let number = {
            let mut requests = lock(&shared.requests);
            requests.push(path.clone());
            requests
                .iter()
                .filter(|path| path.contains("watch="))
                .count()
        };
        if !path.contains("watch=") {
            let list = json!({"kind": "PodList", "apiVersion": "v1",
                "metadata": {"resourceVersion": "1"}, "items": *lock(&shared.pods)});
            let body = list.to_string();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
            write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).ok()?;
            continue;
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n").ok()?;
        if number == 1 {
            return None;
        }
        loop {
            let mut events = lock(&shared.events);
            while events.is_empty() {
                let waited = shared.changed.wait_timeout(events, Duration::from_secs(60));
                events = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            while let Some(event) = events.pop_front() {
                let line = format!("{event}\n");
                write!(stream, "{:x}\r\n{line}\r\n", line.len()).ok()?;
            }
        }
    }
}

/// A pod with one container.
fn pod(name: &str, uid: &str, container: &str, annotations: &Value) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": name, "namespace": "shop", "uid": uid, "resourceVersion": "2",
            "labels": {"app": name}, "annotations": annotations,
        },
        "spec": {"nodeName": NODE, "containers": [{"name": "main"}]},
        "status": {"containerStatuses": [{
            "name": "main", "containerID": format!("containerd://{container}"),
            "image": "x", "imageID": "x", "ready": true, "restartCount": 0,
        }]},
    })
}

/// A cgroup with the path that kubelet's cgroupfs driver makes; removed with the test.
struct Cgroup(PathBuf);

impl Cgroup {
    fn make(uid: &str, container: &str) -> Result<Self> {
        let roots = [
            "/sys/fs/cgroup/pids",
            "/sys/fs/cgroup/systemd",
            "/sys/fs/cgroup",
        ];
        let root = roots
            .iter()
            .find(|root| Path::new(root).join("cgroup.procs").exists());
        let root = Path::new(root.ok_or("no cgroups are mounted")?);
        let path = root.join(format!("kubepods/burstable/pod{uid}/{container}"));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    fn add(&self, target: &Process) -> Result {
        let procs = self.0.join("cgroup.procs");
        fs::write(&procs, target.pid().to_string()).map_err(|error| error.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Bottom up, as far as empty: others may have theirs there.
        for folder in self.0.ancestors().take(4) {
            for _ in 0..50 {
                if fs::remove_dir(folder).is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Two targets in pods of their own.
struct Scene {
    cgroups: [Cgroup; 2],
    targets: [Process; 2],
}

const UIDS: [&str; 2] = [
    "8dbc5577-d0e2-4706-8787-57d52c03ddf2",
    "9dbc5577-d0e2-4706-8787-57d52c03ddf2",
];

fn id(index: usize) -> String {
    ["a1", "b2"][index].repeat(32)
}

impl Scene {
    fn set() -> Result<Self> {
        let program = newest("abba", Flavour::Stripped)?;
        let targets = [Process::run(&program)?, Process::run(&program)?];
        let cgroups = [
            Cgroup::make(UIDS[0], &id(0))?,
            Cgroup::make(UIDS[1], &id(1))?,
        ];
        for (cgroup, target) in cgroups.iter().zip(&targets) {
            cgroup.add(target)?;
        }
        Ok(Self { cgroups, targets })
    }

    fn end(self) {
        drop(self.targets);
        drop(self.cgroups);
    }
}

/// The daemon, which asks the API server that `config` names.
fn daemon(config: &str, arguments: &[&str]) -> Result<Daemon> {
    let mut command = Command::new(GOSTUCK);
    command
        .args(["run", "--interval", "1s", "--budget", "50%"])
        .args(arguments)
        .envs([("KUBECONFIG", config), ("NODE_NAME", NODE)]);
    Daemon::start(command)
}

fn containers_are_named_and_pods_opt_out() -> Result {
    let scene = Scene::set()?;
    let server = ApiServer::start(vec![
        pod("cart", UIDS[0], &id(0), &json!({})),
        pod(
            "till",
            UIDS[1],
            &id(1),
            &json!({"gostuck.dev/trace": "false"}),
        ),
    ])?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let config = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server.address}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": {"token": "t"}}],
    });
    fs::write(&config, text.to_string()).map_err(|error| error.to_string())?;
    let config = config.display().to_string();
    let daemon = daemon(&config, &["--namespace", "shop"])?;

    let cart = daemon.listed(scene.targets[0].pid())?;
    let expected = json!({"namespace": "shop", "pod": "cart", "container": "main",
        "container_id": id(0), "node": NODE});
    assert_eq!(cart["identity"], expected);
    let metrics = daemon.get("/metrics").ok_or("no metrics")?;
    let labels = r#"namespace="shop",pod="cart",container="main",pid="""#;
    if !metrics.contains(labels) {
        return Err(metrics);
    }
    let list = daemon.get("/api/v1/processes").ok_or("no list")?;
    let till = format!("\"pid\":{},", scene.targets[1].pid());
    if list.contains(&till) {
        return Err(format!("a pod that opted out is followed: {list}"));
    }
    let selector = "fieldSelector=spec.nodeName%3Dnode-a";
    if !server.requests().iter().all(|path| path.contains(selector)) {
        return Err(format!("{:?}", server.requests()));
    }
    // The watch goes on after it broke off, and an annotation takes effect at once.
    let opted_out = json!({"gostuck.dev/trace": "false"});
    server.modify(pod("cart", UIDS[0], &id(0), &opted_out));
    for_some("the pod that opted out to go", || {
        let list = daemon.get("/api/v1/processes").unwrap_or_default();
        Ok(list.contains("\"processes\":[]").then_some(()))
    })?;
    scene.end();
    Ok(())
}

fn without_an_api_server_containers_go_by_their_ids() -> Result {
    let scene = Scene::set()?;
    let daemon = daemon("/nonexistent", &[])?;
    let listed = daemon.listed(scene.targets[1].pid())?;
    let expected = json!({"namespace": null, "pod": null, "container": null,
        "container_id": id(1), "node": null});
    assert_eq!(listed["identity"], expected);
    scene.end();
    Ok(())
}
