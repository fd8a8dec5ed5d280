//! Texts of the kernel and of targets that are read by hand: lines of `/proc/PID/maps` and `/proc/PID/cgroup`,
//! versions, and whatever is shown. The first byte of an input says which.

use std::{hint::black_box, path::PathBuf};

use tracer_user::{
    image::GoVersion,
    process::{CgroupMembership, CgroupPath, Container, ContainerId, Mappings},
    target_text::{TargetText, clean, is_harmful},
};

/// Reads the text.
pub(crate) fn run(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(bytes);
    match kind % 4 {
        0 => mappings(bytes),
        1 => cgroups(&text),
        2 => {
            let version = GoVersion::parse(&text);
            black_box(version.map(|version| version.at_least(19)));
            let id = ContainerId::parse(&text);
            black_box(id.as_ref().map(ContainerId::short));
        }
        _ => {
            let shown = TargetText::from(&*text).to_string();
            assert!(!shown.contains(is_harmful), "{shown:?}");
            assert_eq!(clean(&text), shown);
        }
    }
}

fn mappings(bytes: &[u8]) {
    let Ok(mappings) = Mappings::read(bytes, "/bin/server") else {
        return;
    };
    for mapping in &mappings.mappings {
        assert!(mapping.range.start < mapping.range.end);
        black_box(mappings.get(mapping.range.start));
        black_box(mappings.get(mapping.range.end));
    }
}

fn cgroups(text: &str) {
    let paths = text.lines().take(64);
    let mut paths = paths.map(|line| CgroupPath(PathBuf::from(line)));
    let membership = CgroupMembership {
        unified: paths.next(),
        v1: paths
            .map(|path| (vec!["cpu".to_owned(), "name=systemd".to_owned()], path))
            .collect(),
    };
    black_box(membership.v1_path("cpu"));
    black_box(Container::of(&membership));
}

/// One text of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let id = "0123456789abcdef".repeat(4);
    let maps = "00400000-00500000 r-xp 00001000 fe:01 77  /bin/server\n\
                c000000000-c000400000 rw-p 00000000 00:00 0 \n\
                7ffc0000-7ffd0000 r--p 00000000 00:00 0  [vvar]\n";
    let cgroups = format!(
        "/kubepods.slice/kubepods-pod01234567_89ab_cdef_0123_456789abcdef.slice/cri-containerd-{id}.scope\n\
         /kubepods/burstable/pod01234567-89ab-cdef-0123-456789abcdef/{id}\n\
         /docker/{id}\n/system.slice/docker-{id}.scope\n/machine.slice/libpod-{id}.scope/container\n"
    );
    let of = |kind: u8, text: &str| [&[kind][..], text.as_bytes()].concat();
    vec![
        of(0, maps),
        of(1, &cgroups),
        of(2, "go1.27.3"),
        of(2, "devel go1.28-abcdef Mon X:loopvar"),
        of(2, &id),
        of(3, "a\u{202e}b\u{1b}[31m\n\u{feff}c"),
    ]
}
