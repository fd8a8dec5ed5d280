//! The cheapest place in amd64 code: what the kernel emulates instead of stepping over it
//! (`arch/x86/kernel/uprobes.c`, `push_setup_xol_ops` and `branch_setup_ops`).

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic,
    OpAccess, OpKind, Register,
};

use super::SiteKind;

/// Instructions within which a function's stack check ends (`cmd/internal/obj/x86/obj6.go`,
/// `stacksplit`: at most seven, for huge frames).
const CHECK: usize = 8;

/// `g.stackguard0`, with which the check compares (`runtime/runtime2.go`: `stack` comes before it).
const STACKGUARD: u64 = 16;

/// Registers that a probe reads: of arguments (`src/cmd/compile/abi-internal.md`) and of `g`.
const NEEDED: [Register; 10] = [
    Register::RAX,
    Register::RBX,
    Register::RCX,
    Register::RDI,
    Register::RSI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R14,
];

/// Distance from the entry and kind of the best site of a function.
///
/// The best is one that every call passes once: after the stack check, which a call whose stack has to
/// grow passes twice, before the first branch, and nowhere that is jumped to. Else the check's own jump;
/// else the entry.
pub(super) fn choose(code: &[u8]) -> (u64, SiteKind) {
    let instructions: Vec<Instruction> = Decoder::with_ip(64, code, 0, DecoderOptions::NONE)
        .into_iter()
        .collect();
    let check = instructions
        .windows(2)
        .take(CHECK)
        .position(|pair| is_stack_check(&pair[0], &pair[1]))
        .map(|at| at + 1);
    let body = check.map_or(0, |check| check + 1);
    let is_jumped_to = |instruction: &Instruction| {
        let mut others = instructions.iter();
        others.any(|other| jump_target(other) == Some(instruction.ip()))
    };
    let best = passed_once(instructions.get(body..).unwrap_or_default())
        .filter(|(_, instruction)| !is_jumped_to(instruction))
        .min_by_key(|(kind, _)| *kind);
    let check = check.and_then(|check| instructions.get(check));
    match (best, check) {
        (Some((kind, instruction)), _) => (instruction.ip(), kind),
        (None, Some(check)) => (check.ip(), SiteKind::Jump),
        (None, None) => (0, SiteKind::Entry),
    }
}

/// The emulated instructions of `body` up to its first branch, while all that is needed is in its
/// registers.
fn passed_once(body: &[Instruction]) -> impl Iterator<Item = (SiteKind, &Instruction)> {
    let mut facts = InstructionInfoFactory::new();
    let mut over = false;
    body.iter()
        .take_while(move |instruction| {
            let more = !over;
            over |= instruction.flow_control() != FlowControl::Next || instruction.is_invalid();
            over |= facts.info(instruction).used_registers().iter().any(|used| {
                is_write(used.access()) && NEEDED.contains(&used.register().full_register())
            });
            more
        })
        .filter_map(|instruction| Some((emulated(instruction)?, instruction)))
}

const fn is_write(access: OpAccess) -> bool {
    !matches!(
        access,
        OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
    )
}

/// What kind of site an instruction is that the kernel emulates.
fn emulated(instruction: &Instruction) -> Option<SiteKind> {
    match instruction.code() {
        Code::Push_r64 => Some(SiteKind::Push),
        Code::Nopw | Code::Nopd | Code::Nopq => Some(SiteKind::Nop),
        Code::Jmp_rel8_64 | Code::Jmp_rel32_64 | Code::Call_rel32_64 => Some(SiteKind::Branch),
        _ if instruction.is_jcc_short_or_near() => Some(SiteKind::Branch),
        _ => None,
    }
}

/// `cmp 0x10(%r14),…; jbe`.
fn is_stack_check(compare: &Instruction, jump: &Instruction) -> bool {
    compare.mnemonic() == Mnemonic::Cmp
        && compare.memory_base() == Register::R14
        && compare.memory_displacement64() == STACKGUARD
        && jump.mnemonic() == Mnemonic::Jbe
}

