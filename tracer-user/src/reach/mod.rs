//! What live goroutines can reach: the conservative walk of a target's heap.
