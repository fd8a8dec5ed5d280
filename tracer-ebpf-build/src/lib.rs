//! Where the BPF object comes from that `tracer-user` embeds.
//!
//! It is committed, one for each architecture, in `tracer-ebpf/object/`, beside the digests of the
//! sources that it was built of. As long as those fit ([`Committed::misfit`]), nobody needs a
//! compiler for BPF. Otherwise, and wherever it is asked for, [`Toolchain::compile`] builds it.
//!
//! Used by the build script of `tracer-user` and by `cargo xtask ebpf`, which renews what is
//! committed.

mod committed;
mod compile;
mod linker;
mod sources;
mod strip;
mod toolchain;

pub use committed::Committed;
pub use sources::{PACKAGES, Sources};
pub use toolchain::{INPUTS, Toolchain};

/// The architectures of hosts that there is an object for, as cargo names them: a probe reads the
/// host's registers.
pub const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// The variable of the environment that names an object that was built elsewhere.
pub const GIVEN: &str = "GOSTUCK_EBPF_OBJECT";

/// The variables of which each asks for an object that is built here.
pub const FROM_SOURCE: [&str; 4] = [
    "GOSTUCK_EBPF_FROM_SOURCE",
    "GOSTUCK_EBPF_TOOLCHAIN",
    "GOSTUCK_EBPF_RUSTC",
    "GOSTUCK_BPF_LINKER",
];

/// The cargo target that the object is compiled for.
const TARGET: &str = "bpfel-unknown-none";
