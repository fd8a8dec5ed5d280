//! How much of an executable is read, and how much of it is kept.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const MIB: u64 = 1 << 20;

/// Longest file that is opened, in bytes: the linker makes none of half that length.
pub const MAX_FILE: u64 = 4 << 30;
/// Most sections and most segments: linkers make some dozens.
pub const MAX_HEADERS: u64 = 4096;
/// Longest table of section names, in bytes.
pub const MAX_NAMES: u64 = MIB;

/// Bounds for one image. What is beyond them is refused, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBounds {
    /// Longest symbol table, and longest table of its names, in bytes. Neither is kept.
    pub symbols: u64,
    /// Longest table of relocations, in bytes, of which a third is kept.
    pub relocations: u64,
    /// Longest debug information, inflated, in bytes. It is read piece by piece.
    pub debug_information: u64,
    /// Bytes that are read while the file is parsed.
    pub read: u64,
    /// Bytes of the file that are kept in memory; the rest is read each time.
    pub kept: u64,
}

impl ImageBounds {
    /// For a command that looks at one program.
    pub const COMMAND: Self = Self {
        symbols: 512 * MIB,
        relocations: 192 * MIB,
        debug_information: 512 * MIB,
        read: 4096 * MIB,
        kept: 256 * MIB,
    };
    /// For a daemon, which looks at whatever others start.
    pub const DAEMON: Self = Self {
        symbols: 256 * MIB,
        relocations: 48 * MIB,
        debug_information: 256 * MIB,
        read: 1024 * MIB,
        kept: 32 * MIB,
    };
}

impl Default for ImageBounds {
    fn default() -> Self {
        Self::COMMAND
    }
}

/// Memory that many images keep together, up to a limit. Clones count together.
#[derive(Debug, Clone)]
pub struct SharedMemory(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    most: u64,
    held: AtomicU64,
}

impl SharedMemory {
    /// Up to `most` bytes.
    #[must_use]
    pub fn of(most: u64) -> Self {
        Self(Arc::new(Memory {
            most,
            held: AtomicU64::new(0),
        }))
    }

    /// Bytes that are held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Whether `bytes` more may be held, where all are to be no more than `most`; they count from then
    /// on.
    fn take(&self, bytes: u64, most: u64) -> bool {
        let more = |held: u64| held.checked_add(bytes).filter(|held| *held <= most);
        let (order, held) = (Ordering::Relaxed, &self.0.held);
        held.fetch_update(order, order, more).is_ok()
    }
}

impl Default for SharedMemory {
    /// Without a limit.
    fn default() -> Self {
        Self::of(u64::MAX)
    }
}

/// What one image keeps of what all may keep; given back when dropped.
#[derive(Debug)]
pub struct Keeping {
    shared: SharedMemory,
    most: u64,
    held: AtomicU64,
}

impl Keeping {
    /// Up to `most` bytes, as long as all together do not come to their limit.
    pub fn new(shared: SharedMemory, most: u64) -> Self {
        Self {
            shared,
            most,
            held: AtomicU64::new(0),
        }
    }

    /// Whether `bytes` of the file may be kept; they count from then on. Half of what there is for all
    /// images is left for what no image can do without.
    pub fn take(&self, bytes: u64) -> bool {
        self.take_of(bytes, self.shared.0.most / 2)
    }

    /// Likewise for `bytes` of tables without which the image is of no use.
    pub fn take_for_table(&self, bytes: u64) -> bool {
        self.take_of(bytes, self.shared.0.most)
    }

    fn take_of(&self, bytes: u64, most: u64) -> bool {
        let own = self.held.load(Ordering::Relaxed);
        let fits = own.checked_add(bytes).is_some_and(|own| own <= self.most);
        let taken = fits && self.shared.take(bytes, most);
        if taken {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
        taken
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        let held = self.held.load(Ordering::Relaxed);
        self.shared.0.held.fetch_sub(held, Ordering::Relaxed);
    }
}

/// A number of bytes, as people read it.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        match UNITS.iter().find(|(bytes, _)| self.0 >= *bytes) {
            Some((bytes, unit)) => write!(f, "{} {unit}", self.0 / bytes),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_keep_together_what_there_is_and_give_it_back() {
        let shared = SharedMemory::of(200);
        let (first, second) = (
            Keeping::new(shared.clone(), 80),
            Keeping::new(shared.clone(), 80),
        );
        assert!(first.take(70) && !first.take(11));
        assert!(second.take(30) && !second.take(1));
        assert!(second.take_for_table(50) && !second.take_for_table(1));
        drop(first);
        assert_eq!(shared.held(), 80);
        assert!(!second.take(1));
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(Size(690_000_000).to_string(), "690 MB");
        assert_eq!(Size(1000 << 30).to_string(), "1073 GB");
        assert_eq!(Size(12).to_string(), "12 bytes");
    }
}
