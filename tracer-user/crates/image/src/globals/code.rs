//! Globals by the rip-relative operands of runtime functions that every binary has. Each rule was
//! checked against the symbol tables of Go 1.19 to 1.27 (tests below and in `tests/image.rs`).

use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::Globals;
use crate::{elf::Elf, layout::Layout, moduledata::ModuleData, pclntab::PcLineTable};
use ids::ImageAddr;

/// `sched.maxmcount` as `schedinit` sets it (`runtime/proc.go`).
const MAX_M_COUNT: u64 = 10_000;
const MAX_CODE: u64 = 1 << 20;

/// One use of a global variable.
#[derive(Debug, Clone, Copy)]
struct Use {
    at: ImageAddr,
    mnemonic: Mnemonic,
    /// Bytes accessed; 0 for an address computation.
    size: usize,
    immediate: Option<u64>,
}

struct Finder<'image> {
    elf: &'image Elf,
    table: &'image PcLineTable,
    data: Range<ImageAddr>,
}

pub(super) fn read(
    elf: &Elf,
    table: &PcLineTable,
    module: &ModuleData,
    layout: &Layout,
) -> Globals {
    // noptrdata, data, bss and noptrbss lie one behind the other.
    let data = module.noptrdata.start..module.noptrbss.end;
    let finder = Finder { elf, table, data };
    let sched = finder.sched(layout);
    let sched_range = sched.map(|at| at..at.offset(layout.sched.size));
    let checkdead = finder.uses("runtime.checkdead");
    let flags: Vec<_> = checkdead
        .iter()
        .filter(|u| u.mnemonic == Mnemonic::Cmp && u.size == 1)
        .map(|u| u.at)
        .collect();
    let flag = |index: usize| flags.get(index).copied();
    let allfin = allfin(&finder.uses("runtime.queuefinalizer"));
    Globals {
        allgs: slice(&finder.uses("runtime.allgadd")),
        allm: finder.allm(sched_range.as_ref()),
        allp: slice(&finder.uses("runtime.procresize")),
        sched,
        gomaxprocs: finder
            .uses("runtime.procresize")
            .iter()
            .find(|u| u.size == 4)
            .map(|u| u.at),
        semtable: finder.addresses("runtime.semrelease1").first().copied(),
        mheap: finder.argument_of("runtime.mallocinit", "runtime.(*mheap).init"),
        islibrary: flag(0),
        isarchive: flag(1),
        iscgo: flag(2),
        cgo_has_extra_m: flag(3),
        panicking: word_after(&checkdead, flag(1)),
        extra_m_length: word_after(&checkdead, flag(3)),
        allfin,
        gc_cleanups: allfin.and_then(|allfin| finder.gc_cleanups(allfin)),
    }
}

/// `queuefinalizer` chains a new block: `finc.alllink = allfin; allfin = finc` (`runtime/mfinal.go`)
/// uses the two in turn.
fn allfin(uses: &[Use]) -> Option<ImageAddr> {
    uses.windows(4)
        .find(|four| {
            let [finc, allfin] = [four[0].at, four[1].at];
            finc != allfin
                && [four[2].at, four[3].at] == [finc, allfin]
                && four.iter().all(|u| u.size == 8)
        })
        .map(|four| four[1].at)
}

/// The first 32-bit variable used behind the use of `after`.
fn word_after(uses: &[Use], after: Option<ImageAddr>) -> Option<ImageAddr> {
    let from = uses.iter().position(|u| Some(u.at) == after)?;
    uses.get(from..)?.iter().find(|u| u.size == 4).map(|u| u.at)
}

/// The variable of which pointer, length and capacity are all used.
fn slice(uses: &[Use]) -> Option<ImageAddr> {
    let used = |at: ImageAddr| uses.iter().any(|u| u.at == at);
    uses.iter()
        .map(|u| u.at)
        .find(|&at| used(at.offset(8)) && used(at.offset(16)))
}

