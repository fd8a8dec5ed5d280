//! The Helm chart: that it is well formed, and that the plain manifests are what it renders to.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::tally::Tally;
use crate::{command, paths, setup};

const CHART: &str = "deploy/helm/gostuck";
const MANIFESTS: &str = "deploy/kubernetes/gostuck.yaml";
/// What the manifests are rendered with: nobody but a cluster can keep a random token.
const OF_MANIFESTS: [&str; 1] = ["tokenSecret=gostuck-token"];
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
    tally.check("chart: token and network policy", access(&helm));
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
    let rendered = render(helm, &OF_MANIFESTS)?;
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

/// The one value of `key` in `rendered`.
fn value<'a>(rendered: &'a str, key: &str) -> Result<&'a str> {
    let mut values = rendered
        .lines()
        .filter_map(|line| line.trim().strip_prefix(key));
    let value = values.next().with_context(|| format!("no `{key}`"))?;
    ensure!(values.next().is_none(), "more than one `{key}`");
    Ok(value.trim().trim_matches('"'))
}

/// Nobody reads stacks without a token, and nobody else's pods reach the port, unless told so.
fn access(helm: &Path) -> Result<()> {
    const ASKS: &str = "--token-file=/etc/gostuck/token";
    const POLICY: &str = "kind: NetworkPolicy";
    let by_default = render(helm, &[])?;
    for part in [
        "kind: Secret",
        ASKS,
        POLICY,
        "policyTypes: [Ingress]",
        "secret: {secretName: \"gostuck-token\"}",
        "kubernetes.io/metadata.name: monitoring",
    ] {
        ensure!(by_default.contains(part), "by default there is no `{part}`");
    }
    // 48 random letters and digits in base64.
    let token = value(&by_default, "token:")?.to_owned();
    ensure!(token.len() == 64, "the token is {token:?}");
    let again = render(helm, &[])?;
    ensure!(
        value(&again, "token:")? != token,
        "all clusters have one token"
    );
    ensure!(
        again.replace(value(&again, "token:")?, &token) == by_default,
        "more than the token is random"
    );

    let own = render(helm, &["tokenSecret=mine"])?;
    ensure!(
        own.contains("secret: {secretName: \"mine\"}") && own.contains(ASKS),
        "a token of one's own is not asked for"
    );
    ensure!(!own.contains("kind: Secret"), "a token is made for nothing");

    let open = render(
        helm,
        &["generateToken=false", "networkPolicy.enabled=false"],
    )?;
    for part in ["kind: Secret", ASKS, POLICY, "volumes:"] {
        ensure!(!open.contains(part), "`{part}` although it is switched off");
    }
    let closed = render(helm, &["networkPolicy.from=null"])?;
    ensure!(
        closed.contains("  ingress:\n    []\n"),
        "a policy that lets nobody in lets somebody in"
    );
    Ok(())
}
