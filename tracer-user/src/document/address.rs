//! Addresses in documents.

use std::fmt;

use serde::{Serialize, Serializer};

use ids::{ImageAddr, TargetAddr};

/// An address, written as a hexadecimal string: JSON readers keep 53 bits of a number only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub u64);

impl From<TargetAddr> for Address {
    fn from(address: TargetAddr) -> Self {
        Self(address.0)
    }
}

impl From<ImageAddr> for Address {
    fn from(address: ImageAddr) -> Self {
        Self(address.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
