//! What the daemon tells the service manager that started it: that it serves, that it is alive, and that
//! it ends (`sd_notify(3)`: datagrams to the socket that `NOTIFY_SOCKET` names).

use std::{
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::Arc,
    time::Duration,
};

use crate::daemon::health::Health;

/// The service manager, if one started us and wants to hear.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    /// How often it wants to hear that we are alive; `None` where it does not.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment names; `None` where it names none.
    pub fn of_environment() -> Option<Self> {
        let own = std::process::id().to_string();
        // A child of the service that inherited the variables is not meant.
        let meant = std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == own);
        let watchdog = std::env::var("WATCHDOG_USEC").ok().filter(|_| meant);
        let manager = Self::at(std::env::var_os("NOTIFY_SOCKET")?, watchdog.as_deref());
        manager
            .inspect_err(|error| tracing::warn!(%error, "cannot reach the service manager"))
            .ok()
    }

    fn at(name: OsString, watchdog_us: Option<&str>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // It must not hold up who tells.
        socket.set_nonblocking(true)?;
        match name.as_bytes() {
            [b'@', name @ ..] => {
                socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
            }
            _ => socket.connect(&name)?,
        }
        let watchdog = watchdog_us.and_then(|us| us.parse().ok());
        Ok(Self {
            socket,
            watchdog: watchdog.map(Duration::from_micros),
        })
    }

    fn tell(&self, what: &str) {
        if let Err(error) = self.socket.send(what.as_bytes()) {
            tracing::debug!(%error, what, "the service manager does not hear");
        }
    }

    /// We serve.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// We are about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Says again and again that we are alive, as long as `health` does; never resolves.
    pub async fn watch(&self, health: Arc<Health>) {
        let Some(within) = self.watchdog else {
            return std::future::pending().await;
        };
        loop {
            if health.is_alive() {
                self.tell("WATCHDOG=1");
            }
            // One that comes late, or gets lost, is not the end.
            tokio::time::sleep(within / 4).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut said = [0; 64];
        let len = socket.recv(&mut said).unwrap();
        String::from_utf8_lossy(&said[..len]).into_owned()
    }

    #[test]
    fn it_hears_by_a_path_and_by_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let abstract_name = format!("gostuck-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&address).unwrap(),
                format!("@{abstract_name}").into(),
            ),
        ];
        for (socket, name) in sockets {
            let manager = ServiceManager::at(name, None).unwrap();
            manager.ready();
            assert_eq!(heard(&socket), "READY=1");
            manager.stopping();
            assert_eq!(heard(&socket), "STOPPING=1");
        }
        assert!(ServiceManager::at("/nowhere/at/all".into(), None).is_err());
    }

    #[tokio::test]
    async fn it_hears_that_we_are_alive_only_while_we_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager::at(path.into_os_string(), Some("40000")).unwrap();
        let health = Arc::new(Health::default());
        health.beat();
        let watch = manager.watch(Arc::clone(&health));
        let _ = tokio::time::timeout(Duration::from_millis(35), watch).await;
        socket.set_nonblocking(true).unwrap();
        assert_eq!(heard(&socket), "WATCHDOG=1");
        let silent = ServiceManager {
            watchdog: None,
            ..manager
        };
        let watch = silent.watch(health);
        while socket.recv(&mut [0; 64]).is_ok() {}
        assert!(
            tokio::time::timeout(Duration::from_millis(35), watch)
                .await
                .is_err()
        );
        assert!(socket.recv(&mut [0; 64]).is_err());
    }
}
