//! The page in a real browser, driven by the DevTools protocol.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    process::{Process, quiet, stdout},
    wait::for_some,
};
use tungstenite::{Message, WebSocket};

use crate::{GOSTUCK, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "page: list, finding, graph, keyboard, dark and light, nothing from elsewhere",
        &["chromium", "curl"],
        the_page_shows_a_deadlock,
    )]
}

/// A headless Chromium with one tab.
struct Browser {
    socket: WebSocket<TcpStream>,
    last: u64,
    /// Addresses of everything that was loaded.
    loaded: Vec<String>,
    _running: Process,
}

impl Browser {
    fn start(profile: &Path) -> Result<Self> {
        let mut command = quiet("chromium");
        command
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-extensions",
            ])
            .args(["--window-size=1280,1000", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdout(std::process::Stdio::null());
        let running = Process::start(&mut command)?;
        let port: u16 = for_some("Chromium's port", || {
            let file = fs::read_to_string(profile.join("DevToolsActivePort"));
            Ok(file.ok().and_then(|text| text.lines().next()?.parse().ok()))
        })?;
        let address = for_some("a tab", || {
            let list = stdout(
                "curl",
                &["-s", &format!("http://127.0.0.1:{port}/json/list")],
            );
            let list: Value = serde_json::from_str(&list?).map_err(|error| error.to_string())?;
            let mut tabs = list.as_array().into_iter().flatten();
            let tab = tabs.find(|tab| tab["type"] == "page");
            Ok(tab.and_then(|tab| tab["webSocketDebuggerUrl"].as_str().map(str::to_owned)))
        })?;
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .map_err(|error| error.to_string())?;
        let (socket, _) =
            tungstenite::client(address, stream).map_err(|error| error.to_string())?;
        let mut browser = Self {
            socket,
            last: 0,
            loaded: Vec::new(),
            _running: running,
        };
        for domain in ["Page", "Network", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last += 1;
        let request = json!({"id": self.last, "method": method, "params": parameters});
        self.socket
            .send(Message::text(request.to_string()))
            .map_err(|error| error.to_string())?;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            let message = self.socket.read().map_err(|error| error.to_string())?;
            let Ok(text) = message.to_text() else {
                continue;
            };
            let message: Value = serde_json::from_str(text).unwrap_or_default();
            if message["method"] == "Network.requestWillBeSent" {
                let url = &message["params"]["request"]["url"];
                self.loaded.extend(url.as_str().map(str::to_owned));
            }
            if message["id"] == self.last {
                return match message.get("error") {
                    Some(error) => Err(format!("{method}: {error}")),
                    None => Ok(message["result"].clone()),
                };
            }
        }
        Err(format!("{method}: no answer"))
    }

    /// The value of a JavaScript expression.
    fn value(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let result = self.call("Runtime.evaluate", parameters)?;
        match result.get("exceptionDetails") {
            Some(thrown) => Err(format!("{expression}: {thrown}")),
            None => Ok(result["result"]["value"].clone()),
        }
    }

    /// Waits until an expression is true.
    fn until(&mut self, expression: &str) -> Result {
        let waited = for_some(expression, || {
            Ok((self.value(expression)? == true).then_some(()))
        });
        waited.or_else(|error| {
            let text = self.value("document.body.innerText")?;
            Err(format!(
                "{error}; the page:\n{}",
                text.as_str().unwrap_or_default()
            ))
        })
    }

    fn press(&mut self, key: &str, code: u32, text: &str) -> Result {
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code,
                    "text": if kind == "keyDown" { text } else { "" }}),
            )?;
        }
        Ok(())
    }

    /// Goes from element to element by the Tab key until `expression` is true of the one in focus,
    /// which is called `it`.
    fn tab_to(&mut self, expression: &str) -> Result {
        let question = format!("(it => !!it && ({expression}))(document.activeElement)");
        for _ in 0..100 {
            if self.value(&question)? == true {
                return Ok(());
            }
            self.press("Tab", 9, "")?;
        }
        Err(format!("the Tab key never leads to: {expression}"))
    }

    fn background(&mut self, scheme: &str) -> Result<Value> {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}))?;
        self.value("getComputedStyle(document.documentElement).backgroundColor + getComputedStyle(document.body).backgroundColor")
    }
}

fn the_page_shows_a_deadlock() -> Result {
    let program = newest("abba", Flavour::Stripped)?;
    let target = Process::run(&program)?;
    let pid = target.pid();
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let daemon = Daemon::run(GOSTUCK, &["--command", &name])?;
    daemon.listed(pid)?;
    let profile = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut browser = Browser::start(profile.path())?;
    let origin = format!("http://127.0.0.1:{}/", daemon.port());
    browser.call("Page.navigate", json!({"url": origin}))?;

    browser.until(&format!(
        "!!document.querySelector('a[href=\"#/process/{pid}\"]')"
    ))?;
    browser.until("document.querySelector('[role=status]').innerText === 'live'")?;
    browser.until(&format!(
        "document.querySelector('a[href=\"#/process/{pid}\"]').closest('tr').innerText.includes('1 proven')"
    ))?;

    // By keyboard alone: to the process, and to the graph's nodes.
    browser.tab_to(&format!("it.getAttribute('href') === '#/process/{pid}'"))?;
    browser.press("Enter", 13, "\r")?;
    browser.until("!!document.querySelector('article.finding.proven')")?;
    let words = browser.value("document.querySelector('article.finding.proven').innerText")?;
    let words = words.as_str().unwrap_or_default();
    for expected in [
        "wait for each other's locks",
        "main.lockBoth",
        "only a restart",
    ] {
        assert!(words.contains(expected), "{words}");
    }
    browser.until("document.querySelectorAll('svg g.node.cycle').length === 4")?;
    let labels = "[...document.querySelectorAll('svg g.node')].every(n => n.getAttribute('aria-label').includes('on the cycle'))";
    assert_eq!(browser.value(labels)?, true);
    browser.tab_to("it.matches('g.node.goroutines')")?;
    browser.press("Enter", 13, "\r")?;
    browser.until("!!document.querySelector('aside.detail-panel')")?;
    let detail = browser.value("document.querySelector('aside.detail-panel').innerText")?;
    assert!(
        detail
            .as_str()
            .is_some_and(|text| text.contains("main.lockBoth")),
        "{detail}"
    );

    browser.until("document.querySelector('p.age').innerText.startsWith('Looked at')")?;
    let whole = format!("api/v1/processes/{pid}");
    let documents = browser.loaded.iter().filter(|url| url.contains(&whole));
    for url in documents {
        assert!(
            url.contains("?view=groups") || url.contains("?goroutines="),
            "{url}"
        );
    }

    let (dark, light) = (browser.background("dark")?, browser.background("light")?);
    assert_ne!(dark, light);
    let elsewhere = |url: &&String| !url.starts_with(&origin) && !url.starts_with("data:");
    let strangers: Vec<&String> = browser.loaded.iter().filter(elsewhere).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    assert!(browser.loaded.iter().any(|url| url.ends_with("/app.js")));
    Ok(())
}
