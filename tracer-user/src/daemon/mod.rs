//! The daemon: it follows the Go processes of the host, has them inspected when that is due, and keeps what is
//! known of each in one table, which metrics, the API and the views read.
//!
//! One thread, the [`supervisor`], decides; it never reads a process itself. The threads that do are watched
//! ([`attendance`]), so that a process which does not answer costs one thread and not the daemon.

pub mod found_findings;
pub mod health;
pub mod heap_walk_worker;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
#[cfg(not(feature = "kubernetes"))]
#[path = "no_kubernetes.rs"]
pub mod kubernetes;
pub mod labels;
pub mod privileges;
pub mod probe_manager;
pub mod process_findings;
pub mod process_metrics;
pub mod process_table;
pub mod self_metrics;
pub mod service_manager;
pub mod supervisor;
pub mod viewers;
pub mod wait_histogram;
pub mod watchdog;
