//! Whose a process is.

use super::Process;

/// Who answers for a process: its container where it runs in one, else its user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The processes of this container.
    Container(String),
    /// The processes of this real user id outside containers.
    User(u32),
}

impl Owner {
    /// The owner of `process`.
    #[must_use]
    pub fn of(process: &Process) -> Self {
        let container = process.container.as_ref();
        container.map_or(Self::User(process.uid), |container| {
            Self::Container(container.id.as_str().to_owned())
        })
    }
}
