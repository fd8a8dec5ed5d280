//! Labels of metrics. Their values come from targets: they are clean, escaped, and short.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabel, LabelEncoder};

use crate::{document::Process, target_text::clean};

/// Longest label value; the rest is cut off.
const VALUE_LIMIT: usize = 200;

/// One label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    key: &'static str,
    value: String,
}

impl Label {
    /// The label `key` with the value `value`, clean and cut to a bearable length.
    pub fn new(key: &'static str, value: &str) -> Self {
        Self {
            key,
            value: clean(value).chars().take(VALUE_LIMIT).collect(),
        }
    }

    /// Its name.
    #[cfg(test)]
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// Its value.
    #[cfg(test)]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl EncodeLabel for Label {
    fn encode(&self, mut encoder: LabelEncoder<'_>) -> fmt::Result {
        let mut key = encoder.encode_label_key()?;
        key.write_str(self.key)?;
        let mut value = key.encode_label_value()?;
        // prometheus-client writes values as they are.
        for c in self.value.chars() {
            match c {
                '\\' => value.write_str("\\\\")?,
                '"' => value.write_str("\\\"")?,
                '\n' => value.write_str("\\n")?,
                c => value.write_char(c)?,
            }
        }
        value.finish()
    }
}

/// What tells processes apart in metrics: the container where there is one, else the pid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Vec<Label>);

impl Identity {
    /// The identity of `process`.
    pub fn of(process: &Process) -> Self {
        let identity = process.identity.clone().unwrap_or_default();
        // Twelve digits of a container's id tell it apart, as in `docker ps`.
        let short_id = identity
            .container_id
            .as_ref()
            .map(|id| id.raw().get(..12).unwrap_or(id.raw()).into());
        let container = identity.container.or(short_id);
        let pid = match &container {
            Some(_) => String::new(),
            None => process.pid.to_string(),
        };
        Self::new(
            process.command.raw(),
            identity.namespace.unwrap_or_default().raw(),
            identity.pod.unwrap_or_default().raw(),
            container.unwrap_or_default().raw(),
            &pid,
        )
    }

    /// What stands for all processes that there is no room to tell apart.
    pub fn other() -> Self {
        Self::new("other", "", "", "", "")
    }

    fn new(command: &str, namespace: &str, pod: &str, container: &str, pid: &str) -> Self {
        Self(vec![
            Label::new("command", command),
            Label::new("namespace", namespace),
            Label::new("pod", pod),
            Label::new("container", container),
            Label::new("pid", pid),
        ])
    }

    /// Its labels followed by `more`.
    pub fn with(&self, more: impl IntoIterator<Item = Label>) -> Vec<Label> {
        self.0.iter().cloned().chain(more).collect()
    }
}
