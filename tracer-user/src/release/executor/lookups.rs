//! Looking up in maps: which element a key leads to as the map is now. Others can change it, so the
//! element's address counts as read from memory that others write.

use super::{
    super::{
        maps::{Form, Found, KeyType, Map},
        sites::KeyForm,
    },
    Executor, State,
    value::{Trust, Value},
};
use crate::{ids::TargetAddr, memory::MemoryExt as _};

/// Longest string that is looked up, in bytes.
const MAX_TEXT: usize = 1024;

impl Executor<'_> {
    /// `mapaccess1(type, map, key)` returns where the element is, `mapaccess2` also whether it is
    /// there (`runtime/map.go`; `internal/runtime/maps/runtime*.go` since Go 1.24).
    pub(super) fn look_up(&self, state: &mut State, form: KeyForm) {
        let found = self.found(state, form);
        // The key is only read.
        self.forget_registers(state);
        let (element, is_there) = match found {
            None => (Value::Unknown, Value::Unknown),
            Some(Found::Nowhere) => (Value::Unknown, loaded(0)),
            Some(Found::At(element)) => (loaded(element), loaded(1)),
        };
        let results = self.isa.arguments().iter();
        for (register, value) in results.zip([element, is_there]) {
            state.set_register(*register, value);
        }
    }

    fn found(&self, state: &State, form: KeyForm) -> Option<Found> {
        let map = self.argument(state, 1).bits()?;
        if map == 0 {
            return Some(Found::Nowhere);
        }
        let map = Map::open(
            self.world.as_it_is(),
            Form::of(self.code.image().go_version()),
            self.argument(state, 0).address()?,
            map,
        )?;
        let key = self.argument(state, 2);
        let key = match (form, map.key) {
            (KeyForm::Word(width), KeyType::Bytes(size)) if size == u64::from(width) => {
                let word = key.bits()?.to_le_bytes();
                word.get(..usize::from(width))?.to_vec()
            }
            (KeyForm::Text, KeyType::Text) => {
                self.text(state, key, self.argument(state, 3).bits()?)?
            }
            (KeyForm::Address, KeyType::Bytes(size)) => {
                self.bytes(state, key, usize::try_from(size).ok()?)?
            }
            (KeyForm::Address, KeyType::Text) => {
                let len = self.load(state, key.map(|at| at.wrapping_add(8)), 8);
                self.text(state, self.load(state, key, 8), len.bits()?)?
            }
            _ => return None,
        };
        map.find(&key)
    }

    /// The text of `len` bytes at `at`.
    fn text(&self, state: &State, at: Value, len: u64) -> Option<Vec<u8>> {
        let len = usize::try_from(len).ok().filter(|len| *len <= MAX_TEXT)?;
        match at.bits()? {
            own if self.stack().contains(&own) => self.bytes(state, at, len),
            elsewhere => {
                let memory = self.world.as_it_is();
                memory.read_vec(TargetAddr(elsewhere), len, MAX_TEXT).ok()
            }
        }
    }

    /// `len` bytes at `at`, as the path left them.
    fn bytes(&self, state: &State, at: Value, len: usize) -> Option<Vec<u8>> {
        (0..len)
            .map(|offset| {
                let offset = u64::try_from(offset).ok()?;
                let byte = self.load(state, at.map(|at| at.wrapping_add(offset)), 1);
                u8::try_from(byte.bits()?).ok()
            })
            .collect()
    }
}

const fn loaded(bits: u64) -> Value {
    Value::Known {
        bits,
        trust: Trust::Loaded,
    }
}
