//! Asking the measured programs.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, Result, ensure};

/// The body of `GET path` at `address`, over a connection of its own.
pub(crate) fn get(address: &str, path: &str) -> Result<Vec<u8>> {
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .with_context(|| format!("{address}{path} answered without a header"))?;
    ensure!(
        answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"),
        "{address}{path}: {}",
        String::from_utf8_lossy(&answer[..head])
    );
    Ok(answer.split_off(head + 4))
}
