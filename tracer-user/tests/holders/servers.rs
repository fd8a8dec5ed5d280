//! Servers whose handlers lock each other out: who holds the locks is found, and few of the many
//! goroutines that wait have to be followed.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use tracer_user::{
    holders::{Locks, holders},
    snapshot::{ObjectKind, Snapshot},
};

use crate::compare::{self, Running};

/// Requests that wait.
const REQUESTS: &str = "200";
/// Goroutines at most that are followed at first: there are hundreds, at some dozen places.
const MAX_FOLLOWED: usize = 60;
/// Likewise when they stand there still.
const MAX_FOLLOWED_AGAIN: usize = 5;

/// Starts the server `kind` of programs/bench/servers, and checks what is found in it.
pub(crate) fn check(go: &Path, version: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs/bench/servers");
    let program = compare::build(go, &folder, &[], &format!("servers-{version}"));
    for kind in ["http", "http2", "proxy", "sql"] {
        let mut command = Command::new(&program);
        command.args([kind, REQUESTS]).stdout(Stdio::piped());
        let mut running = Running(command.spawn().expect("the server starts"));
        let output = running.0.stdout.take().expect("a pipe");
        let ready = BufReader::new(output).lines().next();
        assert_eq!(ready.expect("a line").expect("text"), "READY");
        found(running.0.id(), &format!("{kind}, Go {version}"));
    }
}

fn found(pid: u32, what: &str) {
    let (target, snapshot, analyzer) = compare::look_at(pid);
    let locks = analyzer.locks(&target, &snapshot, &snapshot.goroutines);
    assert!(locks.followed <= MAX_FOLLOWED, "{what}: {}", locks.followed);
    assert_eq!(locks.unfollowed, [], "{what}");
    held_by_one_each(&snapshot, &locks, what);
    let again = analyzer.locks(&target, &snapshot, &snapshot.goroutines);
    assert!(
        again.followed <= MAX_FOLLOWED_AGAIN,
        "{what}: {}",
        again.followed
    );
    held_by_one_each(&snapshot, &again, what);
}

/// Both mutexes of the shop are held by one goroutine each, who waits for the other one's.
fn held_by_one_each(snapshot: &Snapshot, locks: &Locks, what: &str) {
    let holders = holders(snapshot, locks);
    let waited_for = snapshot
        .objects
        .values()
        .filter(|object| object.id.kind == ObjectKind::Mutex && !object.waiters.is_empty());
    let held: Vec<_> = waited_for.map(|o| &holders[&o.id.addr].exclusive).collect();
    assert_eq!(held.len(), 2, "{what}");
    for set in held {
        assert!(set.complete && set.holders.len() == 1, "{what}: {set:?}");
    }
}