impl Finder<'_> {
    /// The instructions of the function called `name`.
    fn instructions(&self, name: &str) -> Vec<Instruction> {
        let mut instructions = Vec::new();
        for function in self.table.named(self.elf, name) {
            let len = function
                .end
                .0
                .saturating_sub(function.entry.0)
                .min(MAX_CODE);
            let Some(code) = usize::try_from(len)
                .ok()
                .and_then(|len| self.elf.get(function.entry, len))
            else {
                continue;
            };
            let decoder = Decoder::with_ip(64, &code, function.entry.0, DecoderOptions::NONE);
            instructions.extend(decoder);
        }
        instructions
    }

    /// The uses of module data in the function called `name`, in address order.
    fn uses(&self, name: &str) -> Vec<Use> {
        let instructions = self.instructions(name);
        instructions.iter().filter_map(|i| self.use_in(i)).collect()
    }

    /// The variable whose address `caller` passes to `callee` as its first argument.
    fn argument_of(&self, caller: &str, callee: &str) -> Option<ImageAddr> {
        let entries: Vec<_> = self
            .table
            .named(self.elf, callee)
            .iter()
            .map(|f| f.entry.0)
            .collect();
        let instructions = self.instructions(caller);
        let call = instructions.iter().position(|i| {
            i.mnemonic() == Mnemonic::Call && entries.contains(&i.near_branch_target())
        })?;
        let loads = instructions.get(..call)?.iter().rev();
        loads
            .filter(|i| i.mnemonic() == Mnemonic::Lea && i.op0_register() == Register::RAX)
            .find_map(|i| self.use_in(i))
            .map(|u| u.at)
    }

    fn use_in(&self, instruction: &Instruction) -> Option<Use> {
        if instruction.memory_base() != Register::RIP {
            return None;
        }
        let at = ImageAddr(instruction.ip_rel_memory_address());
        let last = instruction.op_count().checked_sub(1)?;
        let immediate = matches!(
            instruction.op_kind(last),
            OpKind::Immediate8
                | OpKind::Immediate8to32
                | OpKind::Immediate8to64
                | OpKind::Immediate32
                | OpKind::Immediate32to64
        )
        .then(|| instruction.immediate(last));
        self.data.contains(&at).then(|| Use {
            at,
            mnemonic: instruction.mnemonic(),
            size: if instruction.mnemonic() == Mnemonic::Lea {
                0
            } else {
                instruction.memory_size().size()
            },
            immediate,
        })
    }

    /// The addresses of variables that the function called `name` computes, in address order.
    fn addresses(&self, name: &str) -> Vec<ImageAddr> {
        let uses = self.uses(name);
        uses.iter().filter(|u| u.size == 0).map(|u| u.at).collect()
    }

    /// `markroot` scans the finalizers' blocks, then the cleanups' (`runtime/mgcmark.go`, Go 1.25
    /// and later): `gcCleanups.all`, two cache lines into the variable (`runtime/mcleanup.go`).
    fn gc_cleanups(&self, allfin: ImageAddr) -> Option<ImageAddr> {
        if self
            .table
            .named(self.elf, "runtime.(*cleanupQueue).enqueue")
            .is_empty()
        {
            return None;
        }
        let uses = self.uses("runtime.markroot");
        let finalizers = uses.iter().position(|u| u.at == allfin)?;
        let next = uses.get(finalizers + 1).filter(|u| u.size == 8)?;
        Some(ImageAddr(next.at.0.wrapping_sub(2 * 64)))
    }

    fn sched(&self, layout: &Layout) -> Option<ImageAddr> {
        let uses = self.uses("runtime.schedinit");
        let store = uses
            .iter()
            .find(|u| u.size == 4 && u.immediate == Some(MAX_M_COUNT))?;
        Some(ImageAddr(store.at.0.wrapping_sub(layout.sched.maxmcount)))
    }

    /// `mexit` compares its M with `&m0`, locks `sched`, then walks from `&allm`.
    fn allm(&self, sched: Option<&Range<ImageAddr>>) -> Option<ImageAddr> {
        let sched = sched?;
        self.addresses("runtime.mexit")
            .into_iter()
            .filter(|at| !sched.contains(at))
            .nth(1)
    }
}
