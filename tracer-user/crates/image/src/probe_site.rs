//! Where to place a probe on a Go function.
//!
//! A uprobe on an instruction that the kernel emulates costs a tenth of one that it has to
//! single-step, and a function's first instruction, the stack check, is of the second kind. So a
//! probe goes on an emulated one after the check, which in Go 1.21 and later is a `push %rbp`:
//! arguments and `g` are still in their registers, and every call passes it once. Where there is
//! none before an argument is gone (Go 1.20 and earlier), it goes on the `jbe` of the check, and hits
//! whose flags say that it jumps are not calls, since the function starts again after `morestack`.
//! Else the entry serves.

mod amd64;

use super::{Arch, Function, Image};
use ids::{FileOffset, ImageAddr};

/// What kind of instruction a probe lies on, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SiteKind {
    /// A push after the stack check, or in a function without one: emulated, hit once a call.
    Push,
    /// Likewise a nop.
    Nop,
    /// Likewise a jump, or a call.
    Branch,
    /// The `jbe` of the stack check: emulated, hit again when the check fails.
    Jump,
    /// The first instruction: single-stepped, hit again when the check fails.
    Entry,
}

/// Where a probe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeSite {
    /// Place in the file.
    pub offset: FileOffset,
    /// What lies there.
    pub kind: SiteKind,
    /// The first bytes there, so that the file can be verified before it is probed.
    pub bytes: [u8; 4],
}

/// The sites of the functions that are probed; `None` where the image has no such function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProbeSites {
    /// `runtime.gopark`
    pub park: Option<ProbeSite>,
    /// `runtime.ready`
    pub ready: Option<ProbeSite>,
    /// `runtime.semacquire1`
    pub semacquire: Option<ProbeSite>,
    /// `runtime.newm`
    pub newm: Option<ProbeSite>,
}

impl ProbeSites {
    /// Those that there are.
    pub fn all(&self) -> impl Iterator<Item = ProbeSite> {
        let sites = [self.park, self.ready, self.semacquire, self.newm];
        sites.into_iter().flatten()
    }
}

impl Image {
    /// The cheapest sites at which the probed functions can be observed.
    #[must_use]
    pub fn probe_sites(&self) -> ProbeSites {
        let site = |name: &str| {
            let functions = self.functions_named(name);
            functions.first().and_then(|f| self.probe_site(f))
        };
        ProbeSites {
            park: site("runtime.gopark"),
            ready: site("runtime.ready"),
            semacquire: site("runtime.semacquire1"),
            newm: site("runtime.newm"),
        }
    }

    /// The cheapest site of one function.
    #[must_use]
    pub fn probe_site(&self, function: &Function) -> Option<ProbeSite> {
        let entry = self.file_offset(function.entry)?;
        let (distance, kind) = match self.arch() {
            Arch::Amd64 => amd64::choose(&self.code(function)?),
            Arch::Arm64 => (0, SiteKind::Entry),
        };
        let there = ImageAddr(function.entry.0.checked_add(distance)?);
        Some(ProbeSite {
            offset: FileOffset(entry.0.checked_add(distance)?),
            kind,
            bytes: self.bytes(there, 4)?.as_ref().try_into().ok()?,
        })
    }
}
