//! Looking up in maps: which element a key leads to as the map is now. Others can change it, so the
//! element's address counts as read from memory that others write.

use std::sync::Arc;

use super::{
    super::{
        maps::{Form, Found, KeyType, Map},
        past::Symbols,
        sites::KeyForm,
    },
    Executor, State,
    surroundings::Surroundings,
    trace::{Key, Lookup, Term},
    value::Value,
};
use ids::TargetAddr;
use memory::MemoryExt as _;

/// Longest string that is looked up, in bytes.
const MAX_TEXT: usize = 1024;

impl Executor<'_> {
    /// `mapaccess1(type, map, key)` returns where the element is, `mapaccess2` also whether it is
    /// there (`runtime/map.go`; `internal/runtime/maps/runtime*.go` since Go 1.24).
    pub(super) fn look_up(&self, state: &mut State, form: KeyForm) {
        let known = self.world.symbols().is_none_or(Symbols::is_in_process);
        let found = known.then(|| self.found(state, form)).flatten();
        // The key is only read.
        self.forget_registers(state);
        let results = self.isa.arguments().iter();
        for (register, result) in results.zip(found.unwrap_or_default()) {
            if let Some(result) = result {
                state.set_register(*register, Value::loaded(result));
            }
        }
    }

    /// Where the element lies, and whether it is there.
    fn found(&self, state: &State, form: KeyForm) -> Option<[Option<Term>; 2]> {
        let type_at = self.number(self.argument(state, 0))?;
        let map = self.argument(state, 1).term()?;
        let key = self.argument(state, 2);
        let key = match (form, self.world.around().key_type(type_at)?) {
            (KeyForm::Word(width), _) => Key::Word(key.term()?, width),
            (KeyForm::Text, _) => self.text(state, key, self.argument(state, 3))?,
            (KeyForm::Address, KeyType::Text) => {
                let len = self.load(state, key.displaced(8), 8);
                self.text(state, self.load(state, key, 8), len)?
            }
            (KeyForm::Address, KeyType::Bytes(size)) => {
                Key::Bytes(self.bytes(state, key, usize::try_from(size).ok()?)?)
            }
        };
        let lookup = Lookup { type_at, map, key };
        Some(self.world.trace.look_up(&lookup, &self.world))
    }

    /// The text of `len` bytes at `at`. Of one that lies on the stack the course may depend on all
    /// bytes.
    fn text(&self, state: &State, at: Value, len: Value) -> Option<Key<Term>> {
        if self.on_stack(at).is_none() {
            return Some(Key::Text(at.term()?, len.term()?));
        }
        let len = usize::try_from(self.number(len)?).ok();
        let len = len.filter(|len| *len <= MAX_TEXT)?;
        Some(Key::Bytes(self.bytes(state, at, len)?))
    }

    /// `len` bytes at `at`, as the path left them.
    fn bytes(&self, state: &State, at: Value, len: usize) -> Option<Arc<[u8]>> {
        (0..len)
            .map(|offset| {
                let offset = u64::try_from(offset).ok()?;
                let byte = self.load(state, at.displaced(offset), 1);
                u8::try_from(self.number(byte)?).ok()
            })
            .collect()
    }
}

impl Surroundings<'_> {
    /// What looking `key` up in the map at `map` comes to.
    pub(super) fn find_key(&self, type_at: u64, map: u64, key: Key<u64>) -> Option<Found> {
        if map == 0 {
            return Some(Found::Nowhere);
        }
        let map = self.map(type_at, map)?;
        match (key, map.key) {
            (Key::Word(word, width), KeyType::Bytes(size)) if size == u64::from(width) => {
                map.find(word.to_le_bytes().get(..usize::from(width))?)
            }
            (Key::Text(at, len), KeyType::Text) => {
                let len = usize::try_from(len).ok().filter(|len| *len <= MAX_TEXT)?;
                let text = self.memory().read_vec(TargetAddr(at), len, MAX_TEXT);
                map.find(&text.ok()?)
            }
            (Key::Bytes(bytes), _) => map.find(&bytes),
            _ => None,
        }
    }

    /// What keys of maps of that type are compared by.
    fn key_type(&self, type_at: u64) -> Option<KeyType> {
        Some(self.map(type_at, 0)?.key)
    }

    fn map(&self, type_at: u64, map: u64) -> Option<Map<'_>> {
        let form = Form::of(self.go_version());
        Map::open(self.memory(), form, type_at, map)
    }
}
