//! One process over time: events and snapshots in, waits out.
