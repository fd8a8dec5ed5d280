//! Whole diagnoses of processes made by hand: which findings, and what they say.

mod forever;
mod locks;
mod waits;

use std::sync::Arc;

use super::{
    fixture::{self, KEY, NOW_NS, Process, Table},
    *,
};
use graph::{GoroutineNode, Reachability, solve};
use holders::{Acquisition, Certainty, ReleaseKind, Taken};
use ids::{Goid, ImageAddr, TargetAddr};
use image::WaitReason;
use process::CpuLimit;
use snapshot::{Operation, Status, ThreadState, WaitSince};

pub(super) const S: u64 = 1_000_000_000;

pub(super) fn evidence(process: &Process) -> Evidence {
    Evidence {
        process: KEY,
        cpu_limit: None,
        snapshot: Arc::new(process.snapshot.clone()),
        holders: process.holders.clone(),
        pending: process.pending.clone(),
        main_rests: false,
        one_moment: false,
        watched: None,
    }
}

/// One inspection.
pub(crate) fn glance(process: &Process) -> Diagnosis {
    diagnose(evidence(process), None, None, &Table, &Options::default())
}

/// Two inspections, with `change` happening in between.
pub(super) fn look_twice(mut process: Process, change: impl FnOnce(&mut Process)) -> Diagnosis {
    let first = glance(&process);
    process.snapshot.taken_ns += S / 10;
    change(&mut process);
    diagnose(
        evidence(&process),
        None,
        Some(&first),
        &Table,
        &Options::default(),
    )
}

pub(super) fn looked(process: Process) -> Diagnosis {
    look_twice(process, |_| {})
}

pub(super) fn of_kind(diagnosis: &Diagnosis, kind: FindingKind) -> &Finding {
    let found: Vec<_> = diagnosis
        .findings
        .iter()
        .filter(|f| f.kind == kind)
        .collect();
    match found[..] {
        [finding] => finding,
        _ => panic!("one {kind} expected: {:#?}", diagnosis.findings),
    }
}

pub(super) fn kinds(diagnosis: &Diagnosis) -> Vec<(FindingKind, Verdict)> {
    let findings = diagnosis.findings.iter();
    findings.map(|f| (f.kind, f.verdict)).collect()
}

pub(super) fn goids(goids: &[u64]) -> Vec<Goid> {
    goids.iter().copied().map(Goid).collect()
}
