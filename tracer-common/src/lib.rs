//! The contract between gostuck's BPF programs and its daemon: ring-buffer records, map keys and
//! values, counter indices. No dependencies, no allocation; every type is `repr(C)` without
//! implicit padding.
#![no_std]
