//! Many targets, and many goroutines.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    gostuck::{self, BINARY},
    target::{Target, fickle},
};

/// Processes that come and go under the daemon.
const LIVES: u32 = 300;
const GOROUTINES: usize = 100_000;
/// Where the daemon of this test listens.
const PORTS: std::ops::Range<u16> = 19_302..19_322;

pub(crate) fn short_lives() -> Result<(), String> {
    let program = fickle()?;
    let (mut daemon, address) = daemon()?;
    let mut lives = Vec::new();
    for number in 0..LIVES {
        let lives_ms = (number % 40 * 5).to_string();
        lives.push(Target::start(&program, &["brief", &lives_ms])?);
        if lives.len() >= 16 {
            for mut life in lives.drain(..) {
                life.0.wait().map_err(|error| error.to_string())?;
            }
        }
    }
    drop(lives);
    let health = get(&address, "/healthz")?;
    if !health.starts_with("HTTP/1.1 200") {
        return Err(format!("after {LIVES} short lives: {health}"));
    }
    // All of them are gone; those of other tests are not of this name.
    thread::sleep(Duration::from_secs(6));
    let list = get(&address, "/api/v1/processes")?;
    if list.contains("robustness-fickle") && list.contains("\"brief\"") {
        return Err(format!("still listed: {list}"));
    }
    let pid = Pid::from_raw(i32::try_from(daemon.0.id()).unwrap_or(0));
    kill(pid, Signal::SIGTERM).map_err(|error| error.to_string())?;
    let status = daemon.0.wait().map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the daemon ended with {status}"))
    }
}

/// `gostuck run` on a port that is free.
fn daemon() -> Result<(Target, String), String> {
    for port in PORTS {
        let address = format!("127.0.0.1:{port}");
        let mut child = Command::new(BINARY)
            .args(["run", "--listen", &address])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        // Its log must not block it.
        let log = child.stderr.take().ok_or("no log")?;
        thread::spawn(move || BufReader::new(log).lines().map_while(Result::ok).count());
        let mut daemon = Target(child);
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(100));
            if get(&address, "/healthz").is_ok() {
                return Ok((daemon, address));
            }
            if daemon.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
        }
    }
    Err("the daemon does not start".into())
}

fn get(address: &str, path: &str) -> Result<String, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    ask().map_err(|error| format!("{address}{path}: {error}"))
}

pub(crate) fn many_goroutines() -> Result<(), String> {
    let target = Target::ready(&fickle()?, &["crowd", &GOROUTINES.to_string()])?;
    let document = gostuck::inspect(target.pid())?.document()?;
    let read = document["goroutines"].as_array().map_or(0, Vec::len);
    if read < GOROUTINES {
        return Err(format!("{read} of {GOROUTINES} goroutines were read"));
    }
    let findings = document["findings"].as_array().map_or(0, Vec::len);
    if findings == 0 {
        Ok(())
    } else {
        Err(format!(
            "found in a healthy program: {}",
            document["findings"]
        ))
    }
}
