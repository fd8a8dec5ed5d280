//! What `cargo xtask bench probes` asks of the library, as one line of JSON.
//!
//! `probe_facts attach multi|perf ROUNDS PID…` attaches by that method to all these processes, which
//! run one image, and detaches from them again, so many times; it tells how long each took, what a hit
//! costs, and what the kernel made of the programs. `probe_facts records PID SECONDS` has every park
//! and wake of one process sent, and tells how many came, how many were lost, and how often
//! a goroutine parked. `probe_facts counter PID SECONDS` counts `gopark` and `ready` at their entries
//! by bare perf events, without any program.

use std::{
    fs::File,
    io,
    os::{
        fd::{FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tracer_user::{
    ids::Pid,
    image::Image,
    probes::{AttachMethod, Options, Probes},
};

const USAGE: &str = "usage: probe_facts attach multi|perf ROUNDS PID… | records PID SECONDS | \
    counter PID SECONDS";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let facts = match words.as_slice() {
        ["attach", method, rounds, pids @ ..] => {
            let pids: Vec<Pid> = pids.iter().map(|pid| process(pid)).collect::<Result<_>>()?;
            attach(attach_method(method)?, rounds.parse()?, &pids)?
        }
        ["records", pid, seconds] => records(process(pid)?, duration(seconds)?)?,
        ["counter", pid, seconds] => counter(process(pid)?, duration(seconds)?)?,
        _ => bail!(USAGE),
    };
    println!("{facts}");
    Ok(())
}

fn process(pid: &str) -> Result<Pid> {
    Ok(Pid(pid.parse().context(USAGE)?))
}

fn duration(seconds: &str) -> Result<Duration> {
    Ok(Duration::from_secs(seconds.parse().context(USAGE)?))
}

fn attach_method(name: &str) -> Result<AttachMethod> {
    match name {
        "multi" => Ok(AttachMethod::Multi),
        "perf" => Ok(AttachMethod::Perf),
        _ => bail!(USAGE),
    }
}

fn exe(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/exe"))
}

fn image(pid: Pid) -> Result<Arc<Image>> {
    Ok(Arc::new(Image::open(&exe(pid))?))
}

fn attach(method: AttachMethod, rounds: usize, pids: &[Pid]) -> Result<serde_json::Value> {
    let mut probes = Probes::load(Options {
        method: Some(method),
        ..Options::default()
    })?;
    let cost = probes.calibrate()?;
    let image = image(*pids.first().context(USAGE)?)?;
    let (mut attached_ms, mut detached_ms) = (Vec::new(), Vec::new());
    let ms = |started: Instant| started.elapsed().as_secs_f64() * 1e3;
    for _ in 0..rounds {
        let started = Instant::now();
        for pid in pids {
            probes.attach(*pid, &exe(*pid), &image)?;
        }
        attached_ms.push(ms(started));
        let started = Instant::now();
        for pid in pids {
            probes.detach(*pid)?;
        }
        probes.sweep()?;
        detached_ms.push(ms(started));
    }
    let programs: Vec<_> = probes
        .programs()?
        .iter()
        .map(|facts| json!([facts.name, facts.instructions, facts.verified]))
        .collect();
    Ok(json!({
        "hit_ns": cost.per_hit().as_nanos(),
        "attach_ms": attached_ms,
        "detach_ms": detached_ms,
        "programs": programs,
    }))
}

/// With the ring buffer that the daemon has.
fn records(pid: Pid, length: Duration) -> Result<serde_json::Value> {
    let mut probes = Probes::load(Options {
        send_parks: true,
        send_wakes_from: Duration::ZERO,
        ..Options::default()
    })?;
    probes.attach(pid, &exe(pid), &image(pid)?)?;
    let waiter = probes.waiter()?;
    eprintln!("probes attached");
    let end = Instant::now() + length;
    let mut records = 0;
    while Instant::now() < end {
        if waiter.wait(Duration::from_millis(500)) {
            // Others gather, as they do for the daemon.
            waiter.wait(Duration::from_millis(50));
        }
        records += probes.drain().len();
    }
    let statistics = probes.target_statistics(pid)?;
    Ok(json!({
        "records": records,
        "lost": statistics.lost,
        "parks": statistics.park_hits,
    }))
}

fn counter(pid: Pid, length: Duration) -> Result<serde_json::Value> {
    let image = image(pid)?;
    let mut counters = Vec::new();
    for name in ["runtime.gopark", "runtime.ready"] {
        let functions = image.functions_named(name);
        let entry = functions.first().and_then(|f| image.file_offset(f.entry));
        let entry = entry.with_context(|| format!("no {name}"))?;
        for cpu in 0..thread::available_parallelism()?.get() {
            counters.push(open_counter(&exe(pid), entry.0, cpu)?);
        }
    }
    eprintln!("probes attached");
    thread::sleep(length);
    let mut hits = 0;
    for counter in counters {
        let mut count = [0; 8];
        io::Read::read_exact(&mut File::from(counter), &mut count)?;
        hits += u64::from_ne_bytes(count);
    }
    Ok(json!({ "hits": hits }))
}

/// The beginning of `struct perf_event_attr` (`include/uapi/linux/perf_event.h`), its first version
/// with the fields of a uprobe.
#[repr(C)]
#[derive(Default)]
struct EventAttributes {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    path: u64,
    offset: u64,
}

/// A count of the hits of a uprobe at `offset` of the program at `path` on one CPU, by whoever runs it.
/// Not of one process and those it makes: `inherit` copies the event whenever a thread is made, reads
/// the path in that process, where it is not, and has its `clone` fail (`inherit_event` and
/// `perf_uprobe_init`, Linux 6.18).
fn open_counter(path: &Path, offset: u64, cpu: usize) -> Result<OwnedFd> {
    let kind = std::fs::read_to_string("/sys/bus/event_source/devices/uprobe/type")?;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let attributes = EventAttributes {
        kind: kind.trim().parse()?,
        // PERF_ATTR_SIZE_VER1
        size: 72,
        path: path.as_ptr() as u64,
        offset,
        ..EventAttributes::default()
    };
    // SAFETY: the attributes and the path live until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            -1,
            libc::c_int::try_from(cpu)?,
            -1,
            0,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error()).context("perf_event_open");
    }
    // SAFETY: the kernel just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(result)?) })
}
