//! Servers whose handlers lock each other out: who holds the locks is found, and few of the many
//! goroutines that wait have to be followed.

use std::process::Command;

use testing::{
    go::{self, Flavour, Toolchain},
    process::Process,
};
use tracer_user::{
    holders::{Locks, holders},
    snapshot::{ObjectKind, Snapshot},
};

use crate::compare;

/// Requests that wait.
const REQUESTS: &str = "200";
/// Goroutines at most that are followed at first: there are hundreds, at some dozen places.
const MAX_FOLLOWED: usize = 60;
/// Likewise when they stand there still.
const MAX_FOLLOWED_AGAIN: usize = 5;

/// Starts each kind of server of programs/bench/servers, and checks what is found in it.
pub(crate) fn check(toolchain: Toolchain) {
    let program = go::program(toolchain, "bench/servers", Flavour::Plain);
    let program = program.expect("a server");
    for kind in ["http", "http2", "proxy", "sql"] {
        let mut command = Command::new(&program);
        let running = Process::ready(command.args([kind, REQUESTS])).expect("the server starts");
        let what = format!("{kind}, Go {}", toolchain.version);
        found(running.pid(), &what);
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
