//! The Helm chart: that it is well formed, and that the plain manifests are what it renders to.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::tally::Tally;
use crate::{command, paths, setup};

const CHART: &str = "deploy/helm/gostuck";
const MANIFESTS: &str = "deploy/kubernetes/gostuck.yaml";
/// Everything that is off by default.
const ALL_ON: [&str; 6] = [
    "serviceMonitor.enabled=true",
    "prometheusRule.enabled=true",
    "dashboard.enabled=true",
    "oldKernels=true",
    "tokenSecret=token",
    "priorityClassName=system-node-critical",
];

/// Checks the chart, or says why not.
pub(super) fn check(tally: &mut Tally) {
    let Some(helm) = setup::helm_program() else {
        tally.skip("chart: helm is not installed");
        return;
    };
    let lint = command::run(helm_in_workspace(&helm).args(["lint", "--strict", "--quiet", CHART]));
    tally.check("chart: lint", lint);
    tally.check("chart: plain manifests", manifests_are_current(&helm));
    tally.check("chart: everything on", everything_on(&helm));
}

fn helm_in_workspace(helm: &Path) -> Command {
    let mut command = Command::new(helm);
    command.current_dir(paths::workspace());
    command
}

fn render(helm: &Path, values: &[&str]) -> Result<String> {
    let mut command = helm_in_workspace(helm);
    command.args(["template", "gostuck", CHART, "--namespace", "gostuck"]);
    command.args(["--api-versions", "monitoring.coreos.com/v1"]);
    for value in values {
        command.args(["--set", value]);
    }
    command::output(&mut command).with_context(|| format!("helm template failed with {values:?}"))
}

fn manifests_are_current(helm: &Path) -> Result<()> {
    let committed = fs::read_to_string(paths::workspace().join(MANIFESTS))?;
    // Before it stand a comment and the namespace, which `helm install` makes itself.
    let rendered = render(helm, &[])?;
    ensure!(
        committed.trim_end().ends_with(&rendered),
        "{MANIFESTS} is not what the chart renders to: render it anew as its head says"
    );
    Ok(())
}

fn everything_on(helm: &Path) -> Result<()> {
    let rendered = render(helm, &ALL_ON)?;
    for part in [
        "kind: ServiceMonitor",
        "kind: PrometheusRule",
        "gostuck-dashboard",
        "SYS_ADMIN",
        "priorityClassName: system-node-critical",
    ] {
        ensure!(rendered.contains(part), "the chart renders no `{part}`");
    }
    ensure!(
        render(helm, &["budget=much"]).is_err(),
        "the chart takes a budget that is none"
    );
    Ok(())
}
