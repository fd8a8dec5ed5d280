//! Looking a key up in a map of the target, as the runtime would: `m[key].Unlock()`.
//!
//! Hashes are not computed: their seed and their algorithm depend on the machine. All entries are
//! gone through, which small maps allow; those of locks by name or number are small.

use ids::TargetAddr;
use image::GoVersion;
use memory::{Memory, MemoryExt as _};

/// Entries that are gone through at most, free ones included.
const MAX_ENTRIES: u64 = 4096;
/// Longest key that is compared, in bytes.
const MAX_KEY: u64 = 1024;
/// Entries that lie together (`abi.MapBucketCount`, `abi.MapGroupSlots`).
const TOGETHER: u64 = 8;
/// Largest bucket or group: eight keys and elements of 128 bytes at most (`abi.MapMaxKeyBytes`),
/// with what says which are in use, and a pointer.
const MAX_TOGETHER: u64 = 8 + TOGETHER * 256 + 8;

/// `internal/abi.Type` (`runtime._type` before Go 1.21), the same in Go 1.19 to 1.27.
const TYPE_FLAGS: u64 = 20;
const TYPE_KIND: u64 = 23;
const KIND_MASK: u8 = (1 << 5) - 1;
const KIND_STRING: u8 = 24;
/// `TFlagRegularMemory`: equal if all bytes are.
const REGULAR_MEMORY: u8 = 1 << 3;
/// `abi.MapType`, whatever the kind of map: the type of the key.
const MAP_KEY: u64 = 48;

/// How a version of Go lays maps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Buckets with overflow (`runtime/map.go`), until Go 1.23.
    Buckets,
    /// Groups of slots (`internal/runtime/maps`), Go 1.24 to 1.26.
    Slots,
    /// The same with strides for keys and elements, from Go 1.27 on.
    Strides,
}

impl Form {
    /// That of `version`.
    #[must_use]
    pub fn of(version: &GoVersion) -> Self {
        match version.minor {
            ..24 => Self::Buckets,
            24 | 25 if version.raw.contains("noswissmap") => Self::Buckets,
            24..27 => Self::Slots,
            _ => Self::Strides,
        }
    }
}

/// What two keys are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// All bytes; so many.
    Bytes(u64),
    /// A string's.
    Text,
}

/// What came of looking a key up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Its element lies here.
    At(u64),
    /// It is not in the map.
    Nowhere,
}

/// One map of the target, with what its type says of it.
pub struct Map<'a> {
    memory: &'a dyn Memory,
    form: Form,
    at: u64,
    /// What keys are compared by.
    pub key: KeyType,
    entries: Entries,
}

/// Where the entries of one bucket or group lie in it.
#[derive(Debug, Clone, Copy)]
struct Entries {
    bytes: u64,
    key: u64,
    key_stride: u64,
    element: u64,
    element_stride: u64,
    key_is_pointer: bool,
    element_is_pointer: bool,
}

impl<'a> Map<'a> {
    /// The map at `at`, whose type is at `type_at`. `None` when it cannot be read, or when its keys
    /// are compared in ways that are not followed (interfaces, floats, structs with strings).
    #[must_use]
    pub fn open(memory: &'a dyn Memory, form: Form, type_at: u64, at: u64) -> Option<Self> {
        let key_type = word(memory, type_at.checked_add(MAP_KEY)?)?;
        let flags = memory.read_u8(TargetAddr(key_type.checked_add(TYPE_FLAGS)?));
        let kind = memory.read_u8(TargetAddr(key_type.checked_add(TYPE_KIND)?));
        let key = match (kind.ok()? & KIND_MASK, flags.ok()? & REGULAR_MEMORY) {
            (KIND_STRING, _) => KeyType::Text,
            (_, REGULAR_MEMORY) => {
                KeyType::Bytes(word(memory, key_type).filter(|size| *size <= MAX_KEY)?)
            }
            _ => return None,
        };
        let size = match key {
            KeyType::Bytes(size) => size,
            KeyType::Text => 16,
        };
        let entries = Entries::read(memory, form, type_at, size)?;
        Some(Self {
            memory,
            form,
            at,
            key,
            entries,
        })
    }

