//! Taking a lock and giving it back, with what the table is told of it.

use super::Writer;

/// How a lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    Read,
}

/// A lock and how it is taken: the words for it.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) id: usize,
    pub(super) mode: Mode,
    /// What its methods are called on.
    pub(super) on: String,
    /// A `sync.Locker`.
    pub(super) locker: String,
    pub(super) lock: &'static str,
    pub(super) unlock: &'static str,
    pub(super) took: &'static str,
    pub(super) gave: &'static str,
}

impl Writer {
    pub(super) fn words(&self, id: usize, mode: Mode) -> Words {
        let lock = &self.locks[id];
        let (on, pointer) = (lock.expression.clone(), lock.pointer.clone());
        match mode {
            Mode::Write => Words {
                id,
                mode,
                on,
                locker: pointer,
                lock: "Lock",
                unlock: "Unlock",
                took: "took",
                gave: "gave",
            },
            Mode::Read => Words {
                id,
                mode,
                locker: format!("{on}.RLocker()"),
                on,
                lock: "RLock",
                unlock: "RUnlock",
                took: "shares",
                gave: "unshares",
            },
        }
    }

    /// How lock `id` may be taken.
    pub(super) fn mode(&mut self, id: usize) -> Mode {
        if self.locks[id].rw && self.random.chance(2) {
            Mode::Read
        } else {
            Mode::Write
        }
    }

    pub(super) fn take(&mut self, words: &Words) {
        self.asked(words, &format!("{}.{}()", words.on, words.lock));
    }

    pub(super) fn asked(&mut self, words: &Words, lock: &str) {
        self.shadow(&format!("g.want({})", words.id));
        self.line(lock);
        self.taken(words);
    }

    pub(super) fn taken(&mut self, words: &Words) {
        self.shadow(&format!("g.{}({})", words.took, words.id));
    }

    pub(super) fn give(&mut self, words: &Words) {
        self.given(words, &format!("{}.{}()", words.on, words.unlock));
    }

    pub(super) fn given(&mut self, words: &Words, unlock: &str) {
        self.shadow(&format!("g.{}({})", words.gave, words.id));
        self.line(unlock);
    }

    pub(super) fn defer_give(&mut self, words: &Words) {
        if self.random.chance(2) {
            self.open("defer func() {");
            self.give(words);
            self.close("}()");
        } else {
            self.line(&format!("defer {}.{}()", words.on, words.unlock));
            self.shadow(&format!("defer g.{}({})", words.gave, words.id));
        }
    }

    /// Takes and gives back at once.
    pub(super) fn touch(&mut self, id: usize) {
        let mode = self.mode(id);
        self.only_take(id, mode);
        self.only_give(id, mode);
    }

    /// Only takes.
    pub(super) fn only_take(&mut self, id: usize, mode: Mode) {
        let words = self.words(id, mode);
        debug_assert_eq!(words.mode, mode);
        self.take(&words);
    }

    /// Only gives back.
    pub(super) fn only_give(&mut self, id: usize, mode: Mode) {
        let words = self.words(id, mode);
        self.give(&words);
    }
}
