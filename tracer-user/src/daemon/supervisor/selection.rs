//! Which processes are followed.

use clap::Args;

use crate::{daemon::kubernetes::Pods, document::command};
use process::{ContainerNames, Process};

/// Which Go processes to follow; all of them without any of these. Several of one option widen the
/// choice, different options narrow it. Pods with the annotation `gostuck.dev/trace: "false"` are
/// left alone.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
#[command(next_help_heading = "Which processes")]
pub struct Selection {
    /// Only processes with this command name (base name of the executable's first argument)
    #[arg(long = "command", value_name = "NAME")]
    commands: Vec<String>,
    /// Only processes of this numeric user id
    #[arg(long = "user", value_name = "UID")]
    users: Vec<u32>,
    /// Only processes whose cgroup path contains this text, for example a slice or a pod's id
    #[arg(long = "cgroup", value_name = "TEXT")]
    cgroups: Vec<String>,
    /// Only processes of pods in this Kubernetes namespace
    #[arg(long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,
    /// Only processes of pods with this label
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = Label::parse)]
    labels: Vec<Label>,
}

/// A Kubernetes label and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Label {
    key: String,
    value: String,
}

/// Whether a process is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Yes.
    Follow,
    /// No.
    Leave,
    /// That depends on names which the Kubernetes API server may still tell.
    Later,
}

impl Selection {
    /// Writes into `process` what `pods` knows of it, and says whether it is followed.
    pub fn choose_named(&self, process: &mut Process, pods: &Pods) -> Choice {
        // In this order: what became known in between is not missed.
        let settled = pods.is_settled();
        pods.name(process);
        self.choose(process, settled)
    }

    /// Whether `process` is followed; `settled` says that its pod, if it is not known by now, is not
    /// going to be.
    fn choose(&self, process: &Process, settled: bool) -> Choice {
        if !self.takes_process(process) {
            return Choice::Leave;
        }
        let container = process.container.as_ref();
        match container.map(|container| (container, container.names.as_deref())) {
            Some((_, Some(names))) if self.takes_pod(names) => Choice::Follow,
            Some((_, Some(_))) => Choice::Leave,
            Some((container, None)) if container.pod.is_some() && !settled => Choice::Later,
            _ if self.namespaces.is_empty() && self.labels.is_empty() => Choice::Follow,
            _ => Choice::Leave,
        }
    }

    fn takes_process(&self, process: &Process) -> bool {
        let command = command(process);
        let by_command =
            self.commands.is_empty() || self.commands.iter().any(|known| command == known.as_str());
        let by_user = self.users.is_empty() || self.users.contains(&process.uid);
        let by_cgroup =
            self.cgroups.is_empty() || self.cgroups.iter().any(|text| in_cgroup(process, text));
        by_command && by_user && by_cgroup
    }

    fn takes_pod(&self, pod: &ContainerNames) -> bool {
        let by_namespace = self.namespaces.is_empty() || self.namespaces.contains(&pod.namespace);
        let has = |label: &Label| pod.labels.get(&label.key) == Some(&label.value);
        let by_label = self.labels.is_empty() || self.labels.iter().any(has);
        pod.traced && by_namespace && by_label
    }
}

impl Label {
    fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or("a label is written KEY=VALUE")?;
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

fn in_cgroup(process: &Process, text: &str) -> bool {
    let mut paths = process.cgroups.paths();
    paths.any(|path| path.to_string_lossy().contains(text))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use ids::Pid;
    use process::{Container, ContainerId, ContainerRuntime};

    fn process(names: Option<ContainerNames>) -> Process {
        let mut process = Process::open(Pid(std::process::id())).unwrap();
        let path = format!(
            "/kubepods/pod8dbc5577-d0e2-4706-8787-57d52c03ddf2/{}",
            "a".repeat(64)
        );
        process.container = Some(Container {
            runtime: ContainerRuntime::Containerd,
            id: ContainerId::parse(&"a".repeat(64)).unwrap(),
            pod: Container::in_path(path.as_ref()).unwrap().pod,
            names: names.map(Arc::new),
        });
        process
    }

    fn names(traced: bool) -> ContainerNames {
        ContainerNames {
            namespace: "shop".to_owned(),
            pod: "cart-0".to_owned(),
            container: None,
            node: "node-a".to_owned(),
            labels: BTreeMap::from([("app".to_owned(), "cart".to_owned())]),
            traced,
        }
    }

    fn selection(namespaces: &[&str], labels: &[&str]) -> Selection {
        Selection {
            namespaces: namespaces.iter().map(ToString::to_string).collect(),
            labels: labels
                .iter()
                .map(|text| Label::parse(text).unwrap())
                .collect(),
            ..Selection::default()
        }
    }

    #[test]
    fn pods_are_chosen_by_namespace_and_label_and_may_opt_out() {
        use Choice::{Follow, Leave};
        let known = process(Some(names(true)));
        let choose = |selection: Selection| selection.choose(&known, true);
        assert_eq!(choose(selection(&[], &[])), Follow);
        assert_eq!(choose(selection(&["shop", "bank"], &["app=cart"])), Follow);
        assert_eq!(choose(selection(&["bank"], &["app=cart"])), Leave);
        assert_eq!(choose(selection(&["shop"], &["app=till"])), Leave);
        let opted_out = process(Some(names(false)));
        assert_eq!(selection(&[], &[]).choose(&opted_out, true), Leave);
    }

    #[test]
    fn a_pod_that_is_not_known_yet_is_decided_on_later() {
        let unknown = process(None);
        assert_eq!(selection(&[], &[]).choose(&unknown, false), Choice::Later);
        assert_eq!(selection(&[], &[]).choose(&unknown, true), Choice::Follow);
        assert_eq!(
            selection(&["shop"], &[]).choose(&unknown, true),
            Choice::Leave
        );
        let mut bare = process(None);
        bare.container = None;
        assert_eq!(selection(&[], &[]).choose(&bare, false), Choice::Follow);
        assert_eq!(selection(&[], &["a=b"]).choose(&bare, false), Choice::Leave);
    }

    #[test]
    fn a_label_has_a_key_and_a_value() {
        assert!(Label::parse("app=").is_ok());
        assert!(Label::parse("=x").is_err());
        assert!(Label::parse("app").is_err());
    }
}