    /// Where `key` leads: its bytes, or the text of a string. `None` when that could not be told.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<Found> {
        match self.form {
            Form::Buckets => self.find_in_buckets(key),
            Form::Slots | Form::Strides => self.find_in_tables(key),
        }
    }

    /// `runtime.hmap`: `flags` at 8, `B` at 9, `buckets` at 16, `oldbuckets` at 24.
    fn find_in_buckets(&self, key: &[u8]) -> Option<Found> {
        let [flags, log] = word(self.memory, self.at.checked_add(8)?)?.to_le_bytes()[..2] else {
            return None;
        };
        let count = 1u64.checked_shl(u32::from(log))?;
        // `sameSizeGrow`: the buckets that it moves from are as many.
        let old_count = if flags & 8 != 0 { count } else { count / 2 };
        let mut left = MAX_ENTRIES / TOGETHER;
        for (field, count) in [(16, count), (24, old_count)] {
            let buckets = word(self.memory, self.at.checked_add(field)?)?;
            if buckets == 0 {
                continue;
            }
            for index in 0..count {
                let mut bucket = buckets.checked_add(index.checked_mul(self.entries.bytes)?)?;
                while bucket != 0 {
                    left = left.checked_sub(1)?;
                    let bytes = self.read(bucket)?;
                    // `tophash`; smaller ones say that the entry is free or has moved on.
                    let used = |entry: usize| bytes.get(entry).is_some_and(|top| *top >= 5);
                    if let Some(element) = self.entry(bucket, &bytes, used, key)? {
                        return Some(Found::At(element));
                    }
                    bucket = field_of(&bytes, self.entries.bytes.checked_sub(8)?)?;
                }
            }
        }
        Some(Found::Nowhere)
    }

    /// `internal/runtime/maps.Map`: `dirPtr` at 16, `dirLen` at 24.
    fn find_in_tables(&self, key: &[u8]) -> Option<Found> {
        let directory = word(self.memory, self.at.checked_add(16)?)?;
        let tables = word(self.memory, self.at.checked_add(24)?)?;
        if directory == 0 {
            return Some(Found::Nowhere);
        }
        if tables == 0 {
            return self.find_in_groups(directory, 1, key);
        }
        let (mut left, mut last) = (MAX_ENTRIES / TOGETHER, 0);
        for index in 0..tables {
            left = left.checked_sub(1)?;
            let table = word(self.memory, directory.checked_add(8 * index)?)?;
            // One table may have several places in a row.
            if std::mem::replace(&mut last, table) == table {
                continue;
            }
            // `table.groups`: `data` at 16, `lengthMask` at 24.
            let groups = word(self.memory, table.checked_add(16)?)?;
            let count = word(self.memory, table.checked_add(24)?)?.checked_add(1)?;
            left = left.checked_sub(count)?;
            if let Found::At(element) = self.find_in_groups(groups, count, key)? {
                return Some(Found::At(element));
            }
        }
        Some(Found::Nowhere)
    }

    fn find_in_groups(&self, groups: u64, count: u64, key: &[u8]) -> Option<Found> {
        for index in 0..count {
            let group = groups.checked_add(index.checked_mul(self.entries.bytes)?)?;
            let bytes = self.read(group)?;
            // `ctrl`: the high bit says that the slot is free.
            let used = |slot: usize| bytes.get(slot).is_some_and(|ctrl| ctrl & 0x80 == 0);
            if let Some(element) = self.entry(group, &bytes, used, key)? {
                return Some(Found::At(element));
            }
        }
        Some(Found::Nowhere)
    }

    fn read(&self, at: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.entries.bytes).ok()?];
        self.memory.read(TargetAddr(at), &mut bytes).ok()?;
        Some(bytes)
    }

    /// Where the element of `key` lies, if it is among the entries in `bytes`, which begin at `at`.
    #[expect(clippy::option_option, reason = "unreadable, or not among these")]
    fn entry(
        &self,
        at: u64,
        bytes: &[u8],
        used: impl Fn(usize) -> bool,
        key: &[u8],
    ) -> Option<Option<u64>> {
        for (number, entry) in (0..TOGETHER).zip(0usize..) {
            if !used(entry) {
                continue;
            }
            let entries = &self.entries;
            let here = entries.key + number * entries.key_stride;
            let there = if entries.key_is_pointer {
                field_of(bytes, here)?
            } else {
                at.checked_add(here)?
            };
            if !self.is_key(there, key)? {
                continue;
            }
            let element = entries.element + number * entries.element_stride;
            return Some(Some(if entries.element_is_pointer {
                field_of(bytes, element)?
            } else {
                at.checked_add(element)?
            }));
        }
        Some(None)
    }

    /// Whether the key at `at` is `key`.
    fn is_key(&self, at: u64, key: &[u8]) -> Option<bool> {
        match self.key {
            KeyType::Bytes(_) => self.holds(at, key),
            KeyType::Text => {
                let len = word(self.memory, at.checked_add(8)?)?;
                if len != u64::try_from(key.len()).ok()? {
                    return Some(false);
                }
                self.holds(word(self.memory, at)?, key)
            }
        }
    }

    fn holds(&self, at: u64, key: &[u8]) -> Option<bool> {
        let mut bytes = vec![0; key.len()];
        self.memory.read(TargetAddr(at), &mut bytes).ok()?;
        Some(bytes == key)
    }
}

