//! Where to place a probe on a Go function.
//!
//! A uprobe on an instruction that the kernel emulates costs a tenth of one that it has to
//! single-step, and a function's first instruction, the stack check, is of the second kind. So a
//! probe goes on the `push %rbp` after the check (Go 1.21 and later): arguments and `g` are still
//! in their registers, and every call passes it once. Go 1.20 and earlier have no push; there it
//! goes on the `jbe` of the check, and hits whose flags say that it jumps are not calls, since the
//! function starts again after `morestack`. Else the entry serves.

use super::{Arch, Function, Image};
use crate::ids::FileOffset;

/// Bytes of a function that hold any prologue known here.
const PROLOGUE: usize = 32;

/// What kind of instruction a probe lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteKind {
    /// `push %rbp` after the stack check, or of a function without one: emulated, hit once a call.
    Push,
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
            Arch::Amd64 => {
                let code = self.code(function)?;
                choose_amd64(code.get(..PROLOGUE).unwrap_or(&code))
            }
            Arch::Arm64 => (0, SiteKind::Entry),
        };
        Some(ProbeSite {
            offset: FileOffset(entry.0.checked_add(distance)?),
            kind,
        })
    }
}

/// Distance from the entry and kind of the best site of an amd64 prologue
/// (`cmd/internal/obj/x86/obj6.go`, `stacksplit`).
fn choose_amd64(code: &[u8]) -> (u64, SiteKind) {
    const PUSH_RBP: u8 = 0x55;
    let compare = match code {
        [PUSH_RBP, ..] => return (0, SiteKind::Push),
        // cmp 0x10(%r14),%rsp
        [0x49, 0x3b, 0x66, 0x10, ..] => 4,
        // lea -N(%rsp),%r12; cmp 0x10(%r14),%r12
        [0x4c, 0x8d, 0x64, 0x24, _, 0x4d, 0x3b, 0x66, 0x10, ..] => 9,
        [
            0x4c,
            0x8d,
            0xa4,
            0x24,
            _,
            _,
            _,
            _,
            0x4d,
            0x3b,
            0x66,
            0x10,
            ..,
        ] => 12,
        _ => return (0, SiteKind::Entry),
    };
    let jump = match code.get(compare..) {
        Some([0x76, ..]) => 2,
        Some([0x0f, 0x86, ..]) => 6,
        _ => return (0, SiteKind::Entry),
    };
    if code.get(compare + jump) == Some(&PUSH_RBP) {
        ((compare + jump) as u64, SiteKind::Push)
    } else {
        (compare as u64, SiteKind::Jump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_push_after_the_stack_check_is_best() {
        let short = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x20, 0x55, 0x48];
        assert_eq!(choose_amd64(&short), (6, SiteKind::Push));
        let near = [0x49, 0x3b, 0x66, 0x10, 0x0f, 0x86, 1, 0, 0, 0, 0x55];
        assert_eq!(choose_amd64(&near), (10, SiteKind::Push));
        let big = [
            0x4c, 0x8d, 0x64, 0x24, 0x80, 0x4d, 0x3b, 0x66, 0x10, 0x76, 1, 0x55,
        ];
        assert_eq!(choose_amd64(&big), (11, SiteKind::Push));
    }

    #[test]
    fn without_a_push_the_jump_serves_and_without_a_check_the_entry() {
        let old = [0x49, 0x3b, 0x66, 0x10, 0x0f, 0x86, 1, 0, 0, 0, 0x48, 0x83];
        assert_eq!(choose_amd64(&old), (4, SiteKind::Jump));
        assert_eq!(choose_amd64(&[0x48, 0x83, 0xec]), (0, SiteKind::Entry));
        assert_eq!(
            choose_amd64(&[0x49, 0x3b, 0x66, 0x10]),
            (0, SiteKind::Entry)
        );
        assert_eq!(choose_amd64(&[]), (0, SiteKind::Entry));
    }
}
