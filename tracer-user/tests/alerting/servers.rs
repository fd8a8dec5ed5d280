//! Servers that run as long as a test, on ports of their own.

use std::{net::TcpStream, process::Stdio};

use testing::{
    daemon::free_port,
    process::{Process, quiet},
    wait::for_some,
};

/// Starts a server on a free port, on another one when it ends at once: some connection may have
/// taken the port meanwhile. `arguments` are made for the port.
pub fn start_server(program: &str, arguments: impl Fn(u16) -> Vec<String>) -> (Process, u16) {
    for _ in 0..5 {
        let port = free_port().expect("a free port");
        let mut command = quiet(program);
        command.args(arguments(port)).stdout(Stdio::null());
        let mut server = Process::start(&mut command).expect("a server");
        let listens = for_some(
            &format!("{program} to listen"),
            || match TcpStream::connect(("127.0.0.1", port)) {
                Ok(_) => Ok(Some(true)),
                Err(_) => Ok(server.ended()?.map(|_| false)),
            },
        );
        if listens == Ok(true) {
            return (server, port);
        }
    }
    panic!("{program} does not start");
}
