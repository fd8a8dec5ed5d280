//! The instruction form that the executor runs: what is left of a machine's instruction set when
//! only the flow of addresses and of control matters.

use ids::ImageAddr;

/// How many general registers a machine has at most.
pub const REGISTERS: usize = 32;
/// How many 16-byte vector registers are followed.
pub const WIDE_REGISTERS: usize = 32;

/// A general register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Register(pub u8);

/// A 16-byte vector register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WideRegister(pub u8);

/// The address that a memory operand names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemoryOperand {
    /// What the displacement counts from.
    pub base: Base,
    /// A register times a scale, if there is one.
    pub index: Option<(Register, u8)>,
    /// Bytes on top; with [`Base::Image`] the address itself, as linked.
    pub displacement: i64,
}

/// What a memory operand's displacement counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Base {
    /// Address 0.
    Absolute,
    /// The image's load bias: an operand relative to the program counter.
    Image,
    /// A register.
    Register(Register),
    /// Something not followed, such as thread-local storage.
    Elsewhere,
}

/// Where an instruction takes a value from, or puts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A register, of which the lowest bytes count.
    Register(Register),
    /// A number, sign-extended to 64 bits.
    Constant(u64),
    /// Memory.
    Memory(MemoryOperand),
}

/// How a narrower value fills a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extend {
    /// The upper bytes become zero.
    Zero,
    /// The upper bytes repeat the sign.
    Sign,
    /// The upper bytes stay as they are.
    Keep,
}

/// Arithmetic whose results matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// Sum.
    Add,
    /// Difference.
    Subtract,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Shift towards the high bits.
    ShiftLeft,
    /// Shift towards the low bits, zeros from above.
    ShiftRight,
    /// Shift towards the low bits, signs from above.
    ShiftRightSigned,
    /// Product, low half.
    Multiply,
}

/// A condition on the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Equal, zero.
    Equal,
    /// Not equal, not zero.
    NotEqual,
    /// Less, unsigned.
    Below,
    /// Less or equal, unsigned.
    BelowOrEqual,
    /// Greater, unsigned.
    Above,
    /// Greater or equal, unsigned.
    AboveOrEqual,
    /// Less, signed.
    Less,
    /// Less or equal, signed.
    LessOrEqual,
    /// Greater, signed.
    Greater,
    /// Greater or equal, signed.
    GreaterOrEqual,
    /// The sign bit is set.
    Negative,
    /// The sign bit is clear.
    NotNegative,
    /// Overflow or parity: not followed.
    Other,
}

/// What a conditional jump depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Test {
    /// The flags.
    Flags(Condition),
    /// Whether the lowest `width` bytes of a register are zero.
    Zero {
        /// Which.
        register: Register,
        /// Bytes.
        width: u8,
        /// What they have to be for the jump.
        is_zero: bool,
    },
    /// One bit of a register.
    Bit {
        /// Which register.
        register: Register,
        /// Which bit, from the lowest.
        bit: u8,
        /// What it has to be for the jump.
        is_set: bool,
    },
}

/// Which flags an arithmetic instruction sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sets {
    /// None: they stay as they are.
    Nothing,
    /// Those that say whether the result is zero or negative; the others are not known.
    Sign,
    /// All.
    All,
}

/// Where a direct jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// An instruction of the same function, by index.
    Inside(u32),
    /// Another function.
    Outside(ImageAddr),
}

/// Which side of a conditional jump is a slow path that does, for this analysis, the same as the
/// other side: growing the stack, the write barrier, waking waiters after an unlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cold {
    /// Neither.
    Neither,
    /// The jump's target.
    Taken,
    /// The next instruction.
    Next,
}

/// A read-modify-write that other processors see at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Atomic {
    /// Adds something; the old value goes to the register if there is one.
    Add(Option<Register>),
    /// Stores if equal; the flags say whether it did.
    CompareAndSwap,
    /// Stores, the old value goes to the register.
    Swap(Register),
    /// And, or: no lock is taken or released by these.
    Other,
}