fn jump_target(instruction: &Instruction) -> Option<u64> {
    let is_near = matches!(
        instruction.op0_kind(),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
    );
    (is_near && instruction.flow_control() != FlowControl::Call)
        .then(|| instruction.near_branch_target())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cmp 0x10(%r14),%rsp; jbe +N`.
    const CHECKED: [u8; 6] = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x20];

    fn after_check(body: &[u8]) -> (u64, SiteKind) {
        choose(&[&CHECKED, body].concat())
    }

    #[test]
    fn the_push_after_the_stack_check_is_best() {
        assert_eq!(after_check(&[0x55, 0x48, 0x89, 0xe5]), (6, SiteKind::Push));
        let near = [0x49, 0x3b, 0x66, 0x10, 0x0f, 0x86, 1, 0, 0, 0, 0x55];
        assert_eq!(choose(&near), (10, SiteKind::Push));
        // lea -0x80(%rsp),%r12; cmp 0x10(%r14),%r12
        let big = [
            0x4c, 0x8d, 0x64, 0x24, 0x80, 0x4d, 0x3b, 0x66, 0x10, 0x76, 1, 0x55,
        ];
        assert_eq!(choose(&big), (11, SiteKind::Push));
        // mov %rsp,%r12; sub $0x20000,%r12; jb; cmp 0x10(%r14),%r12; jbe
        let huge = [
            0x49, 0x89, 0xe4, 0x49, 0x81, 0xec, 0, 0, 2, 0, 0x72, 9, 0x4d, 0x3b, 0x66, 0x10, 0x76,
            3, 0x55,
        ];
        assert_eq!(choose(&huge), (18, SiteKind::Push));
    }

    #[test]
    fn a_function_that_checks_nothing_has_its_first_instruction() {
        assert_eq!(choose(&[0x55, 0x48, 0x89, 0xe5]), (0, SiteKind::Push));
        assert_eq!(choose(&[0x90, 0xc3]), (0, SiteKind::Nop));
        assert_eq!(choose(&[0x48, 0x83, 0xec, 8, 0xc3]), (0, SiteKind::Entry));
        assert_eq!(choose(&[]), (0, SiteKind::Entry));
    }

    #[test]
    fn without_a_push_a_nop_or_the_first_branch_serves() {
        // sub $0x18,%rsp; nop; call
        let nop = [0x48, 0x83, 0xec, 0x18, 0x90, 0xe8, 0, 0, 0, 0];
        assert_eq!(after_check(&nop), (10, SiteKind::Nop));
        // sub $0x18,%rsp; test %rax,%rax; je
        let branch = [0x48, 0x83, 0xec, 0x18, 0x48, 0x85, 0xc0, 0x74, 0x10, 0x55];
        assert_eq!(after_check(&branch), (13, SiteKind::Branch));
        assert_eq!(
            after_check(&[0xe8, 0, 0, 0, 0, 0x55]),
            (6, SiteKind::Branch)
        );
    }

    #[test]
    fn once_an_argument_is_gone_the_checks_own_jump_serves() {
        // mov %rdx,%rcx; push %rbp
        assert_eq!(after_check(&[0x48, 0x89, 0xd1, 0x55]), (4, SiteKind::Jump));
        // mov $1,%cl is a write, too
        assert_eq!(after_check(&[0xb1, 1, 0x55]), (4, SiteKind::Jump));
        assert_eq!(choose(&CHECKED), (4, SiteKind::Jump));
        assert_eq!(choose(&CHECKED[..4]), (0, SiteKind::Entry));
    }

    #[test]
    fn what_is_jumped_to_is_passed_more_than_once() {
        // sub $0x18,%rsp; push %rbp; jmp to the push
        let looped = [0x48, 0x83, 0xec, 0x18, 0x55, 0xeb, 0xfd];
        assert_eq!(after_check(&looped), (11, SiteKind::Branch));
        // A call of itself is another call.
        assert_eq!(
            choose(&[0x55, 0xe8, 0xfa, 0xff, 0xff, 0xff]),
            (0, SiteKind::Push)
        );
    }
}
