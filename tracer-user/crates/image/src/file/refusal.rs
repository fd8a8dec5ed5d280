//! Why something of a file was not read.

use std::io;

/// Why something of a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file is not as it should be; says of what and how.
    #[error("{0}")]
    Unfit(String),
    /// The system refused.
    #[error(transparent)]
    Failed(#[from] io::Error),
    /// All images together keep as much as they may.
    #[error("the images of other programs take all the memory that there is for images")]
    NoMemory,
    /// The work that it is part of was cut short.
    #[error("reading it was cut short")]
    Cut,
}

impl Refusal {
    /// The file is not as it should be, for this reason.
    pub fn unfit(reason: impl Into<String>) -> Self {
        Self::Unfit(reason.into())
    }
}
