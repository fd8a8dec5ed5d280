//! Operands: registers, and memory as the path left it.

use super::{
    super::isa::{Arithmetic, Base, MemoryOperand, Operand, Register},
    Executor, State,
    cell::Cell,
    cells::Cells,
    trace::{CellAddr, Compute, Term},
    value::{Trust, Value},
};

/// Bytes that one store of unknown length is taken to change at most.
const MAX_FORGOTTEN: u64 = 64 << 10;
/// Offset of `internal/abi.ITab.Fun`, behind two pointers to types and a hash.
const ITAB_METHODS: i64 = 24;

impl Executor<'_> {
    /// The address that `operand` names.
    pub(super) fn address(&self, state: &State, operand: MemoryOperand) -> Value {
        let displacement = operand.displacement.cast_unsigned();
        let base = match operand.base {
            Base::Absolute => Value::exact(displacement),
            Base::Image => Value::exact(displacement.wrapping_add(self.bias.0)),
            Base::Register(register) => state.register(register).displaced(displacement),
            Base::Elsewhere => Value::Unknown,
        };
        let address = match operand.index {
            None => base,
            Some((register, scale)) => {
                let trace = self.world.trace;
                let scale = Value::exact(u64::from(scale));
                let times = Compute::Arithmetic(Arithmetic::Multiply, 8);
                let index = state.register(register).combine(scale, times, trace);
                base.combine(index, Compute::Arithmetic(Arithmetic::Add, 8), trace)
            }
        };
        self.seen_by_caller(state, address)
    }

    /// The address `at` of a path that is in a followed call, where it is in the frame that made the
    /// call: arguments that are passed on the stack.
    fn seen_by_caller(&self, state: &State, at: Value) -> Value {
        let Some(term) = at.term() else {
            return at;
        };
        if !self.world.callees().contains(&term.unnoted()) {
            return at;
        }
        let off = self.world.to_callees();
        let caller = state.returns.outermost().and_then(|back| back.sp.term());
        if caller.is_some_and(|sp| term.unnoted() >= sp.unnoted().wrapping_add(off)) {
            return at.displaced(off.wrapping_neg());
        }
        at
    }

    pub(super) fn read(&self, state: &State, operand: Operand, width: u8) -> Value {
        match operand {
            Operand::Register(register) => {
                let value = state.register(register);
                if width == 8 {
                    value
                } else {
                    value.map(Compute::Truncate(width), self.world.trace)
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
            let (at, _) = CellAddr::of(table.displaced(field));
            let word = self.world.cell(at).word();
            word.is_some_and(|word| self.world.points_to_constant(word))
        };
        operand.index.is_none()
            && operand.displacement >= ITAB_METHODS
            && self.function(value).is_some()
            && is_type(0)
            && is_type(8)
    }

    pub(super) fn write(&mut self, state: &mut State, to: Operand, value: Value, width: u8) {
        match to {
            Operand::Register(register) => self.write_register(state, register, value, width),
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
        let Value::Known { term, trust } = at else {
            return Value::Unknown;
        };
        let value = self.world.load(written, term, width);
        match trust {
            // What a closure captured never changes.
            Trust::Closure => value.map_trust(Trust::Exact),
            Trust::Loaded => value.reloaded(),
            Trust::Exact => value,
        }
    }

    pub(super) fn store(&mut self, state: &mut State, at: Value, value: Value, width: u8) {
        let Some(at) = at.term() else {
            return;
        };
        // A closure's address is a plain pointer once it is stored.
        let value = match value {
            Value::Known {
                term,
                trust: Trust::Closure,
            } => Value::of(term),
            value => value,
        };
        let (cell, lane) = CellAddr::of(at);
        if lane == 0 && width == 8 {
            self.set_cell(state, cell, Cell::of(value));
            return;
        }
        let trace = self.world.trace;
        let width = width.clamp(1, 8);
        let first = width.min(8 - lane);
        let with = self.cell(state, cell).with(lane, value, 0, first, trace);
        self.set_cell(state, cell, with);
        if first < width {
            let (next, _) = CellAddr::of(at.displaced(u64::from(first)));
            let rest = width - first;
            let with = self.cell(state, next).with(0, value, first, rest, trace);
            self.set_cell(state, next, with);
        }
    }

    fn set_cell(&self, state: &mut State, at: CellAddr, cell: Cell) {
        self.world.written(at);
        state.cells.set(at, cell);
    }

    pub(super) fn cell(&self, state: &State, at: CellAddr) -> Cell {
        self.world.cell_under(&state.cells, at)
    }

    /// Nothing is known any more of `bytes` bytes at `at`.
    pub(super) fn forget(&mut self, state: &mut State, at: Term, bytes: u64) {
        for cell in self.cells_of(at, bytes.min(MAX_FORGOTTEN)) {
            self.set_cell(state, cell, Cell::default());
        }
    }

    /// Values of `bytes` bytes at `at` on the stack may have been changed: they decide nothing any
    /// more.
    pub(super) fn doubt(&mut self, state: &mut State, at: u64, bytes: u64) {
        let bytes = bytes.min(self.world.stack_end(at).saturating_sub(at));
        for at in self.cells_of(self.world.trace.on_own_stack(at), bytes) {
            if let Some(doubted) = self.cell(state, at).doubted() {
                self.set_cell(state, at, doubted);
            }
        }
    }

    /// The words that `bytes` bytes at `at` lie in.
    fn cells_of(&self, at: Term, bytes: u64) -> Vec<CellAddr> {
        let (first, lane) = CellAddr::of(at);
        let end = bytes.saturating_add(u64::from(lane));
        let rest = (8..end)
            .step_by(8)
            .map(|offset| CellAddr::of(at.displaced(offset.wrapping_sub(u64::from(lane)))).0);
        std::iter::once(first).chain(rest).collect()
    }

    pub(super) fn write_register(&self, state: &mut State, to: Register, value: Value, width: u8) {
        let trace = self.world.trace;
        let value = match width {
            8 => value,
            // Of a narrower value the compiler leaves the upper bits unspecified, and reads none of
            // them.
            width => value.map(Compute::Truncate(width), trace),
        };
        state.set_register(to, value);
    }
}
