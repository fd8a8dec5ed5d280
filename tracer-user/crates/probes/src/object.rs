//! The BPF object that the build script made of `tracer-ebpf`.

/// The ELF object, aligned as aya's parser wants it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gostuck-ebpf"));
