//! What is left of us: nothing.

use std::{fs, os::unix::fs::FileExt as _, path::Path, process::Stdio};

use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use testing::{
    go::NEWEST,
    process::{Process, quiet},
    wait::{PATIENCE, until},
};
use tracer_user::{
    ids::{FileOffset, Pid},
    image::Image,
};

use super::{load::Load, program, trial};

/// The instruction of a breakpoint on amd64.
const INT3: u8 = 0xcc;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("an interrupted watch takes its probes off", || {
            nothing_is_left_after(Signal::SIGTERM)
        }),
        trial("a killed watch leaves no probe behind", || {
            nothing_is_left_after(Signal::SIGKILL)
        }),
    ]
}

fn nothing_is_left_after(signal: Signal) {
    let (_directory, path, image) = program(NEWEST);
    let mut load = Load::start(&path);
    let sites = sites(&image);
    let before: Vec<u8> = sites.iter().map(|site| byte(load.pid(), *site)).collect();
    assert!(!before.contains(&INT3) && before.len() == 4);
    let mut watch = watch(load.pid());
    until("all probes in place", || {
        sites.iter().all(|site| byte(load.pid(), *site) == INT3)
    });
    watch.signal(signal).unwrap();
    watch.ends_within(PATIENCE).unwrap();
    until("the code as it was before", || {
        let now: Vec<u8> = sites.iter().map(|site| byte(load.pid(), *site)).collect();
        now == before
    });
    load.pingpong(100);
}

fn watch(pid: Pid) -> Process {
    let mut command = quiet(env!("CARGO_BIN_EXE_gostuck"));
    command.args(["watch", &pid.to_string()]);
    Process::start(command.stdout(Stdio::null())).unwrap()
}

/// Where the probes on `image` go.
pub fn sites(image: &Image) -> Vec<FileOffset> {
    image.probe_sites().all().map(|site| site.offset).collect()
}

/// The byte that the process executes at `site`.
pub fn byte(pid: Pid, site: FileOffset) -> u8 {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let address = maps.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (start, end) = fields[0].split_once('-')?;
        let (start, end, offset) = (hex(start), hex(end), hex(fields[2]));
        let inside = fields[1].contains('x')
            && fields
                .get(5)
                .is_some_and(|path| Path::new(path).is_absolute())
            && (offset..offset + end - start).contains(&site.0);
        inside.then(|| start + site.0 - offset)
    });
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut byte = [0];
    memory.read_exact_at(&mut byte, address.unwrap()).unwrap();
    byte[0]
}