impl Entries {
    /// What the rest of the map's type at `at` says (`abi.MapType`, `abi.SwissMapType`,
    /// `abi.OldMapType`; `runtime.maptype` before Go 1.21), for keys of `size` bytes.
    fn read(memory: &dyn Memory, form: Form, at: u64, size: u64) -> Option<Self> {
        let field = |offset: u64| word(memory, at.checked_add(offset)?);
        let entries = match form {
            Form::Buckets => {
                let packed = field(80)?;
                let (key, element) = (packed & 0xff, packed >> 8 & 0xff);
                let flags = packed >> 32;
                Self {
                    bytes: packed >> 16 & 0xffff,
                    key: TOGETHER,
                    key_stride: key,
                    element: TOGETHER + TOGETHER * key,
                    element_stride: element,
                    key_is_pointer: flags & 1 != 0,
                    element_is_pointer: flags & 2 != 0,
                }
            }
            Form::Slots => {
                let (slot, element, flags) = (field(88)?, field(96)?, field(104)?);
                Self {
                    bytes: field(80)?,
                    key: 8,
                    key_stride: slot,
                    element: element.checked_add(8)?,
                    element_stride: slot,
                    key_is_pointer: flags & 4 != 0,
                    element_is_pointer: flags & 8 != 0,
                }
            }
            Form::Strides => {
                let flags = field(128)?;
                Self {
                    bytes: field(80)?,
                    key: field(88)?,
                    key_stride: field(96)?,
                    element: field(104)?,
                    element_stride: field(112)?,
                    key_is_pointer: flags & 4 != 0,
                    element_is_pointer: flags & 8 != 0,
                }
            }
        };
        entries.is_sound(size).then_some(entries)
    }

    /// Whether all entries lie inside, with room for keys of `size` bytes.
    fn is_sound(&self, size: u64) -> bool {
        let ends_inside = |first: u64, stride: u64| {
            let last = stride.checked_mul(TOGETHER - 1);
            let last = last.and_then(|last| last.checked_add(first));
            last.is_some_and(|last| last <= self.bytes)
        };
        (8..=MAX_TOGETHER).contains(&self.bytes)
            && ends_inside(self.key, self.key_stride)
            && ends_inside(self.element, self.element_stride)
            && (self.key_is_pointer || self.key_stride >= size)
    }
}

fn word(memory: &dyn Memory, at: u64) -> Option<u64> {
    memory.read_u64(TargetAddr(at)).ok()
}

/// The word at `offset` in `bytes`.
fn field_of(bytes: &[u8], offset: u64) -> Option<u64> {
    let offset = usize::try_from(offset).ok()?;
    let word = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests;
