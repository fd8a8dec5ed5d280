//! A receiver of alerts, as a pager would be one.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

/// What Alertmanager has sent.
#[derive(Clone, Default)]
pub struct Webhook(Arc<Mutex<Vec<Value>>>);

impl Webhook {
    /// Listens for as long as the test runs. Also the port.
    pub fn listen() -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let webhook = Self::default();
        let taking = webhook.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // Alertmanager sends again what was not taken.
                let _ = taking.take(connection);
            }
        });
        (webhook, port)
    }

    fn take(&self, mut connection: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(connection.try_clone()?);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let message: Value = serde_json::from_slice(&body)?;
        let alerts = message["alerts"].as_array().cloned().unwrap_or_default();
        self.0
            .lock()
            .expect("no test panics in here")
            .extend(alerts);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    }

    /// The alerts about one process, each as often as it was sent.
    pub fn about(&self, pid: &str) -> Vec<Value> {
        let alerts = self.0.lock().expect("no test panics in here");
        let alerts = alerts.iter().filter(|a| a["labels"]["pid"] == pid);
        alerts.cloned().collect()
    }
}
