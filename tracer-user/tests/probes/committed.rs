//! The BPF object that is committed, whichever the tests were built with: CI builds its own.

use libtest_mimic::Trial;
use testing::go::NEWEST;
use tracer_user::probes::{AttachMethod, Options, Probes};

use super::{attach, channel_waits, load::Load, program, small, trial};

#[cfg(target_arch = "x86_64")]
static COMMITTED: &[u8] =
    aya::include_bytes_aligned!("../../../tracer-ebpf/object/gostuck-ebpf.x86_64.o");
#[cfg(target_arch = "aarch64")]
static COMMITTED: &[u8] =
    aya::include_bytes_aligned!("../../../tracer-ebpf/object/gostuck-ebpf.aarch64.o");

pub fn trials() -> Vec<Trial> {
    vec![
        trial("the committed object counts parks by multi links", || {
            counts_parks_by(AttachMethod::Multi)
        }),
        trial("the committed object counts parks by perf events", || {
            counts_parks_by(AttachMethod::Perf)
        }),
    ]
}

fn counts_parks_by(method: AttachMethod) {
    let (_directory, path, image) = program(NEWEST);
    let mut load = Load::start(&path);
    let mut probes = Probes::load(Options {
        object: COMMITTED,
        method: Some(method),
        ..small()
    })
    .unwrap();
    assert_eq!(probes.method(), method);
    attach(&mut probes, &load, &image);
    load.pingpong(50);
    let waits = channel_waits(&probes, &load);
    assert!((95..=110).contains(&waits), "{waits}");
}
