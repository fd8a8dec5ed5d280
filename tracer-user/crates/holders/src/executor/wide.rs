//! Vector registers, shared with the paths that branched off: hardly ever is anything known of more
//! than one or two.

use std::rc::Rc;

use super::{
    super::isa::{WIDE_REGISTERS, WideRegister},
    trace::Trace,
    value::Value,
};

/// A vector register, as two words, the lower one first.
pub type Pair = (Value, Value);

const UNKNOWN: Pair = (Value::Unknown, Value::Unknown);

/// What is known of the vector registers.
#[derive(Debug, Clone, Default, Hash)]
pub struct Wide {
    /// Those of which anything is known, ascending.
    known: Rc<Vec<(WideRegister, Pair)>>,
}

impl Wide {
    /// What is in `register`.
    #[must_use]
    pub fn get(&self, register: WideRegister) -> Pair {
        self.find(register)
            .ok()
            .and_then(|at| self.known.get(at))
            .map_or(UNKNOWN, |(_, pair)| *pair)
    }

    /// Sets `register`.
    pub fn set(&mut self, register: WideRegister, pair: Pair) {
        if usize::from(register.0) >= WIDE_REGISTERS {
            return;
        }
        match self.find(register) {
            Ok(at) if pair == UNKNOWN => {
                Rc::make_mut(&mut self.known).remove(at);
            }
            Ok(at) => {
                if let Some(slot) = Rc::make_mut(&mut self.known).get_mut(at) {
                    slot.1 = pair;
                }
            }
            Err(_) if pair == UNKNOWN => {}
            Err(at) => Rc::make_mut(&mut self.known).insert(at, (register, pair)),
        }
    }

    /// Nothing is known any more of those that are not `kept`.
    pub fn keep(&mut self, kept: impl Fn(WideRegister) -> bool) {
        if !self.known.iter().all(|(register, _)| kept(*register)) {
            Rc::make_mut(&mut self.known).retain(|(register, _)| kept(*register));
        }
    }

    /// Keeps what holds whichever of the two is the case; whether that is something else.
    pub fn absorb(&mut self, other: &Self, trace: &Trace) -> bool {
        if Rc::ptr_eq(&self.known, &other.known) {
            return false;
        }
        let joined = self.known.iter().map(|&(register, mine)| {
            let theirs = other.get(register);
            let joined = (mine.0.join(theirs.0, trace), mine.1.join(theirs.1, trace));
            (register, mine, joined)
        });
        let changes: Vec<_> = joined.filter(|(_, mine, joined)| joined != mine).collect();
        for &(register, _, joined) in &changes {
            self.set(register, joined);
        }
        !changes.is_empty()
    }

    fn find(&self, register: WideRegister) -> Result<usize, usize> {
        self.known
            .binary_search_by_key(&register.0, |(register, _)| register.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_own_and_what_they_agree_on() {
        let [zero, one] = [0, 1].map(|bits| (Value::exact(bits), Value::exact(bits)));
        let mut mine = Wide::default();
        mine.set(WideRegister(15), zero);
        let mut other = mine.clone();
        mine.set(WideRegister(2), one);
        assert_eq!(other.get(WideRegister(2)), UNKNOWN);
        other.set(WideRegister(2), (Value::exact(1), Value::exact(7)));
        let trace = Trace::off();
        assert!(mine.absorb(&other, &trace));
        assert_eq!(mine.get(WideRegister(15)), zero);
        assert_eq!(mine.get(WideRegister(2)), (Value::exact(1), Value::Unknown));
        assert!(!mine.absorb(&other, &trace));
        mine.keep(|register| register == WideRegister(15));
        assert_eq!(mine.get(WideRegister(2)), UNKNOWN);
        assert_eq!(mine.get(WideRegister(15)), zero);
    }
}
