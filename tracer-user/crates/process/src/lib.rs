//! Which processes there are, and what the kernel says of each: identity, executable, load bias,
//! threads, container, CPU limit.
//!
//! Everything is read from `/proc`. A process is identified by pid and start time together
//! ([`ProcessKey`]), and every later look checks both, so that a reused pid is never mistaken for
//! the process that was meant.

mod cgroup;
mod container;
mod container_names;
mod cpu_limit;
mod error;
mod executable;
mod image_cache;
mod mappings;
mod memory_limit;
mod owner;
mod proc;
mod scan;
mod tasks;

pub use cgroup::{CgroupMembership, CgroupPath};
pub use container::{Container, ContainerId, ContainerRuntime, PodUid};
pub use container_names::ContainerNames;
pub use cpu_limit::{CpuLimit, cpu_limit};
pub use error::{ProcessError, Untraceable};
pub use executable::{Executable, FileIdentity};
pub use image_cache::{ImageCache, ImageLimits};
pub use mappings::{Backing, Mapping, Mappings};
pub use memory_limit::{host_memory, own_memory_limit};
pub use owner::Owner;
pub use proc::{Departed, Process, ProcessKey, StartTime};
pub use scan::{GoCheck, GoProcesses, all_pids};
pub use tasks::{Task, TaskState, task_ids, threads_by_own_id};