/// What one instruction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Nothing that matters.
    Nothing,
    /// Copies `width` bytes.
    Move {
        /// Destination.
        to: Operand,
        /// Source.
        from: Operand,
        /// Bytes copied.
        width: u8,
        /// What becomes of the rest of a destination register.
        extend: Extend,
    },
    /// Copies one of two values.
    Select {
        /// Destination.
        to: Operand,
        /// Copied if the condition holds.
        then: Operand,
        /// Copied if it does not.
        otherwise: Operand,
        /// Bytes copied.
        width: u8,
        /// Which decides.
        condition: Condition,
    },
    /// Computes an address.
    Address {
        /// Destination.
        to: Register,
        /// The address.
        of: MemoryOperand,
        /// Bytes of the result.
        width: u8,
    },
    /// Computes, and may set the flags.
    Compute {
        /// What.
        arithmetic: Arithmetic,
        /// Where the result goes; `None`: comparisons.
        to: Option<Operand>,
        /// First operand.
        left: Operand,
        /// Second operand.
        right: Operand,
        /// Bytes.
        width: u8,
        /// The flags that it sets.
        sets: Sets,
    },
    /// Copies 16 bytes between vector registers and memory.
    LoadWide {
        /// Destination.
        to: WideRegister,
        /// Source.
        from: MemoryOperand,
    },
    /// Copies 16 bytes from a vector register to memory.
    StoreWide {
        /// Destination.
        to: MemoryOperand,
        /// Source.
        from: WideRegister,
    },
    /// Copies one vector register to another.
    CopyWide {
        /// Destination.
        to: WideRegister,
        /// Source.
        from: WideRegister,
    },
    /// Zeroes a vector register.
    ZeroWide {
        /// Which.
        register: WideRegister,
    },
    /// Pushes 8 bytes.
    Push(Operand),
    /// Pops 8 bytes.
    Pop(Operand),
    /// Exchanges two registers.
    Exchange(Register, Register),
    /// An atomic read-modify-write.
    Atomic {
        /// What.
        atomic: Atomic,
        /// Where.
        memory: MemoryOperand,
        /// Bytes.
        width: u8,
    },
    /// Goes on elsewhere.
    Jump(Target),
    /// Goes on elsewhere if the test holds.
    JumpIf {
        /// When.
        test: Test,
        /// Where to.
        target: Target,
        /// Which side need not be followed.
        cold: Cold,
    },
    /// Goes on at a computed place.
    JumpTo(Operand),
    /// Calls a function.
    Call(ImageAddr),
    /// Calls a computed function.
    CallTo(Operand),
    /// Returns.
    Return,
    /// Never goes on: `ud2`, `int3`.
    Trap,
    /// Does something else; these registers and this memory are not known afterwards.
    Clobber {
        /// General registers written, as a bit set.
        registers: u32,
        /// Vector registers written, as a bit set.
        wide: u32,
        /// Memory written: where, and how many bytes (0: unknown, the rest of the stack).
        memory: Option<(MemoryOperand, u32)>,
        /// Whether the flags are still known.
        keeps_flags: bool,
    },
}

/// An instruction with its place. What one machine instruction does may take several: they then
/// have the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Its address.
    pub at: ImageAddr,
    /// What it does.
    pub operation: Operation,
}

/// A decoded function body.
#[derive(Debug)]
pub struct Body {
    /// The instructions by ascending address.
    pub instructions: Vec<Instruction>,
    /// Which of them are the target of a jump.
    pub targets: Vec<bool>,
}

impl Body {
    /// The index of the first instruction at exactly `at`.
    #[must_use]
    pub fn index_of(&self, at: ImageAddr) -> Option<u32> {
        let index = self.instructions.partition_point(|i| i.at < at);
        let found = self.instructions.get(index)?.at == at;
        found.then(|| u32::try_from(index).ok())?
    }

    /// Whether some jump leads to the instruction at `index`.
    #[must_use]
    pub fn is_target(&self, index: u32) -> bool {
        usize::try_from(index).is_ok_and(|index| self.targets.get(index) == Some(&true))
    }

    /// The instruction at `index`.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&Instruction> {
        self.instructions.get(usize::try_from(index).ok()?)
    }
}
