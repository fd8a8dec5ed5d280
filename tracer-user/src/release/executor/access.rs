//! Operands: registers, and memory as the path left it.

use super::{
    super::isa::{Base, MemoryOperand, Operand, Register},
    Executor, State,
    cells::{self, Cell, Cells},
    value::{Trust, Value, truncate},
};

/// Offset of `internal/abi.ITab.Fun`, behind two pointers to types and a hash.
const ITAB_METHODS: i64 = 24;

impl Executor<'_> {
    /// The address that `operand` names.
    pub(super) fn address(&self, state: &State, operand: MemoryOperand) -> Value {
        let displacement = operand.displacement.cast_unsigned();
        let base = match operand.base {
            Base::Absolute => Value::exact(displacement),
            Base::Image => Value::exact(displacement.wrapping_add(self.bias.0)),
            Base::Register(register) => state
                .register(register)
                .map(|bits| bits.wrapping_add(displacement)),
            Base::Elsewhere => Value::Unknown,
        };
        match operand.index {
            None => base,
            Some((register, scale)) => base.combine(state.register(register), |base, index| {
                base.wrapping_add(index.wrapping_mul(u64::from(scale)))
            }),
        }
    }

    pub(super) fn read(&self, state: &State, operand: Operand, width: u8) -> Value {
        match operand {
            Operand::Register(register) => {
                let value = state.register(register);
                if width == 8 {
                    value
                } else {
                    value.map(|bits| truncate(bits, width))
                }
            }
            Operand::Constant(bits) => Value::exact(bits),
            Operand::Memory(memory) => {
                let value = self.load(state, self.address(state, memory), width);
                if value.is_reloaded() && self.is_method(state, memory, value) {
                    return value.map_trust(Trust::Exact);
                }
                value
            }
        }
    }

    /// Whether `value`, read from `operand`, is a method in an interface's table: `fun` in `internal/abi.ITab`
    /// (`runtime.itab` before Go 1.22). Tables that the runtime makes lie outside the image, but
    /// never change.
    fn is_method(&self, state: &State, operand: MemoryOperand, value: Value) -> bool {
        let Base::Register(register) = operand.base else {
            return false;
        };
        let Some(table) = state.register(register).decisive() else {
            return false;
        };
        let is_type = |field| {
            let word = self.world.cell(table.wrapping_add(field));
            word.known == 0xff && self.world.is_constant(word.bits)
        };
        operand.index.is_none()
            && operand.displacement >= ITAB_METHODS
            && self.function(value).is_some()
            && is_type(0)
            && is_type(8)
    }

    pub(super) fn write(&mut self, state: &mut State, to: Operand, value: Value, width: u8) {
        match to {
            Operand::Register(register) => write_register(state, register, value, width),
            Operand::Memory(memory) => {
                let at = self.address(state, memory);
                self.store(state, at, value, width);
            }
            Operand::Constant(_) => {}
        }
    }

    pub(super) fn load(&self, state: &State, at: Value, width: u8) -> Value {
        self.load_from(&state.cells, at, width)
    }

    pub fn load_from(&self, written: &Cells, at: Value, width: u8) -> Value {
        let Value::Known { bits, trust } = at else {
            return Value::Unknown;
        };
        let value = cells::load(bits, width, |at| {
            written.get(at).unwrap_or_else(|| self.world.cell(at))
        });
        match (value, trust) {
            // What a closure captured never changes.
            (Value::Known { bits, .. }, Trust::Closure) => Value::exact(bits),
            (Value::Known { bits, .. }, Trust::Loaded) => Value::Known {
                bits,
                trust: Trust::Loaded,
            },
            (value, _) => value,
        }
    }

    pub(super) fn store(&mut self, state: &mut State, at: Value, value: Value, width: u8) {
        let Some(at) = at.bits() else {
            return;
        };
        // A closure's address is a plain pointer once it is stored.
        let value = match value {
            Value::Known {
                bits,
                trust: Trust::Closure,
            } => Value::exact(bits),
            value => value,
        };
        let (aligned, lane) = (at & !7, at & 7);
        if lane == 0 && width == 8 {
            state.cells.set(aligned, Cell::of(value));
            return;
        }
        let width = u64::from(width.clamp(1, 8));
        let first = width.min(8 - lane);
        let cell = self.cell(state, aligned);
        let merged = cells::merge(cell, lane, value, 0, first);
        state.cells.set(aligned, merged);
        if first < width {
            let next = aligned.wrapping_add(8);
            let cell = self.cell(state, next);
            let merged = cells::merge(cell, 0, value, first, width - first);
            state.cells.set(next, merged);
        }
    }

    pub(super) fn cell(&self, state: &State, at: u64) -> Cell {
        state.cells.get(at).unwrap_or_else(|| self.world.cell(at))
    }

    /// Nothing is known any more of `bytes` bytes at `at`.
    pub(super) fn forget(&mut self, state: &mut State, at: u64, bytes: u64) {
        let end = at.saturating_add(bytes.min(64 << 10));
        let mut word = at & !7;
        while word < end {
            state.cells.set(word, Cell::default());
            word = word.saturating_add(8);
        }
    }

    /// Values of `bytes` bytes at `at` may have been changed: they decide nothing any more.
    pub(super) fn doubt(&mut self, state: &mut State, at: u64, bytes: u64) {
        let mut word = at & !7;
        while word < at.saturating_add(bytes) && self.stack().contains(&word) {
            let cell = self.cell(state, word);
            if cell.known != 0 && !cell.loaded {
                state.cells.set(
                    word,
                    Cell {
                        loaded: true,
                        ..cell
                    },
                );
            }
            word += 8;
        }
    }
}

pub(super) fn write_register(state: &mut State, to: Register, value: Value, width: u8) {
    let value = match width {
        8 => value,
        4 => value.map(|bits| truncate(bits, 4)),
        _ => state.register(to).combine(value, |old, new| {
            old & !truncate(u64::MAX, width) | truncate(new, width)
        }),
    };
    state.set_register(to, value);
}
