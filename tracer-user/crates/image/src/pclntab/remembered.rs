//! What was decoded once, up to a number of bytes.

use std::sync::{PoisonError, RwLock};

use rustc_hash::FxHashMap;

/// When so many bytes are remembered, all are forgotten.
const MAX_BYTES: usize = 8 << 20;

/// Values by number.
#[derive(Debug)]
pub(super) struct Remembered<V>(RwLock<Values<V>>);

#[derive(Debug)]
struct Values<V> {
    by_number: FxHashMap<u32, V>,
    bytes: usize,
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self(RwLock::new(Values {
            by_number: FxHashMap::default(),
            bytes: 0,
        }))
    }
}

impl<V: Clone> Remembered<V> {
    pub(super) fn get(&self, number: u32) -> Option<V> {
        let values = self.0.read().unwrap_or_else(PoisonError::into_inner);
        values.by_number.get(&number).cloned()
    }

    /// Remembers a value that takes `bytes`, beside its place here.
    pub(super) fn insert(&self, number: u32, value: V, bytes: usize) {
        let bytes = bytes + 2 * size_of::<(u32, V)>();
        let mut values = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if values.bytes + bytes > MAX_BYTES {
            values.by_number = FxHashMap::default();
            values.bytes = 0;
        }
        if values.by_number.insert(number, value).is_none() {
            values.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let remembered = Remembered::default();
        for number in 0..100 {
            remembered.insert(number, number, 1 << 20);
        }
        assert_eq!(remembered.get(99), Some(99));
        assert_eq!(remembered.get(0), None);
        let values = remembered.0.read().unwrap();
        assert!(values.by_number.len() < 8 && values.bytes <= MAX_BYTES);
    }
}
