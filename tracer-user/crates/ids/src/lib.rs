//! The newtypes that every room shares: identities and addresses that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Padded as asked for: tables are made of these.
                f.pad(&format!($format, self.0))
            }
        }
    };
}

number!(
    /// A process (thread group) id as the host's initial pid namespace numbers it.
    Pid(u32), "{}"
);
number!(
    /// A thread id.
    Tid(u32), "{}"
);
number!(
    /// A goroutine id (`runtime.g.goid`). Ids are never reused within one process; `g` structs are.
    Goid(u64), "{}"
);
number!(
    /// A virtual address in a running target.
    TargetAddr(u64), "{:#x}"
);
number!(
    /// A virtual address as linked into an image, before the loader's bias is added.
    ImageAddr(u64), "{:#x}"
);
number!(
    /// A byte offset in an image's file: what a uprobe is placed at.
    FileOffset(u64), "{:#x}"
);
number!(
    /// What the loader added to every [`ImageAddr`] of an image in one process (0 unless PIE).
    LoadBias(u64), "{:#x}"
);

impl TargetAddr {
    /// The address `bytes` further on, wrapping like the machine does.
    #[must_use]
    pub const fn offset(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The address `bytes` before, wrapping like the machine does.
    #[must_use]
    pub const fn back(self, bytes: u64) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }

    /// Whether this is Go's nil.
    #[must_use]
    pub const fn is_nil(self) -> bool {
        self.0 == 0
    }

    /// The image's own address of this place.
    #[must_use]
    pub const fn in_image(self, bias: LoadBias) -> ImageAddr {
        ImageAddr(self.0.wrapping_sub(bias.0))
    }
}

impl ImageAddr {
    /// The address `bytes` further on, wrapping like the machine does.
    #[must_use]
    pub const fn offset(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// Where this place lies in a process that loaded the image with `bias`.
    #[must_use]
    pub const fn in_target(self, bias: LoadBias) -> TargetAddr {
        TargetAddr(self.0.wrapping_add(bias.0))
    }
}
