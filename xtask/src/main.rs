//! Sets up, builds, tests, demonstrates and measures gostuck.

fn main() {}
