//! Words as the Go compiler emits them.

use super::*;
use crate::isa::{Arithmetic, Atomic, Extend, Sets};

const ENTRY: ImageAddr = ImageAddr(0xa5000);

fn decode(words: &[u32]) -> Vec<Operation> {
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let instructions = Arm64.decode(&code, ENTRY);
    instructions.into_iter().map(|i| i.operation).collect()
}

fn atomics(words: &[u32]) -> Vec<Operation> {
    let mut operations = decode(words);
    operations.retain(|o| matches!(o, Operation::Atomic { .. } | Operation::JumpIf { .. }));
    operations
}

fn in_register(base: u8) -> MemoryOperand {
    MemoryOperand {
        base: Base::Register(Register(base)),
        index: None,
        displacement: 0,
    }
}

#[test]
fn a_prologue_moves_the_stack_pointer_and_saves_the_link() {
    // MOVD.W R30, -48(RSP); SUB $8, RSP, R29
    let operations = decode(&[0xf81d_0ffe, 0xd100_23fd]);
    let sp = Register(SP);
    assert_eq!(
        operations,
        [
            Operation::Address {
                to: sp,
                of: MemoryOperand {
                    displacement: -48,
                    ..in_register(SP)
                },
                width: 8
            },
            Operation::Move {
                to: Operand::Memory(in_register(SP)),
                from: Operand::Register(Register(30)),
                width: 8,
                extend: Extend::Keep,
            },
            Operation::Compute {
                arithmetic: Arithmetic::Subtract,
                to: Some(Operand::Register(Register(29))),
                left: Operand::Register(sp),
                right: Operand::Constant(8),
                width: 8,
                sets: Sets::Nothing,
            },
        ]
    );
}

#[test]
fn an_address_is_of_a_page_of_the_image() {
    // ADRP 1093632(PC), R2 at 0xa5000
    let [Operation::Address { to, of, .. }] = decode(&[0xf000_0842])[..] else {
        panic!("no address");
    };
    assert_eq!((to, of.base), (Register(2), Base::Image));
    assert_eq!(of.displacement, 0xa5000 + 1_093_632);
}

#[test]
fn the_guarded_unlock_is_one_addition() {
    let words = [
        0x3600_00a2, // TBZ $0, R2, 5(PC)
        0x9280_0002, // MOVD $-1, R2
        0xb8e2_0061, // LDADDALW R2, (R3), R1
        0x8b02_0021, // ADD R2, R1, R1
        0x1400_0006, // JMP 6(PC)
        0x9280_0002, // MOVD $-1, R2
        0x885f_fc61, // LDAXRW (R3), R1
        0x8b02_0021, // ADD R2, R1, R1
        0x881b_fc61, // STLXRW R1, (R3), R27
        0xb5ff_ffbb, // CBNZ R27, -3(PC)
        0x3400_0041, // CBZW R1, 2(PC)
    ];
    let add = Operation::Atomic {
        atomic: Atomic::Add(Some(Register(1))),
        memory: in_register(3),
        width: 4,
    };
    let found = atomics(&words);
    assert_eq!(found[..2], [add.clone(), add]);
    assert!(
        matches!(found[2..], [Operation::JumpIf { .. }]),
        "neither the guard nor the loop is a branch: {found:?}"
    );
}

#[test]
fn the_guarded_lock_is_one_compare_and_swap() {
    let words = [
        0x3600_0121, // TBZ $0, R1, 9(PC)
        0xb240_03e1, // ORR $1, ZR, R1
        0xf000_0842, // ADRP
        0x9125_2042, // ADD
        0x2a1f_03fb, // MOVW ZR, R27
        0x88fb_fc41, // CASALW R27, (R2), R1
        0x6b1f_037f, // CMPW ZR, R27
        0x9a9f_17e3, // CSET EQ, R3
        0x1400_000a, // JMP 10(PC)
        0xb240_03e1, // ORR $1, ZR, R1
        0xf000_0842, // ADRP
        0x9125_2042, // ADD
        0x885f_fc5b, // LDAXRW (R2), R27
        0x6b1f_037f, // CMPW ZR, R27
        0x5400_0061, // BNE 3(PC)
        0x881b_fc41, // STLXRW R1, (R2), R27
        0xb5ff_ff9b, // CBNZ R27, -4(PC)
        0x9a9f_17e3, // CSET EQ, R3
        0x3700_00c3, // TBNZ $0, R3, 6(PC)
    ];
    let swap = Operation::Atomic {
        atomic: Atomic::CompareAndSwap,
        memory: in_register(2),
        width: 4,
    };
    let found = atomics(&words);
    assert_eq!(found[..2], [swap.clone(), swap]);
    assert!(
        matches!(found[2..], [Operation::JumpIf { .. }]),
        "{found:?}"
    );
    let compares = |o: &Operation| matches!(o, Operation::Compute { to: None, .. });
    assert!(!decode(&words).iter().any(compares), "the swap says it");
}

#[test]
fn parts_of_registers() {
    // LSR $3, R13, R13
    let steps = decode(&[0xd343_fdad]);
    assert!(matches!(
        steps[..],
        [
            Operation::Compute {
                arithmetic: Arithmetic::ShiftRight,
                right: Operand::Constant(3),
                ..
            },
            Operation::Compute {
                arithmetic: Arithmetic::And,
                right: Operand::Constant(0x1fff_ffff_ffff_ffff),
                ..
            }
        ]
    ));
    // CSET EQ, R3
    assert_eq!(
        decode(&[0x9a9f_17e3]),
        [Operation::Select {
            to: Operand::Register(Register(3)),
            then: Operand::Constant(0),
            otherwise: Operand::Constant(1),
            width: 8,
            condition: super::super::Condition::NotEqual,
        }]
    );
}

#[test]
fn what_is_not_known_is_not_skipped() {
    // A word of another architecture version.
    assert_eq!(decode(&[0x0200_0028]), [UNKNOWN]);
}
