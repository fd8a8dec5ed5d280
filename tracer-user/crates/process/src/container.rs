//! Which container and pod a process belongs to, from its cgroup paths.
//!
//! The paths are those that the runtimes' cgroup drivers make (systemd and cgroupfs, v1 and v2);
//! the tests list one of each.

use std::{fmt, path::Path, sync::Arc};

use super::{CgroupMembership, ContainerNames};

/// The software that made a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerRuntime {
    /// containerd under Kubernetes (`cri-containerd`).
    Containerd,
    /// CRI-O.
    CriO,
    /// Docker.
    Docker,
    /// Podman and other users of libpod.
    Podman,
    /// The path names a container but not its runtime (`cgroupfs` driver under Kubernetes).
    Unknown,
}

impl ContainerRuntime {
    /// Its usual name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Unknown => "unknown",
        }
    }
}

/// A container's id: 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// `text` when it has the form of a container id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    /// The id whole.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as people write it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A Kubernetes pod's UID, with dashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodUid(String);

impl PodUid {
    /// The UID in a path component of kubelet: `pod<uid>` (cgroupfs driver) or
    /// `kubepods-burstable-pod<uid with underscores>.slice` (systemd driver).
    pub fn in_component(component: &str) -> Option<Self> {
        let component = component.split(':').next()?;
        let name = component.strip_suffix(".slice").unwrap_or(component);
        let uid = match name.strip_prefix("pod") {
            Some(uid) => uid,
            None if name.starts_with("kubepods") => name.rsplit_once("-pod")?.1,
            None => return None,
        };
        let uid = uid.replace('_', "-");
        // Static pods have the digest of their manifest for a UID: 32 digits without dashes.
        let digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        (matches!(uid.len(), 32 | 36) && uid.bytes().all(digit)).then_some(Self(uid))
    }

    /// The UID as the API server writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A process's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Who made it.
    pub runtime: ContainerRuntime,
    /// Which.
    pub id: ContainerId,
    /// Its pod, under Kubernetes.
    pub pod: Option<PodUid>,
    /// What Kubernetes calls it, where that was asked and told ([`super::Pods::name`]).
    pub names: Option<Arc<ContainerNames>>,
}

impl Container {
    /// The container that the paths of `cgroups` name.
    #[must_use]
    pub fn of(cgroups: &CgroupMembership) -> Option<Self> {
        cgroups.paths().find_map(Self::in_path)
    }

    /// The innermost container in one cgroup path.
    pub fn in_path(path: &Path) -> Option<Self> {
        let components: Vec<&str> = path
            .components()
            .filter_map(|component| component.as_os_str().to_str())
            .collect();
        let (index, (runtime, id)) = components
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, component)| Some((index, container_in(component)?)))?;
        let above = &components[..index];
        let runtime = match runtime {
            ContainerRuntime::Unknown if above.last() == Some(&"docker") => {
                ContainerRuntime::Docker
            }
            named => named,
        };
        let pod = components[..=index]
            .iter()
            .rev()
            .find_map(|component| PodUid::in_component(component));
        // A bare id means something below a runtime's or kubelet's own directory only.
        if runtime == ContainerRuntime::Unknown && pod.is_none() {
            return None;
        }
        Some(Self {
            runtime,
            id,
            pod,
            names: None,
        })
    }
}

/// The container that one path component names: `RUNTIME-ID.scope`, `RUNTIME-ID`,
/// `SLICE:RUNTIME:ID`, or a bare id.
fn container_in(component: &str) -> Option<(ContainerRuntime, ContainerId)> {
    let name = component.strip_suffix(".scope").unwrap_or(component);
    if let Some(id) = ContainerId::parse(name) {
        return Some((ContainerRuntime::Unknown, id));
    }
    let (prefix, id) = match name.rsplit_once(':') {
        Some((before, id)) => (before.rsplit(':').next()?, id),
        None => name.rsplit_once('-')?,
    };
    let runtime = match prefix {
        "cri-containerd" => ContainerRuntime::Containerd,
        "crio" => ContainerRuntime::CriO,
        "docker" => ContainerRuntime::Docker,
        "libpod" => ContainerRuntime::Podman,
        // `crio-conmon` and `libpod-conmon` hold the runtime's own monitor, not the container.
        _ => return None,
    };
    Some((runtime, ContainerId::parse(id)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "8dbc5577-d0e2-4706-8787-57d52c03ddf2";

    fn found(path: &str) -> Option<(ContainerRuntime, Option<String>)> {
        let path = path
            .replace("UID_", &UID.replace('-', "_"))
            .replace("UID", UID)
            .replace("ID", ID);
        let container = Container::in_path(Path::new(&path))?;
        assert_eq!(container.id.as_str(), ID);
        Some((
            container.runtime,
            container.pod.map(|uid| uid.as_str().to_owned()),
        ))
    }

    #[test]
    fn every_runtime_and_driver_is_recognised() {
        use ContainerRuntime::{Containerd, CriO, Docker, Podman, Unknown};
        let pod = Some(UID.to_owned());
        for (path, runtime, pod) in [
            ("/docker/ID", Docker, None),
            ("/system.slice/docker-ID.scope", Docker, None),
            ("/system.slice/docker-ID.scope/init.scope", Docker, None),
            ("/machine.slice/libpod-ID.scope/container", Podman, None),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
                Podman,
                None,
            ),
            ("/libpod_parent/libpod-ID", Podman, None),
            ("/kubepods/burstable/podUID/ID", Unknown, pod.clone()),
            ("/kubepods/podUID/crio-ID", CriO, pod.clone()),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/cri-containerd-ID.scope",
                Containerd,
                pod.clone(),
            ),
            (
                "/kubepods.slice/kubepods-podUID_.slice/crio-ID.scope/container",
                CriO,
                pod.clone(),
            ),
            (
                "/system.slice/containerd.service/kubepods-besteffort-podUID_.slice:cri-containerd:ID",
                Containerd,
                pod.clone(),
            ),
            (
                "/../../kubelet.slice/kubelet-kubepods.slice/kubepods-podUID_.slice/cri-containerd-ID.scope",
                Containerd,
                pod,
            ),
        ] {
            assert_eq!(found(path), Some((runtime, pod)), "{path}");
        }
    }

    #[test]
    fn what_is_no_container_is_none() {
        for path in [
            "/",
            "/user.slice/user-1000.slice/session-2.scope",
            "/ID",
            "/build/ID",
            "/machine.slice/libpod-conmon-ID.scope",
            "/system.slice/crio-conmon-ID.scope",
            "/system.slice/docker-0123.scope",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn a_static_pod_has_a_digest_for_a_uid() {
        let uid = "0123456789abcdef0123456789abcdef";
        let path = format!("/kubepods/burstable/pod{uid}/{ID}");
        let container = Container::in_path(Path::new(&path)).unwrap();
        assert_eq!(container.pod.unwrap().as_str(), uid);
        assert_eq!(container.id.short(), "0123456789ab");
    }
}
