//! Hashes of what paths are compared by.

/// A hash of `value`, the same as long as this process runs.
pub fn hash_of(value: &impl std::hash::Hash) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = rustc_hash::FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}
