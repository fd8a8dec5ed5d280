//! A supervisor of made-up processes, without probes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{Options, Selection, Shared, Supervisor};
use crate::{
    daemon::{
        health::Health,
        kubernetes::Pods,
        probe_manager::{ProbeManager, Settings},
        process_table::ProcessTable,
        self_metrics::SelfMetrics,
        watchdog::Watchdog,
    },
    finding::{self},
    inspect::Inspector,
};
use ids::Pid;
use process::{Departed, FileIdentity, Process, StartTime};
use resources::cancellation::Cancellation;

/// A supervisor of nobody.
pub fn supervisor() -> Supervisor {
    let own = SelfMetrics::default();
    let settings = Settings {
        wanted: false,
        budget: 0.01,
    };
    let shared = Shared {
        inspector: Arc::new(Inspector::new(finding::Options::default())),
        board: Arc::new(ProcessTable::default()),
        own: own.clone(),
        pods: Arc::new(Pods::of_node(None)),
        health: Arc::new(Health::default()),
        stop: Cancellation::default(),
        attendance: Watchdog::default(),
    };
    let options = Options {
        interval: Duration::from_secs(5),
        stuck_after: Duration::from_secs(30),
        growth_window: finding::GROWTH_WINDOW,
        budget: 0.01,
        selection: Selection::default(),
    };
    Supervisor::new(shared, ProbeManager::start(settings, own), options).unwrap()
}

/// A process that executes the file of this inode.
pub fn process(pid: u32, start_time: u64, inode: u64) -> Process {
    let departed = Departed {
        pid: Pid(pid),
        ..Departed::default()
    };
    let exe = FileIdentity {
        device: 1,
        inode,
        size: 1,
        changed_ns: 1,
    };
    let mut process = Process::departed(&departed, PathBuf::from("/server"), exe);
    process.key.start_time = StartTime(start_time);
    process
}
