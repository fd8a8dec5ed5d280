//! The probes themselves: loaded and tried, which tells more than any version number.

use super::check::Check;
use probes::{AttachMethod, HitCost, Options, ProbeError, Probes};

const SUBJECT: &str = "probes";

/// Loads the probes, and hits them.
pub fn checks() -> Vec<Check> {
    let tried = || -> Result<(AttachMethod, HitCost), ProbeError> {
        let mut probes = Probes::load(Options {
            targets: 2,
            park_entries: 1 << 10,
            processes: true,
            ..Options::default()
        })?;
        Ok((probes.method(), probes.calibrate()?))
    };
    let check = match tried() {
        Ok((AttachMethod::Multi, cost)) => Check::good(
            SUBJECT,
            format!("by uprobe_multi; a hit costs {:.1?}", cost.per_hit()),
        ),
        Ok((AttachMethod::Perf, cost)) => Check::limited(
            SUBJECT,
            format!("by perf events; a hit costs {:.1?}", cost.per_hit()),
            "attaching and detaching take seconds, and need root",
        )
        .remedy("Linux 6.10 or later has uprobe_multi with a sound process filter"),
        Err(error) => Check::limited(
            SUBJECT,
            error.to_string(),
            "watch, run and top look at intervals only: findings come later, waits are not timed",
        ),
    };
    vec![check]
}
