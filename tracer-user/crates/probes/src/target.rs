//! What the BPF programs are told of a target.

use std::path::Path;

use tracer_common::{CLASSES, REASONS, Target, WaitClass, flags};

use super::error::ProbeError;
use image::{Image, ProbeSite, ProbeSites, SiteKind, WaitReason};

/// The class that the BPF programs measure `reason` under.
pub(super) const fn class_of(reason: WaitReason) -> WaitClass {
    match reason {
        WaitReason::ChanReceive => WaitClass::ChanReceive,
        WaitReason::ChanSend => WaitClass::ChanSend,
        WaitReason::Select => WaitClass::Select,
        WaitReason::ChanReceiveNil
        | WaitReason::ChanSendNil
        | WaitReason::SelectNoCases
        | WaitReason::SelectAllNil => WaitClass::Forever,
        WaitReason::CondWait => WaitClass::CondWait,
        WaitReason::MutexLock => WaitClass::MutexLock,
        WaitReason::RwMutexRLock => WaitClass::RwMutexRLock,
        WaitReason::RwMutexLock => WaitClass::RwMutexLock,
        WaitReason::WaitGroupWait => WaitClass::WaitGroupWait,
        WaitReason::Semacquire => WaitClass::Semacquire,
        _ => WaitClass::Ignored,
    }
}

/// The words of a class, as Go's goroutine dumps spell them.
pub(super) const fn class_name(class: WaitClass) -> &'static str {
    match class {
        WaitClass::Ignored => "other",
        WaitClass::ChanReceive => "chan receive",
        WaitClass::ChanSend => "chan send",
        WaitClass::Select => "select",
        WaitClass::Forever => "forever",
        WaitClass::CondWait => "sync.Cond.Wait",
        WaitClass::MutexLock => "sync.Mutex.Lock",
        WaitClass::RwMutexRLock => "sync.RWMutex.RLock",
        WaitClass::RwMutexLock => "sync.RWMutex.Lock",
        WaitClass::WaitGroupWait => "sync.WaitGroup.Wait",
        WaitClass::Semacquire => "semacquire",
    }
}

const _: () = assert!(WaitClass::MEASURED.len() < CLASSES);

/// The map value for a process of `image`.
pub(super) fn describe(
    image: &Image,
    path: &Path,
    sites: &ProbeSites,
    slot: u32,
    options: &super::Options,
) -> Result<Target, ProbeError> {
    let offset = |field: &'static str, value: u64| {
        u32::try_from(value).map_err(|_| ProbeError::Layout {
            path: path.to_owned(),
            field,
        })
    };
    let layout = image.layout();
    let mut classes = [WaitClass::Ignored as u8; REASONS];
    for (number, class) in (0_u8..).zip(classes.iter_mut()) {
        *class = class_of(image.wait_reason(number)) as u8;
    }
    Ok(Target {
        goid_offset: offset("g.goid", layout.g.goid)?,
        m_offset: offset("g.m", layout.g.m)?,
        curg_offset: offset("m.curg", layout.m.curg)?,
        slot,
        flags: site_flags(sites)
            | if options.send_parks {
                flags::SEND_PARKS
            } else {
                0
            },
        park_quota: (options.park_entries / 2).max(1),
        park_entries: 0,
        send_wakes_from_ns: u64::try_from(options.send_wakes_from.as_nanos()).unwrap_or(u64::MAX),
        lock_hint_ns: 0,
        classes,
    })
}

fn site_flags(sites: &ProbeSites) -> u32 {
    let jump = |site: Option<ProbeSite>, flag: u32| match site {
        Some(ProbeSite {
            kind: SiteKind::Jump,
            ..
        }) => flag,
        _ => 0,
    };
    jump(sites.park, flags::PARK_AT_JUMP)
        | jump(sites.ready, flags::READY_AT_JUMP)
        | jump(sites.semacquire, flags::SEMACQUIRE_AT_JUMP)
        | jump(sites.newm, flags::NEWM_AT_JUMP)
}
